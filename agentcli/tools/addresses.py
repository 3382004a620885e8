"""Which network addresses a page may come from: public ones. Looking a name up and judging what it means; nothing here connects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from agentcli.protocol.errors import ToolError

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in the last 32 bits, which is where the packets go."""


def is_public(address: Address) -> bool:
    """Whether anybody may reach this address: not this machine, its networks, nor what those reserve, also not wrapped in IPv6."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_site_local and not address.is_reserved


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64."""
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


async def resolve(host: str, port: int) -> Sequence[Address]:
    """The addresses of a host, in the system's order, without repetition.

    Raises:
        ToolError: `unknown_host`.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ToolError(f"the host {host} cannot be found", code="unknown_host") from error
    return list(dict.fromkeys(ip_address(str(place[4][0])) for place in found))

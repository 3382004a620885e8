from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from agentcli.protocol.errors import ToolError
from agentcli.tools.addresses import is_public, resolve

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1", "2a00:1450:4001::1", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"]
CLOSED = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::1", "::", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", CLOSED)
def test_addresses_of_this_machine_of_private_networks_and_of_nobody_also_wrapped_in_ipv6(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f.1", "127.0.0.1"), ("::1", "::1")])
def test_every_spelling_of_an_address_is_the_address(host: str, address: str) -> None:
    assert list(asyncio.run(resolve(host, 80))) == [ip_address(address)]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".com", "a..b"])
def test_a_name_that_means_nothing_is_an_unknown_host(host: str) -> None:
    with pytest.raises(ToolError) as caught:
        asyncio.run(resolve(host, 80))
    assert (caught.value.code, caught.value.message) == ("unknown_host", f"the host {host} cannot be found")

"""The HTTP clients that all providers of one event loop share. `httpx` is loaded with the first request, not with this module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

if TYPE_CHECKING:
    import ssl

    import httpx

REQUESTS_A_CLIENT = 32
"""httpx looks through all waiting requests at each step: 1,000 at once took 21 s through one client and 1.8 s through 32 clients."""
KEEP_ALIVE_S = 60.0
CONNECT_S = 30.0


def load_httpx() -> Any:
    """httpx without its own command line, which it imports wherever click and rich are installed: 50 ms and more at each start.

    Its transport looks for `sniffio` six times a request; where that is not installed, each look searches all of the import path (0.5 ms a
    request). Said once that it is not there, it is quick.
    """
    if "sniffio" not in sys.modules and find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
    import httpx

    if sys.modules.get("httpx._main", httpx) is None:
        del sys.modules["httpx._main"]
    return httpx


class NoClient(Exception):
    """The environment's proxy or certificate settings cannot be used."""


class Clients:
    """About 32 requests a client, one TLS context for all, keep-alive.

    The proxies and certificate files that the environment names are used, but no proxy for this machine's own addresses. Redirects are never
    followed. Whoever makes it closes it.
    """

    def __init__(self, requests_a_client: int = REQUESTS_A_CLIENT) -> None:
        self._most = requests_a_client
        self._shards: dict[tuple[bool, bool], list[_Shard]] = {}
        self._tls: ssl.SSLContext | None = None

    @contextmanager
    def lease(self, url: str) -> Iterator[httpx.AsyncClient]:
        """A client with room for one more request to `url`.

        Raises:
            NoClient: the environment's proxy or certificate settings cannot be used.
        """
        shards = self._shards.setdefault(_kind(url), [])
        shard = next((found for found in shards if found.busy < self._most), None)
        if shard is None:
            shard = _Shard(self._new(*_kind(url)))
            shards.append(shard)
        shard.busy += 1
        try:
            yield shard.client
        finally:
            shard.busy -= 1

    def _new(self, tls: bool, direct: bool) -> httpx.AsyncClient:
        library = load_httpx()
        try:
            if tls and self._tls is None:
                self._tls = library.create_ssl_context()
            client: httpx.AsyncClient = library.AsyncClient(
                verify=self._tls if tls else False,
                trust_env=not direct,
                follow_redirects=False,
                timeout=library.Timeout(None, connect=CONNECT_S),
                limits=library.Limits(max_connections=None, max_keepalive_connections=self._most, keepalive_expiry=KEEP_ALIVE_S),
            )
        except (OSError, ValueError, ImportError) as error:
            raise NoClient(str(error)) from error
        return client

    async def aclose(self) -> None:
        shards = [shard for group in self._shards.values() for shard in group]
        self._shards = {}
        for shard in shards:
            await shard.client.aclose()


class _Shard(Struct):
    client: httpx.AsyncClient
    busy: int = 0


def is_own_machine(url: str) -> bool:
    """Whether the address is this machine's own."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.endswith(".localhost") or (host.startswith("127.") and host.replace(".", "").isdigit())


def _kind(url: str) -> tuple[bool, bool]:
    """Whether TLS is spoken, and whether no proxy is to be asked."""
    return urlsplit(url).scheme == "https", is_own_machine(url)

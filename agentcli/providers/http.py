"""How every wire speaks HTTP: one request, its events in batches, and every failure as a `ProviderError`. No wire's JSON here.

`httpx` is loaded with the first request, not with this module.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import field

from agentcli.protocol.errors import ConfigError, ProviderError, RequestRejected, Unavailable
from agentcli.protocol.models import ProviderSpec
from agentcli.protocol.secrets import Unshown
from agentcli.providers.clients import CONNECT_S, Clients, NoClient, load_httpx
from agentcli.providers.failures import Source, broken, from_answer, not_this_wire, said_in, sentence
from agentcli.providers.sse import BOM, Decoder, EventTooLarge, SSEvent
from agentcli.providers.watch import Limits, Watch
from agentcli.version import __version__

if TYPE_CHECKING:
    import httpx

DRAIN_S = 0.5
"""How long the rest of a finished answer is awaited, so that its connection can be used again."""
ERROR_BODY_S = 10.0
LARGEST_ERROR = 64 * 1024
LARGEST_DOCUMENT = 32 * 1024 * 1024


class Outgoing(Unshown, frozen=True):
    """One request. `body` None: a GET."""

    source: Source
    url: str
    headers: dict[str, str]
    body: bytes | None = None
    limits: Limits = field(default_factory=Limits)


def host_of(spec: ProviderSpec) -> str:
    """The host, and the port where one is given, of a provider's address; without a name and password in it.

    Raises:
        ConfigError: there is no address, or it is none.
    """
    hint = f'Set baseUrl in providers "{spec.name}" to an address such as https://api.example.com/v1.'
    if not spec.base_url:
        raise ConfigError(f"provider '{spec.name}' has no address.", hint=hint)
    try:
        parts = urlsplit(spec.base_url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts.netloc.rpartition("@")[2]
    except ValueError:
        pass
    raise ConfigError(f"the address of provider '{spec.name}' is not one that starts with http:// or https:// and names a host.", hint=hint)


async def stream_sse(clients: Clients, call: Outgoing) -> AsyncGenerator[list[SSEvent], None]:
    """The events of an answer, in batches as the network brings them, without the closing `[DONE]`.

    An answer that is one JSON document instead of a stream is given as one event with `whole` set. An event that the end of the stream cut
    off is left out: the wire then misses its finish reason.

    Raises:
        ProviderError: nothing else.
    """
    watch, answer = Watch(call.limits), _Answer(call.source)
    async with _opened(clients, call, watch) as response, aclosing(_body(response)) as chunks:
        async for chunk in chunks:
            watch.disarm()
            watch.answered = True
            batch = answer.feed(chunk)
            if batch:
                yield batch
            if answer.done:
                break
            watch.arm(call.limits.idle_s)
        if answer.done:
            await _drain(chunks, watch)
        elif rest := answer.end():
            yield rest


async def fetch(clients: Clients, call: Outgoing) -> bytes:
    """The whole body of an answer.

    Raises:
        ProviderError: nothing else.
    """
    watch, body = Watch(call.limits), bytearray()
    async with _opened(clients, call, watch) as response, aclosing(_body(response)) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > LARGEST_DOCUMENT:
                raise not_this_wire(call.source, "with more than can be an answer")
    return bytes(body)


def _body(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it comes. What httpx types as an iterator is a generator."""
    packed = "content-encoding" in response.headers
    return cast("AsyncGenerator[bytes, None]", response.aiter_bytes() if packed else response.aiter_raw())


async def _drain(chunks: AsyncGenerator[bytes, None], watch: Watch) -> None:
    """Reads to the end of a finished answer, so that its connection can be used again; a service that keeps it open is not waited for."""
    watch.arm(DRAIN_S)
    try:
        async for _ in chunks:
            pass
    except asyncio.CancelledError:
        if not watch.own_cancel():
            raise
    except load_httpx().HTTPError:
        return
    finally:
        watch.disarm()


@asynccontextmanager
async def _opened(clients: Clients, call: Outgoing, watch: Watch) -> AsyncIterator[httpx.Response]:
    """A successful answer, its body unread and the watch running. Whatever goes wrong within comes out as a `ProviderError`."""
    httpx = load_httpx()
    _check_headers(call)
    try:
        with clients.lease(call.url) as client:
            method = "GET" if call.body is None else "POST"
            headers = {**_HEADERS, **{name.lower(): value for name, value in call.headers.items()}}
            # Not the client's `build_request`, which takes four times as long: it merges cookies and parameters that there are none of.
            request = httpx.Request(method, call.url, headers=headers, content=call.body, extensions={"timeout": client.timeout.as_dict()})
            watch.arm(call.limits.first_byte_s)
            response = await client.send(request, stream=True)
            try:
                if not response.is_success:
                    raise await _refused(call, response, watch)
                yield response
            finally:
                watch.disarm()
                await response.aclose()
    except asyncio.CancelledError:
        if not watch.own_cancel():
            raise
        raise _late(call, watch) from None
    except NoClient as error:
        raise _no_client(call, error) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        raise _bad_url(call, error) from error
    except (httpx.HTTPError, OSError) as error:  # a TLS error in the middle comes through httpx as it is
        raise _failed(call, watch, error) from error
    finally:
        watch.close()


_HEADERS = {
    "accept": "text/event-stream, application/json",
    "accept-encoding": "identity",  # compressed events would wait in the service's buffers until a block is full
    "content-type": "application/json",
    "user-agent": f"agentcli/{__version__}",
}


def _check_headers(call: Outgoing) -> None:
    """An illegal header is named, never quoted: it may be the key."""
    for name, value in call.headers.items():
        if not (re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) and value.isascii() and value.isprintable()):
            raise RequestRejected(
                f"{call.source.provider}: header '{call.source.tidy(name)}' has a character that no header may have.",
                provider=call.source.provider,
                hint=f"Is there a line break or a quote in it? {call.source.key_hint}".strip(),
            )


async def _refused(call: Outgoing, response: httpx.Response, watch: Watch) -> ProviderError:
    """The error for an answer that is no success. Its body is read as far as it comes in time."""
    body = b""
    watch.arm(ERROR_BODY_S)
    try:
        async with aclosing(_body(response)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > LARGEST_ERROR:
                    break
    except asyncio.CancelledError:
        if not watch.own_cancel():
            raise
    except load_httpx().HTTPError:
        pass  # the status says enough
    return from_answer(call.source, response.status_code, response.headers, body, response.reason_phrase)


def _late(call: Outgoing, watch: Watch) -> ProviderError:
    name, limits = call.source.provider, watch.limits
    match watch.expired:
        case "first":
            text, hint = f"{name}: no answer within {limits.first_byte_s:g} s.", "Try again, or use another model."
        case "idle":
            text, hint = f"{name}: the answer stalled, nothing came for {limits.idle_s:g} s.", "Try again, or use another model."
        case _:
            text, hint = f"{name}: the answer took longer than {limits.total_s:g} s.", "Ask for less at once, or use a faster model."
    return Unavailable(text, provider=name, retryable=watch.expired != "total", hint=hint)


def _no_client(call: Outgoing, error: NoClient) -> ProviderError:
    return Unavailable(
        f"{call.source.provider}: the proxy or certificate settings of the environment cannot be used: {call.source.tidy(str(error))}.",
        provider=call.source.provider,
        retryable=False,
        hint="Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
    )


def _bad_url(call: Outgoing, error: Exception) -> ProviderError:
    return RequestRejected(
        sentence(f"{call.source.provider}: its address is no URL of a service: {call.source.tidy(str(error))}"),
        provider=call.source.provider,
        hint="Set the provider's baseUrl to an address such as https://api.example.com/v1.",
    )


def _failed(call: Outgoing, watch: Watch, error: Exception) -> ProviderError:
    """The error for what httpx raised, by what had happened before."""
    httpx, name, host = load_httpx(), call.source.provider, call.source.host
    if isinstance(error, httpx.DecodingError):
        return not_this_wire(call.source, "with a body that cannot be unpacked")
    if isinstance(error, httpx.ConnectTimeout):
        return Unavailable(f"{name}: no connection to {host} within {CONNECT_S:g} s.", provider=name, hint=_CONNECT_HINT)
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        reason, lasting = _reason(error)
        text = f"{name}: cannot connect to {host}: {call.source.tidy(reason)}."
        return Unavailable(text, provider=name, retryable=not lasting, hint=lasting or _CONNECT_HINT)
    if watch.answered:
        return broken(call.source)
    if isinstance(error, httpx.ProtocolError) and "disconnected" not in str(error):
        return not_this_wire(call.source, "with something that is not HTTP", None)
    return Unavailable(f"{name}: {host} closed the connection without an answer.", provider=name, hint="Try again.")


_CONNECT_HINT = "Check that the service runs, the network, the proxy variables and the provider's baseUrl."
_TLS_HINT = "Behind a proxy with a certificate of its own, name its CA file in SSL_CERT_FILE."
_PROXY_HINT = "The proxy wants to know who asks: put user and password into HTTPS_PROXY, as in http://user:password@host:port."


def _reason(error: BaseException) -> tuple[str, str]:
    """The system's own words at the root of a connection failure, and what to do where trying again is no use ("" where it may be)."""
    import ssl

    text, current = str(error), error
    for _ in range(10):
        if isinstance(current, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({current.verify_message})", _TLS_HINT
        if isinstance(current, OSError) and current.strerror:
            number = current.errno or 0  # below 0 for names that are not found, whose own words are good
            text = os.strerror(number) if number > 0 and type(current) is not OSError else current.strerror
        inner = current.exceptions[0] if isinstance(current, BaseExceptionGroup) else None
        following = inner or current.__cause__ or current.__context__
        if following is None:
            break
        current = following
    return text or type(error).__name__, _PROXY_HINT if text.startswith("407") else ""


class _Answer:
    """Finds out from the first bytes what a successful answer is (content types lie), and turns it into events."""

    def __init__(self, source: Source) -> None:
        self.done = False
        self._source = source
        self._kind = ""
        self._head = b""
        self._decoder = Decoder()
        self._document: list[bytes] = []
        self._size = 0
        self._seen = False

    def feed(self, chunk: bytes) -> list[SSEvent]:
        if not self._kind:
            self._head += chunk
            if BOM.startswith(self._head):
                return []
            first = self._head.removeprefix(BOM).lstrip()[:1]
            if not first:
                self._head = b""  # white space to keep the connection alive, as long as it lasts
                return []
            self._kind = {b"{": "json", b"[": "json", b"<": "html"}.get(first, "events")
            chunk = self._head
        if self._kind == "events":
            return self._feed_events(chunk)
        self._document.append(chunk)
        self._size += len(chunk)
        if self._size > LARGEST_DOCUMENT or (self._kind == "html" and self._size > LARGEST_ERROR):
            self.end()
        return []

    def _feed_events(self, chunk: bytes) -> list[SSEvent]:
        try:
            batch = self._decoder.feed(chunk)
        except EventTooLarge:
            raise not_this_wire(self._source, "with an event too large to be one") from None
        for index, event in enumerate(batch):
            self._seen = True
            if event.data.startswith(b"[DONE]"):
                self.done = True
                return batch[:index]
        return batch

    def end(self) -> list[SSEvent]:
        """What is left when the body ends.

        Raises:
            InvalidResponse: the whole was neither events nor JSON.
        """
        match self._kind:
            case "":
                raise not_this_wire(self._source, "with an empty body", retryable=True)
            case "json" if self._size <= LARGEST_DOCUMENT:
                return [SSEvent(b"".join(self._document).removeprefix(BOM), whole=True)]
            case "events":
                return self._rest()
            case _:
                words = self._source.tidy(said_in(b"".join(self._document)[:LARGEST_ERROR]).message)
                raise not_this_wire(self._source, f"with {words}")

    def _rest(self) -> list[SSEvent]:
        rest = [event for event in self._decoder.flush() if _is_json(event.data)]
        if not rest and not self._seen and not self._head.removeprefix(BOM).lstrip().startswith(_FIELDS):
            shown = self._source.tidy(self._head.decode("utf-8", "replace"))
            raise not_this_wire(self._source, f"with text that is no event stream: '{shown}'")
        return rest


_FIELDS = (b":", b"data", b"event", b"id", b"retry")


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except ValueError:
        return False
    return True

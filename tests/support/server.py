"""A loopback HTTP server that speaks the real wires, in a thread of its own. It answers from a script, records what it was sent, and can misbehave.

    with Server(Answer("hello")) as server:                   # replies are used up in order; `server.reply(...)` adds more
        spec = ProviderSpec("test", base_url=server.url, api_key=Secret("sk-test-key"))
        ...
    server.requests[0].body["messages"]                       # every request: method, path, headers (lower case), body (decoded JSON), raw

Replies, in terms that fit every wire:

    Answer("text", thinking="…", calls=(Call("read", {"path": "a"}),), usage=Usage(…), served="m", stop="length", refusal="…")
    failed(429, "slow down", {"retry-after": "2"})            # an error in the wire's own form
    Plain(200, b"<html>…", {"content-type": "text/html"})     # any status and body
    redirect("https://elsewhere.example/v1")
    lambda request: Answer(f"you sent {len(request.body['messages'])} messages")         # a function makes the reply when the request is there

`Server(always=…)` gives one reply (or calls one function) for every request that the list does not answer. When nothing is left, status 418 says so.

How an answer travels, and breaks, is its `Delivery`: `Answer("hello").sent(chunk=1, newline=b"\\r\\n")`. See that class for all of it.

`with` ends with an AssertionError where a captured request broke its wire's invariants (`server.problems`), so every test checks them.
`server.wait_for(2)` blocks until two requests are there; a `gate` (threading.Event) in a Delivery holds an answer back until the test sets it.
`server.peak` is how many requests were answered at once at most, `server.connections` how many connections were opened, and
`server.wait_closed(1)` blocks until the server has closed so many.

A new wire is one object in `WIRES`: see `ChatWire` (which paths it takes, whether a stream was asked for, an answer as events and as one
document, an error, also inside a stream, the invariants).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from agentcli.protocol.models import Usage

from .anthropic_wire import AnthropicWire
from .chat_wire import ChatWire
from .gemini_wire import GeminiWire
from .responses_wire import ResponsesWire

USAGE = Usage(input=10, output=5)


@dataclass(frozen=True)
class Call:
    """A tool call of an answer. `arguments` as a string goes out as it is; `pieces` is in how many pieces."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = ""
    pieces: int = 3

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)

    def cut(self) -> list[str]:
        size = max(1, -(-len(self.text) // self.pieces))
        return [self.text[at : at + size] for at in range(0, len(self.text), size)] or [""]


@dataclass(frozen=True)
class Delivery:
    """How an answer travels.

    `chunk`: bytes an HTTP chunk (0: an event each). `newline`, `bom`, `noise` (comments, `id:` and `retry:` lines, unknown fields): other spellings
    of the same events. `insert`: events put in at these positions, as whole lines; `done`: whether the stream ends with the wire's own end mark.
    `first_delay_s`, `delay_s`: seconds before the first event and between events. `gate`: held back until it is set. `stall_after`: so many
    events, then nothing more until the client leaves. `cut_after`: so many bytes, then `ending`: `reset` (RST), `close` (no end of the body),
    `end` (a proper end of the body). `hang_up`: the connection is closed after a proper end, unannounced. `whole`: one JSON document although
    a stream was asked for.
    """

    chunk: int = 0
    newline: bytes = b"\n"
    bom: bool = False
    noise: bool = False
    insert: Mapping[int, bytes] = field(default_factory=dict)
    done: bool = True
    first_delay_s: float = 0.0
    delay_s: float = 0.0
    gate: threading.Event | None = None
    stall_after: int | None = None
    cut_after: int | None = None
    ending: Literal["end", "close", "reset"] = "end"
    hang_up: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Answer:
    """An answer in terms of every wire. `stop` "": by itself; `finish` False: no finish reason is given. `text` as a tuple: its pieces."""

    text: str | tuple[str, ...] = ""
    thinking: str | tuple[str, ...] = ""
    calls: tuple[Call, ...] = ()
    usage: Usage | None = USAGE
    served: str = ""
    stop: str = ""
    finish: bool = True
    refusal: str = ""
    delivery: Delivery = Delivery()

    def sent(self, **how: Any) -> Answer:
        """The same answer, delivered otherwise."""
        return replace(self, delivery=replace(self.delivery, **how))

    def pieces(self, what: Literal["text", "thinking"]) -> tuple[str, ...]:
        value: str | tuple[str, ...] = getattr(self, what)
        if isinstance(value, tuple):
            return value
        return tuple(value[at : at + 5] for at in range(0, len(value), 5))


@dataclass(frozen=True)
class Plain:
    """A status and a body, whatever they are. `stall`: the head is sent, the body never ends."""

    status: int = 200
    body: bytes | str | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    stall: bool = False


@dataclass(frozen=True)
class Failed:
    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


def failed(status: int, message: str = "no", headers: Mapping[str, str] | None = None, code: str = "") -> Failed:
    """An error in the wire's own form."""
    return Failed(status, message, headers or {}, code)


def redirect(url: str, status: int = 307) -> Plain:
    return Plain(status, b"", {"location": url})


class Silence:
    """The request is read and never answered, until the client leaves."""


@dataclass(frozen=True)
class Hangup:
    """The connection is closed (`reset`: by RST) without an answer."""

    reset: bool = False


@dataclass(frozen=True)
class Captured:
    """A request. `body` is its decoded JSON (None: it had none)."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    at: float = field(compare=False)

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None


Reply = Answer | Plain | Failed | Silence | Hangup
Script = Reply | Callable[[Captured], Reply]


class Wire(Protocol):
    """What a wire must say to be served."""

    name: str

    def takes(self, request: Captured) -> bool: ...
    def streams(self, request: Captured) -> bool: ...
    def events(self, answer: Answer, request: Captured) -> list[bytes]: ...
    def end_mark(self) -> bytes: ...
    def document(self, answer: Answer, request: Captured) -> dict[str, Any]: ...
    def error(self, failed: Failed) -> dict[str, Any]: ...
    def broke(self, message: str) -> bytes: ...
    def problems(self, body: Any) -> list[str]: ...


WIRES: tuple[Wire, ...] = (ChatWire(), ResponsesWire(), AnthropicWire(), GeminiWire())


class Server:
    """See the module's text. Thread-safe where tests use it: `requests`, `reply`, `wait_for`."""

    def __init__(self, *replies: Script, always: Script | None = None, models: tuple[str, ...] = (), tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Captured] = []
        self.problems: list[str] = []
        self.connections = 0
        self.closed = 0
        self.active = 0
        self.peak = 0
        self._replies = list(replies)
        self._always = always
        self._models = models
        self._tls = tls
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="model server", daemon=True)
        self._ready = threading.Event()
        self.port = 0

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What goes into a provider's base URL."""
        return f"{self.origin}/v1"

    def reply(self, *replies: Script) -> None:
        self._replies.extend(replies)

    def wait_for(self, count: int, timeout: float = 10.0) -> None:
        """Blocks until so many requests have come."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout):
                raise AssertionError(f"{len(self.requests)} requests came, {count} were awaited")

    def wait_closed(self, count: int, timeout: float = 10.0) -> None:
        """Blocks until the server has closed so many connections."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.closed >= count, timeout):
                raise AssertionError(f"{self.closed} connections were closed, {count} were awaited")

    def __enter__(self) -> Server:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        if kind is None:
            assert not self.problems, self.problems

    # --- the thread ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _open(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            while await self._answer(await _read(reader), reader, writer):
                pass
        writer.close()
        with self._changed:
            self.closed += 1
            self._changed.notify_all()

    async def _answer(self, request: Captured, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may serve another request."""
        wire = next((found for found in WIRES if found.takes(request)), None)
        if wire is not None and request.raw:
            self.problems += wire.problems(request.body)
        self.active += 1
        self.peak = max(self.peak, self.active)
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        try:
            return await self._send(self._next(request), wire, request, reader, writer)
        finally:
            self.active -= 1

    def _next(self, request: Captured) -> Reply:
        if request.method == "GET" and request.path.partition("?")[0].endswith("/models") and self._models:
            return Plain(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self._models]})
        script = self._replies.pop(0) if self._replies else self._always
        if script is None:
            return Failed(418, "the test server has no reply left")
        return script(request) if callable(script) else script

    async def _send(self, reply: Reply, wire: Wire | None, request: Captured, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match reply:
            case Silence():
                await reader.read()
                return False
            case Hangup(reset=reset):
                if reset:
                    _reset(writer)
                return False
            case Plain():
                return await _send_plain(reply, reader, writer)
            case Failed():
                body = wire.error(reply) if wire else {"error": reply.message}
                return await _send_plain(Plain(reply.status, body, reply.headers), reader, writer)
            case Answer():
                assert wire is not None, f"no wire takes {request.method} {request.path}"
                if reply.delivery.whole or not wire.streams(request):
                    return await _send_plain(Plain(200, wire.document(reply, request)), reader, writer)
                return await _Stream(reply.delivery, reader, writer).send(wire.events(reply, request), wire.end_mark())


async def _read(reader: asyncio.StreamReader) -> Captured:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Captured(method, path, headers, raw, time.monotonic())


async def _send_plain(reply: Plain, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    body, kind = reply.body, "text/plain"
    if isinstance(body, Mapping):
        body, kind = json.dumps(body), "application/json"
    if isinstance(body, str):
        body = body.encode()
    headers = {"content-type": kind, "content-length": str(len(body) + (1000 if reply.stall else 0)), **reply.headers}
    writer.write(_head(reply.status, headers) + body)
    await writer.drain()
    if reply.stall:
        await reader.read()
    return not reply.stall


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


REASONS = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests", 500: "Internal Server Error"}
NOISE = (b": keep-alive\n\n", b"id: 7\nretry: 3000\n\n", b"event: message\nsomething: else\n: within\n")


@dataclass
class _Stream:
    """One streamed answer on its way out."""

    how: Delivery
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _left: int | None = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.how.cut_after

    async def send(self, events: list[bytes], end_mark: bytes) -> bool:
        """Whether the connection may serve another request."""
        how = self.how
        if how.gate is not None:
            await asyncio.to_thread(how.gate.wait)
        await asyncio.sleep(how.first_delay_s)
        self.writer.write(_head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}))
        await self.writer.drain()
        for number, event in enumerate(self._spelled(events, end_mark)):
            if how.stall_after == number:
                await self.reader.read()
                return False
            if number and how.delay_s:
                await asyncio.sleep(how.delay_s)
            if not await self._write(event):
                return self._ended()
        if how.stall_after is not None:
            await self.reader.read()
            return False
        return self._ended() if how.cut_after is not None else self._end()

    def _spelled(self, events: list[bytes], end_mark: bytes) -> list[bytes]:
        events = [*events, end_mark] if end_mark and self.how.done else list(events)
        for at, event in sorted(self.how.insert.items()):
            events.insert(at, event)
        if self.how.noise:
            events = [NOISE[number % len(NOISE)] + event for number, event in enumerate(events)]
        if self.how.newline != b"\n":
            events = [event.replace(b"\n", self.how.newline) for event in events]
        if self.how.bom and events:
            events[0] = b"\xef\xbb\xbf" + events[0]
        return events

    async def _write(self, event: bytes) -> bool:
        """False where the cut came."""
        size = self.how.chunk or len(event)
        for at in range(0, len(event), size):
            piece = event[at : at + size]
            if self._left is not None:
                piece = piece[: self._left]
                self._left -= len(piece)
            if piece:
                self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if self._left == 0:
                await self.writer.drain()
                return False
            if self.how.chunk:
                await self.writer.drain()
        await self.writer.drain()
        return True

    def _end(self) -> bool:
        self.writer.write(b"0\r\n\r\n")
        return not self.how.hang_up

    def _ended(self) -> bool:
        if self.how.ending == "end":
            return self._end()
        if self.how.ending == "reset":
            _reset(self.writer)
        return False


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

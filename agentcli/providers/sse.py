"""Server-sent events from bytes, however the network cuts them: events are told apart here, their fields are read by httpx-sse.

No HTTP here, and no wire's meaning of an event.
Of the grammar's fields only `data` and `event` are kept: a model call is never resumed by `id`, and `retry` is for browsers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, cast

BOM = b"\xef\xbb\xbf"
LARGEST_EVENT = 32 * 1024 * 1024
"""Bytes. No service sends a tenth of it in one event; without a bound a hostile one could fill the memory."""


class SSEvent(NamedTuple):
    """One event. `data` is UTF-8 as it came; `whole`: the service answered with one JSON document instead of a stream."""

    data: bytes
    event: str = "message"
    whole: bool = False


class EventTooLarge(ValueError):
    """An event of more than `LARGEST_EVENT` bytes."""


class Decoder:
    """Bytes in, events out. Lines end at LF, CRLF or CR and nowhere else; a BOM at the start is skipped; events without data are dropped."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._after_lf = False
        self._started = False

    def feed(self, chunk: bytes) -> list[SSEvent]:
        """The events that this chunk completes.

        Raises:
            EventTooLarge: what is pending outgrew the bound.
        """
        chunk = self._with_lf_only(chunk)
        if not chunk:
            return []
        self._pending.append(chunk)
        ends = b"\n\n" in chunk or (self._after_lf and chunk.startswith(b"\n"))
        self._after_lf = chunk.endswith(b"\n")
        if not ends:
            self._size += len(chunk)
            if self._size > LARGEST_EVENT:
                raise EventTooLarge
            return []
        text, rest = b"".join(self._pending).rsplit(b"\n\n", 1)
        self._pending = [rest] if rest else []
        self._size, self._after_lf = len(rest), rest.endswith(b"\n")
        return self._events(text)

    def flush(self) -> list[SSEvent]:
        """The event that the end of the stream left without its empty line, if any."""
        text = b"".join(self._pending)
        self._pending = []
        return self._events(text) if text else []

    def _with_lf_only(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in chunk else chunk

    def _events(self, text: bytes) -> list[SSEvent]:
        if not self._started:
            self._started = True
            text = text.removeprefix(BOM)
        events: list[SSEvent] = []
        for block in text.split(b"\n\n"):
            event = _plain(block) or _parsed(block)
            if event.data:
                events.append(event)
        return events


class _Block:
    """One event's text in the place of a response: all that the library asks of one."""

    headers: ClassVar[dict[str, str]] = {"content-type": "text/event-stream"}

    def __init__(self, block: bytes) -> None:
        self._text = block.decode("utf-8", "replace") + "\n\n"

    def iter_text(self) -> Iterator[str]:
        yield self._text


def _plain(block: bytes) -> SSEvent | None:
    """An event of a single data line, or of its name and a single data line, as nearly every event of every wire is; None: it is another."""
    if block.startswith(b"data: "):
        return None if b"\n" in block else SSEvent(block[6:])
    head, mark, data = block.partition(b"\ndata: ")
    if not mark or b"\n" in data or b"\n" in head or not head.startswith(b"event: ") or len(head) == 7:
        return None
    return SSEvent(data, head[7:].decode("utf-8", "replace"))


def _parsed(block: bytes) -> SSEvent:
    """An event of any fields: the grammar is httpx-sse's."""
    from httpx_sse import EventSource

    for event in EventSource(cast(Any, _Block(block))).iter_sse():
        return SSEvent(event.data.encode("utf-8", "surrogatepass"), event.event or "message")
    return SSEvent(b"")

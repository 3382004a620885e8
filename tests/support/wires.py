"""The test server's wires by name, and what their streams are made of: for tests that run over all of them."""

from __future__ import annotations

import json
from typing import Any

from .server import WIRES, Answer, Captured, Wire

BY_NAME: dict[str, Wire] = {wire.name: wire for wire in WIRES}
NAMES = tuple(BY_NAME)
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1/models/m1:streamGenerateContent?alt=sse",
}
"""What is asked for, for the model m1 at a base URL that ends with /v1."""
KEY_HEADER = {"openai-chat": "authorization", "openai-responses": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}


def captured(wire: str, **body: Any) -> Captured:
    """A request for a stream, as this wire makes it."""
    body = {"model": "m1", "stream": True, "stream_options": {"include_usage": True}, **body}
    return Captured("POST", PATHS[wire], {}, json.dumps(body).encode(), 0)


def events_until(wire: str, answer: Answer, text: str) -> list[bytes]:
    """The answer's events as far as the one that brings `text`."""
    events = BY_NAME[wire].events(answer, captured(wire))
    last = next(number for number, event in enumerate(events) if text.encode() in event)
    return events[: last + 1]


def in_lines(events: list[bytes]) -> bytes:
    """The stream with each event's data in several lines, broken where JSON may be."""
    return b"\n".join(_in_lines(line) for line in b"".join(events).split(b"\n"))


def _in_lines(line: bytes) -> bytes:
    if not line.startswith(b"data: {"):
        return line
    text = json.dumps(json.loads(line[6:]), indent=1, ensure_ascii=False)
    return b"\n".join(b"data: " + part.encode() for part in text.split("\n"))


def interleaved(events: list[bytes]) -> bytes:
    """The stream with the events of its blocks (items, calls) taken in turn, as far as the wire parts them: never before their time."""
    blocks: dict[int, list[bytes]] = {}
    before: list[bytes] = []
    after: list[bytes] = []
    for event in events:
        number = _block(event)
        if number is not None:
            blocks.setdefault(number, []).append(event)
        else:
            (after if blocks else before).append(event)
    turns = max(map(len, blocks.values()), default=0)
    mixed = [pieces[turn] for turn in range(turns) for pieces in blocks.values() if turn < len(pieces)]
    return b"".join([*before, *mixed, *after])


def _block(event: bytes) -> int | None:
    """Which block an event is of; None: none, or a whole call."""
    data = json.loads(event.partition(b"data: ")[2])
    for choice in data.get("choices", ()):
        for call in choice["delta"].get("tool_calls", ()):
            return int(call["index"])
    number = data.get("index", data.get("output_index"))
    return None if number is None or "candidates" in data else int(number)

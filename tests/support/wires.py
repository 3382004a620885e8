"""The test server's wires by name, and where in an answer's bytes something is: for tests that run over all of them."""

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


def captured(wire: str, **body: Any) -> Captured:
    """A request for a stream, as this wire makes it."""
    body = {"model": "m1", "stream": True, "stream_options": {"include_usage": True}, **body}
    return Captured("POST", PATHS[wire], {}, json.dumps(body).encode(), 0)


def events_until(wire: str, answer: Answer, text: str) -> list[bytes]:
    """The answer's events as far as the one that brings `text`."""
    events = BY_NAME[wire].events(answer, captured(wire))
    last = next(number for number, event in enumerate(events) if text.encode() in event)
    return events[: last + 1]

"""The anthropic wire: `POST …/v1/messages`, streamed. Two pure functions, `to_wire` and `from_wire`, and the glue between them and HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, ClassVar

import msgspec
from msgspec import Struct, field

from agentcli.protocol.errors import Unavailable
from agentcli.protocol.messages import StopReason
from agentcli.protocol.models import ModelSpec, Usage
from agentcli.providers import answering
from agentcli.providers.answering import Answering, failed, finish, shown
from agentcli.providers.anthropic_request import WIRE, continued, to_wire
from agentcli.providers.base import Merge, ModelRequest, StreamPart, TextPart, ThinkingPart, UsagePart
from agentcli.providers.failures import not_this_wire
from agentcli.providers.over_http import OverHttp
from agentcli.providers.sse import SSEvent
from agentcli.providers.translate import sealed

VERSION = "2023-06-01"
BINDING_BETA = "thinking-binding-controls-2026-08-01"
"""Allows `thinking.block_binding`: https://platform.claude.com/docs/en/build-with-claude/preserved-thinking"""
MOST_PAUSES = 10
PAUSE = "pause_turn"

STOPS: dict[str, StopReason] = {
    "end_turn": "end", "stop_sequence": "end", PAUSE: "end",
    "tool_use": "tool_calls",
    "max_tokens": "length", "model_context_window_exceeded": "length",
    "refusal": "refusal",
}  # fmt: skip


# --- the wire's pieces ---


class OutputDetails(Struct):
    thinking_tokens: int | None = None


class Counts(Struct):
    """Tokens so far. `input_tokens` leaves out what was read from or written to a cache; an event may leave out what did not change."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class Block(Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class Delta(Struct):
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Message(Struct):
    model: str | None = None
    usage: Counts | None = None


class Event(Struct):
    """One event of a stream; or, of type `message`, a whole answer."""

    type: str = ""
    index: int | None = None
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Counts | None = None
    error: Any = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None


_EVENT = msgspec.json.Decoder(Event, strict=False)


class Open(Struct):
    """A block that is coming. `whole_input`: arguments that came with a call's first event; they count where no piece follows."""

    type: str
    signature: str = ""
    whole_input: str = ""


class MessageState(Answering):
    """What one stream has said so far. `model` is who reads its thinking again."""

    model: ModelSpec
    counts: dict[str, int] = field(default_factory=dict)
    before: Usage = field(default_factory=Usage)
    """What was used up to the last pause."""
    paused: bool = False
    blocks: dict[int, Open] = field(default_factory=dict)
    """Those that have begun and not ended, by their index: some services send several in turn."""


# --- answer to parts ---


def from_wire(event: Event, state: MessageState) -> list[StreamPart]:
    """The parts that one event brings; events of other types bring none.

    Raises:
        ProviderError: the event is an error.
    """
    parts: list[StreamPart] = []
    match event:
        case Event(type="message_start", message=Message(model=model, usage=usage)):
            state.serves(model, parts)
            _count(usage, state, parts)
        case Event(type="content_block_start", content_block=Block() as block):
            _start(event.index or 0, block, state, parts)
        case Event(type="content_block_delta", delta=Delta() as delta):
            _delta(event.index or 0, delta, state, parts)
        case Event(type="content_block_stop"):
            _stop(event.index or 0, state, parts)
        case Event(type="message_delta"):
            if event.delta and event.delta.stop_reason:
                _ended(event.delta.stop_reason, state)
            _count(event.usage, state, parts)
        case Event(type="message", content=list()):
            _whole(event, state, parts)
    return parts


def _start(index: int, block: Block, state: MessageState, parts: list[StreamPart]) -> None:
    state.blocks[index] = begun = Open(block.type)
    match block.type:
        case "text":
            if block.text:
                parts.append(TextPart(block.text))
        case "thinking":
            begun.signature = block.signature or ""
            if block.thinking:
                parts.append(ThinkingPart(block.thinking))
        case "redacted_thinking":
            parts.append(ThinkingPart("", sealed(state.model, block.data or ""), redacted=True))
        case "tool_use":
            begun.whole_input = msgspec.json.encode(block.input).decode() if block.input else ""
            parts.extend(state.calls.feed(index, block.id or "", block.name or "", ""))


def _delta(index: int, delta: Delta, state: MessageState, parts: list[StreamPart]) -> None:
    block = state.blocks.setdefault(index, Open(""))
    if delta.text:
        parts.append(TextPart(delta.text))
    if delta.thinking:
        parts.append(ThinkingPart(delta.thinking))
    if delta.signature:
        block.signature += delta.signature
    if delta.partial_json and block.type == "tool_use":
        block.whole_input = ""
        parts.extend(state.calls.feed(index, "", "", delta.partial_json))


def _stop(index: int, state: MessageState, parts: list[StreamPart]) -> None:
    """A signature counts only once its block is whole."""
    block = state.blocks.pop(index, Open(""))
    if block.signature:
        parts.append(ThinkingPart("", sealed(state.model, block.signature)))
    if block.whole_input:
        parts.extend(state.calls.feed(index, "", "", block.whole_input))


def _whole(event: Event, state: MessageState, parts: list[StreamPart]) -> None:
    state.serves(event.model, parts)
    for index, block in enumerate(event.content or ()):
        _start(index, block, state, parts)
        _stop(index, state, parts)
    if event.stop_reason:
        _ended(event.stop_reason, state)
    _count(event.usage, state, parts)


def _ended(word: str, state: MessageState) -> None:
    state.ended(word, STOPS)
    state.paused = word == PAUSE


def _count(counts: Counts | None, state: MessageState, parts: list[StreamPart]) -> None:
    if counts is None:
        return
    thinking = counts.output_tokens_details.thinking_tokens if counts.output_tokens_details else None
    said = {
        "input": counts.input_tokens, "output": counts.output_tokens, "reasoning": thinking,
        "cache_read": counts.cache_read_input_tokens, "cache_write": counts.cache_creation_input_tokens,
    }  # fmt: skip
    state.counts |= {name: tokens for name, tokens in said.items() if tokens is not None}
    parts.append(UsagePart(state.before + Usage(**state.counts)))


def resume(state: MessageState) -> None:
    """After a pause: the next request's answer belongs to this one."""
    state.before = state.before + Usage(**state.counts)
    state.counts, state.blocks, state.stop, state.paused = {}, {}, None, False


# --- HTTP to events ---


def decoded(event: SSEvent, state: MessageState) -> Event:
    """The wire's event in an event.

    Raises:
        InvalidResponse: it is none.
        ProviderError: it is an error, in whatever form.
    """
    found = answering.decoded(_EVENT, event, state.source, "event of a message")
    if found.error or found.type == "error":
        raise failed(event, state.source)
    if event.whole and found.content is None:
        raise not_this_wire(state.source, f"with JSON that is no message: {shown(event, state.source)}")
    return found


class Anthropic(OverHttp[MessageState]):
    """A service that speaks Messages."""

    key_header: ClassVar[tuple[str, str]] = ("x-api-key", "")

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        """The answer's parts, the `StopPart` last; an answer that the service pauses is gone on with.

        Raises:
            ProviderError: nothing else.
        """
        state, body = self.begin(request), self.body(request)
        for _ in range(MOST_PAUSES + 1):
            said: list[StreamPart] = []
            async with aclosing(self.exchange(request, body, state)) as parts:
                async for part in parts:
                    said.append(part)
                    yield part
            if not state.paused:
                break
            body = continued(body, _merged(said), request, self.quirks(request))
            resume(state)
        else:
            name = self._source.provider
            text = f"{name}: the service paused its answer more than {MOST_PAUSES} times."
            raise Unavailable(text, provider=name, retryable=False, hint="Ask for less at once, or use another model.")
        for part in finish(state):
            yield part

    def begin(self, request: ModelRequest) -> MessageState:
        return MessageState(request.model, source=self._source)

    def body(self, request: ModelRequest) -> dict[str, Any]:
        return to_wire(request, self.quirks(request))

    def url(self, request: ModelRequest) -> str:
        return self._at("/messages")

    def models_url(self) -> str:
        return self._at("/models", "limit=1000")

    def parts(self, event: SSEvent, state: MessageState) -> list[StreamPart]:
        return from_wire(decoded(event, state), state)

    def headers(self, body: dict[str, Any] | None) -> dict[str, str]:
        headers = {"anthropic-version": VERSION, **super().headers(body)}
        if body and "block_binding" in body.get("thinking", ()):
            declared = headers.get("anthropic-beta", "")
            headers["anthropic-beta"] = f"{declared},{BINDING_BETA}" if declared else BINDING_BETA
        return headers

    def _at(self, path: str, query: str = "") -> str:
        """The address with and without `/v1` at its end means the same."""
        return self.at(f"/v1{path}", "/messages", "/v1", query=query)


def _merged(parts: list[StreamPart]) -> Any:
    merge = Merge(WIRE)
    for part in parts:
        merge.feed(part)
    return merge.message("end")

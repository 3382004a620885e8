"""The openai-chat wire: `POST …/chat/completions`, streamed. Two pure functions, `to_wire` and `from_wire`, and the glue between them and HTTP.

How services that call themselves compatible differ is data: `Quirks` of the provider or the model.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from agentcli.protocol.messages import StopReason
from agentcli.protocol.models import Quirks, Usage
from agentcli.providers import answering
from agentcli.providers.answering import Answering, finish, shown
from agentcli.providers.base import ModelRequest, StreamPart, TextPart, ThinkingPart, UsagePart
from agentcli.providers.chat_request import to_wire
from agentcli.providers.failures import broke_off, from_object, not_this_wire
from agentcli.providers.over_http import OverHttp
from agentcli.providers.sse import SSEvent

__all__ = ["ChatState", "Chunk", "OpenAIChat", "decoded", "finish", "from_wire"]

FINISH: dict[str, StopReason] = {
    "stop": "end", "end_turn": "end", "eos": "end", "stop_sequence": "end",
    "tool_calls": "tool_calls", "function_call": "tool_calls", "tool_use": "tool_calls",
    "length": "length", "max_tokens": "length", "model_length": "length",
    "content_filter": "content_filter", "safety": "content_filter", "sensitive": "content_filter", "recitation": "content_filter",
    "refusal": "refusal",
}  # fmt: skip
FAILED = frozenset({"error", "network_error", "insufficient_system_resource", "abort", "aborted"})
"""Finish reasons by which a service says that it could not finish."""


# --- the wire's pieces ---


class Function(Struct):
    name: str | None = None
    arguments: Any = None


class CallDelta(Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    extra_content: Any = None
    """What the service wants back with the call: Gemini's thought signature."""


class TokenDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class TokenCounts(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None
    cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None


class Choice(Struct):
    """`delta` stays a plain mapping: where it carries thinking differs from service to service."""

    index: int | None = None
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: str | None = None
    usage: TokenCounts | None = None


class Chunk(Struct):
    """One event of a stream; or, with `message` in its choice, a whole completion."""

    model: str | None = None
    choices: list[Choice] | None = None
    usage: TokenCounts | None = None
    error: Any = None


_CHUNK = msgspec.json.Decoder(Chunk, strict=False)


class ChatState(Answering):
    """What one stream has said so far."""

    quirks: Quirks = field(default_factory=Quirks)


# --- answer to parts ---


def from_wire(chunk: Chunk, state: ChatState) -> list[StreamPart]:
    """The parts that one chunk brings.

    Raises:
        ProviderError: the chunk is an error object.
    """
    if chunk.error:
        raise from_object(state.source, chunk.error)
    parts: list[StreamPart] = []
    state.serves(chunk.model, parts)
    usage = chunk.usage
    for choice in chunk.choices or ():
        if choice.index:
            continue  # one answer was asked for
        if delta := choice.delta or choice.message:
            _delta(delta, state, parts)
        if choice.finish_reason:
            _finish_reason(choice.finish_reason, state)
        usage = usage or choice.usage
    if usage is not None:
        parts.append(UsagePart(_usage(usage)))
    return parts


def _delta(delta: dict[str, Any], state: ChatState, parts: list[StreamPart]) -> None:
    for name in state.quirks.reasoning_fields:
        if isinstance(thinking := delta.get(name), str) and thinking:
            parts.append(ThinkingPart(thinking))
            break
    content = delta.get("content")
    if isinstance(content, str):
        if content:
            parts.append(TextPart(content))
    elif isinstance(content, list):
        parts.extend(_listed(content))
    if isinstance(refusal := delta.get("refusal"), str) and refusal:
        state.refused = True
        parts.append(TextPart(refusal))
    if calls := delta.get("tool_calls"):
        for piece in _converted(calls, list[CallDelta], state):
            _call_piece(piece, state, parts)
    if function := delta.get("function_call"):
        _call_piece(CallDelta(0, function=_converted(function, Function, state)), state, parts)


def _listed(content: list[Any]) -> list[StreamPart]:
    """Content as typed blocks, as Mistral's reasoning models send it."""
    parts: list[StreamPart] = []
    for block in content:
        match block:
            case {"type": "text", "text": str(text)} if text:
                parts.append(TextPart(text))
            case {"type": "thinking", "thinking": str(text)} if text:
                parts.append(ThinkingPart(text))
            case {"type": "thinking", "thinking": list(inner)}:
                parts.extend(ThinkingPart(part.text) for part in _listed(inner) if isinstance(part, TextPart))
            case _:
                pass
    return parts


def _call_piece(piece: CallDelta, state: ChatState, parts: list[StreamPart]) -> None:
    function = piece.function or Function()
    arguments = function.arguments
    if arguments is None:
        arguments = ""
    elif not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    opaque = msgspec.json.encode(piece.extra_content).decode() if piece.extra_content else ""
    parts.extend(state.calls.feed(piece.index, piece.id or "", function.name or "", arguments, opaque))


def _converted(value: Any, kind: Any, state: ChatState) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except ValueError as error:
        raise not_this_wire(state.source, f"with a tool call of an unknown form ({error})") from error


def _finish_reason(word: str, state: ChatState) -> None:
    reason = word.lower()
    if reason in FAILED:
        state.failure = broke_off(state.source, reason)
    else:
        state.ended(reason if reason in FINISH else word, FINISH)


def _usage(counts: TokenCounts) -> Usage:
    """Counts as ours: cached tokens are no `input`, reasoning is a part of `output` (some services count it beside)."""
    prompt, output = counts.prompt_tokens or 0, counts.completion_tokens or 0
    sent, got = counts.prompt_tokens_details or TokenDetails(), counts.completion_tokens_details or TokenDetails()
    read = sent.cached_tokens or counts.prompt_cache_hit_tokens or counts.cached_tokens or 0
    write, reasoning = sent.cache_write_tokens or 0, got.reasoning_tokens or 0
    if reasoning and counts.total_tokens == prompt + output + reasoning:
        output += reasoning
    rest = prompt - read - write
    return Usage(rest if rest >= 0 else prompt, output, read, write, reasoning)


# --- HTTP to chunks ---


def decoded(event: SSEvent, state: ChatState) -> Chunk:
    """The chunk in an event.

    Raises:
        InvalidResponse: it is none.
        ProviderError: it is an error in a form of its own.
    """
    chunk = answering.decoded(_CHUNK, event, state.source, "chunk of a chat completion")
    if event.whole and not chunk.choices and not chunk.error:
        raise not_this_wire(state.source, f"with JSON that is no chat completion: {shown(event, state.source)}")
    return chunk


class OpenAIChat(OverHttp[ChatState]):
    """A service that speaks chat completions."""

    def begin(self, request: ModelRequest) -> ChatState:
        return ChatState(self.quirks(request), source=self._source)

    def body(self, request: ModelRequest) -> dict[str, Any]:
        return to_wire(request, self.quirks(request))

    def url(self, request: ModelRequest) -> str:
        return self.at("/chat/completions", "/chat/completions")

    def models_url(self) -> str:
        return self.at("/models", "/chat/completions")

    def parts(self, event: SSEvent, state: ChatState) -> list[StreamPart]:
        return from_wire(decoded(event, state), state)

"""The openai-chat wire: `POST …/chat/completions`, streamed. Two pure functions, `to_wire` and `from_wire`, and the glue between them and HTTP.

How services that call themselves compatible differ is data: `Quirks` of the provider or the model.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from agentcli.protocol.errors import InvalidResponse, StreamBroken, Unavailable
from agentcli.protocol.messages import StopReason
from agentcli.protocol.models import ProviderSpec, Quirks, Usage
from agentcli.protocol.text import utf8
from agentcli.providers.base import ModelRequest, ServedPart, StopPart, StreamPart, TextPart, ThinkingPart, UsagePart
from agentcli.providers.call_pieces import CallPieces
from agentcli.providers.chat_request import encode, to_wire
from agentcli.providers.clients import Clients
from agentcli.providers.failures import Source, from_object, not_this_wire
from agentcli.providers.http import Outgoing, broken, fetch, host_of, stream_sse
from agentcli.providers.presets import key_hint
from agentcli.providers.sse import SSEvent
from agentcli.providers.watch import Limits

AFTER_STOP_S = 2.0
"""An answer that gave its finish reason is whole; usage is awaited this long, for some services then leave the connection open."""

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


class _Ids(Struct):
    data: list[dict[str, Any]] | None = None
    models: list[dict[str, Any]] | None = None


_CHUNK = msgspec.json.Decoder(Chunk, strict=False)


@dataclass
class ChatState:
    """What one stream has said so far."""

    source: Source
    quirks: Quirks
    calls: CallPieces = field(default_factory=CallPieces)
    served: str = ""
    stop: StopReason | None = None
    note: str = ""
    refused: bool = False


# --- answer to parts ---


def from_wire(chunk: Chunk, state: ChatState) -> list[StreamPart]:
    """The parts that one chunk brings.

    Raises:
        ProviderError: the chunk is an error object, or says that the service could not finish.
    """
    if chunk.error:
        raise from_object(state.source, chunk.error)
    parts: list[StreamPart] = []
    if chunk.model and not state.served:
        state.served = chunk.model
        parts.append(ServedPart(chunk.model))
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


def finish(state: ChatState) -> list[StreamPart]:
    """The last part of an answer that is whole.

    Raises:
        StreamBroken: it gave no finish reason.
        InvalidResponse: a tool call was never named.
    """
    if state.stop is None:
        raise broken(state.source)
    if state.calls.nameless:
        raise not_this_wire(state.source, "with a tool call that has no name", retryable=True)
    reason = state.stop
    if state.refused and reason in ("end", "content_filter"):
        reason = "refusal"
    elif reason in ("end", "tool_calls"):
        reason = "tool_calls" if state.calls else "end"
    return [StopPart(reason, state.note)]


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
        raise StreamBroken(
            f"{state.source.provider}: the service broke off the answer ({reason}).", provider=state.source.provider, hint="Try again."
        )
    state.stop = FINISH.get(reason, "end")
    state.note = "" if reason in FINISH else state.source.tidy(word)


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
    try:
        chunk = _CHUNK.decode(event.data)
    except (ValueError, RecursionError):
        chunk = _decoded_again(event, state)
    if event.event == "error" and not chunk.error:
        raise from_object(state.source, json.loads(event.data.decode("utf-8", "replace")))
    if event.whole and not chunk.choices and not chunk.error:
        raise not_this_wire(state.source, f"with JSON that is no chat completion: {_shown(event, state)}")
    return chunk


def _decoded_again(event: SSEvent, state: ChatState) -> Chunk:
    """Broken UTF-8 and halves of surrogate pairs are no reason to lose an answer: they become U+FFFD."""
    try:
        text = json.dumps(json.loads(event.data.decode("utf-8", "replace")), ensure_ascii=False)
        return _CHUNK.decode(utf8(text))
    except (ValueError, RecursionError):
        raise not_this_wire(state.source, f"with data that is no chunk of a chat completion: {_shown(event, state)}") from None


def _shown(event: SSEvent, state: ChatState) -> str:
    return state.source.tidy(event.data.decode("utf-8", "replace"))


class OpenAIChat:
    """A service that speaks chat completions. `clients` are shared with other providers; without them it makes and closes its own."""

    def __init__(self, spec: ProviderSpec, clients: Clients | None = None) -> None:
        """Raises ConfigError where the provider's address is missing or none."""
        self.spec = spec
        self._clients = clients or Clients()
        self._owns_clients = clients is None
        key = self._key()
        self._source = Source(spec.name, host_of(spec), (key, *spec.headers.values()), key_hint(spec.name, sent=bool(key)))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        """The answer's parts, the `StopPart` last.

        Raises:
            ProviderError: nothing else.
        """
        quirks = request.model.quirks or self.spec.quirks
        state = ChatState(self._source, quirks)
        limits = Limits(request.first_byte_s, request.idle_s, request.total_s)
        call = Outgoing(self._source, self._url("/chat/completions"), self._headers(), encode(to_wire(request, quirks)), limits)
        try:
            async with aclosing(stream_sse(self._clients, call)) as batches:
                async for batch in batches:
                    for event in batch:
                        for part in from_wire(decoded(event, state), state):
                            yield part
                    if state.stop is not None:
                        limits.idle_s = AFTER_STOP_S
        except (Unavailable, StreamBroken, InvalidResponse):
            if state.stop is None:
                raise
        for part in finish(state):
            yield part

    async def list_models(self) -> tuple[str, ...]:
        """The ids that the service says it serves, in its order.

        Raises:
            ProviderError: nothing else.
        """
        body = await fetch(self._clients, Outgoing(self._source, self._url("/models"), self._headers(), None, Limits(30.0, 30.0, 60.0)))
        try:
            found = msgspec.json.decode(body, type=_Ids)
        except ValueError:
            raise not_this_wire(self._source, "with no list of models") from None
        names = (entry.get("id") or entry.get("name") for entry in found.data or found.models or ())
        return tuple(name for name in names if isinstance(name, str))

    async def aclose(self) -> None:
        if self._owns_clients:
            await self._clients.aclose()

    def _key(self) -> str:
        return self.spec.api_key.reveal().strip() if self.spec.api_key else ""

    def _headers(self) -> dict[str, str]:
        key = self._key()
        own = {"authorization": f"Bearer {key}"} if key else {}
        return {**own, **{name.lower(): value for name, value in self.spec.headers.items()}}

    def _url(self, path: str) -> str:
        """The base URL and a path, the base's own query kept (`?api-version=…`)."""
        base, mark, query = self.spec.base_url.partition("?")
        return f"{base.rstrip('/').removesuffix('/chat/completions')}{path}{mark}{query}"

"""The gemini wire: `POST …/models/ID:streamGenerateContent`. Two pure functions, `to_wire` and `from_wire`, and the glue between them and HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from agentcli.protocol.messages import StopReason
from agentcli.protocol.models import ModelSpec, Usage
from agentcli.providers import answering
from agentcli.providers.answering import Answering, finish, shown
from agentcli.providers.base import ModelRequest, StreamPart, TextPart, ThinkingPart, UsagePart
from agentcli.providers.failures import broke_off, from_object, not_this_wire
from agentcli.providers.gemini_request import to_wire
from agentcli.providers.over_http import OverHttp
from agentcli.providers.sse import SSEvent
from agentcli.providers.translate import sealed

FINISH: dict[str, StopReason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter", "RECITATION": "content_filter", "BLOCKLIST": "content_filter", "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter", "LANGUAGE": "content_filter", "IMAGE_SAFETY": "content_filter", "IMAGE_RECITATION": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
}  # fmt: skip
FAILED = frozenset({
    "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "OTHER",
})  # fmt: skip
"""Finish reasons by which the service says that it could not finish: the next try may."""
UNSAID = "FINISH_REASON_UNSPECIFIED"


# --- the wire's pieces ---


class FunctionCall(Struct):
    id: str | None = None
    name: str | None = None
    args: Any = None


class Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None


class Content(Struct):
    parts: list[Part] | None = None


class Candidate(Struct, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None


class Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class Counts(Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None


class Chunk(Struct, rename="camel"):
    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Counts | None = None
    model_version: str | None = None
    error: Any = None


_CHUNK: msgspec.json.Decoder[Chunk | list[Chunk]] = msgspec.json.Decoder(Chunk | list[Chunk], strict=False)


class GeminiState(Answering):
    """What one stream has said so far. `model` is who reads its signatures again."""

    model: ModelSpec
    seen: int = 0
    """How many calls came. Each comes whole, and its id need not be there or be new."""
    used: Usage | None = None


# --- answer to parts ---


def from_wire(chunk: Chunk, state: GeminiState) -> list[StreamPart]:
    """The parts that one chunk brings.

    Raises:
        ProviderError: the chunk is an error object.
    """
    if chunk.error:
        raise from_object(state.source, chunk.error)
    parts: list[StreamPart] = []
    state.serves(chunk.model_version, parts)
    if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
        state.stop = "content_filter"
    for candidate in chunk.candidates or ():
        if candidate.index:
            continue  # one answer was asked for
        for part in (candidate.content.parts if candidate.content else None) or ():
            _part(part, state, parts)
        if candidate.finish_reason and candidate.finish_reason != UNSAID:
            _finish_reason(candidate.finish_reason, state)
    if chunk.usage_metadata is not None and (used := _usage(chunk.usage_metadata)) != state.used:
        state.used = used
        parts.append(UsagePart(used))
    return parts


def _part(part: Part, state: GeminiState, parts: list[StreamPart]) -> None:
    signature = sealed(state.model, part.thought_signature) if part.thought_signature else ""
    if part.function_call is not None:
        call = part.function_call
        arguments = msgspec.json.encode(call.args or {}).decode()
        parts.extend(state.calls.feed(state.seen, call.id or "", call.name or "", arguments, signature))
        state.seen += 1
        return
    if part.text:
        parts.append(ThinkingPart(part.text) if part.thought else TextPart(part.text))
    if signature:
        parts.append(ThinkingPart("", signature))


def _finish_reason(word: str, state: GeminiState) -> None:
    if word in FAILED:
        state.failure = broke_off(state.source, word)
    else:
        state.ended(word, FINISH)


def _usage(counts: Counts) -> Usage:
    """Counts as ours: cached tokens are no `input`; thoughts, which are counted beside the answer, are a part of `output`."""
    prompt = (counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0)
    read, thoughts = counts.cached_content_token_count or 0, counts.thoughts_token_count or 0
    return Usage(max(prompt - read, 0), (counts.candidates_token_count or 0) + thoughts, read, 0, thoughts)


# --- HTTP to chunks ---


def decoded(event: SSEvent, state: GeminiState) -> list[Chunk]:
    """The chunks in an event: one, or all of them where the service answered with a list instead of a stream.

    Raises:
        InvalidResponse: there is none.
        ProviderError: it is an error, in whatever form.
    """
    found = answering.decoded(_CHUNK, event, state.source, "chunk of generated content")
    chunks = found if isinstance(found, list) else [found]
    if event.whole and not any(chunk.candidates or chunk.prompt_feedback or chunk.error for chunk in chunks):
        raise not_this_wire(state.source, f"with JSON that is no generated content: {shown(event, state.source)}")
    return chunks


class Gemini(OverHttp[GeminiState]):
    """A service that speaks generateContent. The key goes in a header and never into the URL, which proxies log."""

    key_header: ClassVar[tuple[str, str]] = ("x-goog-api-key", "")

    def begin(self, request: ModelRequest) -> GeminiState:
        return GeminiState(request.model, source=self._source)

    def body(self, request: ModelRequest) -> dict[str, Any]:
        return to_wire(request, self.quirks(request))

    def url(self, request: ModelRequest) -> str:
        model = request.model.sent_as or request.model.id
        path = quote(model if "/" in model else f"models/{model}")
        return self.at(f"/{path}:streamGenerateContent", "/models", query="alt=sse")

    def models_url(self) -> str:
        return self.at("/models", "/models", query="pageSize=1000")

    def parts(self, event: SSEvent, state: GeminiState) -> list[StreamPart]:
        return [part for chunk in decoded(event, state) for part in from_wire(chunk, state)]


__all__ = ["Chunk", "Gemini", "GeminiState", "decoded", "finish", "from_wire"]

"""The openai-responses wire: `POST …/responses`, streamed and not stored. Two pure functions, `to_wire` and `from_wire`, and the glue."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Struct, field

from agentcli.protocol.errors import RequestRejected
from agentcli.protocol.messages import StopReason
from agentcli.protocol.models import ModelSpec, ProviderSpec, Usage
from agentcli.providers import answering
from agentcli.providers.answering import Answering, failed, finish, shown
from agentcli.providers.base import ModelRequest, StreamPart, TextPart, ThinkingPart, UsagePart
from agentcli.providers.clients import Clients
from agentcli.providers.failures import broke_off, broken, from_object, not_this_wire
from agentcli.providers.over_http import OverHttp
from agentcli.providers.responses_request import to_wire, without_summary
from agentcli.providers.sse import SSEvent
from agentcli.providers.translate import sealed

UNVERIFIED = r"verified to generate reasoning summaries"
"""OpenAI refuses summaries of the reasoning to organisations that it has not verified, and nothing else."""
INCOMPLETE: dict[str, StopReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
ENDINGS = {f"response.{status}": status for status in ("completed", "incomplete", "failed", "cancelled")} | {"response.done": "completed"}
"""Events that end an answer, and what they say of it. The status in the response itself may say worse, not better."""
UNDER_WAY = ("queued", "in_progress")


# --- the wire's pieces ---


class Details(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Counts(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None


class Content(Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class Item(Struct):
    """A piece of an answer: a message, a call, a piece of reasoning."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None


class Reason(Struct):
    reason: str | None = None


class Response(Struct):
    model: str | None = None
    status: str | None = None
    output: list[Item] | None = None
    usage: Counts | None = None
    error: Any = None
    incomplete_details: Reason | None = None


class Event(Struct):
    """One event of a stream; or, with `output`, a whole response."""

    type: str = ""
    output_index: int | None = None
    item_id: str | None = None
    item: Item | None = None
    delta: Any = None
    response: Response | None = None
    error: Any = None
    output: list[Item] | None = None
    status: str | None = None


_EVENT = msgspec.json.Decoder(Event, strict=False)
_RESPONSE = msgspec.json.Decoder(Response, strict=False)


class ResponseState(Answering):
    """What one stream has said so far, by the place of each item in the output. `model` is who reads its reasoning again."""

    model: ModelSpec
    most: int | None = None
    """The bound of the answer. llama.cpp calls an answer that reached it complete."""
    said: dict[int, str] = field(default_factory=dict)
    """Text, summary or arguments of each item, as far as its pieces came."""
    places: dict[str, int] = field(default_factory=dict)
    """The place of each item by its id, for events that do not tell it."""
    last: int = -1
    """The item that text came from last."""


# --- answer to parts ---


def from_wire(event: Event, state: ResponseState) -> list[StreamPart]:
    """The parts that one event brings; events of other types bring none."""
    parts: list[StreamPart] = []
    place, delta = _place(event, state), event.delta if isinstance(event.delta, str) else ""
    match event.type:
        case "response.created" | "response.in_progress" if event.response is not None:
            state.serves(event.response.model, parts)
        case "response.output_item.added" if event.item is not None:
            _added(place, event.item, state, parts)
        case "response.output_text.delta" if delta:
            _text(place, delta, state, parts)
        case "response.refusal.delta" if delta:
            state.refused = True
            _text(place, delta, state, parts)
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" if delta:
            _think(place, delta, state, parts)
        case "response.reasoning_summary_part.added" if state.said.get(place):
            _think(place, "\n\n", state, parts)
        case "response.function_call_arguments.delta" if delta:
            _arguments(place, delta, state, parts)
        case "response.output_item.done" if event.item is not None:
            _done(place, event.item, state, parts)
        case ending if ending in ENDINGS and event.response is not None:
            _ended(ENDINGS[ending], event.response, state, parts)
    return parts


def _place(event: Event, state: ResponseState) -> int:
    item = event.item_id or (event.item.id if event.item else "") or ""
    if event.output_index is None:
        return state.places.setdefault(item, len(state.places)) if item else 0
    state.places.setdefault(item, event.output_index)
    return event.output_index


def _added(place: int, item: Item, state: ResponseState, parts: list[StreamPart]) -> None:
    if item.type == "function_call":
        parts.extend(state.calls.feed(place, item.call_id or item.id or "", item.name or "", ""))


def _text(place: int, delta: str, state: ResponseState, parts: list[StreamPart]) -> None:
    if state.last not in (-1, place):
        parts.append(TextPart("\n\n"))
    state.last = place
    _keep(place, delta, state)
    parts.append(TextPart(delta))


def _think(place: int, delta: str, state: ResponseState, parts: list[StreamPart]) -> None:
    state.last = -1
    _keep(place, delta, state)
    parts.append(ThinkingPart(delta))


def _arguments(place: int, delta: str, state: ResponseState, parts: list[StreamPart]) -> None:
    _keep(place, delta, state)
    parts.extend(state.calls.feed(place, "", "", delta))


def _keep(place: int, delta: str, state: ResponseState) -> None:
    state.said[place] = state.said.get(place, "") + delta


def _done(place: int, item: Item, state: ResponseState, parts: list[StreamPart]) -> None:
    """An item is whole: what its pieces left out comes now."""
    match item.type:
        case "function_call":
            _added(place, item, state, parts)
            arguments = item.arguments if isinstance(item.arguments, str) else msgspec.json.encode(item.arguments).decode()
            if item.arguments is not None and (rest := _rest(place, arguments, state)):
                _arguments(place, rest, state, parts)
        case "message":
            for content in item.content or ():
                state.refused = state.refused or bool(content.refusal)
            text = "".join(content.text or content.refusal or "" for content in item.content or ())
            if rest := _rest(place, text, state):
                _text(place, rest, state, parts)
        case "reasoning":
            _reasoned(place, item, state, parts)


def _rest(place: int, whole: str, state: ResponseState) -> str:
    said = state.said.get(place, "")
    return whole[len(said) :] if whole.startswith(said) else ""


def _reasoned(place: int, item: Item, state: ResponseState, parts: list[StreamPart]) -> None:
    """Reasoning goes back as its whole item, which only with its encrypted content means anything."""
    if not state.said.get(place):
        text = "\n\n".join(content.text for content in (item.summary or item.content or ()) if content.text)
        if text:
            _think(place, text, state, parts)
    if item.encrypted_content:
        summary = [{"type": "summary_text", "text": content.text} for content in item.summary or () if content.text is not None]
        kept = {"type": "reasoning", "id": item.id, "summary": summary, "encrypted_content": item.encrypted_content}
        body = msgspec.json.encode({key: value for key, value in kept.items() if value is not None}).decode()
        parts.append(ThinkingPart("", sealed(state.model, body)))
        state.last = -1


def _ended(status: str, response: Response, state: ResponseState, parts: list[StreamPart]) -> None:
    state.serves(response.model, parts)
    if not state.said and not state.calls:  # no pieces came
        for place, item in enumerate(response.output or ()):
            _done(place, item, state, parts)
    if response.usage is not None:
        parts.append(UsagePart(_usage(response.usage)))
    match said := status if response.status in (None, "completed", *UNDER_WAY) else response.status:
        case "failed":
            state.failure = from_object(state.source, response.error or "the response failed")
        case "incomplete":
            reason = response.incomplete_details.reason if response.incomplete_details else None
            state.ended(reason or "incomplete", INCOMPLETE)
            state.stop = INCOMPLETE.get(reason or "", "length")
        case "completed":
            full = state.most is not None and response.usage is not None and (response.usage.output_tokens or 0) >= state.most
            state.stop = "length" if full else "end"
        case _:
            state.failure = broke_off(state.source, said)


def _usage(counts: Counts) -> Usage:
    """Counts as ours: cached tokens are no `input`, reasoning is a part of `output`."""
    sent, got = counts.input_tokens_details or Details(), counts.output_tokens_details or Details()
    prompt, read, write = counts.input_tokens or 0, sent.cached_tokens or 0, sent.cache_write_tokens or 0
    rest = prompt - read - write
    return Usage(rest if rest >= 0 else prompt, counts.output_tokens or 0, read, write, got.reasoning_tokens or 0)


# --- HTTP to events ---


def decoded(event: SSEvent, state: ResponseState) -> Event:
    """The wire's event in an event; a whole response is the event that ends one.

    Raises:
        InvalidResponse: it is none.
        ProviderError: it is an error, in whatever form.
    """
    found = answering.decoded(_EVENT, event, state.source, "event of a response")
    if found.output is None and (found.error or found.type == "error"):
        raise failed(event, state.source)
    if not event.whole:
        return found
    if found.output is None:
        raise not_this_wire(state.source, f"with JSON that is no response: {shown(event, state.source)}")
    whole = answering.decoded(_RESPONSE, event, state.source, "response")
    if whole.status in UNDER_WAY:
        raise broken(state.source)
    return Event("response.completed", response=whole)


class OpenAIResponses(OverHttp[ResponseState]):
    """A service that speaks Responses."""

    def __init__(self, spec: ProviderSpec, clients: Clients | None = None) -> None:
        super().__init__(spec, clients)
        self._summaries = True

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        """The answer's parts, the `StopPart` last. Where the service refuses summaries to this account, it is asked once more without, and
        from then on never again.

        Raises:
            ProviderError: nothing else.
        """
        try:
            async with aclosing(super().stream(request)) as parts:
                async for part in parts:
                    yield part
            return
        except RequestRejected as error:
            if not self._summaries or not re.search(UNVERIFIED, error.message):
                raise
            self._summaries = False
        async with aclosing(super().stream(request)) as parts:
            async for part in parts:
                yield part

    def begin(self, request: ModelRequest) -> ResponseState:
        return ResponseState(request.model, request.max_tokens, source=self._source)

    def body(self, request: ModelRequest) -> dict[str, Any]:
        body = to_wire(request, self.quirks(request))
        return body if self._summaries else without_summary(body)

    def url(self, request: ModelRequest) -> str:
        return self.at("/responses", "/responses")

    def models_url(self) -> str:
        return self.at("/models", "/responses")

    def parts(self, event: SSEvent, state: ResponseState) -> list[StreamPart]:
        return from_wire(decoded(event, state), state)


__all__ = ["Event", "OpenAIResponses", "ResponseState", "decoded", "finish", "from_wire"]

"""The one verb of every provider, what it is asked and what it streams back. No HTTP, no wire here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

from msgspec import Struct

from agentcli.protocol.messages import AssistantMessage, Message, StopReason, Text, Thinking, ToolCall
from agentcli.protocol.models import ModelSpec, Usage


class ToolSpec(Struct, frozen=True):
    """A tool as a model is told of it."""

    name: str
    description: str
    parameters: dict[str, object]


class ModelRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model call. `effort` is one of `model.effort` or ""; `max_tokens` bounds the answer; `schema` constrains it to a JSON schema.

    `first_byte_s`, `idle_s` and `total_s` are limits in seconds: to the first part, between parts, of the whole call. `agent_id` says who asks;
    it is for scripts of the scripted provider and is never sent.
    """

    model: ModelSpec
    messages: tuple[Message, ...]
    system: str = ""
    tools: tuple[ToolSpec, ...] = ()
    effort: str = ""
    max_tokens: int | None = None
    schema: dict[str, object] | None = None
    first_byte_s: float = 300.0
    idle_s: float = 300.0
    total_s: float = 1800.0
    agent_id: str = ""


class TextPart(Struct, frozen=True):
    text: str


class ThinkingPart(Struct, frozen=True, omit_defaults=True):
    """A piece of reasoning; `opaque` (a signature, an encrypted item) belongs to the block it ends."""

    text: str
    opaque: str = ""
    redacted: bool = False


class CallPart(Struct, frozen=True, omit_defaults=True):
    """A piece of the tool call at `index`; `id` and `name` come with its first piece."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    opaque: str = ""


class ServedPart(Struct, frozen=True):
    """The model that the service names in its answer."""

    model: str


class UsagePart(Struct, frozen=True):
    """Tokens so far, whole (not to be added up): the last one counts."""

    usage: Usage


class StopPart(Struct, frozen=True, omit_defaults=True):
    """The answer is whole. A stream that ends without one was cut; the provider then raises `StreamBroken`.

    `note` is the service's own word where it is none that the wire knows (`reason` is then `end`).
    """

    reason: StopReason
    note: str = ""


StreamPart = TextPart | ThinkingPart | CallPart | ServedPart | UsagePart | StopPart


class Provider(Protocol):
    """Speaks to one service. Never retries, knows no tools' code and no history.

    `stream` raises only `ProviderError`, and closes what it opened when the generator is closed. A cancel is honoured at once.
    `aclose` frees connections and processes.
    """

    def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Listing(Protocol):
    """A provider that can be asked what it has."""

    async def list_models(self, limit_s: float) -> tuple[str, ...]:
        """The ids that the service says it serves, in its order, within so many seconds. Raises only `ProviderError`."""
        ...


class Merge:
    """Folds parts into the answer. The pieces of one text, one thinking block or one call become one content part, in order of arrival."""

    def __init__(self, wire: str = "") -> None:
        self.wire = wire
        self.usage = Usage()
        self.served: str | None = None
        self.stop: StopReason | None = None
        self._blocks: list[_Block] = []
        self._calls: dict[int, _Block] = {}

    def feed(self, part: StreamPart) -> None:
        match part:
            case TextPart(text=text):
                self._open("text").text.append(text)
            case ThinkingPart(text=text, opaque=opaque, redacted=redacted):
                self._think(text, opaque, redacted)
            case CallPart():
                self._call(part)
            case ServedPart(model=model):
                self.served = model
            case UsagePart(usage=usage):
                self.usage = usage
            case StopPart(reason=reason):
                self.stop = reason

    def message(self, cut: StopReason = "error") -> AssistantMessage:
        """The answer so far; `cut` is its stop where the stream did not end by itself. Calls of a cut answer are left out: they may be half."""
        stop = self.stop or cut
        whole = self.stop is not None
        content = tuple(block.content(self.wire) for block in self._blocks if block.kind != "call" or whole)
        return AssistantMessage(tuple(part for part in content if not _is_empty(part)), stop)

    def _open(self, kind: str) -> _Block:
        if not self._blocks or self._blocks[-1].kind != kind or self._blocks[-1].opaque:
            self._blocks.append(_Block(kind))
        return self._blocks[-1]

    def _think(self, text: str, opaque: str, redacted: bool) -> None:
        block = self._open("thinking")
        block.text.append(text)
        block.opaque = opaque
        block.redacted = redacted

    def _call(self, part: CallPart) -> None:
        block = self._calls.get(part.index)
        if block is None:
            block = self._calls[part.index] = _Block("call")
            self._blocks.append(block)
        block.id = block.id or part.id
        block.name = block.name or part.name
        block.opaque = block.opaque or part.opaque
        block.text.append(part.arguments)


class _Block:
    __slots__ = ("id", "kind", "name", "opaque", "redacted", "text")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.text: list[str] = []
        self.opaque = ""
        self.redacted = False
        self.id = ""
        self.name = ""

    def content(self, wire: str) -> Text | Thinking | ToolCall:
        text = "".join(self.text)
        if self.kind == "text":
            return Text(text)
        if self.kind == "thinking":
            return Thinking(text, self.opaque, wire, self.redacted)
        return ToolCall(self.id, self.name, text, self.opaque, wire if self.opaque else "")


def _is_empty(part: Text | Thinking | ToolCall) -> bool:
    match part:
        case Text(text=text):
            return not text
        case Thinking(text=text, opaque=opaque):
            return not text and not opaque
        case ToolCall():
            return False

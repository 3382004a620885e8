"""One answer while it comes, whatever the wire: what it has said so far, how its pieces are decoded, when it is whole. No HTTP here."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from agentcli.protocol.errors import ProviderError
from agentcli.protocol.messages import StopReason
from agentcli.protocol.text import utf8
from agentcli.providers.base import ServedPart, StopPart, StreamPart
from agentcli.providers.call_pieces import CallPieces
from agentcli.providers.failures import Source, broken, from_object, not_this_wire
from agentcli.providers.sse import SSEvent

Piece = TypeVar("Piece")


class Answering(Struct, kw_only=True):
    """What one stream has said so far. `stop` None: it has not said that it is done."""

    source: Source
    stop: StopReason | None = None
    failure: ProviderError | None = None
    """Why the service says that it could not finish; raised when all that it had to say is there, for what was used still counts."""
    note: str = ""
    refused: bool = False
    served: str = ""
    calls: CallPieces = field(default_factory=CallPieces)

    @property
    def is_over(self) -> bool:
        return self.stop is not None or self.failure is not None

    def serves(self, model: str | None, parts: list[StreamPart]) -> None:
        """The first name of a model that the answer gives is the one that counts."""
        if model and not self.served:
            self.served = model
            parts.append(ServedPart(model))

    def ended(self, word: str, known: dict[str, StopReason]) -> None:
        """The service's own word for why it is done; one that is not known ends the answer and is kept."""
        self.stop = known.get(word, "end")
        self.note = "" if word in known else self.source.tidy(word)


def finish(state: Answering) -> list[StreamPart]:
    """The last part of an answer that is whole.

    Raises:
        StreamBroken: it gave no finish reason.
        InvalidResponse: a tool call was never named.
        ProviderError: the service said that it could not finish.
    """
    if state.failure is not None:
        raise state.failure
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


def decoded(decoder: msgspec.json.Decoder[Piece], event: SSEvent, source: Source, what: str) -> Piece:
    """The piece in an event; `what` names it in an error. Broken UTF-8 and halves of surrogate pairs are no reason to lose an answer: they
    become U+FFFD.

    Raises:
        InvalidResponse: it is none.
        ProviderError: the event calls itself an error, in whatever form.
    """
    if event.event == "error":
        raise failed(event, source)
    try:
        return decoder.decode(event.data)
    except (ValueError, RecursionError):
        pass
    try:
        text = json.dumps(json.loads(event.data.decode("utf-8", "replace")), ensure_ascii=False)
        return decoder.decode(utf8(text))
    except (ValueError, RecursionError):
        raise not_this_wire(source, f"with data that is no {what}: {shown(event, source)}") from None


def failed(event: SSEvent, source: Source) -> ProviderError:
    """The error that an event is, whatever its form."""
    try:
        said = json.loads(event.data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        said = shown(event, source)
    return from_object(source, said)


def shown(event: SSEvent, source: Source) -> str:
    return source.tidy(event.data.decode("utf-8", "replace"))

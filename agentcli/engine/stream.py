"""One model call: the parts of its stream become delta events and, in the end, one answer. No retry here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from itertools import count

from msgspec import Struct

from agentcli.engine.control import ActiveModel
from agentcli.protocol.errors import ProviderError
from agentcli.protocol.events import AnyEvent, ArgumentsDelta, Failure, Notice, Replied, TextDelta, ThinkingDelta
from agentcli.protocol.messages import AssistantMessage, Message, StopReason, ToolCall
from agentcli.protocol.models import ModelUse, Usage
from agentcli.providers.base import CallPart, Merge, ModelRequest, StopPart, StreamPart, TextPart, ThinkingPart

Emit = Callable[[AnyEvent], None]


class Reply(Struct):
    """What one call brought, whole or cut."""

    message: AssistantMessage
    use: ModelUse
    usage: Usage
    cost_usd: float | None
    duration_ms: int
    first_ms: int
    error: ProviderError | None = None

    def event(self, call: int) -> Replied:
        return Replied(
            call=call,
            message=self.message,
            model=self.use,
            usage=self.usage,
            cost_usd=self.cost_usd,
            duration_ms=self.duration_ms,
            first_ms=self.first_ms,
            failure=failure_of(self.error) if self.error else None,
        )


class Cut(Exception):
    """The call was cancelled: carries what had come, so that it is kept. The cancel itself goes on as its cause."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("cut")
        self.reply = reply


class Call:
    """A model call under way. `quiet`: its text is not for the person (a constrained step). `alive` is called when its first part is there."""

    def __init__(self, active: ActiveModel, request: ModelRequest, emit: Emit, quiet: bool = False, alive: Callable[[], None] = lambda: None) -> None:
        self.active = active
        self.request = request
        self.emit = emit
        self.quiet = quiet
        self.alive = alive
        self._merge = Merge(active.spec.wire)
        self._began = time.monotonic()
        self._first: float | None = None
        self._names: dict[int, tuple[str, str]] = {}

    async def run(self) -> Reply:
        """The whole answer. A failed call gives a reply with its error.

        Raises:
            Cut: cancelled; carries what had come.
        """
        try:
            await self._read()
        except ProviderError as error:
            return self._reply("error", error)
        except asyncio.CancelledError as cancel:
            raise Cut(self._reply("interrupted", None)) from cancel
        return self._reply("error", None)

    async def _read(self) -> None:
        feed, show = self._merge.feed, self._show
        pricing: Awaitable[object] | None = None
        async with aclosing(self.active.provider.stream(self.request)) as parts:
            async for part in parts:
                if self._first is None:
                    self._first = time.monotonic()
                    self.alive()
                    pricing = self._look_up_price()
                feed(part)
                show(part)
        if pricing is not None:
            await pricing

    def _look_up_price(self) -> Awaitable[object] | None:
        """While the answer comes: it may take a while, once, and the request must not wait for it."""
        if self.active.cost_at_hand():
            return None
        return asyncio.get_running_loop().run_in_executor(None, self.active.cost)

    def _show(self, part: StreamPart) -> None:
        match part:
            case TextPart(text=text) if text and not self.quiet:
                self.emit(TextDelta(text=text))
            case ThinkingPart(text=text) if text:
                self.emit(ThinkingDelta(text=text))
            case CallPart():
                self._show_call(part)
            case StopPart(note=note) if note:
                who = self.active.ref.provider
                self.emit(Notice(level="warning", text=f"{who} ended its answer with '{note}', which is not known here: it may not be whole."))
            case _:
                pass

    def _show_call(self, part: CallPart) -> None:
        if part.name or part.index not in self._names:
            known = self._names.get(part.index, ("", ""))
            self._names[part.index] = (part.id or known[0], part.name or known[1])
        if part.arguments:
            call_id, name = self._names[part.index]
            self.emit(ArgumentsDelta(call_id=call_id, name=name, text=part.arguments))

    def _reply(self, cut: StopReason, error: ProviderError | None) -> Reply:
        merge, now = self._merge, time.monotonic()
        use, message = self.active.use, merge.message(cut)
        if self.quiet and message.stop == cut:
            message = AssistantMessage((), cut)  # half a step says nothing, to the person or to the model
        return Reply(
            message=with_unique_ids(message, self.request.messages),
            use=ModelUse(use.requested, use.resolved, use.source, merge.served),
            usage=merge.usage,
            cost_usd=merge.usage.priced(self.active.cost()),
            duration_ms=round((now - self._began) * 1000),
            first_ms=round(((self._first or now) - self._began) * 1000),
            error=error,
        )


def with_unique_ids(message: AssistantMessage, history: Sequence[Message]) -> AssistantMessage:
    """The answer with call ids that are there and differ, also from those of the history: services omit ids, repeat them in an answer, or
    begin anew in each. Results, screens and other services tell calls apart by them.
    """
    ids = [call.id for call in message.calls()]
    taken = {call.id for earlier in history if isinstance(earlier, AssistantMessage) for call in earlier.calls()} if ids else set()
    if all(ids) and len(set(ids)) == len(ids) and taken.isdisjoint(ids):
        return message
    return AssistantMessage(tuple(_renamed(part, taken) if isinstance(part, ToolCall) else part for part in message.content), message.stop)


def _renamed(call: ToolCall, taken: set[str]) -> ToolCall:
    base = name = call.id or "call"
    for number in count(2):
        if name not in taken:
            break
        name = f"{base}_{number}"
    taken.add(name)
    return ToolCall(name, call.name, call.arguments, call.opaque, call.wire)


def failure_of(error: Exception) -> Failure:
    """An error as data. What is none of ours is an internal error, named by its type."""
    from agentcli.protocol.errors import AgentError

    if isinstance(error, ProviderError):
        return Failure(error.kind, error.message, error.exit_code, error.hint, error.provider, error.status)
    if isinstance(error, AgentError):
        return Failure(error.kind, error.message, error.exit_code, error.hint)
    return Failure("internal", f"{type(error).__name__}: {error}", 1, "This is a bug of agentcli; run again with --verbose and report it.")

"""What a program says to the main agent and hears from it: send, run, stream. How a run is driven is the session's own business."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING

from agentcli.protocol.errors import AgentError, UsageError
from agentcli.protocol.events import Envelope
from agentcli.protocol.messages import Origin, UserMessage, user_text
from agentcli.sdk.books import RunTally
from agentcli.sdk.result import Result, error_of, run_result, unbegun_result

if TYPE_CHECKING:
    from agentcli.engine.loop import Outcome
    from agentcli.sdk.bus import Bus, Listener
    from agentcli.sdk.options import OutputSchema

Items = AsyncGenerator[Envelope | Result, None]


class Talking(ABC):
    """The part of a session that holds the conversation. One call at a time: the second raises SessionBusy at once."""

    output_schema: OutputSchema | None
    _streamed: tuple[asyncio.Task[Outcome], weakref.ref[Items]] | None = None
    """The run of the last stream, and the generator that a program holds of it."""

    @property
    @abstractmethod
    def bus(self) -> Bus: ...

    @abstractmethod
    def launch(self, message: str | UserMessage, output_schema: OutputSchema | None = None) -> asyncio.Task[Outcome]: ...

    @abstractmethod
    async def landed(self, task: asyncio.Task[Outcome]) -> Outcome: ...

    async def send(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Result:
        """One message and all that follows, until the model has answered.

        `output_schema`, a pydantic model or a JSON schema, is for this run; the result's `structured` fits it.

        Raises:
            SessionBusy: a message is being answered already. SessionClosed: after close.
            AgentError: the run failed or was cancelled; its `result` holds what there is.
        """
        await self._free()
        tally = RunTally()
        with listening(self.bus, tally.feed):
            try:
                outcome = await self.landed(self.launch(message, output_schema))
            except AgentError as error:
                error.result = unbegun_result(tally, error)
                raise
        result = run_result(tally, outcome, self.output_schema if output_schema is None else output_schema)
        if result.failure is None:
            return result
        failed = (outcome.error if result.failure == outcome.failure else None) or error_of(result.failure)
        failed.result = result
        raise failed

    async def run(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Result:
        """The same as `send`."""
        return await self.send(message, output_schema=output_schema)

    def stream(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> AsyncGenerator[Envelope | Result, None]:
        """One message; gives each event as it comes, in its `Envelope` (who, when, what), and in the end exactly one `Result`.

        The run begins with the first item that is asked for. A failed or cancelled one does not raise here: its `Result` says so in `failure`.
        Leaving the loop early ends the run.

        Raises:
            SessionBusy, SessionClosed, AgentError: the run could not begin.
        """
        itself: list[weakref.ref[Items]] = []
        items = self._items(message, output_schema, itself)
        itself.append(weakref.ref(items))
        return items

    async def _items(self, message: str | UserMessage, output_schema: OutputSchema | None, itself: list[weakref.ref[Items]]) -> Items:
        await self._free()
        tally = RunTally()
        queue: asyncio.Queue[Envelope | None] = asyncio.Queue()
        with listening(self.bus, tally.feed, queue.put_nowait):
            run = self.launch(message, output_schema)
            self._streamed = run, itself[0]
            run.add_done_callback(lambda _: queue.put_nowait(None))
            try:
                while (envelope := await queue.get()) is not None:
                    yield envelope
                yield run_result(tally, await self.landed(run), self.output_schema if output_schema is None else output_schema)
            finally:
                if not run.done():
                    run.cancel()
                    with contextlib.suppress(AgentError, asyncio.CancelledError):
                        await run

    async def _free(self) -> None:
        """Waits for the end of a run whose stream was left: the event loop closes a forgotten generator only after its next step."""
        if self._streamed is not None and self._streamed[1]() is None:
            await asyncio.wait((self._streamed[0],))
            self._streamed = None


def as_message(given: object, origin: Origin = "person") -> UserMessage:
    """Raises UsageError: it is neither text nor a message, or says nothing."""
    if isinstance(given, UserMessage):
        return given
    if not isinstance(given, str):
        raise UsageError(f"a message is text or a UserMessage, not {type(given).__name__}.", hint="Give the text of it: str(…).")
    if not given.strip():
        raise UsageError("the message is empty.")
    return user_text(given, origin)


@contextlib.contextmanager
def listening(bus: Bus, *listeners: Listener) -> Iterator[None]:
    leaves = [bus.listen(listener) for listener in listeners]
    try:
        yield
    finally:
        for leave in leaves:
            leave()

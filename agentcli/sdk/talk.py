"""What a program says to the main agent and hears from it: send, run, stream. How a run is driven is the session's own business."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING

from agentcli.protocol.errors import AgentError
from agentcli.protocol.events import Envelope
from agentcli.sdk.books import RunTally
from agentcli.sdk.result import Result, error_of, run_result, unbegun_result

if TYPE_CHECKING:
    from agentcli.engine.loop import Outcome
    from agentcli.protocol.messages import UserMessage
    from agentcli.sdk.bus import Bus, Listener
    from agentcli.sdk.options import OutputSchema


class Talking(ABC):
    """The part of a session that holds the conversation. One call at a time: the second raises SessionBusy at once."""

    output_schema: OutputSchema | None

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
        tally = RunTally()
        with listening(self.bus, tally.feed):
            try:
                outcome = await self.landed(self.launch(message, output_schema))
            except AgentError as error:
                error.result = unbegun_result(tally, error)
                raise
        result = run_result(tally, outcome, output_schema or self.output_schema)
        if result.failure is None:
            return result
        failed = (outcome.error if result.failure == outcome.failure else None) or error_of(result.failure)
        failed.result = result
        raise failed

    async def run(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Result:
        """The same as `send`."""
        return await self.send(message, output_schema=output_schema)

    async def stream(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> AsyncGenerator[Envelope | Result, None]:
        """One message; gives each event as it comes, in its `Envelope` (who, when, what), and in the end exactly one `Result`.

        A failed or cancelled run does not raise here: its `Result` says so in `failure`. Leaving the loop early (and closing the generator) ends
        the run.

        Raises:
            SessionBusy, SessionClosed, AgentError: the run could not begin.
        """
        tally = RunTally()
        queue: asyncio.Queue[Envelope | None] = asyncio.Queue()
        with listening(self.bus, tally.feed, queue.put_nowait):
            run = self.launch(message, output_schema)
            run.add_done_callback(lambda _: queue.put_nowait(None))
            try:
                while (envelope := await queue.get()) is not None:
                    yield envelope
                yield run_result(tally, await self.landed(run), output_schema or self.output_schema)
            finally:
                if not run.done():
                    run.cancel()
                    with contextlib.suppress(AgentError, asyncio.CancelledError):
                        await run


@contextlib.contextmanager
def listening(bus: Bus, *listeners: Listener) -> Iterator[None]:
    leaves = [bus.listen(listener) for listener in listeners]
    try:
        yield
    finally:
        for leave in leaves:
            leave()

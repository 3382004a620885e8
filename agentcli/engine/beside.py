"""Running calls of one agent, any of which a person may let go: it goes on beside the run, and its result comes as a message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Coroutine
from typing import Any

from agentcli.protocol.errors import UsageError
from agentcli.protocol.messages import Text, UserMessage, user_text
from agentcli.protocol.tools import ToolOutcome

LET_GO = (
    "A person sent this to the background: it goes on there. Its result comes to you as a message when it has ended. Go on with what does not "
    "need it; do not start it again."
)


class Beside:
    """Used by the `Calls` of one agent. `late` results are taken by its loop at its next safe point."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[None]] = {}
        self._left: dict[str, asyncio.Task[ToolOutcome]] = {}
        self._late: list[tuple[str, UserMessage]] = []

    async def run(self, call_id: str, what: str, work: Coroutine[Any, Any, ToolOutcome]) -> ToolOutcome:
        """The work's outcome, or, where it is let go meanwhile, what the model is told of that. A cancel ends the work and waits for its end.

        `what` names the call in the message that brings its result.
        """
        let_go = self._running[call_id] = asyncio.get_running_loop().create_future()
        job = asyncio.create_task(_telling(work, let_go))
        try:
            await let_go
        except asyncio.CancelledError:
            await _ended((job,))
            work.close()  # cancelled before its first step it was never begun
            raise
        finally:
            del self._running[call_id]
        if job.done():
            return job.result()
        self._left[call_id] = job
        job.add_done_callback(lambda done: self._landed(call_id, what, done))
        return ToolOutcome((Text(LET_GO),), data={"background": True})

    def let_go(self, call_id: str = "") -> None:
        """Lets one call go, or all that run. Raises UsageError where none does."""
        chosen = [told for running, told in self._running.items() if call_id in ("", running)]
        if not chosen:
            raise UsageError("nothing runs that could go on in the background.")
        for told in chosen:
            if not told.done():
                told.set_result(None)

    @property
    def left(self) -> tuple[asyncio.Task[ToolOutcome], ...]:
        """What goes on beside the run."""
        return tuple(self._left.values())

    def take(self) -> list[tuple[str, UserMessage]]:
        """Results that came, each once: the call's id and the message."""
        late, self._late = self._late, []
        return late

    async def end(self) -> None:
        """The run is over: what still goes on ends with it."""
        await _ended(self.left)

    def _landed(self, call_id: str, what: str, job: asyncio.Task[ToolOutcome]) -> None:
        self._left.pop(call_id, None)
        if job.cancelled():
            said = f"Ended with the run before it was done: {what}"
        elif (bug := job.exception()) is not None:
            said = f"Failed in the background: {what}\n{type(bug).__name__}: {bug}"
        else:
            outcome = job.result()
            text = "\n".join(part.text for part in outcome.content if isinstance(part, Text)) or "(no output)"
            said = f"{'Failed' if outcome.is_error else 'Done'} in the background: {what}\n{text}"
        self._late.append((call_id, user_text(said, "worker")))


async def _telling(work: Coroutine[Any, Any, ToolOutcome], told: asyncio.Future[None]) -> ToolOutcome:
    """The work, its end told from within: a wait for two futures would pass through the event loop once more."""
    try:
        return await work
    finally:
        if not told.done():
            told.set_result(None)


async def _ended(jobs: Collection[asyncio.Task[ToolOutcome]]) -> None:
    """Cancels them and waits for their end, also where the wait is cancelled in turn: no process may be left behind."""
    while left := [job for job in jobs if not job.done()]:
        for job in left:
            job.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(left)


__all__ = ["LET_GO", "Beside"]

"""What runs in a session: one call of its conversation at a time, jobs beside it, what goes along with them; and why each ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeVar

from agentcli.agents.held import Held
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import AgentError, SessionBusy
from agentcli.sdk.result import error_of

T = TypeVar("T")


class Runs:
    """Used from one event loop. `held` is the main agent's: it keeps why what runs was ended. `on_end` is called after each end."""

    def __init__(self, held: Held, on_end: Callable[[], None]) -> None:
        self._held = held
        self._on_end = on_end
        self._call: asyncio.Task[Any] | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._companions: set[asyncio.Task[None]] = set()

    @property
    def conversing(self) -> bool:
        """Whether a call of the conversation is under way."""
        return self._call is not None

    @property
    def busy(self) -> bool:
        """Whether anything is, companions aside."""
        return self._call is not None or bool(self._jobs)

    def check_free(self) -> None:
        """Raises SessionBusy while a call of the conversation is under way."""
        if self._call is not None:
            raise SessionBusy("the session is already running a call.", hint="Wait for it, end it with cancel(), or open another session.")

    def begin_call(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """What has the conversation to itself; whoever begins one has checked that it is free."""
        task = self._call = asyncio.create_task(work, name=name)
        task.add_done_callback(self._call_over)
        return task

    def begin_job(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something beside the conversation."""
        task = asyncio.create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._job_over)
        return task

    def accompany(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that no stop ends and nobody waits for, until `dismiss`."""
        task = asyncio.create_task(work)
        self._companions.add(task)
        task.add_done_callback(self._companions.discard)

    async def settled(self, task: asyncio.Task[T]) -> T:
        """What a call or job gave. Raises AgentError where it was ended, or what it raises."""
        try:
            return await task
        except asyncio.CancelledError:
            error = self.ended_by(task)
            if error is None:
                raise
            raise error from None

    def ended_by(self, task: asyncio.Task[Any]) -> AgentError | None:
        """Why a call or job was cancelled; None where whoever waits for it is meant (a time limit around the wait, say)."""
        waiting = asyncio.current_task()
        outside = waiting is not None and waiting.cancelling() > 0
        ending = self._held.ending() if task.cancelled() and not outside else None
        return error_of(failure_of(ending)) if ending is not None else None

    def stop(self, error: AgentError) -> None:
        """Ends the call and all jobs for the given reason, without waiting."""
        for task in self._under_way():
            if not task.done():
                self._held.end(error)
                task.cancel()

    async def end(self, error: AgentError) -> None:
        """The same, and waits until they have ended. Nothing where nothing runs."""
        running = self._under_way()
        self.stop(error)
        await _over(running)

    async def dismiss(self) -> None:
        """Cancels the companions and waits for their end, but for the one that calls this."""
        companions = [task for task in self._companions if task is not asyncio.current_task()]
        for task in companions:
            task.cancel()
        await _over(companions)

    def _under_way(self) -> list[asyncio.Task[Any]]:
        return [task for task in (self._call, *self._jobs) if task is not None]

    def _call_over(self, _: object) -> None:
        self._call = None
        self._on_end()

    def _job_over(self, task: asyncio.Task[Any]) -> None:
        self._jobs.discard(task)
        self._on_end()


async def _over(tasks: Collection[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks)

"""The turns of an interactive session, one after the other: what runs, what steers it, what waits for its end, and how it is interrupted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from agentcli.protocol.commands import Inject, Interrupt
from agentcli.protocol.errors import AgentError, Interrupted
from agentcli.protocol.messages import Image, Origin, Text, UserMessage

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

Work = Callable[[], Coroutine[Any, Any, Any]]


class Turns:
    """Messages wait here until the session is open and the one before has been answered."""

    def __init__(self, repl: Repl) -> None:
        self._repl = repl
        self._todo: asyncio.Queue[Work] = asyncio.Queue()
        self._running: asyncio.Task[Any] | None = None
        self._pictures: dict[str, tuple[Image, ...]] = {}

    @property
    def busy(self) -> bool:
        return self._running is not None or not self._todo.empty()

    async def run(self) -> None:
        """One turn after the other, for as long as the session lasts."""
        while True:
            await self._run_one(await self._todo.get())

    # --- what is said ---

    def submit(self, text: str) -> None:
        """A message for a turn of its own, after those that wait."""
        self._todo.put_nowait(partial(self._drive, text))

    def perform(self, work: Work) -> None:
        """Something else that must have the conversation to itself, as a turn of its own."""
        self._todo.put_nowait(work)

    async def _drive(self, text: str) -> Any:
        self._repl.session.try_anew()
        return await self._repl.session.drive(self._message(text, "person"))

    def attach(self, text: str, pictures: tuple[Image, ...]) -> None:
        """Pictures that go with a text when it is sent."""
        if pictures:
            self._pictures[text] = pictures

    def _message(self, text: str, origin: Origin) -> UserMessage:
        return UserMessage((Text(text), *self._pictures.pop(text, ())), origin)

    def steer(self, text: str) -> None:
        """For the turn under way, delivered at its next safe point."""
        self._repl.state.queue(text, "steer")
        self._repl.command(Inject(self._message(text, "injected")))

    def follow_up(self, text: str) -> None:
        """For when the turn under way is over."""
        self._repl.state.queue(text, "follow")

    def take_back(self) -> str:
        """The texts that wait for delivery, taken out of the queue; "" where there are none."""
        if self._repl.opened.is_set():
            self._repl.session.take_back()
        return "\n".join(item.text for item in self._repl.state.unqueue())

    def interrupt(self) -> bool:
        """Ends the turn under way; False where there is none."""
        if self._running is None:
            return False
        if self._repl.session.busy:
            self._repl.command(Interrupt())
        else:
            self._running.cancel()
        return True

    # --- one turn ---

    async def _run_one(self, work: Work) -> None:
        repl, began = self._repl, time.monotonic()
        turn = self._running = asyncio.create_task(work())
        try:
            # Waited for, not awaited: a cancel of ours must reach this task also where the turn ends well because of it.
            await asyncio.wait((turn,))
        finally:
            self._running, repl.download = None, None
            if not turn.done():
                turn.cancel()
                await asyncio.wait((turn,))
            repl.face.changed()
        self._after(time.monotonic() - began, failed=self._failed(turn))

    def _failed(self, turn: asyncio.Task[Any]) -> bool:
        """Whether a turn ended badly; tells why where no event did."""
        if turn.cancelled() or isinstance(turn.exception(), Interrupted):
            self._repl.remark("interrupted.", "warning")
            return True
        error = turn.exception()
        if error is None:
            return getattr(turn.result(), "failure", None) is not None
        if not isinstance(error, AgentError):
            raise error
        self._repl.fail(error)
        return True

    def _after(self, seconds: float, *, failed: bool) -> None:
        from agentcli.sdk.programs import git_branch

        self._repl.branch = git_branch(self._repl.cwd)
        self._go_on(failed=failed)
        if seconds >= self._repl.agent.config.ui.notify_after_s and self._todo.empty():
            self._repl.face.ring("agentcli failed" if failed else "agentcli is done")

    def _go_on(self, *, failed: bool) -> None:
        """What was typed meanwhile and not delivered goes on by itself after a good end, back to the person after another."""
        self._repl.session.take_back()
        waiting = self._repl.state.unqueue()
        if failed and waiting:
            return self._repl.face.give_back("\n".join(item.text for item in waiting))
        for item in waiting[1:]:
            self._repl.state.queue(item.text, "follow")
        if waiting:
            self.submit(waiting[0].text)
        return None

"""The hand that holds one agent: pause and resume at its checkpoints, messages for its next safe point, and why it was ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from agentcli.engine.stream import Emit
from agentcli.protocol.errors import AgentError
from agentcli.protocol.events import StateChanged
from agentcli.protocol.messages import UserMessage

SPOKEN = ("injected", "parent")
"""Origins of messages that do not wait for background work to end."""


class Held:
    """Implements `Control` of the engine for one agent. Used from the loop's own thread only."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._pause: asyncio.Event | None = None
        """Set when the pause is over; None where there is none (a finished worker is kept, and an event takes 760 bytes)."""
        self._inbox: list[UserMessage] = []
        self._ending: AgentError | None = None
        self._heard = asyncio.Event()
        self.before_end: Callable[[Collection[asyncio.Task[Any]]], Awaitable[None]] | None = None
        """Awaited when the model has answered: waits for background workers, whose reports then come through `inject`, and the given tasks."""

    @property
    def paused(self) -> bool:
        return self._pause is not None

    def pause(self) -> None:
        """Holds the agent at its next checkpoint; a model call under way finishes."""
        self._pause = self._pause or asyncio.Event()

    def resume(self) -> None:
        if self._pause is not None:
            self._pause.set()
            self._pause = None

    def inject(self, message: UserMessage) -> None:
        """Delivered at the next safe point."""
        self._inbox.append(message)
        if message.origin in SPOKEN:
            self._heard.set()

    def take_back(self) -> tuple[UserMessage, ...]:
        """Messages not yet delivered, taken out again."""
        return self.drain()

    def end(self, error: AgentError) -> None:
        """Says why a cancel that follows comes. The first reason stands."""
        self._ending = self._ending or error

    def begin(self) -> None:
        """A new run: no reason to end yet."""
        self._ending = None

    async def checkpoint(self) -> None:
        if not self.paused:
            return
        self._emit(StateChanged(state="paused"))
        while (pause := self._pause) is not None:
            await pause.wait()
        self._emit(StateChanged(state="running"))

    def drain(self) -> tuple[UserMessage, ...]:
        messages, self._inbox = tuple(self._inbox), []
        self._heard.clear()
        return messages

    async def settle(self, beside: Collection[asyncio.Task[Any]] = ()) -> None:
        if self.before_end is not None:
            await self.before_end(beside)

    async def heard_or_done(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Until all these have ended, or somebody has said something that the agent should not be kept from."""
        left, heard = set(tasks), asyncio.create_task(self._heard.wait())
        try:
            while left and not heard.done():
                _, pending = await asyncio.wait({*left, heard}, return_when=asyncio.FIRST_COMPLETED)
                left &= pending
        finally:
            heard.cancel()

    def ending(self) -> AgentError | None:
        return self._ending

"""The three time limits of a model call, kept by one timer."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct


class Limits(Struct):
    """Seconds: until the first byte of the answer, between bytes, for the whole call. A reader may lower `idle_s` while the answer comes."""

    first_byte_s: float = 300.0
    idle_s: float = 300.0
    total_s: float = 1800.0


class Watch:
    """Ends a wait that lasts too long. One timer serves a whole call: one for each chunk would cost more than reading the chunk."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.answered = False
        """Set by the reader, once the first byte of the answer is there."""
        self.expired = ""
        """Which limit was passed: `first`, `idle` or `total`."""
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + limits.total_s
        self._until = self._end
        self._task: asyncio.Task[Any] | None = None
        self._cancels = 0
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, seconds: float) -> None:
        """From now on the current task may wait this long, and no longer than the whole call; then it is cancelled."""
        self._task = task = asyncio.current_task()
        self._cancels = task.cancelling() if task else 0
        self._until = min(self._loop.time() + seconds, self._end)
        if self._timer is None or self._timer.when() > self._until:
            self._set_timer()

    def disarm(self) -> None:
        """Something came: what the reader does with it takes its own time."""
        self._task = None

    def own_cancel(self) -> bool:
        """Whether the cancel that just arrived is this watch's own; it is then taken back, and `expired` says for what."""
        task = asyncio.current_task()
        return bool(self.expired) and task is not None and task.uncancel() <= self._cancels

    def close(self) -> None:
        self._task = None
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._until, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._until:
            self._set_timer()
            return
        self.expired = "total" if self._until >= self._end else "idle" if self.answered else "first"
        self._task.cancel()

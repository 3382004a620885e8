"""What stands before one service, shared by all agents that call it: how many calls may be under way, and when none may begin.

None may while a wait that the service asked for (Retry-After) runs, and none while it keeps failing, but for one now and then that tries. A
state machine with a clock: it never sleeps, retries or tells anybody. Whoever calls does (`engine.ask`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from msgspec import Struct

from agentcli.protocol.errors import AuthenticationFailed, ProviderError, RateLimited, RequestRejected, Unavailable
from agentcli.providers.failures import span


class DoorPolicy(Struct, frozen=True):
    """When a door is shut, times in seconds.

    After `failures` failed calls in a row, whoever made them, no call goes out for `pause_s`; then one goes, and where it fails the pause is
    doubled, up to `pause_most_s`. `failures` 0: never for that reason. A Retry-After up to `longest_s` holds all calls to the service, a longer
    one those to its model alone. Calls that waited for its end start `apart_s` after each other, the pattern begun again after `spread_s`.
    """

    failures: int = 5
    pause_s: float = 5.0
    pause_most_s: float = 60.0
    longest_s: float = 600.0
    apart_s: float = 0.1
    spread_s: float = 5.0


class Shut(Struct, frozen=True):
    """Why no call may begin now. `wait_s`: seconds until this caller may try, 0 where another is trying just now (see `Door.news`).

    `failing`: the service keeps failing; otherwise it asked for the wait.
    """

    wait_s: float
    cause: ProviderError
    failing: bool

    def error(self) -> ProviderError:
        """For a caller that will not wait so long."""
        cause = self.cause
        name, why, wait = cause.provider or "the service", cause.message.rstrip("."), span(self.wait_s)
        if self.failing:
            when = f"next try in {wait}" if self.wait_s else "it is being tried again"
            hint = "Try again then, or use another model."
            return Unavailable(f"{name} is failing ({why}); {when}.", provider=cause.provider, status=cause.status, hint=hint)
        text = f"{name} asked to wait, {wait} are left ({why})."
        hint = "Use another model until then."
        return type(cause)(text, provider=cause.provider, status=cause.status, retry_after=self.wait_s, hint=hint)


class _Held(Struct):
    until: float
    cause: ProviderError
    line: int = 0
    """How many were told to wait for it so far."""


class Door:
    """Used from one event loop. `most`: calls under way at once; None: any number."""

    def __init__(self, most: int | None = None, policy: DoorPolicy | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy or DoorPolicy()
        self._clock = clock
        self._slots: AbstractAsyncContextManager[Any] = asyncio.Semaphore(most) if most else nullcontext()
        self._held: dict[str, _Held] = {}
        """By model id; "" is the whole service."""
        self._row = 0
        self._until: float | None = None
        self._pause = 0.0
        self._cause: ProviderError | None = None
        self._trying: Visit | None = None
        self._news = asyncio.Event()

    def slot(self) -> AbstractAsyncContextManager[Any]:
        """Waits for a place among the calls under way and holds it."""
        return self._slots

    def shut(self, model: str) -> Shut | None:
        """Whether a call to the model must wait, and why. The caller is given its own place at the end of a wait that many share."""
        now = self._clock()
        for name in (model, ""):
            held = self._held.get(name)
            if held is not None and held.until > now:
                held.line += 1
                apart = (held.line - 1) * self.policy.apart_s % self.policy.spread_s
                return Shut(held.until - now + apart, held.cause, failing=False)
        if self._until is None or self._cause is None:
            return None
        if self._until > now:
            return Shut(self._until - now, self._cause, failing=True)
        return Shut(0.0, self._cause, failing=True) if self._trying else None

    def enter(self, model: str) -> Visit | Shut:
        """Lets a call in, or says why not. Whoever is let in tells the visit how it went, whatever happens."""
        shut = self.shut(model)
        if shut is not None:
            return shut
        visit = Visit(self, model)
        if self._until is not None:
            self._trying = visit
        return visit

    async def news(self) -> None:
        """Returns when the one that tries has found out, or the service is tried again for another reason."""
        await self._news.wait()

    def knock(self) -> None:
        """A person asks again: a service that kept failing is tried at once."""
        if self._until is not None:
            self._until = self._clock()
            self._tell()

    # --- what the calls find out ---

    def _alive(self, visit: Visit) -> None:
        """Something came. A service that then breaks off is failing again at once: the row of failures ends with a whole answer only."""
        if visit is self._trying:
            self._open()
            self._row = max(0, self.policy.failures - 1)

    def _answered(self) -> None:
        self._row = 0
        if self._until is not None:
            self._open()

    def _failed(self, visit: Visit, error: ProviderError) -> None:
        if error.retry_after:
            self._hold(visit.model, error, error.retry_after)
        if isinstance(error, RateLimited | AuthenticationFailed | RequestRejected):
            return self._answered()  # it works, though not as wished
        tried = visit is self._trying
        if error.retryable or tried:
            self._row += 1
            if tried or (self._until is None and 0 < self.policy.failures <= self._row):
                self._shut(error)
        return None

    def _gone(self, visit: Visit) -> None:
        """The call was cancelled and found out nothing."""
        if visit is self._trying:
            self._trying = None
            self._tell()

    def _hold(self, model: str, error: ProviderError, seconds: float) -> None:
        until = self._clock() + seconds
        name = "" if seconds <= self.policy.longest_s else model
        held = self._held.get(name)
        if held is None or held.until < until:
            self._held[name] = _Held(until, error)

    def _shut(self, error: ProviderError) -> None:
        self._pause = min(self._pause * 2 or self.policy.pause_s, self.policy.pause_most_s)
        self._until, self._cause, self._trying = self._clock() + self._pause, error, None
        self._tell()

    def _open(self) -> None:
        self._until, self._pause, self._trying = None, 0.0, None
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Visit(Struct, eq=False):
    """A call that was let in. Exactly one of `over` and `gone` ends it."""

    door: Door
    model: str

    def alive(self) -> None:
        """The first piece of the answer is there."""
        self.door._alive(self)

    def over(self, error: ProviderError | None) -> None:
        if error is None:
            self.door._answered()
        else:
            self.door._failed(self, error)

    def gone(self) -> None:
        """It was cancelled."""
        self.door._gone(self)

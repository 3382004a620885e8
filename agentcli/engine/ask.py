"""One answer of the model, however many attempts and models it takes: retries and fallbacks are events, a pause or a cancel is honoured."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct, field

from agentcli.engine.control import ActiveModel, Control, Ledger, Models, RunLimits
from agentcli.engine.stream import Call, Cut, Emit, Reply, failure_of
from agentcli.protocol.errors import ProviderError, StreamBroken
from agentcli.protocol.events import CallStarted, FellBack, RetryScheduled
from agentcli.protocol.models import ModelUse, Usage, added_cost
from agentcli.providers.base import ModelRequest
from agentcli.providers.door import Door, Shut, Visit

MakeRequest = Callable[[ActiveModel], ModelRequest]
Heard = Literal["all", "step", "aside"]
"""Who hears an answer: `all` as it comes; of a constrained `step` only its failure; nothing is said of what an `aside` (a summary) answers."""
PATIENCE_S = 60.0
"""The longest wait that a service may ask for where another model stands ready."""


class Ask(Struct):
    """Asks the model on behalf of one agent's run, and counts what that used."""

    models: Models
    control: Control
    ledger: Ledger
    limits: RunLimits
    emit: Emit
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    served: list[str] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    last_use: ModelUse | None = None

    async def once(self, make: MakeRequest, heard: Heard = "all") -> Reply:
        """A whole answer.

        Raises:
            ProviderError: after the last attempt on the last model.
            Cut: cancelled in the middle; carries what had come.
            BudgetLimit: nothing is left to spend.
        """
        active = self.models.current()
        self.calls += 1
        attempt, waited = 1, 0.0
        while True:
            made = await self._attempt(active, make, attempt, heard)
            if isinstance(made, Reply) and made.error is None:
                return made
            wait = self._wait_for(active, made, attempt, waited)
            if isinstance(wait, ProviderError):
                if not wait.elsewhere:
                    raise wait  # another model would fail the same way
                active = self.hop(active, wait)
                attempt, waited = 1, 0.0
            elif isinstance(made, Shut):
                waited += await self._stand(active.door, made)
            else:
                await self._pause(_error_of(made), wait, attempt)
                attempt += 1

    async def _attempt(self, active: ActiveModel, make: MakeRequest, attempt: int, heard: Heard) -> Reply | Shut:
        """One call, or why none may be made now. A place at the provider's door is held no longer than the call lasts."""
        async with active.door.slot():
            self.ledger.check()  # only now: while it waited for its place, others have spent
            let_in = active.door.enter(active.spec.id)
            return let_in if isinstance(let_in, Shut) else await self._call(active, make, attempt, heard, let_in)

    async def _call(self, active: ActiveModel, make: MakeRequest, attempt: int, heard: Heard, visit: Visit) -> Reply:
        try:
            request = make(active)
            emit = _unheard if heard == "aside" else self.emit
            emit(CallStarted(call=self.calls, model=active.use, attempt=attempt))
            self.last_use = active.use
            reply = await Call(active, request, emit, heard != "all", visit.alive).run()
        except Cut as cut:
            visit.gone()
            self._count(cut.reply)
            self._tell(cut.reply, heard)
            raise
        except BaseException:
            visit.gone()
            raise
        if reply.error is None and reply.message.stop == "error":
            reply.error = StreamBroken("the answer ended without a finish reason.", provider=active.ref.provider)
        visit.over(reply.error)
        self._count(reply)
        if heard == "all" or reply.error is not None:
            self._tell(reply, heard)
        return reply

    def _tell(self, reply: Reply, heard: Heard) -> None:
        """What an aside had come to is nothing that was said in the conversation; what it used is told by whoever asked."""
        if heard != "aside":
            self.emit(reply.event(self.calls))

    def _count(self, reply: Reply) -> None:
        self.usage = self.usage + reply.usage
        self.cost_usd = added_cost(self.cost_usd, reply.cost_usd)
        self.ledger.charge(reply.usage, reply.cost_usd)
        self.last_use = reply.use
        if reply.use.served and reply.use.served not in self.served:
            self.served.append(reply.use.served)

    def beside(self) -> Ask:
        """For something that this run's agent asks on the side: counted alone, and to be added with `add`."""
        return Ask(self.models, self.control, self.ledger, self.limits, self.emit)

    def add(self, aside: Ask) -> None:
        self.usage = self.usage + aside.usage
        self.cost_usd = added_cost(self.cost_usd, aside.cost_usd)
        self.fallbacks += aside.fallbacks
        self.served += [name for name in aside.served if name not in self.served]

    # --- between attempts ---

    def _wait_for(self, active: ActiveModel, made: Reply | Shut, attempt: int, waited: float) -> float | ProviderError:
        """Seconds until the next attempt on this model, or why it is given up."""
        if isinstance(made, Reply):
            error = _error_of(made)
            if not error.retryable or attempt > self.limits.retries:
                return error
        shut = made if isinstance(made, Shut) else active.door.shut(active.spec.id)
        if shut is not None and waited + shut.wait_s > self._patience(active, shut, attempt):
            return shut.error()
        if isinstance(made, Shut):
            return made.wait_s
        return max(delay_before(attempt, error.retry_after, self.limits, random.random()), shut.wait_s if shut else 0.0)

    def _patience(self, active: ActiveModel, shut: Shut, attempt: int) -> float:
        """How long this call waits at a shut door: for a service that keeps failing no longer than its own retries would have lasted, and not at
        all where another model stands ready."""
        longest = active.door.policy.longest_s
        if not shut.failing:
            return min(longest, PATIENCE_S) if self.models.spare() else longest
        if self.models.spare():
            return -1.0
        return sum(_nominal(number, self.limits) for number in range(attempt, self.limits.retries + 1))

    async def _stand(self, door: Door, shut: Shut) -> float:
        """Waits at a shut door; gives the seconds that took."""
        began = time.monotonic()
        if shut.wait_s:
            await self._pause(shut.cause, shut.wait_s, 0)
        else:
            await door.news()
            await self.control.checkpoint()
        return time.monotonic() - began

    async def _pause(self, error: ProviderError, delay: float, failed: int) -> None:
        """`failed`: which attempt of this call did; 0: none, another's failure holds this one too."""
        self.emit(RetryScheduled(failure=failure_of(error), attempt=failed, limit=self.limits.retries, delay_s=round(delay, 3)))
        await asyncio.sleep(delay)
        await self.control.checkpoint()

    def hop(self, active: ActiveModel, error: ProviderError) -> ActiveModel:
        """The next model. Raises the error where there is none."""
        other = self.models.fallback(active, error)
        if other is None:
            raise error
        self.fallbacks.append(str(other.ref))
        self.emit(FellBack(left=str(active.ref), model=other.use, failure=failure_of(error)))
        return other


def _error_of(reply: Reply) -> ProviderError:
    assert reply.error is not None
    return reply.error


def _unheard(_: object) -> None:
    return


def delay_before(attempt: int, retry_after: float | None, limits: RunLimits, luck: float) -> float:
    """Seconds to wait after failed attempt `attempt` (from 1). `luck` in 0..1 spreads the waits of many workers over half the time."""
    if retry_after is not None:
        return max(0.0, retry_after)
    return _nominal(attempt, limits) * (0.75 + 0.5 * luck)


def _nominal(attempt: int, limits: RunLimits) -> float:
    return min(limits.retry_most_s, limits.retry_first_s * 2.0 ** (attempt - 1))

"""One answer of the model, however many attempts and models it takes: retries and fallbacks are events, a pause or a cancel is honoured."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agentcli.engine.control import ActiveModel, Control, Ledger, Models, RunLimits
from agentcli.engine.stream import Call, Cut, Emit, Reply, failure_of
from agentcli.protocol.errors import ProviderError, StreamBroken
from agentcli.protocol.events import CallStarted, FellBack, RetryScheduled
from agentcli.protocol.models import ModelUse, Usage, added_cost
from agentcli.providers.base import ModelRequest

MakeRequest = Callable[[ActiveModel], ModelRequest]
LONGEST_WAIT_S = 600.0
"""A service that asks for a longer wait than this is taken as unavailable: nobody watches a prompt for ten minutes."""


@dataclass
class Ask:
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

    async def once(self, make: MakeRequest, *, quiet: bool = False) -> Reply:
        """A whole answer.

        Raises:
            ProviderError: after the last attempt on the last model.
            Cut: cancelled in the middle; carries what had come.
            BudgetLimit: nothing is left to spend.
        """
        active = self.models.current()
        self.calls += 1
        attempt = 1
        while True:
            self.ledger.check()
            reply = await self._attempt(active, make, attempt, quiet)
            error = reply.error
            if error is None:
                return reply
            if error.retryable and attempt <= self.limits.retries and (error.retry_after or 0) <= LONGEST_WAIT_S:
                await self._wait(error, attempt)
                attempt += 1
                continue
            active = self._fall_back(active, error)
            attempt = 1

    async def _attempt(self, active: ActiveModel, make: MakeRequest, attempt: int, quiet: bool) -> Reply:
        request = make(active)
        self.emit(CallStarted(call=self.calls, model=active.use, attempt=attempt))
        self.last_use = active.use
        try:
            reply = await Call(active, request, self.emit, quiet).run()
        except Cut as cut:
            self._count(cut.reply)
            self.emit(cut.reply.event(self.calls))
            raise
        if reply.error is None and reply.message.stop == "error":
            reply.error = StreamBroken("the answer ended without a finish reason.", provider=active.ref.provider)
        self._count(reply)
        if not quiet or reply.error is not None:
            self.emit(reply.event(self.calls))
        return reply

    def _count(self, reply: Reply) -> None:
        self.usage = self.usage + reply.usage
        self.cost_usd = added_cost(self.cost_usd, reply.cost_usd)
        self.ledger.charge(reply.usage, reply.cost_usd)
        self.last_use = reply.use
        if reply.use.served and reply.use.served not in self.served:
            self.served.append(reply.use.served)

    async def _wait(self, error: ProviderError, attempt: int) -> None:
        delay = delay_before(attempt, error.retry_after, self.limits, random.random())
        self.emit(RetryScheduled(failure=failure_of(error), attempt=attempt, limit=self.limits.retries, delay_s=round(delay, 3)))
        await asyncio.sleep(delay)
        await self.control.checkpoint()

    def _fall_back(self, active: ActiveModel, error: ProviderError) -> ActiveModel:
        other = self.models.fallback(active, error)
        if other is None:
            raise error
        self.fallbacks.append(str(other.ref))
        self.emit(FellBack(left=str(active.ref), model=other.use, failure=failure_of(error)))
        return other


def delay_before(attempt: int, retry_after: float | None, limits: RunLimits, luck: float) -> float:
    """Seconds to wait after failed attempt `attempt` (from 1). `luck` in 0..1 spreads the waits of many workers over half the time."""
    if retry_after is not None:
        return max(0.0, retry_after)
    whole = min(limits.retry_most_s, limits.retry_first_s * 2.0 ** (attempt - 1))
    return whole * (0.75 + 0.5 * luck)

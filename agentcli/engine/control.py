"""What an agent's loop knows of the world around it: who holds it, what it may spend, which model it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Protocol

from msgspec import Struct, field

from agentcli.protocol.errors import AgentError, ProviderError
from agentcli.protocol.messages import UserMessage
from agentcli.protocol.models import Cost, ModelRef, ModelSpec, ModelUse, Usage
from agentcli.providers.base import Provider
from agentcli.providers.door import Door


class Control(Protocol):
    """The hand that holds an agent."""

    async def checkpoint(self) -> None:
        """Returns at once, or when a pause ends."""

    def drain(self) -> tuple[UserMessage, ...]:
        """Messages to deliver now; each is given once."""

    async def settle(self, beside: Collection[asyncio.Task[Any]] = ()) -> None:
        """Called when the model has answered: returns when nothing more will come for this run, from background workers or the calls `beside`
        it, or as soon as somebody has said something to the agent."""

    def ending(self) -> AgentError | None:
        """Why the agent was cancelled, where its holder knows: an interrupt, a termination, a spent limit."""


class Free:
    """A control that never holds and never says anything."""

    async def checkpoint(self) -> None:
        return

    def drain(self) -> tuple[UserMessage, ...]:
        return ()

    async def settle(self, beside: Collection[asyncio.Task[Any]] = ()) -> None:
        if beside:
            await asyncio.wait(beside)

    def ending(self) -> AgentError | None:
        return None


class Ledger(Protocol):
    """What a whole tree of agents may spend."""

    def turn(self) -> None:
        """Before each turn of an agent, which may take several model calls. Raises `TurnLimit` where none is left."""

    def check(self) -> None:
        """Before each model call. Raises `BudgetLimit` where nothing is left."""

    def charge(self, usage: Usage, cost_usd: float | None) -> None:
        """After each model call, also a failed one."""


class Unlimited:
    """A ledger that counts nothing."""

    def turn(self) -> None:
        return

    def check(self) -> None:
        return

    def charge(self, usage: Usage, cost_usd: float | None) -> None:
        return


class ActiveModel(Struct, frozen=True):
    """A model ready to be called, and why it is this one."""

    spec: ModelSpec
    ref: ModelRef
    use: ModelUse
    provider: Provider
    door: Door = field(default_factory=Door)
    """Shared by all that call the provider."""
    price: Callable[[ModelSpec], Cost | None] | None = None
    """Looks the price up where the model declares none; may take half a second at its first call. Safe to call from a thread."""
    price_at_hand: Callable[[ModelSpec], bool] | None = None
    """Whether `price` would answer at once."""

    def cost(self) -> Cost | None:
        """What a call costs now; None where it is unknown."""
        return self.price(self.spec) if self.price and self.spec.cost is None else self.spec.cost

    def cost_at_hand(self) -> bool:
        """Whether `cost` answers at once."""
        return self.spec.cost is not None or self.price is None or (self.price_at_hand is not None and self.price_at_hand(self.spec))


class Models(Protocol):
    """Which model the next call goes to. Asked before each call, so that a switch takes effect at the next one."""

    def current(self) -> ActiveModel: ...

    def fallback(self, failed: ActiveModel, error: ProviderError) -> ActiveModel | None:
        """The model to go on with after `failed` gave up, or None."""

    def spare(self) -> bool:
        """Whether there is one."""


class FixedModel(Struct):
    """One model, no fallback."""

    active: ActiveModel

    def current(self) -> ActiveModel:
        return self.active

    def fallback(self, failed: ActiveModel, error: ProviderError) -> ActiveModel | None:
        return None

    def spare(self) -> bool:
        return False


class RunLimits(Struct, frozen=True):
    """Bounds of one agent's run. Times in seconds; `max_turns` counts model calls; None: no bound.

    `max_rounds` counts rounds of tool calls. The hints say where a bound comes from, for whoever meets it.
    Retries: at most `retries` after the first attempt, waiting `retry_first_s` doubled each time up to `retry_most_s`, with jitter;
    a service's own Retry-After wins. `compact_at`: the share of the model's context at which the history is compacted; 0: only where a service says
    that it is too long.
    """

    max_turns: int | None = None
    turns_hint: str = "Raise max_turns (--max-turns), or go on with -c."
    max_rounds: int | None = None
    rounds_hint: str = ""
    timeout_s: float | None = None
    time_hint: str = "Raise timeout_s (--timeout)."
    max_output_tokens: int | None = None
    first_byte_s: float = 300.0
    idle_s: float = 300.0
    call_s: float = 1800.0
    retries: int = 3
    retry_first_s: float = 1.0
    retry_most_s: float = 30.0
    compact_at: float = 0.9

"""What all agents of one session share, put together once by the composition root: how to reach a model, what may be done, what may be spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from msgspec import Struct, field, structs

from agentcli.agents.ledger import TreeLedger
from agentcli.engine.approvals import Approvals
from agentcli.engine.control import ActiveModel, RunLimits
from agentcli.engine.prompt import PromptFacts
from agentcli.protocol.errors import ProviderError
from agentcli.protocol.events import AnyEvent, PermissionMode
from agentcli.protocol.models import Cost, Link, ModelRef, ModelSpec, ModelUse
from agentcli.protocol.tools import Tool
from agentcli.providers.base import Provider
from agentcli.providers.door import Door
from agentcli.providers.registry import Catalogue, Resolved
from agentcli.safety.rules import Policy


class TreeLimits(Struct, frozen=True):
    """Bounds over the whole tree of agents. `max_price` is USD per million tokens, the dearer of input and output."""

    max_parallel: int = 8
    max_depth: int = 2
    max_agents: int = 1_000
    max_price: float | None = None
    allowed_models: tuple[str, ...] = ()
    run: RunLimits = field(default_factory=RunLimits)


class Kit(Struct):
    """Shared by the main agent and all workers.

    `publish(agent_id, event)` is the session's bus. `connect(provider name)` gives the provider, connected once, `door(provider name)` what stands
    before it, `is_remote(provider name)` whether what it is sent leaves this machine. `policy` is the session's
    own and may be replaced (a mode change, a rule a person allowed). `facts` are what every system prompt is built from.
    """

    session_id: str
    publish: Callable[[str, AnyEvent], None]
    catalogue: Catalogue
    connect: Callable[[str], Provider]
    door: Callable[[str], Door]
    is_remote: Callable[[str], bool]
    tools: tuple[Tool[Any], ...]
    policy: Policy
    approvals: Approvals | None
    ledger: TreeLedger
    limits: TreeLimits
    cwd: Path
    roots: tuple[Path, ...]
    scratch: Path
    child_env: Mapping[str, str]
    facts: PromptFacts
    remember_rule: Callable[[str], None] | None = None
    fallback_models: tuple[str, ...] = ()
    subagent_model: str = ""
    pins: dict[str, str] = field(default_factory=dict)
    """Worker name (or role, or agent) to model: a person's word for this run."""
    price: Callable[[ModelSpec], Cost | None] = attrgetter("cost")
    """What a model costs, also where its declaration does not say; None where nobody knows."""
    price_at_hand: Callable[[ModelSpec], bool] | None = None
    """Whether `price` would answer at once."""
    context: Callable[[ModelSpec], int | None] = attrgetter("context")
    """Tokens that a model takes, likewise."""
    redact: Callable[[str], str] = str
    """Takes the providers' keys out of what tools bring."""

    def activate(self, resolved: Resolved, requested: str, source: Link) -> ActiveModel:
        """A resolved model, connected and ready to be called.

        Raises:
            ConfigError: its provider lacks a variable, say.
        """
        return self.ready(resolved.spec, resolved.ref, ModelUse(requested, str(resolved.ref), source))

    def ready(self, spec: ModelSpec, ref: ModelRef, use: ModelUse) -> ActiveModel:
        """As `activate`, for a choice that was made."""
        return ActiveModel(spec, ref, use, self.connect(spec.provider), self.door(spec.provider), self.price, self.price_at_hand)

    def with_price(self, spec: ModelSpec) -> ModelSpec:
        """The model with what is known of its price filled in."""
        return spec if spec.cost is not None else structs.replace(spec, cost=self.price(spec))

    def mode(self) -> PermissionMode:
        return self.policy.mode


class SwitchableModel(Struct):
    """An agent's model: may be switched between calls, and goes on with the next of `fallbacks` when it stays unavailable."""

    kit: Kit
    active: ActiveModel
    fallbacks: tuple[str, ...] = ()
    _tried: int = 0
    """How many of them."""

    def current(self) -> ActiveModel:
        return self.active

    def switch(self, active: ActiveModel) -> None:
        """From the next model call on; all fallbacks are there again."""
        self.active, self._tried = active, 0

    def fallback(self, failed: ActiveModel, error: ProviderError) -> ActiveModel | None:
        """The next of `fallbacks` that differs; it stays the agent's model from then on."""
        while self.spare():
            name = self.fallbacks[self._tried]
            self._tried += 1
            resolved = self.kit.catalogue.resolve(name)
            if resolved.ref != failed.ref:
                self.active = self.kit.activate(resolved, name, "fallback")
                return self.active
        return None

    def spare(self) -> bool:
        return self._tried < len(self.fallbacks)

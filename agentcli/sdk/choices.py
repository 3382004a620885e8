"""What may be chosen anew while a session is open: its model, effort and permission mode, workers' models, rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from agentcli.agents.admission import check_budget
from agentcli.agents.spec import INHERIT
from agentcli.protocol.errors import UsageError
from agentcli.protocol.events import ModeChanged, ModelChanged, ModelPinned, PermissionMode, Renamed
from agentcli.protocol.models import ModelRef
from agentcli.protocol.text import one_line
from agentcli.providers.registry import Resolved
from agentcli.safety.rules import parse_rules
from agentcli.sdk.parts import MAIN

if TYPE_CHECKING:
    from agentcli.agents.kit import Kit
    from agentcli.agents.orchestrator import Orchestrator
    from agentcli.sdk.bus import Bus

MOST_TITLE = 120
"""Characters of a title."""


class Choosing(ABC):
    """The part of a session that such choices change."""

    kit: Kit
    tree: Orchestrator

    @property
    @abstractmethod
    def bus(self) -> Bus: ...

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def check_open(self) -> None: ...

    def use_model(self, name: str) -> None:
        """The session's model from its next model call on, also in the middle of a run; workers that run keep theirs.

        Raises:
            UnknownModel: nobody has it; names the nearest. ModelRefused: its price is unknown and a budget in USD is set. ConfigError: its provider
                lacks a variable. SessionClosed: after close.
        """
        self.check_open()
        self._switch(self.kit.catalogue.resolve(name or ""), name)

    def set_effort(self, effort: str) -> None:
        """Another level of the same model, from the next call on. Raises UsageError where it has no such level."""
        active = self.tree.main.model.active
        if effort not in active.spec.effort:
            raise UsageError(f"{active.ref} has no effort '{effort}'; its levels: {', '.join(active.spec.effort) or 'none'}.")
        ref = ModelRef(active.ref.provider, active.ref.id, effort)
        self._switch(Resolved(active.spec, ref), str(ref))

    def pin_model(self, worker: str, name: str) -> None:
        """A worker's model for this session; `subagents` sets the default of all, an empty name lifts the pin. Raises UnknownModel."""
        if name and name != INHERIT:
            self.kit.catalogue.resolve(name)
        if worker == "subagents":
            self.kit.subagent_model = name
        elif name:
            self.kit.pins[worker] = name
        else:
            self.kit.pins.pop(worker, None)
        self.start()
        self.bus.publish(MAIN, ModelPinned(worker=worker, model=name))

    def rename(self, title: str) -> None:
        """Gives the session a title, by which lists name it. Raises UsageError for an empty one, SessionClosed."""
        self.check_open()
        clean_title = one_line(title, MOST_TITLE)
        if not clean_title:
            raise UsageError("the title is empty.", hint="For example: /rename The parser")
        self.start()
        self.bus.publish(MAIN, Renamed(title=clean_title))

    def set_mode(self, mode: PermissionMode) -> None:
        """The permission mode from now on; workers that already run keep theirs."""
        gate = self.tree.main.gate
        gate.policy = self.kit.policy = gate.policy.with_mode(mode)
        self.bus.publish(MAIN, ModeChanged(mode=mode))

    def add_rule(self, effect: Literal["allow", "ask", "deny"], text: str) -> None:
        """A permission rule (or several, parted by commas) for this session and all its agents. Raises ConfigError for one that is none."""
        given = {effect: parse_rules(text)}
        self.kit.policy = self.kit.policy.with_rules(**given)
        for node in self.tree.main.walk():
            node.gate.policy = node.gate.policy.with_rules(**given)

    def _switch(self, resolved: Resolved, name: str) -> None:
        check_budget(self.kit, resolved.spec)
        active = self.kit.activate(resolved, name, "command")
        self.start()
        self.tree.main.model.switch(active)
        self.bus.publish(MAIN, ModelChanged(model=active.use))

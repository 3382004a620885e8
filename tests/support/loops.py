"""One agent's loop on a scripted model, in a real folder, with every event kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentcli.engine.approvals import Approvals
from agentcli.engine.calls import Place
from agentcli.engine.control import ActiveModel, FixedModel, RunLimits
from agentcli.engine.gate import Gate
from agentcli.engine.loop import Loop, Setup
from agentcli.protocol.events import AnyEvent, Envelope
from agentcli.protocol.models import Cost, ModelSpec, ModelUse
from agentcli.protocol.tools import Tool
from agentcli.providers.scripted import ScriptedProvider, Step
from agentcli.safety.rules import Policy, parse_rule

SPEC = ModelSpec("demo", "m1", "scripted", cost=Cost(1.0, 2.0), context=1000, output=500)


@dataclass
class Stage:
    """A loop and what came of it."""

    folder: Path
    provider: ScriptedProvider
    loop: Loop
    setup: Setup
    events: list[AnyEvent] = field(default_factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def envelopes(self) -> list[Envelope]:
        return [Envelope(number, 0.0, "s", "main", event) for number, event in enumerate(self.events, start=1) if event.durable]


def active(provider: ScriptedProvider, spec: ModelSpec = SPEC) -> ActiveModel:
    return ActiveModel(spec, spec.ref(), ModelUse(f"{spec.provider}/{spec.id}", str(spec.ref()), "flag"), provider)


def stage(
    folder: Path,
    steps: Iterable[Step],
    *,
    tools: Sequence[Tool[Any]] = (),
    mode: str = "bypass",
    allow: Sequence[str] = (),
    approvals: Approvals | None = None,
    limits: RunLimits | None = None,
    spec: ModelSpec = SPEC,
    **more: Any,
) -> Stage:
    folder = folder.resolve()
    provider = ScriptedProvider(steps, "demo")
    events: list[AnyEvent] = []
    policy = Policy(mode=mode, allow=tuple(parse_rule(rule) for rule in allow), ask=(), deny=(), roots=(folder,))  # type: ignore[arg-type]
    place = Place("main", folder, (folder,), folder.parent / "scratch", {"PATH": "/usr/bin:/bin"})
    setup = Setup(
        models=more.pop("models", None) or FixedModel(active(provider, spec)),
        tools=tools,
        gate=Gate(policy, approvals),
        place=place,
        emit=events.append,
        limits=limits or RunLimits(retry_first_s=0.001, retry_most_s=0.002),
        **more,
    )
    return Stage(folder, provider, Loop(setup), setup, events)

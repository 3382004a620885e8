"""Whether a worker may start, and on which model: the chain is asked, the checks are made, a person agrees where one must."""

from __future__ import annotations

from dataclasses import dataclass

from agentcli.agents.kit import Kit
from agentcli.agents.override import (
    REMOTE_RULE,
    Chain,
    Consent,
    ModelLimits,
    Picked,
    check_model,
    choose_model,
    resolve_choice,
)
from agentcli.agents.spec import DELEGATION_TOOLS, SELF, WorkerSpec, clone_of, select_tools
from agentcli.agents.tree import Node, Task
from agentcli.engine.control import ActiveModel
from agentcli.protocol.commands import Answer
from agentcli.protocol.errors import ModelRefused
from agentcli.protocol.events import ApprovalAnswered, ApprovalAsked
from agentcli.protocol.models import ModelSpec
from agentcli.providers.registry import Resolved
from agentcli.safety.rules import judge, parse_rule


@dataclass(frozen=True)
class Admitted:
    """A worker that may start: its definition as it applies here, its model and its tools."""

    spec: WorkerSpec
    active: ActiveModel
    tool_names: tuple[str, ...]
    note: str = ""


async def admit(kit: Kit, parent: Node, definition: WorkerSpec, task: Task) -> Admitted:
    """Chooses and checks the model of a worker of `parent`.

    Raises:
        UnknownModel, ModelRefused, ConfigError: it may not start; nothing was started.
    """
    spec = clone_of(parent.spec, definition) if definition.name == SELF else definition
    picked = pick(kit, parent, spec, task)
    tools = tools_of(kit, parent, spec)
    remote = kit.is_remote(picked.spec.provider)
    needed = check_model(
        picked,
        spec,
        tools=tools,
        limits=ModelLimits(kit.limits.allowed_models, kit.limits.max_price),
        judge=lambda access: judge(parent.gate.policy, "task", access),
        resolver=kit.catalogue,
        parent_remote=kit.is_remote(parent.model.active.spec.provider),
        remote=remote,
        remote_allowed=_remote_allowed(kit, parent),
    )
    check_budget(kit, picked.spec, own=spec.max_cost_usd is not None)
    for consent in needed:
        await agree(kit, parent, consent)
    provider = kit.connect(picked.spec.provider)
    return Admitted(spec, ActiveModel(picked.spec, picked.ref, picked.use, provider), tools, picked.note)


def pick(kit: Kit, parent: Node, spec: WorkerSpec, task: Task) -> Picked:
    """The chain, asked for one worker. A pin may name the worker's definition, its role in a team, or its label."""
    active = parent.model.active
    pin = next((kit.pins[name] for name in (task.role, task.label, spec.name) if name and name in kit.pins), "")
    chain = Chain(
        parent=str(active.ref),
        subagent_model=kit.subagent_model,
        definition=spec.model,
        call=task.model,
        pin=pin,
        worker=task.role or spec.name,
        locked=spec.model_locked,
        effort=spec.effort,
    )
    return resolve_choice(choose_model(chain), Resolved(active.spec, active.ref), kit.catalogue)


def tools_of(kit: Kit, parent: Node, spec: WorkerSpec) -> tuple[str, ...]:
    """The worker's tools; none that delegate where it would be too deep to use them."""
    names = select_tools(spec, parent.tool_names, tuple(tool.name for tool in kit.tools))
    if parent.depth + 1 >= kit.limits.max_depth:
        return tuple(name for name in names if name not in DELEGATION_TOOLS)
    return names


def check_budget(kit: Kit, spec: ModelSpec, *, own: bool = False) -> None:
    """A budget in USD, the tree's or a worker's own, can only hold models whose price is known. Raises ModelRefused."""
    if (kit.ledger.max_usd is not None or own) and spec.cost is None:
        raise ModelRefused(
            f"a budget in USD is set and the price of {spec.provider}/{spec.id} is unknown.",
            hint=f'Declare it: providers "{spec.provider}" {{ models "{spec.id}" {{ cost = {{ input = …, output = … }} }} }}',
        )


def _remote_allowed(kit: Kit, parent: Node) -> bool:
    agreed = parse_rule(REMOTE_RULE)
    return agreed in parent.gate.policy.allow or parent.gate.policy.mode == "bypass"


async def agree(kit: Kit, parent: Node, consent: Consent) -> None:
    """Asks the person. Raises ModelRefused where there is none or the answer is no."""
    if kit.approvals is None:
        raise consent.refusal()
    request_id, future = kit.approvals.open()
    parent.emit(
        ApprovalAsked(
            request_id=request_id,
            call_id="",
            tool="task",
            title=f"{consent.worker} on {consent.model}",
            detail=consent.reason,
            reason=consent.reason,
            rule=consent.rule,
        )
    )
    try:
        answer = await future
    finally:
        kit.approvals.drop(request_id)
    parent.emit(ApprovalAnswered(request_id=request_id, decision=answer.decision, reason=answer.reason, rule=consent.rule))
    _settle(kit, parent, consent, answer)


def _settle(kit: Kit, parent: Node, consent: Consent, answer: Answer) -> None:
    if answer.decision == "deny":
        raise ModelRefused(f"a person refused to start '{consent.worker}' on {consent.model}. {answer.reason}".strip())
    if answer.decision in ("session", "always"):
        rule = parse_rule(consent.rule)
        kit.policy = kit.policy.with_rules(allow=(rule,))
        parent.gate.policy = parent.gate.policy.with_rules(allow=(rule,))
    if answer.decision == "always" and kit.remember_rule is not None:
        kit.remember_rule(consent.rule)

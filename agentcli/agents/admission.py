"""Whether a worker may start, and on which model: the chain is asked, the checks are made, a person agrees where one must."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from agentcli.agents.kit import Kit
from agentcli.agents.override import (
    REMOTE,
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
from agentcli.engine.gate import ALLOWED_BY
from agentcli.protocol.commands import Answer
from agentcli.protocol.errors import ModelRefused, UsageError
from agentcli.protocol.events import ApprovalAnswered, ApprovalAsked
from agentcli.protocol.models import ModelSpec, ModelUse
from agentcli.protocol.tools import Access
from agentcli.providers.registry import Resolved
from agentcli.safety.files import allow_flag
from agentcli.safety.rules import judge, parse_rule


class Admitted(Struct, frozen=True):
    """A worker that may start: its definition as it applies here, its model, the models it may fall back to, and its tools."""

    spec: WorkerSpec
    active: ActiveModel
    fallbacks: tuple[str, ...]
    tool_names: tuple[str, ...]
    note: str = ""


async def admit(kit: Kit, parent: Node, definition: WorkerSpec, task: Task) -> Admitted:
    """Chooses and checks the model of a worker of `parent`.

    Raises:
        UnknownModel, ModelRefused, ConfigError: it may not start; nothing was started.
    """
    spec, picked, tools, needed = check(kit, parent, definition, task)
    active = kit.ready(picked.spec, picked.ref, picked.use)
    for consent in needed:
        await agree(kit, parent, consent)
    fallbacks, left_out = fallbacks_of(kit, parent, spec, tools)
    note = " ".join(part for part in (picked.note, left_out) if part)
    return Admitted(spec, active, fallbacks, tools, note)


def check(kit: Kit, parent: Node, definition: WorkerSpec, task: Task) -> tuple[WorkerSpec, Picked, tuple[str, ...], tuple[Consent, ...]]:
    """The definition as it applies here, the model, the tools, and what a person must agree to before it may start. Raises as `admit`."""
    spec = clone_of(parent.spec, definition) if definition.name == SELF else definition
    picked = pick(kit, parent, spec, task)
    tools = tools_of(kit, parent, spec)
    return spec, picked, tools, _check_picked(kit, parent, spec, picked, tools)


def _check_picked(kit: Kit, parent: Node, spec: WorkerSpec, picked: Picked, tools: tuple[str, ...]) -> tuple[Consent, ...]:
    remote, parent_remote = kit.is_remote(picked.spec.provider), kit.is_remote(parent.model.active.spec.provider)
    ruling = judge(parent.gate.policy, "model", Access(model=REMOTE))
    if remote and not parent_remote and ruling.decision == "deny":
        raise ModelRefused(f"the worker '{spec.name}' may not run on {picked.ref}, which is not on this machine: {ruling.reason}")
    if kit.limits.max_price is not None:
        picked = replace(picked, spec=kit.with_price(picked.spec))
    needed = check_model(
        picked,
        spec,
        tools=tools,
        limits=ModelLimits(kit.limits.allowed_models, kit.limits.max_price),
        judge=lambda access: judge(parent.gate.policy, "worker", access),
        resolver=kit.catalogue,
        parent_remote=parent_remote,
        remote=remote,
        remote_allowed=ruling.decision == "allow",
    )
    check_budget(kit, picked.spec, own=has_budget(spec, parent))
    return needed


def fallbacks_of(kit: Kit, parent: Node, spec: WorkerSpec, tools: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The fallback models that the worker may go on with, and a note on those it may not: one must not get round what its first model may not."""
    good: list[str] = []
    problems: list[str] = []
    for name in spec.fallback_models or kit.fallback_models:
        try:
            found = kit.catalogue.resolve(name)
            use = ModelUse(name, str(found.ref), "fallback")
            needed = _check_picked(kit, parent, spec, Picked(found.spec, found.ref, use), tools)
        except UsageError as error:
            problems.append(f"The fallback model '{name}' is left out: {error.message}")
            continue
        if needed:
            problems.append(f"The fallback model '{name}' is left out: {needed[0].reason}")
        else:
            good.append(name)
    return tuple(good), " ".join(problems)


def pick(kit: Kit, parent: Node, spec: WorkerSpec, task: Task) -> Picked:
    """The chain, asked for one worker. A pin may name the worker's definition, its role in a team, or its label."""
    active = parent.model.active
    pins = {name.casefold(): model for name, model in kit.pins.items()}
    pin = next((pins[name.casefold()] for name in (task.role, task.label, spec.name) if name.casefold() in pins), "")
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
    if (kit.ledger.max_usd is not None or own) and kit.price(spec) is None:
        raise ModelRefused(
            f"a budget in USD is set and the price of {spec.provider}/{spec.id} is unknown.",
            hint=f'Declare it: providers "{spec.provider}" {{ models "{spec.id}" {{ cost = {{ input = …, output = … }} }} }}',
        )


def has_budget(spec: WorkerSpec, parent: Node) -> bool:
    """Whether a worker's own USD are counted, or those of one above it."""
    above: Node | None = parent
    while above is not None and above.spec.max_cost_usd is None:
        above = above.parent
    return spec.max_cost_usd is not None or above is not None


async def agree(kit: Kit, parent: Node, consent: Consent) -> None:
    """Asks the person. Raises ModelRefused where there is none or the answer is no."""
    if kit.approvals is None:
        parent.gate.denials.append(f"task {consent.worker} on {consent.model}: {consent.reason}{ALLOWED_BY}{allow_flag(consent.rule)}")
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
        raise ModelRefused(f"{consent.reason} A person refused. {answer.reason}".strip())
    if answer.decision in ("session", "always") and consent.rule:
        rule = parse_rule(consent.rule)
        kit.policy = kit.policy.with_rules(allow=(rule,))
        parent.gate.policy = parent.gate.policy.with_rules(allow=(rule,))
    if answer.decision == "always" and consent.rule and kit.remember_rule is not None:
        kit.remember_rule(consent.rule)

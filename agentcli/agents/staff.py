"""A worker's desk: its folder, tools, prompt and limits before it runs, and what is made of its work after it has ended."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from dataclasses import dataclass, field

from agentcli.agents import report
from agentcli.agents.admission import agree
from agentcli.agents.kit import Kit
from agentcli.agents.ledger import WorkerLedger
from agentcli.agents.override import Consent
from agentcli.agents.roster import Roster
from agentcli.agents.spec import DELEGATION_TOOLS, WorkerSpec, stricter
from agentcli.agents.tree import Ended, EndState, Node, Task
from agentcli.agents.workspace import Changes, Workspace, Workspaces, named_place, read_kind
from agentcli.engine.calls import Place
from agentcli.engine.control import RunLimits
from agentcli.engine.gate import Gate
from agentcli.engine.loop import Outcome, Setup
from agentcli.engine.prompt import build
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import AgentError, Interrupted, TimeLimit, WorkspaceError
from agentcli.protocol.models import Usage


@dataclass
class Desk:
    """What the orchestrator's workers are set up from. `open` are workspaces by agent id, `changes` what each handed back."""

    kit: Kit
    roster: Roster
    open: dict[str, Workspace] = field(default_factory=dict)
    changes: dict[str, Changes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workspaces = Workspaces(self.kit.scratch / "workspaces")

    def gate_for(self, parent: Node, spec: WorkerSpec) -> Gate:
        """What the worker does is judged as its parent's doing would be, never more freely."""
        policy = parent.gate.policy
        mode = stricter(spec.permission_mode, policy.mode)
        return Gate(policy if mode == policy.mode else policy.with_mode(mode), self.kit.approvals, self.kit.remember_rule)

    def background_report(self, ended: Ended) -> str:
        """The message by which a background worker's end reaches its parent."""
        return f"A background worker has ended.\n{report.told(ended, 1, 20_000, self.kit.scratch)}"

    async def merge(self, ended: Ended) -> str:
        """Brings a worker's branch into its parent's folder; says what came of it."""
        workspace, changes = self.open.get(ended.worker_id), self.changes.get(ended.worker_id)
        if workspace is None or changes is None:
            return ""
        merged = await workspace.merge(changes)
        if merged.merged:
            return f"merged: {changes.branch} ({len(changes.files)} files)"
        return f"not merged: {changes.branch} conflicts in {', '.join(merged.conflicts)}; the branch is kept"

    async def close(self) -> None:
        """Deletes the clones whose work is saved, inner ones first; one that holds what no branch can stays where it is."""
        once = {id(one): one for one in self.open.values() if one.clones}
        for workspace in reversed(once.values()):
            with contextlib.suppress(WorkspaceError):
                await workspace.discard()


async def setup_worker(desk: Desk, node: Node, task: Task) -> Setup:
    """All that the worker's loop needs. Raises AgentError where its workspace cannot be made."""
    kit, spec = desk.kit, node.spec
    place = await _place(desk, node, task)
    notes = desk.open[node.id].notes if node.id in desk.open else ()
    tools = [tool for tool in kit.tools if tool.name in node.tool_names]
    facts = dataclasses.replace(
        kit.facts,
        cwd=place.cwd,
        own=spec.system_prompt,
        worker=True,
        delegates=any(name in DELEGATION_TOOLS for name in node.tool_names),
        plan=node.gate.policy.mode == "plan" and not spec.system_prompt,
        append="\n\n".join(part for part in (kit.facts.append, *notes) if part),
    )
    return Setup(
        models=node.model,
        tools=tools,
        gate=node.gate,
        place=place,
        emit=node.emit,
        system=build(facts),
        limits=_limits(kit.limits.run, spec, task),
        control=node.held,
        ledger=kit.ledger if spec.max_cost_usd is None else WorkerLedger(kit.ledger, spec.max_cost_usd, spec.name),
        output_schema=task.output_schema or spec.output_schema,
        report=True,
    )


def _limits(run: RunLimits, spec: WorkerSpec, task: Task) -> RunLimits:
    steps = task.max_steps or spec.max_steps
    turns = [bound for bound in (spec.max_turns, steps + 1 if steps else None) if bound]
    return dataclasses.replace(run, max_turns=min(turns) if turns else run.max_turns, timeout_s=task.timeout_s or spec.timeout_s)


async def _place(desk: Desk, node: Node, task: Task) -> Place:
    """The worker's folder. Only a workspace of its own narrows the policy's roots to itself."""
    kit, parent = desk.kit, node.parent
    assert parent is not None
    inherited = desk.open.get(parent.id)
    base = Place(node.id, inherited.path if inherited else kit.cwd, inherited.roots if inherited else kit.roots, kit.scratch, kit.child_env)
    kind, named = read_kind(task.workspace or node.spec.workspace)
    if kind == "inherit":
        if inherited is not None:
            desk.open[node.id] = inherited
        return base
    start = base.cwd
    if kind == "path":
        place = named_place(named, base.cwd, base.roots)
        start = place.path
        if place.outside:
            why = f"The worker '{node.name}' would work in {place.path}, outside the workspace."
            await agree(kit, parent, Consent(node.name, str(node.model.active.ref), why, f"workspace({place.path})"))
    workspace = desk.open[node.id] = await desk.workspaces.open(kind, start, node.name, base.roots, start_from=task.start_from)
    node.gate.policy = node.gate.policy.with_roots(workspace.roots)
    return dataclasses.replace(base, cwd=workspace.path, roots=workspace.roots)


async def finish(desk: Desk, node: Node, failure: AgentError | None) -> Ended:
    """The end of a worker as data, its own workspace's work handed back."""
    outcome = node.outcome
    cause = failure_of(failure) if failure is not None else outcome.failure if outcome else None
    branch, told = "", ""
    workspace = desk.open.get(node.id)
    if workspace is not None and workspace.clones and workspace is not desk.open.get(node.parent.id if node.parent else ""):
        changes = desk.changes[node.id] = await workspace.collect()
        branch, told = changes.branch, report.told_changes(changes)
    use = (outcome.model if outcome else None) or node.model.active.use
    return Ended(
        worker_id=node.id,
        name=node.name,
        agent=node.spec.name,
        status=_status(failure, outcome),
        text=outcome.text if outcome else "",
        use=use,
        failure=cause,
        served=outcome.served if outcome else (),
        fallbacks=outcome.fallbacks if outcome else (),
        usage=outcome.usage if outcome else Usage(),
        cost_usd=outcome.cost_usd if outcome else 0.0,
        turns=outcome.turns if outcome else 0,
        duration_ms=outcome.duration_ms if outcome else round((time.monotonic() - node.created) * 1000),
        structured=outcome.structured if outcome else None,
        note=node.note,
        label=node.task.label if node.task else "",
        branch=branch,
        changes=told,
    )


def _status(failure: AgentError | None, outcome: Outcome | None) -> EndState:
    if isinstance(failure, TimeLimit):
        return "failed"
    if isinstance(failure, Interrupted):
        return "cancelled"
    if failure is not None or outcome is None or outcome.failure is not None:
        return "failed"
    return "completed"



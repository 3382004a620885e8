"""A worker's desk: its folder, tools, prompt and limits before it runs, and what is made of its work after it has ended."""

from __future__ import annotations

import contextlib

from msgspec.structs import replace

from agentcli.agents import report
from agentcli.agents.admission import agree
from agentcli.agents.endings import plain_end
from agentcli.agents.kit import Kit
from agentcli.agents.leftovers import CLONES, Claim, claim
from agentcli.agents.override import Consent
from agentcli.agents.roster import Roster
from agentcli.agents.spec import DELEGATION_TOOLS, WorkerSpec, stricter
from agentcli.agents.tree import Ended, Node, Task
from agentcli.agents.workspace import Changes, Workspace, Workspaces, named_place, read_kind
from agentcli.engine.calls import Place
from agentcli.engine.control import RunLimits
from agentcli.engine.gate import Gate
from agentcli.engine.loop import Setup
from agentcli.engine.prompt import build
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import WorkspaceError
from agentcli.protocol.tools import Access
from agentcli.safety.files import WORKSPACE, path_rule
from agentcli.safety.rules import judge
from agentcli.system import marks

WORKER_MARK = "AGENTCLI_WORKER"
"""The variable by which a worker's processes are known."""
GRACE_S = 0.5


class Desk:
    """What the orchestrator's workers are set up from. `open` are workspaces by agent id, `changes` what each handed back."""

    def __init__(self, kit: Kit, roster: Roster) -> None:
        self.kit = kit
        self.roster = roster
        self.open: dict[str, Workspace] = {}
        self.changes: dict[str, Changes] = {}
        self.workspaces = Workspaces(kit.scratch / CLONES)
        self._claim: Claim | None = None

    def claim(self) -> None:
        """Before the first clone: as long as this process lives, nobody takes its clones for left over."""
        self._claim = self._claim or claim(self.kit.scratch)

    def gate_for(self, parent: Node, spec: WorkerSpec) -> Gate:
        """What the worker does is judged as its parent's doing would be, never more freely."""
        policy = parent.gate.policy
        mode = stricter(spec.permission_mode, policy.mode)
        return Gate(policy if mode == policy.mode else policy.with_mode(mode), self.kit.approvals, self.kit.remember_rule)

    def background_report(self, ended: Ended) -> str:
        """The message by which a background worker's end reaches its parent."""
        return f"A background worker has ended.\n{report.told(ended, 1, 20_000, self.kit.scratch)}"

    async def merge(self, ended: Ended) -> str:
        """Brings what a worker did in a clone or copy into its parent's folder; says what came of it."""
        workspace, changes = self.open.get(ended.worker_id), self.changes.get(ended.worker_id)
        if workspace is None or changes is None or not changes.files:
            return ""
        merged, name = await workspace.merge(changes), self.saved_as(ended)
        if merged.merged:
            return f"merged: {name} ({report.files(changes)})"
        return f"not merged: {name} conflicts in {', '.join(merged.conflicts)}; it is kept"

    def saved_as(self, ended: Ended) -> str:
        """The branch that holds a worker's work, or the patch file where there is no repository."""
        changes = self.changes.get(ended.worker_id)
        return ended.branch or (changes.patch if changes else "")

    async def close(self) -> None:
        """Deletes the clones whose work is saved, inner ones first; one that holds what no branch can stays where it is."""
        once = {id(one): one for one in self.open.values() if one.clones}
        for workspace in reversed(once.values()):
            with contextlib.suppress(WorkspaceError):
                await workspace.discard()
        if self._claim is not None:
            self._claim.release()


async def setup_worker(desk: Desk, node: Node, task: Task) -> Setup:
    """All that the worker's loop needs. Raises AgentError where its workspace cannot be made."""
    kit, spec = desk.kit, node.spec
    place = await _place(desk, node, task)
    notes = desk.open[node.id].notes if node.id in desk.open else ()
    tools = [tool for tool in kit.tools if tool.name in node.tool_names]
    facts = replace(
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
        ledger=node.ledger,
        output_schema=task.output_schema or spec.output_schema,
        report=True,
    )


def _limits(run: RunLimits, spec: WorkerSpec, task: Task) -> RunLimits:
    """The session's bounds, with those of the call and the definition in their place where there are any."""
    if steps := task.max_steps or spec.max_steps:
        run = replace(run, max_rounds=steps, rounds_hint=f"Raise max_steps of {_whose(task.max_steps, spec)}.")
    if spec.max_turns:
        run = replace(run, max_turns=spec.max_turns, turns_hint=f"Raise max_turns of '{spec.name}'.")
    if timeout_s := task.timeout_s or spec.timeout_s:
        run = replace(run, timeout_s=timeout_s, time_hint=f"Raise timeout_s of {_whose(task.timeout_s, spec)}.")
    return run


def _whose(called: float | None, spec: WorkerSpec) -> str:
    return "the call" if called else f"'{spec.name}'"


async def _place(desk: Desk, node: Node, task: Task) -> Place:
    """The worker's folder. Only a workspace of its own narrows the policy's roots to itself."""
    kit, parent = desk.kit, node.parent
    assert parent is not None
    inherited = desk.open.get(parent.id)
    cwd, roots = (inherited.path, inherited.roots) if inherited else (kit.cwd, kit.roots)
    base = Place(node.id, cwd, roots, kit.scratch, {**kit.child_env, WORKER_MARK: _mark(desk, node)}, redact=kit.redact)
    kind, named = read_kind(task.workspace or node.spec.workspace)
    if kind == "inherit":
        if inherited is not None:
            desk.open[node.id] = inherited
        return base
    start = base.cwd
    if kind == "path":
        place = named_place(named, base.cwd, base.roots)
        start = place.path
        verdict = judge(node.gate.policy, WORKSPACE, Access(reads=(str(place.path),)))
        if verdict.decision == "deny":
            raise WorkspaceError(f"The worker '{node.name}' may not work in {place.path}: {verdict.reason}")
        if place.outside and verdict.decision == "ask":
            why = f"The worker '{node.name}' would work in {place.path}, outside the workspace."
            await agree(kit, parent, Consent(node.name, str(node.model.active.ref), why, path_rule("workspace", str(place.path))))
    desk.claim()
    workspace = desk.open[node.id] = await desk.workspaces.open(kind, start, node.name, base.roots, start_from=task.start_from)
    policy = node.gate.policy
    node.gate.policy = policy.confined_to(workspace.roots) if workspace.clones else policy.with_roots(workspace.roots)
    return replace(base, cwd=workspace.path, roots=workspace.roots)


async def end_processes(desk: Desk, node: Node) -> None:
    """What the commands of a worker, and of its own workers, left running (`server &`, `setsid …`) does not outlive one that did not complete."""
    if any(one.ran_commands for one in node.walk()):
        await marks.end_marked(WORKER_MARK, _mark(desk, node), GRACE_S)


def _mark(desk: Desk, node: Node) -> str:
    return f"{desk.kit.session_id}/{node.id}"


async def finish(desk: Desk, node: Node, failure: BaseException | None) -> Ended:
    """The end of a worker as data, its own workspace's work handed back."""
    ended = plain_end(node, failure)
    workspace = desk.open.get(node.id)
    inherited = workspace is not None and workspace is desk.open.get(node.parent.id if node.parent else "")
    if workspace is None or not workspace.clones or inherited:
        return ended
    try:
        changes = desk.changes[node.id] = await workspace.collect()
    except WorkspaceError as error:
        kept = f"changes: they could not be saved on a branch and are still in {workspace.path} ({error.line()})"
        return replace(ended, status="failed", failure=ended.failure or failure_of(error), changes=kept)
    return replace(ended, branch=changes.branch, changes=report.told_changes(changes))

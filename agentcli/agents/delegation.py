"""The delegation tools. Each translates its arguments into tasks, hands them to a pattern and tells the result; no scheduling lives here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from agentcli.agents import arguments as a
from agentcli.agents.offered import WORKERS, worker_list
from agentcli.agents.orchestrator import Orchestrator
from agentcli.agents.patterns import Passed, parallel, pipeline
from agentcli.agents.report import proof, share, told, told_all
from agentcli.agents.spec import INHERIT, WorkerSpec
from agentcli.agents.team import TeamPlan, team
from agentcli.agents.team import told as told_team
from agentcli.agents.tree import Ended, Node, Task
from agentcli.protocol.errors import AgentError, ToolError
from agentcli.protocol.messages import Text, user_text
from agentcli.protocol.tools import Access, Tool, ToolContext, ToolOutcome, said

READ_TOOLS = ("read", "ls", "glob", "grep", "web_fetch", "todo")
WRITE_TOOLS = ("write", "edit", "bash")
MCP_TOOLS = "mcp__*"


class _Delegation(Tool[Any]):
    """Shared by all: which agent of the tree is calling."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.orchestrator = orchestrator

    def _caller(self, ctx: ToolContext) -> Node:
        return self.orchestrator.find(ctx.agent_id)

    async def _gather(self, tasks: Sequence[Task], ctx: ToolContext, **bounds: Any) -> list[Ended]:
        return await parallel(self.orchestrator, self._caller(ctx), tasks, call_id=ctx.call_id, **bounds)

    async def _begin(self, tasks: Sequence[Task], ctx: ToolContext) -> ToolOutcome:
        """Starts background workers; their reports come as messages. One that cannot start does not keep the others from it."""
        lines, started = [], 0
        for task in tasks:
            try:
                node = await self.orchestrator.spawn(self._caller(ctx), task, ctx.call_id)
            except AgentError as error:
                self.orchestrator.tell_refused(self._caller(ctx), task, error)
                lines.append(f"{task.agent} not started: {error.line()}")
                continue
            started += 1
            use = node.model.active.use
            lines.append(f"{node.id} started in the background on {use.resolved} ({use.source}).{f' {node.note}' if node.note else ''}")
        if started:
            lines.append("Each report comes to you as a message; go on with other work.")
        return ToolOutcome((Text("\n".join(lines)),), is_error=not started)


class TaskTool(_Delegation):
    name = "task"
    short = "Give one self-contained task to a worker agent, possibly on another model; returns its report."
    args = a.TaskArgs

    description = (
        "Give one self-contained piece of work to a worker with an empty history of its own, and get its report. Several calls in one answer "
        f"run side by side. Workers:\n{WORKERS}"
    )

    def __init__(self, orchestrator: Orchestrator) -> None:
        super().__init__(orchestrator)
        self.description = self.description.replace(WORKERS, worker_list(orchestrator.roster))

    def access(self, args: a.TaskArgs) -> Access:
        return Access(agent=args.agent)

    def title(self, args: a.TaskArgs) -> str:
        return f"{args.agent}: {args.description or args.prompt.splitlines()[0][:80]}"

    async def run(self, args: a.TaskArgs, ctx: ToolContext) -> ToolOutcome:
        task = as_task(args)
        if task.background:
            return await self._begin([task], ctx)
        ended = (await self._gather([task], ctx))[0]
        return outcome([ended], told(ended, 1, ctx.output_limit, ctx.scratch), is_error=not ended.ok)


class ParallelTool(_Delegation):
    name = "parallel_task"
    description = (
        "Run several independent tasks at once, each with a worker of its own (see task for the workers). Results come back together, in the order "
        "of the tasks; one that fails loses nobody else's result."
    )
    short = "Run several independent tasks at once, each with its own worker."
    args = a.ParallelArgs

    def access(self, args: a.ParallelArgs) -> Access:
        return Access(agent=", ".join(dict.fromkeys(task.agent for task in args.tasks)))

    def title(self, args: a.ParallelArgs) -> str:
        return f"{len(args.tasks)} tasks"

    async def run(self, args: a.ParallelArgs, ctx: ToolContext) -> ToolOutcome:
        tasks = [as_task(task) for task in args.tasks]
        if all(task.background for task in tasks):
            return await self._begin(tasks, ctx)
        tasks = [replace(task, background=False) for task in tasks]  # the call waits for the others, so it can wait for these too
        results = await self._gather(tasks, ctx, max_parallel=args.max_parallel, timeout_s=args.timeout_s)
        good = sum(result.ok for result in results)
        least = args.min_success if args.min_success is not None else min(1, len(results))
        text = f"{good} of {len(results)} tasks succeeded.\n\n{told_all(results, ctx.scratch)}"
        return outcome(results, text, is_error=good < least)


class PipelineTool(_Delegation):
    name = "pipeline"
    description = (
        "Run items through stages of workers: each item goes on to its next stage as soon as its last one is done. Stage prompts may use {item} and "
        "{previous} (the text of the stage before). A stage that fails ends that item only."
    )
    short = "Run items through stages of workers."
    args = a.PipelineArgs

    def access(self, args: a.PipelineArgs) -> Access:
        return Access(agent=", ".join(dict.fromkeys(stage.agent for stage in args.stages)))

    def title(self, args: a.PipelineArgs) -> str:
        return f"{len(args.items or [''])} items through {len(args.stages)} stages"

    async def run(self, args: a.PipelineArgs, ctx: ToolContext) -> ToolOutcome:
        stages = [as_stage(stage, number) for number, stage in enumerate(args.stages, start=1)]
        passed = await pipeline(self.orchestrator, self._caller(ctx), args.items or [""], stages, call_id=ctx.call_id)
        ended = [stage for one in passed for stage in one.stages]
        most = share(len(passed))
        text = "\n\n".join(_told_item(index, one, most, ctx) for index, one in enumerate(passed, start=1))
        return outcome(ended, text, is_error=not any(one.ok for one in passed))


def _told_item(index: int, passed: Passed, most: int, ctx: ToolContext) -> str:
    last = passed.stages[-1]
    lines = [told(last, index, most, ctx.scratch)]
    if passed.item:
        lines.insert(0, f"Item {index}: {passed.item} ({len(passed.stages)} stages run)")
    lines += [f"stage {number}: {proof(stage)}" for number, stage in enumerate(passed.stages[:-1], start=1)]
    return "\n".join(lines)


class TeamTool(_Delegation):
    name = "run_team"
    description = (
        "For a goal that needs splitting and checking: a lead splits it into tasks, workers do them in parallel, a reviewer approves each result or "
        "sends it back with feedback."
    )
    short = "A lead, workers and a reviewer reach a larger goal together."
    args = a.TeamArgs

    def access(self, args: a.TeamArgs) -> Access:
        return Access(agent=", ".join(dict.fromkeys((args.lead_agent, args.worker_agent, args.reviewer_agent))))

    def title(self, args: a.TeamArgs) -> str:
        return args.goal.splitlines()[0][:80]

    async def run(self, args: a.TeamArgs, ctx: ToolContext) -> ToolOutcome:
        plan = TeamPlan(**{**args.model_dump(), "workspace": args.workspace or ""})
        result = await team(self.orchestrator, self._caller(ctx), plan, call_id=ctx.call_id)
        proofs = "\n".join(f"{member.name}: {proof(member)}" for member in result.members)
        return outcome(result.members, f"{told_team(result, ctx.scratch)}\n\n{proofs}", is_error=not result.ok)


class DefineTool(_Delegation):
    name = "define_subagent"
    description = "Define a new worker type for this session, to be started with invoke_subagent or task. It may only read unless you enable more."
    short = "Define a new worker type."
    args = a.DefineArgs

    def access(self, args: a.DefineArgs) -> Access:
        return Access(own=True)

    def title(self, args: a.DefineArgs) -> str:
        return args.name

    async def run(self, args: a.DefineArgs, ctx: ToolContext) -> ToolOutcome:
        caller = self._caller(ctx)
        tools = list(READ_TOOLS)
        tools += WRITE_TOOLS if args.enable_write_tools else ()
        tools += [MCP_TOOLS] if args.enable_mcp_tools else []
        spec = WorkerSpec(
            name=args.name,
            description=args.description,
            system_prompt=args.system_prompt,
            model=(args.Model or "").strip(),
            tools=tuple(tools),
            can_delegate=args.enable_subagent_tools,
        )
        if spec.model and spec.model.lower() != INHERIT:
            self.orchestrator.kit.catalogue.resolve(spec.model)
        placed = self.orchestrator.roster.define(spec, caller.id)
        return said(f"Defined '{placed.name}'" + (f" on {placed.model}." if placed.model else ", which inherits its model."))


class InvokeTool(_Delegation):
    name = "invoke_subagent"
    short = "Start one or several workers."
    args = a.InvokeArgs

    description = (
        "Start workers by type, side by side, each with a role and a prompt and, if you like, a model of its own; their reports come back "
        "in order. Types: those of task, and what define_subagent added."
    )

    def access(self, args: a.InvokeArgs) -> Access:
        return Access(agent=", ".join(dict.fromkeys(one.TypeName for one in args.Subagents)))

    def title(self, args: a.InvokeArgs) -> str:
        return ", ".join(one.Role for one in args.Subagents)

    async def run(self, args: a.InvokeArgs, ctx: ToolContext) -> ToolOutcome:
        tasks = [
            Task(one.TypeName, one.Prompt, model=one.Model, workspace=one.Workspace or "", background=args.Background, label=one.Role)
            for one in args.Subagents
        ]
        if args.Background:
            return await self._begin(tasks, ctx)
        results = await self._gather(tasks, ctx)
        return outcome(results, told_all(results, ctx.scratch), is_error=not any(result.ok for result in results))


class _Steering(_Delegation):
    """Tools that act on workers already running."""

    def access(self, args: Any) -> Access:
        return Access(own=True)

    def _below(self, who: str, ctx: ToolContext) -> Node:
        """The worker of an id, a name, or a role that only one of the caller's running workers has."""
        caller = self._caller(ctx)
        mine = [node for node in caller.walk() if node is not caller]
        in_role = [node for node in mine if node.task and node.task.label == who and not node.is_over]
        node = in_role[0] if len(in_role) == 1 else self.orchestrator.find(who)
        if node not in mine:
            raise ToolError(f"{who} is none of your workers.")
        return node


class SendTool(_Steering):
    name = "send_message"
    description = "Send a message to one of your workers that runs in the background; it reads it at its next step."
    short = "Send a message to a running worker."
    args = a.SendArgs

    def title(self, args: a.SendArgs) -> str:
        return args.Recipient

    async def run(self, args: a.SendArgs, ctx: ToolContext) -> ToolOutcome:
        node = self._below(args.Recipient, ctx)
        self.orchestrator.inject(node.id, user_text(args.Message, "parent"))
        return said(f"Sent to {node.id}.")


class ManageTool(_Steering):
    name = "manage_subagents"
    description = "List, pause, resume or kill your workers."
    short = "List, pause, resume or kill workers."
    args = a.ManageArgs

    def title(self, args: a.ManageArgs) -> str:
        return " ".join([args.Action, *(args.Ids or [])])

    async def run(self, args: a.ManageArgs, ctx: ToolContext) -> ToolOutcome:
        caller = self._caller(ctx)
        if args.Action == "list":
            return said(_listing(caller))
        if args.Action == "kill_all":
            nodes = [node for node in caller.children if not node.is_over]
        elif not args.Ids:
            raise ToolError(f"{args.Action} needs Ids; list shows them.")
        else:
            nodes = [self._below(agent_id, ctx) for agent_id in args.Ids]
        lines = [await self._act(args.Action, node) for node in nodes]
        return said("\n".join(lines) or "No worker was running.")

    async def _act(self, action: str, node: Node) -> str:
        try:
            if action in ("kill", "kill_all"):
                await self.orchestrator.cancel(node.id)
            elif action == "pause":
                self.orchestrator.pause(node.id)
            else:
                self.orchestrator.resume(node.id)
        except AgentError as error:
            return error.line()
        return f"{node.id}: {action.removesuffix('_all')} done, now {node.state}."


def _listing(caller: Node) -> str:
    nodes = [node for node in caller.walk() if node is not caller]
    lines = [
        f"{node.id}: {node.spec.name}, {node.state}, {node.model.active.use.resolved} ({node.model.active.use.source})"
        + (f", {node.task.label}" if node.task and node.task.label else "")
        for node in nodes
    ]
    return "\n".join(lines) or "You have no workers."


def as_stage(args: a.StageArgs, number: int) -> Task:
    name = args.description or f"stage {number}"
    return Task(
        agent=args.agent,
        prompt=args.prompt,
        description=name,
        model=args.model,
        workspace=args.workspace or "",
        max_steps=args.max_steps,
        output_schema=args.output_schema,
        timeout_s=args.timeout_s,
        label=name,
    )


def as_task(args: a.TaskArgs) -> Task:
    return Task(
        agent=args.agent,
        prompt=args.prompt,
        description=args.description or "",
        model=args.model,
        workspace=args.workspace or "",
        max_steps=args.max_steps,
        background=args.background,
        output_schema=args.output_schema,
        timeout_s=args.timeout_s,
    )


def outcome(results: Sequence[Ended], text: str, *, is_error: bool) -> ToolOutcome:
    """The text for the model, and the facts for scripts."""
    data: dict[str, object] = {"agents": [_facts(result) for result in results]}
    return ToolOutcome((Text(text),), is_error=is_error, data=data)


def _facts(ended: Ended) -> dict[str, object]:
    use = ended.use
    return {
        "id": ended.worker_id,
        "agent": ended.agent,
        "status": ended.status,
        "model": {"requested": use.requested, "resolved": use.resolved, "served": use.served, "source": use.source},
        "cost_usd": ended.cost_usd,
        "turns": ended.turns,
        "structured": json.loads(json.dumps(ended.structured)) if ended.structured is not None else None,
    }


KINDS = {kind.name: kind for kind in (TaskTool, ParallelTool, PipelineTool, TeamTool, DefineTool, InvokeTool, SendTool, ManageTool)}

"""A team: a lead splits the goal, workers do the tasks in parallel, a reviewer approves each or sends it back with feedback."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, field

from agentcli.agents.orchestrator import Orchestrator
from agentcli.agents.patterns import run_one
from agentcli.agents.report import cut, kept, share
from agentcli.agents.tree import Ended, Node, Task
from agentcli.protocol.errors import AgentError, WorkspaceError

MOST_TASKS = 32
"""A goal split finer than this is no split."""

MOST_REPORT = 20_000
MOST_CHANGES = 60_000
"""Characters of a worker's report and of its diff in a prompt of the team; the branch, and a file, hold the rest."""
HOPELESS = frozenset({"budget", "limit", "model_refused", "unknown_model", "unknown_agent", "usage", "config", "authentication", "storage"})
"""Kinds of failure that the next attempt would meet again."""

PLAN_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_TASKS,
            "items": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "prompt": {"type": "string"}},
                "required": ["title", "prompt"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}
REVIEW_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "feedback": {"type": "string"}},
    "required": ["approved", "feedback"],
    "additionalProperties": False,
}


class TeamPlan(Struct, frozen=True):
    """Who is on the team. `max_steps` bounds each member's tool rounds; `max_rounds` how often rejected work goes back."""

    goal: str
    lead_agent: str = "general"
    worker_agent: str = "general"
    reviewer_agent: str = "general"
    lead_model: str | None = None
    worker_model: str | None = None
    reviewer_model: str | None = None
    workers: int = 3
    max_steps: int | None = None
    max_rounds: int = 10
    workspace: str = ""


class Item(Struct):
    """One task of the team on its way: its last result and what the reviewer said."""

    index: int
    title: str
    prompt: str
    result: Ended | None = None
    approved: bool = False
    feedback: str = ""
    attempts: int = 0
    given_up: bool = False
    """It failed in a way that no further round can mend."""
    merge_note: str = ""


class TeamResult(Struct, frozen=True):
    """What the team brought: every item, approved or with its last feedback, and every worker that took part."""

    items: tuple[Item, ...]
    rounds: int
    members: tuple[Ended, ...] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        return bool(self.items) and all(item.approved for item in self.items)


async def team(orchestrator: Orchestrator, parent: Node, plan: TeamPlan, *, call_id: str = "") -> TeamResult:
    """Runs the whole loop.

    Raises:
        UnknownAgent, UnknownModel, ModelRefused: one of the three roles cannot start; nothing has run then.
        AgentError: the lead could not split the goal.
    """
    for role in (_lead(plan), _work(plan, Item(0, "", "")), _review(plan, Item(0, "", ""), "")):
        orchestrator.check(parent, role)
    members: list[Ended] = []
    items = await _split(orchestrator, parent, plan, call_id, members)
    rounds = 0
    while rounds < plan.max_rounds and (waiting := [item for item in items if not item.approved and not item.given_up]):
        rounds += 1
        await _round(orchestrator, parent, plan, waiting, call_id, members)
    await _merge(orchestrator, items)
    return TeamResult(tuple(items), rounds, tuple(members))


def _lead(plan: TeamPlan) -> Task:
    prompt = (
        f"Goal:\n{plan.goal}\n\nYou lead a team of {plan.workers} workers. Split this goal into tasks that can be done side by side and do not touch "
        "the same files where that can be avoided. Look at the folder first if you need to. Each task's prompt must say all that a worker with an "
        "empty history needs, and what counts as done. Fewer, whole tasks are better than many small ones."
    )
    return Task(
        plan.lead_agent, prompt, "split the goal", plan.lead_model, output_schema=PLAN_SCHEMA, max_steps=plan.max_steps, label="lead", role="lead"
    )


async def _split(orchestrator: Orchestrator, parent: Node, plan: TeamPlan, call_id: str, members: list[Ended]) -> list[Item]:
    lead = await run_one(orchestrator, parent, _lead(plan), call_id)
    members.append(lead)
    if not lead.ok or not isinstance(lead.structured, dict):
        why = lead.failure.line() if lead.failure else "no task list came back"
        raise AgentError(f"the team's lead did not split the goal: {why}")
    return [Item(index, part["title"], part["prompt"]) for index, part in enumerate(lead.structured["tasks"], start=1)]


async def _round(orchestrator: Orchestrator, parent: Node, plan: TeamPlan, items: Sequence[Item], call_id: str, members: list[Ended]) -> None:
    """Each waiting item: done by whichever worker is free, then reviewed."""
    free = asyncio.Semaphore(plan.workers)

    async def one(item: Item) -> None:
        async with free:
            item.attempts += 1
            item.result = await run_one(orchestrator, parent, _work(plan, item), call_id)
        members.append(item.result)
        if not item.result.ok:
            item.feedback = item.result.failure.line() if item.result.failure else "the worker failed"
            item.given_up = _is_hopeless(item.result)
            return
        changes = cut(item.result.changes, MOST_CHANGES, kept(item.result, orchestrator.kit.scratch, ".diff"))
        review = await run_one(orchestrator, parent, _review(plan, item, changes), call_id)
        members.append(review)
        _judge(item, review)
        item.given_up = _is_hopeless(review)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))


def _work(plan: TeamPlan, item: Item) -> Task:
    prompt = f"Task {item.index}: {item.title}\n\n{item.prompt}\n\nThis is one part of a larger goal, for your understanding only:\n{plan.goal}"
    resume = ""
    if item.feedback:
        before = item.result.text[:MOST_REPORT] if item.result else ""
        prompt += f"\n\nYour last attempt was not accepted. It ended with:\n{before}\n\nThe reviewer says:\n{item.feedback}\n\nMend that."
        resume = item.result.branch if item.result else ""
    return Task(
        plan.worker_agent,
        prompt,
        item.title,
        plan.worker_model,
        workspace=plan.workspace,
        max_steps=plan.max_steps,
        label=item.title,
        role="worker",
        start_from=resume,
    )


def _review(plan: TeamPlan, item: Item, changes: str) -> Task:
    report = item.result.text[:MOST_REPORT] if item.result else ""
    changes = f"\n\nIts changes:\n{changes}" if changes else ""
    prompt = (
        f"Review one task of a team. Goal of the team:\n{plan.goal}\n\nTask {item.index}: {item.title}\n{item.prompt}\n\n"
        f"The worker reports:\n{report}{changes}\n\nCheck the work itself, not only the report. Approve it only if the task is done and "
        "right; otherwise say exactly what must change. Do not change anything yourself."
    )
    return Task(
        plan.reviewer_agent,
        prompt,
        f"review: {item.title}",
        plan.reviewer_model,
        output_schema=REVIEW_SCHEMA,
        max_steps=plan.max_steps,
        label=f"review: {item.title}",
        role="reviewer",
    )


def _is_hopeless(ended: Ended) -> bool:
    """Whether another round could not help: a person ended it, nothing is left to spend, or it may not start."""
    return ended.status == "cancelled" or (ended.failure is not None and ended.failure.kind in HOPELESS)


def _judge(item: Item, review: Ended) -> None:
    if not review.ok or not isinstance(review.structured, dict):
        item.feedback = f"the review failed: {review.failure.line() if review.failure else 'no verdict'}"
        return
    item.approved = bool(review.structured["approved"])
    item.feedback = str(review.structured["feedback"])


async def _merge(orchestrator: Orchestrator, items: Sequence[Item]) -> None:
    """Approved work into the parent's folder, in the order of the tasks; a conflict is listed, and its branch or patch stays.

    What several workers share stays too where one of them was rejected: their work cannot be told apart any more.
    """
    saved_as = orchestrator.desk.saved_as
    rejected = {saved_as(item.result) for item in items if item.result is not None and not item.approved} - {""}
    for item in items:
        if not item.approved or item.result is None:
            continue
        if (name := saved_as(item.result)) in rejected:
            item.merge_note = f"not merged: {name} also holds work that was rejected; it is kept"
            continue
        try:
            item.merge_note = await orchestrator.desk.merge(item.result)
        except WorkspaceError as error:
            item.merge_note = f"not merged: {error.line()} It is kept on {name}."


def told(result: TeamResult, scratch: Path | None = None) -> str:
    """The team's result in words; for a model, long reports are cut, and `scratch` holds them whole."""
    approved = [item for item in result.items if item.approved]
    most = share(len(result.items))
    lines = [f"Team: {len(approved)} of {len(result.items)} tasks approved after {result.rounds} round{'s' if result.rounds != 1 else ''}."]
    for item in result.items:
        mark = "approved" if item.approved else "rejected"
        lines.append(f"\n--- Task {item.index} ({item.title}) [{mark}, {item.attempts} attempt{'s' if item.attempts != 1 else ''}] ---")
        if item.result is not None:
            text = cut(item.result.text, most, kept(item.result, scratch, ".txt")) if scratch else item.result.text
            lines.append(text or (item.result.failure.line() if item.result.failure else ""))
            if item.result.branch:
                lines.append(f"branch: {item.result.branch}")
        if not item.approved and item.feedback:
            lines.append(f"last feedback: {item.feedback}")
        if item.merge_note:
            lines.append(item.merge_note)
    return "\n".join(lines)

"""How workers are run for a program: the floor below is asked, its outcomes become results. What a program calls is in `work`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from agentcli.agents import patterns
from agentcli.agents.team import TeamPlan
from agentcli.agents.team import team as run_team
from agentcli.agents.team import told as told_team
from agentcli.agents.tree import Ended, Node, Task
from agentcli.engine.control import Ledger
from agentcli.protocol.errors import AgentError, BudgetLimit
from agentcli.protocol.models import Usage
from agentcli.sdk.books import Books
from agentcli.sdk.options import TaskSpec
from agentcli.sdk.result import AgentResult, ItemResult, Result, TeamItem, TeamResult, error_of
from agentcli.sdk.schemas import json_schema
from agentcli.sdk.stages import StageFailed, Work, fill

if TYPE_CHECKING:
    from agentcli.agents.orchestrator import Orchestrator
    from agentcli.sdk.work import Delegating


async def one(session: Delegating, spec: TaskSpec) -> Result:
    """One worker from start to end. Raises AgentError where it failed, with what there is as its `result`."""
    tree, started = session.tree, list[Node]()

    async def job() -> Ended:
        started.append(await tree.spawn(tree.main, as_work(spec)))
        return (await tree.join(tree.main, started))[0]

    with Books(session.bus) as books:
        try:
            result = books.result(await session.work(job), spec.output_schema)
        except AgentError as error:
            if started and started[0].ended is not None:
                error.result = books.result(started[0].ended, spec.output_schema)
            raise
    if result.failure is None:
        return result
    outcome = started[0].outcome
    failed = (outcome.error if outcome and outcome.failure == result.failure else None) or error_of(result.failure)
    failed.result = result
    raise failed


async def started(session: Delegating, spec: TaskSpec) -> AgentResult:
    """Starts one worker, which keeps the session busy until it is over. Raises AgentError where it cannot start."""
    tree = session.tree
    placed: asyncio.Future[Node] = asyncio.get_running_loop().create_future()

    async def job() -> None:
        node = await tree.spawn(tree.main, as_work(spec))
        placed.set_result(node)
        await tree.join(tree.main, [node])

    task = session.beside(job)
    either: tuple[asyncio.Future[Any], ...] = (task, placed)
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not placed.done():
        await session.settled(task)
    return session.orchestrator.view(placed.result())


async def side_by_side(
    session: Delegating, specs: Sequence[TaskSpec], budget_tokens: int | None, max_parallel: int | None, timeout_s: float | None
) -> list[Result]:
    tree = session.tree
    parent = tree.main if budget_tokens is None else with_purse(tree.main, budget_tokens)
    tasks = [as_work(spec) for spec in specs]
    with Books(session.bus) as books:
        ended = await session.work(lambda: patterns.parallel(tree, parent, tasks, max_parallel=max_parallel, timeout_s=timeout_s))
        return [books.result(each, spec.output_schema) for each, spec in zip(ended, specs, strict=True)]


async def through(session: Delegating, items: Sequence[Any], stages: Sequence[Work]) -> list[ItemResult]:
    """A pipeline. Where a stage's worker or model cannot be used at all, nothing runs."""
    with Books(session.bus) as books:
        passing = _Passing(session.tree, stages, books)
        return await session.work(lambda: passing.run(items))


class _Passing(Struct, frozen=True):
    """Items on their way through the stages of one pipeline."""

    tree: Orchestrator
    stages: Sequence[Work]
    books: Books

    async def run(self, items: Sequence[Any]) -> list[ItemResult]:
        refused = self._refused()
        if refused is not None:
            return [ItemResult(item, None, (refused,), failure=refused.failure) for item in items]
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._pass(item)) for item in items]
        return [task.result() for task in running]

    def _refused(self) -> Result | None:
        for stage in self.stages:
            if not isinstance(stage, TaskSpec):
                continue
            task = as_work(stage)
            try:
                self.tree.check(self.tree.main, task)
            except AgentError as error:
                return self.books.result(patterns.not_started(self.tree, self.tree.main, task, error))
        return None

    async def _pass(self, item: Any) -> ItemResult:
        value, done = item, list[Result]()
        for number, stage in enumerate(self.stages):
            made = fill(stage, item, value if number else None) if isinstance(stage, TaskSpec) else await stage(value, item)
            if isinstance(made, StageFailed):
                return ItemResult(item, value, tuple(done), failure=made.failure)
            if made is None:
                return ItemResult(item, None, tuple(done), dropped=True)
            if isinstance(made, TaskSpec):
                made = await self._work(made)
                done.append(made)
                if made.failure is not None:
                    return ItemResult(item, made, tuple(done), failure=made.failure)
            value = made
        return ItemResult(item, value, tuple(done))

    async def _work(self, spec: TaskSpec) -> Result:
        ended = await patterns.run_one(self.tree, self.tree.main, as_work(spec))
        return self.books.result(ended, spec.output_schema)


async def team(session: Delegating, plan: TeamPlan) -> TeamResult:
    """Raises AgentError where one of the three cannot be used, or the lead cannot split the goal."""
    tree = session.tree
    for role in ("lead", "worker", "reviewer"):
        tree.check(tree.main, Task(getattr(plan, f"{role}_agent"), plan.goal, model=getattr(plan, f"{role}_model"), role=role))
    with Books(session.bus) as books:
        made = await session.work(lambda: run_team(tree, tree.main, plan))
    items = tuple(
        TeamItem(
            title=item.title,
            prompt=item.prompt,
            approved=item.approved,
            feedback=item.feedback,
            attempts=item.attempts,
            result=books.result(item.result) if item.result else None,
            merged=item.merge_note,
        )
        for item in made.items
    )
    return TeamResult(told_team(made, tree.kit.scratch), items, tuple(books.result(member) for member in made.members), made.rounds)


def as_work(spec: TaskSpec) -> Task:
    """The task as the orchestrator takes it."""
    return Task(
        agent=spec.agent,
        prompt=spec.prompt,
        description=spec.description,
        model=spec.model,
        workspace=str(spec.workspace or ""),
        max_steps=spec.max_steps,
        output_schema=json_schema(spec.output_schema),
        timeout_s=spec.timeout_s,
        label=spec.label,
    )


class Purse(Struct):
    """What one fan-out may use, in tokens, within all that binds it otherwise."""

    outer: Ledger
    max_tokens: int
    used: int = 0

    def turn(self) -> None:
        self.outer.turn()

    def check(self) -> None:
        """Raises BudgetLimit where nothing is left."""
        if self.used >= self.max_tokens:
            raise BudgetLimit(f"the fan-out's {self.max_tokens} tokens are used up ({self.used}).", hint="Give it a larger budget_tokens.")
        self.outer.check()

    def charge(self, usage: Usage, cost_usd: float | None) -> None:
        self.used += usage.total
        self.outer.charge(usage, cost_usd)


def with_purse(main: Node, max_tokens: int) -> Node:
    """The main agent as the parent of one fan-out: the same in all, its list of workers included, but for what those may use."""
    return replace(main, ledger=Purse(main.ledger, max_tokens))

"""Three ways to put workers together, as plain functions over the orchestrator: side by side, in stages, as a team with a reviewer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from agentcli.agents.orchestrator import Orchestrator
from agentcli.agents.tree import Ended, Node, Task
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import AgentError, TimeLimit
from agentcli.protocol.models import ModelUse


async def run_one(orchestrator: Orchestrator, parent: Node, task: Task, call_id: str = "") -> Ended:
    """One worker from start to end. A task that cannot start is a failed result, not an error."""
    try:
        node = await orchestrator.spawn(parent, task, call_id)
    except AgentError as error:
        return not_started(task, error)
    return (await orchestrator.join(parent, [node]))[0]


async def parallel(
    orchestrator: Orchestrator,
    parent: Node,
    tasks: Sequence[Task],
    *,
    call_id: str = "",
    max_parallel: int | None = None,
    timeout_s: float | None = None,
) -> list[Ended]:
    """All tasks side by side; results in the order of the tasks. One that fails or cannot start loses nobody else's result.

    `max_parallel` bounds this fan-out below the session's own bound; the rest queue. After `timeout_s` seconds, what still runs is ended.
    """
    gate = asyncio.Semaphore(max_parallel) if max_parallel else None
    nodes: dict[int, Node] = {}

    async def one(index: int, task: Task) -> Ended:
        async with gate or nullcontext():
            try:
                node = nodes[index] = await orchestrator.spawn(parent, task, call_id)
            except AgentError as error:
                return not_started(task, error)
            return (await orchestrator.join(parent, [node]))[0]

    if gate is None:
        return await _all_at_once(orchestrator, parent, tasks, call_id, timeout_s)
    running = [asyncio.ensure_future(one(index, task)) for index, task in enumerate(tasks)]
    await _within(orchestrator, parent, running, nodes, timeout_s)
    return [future.result() for future in running]


async def _all_at_once(
    orchestrator: Orchestrator, parent: Node, tasks: Sequence[Task], call_id: str, timeout_s: float | None
) -> list[Ended]:
    """Every worker is started, queued where no slot is free, and waited for in one go."""
    results: dict[int, Ended] = {}
    nodes: dict[int, Node] = {}
    for index, task in enumerate(tasks):
        try:
            nodes[index] = await orchestrator.spawn(parent, task, call_id)
        except AgentError as error:
            results[index] = not_started(task, error)
        except asyncio.CancelledError:
            await orchestrator.end(list(nodes.values()), parent.held.ending())
            raise
    timer = asyncio.create_task(_time_out(orchestrator, list(nodes.values()), timeout_s)) if timeout_s else None
    try:
        ended = await orchestrator.join(parent, list(nodes.values()))
    finally:
        if timer is not None:
            timer.cancel()
    results.update(zip(nodes, ended, strict=True))
    return [results[index] for index in range(len(tasks))]


async def _within(
    orchestrator: Orchestrator,
    parent: Node,
    running: Sequence[asyncio.Future[Ended]],
    nodes: dict[int, Node],
    timeout_s: float | None,
) -> None:
    try:
        _, late = await asyncio.wait(running, timeout=timeout_s)
        if late:
            reason = TimeLimit(f"the fan-out's time limit of {timeout_s:g} s is over.")
            while late:
                await orchestrator.end(list(nodes.values()), reason)
                _, late = await asyncio.wait(late, timeout=0.05)
    except asyncio.CancelledError:
        for future in running:
            future.cancel()
        await orchestrator.end(list(nodes.values()), parent.held.ending())
        await asyncio.wait(running)
        raise


async def _time_out(orchestrator: Orchestrator, nodes: Sequence[Node], timeout_s: float) -> None:
    await asyncio.sleep(timeout_s)
    await orchestrator.end(nodes, TimeLimit(f"the fan-out's time limit of {timeout_s:g} s is over."))


@dataclass(frozen=True)
class Passed:
    """What a pipeline made of one item: the last stage's result, and whether every stage was passed."""

    item: str
    stages: tuple[Ended, ...]

    @property
    def ok(self) -> bool:
        return bool(self.stages) and self.stages[-1].ok


async def pipeline(
    orchestrator: Orchestrator, parent: Node, items: Sequence[str], stages: Sequence[Task], *, call_id: str = ""
) -> list[Passed]:
    """Each item goes through the stages on its own, no item waits for another. A stage that fails ends that item only.

    Prompts may hold `{item}` and `{previous}` (the text of the stage before; "" for the first).
    """

    async def one(item: str) -> Passed:
        done: list[Ended] = []
        for stage in stages:
            previous = done[-1].text if done else ""
            prompt = stage.prompt.replace("{item}", item).replace("{previous}", previous)
            done.append(await run_one(orchestrator, parent, replace(stage, prompt=prompt), call_id))
            if not done[-1].ok:
                break
        return Passed(item, tuple(done))

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(item)) for item in items]
    return [task.result() for task in running]


def not_started(task: Task, error: AgentError) -> Ended:
    """The result of a task that was refused before its worker started."""
    use = ModelUse(task.model or "", task.model or "none", "call")
    return Ended(
        worker_id="not started", name=task.agent, agent=task.agent, status="failed", text="", use=use, failure=failure_of(error), label=task.label
    )


__all__ = ["Passed", "not_started", "parallel", "pipeline", "run_one"]

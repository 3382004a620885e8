"""Three ways to put workers together, as plain functions over the orchestrator: side by side, in stages, as a team with a reviewer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from agentcli.agents.orchestrator import Orchestrator
from agentcli.agents.tree import NOT_STARTED, Ended, Node, Task
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import AgentError, TimeLimit
from agentcli.protocol.models import ModelUse


async def run_one(orchestrator: Orchestrator, parent: Node, task: Task, call_id: str = "") -> Ended:
    """One worker from start to end. A task that cannot start is a failed result, not an error."""
    try:
        node = await orchestrator.spawn(parent, task, call_id)
    except AgentError as error:
        return not_started(orchestrator, parent, task, error)
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
    bound = asyncio.Semaphore(max_parallel) if max_parallel else None
    results: dict[int, Ended] = {}
    nodes: dict[int, Node] = {}
    for index, task in enumerate(tasks):
        try:
            nodes[index] = await orchestrator.spawn(parent, task, call_id, bound)
        except AgentError as error:
            results[index] = not_started(orchestrator, parent, task, error)
        except BaseException:
            await orchestrator.end(list(nodes.values()), parent.held.ending())
            raise
    ended = await _join_within(orchestrator, parent, list(nodes.values()), timeout_s)
    results.update(zip(nodes, ended, strict=True))
    return [results[index] for index in range(len(tasks))]


async def _join_within(orchestrator: Orchestrator, parent: Node, nodes: Sequence[Node], timeout_s: float | None) -> list[Ended]:
    if timeout_s is None:
        return await orchestrator.join(parent, nodes)
    timer = asyncio.create_task(_time_out(orchestrator, nodes, timeout_s))
    try:
        return await orchestrator.join(parent, nodes)
    finally:
        timer.cancel()


async def _time_out(orchestrator: Orchestrator, nodes: Sequence[Node], timeout_s: float) -> None:
    await asyncio.sleep(timeout_s)
    await orchestrator.end(nodes, TimeLimit(f"the fan-out's time limit of {timeout_s:g} s is over."))


class Passed(Struct, frozen=True):
    """What a pipeline made of one item: the last stage's result, and whether every stage was passed."""

    item: str
    stages: tuple[Ended, ...]

    @property
    def ok(self) -> bool:
        return bool(self.stages) and self.stages[-1].ok


async def pipeline(orchestrator: Orchestrator, parent: Node, items: Sequence[str], stages: Sequence[Task], *, call_id: str = "") -> list[Passed]:
    """Each item goes through the stages on its own, no item waits for another. A stage that fails ends that item only.

    Prompts may hold `{item}` and `{previous}` (the text of the stage before; "" for the first). Where one of the stages cannot start, for
    its worker or model is unknown or not permitted, nothing runs at all.
    """
    for stage in stages:
        try:
            orchestrator.check(parent, stage)
        except AgentError as error:
            refused = not_started(orchestrator, parent, stage, error)
            return [Passed(item, (refused,)) for item in items]

    async def one(item: str) -> Passed:
        done: list[Ended] = []
        for stage in stages:
            previous = done[-1].text if done else ""
            prompt = filled(stage.prompt, item, previous)
            done.append(await run_one(orchestrator, parent, replace(stage, prompt=prompt), call_id))
            if not done[-1].ok:
                break
        return Passed(item, tuple(done))

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(item)) for item in items]
    return [task.result() for task in running]


def filled(prompt: str, item: str, previous: str) -> str:
    """A stage's prompt. In one go: an item or an answer may itself hold braces."""
    return re.sub(r"\{(item|previous)\}", lambda found: item if found[1] == "item" else previous, prompt)


def not_started(orchestrator: Orchestrator, parent: Node, task: Task, error: AgentError) -> Ended:
    """The result of a task that was refused before its worker started; the person is told too, for no event of a worker says so."""
    orchestrator.tell_refused(parent, task, error)
    return Ended(
        worker_id=NOT_STARTED,
        name=task.agent,
        agent=task.agent,
        status="failed",
        text="",
        use=ModelUse(task.model or "", "", "call"),
        failure=failure_of(error),
        label=task.label,
    )


__all__ = ["Passed", "filled", "not_started", "parallel", "pipeline", "run_one"]

"""What a program has workers do, beside the session's conversation: one task, several side by side, a pipeline, a team. Nothing of it enters the
session's history, and calls may overlap. How it is done is in `jobs`, loaded when it is first used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from agentcli.protocol.errors import UsageError

if TYPE_CHECKING:
    import asyncio
    from typing import Unpack

    from agentcli.agents.orchestrator import Orchestrator
    from agentcli.sdk.bus import Bus
    from agentcli.sdk.options import TaskKeywords, TaskSpec
    from agentcli.sdk.orchestrator import AsyncAgentOrchestrator
    from agentcli.sdk.result import AgentResult, ItemResult, Result, TeamResult
    from agentcli.sdk.stages import Stage

    TaskLike = TaskSpec | Mapping[str, Any]

T = TypeVar("T")


class Delegating(ABC):
    """The part of a session that starts workers for a program."""

    tree: Orchestrator

    @property
    @abstractmethod
    def bus(self) -> Bus: ...

    @property
    @abstractmethod
    def orchestrator(self) -> AsyncAgentOrchestrator: ...

    @abstractmethod
    async def work(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T: ...

    @abstractmethod
    def beside(self, job: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]: ...

    @abstractmethod
    async def settled(self, task: asyncio.Task[T]) -> T: ...

    @overload
    async def task(
        self, agent: str | TaskLike, prompt: str | None = None, *, background: Literal[False] = False, **keywords: Unpack[TaskKeywords]
    ) -> Result: ...
    @overload
    async def task(
        self, agent: str | TaskLike, prompt: str | None = None, *, background: Literal[True], **keywords: Unpack[TaskKeywords]
    ) -> AgentResult: ...
    async def task(
        self, agent: str | TaskLike, prompt: str | None = None, *, background: bool = False, **keywords: Unpack[TaskKeywords]
    ) -> Result | AgentResult:
        """One worker, from start to end: `task("scout", "…")` or `task({"agent": "scout", "prompt": "…"})`; more as in `TaskSpec`.

        With `background` it is started and given back as it stands; `orchestrator` steers it and waits for it.

        Raises:
            UnknownAgent, UnknownModel, ModelRefused, UnknownOption: nothing was started.
            SessionClosed: after close.
            AgentError: the worker failed or was cancelled; its `result` holds what there is.
        """
        from agentcli.sdk import jobs
        from agentcli.sdk.options import read_task

        spec = read_task(agent, prompt, keywords)
        return await (jobs.started(self, spec) if background else jobs.one(self, spec))

    async def parallel(
        self,
        specs: Iterable[TaskLike],
        budget_tokens: int | None = None,
        *,
        max_parallel: int | None = None,
        timeout_s: float | None = None,
    ) -> list[Result]:
        """Tasks side by side, each with a worker of its own; results in the order of the tasks, a failed one marked by its `failure`.

        `budget_tokens` bounds all of them together, in and out: no further model call once they have used so many. `max_parallel` bounds how many
        run at once (the session's own bound holds too), `timeout_s` seconds for all.

        Raises:
            UnknownOption, UsageError: a spec is none. SessionClosed: after close. Interrupted: the session was cancelled.
        """
        from agentcli.sdk import jobs
        from agentcli.sdk.options import read_task

        read = [read_task(spec) for spec in several(specs, "parallel", "tasks")]
        for name, bound in (("budget_tokens", budget_tokens), ("max_parallel", max_parallel), ("timeout_s", timeout_s)):
            if bound is not None and not (isinstance(bound, int | float) and bound > 0):
                raise UsageError(f"{name} of parallel must be a number of more than 0, not {bound!r:.40}.")
        return await jobs.side_by_side(self, read, budget_tokens, max_parallel, timeout_s)

    async def pipeline(self, items: Iterable[Any], stages: Sequence[Stage]) -> list[ItemResult]:
        """Each item through all stages on its own, none waits for another; outcomes in the order of the items.

        A stage is a task, whose prompt may hold `{item}` and `{previous}` (what the stage before made; empty at first); or a function of the value
        so far (the item at first) and, where it takes two, of the item, sync or async. A function gives a task (a `TaskSpec`, or a dict with an
        agent and a prompt), a value for the next stage, or None, which ends this item only. A stage that fails ends its item only. Where the worker
        or the model of a stage that is a task cannot be used at all, nothing runs.

        Raises:
            UnknownOption, UsageError: a stage is none. SessionClosed: after close. Interrupted: the session was cancelled.
        """
        from agentcli.sdk import jobs
        from agentcli.sdk.stages import read_stages

        return await jobs.through(self, several(items, "pipeline", "items"), read_stages(stages))

    async def team(
        self,
        goal: str,
        *,
        lead_agent: str = "general",
        worker_agent: str = "general",
        reviewer_agent: str = "general",
        lead_model: str | None = None,
        worker_model: str | None = None,
        reviewer_model: str | None = None,
        workers: int = 3,
        max_steps: int | None = None,
        max_rounds: int = 10,
        workspace: str = "",
    ) -> TeamResult:
        """A lead splits the goal into tasks, workers do them in parallel, a reviewer approves each or sends it back.

        `workers` run at once at most; `max_steps` are the tool rounds of one member, `max_rounds` those of work and review. A rejected task does not
        raise: the result's `ok` and each item's `approved` say so.

        Raises:
            UnknownAgent, UnknownModel, ModelRefused: of one of the three; nothing was started.
            AgentError: the goal could not be split. SessionClosed: after close.
        """
        from agentcli.agents.team import TeamPlan
        from agentcli.sdk import jobs

        bounds = (workers, max_rounds, 1 if max_steps is None else max_steps)
        if not isinstance(goal, str) or not goal.strip() or not all(isinstance(bound, int) and bound > 0 for bound in bounds):
            raise UsageError("a team needs a goal, and workers, max_rounds and max_steps of at least 1.")
        plan = TeamPlan(
            goal=goal,
            lead_agent=lead_agent,
            worker_agent=worker_agent,
            reviewer_agent=reviewer_agent,
            lead_model=lead_model,
            worker_model=worker_model,
            reviewer_model=reviewer_model,
            workers=workers,
            max_steps=max_steps,
            max_rounds=max_rounds,
            workspace=workspace,
        )
        return await jobs.team(self, plan)


def several(given: Iterable[Any], verb: str, what: str) -> list[Any]:
    """A list of what was given. Raises UsageError: it is one thing, or none that can be gone through."""
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        return list(given)
    raise UsageError(f"{verb} takes a list of {what}, not {type(given).__name__}.", hint="Put the one into [ ].")

"""Sessions for programs that do not await: `Session` and `AgentOrchestrator`, twins of the async ones. Their agent and its thread are in `sync`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, overload

from agentcli.protocol.errors import SessionClosed, UsageError
from agentcli.protocol.events import Compacted, Envelope
from agentcli.sdk.result import AgentResult, ItemResult, Result, TeamResult
from agentcli.sdk.work import several

if TYPE_CHECKING:
    from typing import Unpack

    from agentcli.protocol.messages import Message, UserMessage
    from agentcli.sdk.options import OutputSchema, TaskKeywords
    from agentcli.sdk.session import AsyncSession
    from agentcli.sdk.stages import Stage
    from agentcli.sdk.sync import Agent
    from agentcli.sdk.work import TaskLike


class Session:
    """One conversation and its workers, opened by `Agent.session`.

        with agent.session(".") as session:
            print(session.send("Which file is the largest?"))
            print(session.task("explore", "List every TODO in src/."))

    May be used from several threads. Of the conversation (`send`, `run`, `stream`) one call at a time: the second raises SessionBusy at once;
    workers (`task`, `parallel`, `pipeline`, `team`) run beside it and beside each other. Ctrl-C in a waiting call ends what it waits for, and is
    raised on.
    """

    def __init__(self, agent: Agent, session: AsyncSession) -> None:
        self._agent = agent
        self._session = session
        self.id = session.id
        """What `resume_session` takes."""

    def send(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Result:
        """One message and all that follows, until the model has answered. The result prints as its text.

            result = session.send("Rate this name: x1", output_schema=Rating)
            print(result.structured.stars, result.usage.total, "tokens", result.cost_usd, "USD", result.model)

        `output_schema`, a pydantic model or a JSON schema, is for this run; the result's `structured` fits it.

        Raises:
            SessionBusy: a message is being answered already. SessionClosed: after close. Interrupted: `cancel` was called.
            AgentError: the run failed; its `result` holds what there is. A `ProviderError` where a model call did, a `LimitReached` where turns,
                budget or time were spent, `OutputInvalid` where the answer does not fit the schema.
        """
        return self._agent._call(lambda: self._session.send(message, output_schema=output_schema))

    def run(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Result:
        """The same as `send`."""
        return self.send(message, output_schema=output_schema)

    def stream(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Generator[Envelope | Result, None, None]:
        """One message; gives each event as it comes, in its `Envelope` (who, when, what), and in the end exactly one `Result`.

            for item in session.stream("Look around."):
                if isinstance(item, Result):
                    print(item.ok, item.cost_usd)
                elif isinstance(item.event, TextDelta):
                    print(item.event.text, end="")

        The run begins with the first item that is asked for. A failed or cancelled one does not raise here: its `Result` says so in `failure`.
        Leaving the loop early ends the run.

        Raises:
            SessionBusy, SessionClosed, AgentError: the run could not begin.
        """
        items: SimpleQueue[Envelope | Result | None] = SimpleQueue()

        async def pump() -> None:
            async with aclosing(self._session.stream(message, output_schema=output_schema)) as events:
                async for item in events:
                    items.put(item)

        job = self._agent._thread.begin(pump)
        job.done.add_done_callback(lambda _: items.put(None))
        try:
            while (item := items.get()) is not None:
                yield item
            job.result()
        finally:
            if self._agent._thread.is_current:  # a forgotten generator may be collected there
                job.cancel()
            else:
                job.end()

    @overload
    def task(
        self, agent: str | TaskLike, prompt: str | None = None, *, background: Literal[False] = False, **keywords: Unpack[TaskKeywords]
    ) -> Result: ...
    @overload
    def task(
        self, agent: str | TaskLike, prompt: str | None = None, *, background: Literal[True], **keywords: Unpack[TaskKeywords]
    ) -> AgentResult: ...
    def task(
        self, agent: str | TaskLike, prompt: str | None = None, *, background: bool = False, **keywords: Unpack[TaskKeywords]
    ) -> Result | AgentResult:
        """One worker, from start to end, with an empty history of its own; nothing of it enters the session's.

            session.task("scout", "List every public API in src/.", model="fast", timeout_s=120)
            session.task({"agent": "scout", "prompt": "List every public API in src/."})

        What else may be said of it is told of in `TaskSpec`. With `background` it is started and given back as it stands; `orchestrator` steers
        it and waits for it.

        Raises:
            UnknownAgent, UnknownModel, ModelRefused, ConfigError, UnknownOption, UsageError: nothing was started.
            SessionClosed: after close. AgentError: the worker failed or was cancelled; its `result` holds what there is.
        """
        if background:
            return self._agent._call(lambda: self._session.task(agent, prompt, background=True, **keywords))
        return self._agent._call(lambda: self._session.task(agent, prompt, **keywords))

    def parallel(
        self, specs: Iterable[TaskLike], budget_tokens: int | None = None, *, max_parallel: int | None = None, timeout_s: float | None = None
    ) -> list[Result]:
        """Tasks side by side, each with a worker of its own; results in the order of the tasks, a failed one marked by its `failure`.

            for result in session.parallel([{"agent": "scout", "prompt": f"Sum up {name}."} for name in names], budget_tokens=50_000):
                print(result if result.ok else result.failure)

        `budget_tokens` bounds all of them together, in and out: no further model call once they have used so many. `max_parallel` bounds how many
        run at once (the session's own bound holds too), `timeout_s` seconds for all.

        Raises:
            UnknownOption, UsageError: a spec is none. SessionClosed: after close. Interrupted: the session was cancelled.
        """
        given = several(specs, "parallel", "tasks")
        return self._agent._call(lambda: self._session.parallel(given, budget_tokens, max_parallel=max_parallel, timeout_s=timeout_s))

    def pipeline(self, items: Iterable[Any], stages: Sequence[Stage]) -> list[ItemResult]:
        """Each item through all stages on its own, none waits for another; outcomes in the order of the items.

            session.pipeline(names, [
                {"agent": "scout", "prompt": "Sum up {item}."},
                lambda found: found if found.text else None,
                {"agent": "general", "prompt": "Give this a title: {previous}", "model": "fast"},
            ])

        A stage is a task, whose prompt may hold `{item}` and `{previous}` (what the stage before made; empty at first); or a function of the value
        so far (the item at first) and, where it takes two, of the item, sync or async. A function gives a task (a `TaskSpec`, or a dict with an
        agent and a prompt), a value for the next stage, or None, which ends this item only. A stage that fails ends its item only. Where the worker
        or the model of a stage that is a task cannot be used at all, nothing runs, and every outcome says why.

        Raises:
            UnknownOption, UsageError: a stage is none. SessionClosed: after close. Interrupted: the session was cancelled.
        """
        given = several(items, "pipeline", "items")
        return self._agent._call(lambda: self._session.pipeline(given, stages))

    def team(
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

            team = session.team("Describe every module.", lead_model="strong", worker_model="fast", max_rounds=2)
            print(team.ok, [(part.title, part.approved) for part in team.items], team.cost_usd)

        `workers` run at once at most; `max_steps` are the tool rounds of one member, `max_rounds` those of work and review. `workspace` is
        "branch" where each worker shall have its own; approved ones are merged. A rejected task does not raise: the result's `ok` and each item's
        `approved` say so.

        Raises:
            UnknownAgent, UnknownModel, ModelRefused: of one of the three; nothing was started.
            AgentError: the goal could not be split. SessionClosed: after close.
        """
        return self._agent._call(
            lambda: self._session.team(
                goal,
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
        )

    def use_model(self, name: str) -> None:
        """The session's model from its next model call on, also in the middle of a run; workers that run keep theirs.

            session.use_model("openai/gpt-5:high")

        Raises:
            UnknownModel: nobody has it; names the nearest. ModelRefused: its price is unknown and a budget in USD is set. ConfigError: its provider
                lacks a variable. SessionClosed: after close.
        """
        self._agent._now(lambda: self._session.use_model(name))

    def compact(self, instructions: str = "") -> Compacted:
        """Makes the history shorter: the model sums up its older turns, the first request and the latest turns stay as they are. By itself this
        happens when the model's context is nearly full.

            session.compact("keep the plan for the tests")

        Raises:
            SessionBusy, SessionClosed, StorageError: it could not begin. UsageError: there is nothing to compact.
            AgentError: the model could not be asked, or it was interrupted; the history is as it was.
        """
        return self._agent._call(lambda: self._session.compact(instructions))

    def cancel(self) -> None:
        """Ends what runs, the answer and all workers, and waits until it has; whoever waits for it gets Interrupted. Nothing where nothing runs.

        The session goes on: what was said so far stays in its history.
        """
        with contextlib.suppress(SessionClosed):
            self._agent._call(self._session.cancel)

    def save(self) -> Path:
        """Makes sure that all so far survives a power cut; gives the session's file. (Events are written as they happen, also without this.)

        Raises:
            UsageError: the session was opened with `save=False`. StorageError: the file cannot be written. SessionClosed: after close.
        """
        return self._agent._call(self._session.save)

    def listen(self, listener: Callable[[Envelope], None]) -> Callable[[], None]:
        """Every event from now on, on the agent's own thread; the returned function ends it.

            leave = session.listen(lambda envelope: print(envelope.agent_id, type(envelope.event).__name__))

        The listener must neither block nor raise: what it raises ends what runs.
        """
        leave = self._agent._now(lambda: self._session.listen(listener))

        def leave_there() -> None:
            if self._agent._thread.is_current:
                leave()
            elif not self._session.closed:
                self._agent._now(leave)

        return leave_there

    @property
    def history(self) -> tuple[Message, ...]:
        """What was said so far, as the model is sent it."""
        return self._session.history

    @property
    def agents(self) -> tuple[AgentResult, ...]:
        """Every worker of the session as it stands, whoever started it."""
        return self._session.agents

    @property
    def orchestrator(self) -> AgentOrchestrator:
        """Steers the session's agents while they run, from any thread."""
        return AgentOrchestrator(self)

    @property
    def busy(self) -> bool:
        """Whether anything runs: an answer, or workers beside it."""
        return self._session.busy

    @property
    def closed(self) -> bool:
        """Whether `close` was called, of the session or of its agent."""
        return self._session.closed

    def close(self) -> None:
        """Ends what runs, frees processes and files. Safe to call twice, also after the agent is closed."""
        if not self._session.closed:
            with contextlib.suppress(SessionClosed):  # the agent was closed meanwhile; a forked child has no part in its parent's loop
                self._agent._call(self._session.close)

    def __repr__(self) -> str:
        return repr(self._session).replace("Async", "", 1)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AgentOrchestrator:
    """The agents of one session, steered from any thread while `send` runs. An agent is named by its id (`main/scout-1`) or its name (`scout-1`).

        worker = session.task("scout", "Read everything.", background=True)
        orchestrator = AgentOrchestrator(session)        # or session.orchestrator
        orchestrator.inject_prompt(worker.id, "Stop and summarize what you've done so far")
        print(orchestrator.wait(worker.id, timeout_s=60))

    An unknown id raises UnknownAgent, which names the known ones.
    """

    def __init__(self, session: Session) -> None:
        if not isinstance(session, Session):
            raise UsageError(f"AgentOrchestrator takes a Session, not {type(session).__name__}.", hint="An AsyncSession has AsyncAgentOrchestrator.")
        self._agent = session._agent
        self._orchestrator = session._session.orchestrator

    def pause_agent(self, agent_id: str) -> None:
        """Lets the current model call finish and holds the agent at its next checkpoint. Raises UnknownAgent; UsageError where it is over."""
        self._agent._call(lambda: self._orchestrator.pause_agent(agent_id))

    def resume_agent(self, agent_id: str) -> None:
        """Lets a paused agent go on. Raises as `pause_agent`."""
        self._agent._call(lambda: self._orchestrator.resume_agent(agent_id))

    def cancel_agent(self, agent_id: str) -> None:
        """Ends a worker and its own workers; returns when none of their processes is left (2 seconds at most). Raises as `pause_agent`."""
        self._agent._call(lambda: self._orchestrator.cancel_agent(agent_id))

    def inject_prompt(self, agent_id: str, prompt: str) -> None:
        """Gives an agent a message, which it reads at its next safe point. Raises as `pause_agent`."""
        self._agent._call(lambda: self._orchestrator.inject_prompt(agent_id, prompt))

    def list_agents(self) -> tuple[AgentResult, ...]:
        """Every agent of the session as it stands, the main one first, parents before their workers."""
        return self._agent._call(self._orchestrator.list_agents)

    def get_agent(self, agent_id: str) -> AgentResult:
        """One agent as it stands. Raises UnknownAgent."""
        return self._agent._call(lambda: self._orchestrator.get_agent(agent_id))

    def wait(self, agent_id: str, timeout_s: float | None = None) -> AgentResult:
        """Waits for a worker's end; a failed one is told by its `failure`.

        Raises:
            UnknownAgent. TimeLimit: it still runs after `timeout_s` seconds. UsageError: the main agent, which no worker is.
        """
        return self._agent._call(lambda: self._orchestrator.wait(agent_id, timeout_s))

    def wait_all(self, timeout_s: float | None = None) -> tuple[AgentResult, ...]:
        """Waits for every worker that runs; gives all workers of the session. Raises TimeLimit: one still runs after `timeout_s` seconds."""
        return self._agent._call(lambda: self._orchestrator.wait_all(timeout_s))

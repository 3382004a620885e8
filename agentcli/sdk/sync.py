"""The library for programs that do not await: `Agent`, `Session` and `AgentOrchestrator`, twins of the async classes, whose docstrings hold here too.

Every agent has one event loop in a thread of its own; a call hands its work over and waits, so it works within a running event loop (a notebook)
and from any thread. Ctrl-C in a waiting call ends the work and is raised on.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from agentcli.protocol.errors import AgentError, UsageError
from agentcli.protocol.events import Envelope
from agentcli.sdk.agent import AsyncAgent
from agentcli.sdk.loop_thread import LoopThread
from agentcli.sdk.result import AgentResult, ItemResult, Result, TeamResult

if TYPE_CHECKING:
    from typing import Unpack

    from agentcli.protocol.messages import Message, UserMessage
    from agentcli.sdk.options import OutputSchema, SessionOptions, TaskKeywords
    from agentcli.sdk.session import AsyncSession
    from agentcli.sdk.stages import Stage
    from agentcli.sdk.work import TaskLike
    from agentcli.store.sessions import SessionInfo

    OptionsLike = SessionOptions | Mapping[str, Any]

T = TypeVar("T")


class Agent:
    """One configuration, and the sessions opened from it.

        with Agent.create("agent.hcl") as agent, agent.session(".", model="fast") as session:
            print(session.send("What does this project do?"))

    One that is not closed is closed when it is garbage or the interpreter ends.
    """

    def __init__(self, agent: AsyncAgent) -> None:
        self._agent = agent
        self._thread = LoopThread("agentcli agent")
        self._end = weakref.finalize(self, _end, agent, self._thread)

    @classmethod
    def create(cls, source: str | Path) -> Agent:
        """From HCL text, or the path of an `.hcl` or `.acl` file. That config is the whole: no user or project layer.

        Raises:
            ConfigError: what is wrong, with file, line and column.
        """
        return cls(AsyncAgent.create_now(source))

    def session(self, path: str | Path = ".", options: OptionsLike | None = None, **keywords: Any) -> Session:
        """See `AsyncAgent.session`."""
        return Session(self, self._call(lambda: _now(lambda: self._agent.session(path, options, **keywords))))

    def resume_session(self, session_id: str, path: str | Path | None = None, options: OptionsLike | None = None, **keywords: Any) -> Session:
        """See `AsyncAgent.resume_session`."""
        return Session(self, self._call(lambda: _now(lambda: self._agent.resume_session(session_id, path, options, **keywords))))

    def list_sessions(self, path: str | Path | None = None) -> list[SessionInfo]:
        """Saved sessions of a folder, or of all, the latest first. Raises StorageError."""
        return self._agent.list_sessions(path)

    def close(self) -> None:
        """Closes every session, connection and child, and ends the thread. Safe to call twice."""
        if not self._end.alive:
            return
        try:
            if self._thread.started:
                self._call(self._agent.close)
        finally:
            self._thread.stop()
            self._end.detach()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, make: Callable[[], Awaitable[T]]) -> T:
        async def work() -> T:
            return await make()

        return self._thread.run(work)


class Session:
    """One conversation and its workers; see `AsyncSession`. May be used from several threads: the second `send` at once raises SessionBusy."""

    def __init__(self, agent: Agent, session: AsyncSession) -> None:
        self._agent = agent
        self._session = session
        self.id = session.id
        """What `resume_session` takes."""

    def send(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Result:
        """See `AsyncSession.send`."""
        return self._agent._call(lambda: self._session.send(message, output_schema=output_schema))

    def run(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Result:
        """The same as `send`."""
        return self.send(message, output_schema=output_schema)

    def stream(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Generator[Envelope | Result, None, None]:
        """See `AsyncSession.stream`: each event as it comes, in its `Envelope`, and in the end exactly one `Result`."""
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
        """See `AsyncSession.task`."""
        if background:
            return self._agent._call(lambda: self._session.task(agent, prompt, background=True, **keywords))
        return self._agent._call(lambda: self._session.task(agent, prompt, **keywords))

    def parallel(
        self, specs: Iterable[TaskLike], budget_tokens: int | None = None, *, max_parallel: int | None = None, timeout_s: float | None = None
    ) -> list[Result]:
        """See `AsyncSession.parallel`."""
        given = list(specs)
        return self._agent._call(lambda: self._session.parallel(given, budget_tokens, max_parallel=max_parallel, timeout_s=timeout_s))

    def pipeline(self, items: Iterable[Any], stages: Sequence[Stage]) -> list[ItemResult]:
        """See `AsyncSession.pipeline`."""
        given = list(items)
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
        """See `AsyncSession.team`."""
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
        """The session's model from its next model call on. Raises UnknownModel, SessionClosed."""
        self._agent._call(lambda: _now(lambda: self._session.use_model(name)))

    def cancel(self) -> None:
        """Ends what runs, the answer and all workers, and waits until it has; whoever waits for it gets Interrupted. Nothing where nothing runs."""
        self._agent._call(self._session.cancel)

    def save(self) -> Path:
        """See `AsyncSession.save`."""
        return self._agent._call(self._session.save)

    def listen(self, listener: Callable[[Envelope], None]) -> Callable[[], None]:
        """Every event from now on, on the agent's own thread; the listener must neither block nor raise. The returned function ends it."""
        leave = self._agent._call(lambda: _now(lambda: self._session.listen(listener)))

        def leave_there() -> None:
            if self._agent._thread.is_current:
                leave()
            elif not self._session.closed:
                self._agent._call(lambda: _now(leave))

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
        return self._session.closed

    def close(self) -> None:
        """Ends what runs, frees processes and files. Safe to call twice, also after the agent is closed."""
        if not self._session.closed:
            self._agent._call(self._session.close)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AgentOrchestrator:
    """The agents of one session, steered from any thread while `send` runs; see `AsyncAgentOrchestrator`."""

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
        """Ends a worker and its own workers; returns when none of their processes is left. Raises as `pause_agent`."""
        self._agent._call(lambda: self._orchestrator.cancel_agent(agent_id))

    def inject_prompt(self, agent_id: str, prompt: str) -> None:
        """Gives an agent a message, which it reads at its next safe point. Raises as `pause_agent`."""
        self._agent._call(lambda: self._orchestrator.inject_prompt(agent_id, prompt))

    def list_agents(self) -> tuple[AgentResult, ...]:
        """Every agent of the session as it stands, the main one first."""
        return self._agent._call(self._orchestrator.list_agents)

    def get_agent(self, agent_id: str) -> AgentResult:
        """One agent as it stands. Raises UnknownAgent."""
        return self._agent._call(lambda: self._orchestrator.get_agent(agent_id))

    def wait(self, agent_id: str, timeout_s: float | None = None) -> AgentResult:
        """Waits for a worker's end. Raises UnknownAgent, TimeLimit."""
        return self._agent._call(lambda: self._orchestrator.wait(agent_id, timeout_s))

    def wait_all(self, timeout_s: float | None = None) -> tuple[AgentResult, ...]:
        """Waits for every worker that runs; gives all workers of the session. Raises TimeLimit."""
        return self._agent._call(lambda: self._orchestrator.wait_all(timeout_s))


async def _now(what: Callable[[], T]) -> T:
    """Something that does not wait, on the loop's own thread."""
    return what()


def _end(agent: AsyncAgent, thread: LoopThread) -> None:
    """The last of an agent that nobody closed."""
    if not thread.started:
        return
    if thread.is_current:
        thread.stop_after(agent.close)
        return
    with contextlib.suppress(AgentError):
        thread.run(agent.close)
    thread.stop()

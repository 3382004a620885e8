"""The library for programs that do not await: `Agent`, the twin of `AsyncAgent`. Its sessions are in `sync_session`.

Every agent has one event loop in a thread of its own; a call hands its work over and waits, so it works within a running event loop (a notebook)
and from any thread. Ctrl-C in a waiting call ends the work and is raised on.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentcli.protocol.errors import AgentError, SessionClosed, UsageError
from agentcli.sdk.agent import AsyncAgent
from agentcli.sdk.loop_thread import LoopThread
from agentcli.sdk.sync_session import Session

if TYPE_CHECKING:
    from typing import Unpack

    from agentcli.sdk.options import ResumeKeywords, SessionKeywords, SessionOptions
    from agentcli.store.sessions import SessionInfo

    OptionsLike = SessionOptions | Mapping[str, Any]

T = TypeVar("T")


class Agent:
    """One configuration, and the sessions opened from it. Made by `Agent.create`.

        with Agent.create("agent.hcl") as agent, agent.session(".", model="fast") as session:
            print(session.send("What does this project do?"))

    May be used from many threads at once. One that is not closed is closed when it is garbage or the interpreter ends.
    """

    def __init__(self, agent: AsyncAgent) -> None:
        if not isinstance(agent, AsyncAgent):
            raise UsageError("an agent is made by Agent.create(…), from HCL text or the path of a config file.")
        self._agent = agent
        self._thread = LoopThread("agentcli agent")
        self._end = weakref.finalize(self, _end, agent, self._thread)

    @classmethod
    def create(cls, source: str | Path) -> Agent:
        """From HCL text, or the path of an `.hcl` or `.acl` file. That config is the whole: no user or project layer is read.

            Agent.create("agent.hcl")
            Agent.create('''
                default_model = "openai/gpt-5"
                providers "openai" { apiKey = env("OPENAI_API_KEY") }
            ''')

        Raises:
            ConfigError: what is wrong, with file, line and column. A variable that is not set is told when its provider is first needed.
        """
        return cls(AsyncAgent.create_now(source))

    def session(self, path: str | Path = ".", options: OptionsLike | None = None, **keywords: Unpack[SessionKeywords]) -> Session:
        """Opens a session in a folder. Options are a `SessionOptions`, a dict (snake_case or camelCase) or keywords, which win; all are told
        of in `SessionOptions`.

            agent.session("src", model="openai/gpt-5:high", max_budget_usd=0.5, timeout_s=600)

        Raises:
            UnknownOption, UsageError: an option is wrong; names the nearest right one. UnknownModel: nobody has that model; names the nearest.
            ConfigError: the model's provider lacks a variable. SessionClosed: the agent is closed.
        """
        return Session(self, self._now(lambda: self._agent.session(path, options, **keywords)))

    def resume_session(
        self, session_id: str, path: str | Path | None = None, options: OptionsLike | None = None, **keywords: Unpack[ResumeKeywords]
    ) -> Session:
        """Opens a saved session again, named by its id or the beginning of it, in the folder where it ran unless `path` names another.

            agent.resume_session(agent.list_sessions(".")[0].id)

        It goes on with its history and on its own model, unless an option names another.

        Raises:
            SessionNotFound: there is none. SessionError: it is open already, or several begin like that. And as `session`.
        """
        return Session(self, self._now(lambda: self._agent.resume_session(session_id, path, options, **keywords)))

    def list_sessions(self, path: str | Path | None = None) -> list[SessionInfo]:
        """Saved sessions of a folder, or of all, the latest first: id, title, folder, model, turns. Raises StorageError."""
        return self._agent.list_sessions(path)

    def close(self) -> None:
        """Ends what runs, closes every session, connection and child, and ends the thread. Safe to call twice."""
        if not self._end.alive:
            return
        try:
            if self._thread.started:
                with contextlib.suppress(SessionClosed):  # a forked child has no part in its parent's loop
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

    def _now(self, what: Callable[[], T]) -> T:
        """Something that does not wait, on the loop's own thread."""

        async def work() -> T:
            return what()

        return self._thread.run(work)


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

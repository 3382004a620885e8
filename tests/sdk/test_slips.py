"""What a program does wrong with an agent and its sessions: it is told in one line what, and the session goes on as if nothing had been asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.library import echo, hcl, scripted, served
from support.server import Server

from agentcli import (
    Agent,
    AgentError,
    AgentFinished,
    AgentOrchestrator,
    AgentSpawned,
    AsyncAgent,
    AsyncAgentOrchestrator,
    AsyncSession,
    ConfigError,
    Envelope,
    RunFinished,
    SessionClosed,
    SessionInfo,
    ToolFinished,
    UnknownModel,
    UsageError,
    UserSubmitted,
)

Play = Callable[..., Any]
TASK = {"agent": "explore", "prompt": "x"}


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        (lambda session: session.send(5), "a message is text or a UserMessage, not int. Give the text of it"),
        (lambda session: session.send(None), "a message is text or a UserMessage, not NoneType"),
        (lambda session: session.send(" \n"), "the message is empty"),
        (lambda session: anext(session.stream(b"x")), "a message is text or a UserMessage, not bytes"),
        (
            lambda session: session.send("x", output_schema="str"),
            "output_schema is a pydantic model (the class) or a JSON schema (a dict), not 'str'",
        ),
        (lambda session: session.send("x", output_schema=list[int]), "not list[int]. Put a list or a plain type into a model"),
        (lambda session: session.send("x", output_schema={"type": "objekt"}), "output_schema: no valid JSON schema: 'objekt' is not valid"),
        (
            lambda session: session.task("explore", "x", output_schema=3),
            "output_schema is a pydantic model (the class) or a JSON schema (a dict), not 3",
        ),
        (lambda session: session.parallel(TASK), "parallel takes a list of tasks, not dict. Put the one into [ ]."),
        (lambda session: session.parallel(None), "parallel takes a list of tasks, not NoneType"),
        (lambda session: session.parallel([TASK], "50"), "budget_tokens of parallel must be a number of more than 0, not '50'"),
        (lambda session: session.parallel([TASK], max_parallel=0), "max_parallel of parallel must be a number of more than 0, not 0"),
        (lambda session: session.pipeline("abc", [TASK]), "pipeline takes a list of items, not str"),
        (lambda session: session.pipeline(["a"], TASK), "pipeline takes a list of stages, not dict"),
        (lambda session: session.team(None), "a team needs a goal"),
        (lambda session: session.team("x", workers="3"), "a team needs a goal, and workers, max_rounds and max_steps of at least 1"),
        (lambda session: session.orchestrator.inject_prompt("main", None), "a message is text or a UserMessage, not NoneType"),
        (lambda session: session.orchestrator.inject_prompt("main", ""), "the message is empty"),
    ],
)
def test_a_slip_in_a_call_is_told_and_nothing_is_asked(play: Play, slip: Callable[[AsyncSession], Any], said: str) -> None:
    async def scene(session: AsyncSession) -> None:
        with pytest.raises(UsageError) as caught:
            await slip(session)
        assert said in caught.value.line()
        assert session.history == () and session.agents == () and not session.busy
        assert str(await session.send("a good one")) == "fine"

    play(scripted(["fine"]), scene)


def test_a_model_without_a_name_is_unknown(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        for name in (None, "", "  "):
            with pytest.raises(UnknownModel):
                session.use_model(name)  # type: ignore[arg-type]

    play(scripted([]), scene)


@pytest.mark.parametrize("source", [None, "", "  ", 3, {"default_model": "x"}, b"x"])
def test_what_is_no_config_says_what_one_is(source: Any) -> None:
    with pytest.raises(ConfigError, match="a config is HCL text, or the path of an .hcl or .acl file, not "):
        Agent.create(source)


def test_an_agent_made_without_create_says_how_it_is_made() -> None:
    with pytest.raises(UsageError, match=r"made by Agent.create\(…\), from HCL text or the path"):
        Agent("agent.hcl")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"made by AsyncAgent.create\(…\)"):
        AsyncAgent("agent.hcl", {})  # type: ignore[arg-type]


def test_a_session_is_opened_in_a_folder_and_resumed_by_its_id() -> None:
    with Agent.create(hcl(["x"])) as agent:
        with pytest.raises(UsageError, match="opened in a folder, a text or a Path, not NoneType"):
            agent.session(None)  # type: ignore[arg-type]
        with agent.session(".") as session:
            session.send("hello")
        (info,) = agent.list_sessions(".")
        assert isinstance(info, SessionInfo)
        with pytest.raises(UsageError, match="a session's id is text, not SessionInfo. What list_sessions gives has it as its `id`"):
            try:
                agent.resume_session(info)  # type: ignore[arg-type]
            except UsageError as error:
                raise UsageError(error.line()) from error
        with pytest.raises(UsageError, match="both name a session"):
            agent.session(".", resume=info.id, continue_latest=True)
        with pytest.raises(UsageError, match="goes on keeps its id"):
            agent.session(".", resume=info.id, session_id="mine")
        with agent.resume_session(info.id) as again:
            assert len(again.history) == 2
        with pytest.raises(SessionClosed):
            again.save()
        with pytest.raises(UsageError, match="'fork' copies a saved session, and none is named"):
            agent.session(".", fork=True)


def test_an_orchestrator_of_the_other_kind_is_named() -> None:
    with Agent.create(hcl([])) as agent, agent.session(".") as session:
        with pytest.raises(UsageError, match="AsyncAgentOrchestrator takes an AsyncSession, not Session"):
            AsyncAgentOrchestrator(session)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="AgentOrchestrator takes a Session, not Agent"):
            AgentOrchestrator(agent)  # type: ignore[arg-type]


def test_an_agent_on_a_second_event_loop_says_what_to_do_instead_of_failing_somewhere() -> None:
    with Server(always=echo) as server:
        agent = AsyncAgent.create_now(served(server, "small"))
        session, other = agent.session(".", save=False), agent.session(".", save=False)
        assert str(asyncio.run(session.send("one"))) == "small: one"
        for call in (lambda: session.send("two"), lambda: other.send("two"), lambda: other.task("explore", "two")):
            with pytest.raises(UsageError, match="used on another event loop") as caught:
                asyncio.run(call())
            assert "use Agent, which has a loop of its own" in caught.value.hint


def test_a_session_says_what_it_is_where_it_is_shown(play: Play) -> None:
    async def scene(session: AsyncSession) -> str:
        return repr(session)

    shown = play(scripted([]), scene, session_id="s1")
    assert shown == "<AsyncSession s1 on demo/m1, open>"
    with Agent.create(hcl([])) as agent, agent.session(".", session_id="s2", model="demo/m2") as session:
        assert repr(session) == "<Session s2 on demo/m2, open>"
    assert repr(session) == "<Session s2 on demo/m2, closed>"


@pytest.mark.parametrize("kind", [UserSubmitted, AgentSpawned, ToolFinished, RunFinished])
def test_a_listener_that_raises_ends_the_run_in_order(play: Play, kind: type) -> None:
    seen: list[type] = []

    def hear(envelope: Envelope) -> None:
        seen.append(type(envelope.event))
        if isinstance(envelope.event, kind):
            raise ValueError("mine")

    async def scene(session: AsyncSession) -> None:
        leave = session.listen(hear)
        with pytest.raises(AgentError) as caught:
            await session.send("go")
        assert caught.value.line() == "a listener failed: ValueError: mine. It must not raise."
        assert isinstance(caught.value.__cause__, ValueError)
        assert seen.count(AgentSpawned) == seen.count(AgentFinished) and not session.busy
        leave()
        assert str(await session.send("again")) == "done"

    task = {"name": "task", "arguments": {"agent": "explore", "prompt": "look"}}
    play(scripted([{"when": "go", "calls": [task]}, {"text": "done", "repeat": True}]), scene)

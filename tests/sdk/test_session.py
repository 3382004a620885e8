"""The conversation of an AsyncSession: results, events, errors with what there was, models, cancels, files."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, model_validator
from support.library import echo, hcl, scripted, served
from support.server import Answer, Call, Server

from agentcli import (
    AsyncAgent,
    AsyncSession,
    Envelope,
    Interrupted,
    OutputInvalid,
    RequestRejected,
    Result,
    RunFinished,
    SessionBusy,
    SessionClosed,
    SessionError,
    SessionNotFound,
    SessionStarted,
    TextDelta,
    ToolFinished,
    TurnLimit,
    UnknownModel,
    UsageError,
)
from agentcli.protocol.messages import ToolCall
from agentcli.protocol.models import ModelUse, Usage

Play = Callable[..., Any]


def test_a_result_prints_as_its_text_and_carries_what_was_used_by_whom(play: Play) -> None:
    read = {"name": "read", "arguments": {"path": "a.txt"}, "id": "same"}
    Path("a.txt").write_text("one\ntwo\n")
    agent = scripted([{"text": "Looking.", "calls": [read]}, {"calls": [read]}, {"text": "Two lines.", "served": "m1-2026"}])
    result = play(agent, lambda session: session.send("How many lines?"))
    assert (str(result), f"{result}", f"{result:>12}") == ("Two lines.", "Two lines.", "  Two lines.")
    assert result == Result(
        text="Two lines.",
        session_id=result.session_id,
        model=ModelUse("demo/m1", "demo/m1", "config", "m1-2026"),
        usage=Usage(input=30, output=15),
        cost_usd=pytest.approx(60e-6),
        turns=3,
        duration_ms=result.duration_ms,
        tool_calls=(ToolCall("same", "read", '{"path":"a.txt"}'), ToolCall("same_2", "read", '{"path":"a.txt"}')),
    )


def test_run_is_send_and_history_holds_both_turns(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[str]:
        await session.send("one")
        await session.run("two")
        return [message.text() for message in session.history if hasattr(message, "content")]

    assert play(scripted(["first", "second"]), scene) == ["one", "first", "two", "second"]


def test_a_failed_run_raises_its_own_kind_with_what_there_was(play: Play) -> None:
    begin = {"text": "I begin", "calls": [{"name": "ls", "arguments": {}}]}
    agent = scripted([begin, {"error": {"kind": "request_rejected", "message": "no.", "status": 400}}])
    with pytest.raises(RequestRejected) as caught:
        play(agent, lambda session: session.send("go"))
    partial = caught.value.result
    assert isinstance(partial, Result)
    assert (partial.ok, partial.status, partial.text, partial.turns) == (False, "error", "I begin", 2)
    assert partial.failure is not None and (partial.failure.kind, partial.failure.status) == ("request_rejected", 400)
    assert partial.usage == Usage(input=10, output=5)


def test_limits_raise_their_own_kind(play: Play) -> None:
    agent = scripted([{"calls": [{"name": "ls", "arguments": {}}], "repeat": True}])
    with pytest.raises(TurnLimit) as caught:
        play(agent, lambda session: session.send("go"), max_turns=2)
    assert isinstance(caught.value.result, Result) and caught.value.result.status == "turn_limit"


def test_a_stream_gives_every_event_and_ends_with_exactly_one_result(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[Any]:
        return [item async for item in session.stream("hi")]

    items = play(scripted(["Hello there."]), scene)
    events = [item.event for item in items if isinstance(item, Envelope)]
    assert [type(item) for item in items[-2:]] == [Envelope, Result]
    assert sum(isinstance(item, Result) for item in items) == 1
    assert isinstance(events[0], SessionStarted) and isinstance(events[-1], RunFinished)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hello there." == str(items[-1])
    assert [item.seq for item in items[:-1]] == list(range(1, len(items)))


def test_a_failed_stream_ends_with_a_result_that_says_so(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[Any]:
        return [item async for item in session.stream("hi")]

    items = play(scripted([{"text": "half", "error": {"kind": "request_rejected"}}]), scene)
    assert isinstance(items[-1], Result) and items[-1].failure is not None
    assert (items[-1].ok, items[-1].failure.kind, items[-1].text) == (False, "request_rejected", "half")


def test_leaving_a_stream_early_ends_the_run_and_the_session_goes_on(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[str]:
        async with contextlib.aclosing(session.stream("long")) as events:
            async for item in events:
                if isinstance(item, Envelope) and isinstance(item.event, TextDelta):
                    break
        assert not session.busy
        return [(await session.send("again")).text, *(message.text() for message in session.history if hasattr(message, "content"))]

    assert play(scripted([{"text": "It goes on", "hang": True}, "done"]), scene) == ["done", "long", "It goes ", "again", "done"]


def test_a_stream_that_is_just_left_may_be_followed_by_a_call_at_once(play: Play) -> None:
    """The event loop closes a forgotten generator only later; the next call waits for that."""

    async def leave(session: AsyncSession) -> None:
        async for item in session.stream("long"):
            if isinstance(item, Envelope) and isinstance(item.event, TextDelta):
                return

    async def scene(session: AsyncSession) -> list[str]:
        await leave(session)
        said = [(await session.send("again")).text]
        await leave(session)
        return [*said, *[item.text async for item in session.stream("and again") if isinstance(item, Result)]]

    long = {"text": "It goes on", "hang": True}
    assert play(scripted([long, "done", long, "well"]), scene) == ["done", "well"]


def test_a_second_call_raises_at_once_and_leaves_the_first_alone(play: Play) -> None:
    async def scene(session: AsyncSession) -> str:
        first = asyncio.create_task(session.send("one"))
        await asyncio.sleep(0)
        for call in (session.send("two"), session.run("three"), anext(session.stream("four"))):
            with pytest.raises(SessionBusy):
                await call
        return (await first).text

    assert play(scripted([{"text": "only one", "first_delay_s": 0.05}]), scene) == "only one"


def test_after_close_every_call_says_so_and_close_may_come_again() -> None:
    async def scene() -> None:
        async with scripted(["x"]) as agent:
            session = agent.session(".")
            await session.close()
            await session.close()
            calls = (
                session.send("x"), session.run("x"), anext(session.stream("x")), session.task("explore", "x"), session.team("goal"),
                session.parallel([{"agent": "explore", "prompt": "x"}]), session.pipeline(["a"], [lambda value: value]),
            )  # fmt: skip
            for call in calls:
                with pytest.raises(SessionClosed):
                    await call
            with pytest.raises(SessionClosed):
                session.use_model("demo/m2")
        with pytest.raises(SessionClosed):
            agent.session(".")

    asyncio.run(scene())


def test_closing_ends_a_run_under_way(play: Play) -> None:
    async def scene(session: AsyncSession) -> Interrupted:
        running = asyncio.create_task(session.send("go"))
        await started(session)
        await session.close()
        with pytest.raises(Interrupted) as caught:
            await running
        return caught.value

    assert "closed" in play(scripted([{"text": "on and", "hang": True}]), scene).message


def test_cancel_ends_the_run_keeps_what_was_said_and_waits_for_its_end(play: Play) -> None:
    async def scene(session: AsyncSession) -> tuple[Any, ...]:
        running = asyncio.create_task(session.send("go"))
        await started(session)
        await session.cancel()
        assert not session.busy
        await session.cancel()
        with pytest.raises(Interrupted) as caught:
            await running
        partial = caught.value.result
        assert isinstance(partial, Result)
        return partial.text, partial.status, (await session.send("again")).text

    assert play(scripted([{"text": "on and on", "hang": True}, "fine"]), scene) == ("on and on", "interrupted", "fine")


async def started(session: AsyncSession) -> None:
    """Returns when the whole first text of an answer that hangs is there."""
    there = asyncio.Event()
    leave = session.listen(lambda envelope: there.set() if isinstance(envelope.event, TextDelta) else None)
    await there.wait()
    await asyncio.sleep(0.01)
    leave()


def test_a_time_limit_around_a_call_is_the_callers_own_error(play: Play) -> None:
    async def scene(session: AsyncSession) -> str:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.send("go"), 0.05)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.task("explore", "go"), 0.05)
            await session.cancel()
        assert not session.busy
        return str(await session.send("again"))

    hang = {"text": "on and on", "hang": True}
    assert play(scripted([hang, hang, hang, hang, "fine"]), scene) == "fine"


def test_a_switch_of_model_takes_effect_at_the_next_call_and_stays_in_its_session() -> None:
    async def scene(agent: AsyncAgent) -> list[str]:
        one, two = agent.session("."), agent.session(".", model="house/large")
        said = [str(await one.send("a")), str(await two.send("b"))]
        one.use_model("large")
        with pytest.raises(UnknownModel):
            one.use_model("house/lrge")
        said += [str(await one.send("c")), str(await two.send("d"))]
        await agent.close()
        return said

    with Server(always=echo) as server:
        agent = AsyncAgent.create_now(served(server, "small", "large"))
        assert asyncio.run(scene(agent)) == ["small: a", "large: b", "large: c", "large: d"]


class Review(BaseModel):
    verdict: str
    score: int
    title: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Review:
        if self.verdict == "good" and self.score < 5:
            raise ValueError("a good one has 5 or more")
        return self


def test_a_pydantic_model_as_schema_gives_an_instance_and_a_json_schema_plain_values(play: Play) -> None:
    async def scene(session: AsyncSession) -> tuple[Any, ...]:
        one = await session.send("review", output_schema=Review)
        two = await session.send("review", output_schema={"type": "object", "required": ["n"]})
        any_json = await session.send("review", output_schema={})
        return one.structured, two.structured, any_json.structured, (await session.send("plain")).structured

    answers = ['{"verdict": "good", "score": 7}', '```json\n{"n": 3}\n```', "[1]", "no json"]
    assert play(scripted(answers), scene) == (Review(verdict="good", score=7), {"n": 3}, [1], None)


def test_the_model_is_shown_a_tidy_schema(play: Play) -> None:
    class Many(BaseModel):
        reviews: list[Review]

    with Server(Answer('{"reviews": []}')) as server:
        agent = AsyncAgent.create_now(served(server, "small"))
        assert play(agent, lambda session: session.send("x", output_schema=Many)).structured == Many(reviews=[])
    review = {
        "type": "object",
        "properties": {"verdict": {"type": "string"}, "score": {"type": "integer"}, "title": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        "required": ["verdict", "score"],
    }
    many = {"type": "object", "properties": {"reviews": {"type": "array", "items": review}}, "required": ["reviews"]}
    assert server.requests[0].body["response_format"]["json_schema"]["schema"] == many


class Branch(BaseModel):
    name: str
    branches: list[Branch] = []


def test_a_model_that_holds_itself_is_a_schema_too(play: Play) -> None:
    with Server(Answer('{"name": "a", "branches": [{"name": "b"}]}')) as server:
        agent = AsyncAgent.create_now(served(server, "small"))
        found = play(agent, lambda session: session.send("x", output_schema=Branch)).structured
    assert found == Branch(name="a", branches=[Branch(name="b")])
    shown = server.requests[0].body["response_format"]["json_schema"]["schema"]
    whole = shown.pop("$defs")["Branch"]
    assert shown == whole and shown["properties"]["branches"]["items"] == {"$ref": "#/$defs/Branch"}


def test_a_schema_of_the_session_holds_for_every_run(play: Play) -> None:
    answer = '{"verdict": "bad", "score": 1}'
    assert play(scripted([answer]), lambda session: session.send("review"), output_schema=Review).structured == Review(verdict="bad", score=1)


def test_an_answer_that_only_the_pydantic_model_refuses_raises_output_invalid(play: Play) -> None:
    with pytest.raises(OutputInvalid, match="a good one has 5 or more") as caught:
        play(scripted(['{"verdict": "good", "score": 2}']), lambda session: session.send("review", output_schema=Review))
    assert isinstance(caught.value.result, Result) and caught.value.result.text == '{"verdict": "good", "score": 2}'


def test_what_would_ask_is_denied_without_a_callback_and_listed_and_edits_are_allowed(play: Play) -> None:
    write = {"name": "write", "arguments": {"path": "new.txt", "content": "x"}}
    outside = {"name": "write", "arguments": {"path": "../outside.txt", "content": "x"}}
    result = play(scripted([{"calls": [write, outside]}, "done"]), lambda session: session.send("write"))
    assert Path("new.txt").read_text() == "x"
    assert not Path("../outside.txt").exists()
    assert len(result.denials) == 1 and "outside.txt" in result.denials[0]


def test_a_denial_names_the_option_that_would_permit_it_and_that_one_does(play: Play) -> None:
    script = [{"calls": [{"name": "bash", "arguments": {"command": "touch 'it''s' && python3 -c 'print(1)'"}}]}, "done"]
    denied = play(scripted(script), lambda session: session.send("go")).denials
    keyword, _, value = denied[0].rpartition(" To allow it: ")[2].partition("=")
    assert keyword == "allowed_tools"
    assert play(scripted(script), lambda session: session.send("go"), allowed_tools=json.loads(value)).denials == ()
    planned = play(scripted(script), lambda session: session.send("go"), permission_mode="plan").denials
    assert planned[0].endswith(' To allow it: permission_mode="default"')


def test_a_session_is_saved_as_it_goes_and_resumed_with_its_history_and_model(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()

    async def first(agent: AsyncAgent) -> str:
        async with agent, agent.session(folder, model="demo/m2") as session:
            await session.send("remember 7")
            path = await session.save()
            assert path.stem == session.id and b"remember 7" in path.read_bytes()
            return session.id

    async def second(agent: AsyncAgent, session_id: str) -> None:
        async with agent:
            assert [info.id for info in agent.list_sessions(folder)] == [session_id] == [info.id for info in agent.list_sessions()]
            assert agent.list_sessions(tmp_path) == []
            async with agent.resume_session(session_id[:8]) as session:
                assert session.kit.cwd == folder.resolve()
                assert [message.text() for message in session.history] == ["remember 7", "I do"]
                assert (await session.send("and?")).model == ModelUse("demo/m2", "demo/m2", "session", "m2")
                with pytest.raises(SessionError):
                    agent.resume_session(session_id)
            with pytest.raises(SessionNotFound):
                agent.resume_session("nothing-like-it")

    session_id = asyncio.run(first(scripted(["I do"])))
    asyncio.run(second(scripted(["7"]), session_id))


def test_a_session_that_is_not_saved_cannot_be_and_leaves_no_file(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        await session.send("x")
        with pytest.raises(UsageError, match="save=False"):
            await session.save()
        assert AsyncAgent.create_now(hcl([])).list_sessions() == []

    play(scripted(["y"]), scene, save=False)


def test_a_config_as_text_as_hcl_or_acl_file_is_the_whole_and_anything_else_says_so(own_home: Path) -> None:
    user = own_home / ".config/agentcli"
    user.mkdir(parents=True)
    (user / "config.hcl").write_text('default_model = "demo/m2"')
    text = hcl([])
    for name in ("agent.hcl", "agent.acl"):
        Path(name).write_text(text)
    for source in (text, "agent.hcl", Path("agent.acl"), "./agent.acl"):
        agent = AsyncAgent.create_now(source)
        assert agent.config.default_model is not None and agent.config.default_model.value == "demo/m1"
        asyncio.run(agent.close())
    for wrong in ("nothing.hcl", "just words", "", 'default_model = "unclosed'):
        with pytest.raises(UsageError):
            AsyncAgent.create_now(wrong)


def test_an_agent_does_not_print_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-1")
    agent = scripted([])
    assert "sk-very-secret-1" not in repr(agent) + repr(agent.services)


def test_the_tools_of_a_delegating_answer_are_reported_with_the_workers_they_started(play: Play) -> None:
    task = Call("task", {"agent": "scout", "prompt": "look", "model": "large"})

    async def scene(session: AsyncSession) -> Result:
        return await session.send("delegate")

    with Server(Answer(calls=(task,)), Answer("found"), Answer("done")) as server:
        agent = AsyncAgent.create_now(served(server, "small", "large", more='agents "scout" { description = "looks" }'))
        result = play(agent, scene)
    (worker,) = result.agents
    assert (worker.id, worker.agent, worker.parent, worker.status, worker.text) == ("main/scout-1", "scout", "main", "completed", "found")
    assert worker.model == ModelUse("large", "house/large", "call", "large")
    assert [request.body["model"] for request in server.requests] == ["small", "large", "small"]
    assert (result.usage, result.turns) == (Usage(input=30, output=15), 2)
    assert [call.name for call in result.tool_calls] == ["task"]


def test_events_of_one_run_only_count_for_its_own_result(play: Play) -> None:
    async def scene(session: AsyncSession) -> tuple[Result, Result]:
        first = await session.send("one")
        beside = asyncio.create_task(session.task("explore", "beside"))
        second = await session.send("two")
        await beside
        return first, second

    results = play(scripted(["1", {"text": "2", "first_delay_s": 0.02}, {"agent": "explore", "text": "worker"}]), scene)
    assert [(result.text, result.usage, result.agents) for result in results] == [("1", Usage(10, 5), ()), ("2", Usage(10, 5), ())]


def test_tool_results_of_a_stream_come_as_events(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[str]:
        return [item.event.result.name async for item in session.stream("x") if isinstance(item, Envelope) and isinstance(item.event, ToolFinished)]

    assert play(scripted([{"calls": [{"name": "ls", "arguments": {}}]}, "ok"]), scene) == ["ls"]

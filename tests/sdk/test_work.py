"""What a program has workers do: task, parallel, pipeline, team; on AsyncSession."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from support.library import echo, last, scripted, served
from support.server import Answer, Call, Captured, Server

from agentcli import (
    AgentError,
    AsyncAgent,
    AsyncSession,
    BudgetLimit,
    Interrupted,
    ItemResult,
    ModelRefused,
    OutputInvalid,
    RequestRejected,
    Result,
    TaskSpec,
    TeamResult,
    UnknownAgent,
    UnknownModel,
    UnknownOption,
    UsageError,
)
from agentcli.protocol.messages import ToolCall
from agentcli.protocol.models import ModelUse, Usage

Play = Callable[..., Any]
SCOUT = 'agents "scout" { description = "Looks." model = "house/large" }'


def house(server: Server, more: str = SCOUT) -> AsyncAgent:
    return AsyncAgent.create_now(served(server, "small", "large", more=more))


# --- task ---


def test_both_forms_of_a_task_and_a_spec_run_the_same_worker_on_its_own_model(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[str]:
        return [
            str(await session.task("scout", "a")),
            str(await session.task({"agent": "scout", "prompt": "b"})),
            str(await session.task(TaskSpec(agent="scout", prompt="c"))),
            str(await session.task("scout", "d", model="small")),
            str(await session.task({"agent": "scout", "prompt": "e", "maxSteps": 3}, model="house/small", timeout_s=9)),
        ]

    with Server(always=echo) as server:
        assert play(house(server), scene) == ["large: a", "large: b", "large: c", "small: d", "small: e"]


def test_a_tasks_result_proves_its_model_and_sums_its_own_workers(play: Play) -> None:
    nested = Call("task", {"agent": "explore", "prompt": "deeper"})
    lead = 'agents "lead" { description = "Delegates." can_delegate = true }'
    with Server(Answer(calls=(nested,)), Answer("found"), Answer("all done", served="small-2026")) as server:
        result = play(house(server, lead), lambda session: session.task("lead", "go", label="chief"))
    assert result == Result(
        text="all done",
        session_id=result.session_id,
        model=ModelUse("house/small", "house/small", "parent", "small-2026"),
        usage=Usage(input=30, output=15),
        cost_usd=pytest.approx(60e-6),
        turns=2,
        duration_ms=result.duration_ms,
        tool_calls=(ToolCall("call_0", "task", '{"agent": "explore", "prompt": "deeper"}'),),
        agents=result.agents,
    )
    assert [(agent.id, agent.parent, agent.label, agent.text) for agent in result.agents] == [
        ("main/lead-1", "main", "chief", "all done"),
        ("main/lead-1/explore-1", "main/lead-1", "", "found"),
    ]


def test_a_task_does_not_enter_the_history_and_its_findings_only_as_the_program_says_them(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        findings = await session.task("scout", "look")
        await session.send(f"Given: {findings}")

    with Server(always=echo) as server:
        play(house(server), scene)
    assert [[message["role"] for message in request.body["messages"]] for request in server.requests] == [["system", "user"]] * 2
    assert last(server.requests[1]) == "Given: large: look"


def test_what_cannot_start_raises_its_own_kind_and_sends_nothing(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        with pytest.raises(UnknownAgent, match="scout"):
            await session.task("scot", "x")
        with pytest.raises(UnknownModel, match="house/large"):
            await session.task("scout", "x", model="house/larg")
        with pytest.raises(ModelRefused):
            await session.task("locked", "x", model="small")
        with pytest.raises(UnknownOption, match="'promt'") as caught:
            await session.task({"agent": "scout", "promt": "x"})
        assert "prompt" in caught.value.hint
        with pytest.raises(UsageError, match="needs 'prompt'"):
            await session.task("scout")
        assert session.agents == ()

    with Server() as server:
        play(house(server, SCOUT + '\nagents "locked" { description = "x" model = "large" model_locked = true }'), scene)
    assert server.requests == []


def test_a_failed_task_raises_its_own_kind_with_what_there_is(play: Play) -> None:
    begin = {"text": "began", "calls": [{"name": "ls", "arguments": {}}]}
    steps = [begin, {"error": {"kind": "request_rejected", "message": "too much", "status": 413}}]
    with pytest.raises(RequestRejected, match="too much") as caught:
        play(scripted(steps), lambda session: session.task("explore", "x"))
    partial = caught.value.result
    assert isinstance(partial, Result) and caught.value.status == 413
    assert (partial.text, partial.status, partial.usage, [call.name for call in partial.tool_calls]) == ("began", "error", Usage(10, 5), ["ls"])


def test_a_tasks_time_limit_is_told_as_such(play: Play) -> None:
    with pytest.raises(AgentError) as caught:
        play(scripted([{"text": "slow", "hang": True}]), lambda session: session.task("explore", "x", timeout_s=0.05))
    assert caught.value.kind == "time_limit" and isinstance(caught.value.result, Result) and caught.value.result.status == "time_limit"


class Found(BaseModel):
    names: list[str]


def test_a_task_with_a_schema_gives_an_instance(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[Any]:
        one = await session.task("explore", "x", output_schema=Found)
        two = await session.parallel([TaskSpec(agent="explore", prompt="x", output_schema={"type": "object"})])
        with pytest.raises(OutputInvalid):
            await session.task("explore", "x", output_schema=Found)
        return [one.structured, two[0].structured]

    steps = ['{"names": ["a"]}', '{"n": 1}', "no", "no", "no"]
    assert play(scripted(steps), scene) == [Found(names=["a"]), {"n": 1}]


def test_what_a_worker_may_not_do_stands_in_its_result(play: Play) -> None:
    write = {"calls": [{"name": "write", "arguments": {"path": "../x", "content": "x"}}]}
    result = play(scripted([write, "done"]), lambda session: session.task("general", "x"))
    assert len(result.denials) == 1 and "../x" in result.denials[0]


def test_tasks_run_beside_each_other_and_beside_the_conversation(play: Play) -> None:
    """Each of the three is answered only when all three have asked."""
    import threading

    gate = threading.Event()

    async def scene(session: AsyncSession) -> list[str]:
        calls = [session.send("talk"), session.task("scout", "a"), session.task("scout", "b")]
        waiting = asyncio.gather(*calls)
        await asyncio.to_thread(server.wait_for, 3)
        gate.set()
        return [str(result) for result in await waiting]

    with Server(always=lambda request: echo(request).sent(gate=gate)) as server:
        assert play(house(server), scene) == ["small: talk", "large: a", "large: b"]


def test_cancelling_the_session_ends_its_tasks_with_what_they_had(play: Play) -> None:
    async def scene(session: AsyncSession) -> tuple[str, str]:
        running = asyncio.create_task(session.task("explore", "x"))
        there = asyncio.Event()
        session.listen(lambda envelope: there.set() if type(envelope.event).__name__ == "TextDelta" else None)
        await there.wait()
        await session.cancel()
        with pytest.raises(Interrupted) as caught:
            await running
        assert isinstance(caught.value.result, Result)
        return caught.value.result.text, caught.value.result.status

    assert play(scripted([{"text": ["so far"], "hang": True}]), scene) == ("so far", "cancelled")


# --- parallel ---


def test_parallel_gives_an_outcome_each_in_order_and_raises_for_none(play: Play) -> None:
    def answer(request: Captured) -> Any:
        if last(request) == "bad":
            from support.server import failed

            return failed(400, "cannot")
        return echo(request).sent(first_delay_s=0.05 if last(request) == "slow" else 0)

    specs = [{"agent": "scout", "prompt": prompt} for prompt in ("slow", "bad", "quick")]
    with Server(always=answer) as server:
        results = play(house(server), lambda session: session.parallel([*specs, {"agent": "nobody", "prompt": "x"}]))
    assert [(result.ok, result.text, result.status) for result in results] == [
        (True, "large: slow", "success"), (False, "", "error"), (True, "large: quick", "success"), (False, "", "error"),
    ]  # fmt: skip
    assert [result.failure.kind for result in results if result.failure] == ["request_rejected", "unknown_agent"]
    assert results[3].agents == () and results[0].agents[0].name == "scout-1"


def test_a_bad_spec_is_refused_before_anything_starts(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        with pytest.raises(UnknownOption):
            await session.parallel([{"agent": "scout", "prompt": "x"}, {"agent": "scout", "prompt": "x", "modle": "y"}])
        for wrong in ({"budget_tokens": 0}, {"max_parallel": 0}, {"timeout_s": -1}):
            with pytest.raises(UsageError):
                await session.parallel([{"agent": "scout", "prompt": "x"}], **wrong)
        assert await session.parallel([]) == []

    with Server() as server:
        play(house(server), scene)


def test_a_budget_of_tokens_stops_the_fan_out_before_its_next_call_and_nothing_else(play: Play) -> None:
    """Each call uses 15 tokens: with 40, three are made, the fourth task gets none; the conversation has its own bounds."""

    async def scene(session: AsyncSession) -> tuple[list[Result], str]:
        specs = [{"agent": "scout", "prompt": str(number)} for number in range(5)]
        return await session.parallel(specs, budget_tokens=40, max_parallel=1), str(await session.send("still here"))

    with Server(always=echo) as server:
        results, said = play(house(server), scene)
    assert [result.status for result in results] == ["success"] * 3 + ["budget"] * 2
    assert said == "small: still here" and len(server.requests) == 4
    error = results[3].failure
    assert error is not None and error.kind == BudgetLimit.kind and "40 tokens" in error.message


def test_a_budget_holds_for_the_workers_of_its_workers_too(play: Play) -> None:
    nested = Call("task", {"agent": "explore", "prompt": "deeper"})
    with Server(Answer(calls=(nested,)), Answer("found"), Answer("never asked")) as server:
        agent = house(server, 'agents "lead" { description = "Delegates." can_delegate = true }')
        (result,) = play(agent, lambda session: session.parallel([{"agent": "lead", "prompt": "go"}], budget_tokens=30))
    assert (result.status, result.usage.total, len(server.requests)) == ("budget", 30, 2)


def test_parallel_is_bounded_by_its_own_and_by_the_sessions_bound(play: Play) -> None:
    specs = [{"agent": "scout", "prompt": str(number)} for number in range(8)]
    for bound, options, most in ((2, {}, 2), (None, {"max_parallel": 3}, 3)):
        with Server(always=lambda request: echo(request).sent(first_delay_s=0.02)) as server:
            results = play(house(server), lambda session, b=bound: session.parallel(specs, max_parallel=b), **options)
        assert all(result.ok for result in results) and server.peak == most


def test_the_time_limit_of_a_fan_out_ends_what_still_runs(play: Play) -> None:
    steps = [{"when": "quick", "text": "done"}, {"when": "slow", "text": "so", "hang": True}]
    specs = [{"agent": "explore", "prompt": prompt} for prompt in ("quick", "slow")]
    results = play(scripted(steps), lambda session: session.parallel(specs, timeout_s=0.3))
    assert [(result.status, result.text) for result in results] == [("success", "done"), ("time_limit", "so")]


# --- pipeline ---


def test_a_pipeline_fills_in_item_and_previous_literally(play: Play) -> None:
    stages = [{"agent": "scout", "prompt": "see {item}"}, TaskSpec(agent="scout", prompt="sum {previous} of {item}", model="small")]
    with Server(always=echo) as server:
        outcomes = play(house(server), lambda session: session.pipeline(["a", "{previous}"], stages))
    assert [str(outcome) for outcome in outcomes] == ["small: sum large: see a of a", "small: sum large: see {previous} of {previous}"]
    assert [(outcome.item, outcome.ok, len(outcome.stages), outcome.usage) for outcome in outcomes] == [
        ("a", True, 2, Usage(20, 10)), ("{previous}", True, 2, Usage(20, 10)),
    ]  # fmt: skip
    assert [stage.model.resolved for stage in outcomes[0].stages] == ["house/large", "house/small"]


def test_no_item_waits_for_another(play: Play) -> None:
    """The slow item is held at its first stage until the quick one has come out of the last."""
    import threading

    gate = threading.Event()

    def answer(request: Captured) -> Answer:
        return echo(request).sent(gate=gate) if last(request) == "one slow" else echo(request)

    def ended(value: Result, item: str) -> Result:
        if item == "quick":
            gate.set()
        return value

    stages = [{"agent": "scout", "prompt": "one {item}"}, {"agent": "scout", "prompt": "two {item}"}, ended]
    with Server(always=answer) as server:
        outcomes = play(house(server), lambda session: session.pipeline(["slow", "quick"], stages))
    assert [outcome.text for outcome in outcomes] == ["large: two slow", "large: two quick"]
    assert [last(request) for request in server.requests[-1:]] == ["two slow"]


def test_functions_make_tasks_and_values_and_none_ends_their_item_only(play: Play) -> None:
    seen: list[Any] = []

    def first(item: int) -> int:
        return item * 10

    async def second(value: int, item: int) -> dict[str, str] | None:
        seen.append((value, item))
        return None if item == 2 else {"agent": "scout", "prompt": f"look at {value}"}

    def third(previous: Result, *, item: int) -> TaskSpec:
        return TaskSpec(agent="scout", prompt=f"{item}: {previous}")

    with Server(always=echo) as server:
        outcomes = play(house(server), lambda session: session.pipeline([1, 2, 3], [first, second, third, lambda previous: previous.text.upper()]))
    assert sorted(seen) == [(10, 1), (20, 2), (30, 3)]
    assert [outcome.value for outcome in outcomes] == ["LARGE: 1: LARGE: LOOK AT 10", None, "LARGE: 3: LARGE: LOOK AT 30"]
    assert outcomes[1] == ItemResult(2, None, (), dropped=True)
    assert (outcomes[1].ok, outcomes[1].text, outcomes[1].cost_usd) == (True, "", 0.0)


def test_a_stage_that_fails_ends_its_item_only(play: Play) -> None:
    def check(value: str) -> str:
        if value == "boom":
            raise ValueError("not this one")
        if value == "stop":
            raise StopIteration
        return value

    def spec(value: str) -> dict[str, str]:
        return {"agent": "nobody" if value == "lost" else "explore", "prompt": value} | ({"modle": "x"} if value == "typo" else {})

    items = ["boom", "stop", "lost", "typo", "fine"]
    outcomes = play(scripted([{"text": "ok", "repeat": True}]), lambda session: session.pipeline(items, [check, spec]))
    assert [(outcome.ok, outcome.failure and outcome.failure.kind) for outcome in outcomes] == [
        (False, "stage"), (False, "stage"), (False, "unknown_agent"), (False, "unknown_option"), (True, None),
    ]  # fmt: skip
    assert outcomes[0].failure.message == "stage 1 failed: ValueError: not this one"


def test_a_worker_stage_that_cannot_be_used_at_all_runs_nothing(play: Play) -> None:
    stages = [{"agent": "scout", "prompt": "x"}, {"agent": "nobody", "prompt": "y"}]
    with Server() as server:
        outcomes = play(house(server), lambda session: session.pipeline(["a", "b"], stages))
    assert [(outcome.item, outcome.failure.kind) for outcome in outcomes] == [("a", "unknown_agent"), ("b", "unknown_agent")]


def test_a_pipeline_of_no_stages_or_of_something_else_is_refused(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        for stages in ([], "look", {"agent": "scout", "prompt": "x"}, [3], 3, [{"agent": "scout"}]):
            with pytest.raises(UsageError):
                await session.pipeline(["a"], stages)
        assert await session.pipeline([], [lambda value: value]) == []

    play(scripted([]), scene)


# --- team ---

PLAN = '{"tasks": [{"title": "A", "prompt": "do a"}, {"title": "B", "prompt": "do b"}]}'


def test_a_team_splits_works_reviews_and_sends_back(play: Play) -> None:
    def answer(request: Captured) -> Answer:
        said = last(request)
        if said.startswith("Goal:"):
            return Answer(PLAN)
        if said.startswith("Review"):
            again = "Task 2" in said and "mended" not in said
            return Answer(f'{{"approved": {str(not again).lower()}, "feedback": "{"mend it" if again else "fine"}"}}')
        return Answer("mended" if "mend it" in said else f"did {said.splitlines()[0]}")

    with Server(always=answer) as server:
        made = play(house(server), lambda session: session.team("all of it", worker_model="large", lead_agent="scout"))
    assert isinstance(made, TeamResult) and made.ok and made.rounds == 2
    done = [(item.title, item.approved, item.attempts, item.text) for item in made.items]
    assert done == [("A", True, 1, "did Task 1: A"), ("B", True, 2, "mended")]
    assert {agent.name.split("-")[0] for agent in made.agents} == {"lead", "worker", "reviewer"}
    assert made.usage == Usage(input=70, output=35) and made.cost_usd == pytest.approx(7 * 20e-6)
    assert [request.body["model"] for request in server.requests if last(request).startswith("Review")] == ["small"] * 3
    assert "2 of 2" in str(made)


def test_a_team_whose_work_stays_rejected_says_so_without_raising(play: Play) -> None:
    steps = [PLAN.replace(', {"title": "B", "prompt": "do b"}', ""), "poor", '{"approved": false, "feedback": "poor"}']
    made = play(scripted(steps), lambda session: session.team("goal", max_rounds=1))
    assert (made.ok, made.rounds, made.items[0].approved, made.items[0].feedback, made.items[0].text) == (False, 1, False, "poor", "poor")


def test_a_team_that_cannot_start_or_split_raises(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        with pytest.raises(UnknownAgent):
            await session.team("goal", reviewer_agent="nobody")
        with pytest.raises(UnknownModel):
            await session.team("goal", worker_model="nothing")
        for wrong in ({"workers": 0}, {"max_rounds": 0}, {"max_steps": 0}):
            with pytest.raises(UsageError):
                await session.team("goal", **wrong)
        with pytest.raises(AgentError, match="split"):
            await session.team("goal")

    play(scripted(["no json"] * 5), scene)

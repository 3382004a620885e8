"""Many workers on one service that is failing, asks to wait or is gone: they share what one of them finds out, and go on elsewhere where they may."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.crew import all_asked, asked, hcl, obey, obey_but, opened
from support.server import Answer, Captured, Reply, Server, Silence, failed
from support.ways import agents

from agentcli.protocol.events import AgentFinished, FellBack, RetryScheduled
from agentcli.sdk.result import Result

FAST = "limits {{ retries = 3\nretry_first_s = 0.05\nbreaker_pause_s = {pause}\n{more} }}"


def limits(pause: float = 0.1, more: str = "") -> str:
    return FAST.format(pause=pause, more=more)


def scouts(count: int, prompt: str = "work", **more: Any) -> list[dict[str, Any]]:
    return [{"agent": "general", "prompt": f"{prompt} {number}", "model": "beta/qwen3:8b", **more} for number in range(count)]


def kinds(results: list[Result]) -> list[str]:
    return [result.failure.kind if result.failure else "" for result in results]


# --- a service that fails ---


async def test_a_fan_out_on_a_dead_service_pays_one_ladder_of_retries_and_not_one_each(tmp_path: Path) -> None:
    with Server(always=obey_but(work=failed(503, "overloaded"))) as server:
        async with opened(hcl(server.url, limits()), tmp_path) as (session, _):
            results = await session.parallel(scouts(8))
            requests = len(server.requests)
            late = await session.parallel(scouts(4))
    assert set(kinds(results)) == {"unavailable"}
    assert requests <= 8 + 3, "8 first calls; then one tries for all"
    assert len(server.requests) <= requests + 1
    words = [result.failure.message for result in late if result.failure]
    assert all(word.startswith("beta is failing (beta answered 503: overloaded); next try in ") for word in words), words


async def test_a_short_outage_is_outlived_by_all_workers_though_only_one_tries(tmp_path: Path) -> None:
    bad = [failed(503, "overloaded")] * 8

    def reply(request: Captured) -> Reply:
        return bad.pop() if bad and asked(request).prompt.startswith("work") else obey(request)

    with Server(always=reply) as server:
        async with opened(hcl(server.url, limits()), tmp_path) as (session, _):
            results = await session.parallel(scouts(8))
    assert kinds(results) == [""] * 8
    assert len(server.requests) == 16


async def test_with_another_model_at_hand_workers_leave_a_failing_service_without_trying_it(tmp_path: Path) -> None:
    def reply(request: Captured) -> Reply:
        return failed(503, "overloaded") if asked(request).provider == "beta" else obey(request)

    with Server(always=reply) as server:
        async with opened(hcl(server.url, limits(pause=30)), tmp_path, fallback_models=["alpha/cheap"]) as (session, seen):
            first = await session.parallel(scouts(8))
            tried = len([one for one in map(asked, server.requests) if one.provider == "beta"])
            second = await session.parallel(scouts(4))
            tried_later = len([one for one in map(asked, server.requests) if one.provider == "beta"])
    assert kinds(first) + kinds(second) == [""] * 12
    assert (tried, tried_later) == (8, 8)
    hops = seen.of(FellBack)
    assert {(hop.left, hop.model.resolved, hop.model.source) for hop in hops} == {("beta/qwen3:8b", "alpha/cheap:medium", "fallback")}
    assert len(hops) == 12
    assert all(result.fallbacks == ("alpha/cheap:medium",) for result in (*first, *second))
    assert all(event.fallbacks == ("alpha/cheap:medium",) and event.model.source == "fallback" for event in seen.of(AgentFinished))


async def test_when_the_service_is_back_the_one_that_tries_lets_all_others_in(tmp_path: Path) -> None:
    ok = threading.Event()

    def reply(request: Captured) -> Reply:
        return obey(request) if ok.is_set() or not asked(request).prompt.startswith("work") else failed(500, "broken")

    with Server(always=reply) as server:
        async with opened(hcl(server.url, limits(pause=0.05)), tmp_path) as (session, _):
            await session.parallel(scouts(8))
            ok.set()
            await asyncio.sleep(0.3)
            assert kinds(await session.parallel(scouts(8))) == [""] * 8


# --- a service that asks to wait ---


async def test_one_retry_after_holds_every_worker_of_the_provider_and_they_come_back_one_after_the_other(tmp_path: Path) -> None:
    first = [failed(429, "slow down", {"retry-after-ms": "400"})]

    def reply(request: Captured) -> Reply:
        return first.pop() if first and asked(request).provider == "beta" else obey(request)

    with Server(always=reply) as server:
        async with opened(hcl(server.url, beta="max_concurrent = 1"), tmp_path) as (session, seen):
            elsewhere = asyncio.create_task(session.parallel([{"agent": "general", "prompt": "other", "model": "fast"}]))
            results = await session.parallel(scouts(4))
            await elsewhere
    assert kinds(results) == [""] * 4
    ours = [request.at for request in server.requests if asked(request).provider == "beta"]
    others = [request.at for request in server.requests if asked(request).provider == "alpha"]
    assert len(ours) == 5, "only the first was refused: the others never asked in vain"
    assert ours[1] - ours[0] >= 0.4
    assert others[0] - ours[0] < 0.4, "another provider is not held"
    waits = seen.of(RetryScheduled)
    assert sorted(event.attempt for event in waits) == [0, 0, 0, 1]
    apart = sorted(event.delay_s for event in waits)
    assert apart[-1] - apart[0] >= 0.2, apart


@pytest.mark.parametrize("wait", ["3600", "31536000", "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_an_absurd_retry_after_ends_the_call_at_once_with_a_clear_line_and_later_calls_do_not_ask_again(tmp_path: Path, wait: str) -> None:
    with Server(always=obey_but(work=failed(429, "slow down", {"retry-after": wait}))) as server:
        async with opened(hcl(server.url), tmp_path) as (session, _):
            began = time.monotonic()
            (one,) = await session.parallel(scouts(1))
            (two,) = await session.parallel(scouts(1))
            assert time.monotonic() - began < 5
            (other,) = await session.parallel([{"agent": "general", "prompt": "fine", "model": "Gemini 3.5 Flash"}])
    assert kinds([one, two, other]) == ["rate_limit", "rate_limit", ""]
    assert len(all_asked(server.requests, "work")) == 1
    assert one.failure and "beta answered 429: slow down" in one.failure.message
    assert two.failure and two.failure.message.startswith("beta asked to wait, ")
    assert "use another model" in two.failure.line().lower()


async def test_with_another_model_at_hand_a_wait_of_minutes_is_not_sat_out(tmp_path: Path) -> None:
    with Server(always=obey_but(work=failed(429, "slow down", {"retry-after": "90"}))) as server:
        server.reply(failed(429, "slow down", {"retry-after": "90"}))
        async with opened(hcl(server.url), tmp_path, fallback_models=["alpha/cheap"]) as (session, seen):
            (result,) = await session.parallel(scouts(1, "do"))
    assert (result.text, result.fallbacks) == ("did do 0", ("alpha/cheap:medium",))
    assert not seen.of(RetryScheduled)


# --- max_concurrent ---


async def test_a_place_at_the_provider_is_free_again_after_every_end_of_a_call(tmp_path: Path) -> None:
    """One place; calls end well, refused, cut off by a time limit and cancelled, and the next one goes in."""
    with Server(always=obey_but(refuse=failed(400, "no"), hang=Silence())) as server:
        async with opened(hcl(server.url, beta="max_concurrent = 1"), tmp_path) as (session, _):
            hang = {**scouts(1, "hang")[0], "timeout_s": 0.1}
            results = await session.parallel([*scouts(1, "fine"), *scouts(1, "refuse"), hang, *scouts(2, "fine")])
            assert kinds(results) == ["", "request_rejected", "time_limit", "", ""]
            waiting = asyncio.create_task(session.task("general", "hang on", model="beta/qwen3:8b"))
            await asyncio.to_thread(server.wait_for, len(server.requests) + 1)
            await session.cancel()
            await asyncio.wait([waiting])
            assert kinds(await session.parallel(scouts(2, "fine"))) == ["", ""]
    assert server.peak == 1


# --- what falls back, and what does not ---


def answered(status: int, code: str = "") -> Any:
    return failed(status, "no such thing", code=code)


@pytest.mark.parametrize(
    ("reply", "hops"),
    [
        (answered(404), True),
        (answered(401), True),
        (answered(429, "insufficient_quota"), True),
        (answered(402), True),
        (answered(503), True),
        (answered(400), False),
        (answered(422), False),
    ],
    ids=["404", "401", "quota", "402", "503", "400", "422"],
)
async def test_a_model_that_is_not_to_be_had_is_left_and_a_request_that_is_wrong_is_not_tried_elsewhere(
    tmp_path: Path, reply: Any, hops: bool
) -> None:
    def service(request: Captured) -> Reply:
        return reply if asked(request).provider == "beta" else obey(request)

    with Server(always=service) as server:
        async with opened(hcl(server.url, "limits { retries = 0 }"), tmp_path, fallback_models=["alpha/cheap"]) as (session, _):
            (result,) = await session.parallel(scouts(1))
    assert (result.text if hops else bool(result.failure)) == ("did work 0" if hops else True)
    assert len(server.requests) == (2 if hops else 1)


async def test_each_worker_goes_down_its_own_definitions_list_and_keeps_its_transcript(tmp_path: Path) -> None:
    """The first model dies after a tool call; the second is gone; the third has the call and its result before it."""

    def service(request: Captured) -> Reply:
        one, body = asked(request), request.body
        if one.on == "beta/qwen3:8b":
            if body["messages"][-1]["role"] == "tool":
                return Answer("Half of the ans").sent(cut_after=400, ending="reset")
            return obey(request)
        return failed(404, "gone") if one.provider == "beta" else Answer("I saw " + body["messages"][-1]["content"][:5])

    (tmp_path / "colour.txt").write_text("green")
    scout = agents(model="beta/qwen3:8b", fallback_models=["beta/vendor/model:free", "alpha/cheap"])
    with Server(always=service) as server:
        async with opened(hcl(server.url, limits(0.05)), tmp_path, **scout) as (session, seen):
            result = await session.task("scout", 'CALL [{"name": "read", "arguments": {"path": "colour.txt"}}]')
        last = server.requests[-1].body["messages"]
    assert result.text.startswith("I saw ")
    assert result.fallbacks == ("beta/vendor/model:free", "alpha/cheap:medium")
    assert [hop.failure.status for hop in seen.of(FellBack)][1:] == [404]
    assert [message["role"] for message in last][-3:] == ["user", "assistant", "tool"]
    assert "Half" not in str(last)

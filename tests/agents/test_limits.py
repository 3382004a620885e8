"""Slots, depth and numbers: a slot is free after every kind of end, no tree locks itself, and a run that wants ever more is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.crew import asked, calling, config, delegate, each_ended_once, hcl, obey_but, opened, until
from support.server import Answer, Call, Captured, Server, Silence, failed
from support.ways import agents

from agentcli.agents.patterns import parallel
from agentcli.agents.tree import Task
from agentcli.protocol.errors import AgentError, LimitReached
from agentcli.protocol.events import AgentFinished, AgentSpawned, CallStarted


def calls_of_workers(envelope: Any) -> bool:
    return envelope.agent_id != "main" and isinstance(envelope.event, CallStarted)


def ends(prompt: str) -> Any:
    """How the service treats each kind of worker."""
    return {"fail": failed(400, "no"), "hang": Silence(), "wait": Silence()}[prompt]


async def test_a_slot_is_free_again_after_every_kind_of_end(tmp_path: Path) -> None:
    """One slot; each worker ends in another way, and the next one runs."""
    with Server(always=obey_but(fail=ends("fail"), hang=ends("hang"), wait=ends("wait"))) as server:
        async with opened(hcl(server.url), tmp_path, max_parallel=1, **agents()) as (session, seen):
            tree = session.tree

            async def run(*tasks: Task) -> list[str]:
                return [one.status for one in await session.work(lambda: parallel(tree, tree.main, tasks))]

            good = Task("scout", "fine")
            assert await run(good, Task("scout", "fail"), good) == ["completed", "failed", "completed"]
            assert await run(Task("scout", "hang", timeout_s=0.1), good) == ["failed", "completed"]
            assert await run(Task("scout", "x", model="nope"), Task("nobody", "x"), good) == ["failed", "failed", "completed"]

            waiting = asyncio.create_task(run(Task("scout", "wait"), Task("scout", "queued"), good))
            await until(session, lambda one: calls_of_workers(one))
            running, queued = [node for node in tree.main.walk() if node.parent and not node.is_over][:2]
            assert (running.state, queued.state) == ("running", "queued")
            await tree.cancel(queued.id)
            await tree.cancel(running.id)
            assert await waiting == ["cancelled", "cancelled", "completed"]
        assert each_ended_once(seen)
        assert server.peak <= 1


async def test_workers_of_workers_do_not_lock_one_slot(service: Server, tmp_path: Path) -> None:
    inner = calling(*[("task", {"agent": "scout", "prompt": f"work {number}"}) for number in range(3)])
    async with opened(config(service.url), tmp_path, max_parallel=1, **agents()) as (session, seen):
        async with asyncio.timeout(20):
            await delegate(session, service, *[("task", {"agent": "chief", "prompt": inner})] * 3)
    assert [event.status for event in seen.of(AgentFinished)] == ["completed"] * 12
    assert each_ended_once(seen)


async def test_a_nested_team_does_not_lock_one_slot(service: Server, tmp_path: Path) -> None:
    inner = calling(("run_team", {"goal": "all"}), ("task", {"agent": "scout", "prompt": "work"}))
    async with opened(config(service.url), tmp_path, max_parallel=1, **agents()) as (session, seen):
        async with asyncio.timeout(20):
            await delegate(session, service, *[("task", {"agent": "chief", "prompt": inner})] * 2)
    assert {event.status for event in seen.of(AgentFinished)} == {"completed"}


async def test_no_more_run_at_once_than_allowed_and_none_is_refused(tmp_path: Path) -> None:
    with Server(always=obey_but(work=Answer("done").sent(first_delay_s=0.02))) as server:
        async with opened(hcl(server.url), tmp_path, max_parallel=3, **agents()) as (session, seen):
            told = await delegate(session, server, ("parallel_task", {"tasks": [{"agent": "scout", "prompt": "work"}] * 10}))
        assert server.peak == 3
    assert told.results[0].startswith("10 of 10 tasks succeeded.")
    assert len(seen.of(AgentFinished)) == 10


async def test_a_fan_outs_own_bound_holds_within_the_sessions(tmp_path: Path) -> None:
    with Server(always=obey_but(work=Answer("done").sent(first_delay_s=0.02))) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, _):
            await delegate(session, server, ("parallel_task", {"tasks": [{"agent": "scout", "prompt": "work"}] * 6, "max_parallel": 2}))
        assert server.peak == 2


async def test_a_providers_own_bound_holds_too(tmp_path: Path) -> None:
    with Server(always=obey_but(work=Answer("done").sent(first_delay_s=0.02))) as server:
        text = hcl(server.url, beta="max_concurrent = 2")
        async with opened(text, tmp_path, **agents(model="beta/gemini-flash")) as (session, _):
            await delegate(session, server, ("parallel_task", {"tasks": [{"agent": "scout", "prompt": "work"}] * 6}))
        assert server.peak == 2


# --- limits ---


async def test_a_run_that_spawns_for_ever_is_stopped_with_a_clear_report(tmp_path: Path) -> None:
    """Its model asks for another worker in every answer, and goes on when it is told that there are no more."""

    def insatiable(request: Captured) -> Answer:
        return Answer(calls=(Call("task", {"agent": "explore", "prompt": "work"}, id=f"c{len(request.body['messages'])}"),))

    with Server(always=obey_but(go=insatiable)) as server:
        async with opened(hcl(server.url, "limits { max_agents = 5 }"), tmp_path) as (session, seen):
            with pytest.raises(LimitReached, match="this run has started 5 workers, the most allowed") as stopped:
                await session.send("go")
            assert len(seen.of(AgentSpawned)) == 5
            assert len([one for one in server.requests if asked(one).prompt == "go"]) == 5 + 32
            assert stopped.value.result is not None
            # The next run of the session may start workers again.
            assert str(await session.task("explore", "work")) == "did work"
            assert len(seen.of(AgentSpawned)) == 6


async def test_workers_nested_as_deep_as_allowed_cannot_delegate_any_further(service: Server, tmp_path: Path) -> None:
    inner = calling(("task", {"agent": "chief", "prompt": calling(("task", {"agent": "chief", "prompt": "deeper"}))}))
    async with opened(config(service.url), tmp_path, **agents()) as (session, seen):
        told = await delegate(session, service, ("task", {"agent": "chief", "prompt": inner}))
    spawned = {one.agent_id: one.event.tools for one in seen.envelopes if isinstance(one.event, AgentSpawned)}
    assert list(spawned) == ["main/chief-1", "main/chief-1/chief-2"]
    assert ("task" in spawned["main/chief-1"], "task" in spawned["main/chief-1/chief-2"]) == (True, False)
    assert "There is no tool 'task'." in "".join(map(str, (one.body for one in told.requests)))


async def test_the_turn_limit_is_one_for_the_whole_tree(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, max_turns=3, **agents()) as (session, _):
        with pytest.raises(AgentError, match="the limit of 3 turns, over all agents, is reached"):
            await session.send(calling(*[("task", {"agent": "scout", "prompt": "work"})] * 2))

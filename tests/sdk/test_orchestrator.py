"""Steering agents while they run, from other tasks of the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.library import echo, last, scripted, served
from support.server import Answer, Call, Server

from agentcli import (
    AsyncAgent,
    AsyncSession,
    StateChanged,
    TimeLimit,
    UnknownAgent,
    UsageError,
)
from agentcli.protocol.models import ModelUse, Usage

Play = Callable[..., Any]
SCOUT = 'agents "scout" { description = "Looks." model = "house/large" }'
LS = Call("ls", {})


def house(server: Server) -> AsyncAgent:
    return AsyncAgent.create_now(served(server, "small", "large", more=SCOUT))


async def until(session: AsyncSession, agent_id: str, state: str) -> None:
    """Returns when an agent is in a state."""
    there = asyncio.Event()

    def look(envelope: Any) -> None:
        if envelope.agent_id == agent_id and isinstance(envelope.event, StateChanged) and envelope.event.state == state:
            there.set()

    leave = session.listen(look)
    if (await session.orchestrator.get_agent(agent_id)).status != state:
        await there.wait()
    leave()


def test_a_worker_in_the_background_is_given_as_it_stands_and_waited_for(play: Play) -> None:
    gate = threading.Event()

    async def scene(session: AsyncSession) -> None:
        worker = await session.task("scout", "look", background=True)
        assert (worker.id, worker.parent, worker.agent) == ("main/scout-1", "main", "scout")
        assert worker.model == ModelUse("house/large", "house/large", "definition") and worker.status in ("queued", "running")
        assert session.busy and not session.conversing
        with pytest.raises(TimeLimit):
            await session.orchestrator.wait(worker.id, timeout_s=0.02)
        gate.set()
        ended = await session.orchestrator.wait("scout-1")
        assert (ended.status, ended.text, ended.usage, ended.turns) == ("completed", "large: look", Usage(10, 5), 1)
        assert ended.model == ModelUse("house/large", "house/large", "definition", "large")
        assert session.agents == (ended,) == await session.orchestrator.wait_all()
        assert session.history == ()

    with Server(lambda request: echo(request).sent(gate=gate)) as server:
        play(house(server), scene)


def test_pause_holds_at_the_next_checkpoint_and_resume_goes_on_with_what_was_injected(play: Play) -> None:
    gate = threading.Event()

    async def scene(session: AsyncSession) -> str:
        worker = await session.task("scout", "look", background=True)
        steer = session.orchestrator
        await asyncio.to_thread(server.wait_for, 1)
        await steer.pause_agent(worker.id)
        gate.set()
        await until(session, worker.id, "paused")
        assert [(one.name, one.status) for one in await steer.list_agents()] == [("main", "completed"), ("scout-1", "paused")]
        await steer.inject_prompt("scout-1", "now stop")
        assert len(server.requests) == 1
        await steer.resume_agent(worker.id)
        return (await steer.wait(worker.id)).text

    with Server(Answer(calls=(LS,)).sent(gate=gate), always=echo) as server:
        assert play(house(server), scene) == "large: now stop"


def test_a_pause_that_follows_a_resume_at_once_still_holds(play: Play) -> None:
    gate = threading.Event()

    async def scene(session: AsyncSession) -> str:
        worker = await session.task("scout", "look", background=True)
        steer = session.orchestrator
        await asyncio.to_thread(server.wait_for, 1)
        await steer.pause_agent(worker.id)
        gate.set()
        await until(session, worker.id, "paused")
        await steer.resume_agent(worker.id)
        await steer.pause_agent(worker.id)
        with pytest.raises(TimeLimit):
            await steer.wait(worker.id, timeout_s=0.1)
        assert len(server.requests) == 1
        await steer.resume_agent(worker.id)
        return (await steer.wait(worker.id)).text

    with Server(Answer(calls=(LS,)).sent(gate=gate), always=echo) as server:
        assert play(house(server), scene).startswith("large: ")


def test_a_cancelled_worker_says_so_and_its_waiters_hear_it(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[Any]:
        worker = await session.task("explore", "look", background=True)
        waiting = asyncio.create_task(session.orchestrator.wait(worker.id))
        await until(session, worker.id, "running")
        await session.orchestrator.cancel_agent(worker.id)
        ended = await waiting
        with pytest.raises(UsageError, match="has already been cancelled"):
            await session.orchestrator.cancel_agent(worker.id)
        return [ended.status, ended.failure is not None]

    assert play(scripted([{"text": "hm", "hang": True}]), scene) == ["cancelled", True]


def test_workers_that_the_model_started_are_steered_while_send_runs(play: Play) -> None:
    task = Call("task", {"agent": "scout", "prompt": "look"})

    async def scene(session: AsyncSession) -> tuple[str, ...]:
        sending = asyncio.create_task(session.send("delegate"))
        await asyncio.to_thread(server.wait_for, 2)
        (worker,) = session.agents
        await session.orchestrator.inject_prompt(worker.name, "Stop and summarize")
        gate.set()
        result = await sending
        return str(result), result.agents[0].text

    gate = threading.Event()
    replies = (Answer(calls=(task,)), Answer(calls=(LS,)).sent(gate=gate), echo, lambda request: Answer("done: " + last(request).splitlines()[-1]))
    with Server(*replies) as server:
        assert play(house(server), scene) == ("done: large: Stop and summarize", "large: Stop and summarize")


def test_the_main_agent_can_be_paused_and_told_but_not_cancelled(play: Play) -> None:
    async def scene(session: AsyncSession) -> str:
        await session.orchestrator.pause_agent("main")
        sending = asyncio.create_task(session.send("hello"))
        await until(session, "main", "paused")
        await session.orchestrator.inject_prompt("main", "and this")
        with pytest.raises(UsageError):
            await session.orchestrator.cancel_agent("main")
        with pytest.raises(UsageError):
            await session.orchestrator.wait("main")
        await session.orchestrator.resume_agent("main")
        return str(await sending)

    with Server(always=echo) as server:
        assert "and this" in play(house(server), scene)


def test_an_unknown_id_names_the_known_ones(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        await session.task("explore", "look")
        steer = session.orchestrator
        calls = (
            steer.pause_agent("x"), steer.resume_agent("x"), steer.cancel_agent("x"),
            steer.inject_prompt("x", "y"), steer.get_agent("x"), steer.wait("x"),
        )  # fmt: skip
        for call in calls:
            with pytest.raises(UnknownAgent) as caught:
                await call
            assert caught.value.known == ("main", "main/explore-1") and "main/explore-1" in caught.value.message

    play(scripted(["ok"]), scene)


def test_figures_grow_while_a_worker_runs(play: Play) -> None:
    gate = threading.Event()

    async def scene(session: AsyncSession) -> list[Any]:
        worker = await session.task("scout", "look", background=True)
        await asyncio.to_thread(server.wait_for, 2)
        now = await session.orchestrator.get_agent(worker.id)
        gate.set()
        await session.orchestrator.wait(worker.id)
        return [now.status, now.turns, now.usage, now.duration_ms]

    with Server(Answer(calls=(LS,)), Answer("done").sent(gate=gate)) as server:
        assert play(house(server), scene) == ["running", 1, Usage(10, 5), 0]


def test_wait_all_waits_for_all_and_has_a_limit(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[str]:
        assert await session.orchestrator.wait_all() == ()
        for name in ("a", "b"):
            await session.task("explore", name, background=True)
        with pytest.raises(TimeLimit):
            await session.orchestrator.wait_all(timeout_s=0.01)
        return [one.text for one in await session.orchestrator.wait_all()]

    steps = [{"when": "a", "text": "A", "first_delay_s": 0.1}, {"when": "b", "text": "B", "first_delay_s": 0.05}]
    assert play(scripted(steps), scene) == ["A", "B"]


def test_cancelling_the_session_ends_its_background_workers(play: Play) -> None:
    async def scene(session: AsyncSession) -> tuple[str, bool]:
        worker = await session.task("explore", "x", background=True)
        await until(session, worker.id, "running")
        await session.cancel()
        return (await session.orchestrator.get_agent(worker.id)).status, session.busy

    assert play(scripted([{"text": "hm", "hang": True}]), scene) == ("cancelled", False)

"""Many sessions and many runs in one process: no crosstalk, and nothing left of them."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Callable

import psutil
import pytest
from support.library import echo, hcl, served
from support.server import Answer, Captured, Server

from agentcli import Agent, AsyncAgent, AsyncSession, Session
from agentcli.protocol.models import ModelUse
from agentcli.providers.scripted import ScriptedProvider

SESSIONS = 200
RUNS = 2_000
MOST_GROWTH = 10 * 1024 * 1024


def open_things() -> tuple[int, int, int]:
    process = psutil.Process()
    return process.num_fds(), len(process.children()), threading.active_count()


def test_200_sessions_at_once_each_on_its_own_model_do_not_mix_and_leave_nothing() -> None:
    """All first questions are held back until every session has asked; each conversation is checked from the server's side."""
    models = [f"m{number:03}" for number in range(SESSIONS)]
    gate = threading.Event()

    async def talk(session: AsyncSession, model: str) -> list[str]:
        task = await session.task("explore", f"task of {model}")
        assert task.model == ModelUse(f"house/{model}", f"house/{model}", "parent", model)
        return [str(task), str(await session.send(f"question of {model}"))]

    async def scene(server: Server) -> list[list[str]]:
        agent = AsyncAgent.create_now(served(server, *models))
        sessions = [agent.session(".", model=f"house/{model}") for model in models]
        talking = asyncio.gather(*(talk(session, model) for session, model in zip(sessions, models, strict=True)))
        await asyncio.to_thread(server.wait_for, SESSIONS, 60)
        gate.set()
        said = await talking
        await asyncio.gather(*(session.close() for session in sessions))
        assert not agent._sessions
        await agent.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return said

    before = open_things()
    with Server(always=lambda request: echo(request).sent(gate=gate)) as server:
        said = asyncio.run(scene(server))
        server.wait_closed(server.connections)
    gc.collect()  # the server's own
    assert open_things() == before
    assert said == [[f"{model}: {which} of {model}" for which in ("task", "question")] for model in models]
    assert all(conversation_of(request) == {request.body["model"]} for request in server.requests)
    assert len(server.requests) == 2 * SESSIONS and server.peak >= SESSIONS


def conversation_of(request: Captured) -> set[str]:
    """The models that a conversation's questions name."""
    return {message["content"].split(" of ")[1] for message in request.body["messages"] if message["role"] == "user"}


def test_what_a_closed_session_used_is_given_back() -> None:
    with Server(always=Answer("done")) as server, Agent.create(served(server, "small")) as agent:

        def use() -> None:
            sessions = [agent.session(".") for _ in range(20)]
            for session in sessions:
                session.send("x" * 50_000)
                session.close()
            server.requests.clear()

        use()
        fds = psutil.Process().num_fds()
        gc.collect()
        tracemalloc.start()
        try:
            kept, _ = tracemalloc.get_traced_memory()
            use()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - kept
        finally:
            tracemalloc.stop()
        assert grown < 500_000, f"{grown} bytes are left of 20 closed sessions"
        assert psutil.Process().num_fds() <= fds


def run_many(agent: Agent, _: Session, count: int) -> None:
    """Short runs, each in a session of its own, every tenth with a worker, every twentieth saved (the disk takes the time)."""
    for number in range(count):
        with agent.session(".", save=number % 20 == 0) as session:
            assert str(session.send("go")) == "done"
            if number % 10 == 0:
                assert str(session.task("explore", "look")) == "done"
        forget_requests(agent)


def task_many(agent: Agent, session: Session, count: int) -> None:
    """Short tasks, all in one session, which keeps a line of each."""
    for _ in range(count):
        assert str(session.task("explore", "look")) == "done"
        forget_requests(agent)


def forget_requests(agent: Agent) -> None:
    """The scripted model remembers what it was asked."""
    scripted = agent._agent.services.connect("demo")
    assert isinstance(scripted, ScriptedProvider)
    scripted.requests.clear()


@pytest.mark.parametrize("work", [run_many, task_many])
def test_many_short_runs_in_one_process_do_not_grow_its_memory(work: Callable[[Agent, Session, int], None]) -> None:
    with Agent.create(hcl([{"text": "done", "repeat": True}])) as agent, agent.session(".", save=False) as session:
        work(agent, session, 100)
        gc.collect()
        process = psutil.Process()
        before, threads = process.memory_info().rss, threading.active_count()
        work(agent, session, RUNS)
        gc.collect()
        grown = process.memory_info().rss - before
        assert grown < MOST_GROWTH, f"{RUNS} runs grew the process by {grown / 1e6:.1f} MB"
        assert threading.active_count() == threads

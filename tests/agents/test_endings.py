"""However a run is broken off, each worker that was announced is told to have ended exactly once, its slot is free again, and its work is kept."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.crew import calling, config, each_ended_once, hcl, obey_but, opened, until
from support.program import start
from support.repositories import Repository
from support.server import Answer, Call, Captured, Server, Silence
from support.ways import agents

from agentcli.agents.endings import unhurried
from agentcli.agents.tree import Ended, Task
from agentcli.protocol.errors import AgentError, Interrupted, Terminated
from agentcli.protocol.events import AgentFinished, CallStarted, RunFinished


def calls_of_workers(envelope: Any) -> bool:
    return envelope.agent_id != "main" and isinstance(envelope.event, CallStarted)


WAYS_DOWN = {
    "task": calling(("task", {"agent": "scout", "prompt": "work"}), ("task", {"agent": "scout", "prompt": "work"})),
    "parallel_task": calling(("parallel_task", {"tasks": [{"agent": "scout", "prompt": "work"}] * 2})),
    "bounded": calling(("parallel_task", {"tasks": [{"agent": "scout", "prompt": "work"}] * 4, "max_parallel": 2, "timeout_s": 60})),
    "pipeline": calling(("pipeline", {"items": ["a", "b"], "stages": [{"agent": "scout", "prompt": "work {item}"}]})),
    "nested": calling(("task", {"agent": "chief", "prompt": calling(*[("task", {"agent": "scout", "prompt": "work"})] * 2)})),
    "background": calling(*[("task", {"agent": "scout", "prompt": "work", "background": True})] * 2),
}


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("way", WAYS_DOWN)
async def test_an_interrupt_however_often_repeated_ends_each_worker_once(tmp_path: Path, way: str, times: int) -> None:
    with Server(always=obey_but(work=Silence())) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, seen):
            run = asyncio.create_task(session.send(WAYS_DOWN[way]))
            await until(session, lambda one: calls_of_workers(one) and "scout" in one.agent_id, 2)
            session.stop(Interrupted("interrupted."))
            for _ in range(times - 1):
                await asyncio.sleep(0)
                run.cancel()
            with pytest.raises((AgentError, asyncio.CancelledError)):
                await run
        assert each_ended_once(seen)
    assert {event.status for event in seen.of(AgentFinished)} == {"cancelled"}
    assert [event.status for event in seen.of(RunFinished, "main")] == ["interrupted"]


async def test_a_program_that_is_terminated_has_cancelled_workers_not_failed_ones(tmp_path: Path) -> None:
    with Server(always=obey_but(work=Silence())) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, seen):
            run = asyncio.create_task(session.send(WAYS_DOWN["task"]))
            await until(session, calls_of_workers, 2)
            session.stop(Terminated("terminated by a signal."))
            with pytest.raises(AgentError):
                await run
    assert {(event.status, event.failure.kind) for event in seen.of(AgentFinished)} == {("cancelled", "terminated")}


async def test_a_worker_that_is_cancelled_before_its_first_step_ends_too(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, **agents()) as (session, seen):
        tree, before = session.tree, len(service.requests)

        async def job() -> Ended:
            node = await tree.spawn(tree.main, Task("scout", "work"))
            await tree.cancel(node.id)
            assert node.ended is not None
            return node.ended

        ended = await session.work(job)
    assert (ended.status, each_ended_once(seen), len(service.requests)) == ("cancelled", True, before)


async def test_a_loop_that_is_shut_down_under_its_workers_still_tells_of_each_end(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, **agents()) as (session, seen):
        tree = session.tree
        node = await session.work(lambda: tree.spawn(tree.main, Task("scout", "work")))
        assert node.running is not None
        node.running.cancel()  # not through the orchestrator, as the end of asyncio.run does
        await asyncio.wait([node.running])
    assert each_ended_once(seen)


async def test_work_that_must_not_be_cut_off_is_not() -> None:
    gate, done = asyncio.Event(), []

    async def work() -> str:
        await gate.wait()
        done.append(True)
        return "kept"

    task = asyncio.create_task(unhurried(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert (await task, done) == ("kept", [True])


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancelled_workers_clone_is_saved_though_the_cancel_is_repeated(repository: Repository, times: int) -> None:
    def work(request: Captured) -> Any:
        if any(message["role"] == "tool" for message in request.body["messages"]):
            return Silence()
        return Answer(calls=(Call("write", {"path": "made.txt", "content": "half done\n"}),))

    with Server(always=obey_but(work=work)) as server:
        async with opened(hcl(server.url), repository.path, **agents(tools=["write"])) as (session, seen):
            call = calling(("task", {"agent": "scout", "prompt": "work", "workspace": "branch"}))
            run = asyncio.create_task(session.send(call))
            await until(session, calls_of_workers, 2)
            for _ in range(times):
                session.stop(Interrupted("interrupted."))
                run.cancel()
                await asyncio.sleep(0.01)
            await asyncio.wait([run])
        assert each_ended_once(seen)
    assert [event.branch for event in seen.of(AgentFinished)] == ["agentcli/scout-1"]
    assert repository.git("show", "agentcli/scout-1:made.txt") == "half done"
    assert repository.status() == []


# --- the program itself ---


def lines_until(process: Any, word: bytes, count: int) -> list[bytes]:
    """Standard output as far as `count` lines hold `word`."""
    lines: list[bytes] = []
    while sum(word in line for line in lines) < count:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line)
    return lines


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]], ids=["once", "twice", "terminated"])
def test_ctrl_c_in_a_fan_out_ends_each_worker_once_and_gives_one_result(tmp_path: Path, signals: Sequence[signal.Signals]) -> None:
    with Server(always=obey_but(work=Silence())) as server:
        (tmp_path / "a.hcl").write_text(hcl(server.url))
        prompt = calling(("parallel_task", {"tasks": [{"agent": "explore", "prompt": "work"}] * 3}))
        process = start("-p", prompt, "--config", str(tmp_path / "a.hcl"), "--output-format", "stream-json")
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        try:
            lines = lines_until(process, b'"task_started"', 3)
            server.wait_for(4)
            for number in signals:
                process.send_signal(number)
            lines += process.stdout.readlines()
            code = process.wait(10)
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
    kinds = Counter(word for line in lines for word in (b'"task_started"', b'"task_notification"', b'"type":"result"') if word in line)
    assert (code, kinds) == (
        143 if signals == [signal.SIGTERM] else 130,
        Counter({b'"task_started"': 3, b'"task_notification"': 3, b'"type":"result"': 1}),
    )
    assert b'"type":"result"' in lines[-1]

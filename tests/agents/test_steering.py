"""Pause, resume, inject and cancel on a running worker, through Python and through commands; what a cancelled worker leaves behind: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.alive import runs, still_running
from support.crew import Seen, Told, all_texts, asked, calling, config, delegate, hcl, obey, obey_but, opened
from support.repositories import Repository
from support.server import Answer, Call, Captured, Reply, Server, Silence
from support.ways import agents

from agentcli.protocol.commands import Cancel, Command, Inject, Pause, Resume
from agentcli.protocol.errors import UnknownAgent, UsageError
from agentcli.protocol.events import AgentFinished, AgentSpawned, CallStarted, RunFinished, StateChanged
from agentcli.protocol.messages import user_text
from agentcli.sdk.session import AsyncSession

SCOUT = "main/scout-1"
Steer = Callable[[AsyncSession, str, str], Awaitable[None]]


async def by_python(session: AsyncSession, action: str, text: str = "") -> None:
    orchestrator = session.orchestrator
    match action:
        case "pause":
            await orchestrator.pause_agent(SCOUT)
        case "resume":
            await orchestrator.resume_agent(SCOUT)
        case "inject":
            await orchestrator.inject_prompt(SCOUT, text)
        case _:
            await orchestrator.cancel_agent(SCOUT)


async def by_command(session: AsyncSession, action: str, text: str = "") -> None:
    commands: dict[str, Command] = {
        "pause": Pause(SCOUT),
        "resume": Resume(SCOUT),
        "inject": Inject(user_text(text, "injected"), SCOUT),
        "cancel": Cancel(SCOUT),
    }
    session.command(commands[action])


async def event(session: AsyncSession, fits: Callable[[Any], bool], within_s: float = 10.0) -> None:
    """Waits for the first envelope that fits; only those from now on count."""
    came = asyncio.Event()
    leave = session.listen(lambda envelope: came.set() if fits(envelope) else None)
    try:
        async with asyncio.timeout(within_s):
            await came.wait()
    finally:
        leave()


def state(word: str, agent: str = SCOUT) -> Callable[[Any], bool]:
    return lambda one: one.agent_id == agent and isinstance(one.event, StateChanged) and one.event.state == word


def states(seen: Seen, agent: str = SCOUT) -> list[str]:
    return [one.state for one in seen.of(StateChanged, agent)]


class Gated:
    """A worker whose first answer, a call of `ls`, waits until the test opens the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def __call__(self, request: Captured) -> Answer:
        if any(message["role"] == "tool" for message in request.body["messages"]):
            return Answer("looked")
        return Answer(calls=(Call("ls", {"path": "."}),)).sent(gate=self.gate)


def scouts(requests: list[Captured]) -> list[Captured]:
    return [one for one in requests if asked(one).prompt == "work"]


async def begin(session: AsyncSession, server: Server, **more: Any) -> asyncio.Task[Told]:
    """The main agent starts scout; returns when its first request is open at the service."""
    running = asyncio.create_task(delegate(session, server, ("task", {"agent": "scout", "prompt": "work", **more})))
    await event(session, lambda one: one.agent_id == SCOUT and isinstance(one.event, CallStarted))
    await asyncio.to_thread(server.wait_for, 2)
    return running


@pytest.mark.parametrize("steer", [by_python, by_command], ids=["python", "command"])
async def test_a_pause_lets_the_call_finish_and_holds_the_worker_until_it_is_resumed(tmp_path: Path, steer: Steer) -> None:
    gated = Gated()
    with Server(always=obey_but(work=gated)) as server:
        async with opened(hcl(server.url), tmp_path, **agents(tools=["ls"])) as (session, seen):
            running = await begin(session, server)
            await steer(session, "pause", "")
            gated.gate.set()
            await event(session, state("paused"))
            assert (await session.orchestrator.get_agent(SCOUT)).status == "paused"
            # What happens to models meanwhile concerns later workers; a resumed one keeps its own.
            session.use_model("beta/gemini-flash")
            session.pin_model("scout", "beta/qwen3:8b")
            assert len(scouts(server.requests)) == 1
            await steer(session, "resume", "")
            told = await running
        models = [asked(one).on for one in scouts(server.requests)]
    assert states(seen) == ["queued", "running", "paused", "running"]
    assert models == ["alpha/strong:low", "alpha/strong:low"]
    assert told.results[0].endswith("source: parent\nlooked")


@pytest.mark.parametrize("steer", [by_python, by_command], ids=["python", "command"])
async def test_an_injected_message_is_read_at_the_next_safe_point(tmp_path: Path, steer: Steer) -> None:
    gated = Gated()
    with Server(always=obey_but(work=gated)) as server:
        async with opened(hcl(server.url), tmp_path, **agents(tools=["ls"])) as (session, _):
            running = await begin(session, server)
            await steer(session, "inject", "Only the docs, please.")
            gated.gate.set()
            await running
        first, second = scouts(server.requests)
    assert "Only the docs" not in all_texts([first])
    assert second.body["messages"][-1]["role"] == "user"
    assert "Only the docs, please." in all_texts([second])


async def test_a_message_that_comes_with_the_last_answer_is_still_read(tmp_path: Path) -> None:
    gate = threading.Event()

    def work(request: Captured) -> Answer:
        return Answer("first").sent(gate=gate) if len(request.body["messages"]) == 2 else Answer("second")

    with Server(always=obey_but(work=work)) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, _):
            running = await begin(session, server)
            await session.orchestrator.inject_prompt(SCOUT, "And the tests?")
            gate.set()
            told = await running
    assert told.results[0].endswith("\nsecond")


@pytest.mark.parametrize("steer", [by_python, by_command], ids=["python", "command"])
async def test_a_cancel_ends_an_open_call_and_the_parent_and_its_siblings_go_on(tmp_path: Path, steer: Steer) -> None:
    with Server(always=obey_but(work=Silence())) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, seen):
            tasks = [{"agent": "scout", "prompt": "work"}, {"agent": "other", "prompt": "else"}]
            running = asyncio.create_task(delegate(session, server, ("parallel_task", {"tasks": tasks})))
            await event(session, lambda one: one.agent_id == "main/other-1" and isinstance(one.event, AgentFinished))
            began = time.monotonic()
            await steer(session, "cancel", "")
            told = await running
            took = time.monotonic() - began
    ended = seen.by(AgentFinished)
    assert (ended[SCOUT].status, ended["main/other-1"].status, took < 2.0) == ("cancelled", "completed", True)
    assert "[ERR]" in told.results[0]
    assert "error: cancelled." in told.results[0]
    assert told.results[0].endswith("\ndid else")


STUBBORN = "trap '' TERM; sleep 300 & echo $! > {0}/child; sleep 300 & echo $! >> {0}/child; echo $$ >> {0}/child; echo ready; wait; wait; sleep 300"


def bash(command: str) -> Callable[[Captured], Answer]:
    def reply(request: Captured) -> Answer:
        if any(message["role"] == "tool" for message in request.body["messages"]):
            return Answer("ran")
        return Answer(calls=(Call("bash", {"command": command}),))

    return reply


async def pids(folder: Path, count: int = 3) -> list[int]:
    async with asyncio.timeout(10):
        while not (folder / "child").exists() or len((folder / "child").read_text().split()) < count:
            await asyncio.sleep(0.01)
    return [int(word) for word in (folder / "child").read_text().split()]


@pytest.mark.parametrize("nested", [False, True], ids=["worker", "worker of a worker"])
async def test_a_cancel_leaves_no_process_within_two_seconds_though_they_ignore_term(tmp_path: Path, nested: bool) -> None:
    inner = ("task", {"agent": "scout", "prompt": "work"})
    call = ("task", {"agent": "chief", "prompt": calling(inner)}) if nested else inner
    with Server(always=obey_but(work=bash(STUBBORN.format(tmp_path)))) as server:
        async with opened(hcl(server.url), tmp_path / "in", permission_mode="bypass", **agents(tools=["bash"])) as (session, seen):
            running = asyncio.create_task(delegate(session, server, call))
            started = await pids(tmp_path)
            began = time.monotonic()
            await session.orchestrator.cancel_agent("main/chief-1" if nested else SCOUT)
            left = still_running(started, within_s=0.5)
            took = time.monotonic() - began
            await running
    assert (left, took < 2.0) == ([], True)
    assert {event.status for event in seen.of(AgentFinished)} == {"cancelled"}


LEFT = "setsid sleep 300 & echo $! > {0}/child; (trap '' TERM; sleep 300) & echo $! >> {0}/child; sleep 300 & echo $! >> {0}/child"
"""A command that ends at once and leaves three running: one in a session of its own, one that ignores TERM, a plain one."""


@pytest.mark.parametrize("nested", [False, True], ids=["worker", "worker of a worker"])
async def test_what_a_workers_commands_left_running_ends_with_a_cancel_too(tmp_path: Path, nested: bool) -> None:
    run_it, wait = ("bash", {"command": LEFT.format(tmp_path)}), Silence()
    inner = ("task", {"agent": "scout", "prompt": calling(run_it)})
    prompt, worker = (calling(inner), "chief") if nested else (calling(run_it), "scout")

    def decide(request: Captured) -> Reply:
        return wait if asked(request).prompt == prompt and request.body["messages"][-1]["role"] == "tool" else obey(request)

    with Server(always=decide) as server:
        async with opened(hcl(server.url), tmp_path / "in", permission_mode="bypass", **agents(tools=["bash"])) as (session, seen):
            running = asyncio.create_task(delegate(session, server, ("task", {"agent": worker, "prompt": prompt})))
            await event(session, lambda one: one.agent_id == f"main/{worker}-1" and isinstance(one.event, CallStarted) and one.event.call == 2)
            started = await pids(tmp_path)
            began = time.monotonic()
            await session.orchestrator.cancel_agent(f"{worker}-1")
            left = still_running(started, within_s=0.5)
            took = time.monotonic() - began
            await running
    assert (left, took < 2.0) == ([], True)
    assert [one.status for one in seen.of(AgentFinished)] == (["completed", "cancelled"] if nested else ["cancelled"])


async def test_what_a_completed_workers_commands_left_running_goes_on(service: Server, tmp_path: Path) -> None:
    command = f"sleep 300 & echo $! > {tmp_path}/child"
    async with opened(config(service.url), tmp_path / "in", permission_mode="bypass", **agents(tools=["bash"])) as (session, _):
        await delegate(session, service, ("task", {"agent": "scout", "prompt": calling(("bash", {"command": command}))}))
    (number,) = await pids(tmp_path, 1)
    assert runs(number)
    os.kill(number, signal.SIGKILL)


async def test_a_worker_of_a_silent_service_is_timed_out_while_its_siblings_finish(tmp_path: Path) -> None:
    with Server(always=obey_but(work=Silence())) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, seen):
            tasks = [{"agent": "scout", "prompt": "work", "timeout_s": 0.3}, {"agent": "other", "prompt": "else"}]
            told = await delegate(session, server, ("parallel_task", {"tasks": tasks}))
    assert {agent: one.status for agent, one in seen.by(AgentFinished).items()} == {SCOUT: "failed", "main/other-1": "completed"}
    assert "error: the time limit of 0.3 s is over. Raise timeout_s of the call." in told.results[0]
    assert told.results[0].endswith("\ndid else")


async def test_a_service_that_says_nothing_more_is_given_up_on_after_the_idle_limit(tmp_path: Path) -> None:
    stalling = Answer("a long answer").sent(stall_after=2)
    limits = "limits {\n  idle_s = 0.2\n  retries = 0\n}"
    with Server(always=obey_but(work=stalling)) as server:
        async with opened(hcl(server.url, limits), tmp_path, **agents()) as (session, seen):
            told = await delegate(session, server, ("task", {"agent": "scout", "prompt": "work"}))
    assert seen.by(AgentFinished)[SCOUT].failure.kind == "unavailable"
    assert "[ERR]" in told.results[0]


async def test_a_tool_that_never_ends_is_timed_out_with_its_worker_and_leaves_no_process(tmp_path: Path) -> None:
    with Server(always=obey_but(work=bash(STUBBORN.format(tmp_path)))) as server:
        async with opened(hcl(server.url), tmp_path / "in", permission_mode="bypass", **agents(tools=["bash"])) as (session, seen):
            tasks = [{"agent": "scout", "prompt": "work", "timeout_s": 1.0}, {"agent": "other", "prompt": "else"}]
            told = await delegate(session, server, ("parallel_task", {"tasks": tasks}))
            left = still_running(await pids(tmp_path), within_s=0.5)
    assert left == []
    assert (seen.by(AgentFinished)[SCOUT].status, told.results[0].endswith("\ndid else")) == ("failed", True)


async def test_a_fan_out_has_a_time_limit_of_its_own_for_those_that_run_and_those_that_queue(tmp_path: Path) -> None:
    with Server(always=obey_but(work=Silence())) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, seen):
            tasks = [{"agent": "other", "prompt": "else"}, *[{"agent": "scout", "prompt": "work"}] * 3]
            told = await delegate(session, server, ("parallel_task", {"tasks": tasks, "max_parallel": 2, "timeout_s": 0.5}))
    assert {agent: one.status for agent, one in seen.by(AgentFinished).items()} == {
        "main/other-1": "completed", SCOUT: "failed", "main/scout-2": "failed", "main/scout-3": "failed",
    }  # fmt: skip
    assert told.results[0].count("the fan-out's time limit of 0.5 s is over.") == 3
    assert len(scouts(told.requests)) == 2


async def test_an_unknown_agent_is_named_with_the_known_ones_and_an_ended_one_is_not_steered(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, **agents()) as (session, _):
        await delegate(session, service, ("task", {"agent": "scout", "prompt": "work"}))
        for steer in (session.orchestrator.pause_agent, session.orchestrator.cancel_agent, session.orchestrator.get_agent):
            with pytest.raises(UnknownAgent, match="unknown agent 'scuot-1'; known: main, main/scout-1"):
                await steer("scuot-1")
        for command in (Pause("scout-1"), Cancel("scout-1"), Inject(user_text("x"), "scout-1")):
            with pytest.raises(UsageError, match="agent 'main/scout-1' has already completed"):
                session.command(command)
        with pytest.raises(UsageError, match="interrupted, not cancelled"):
            session.command(Cancel("main"))


@pytest.mark.parametrize("steer", ["pause", "inject"])
async def test_a_worker_whose_work_is_being_handed_back_takes_no_word_that_nobody_would_read(
    service: Server, repository: Repository, steer: str
) -> None:
    async with opened(config(service.url), repository.path, **agents()) as (session, seen):
        running = asyncio.create_task(session.task("scout", "work", workspace="branch"))
        await event(session, lambda one: one.agent_id == SCOUT and isinstance(one.event, RunFinished))
        assert seen.of(AgentFinished) == []
        with pytest.raises(UsageError, match=f"agent '{SCOUT}' has finished; its work is being handed back"):
            await by_python(session, steer, "Too late.")
        assert str(await running) == "did work"


async def test_the_tools_steer_workers_that_run_in_the_background_and_nobody_elses(tmp_path: Path) -> None:
    """A main agent that starts two, lists them, writes to one, kills the other, and is told how each ended."""
    gate = threading.Event()
    steps = iter(
        [
            (
                Call("task", {"agent": "scout", "prompt": "work", "background": True}),
                Call("invoke_subagent", {"Subagents": [{"TypeName": "scout", "Role": "the slow one", "Prompt": "held"}], "Background": True}),
            ),
            (Call("manage_subagents", {"Action": "list"}), Call("send_message", {"Recipient": "scout-1", "Message": "Hurry."})),
            (Call("manage_subagents", {"Action": "kill", "Ids": ["scout-2", "main"]}), Call("manage_subagents", {"Action": "pause"})),
            (Call("manage_subagents", {"Action": "kill", "Ids": ["the slow one"]}),),
        ]
    )

    def main(request: Captured) -> Answer:
        calls = next(steps, None)
        if calls is not None:
            return Answer(calls=tuple(Call(one.name, one.arguments, id=f"{id(calls)}-{at}") for at, one in enumerate(calls)))
        gate.set()
        return Answer("over")

    def work(request: Captured) -> Answer:
        return Answer("said").sent(gate=gate)

    with Server(always=obey_but(go=main, work=work, held=Silence())) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, seen):
            await session.send("go")
        results = all_texts(server.requests)
    assert "main/scout-1: scout, " in results
    assert "Sent to main/scout-1." in results
    assert "main is none of your workers." in results
    assert "pause needs Ids; list shows them." in results
    assert "main/scout-2: kill done, now cancelled." in results
    assert results.count("A background worker has ended.") >= 2
    assert {agent: one.status for agent, one in seen.by(AgentFinished).items()} == {SCOUT: "completed", "main/scout-2": "cancelled"}
    assert len(seen.of(AgentSpawned)) == 2

"""The library without await: the same from a script, within a running loop and from threads; Ctrl-C, closing, forgetting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.library import echo, hcl, last, served
from support.server import Answer, Call, Server, Silence

from agentcli import (
    Agent,
    AgentOrchestrator,
    AsyncAgent,
    AsyncSession,
    Envelope,
    Interrupted,
    RequestRejected,
    Result,
    RunFinished,
    Session,
    SessionBusy,
    SessionClosed,
    TextDelta,
    UnknownAgent,
    UsageError,
    tool,
)
from agentcli.sdk.loop_thread import LoopThread
from agentcli.sdk.orchestrator import AsyncAgentOrchestrator
from agentcli.system import folders

SCOUT = 'agents "scout" { description = "Looks." model = "house/large" }'


@pytest.fixture
def house() -> Iterator[tuple[Agent, Server]]:
    """An agent on a server that says which model was asked what."""
    with Server(always=echo) as server, Agent.create(served(server, "small", "large", more=SCOUT)) as agent:
        yield agent, server


def scenario(agent: Agent) -> list[str]:
    """What every kind of program must be able to do."""
    with agent.session(".") as session, agent.session(".", {"model": "house/large"}) as other:
        said = [str(session.send("one")), str(other.run("two")), str(session.task("scout", "three"))]
        specs = [{"agent": "scout", "prompt": "four"}, {"agent": "scout", "prompt": "five", "model": "small"}]
        said += [str(result) for result in session.parallel(specs)]
        said += [str(one) for one in session.pipeline(["six"], [{"agent": "scout", "prompt": "{item}"}])]
        said += [str(item) for item in session.stream("seven") if isinstance(item, Result)]
        session.use_model("large")
        return [*said, str(session.send("eight")), str(len(session.history)), str(len(session.agents))]


EXPECTED = [
    "small: one", "large: two", "large: three", "large: four", "small: five", "large: six", "small: seven", "large: eight", "6", "4",
]  # fmt: skip


def test_a_plain_script_a_running_loop_and_many_threads_pass_the_same_scenario(house: tuple[Agent, Server]) -> None:
    agent, _ = house

    async def notebook() -> list[str]:
        return scenario(agent)

    assert scenario(agent) == EXPECTED
    assert asyncio.run(notebook()) == EXPECTED
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: scenario(agent), range(12))) == [EXPECTED] * 12


def test_the_async_twin_passes_it_too(house: tuple[Agent, Server]) -> None:
    _, server = house

    async def scene() -> list[str]:
        async with AsyncAgent.create_now(served(server, "small", "large", more=SCOUT)) as agent:
            session, other = agent.session("."), agent.session(".", {"model": "house/large"})
            said = [str(await session.send("one")), str(await other.run("two")), str(await session.task("scout", "three"))]
            specs = [{"agent": "scout", "prompt": "four"}, {"agent": "scout", "prompt": "five", "model": "small"}]
            said += [str(result) for result in await session.parallel(specs)]
            said += [str(one) for one in await session.pipeline(["six"], [{"agent": "scout", "prompt": "{item}"}])]
            said += [str(item) async for item in session.stream("seven") if isinstance(item, Result)]
            session.use_model("large")
            return [*said, str(await session.send("eight")), str(len(session.history)), str(len(session.agents))]

    assert asyncio.run(scene()) == EXPECTED


def test_both_twins_have_the_same_verbs_with_the_same_parameters() -> None:
    import inspect

    def verbs(kind: type) -> dict[str, list[str]]:
        found = {}
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and callable(member):
                found[name] = [one for one in inspect.signature(member).parameters if one != "self"]
        return found

    for one, other, more in (
        (Agent, AsyncAgent, {"create_now", "layered"}),
        (AgentOrchestrator, AsyncAgentOrchestrator, {"view"}),
        (
            Session, AsyncSession,
            {"add_rule", "beside", "check_open", "command", "drive", "landed", "launch", "notice", "pin_model", "rename", "set_effort", "set_mode",
             "settled", "start", "stop", "take_back", "tell", "try_anew", "work"},
        ),
    ):  # fmt: skip
        sync_verbs, async_verbs = verbs(one), verbs(other)
        assert set(async_verbs) - set(sync_verbs) == more
        assert sync_verbs == {name: parameters for name, parameters in async_verbs.items() if name not in more}
    properties = {name for name, member in inspect.getmembers(Session) if isinstance(member, property)}
    assert properties == {"agents", "busy", "closed", "history", "orchestrator"} <= set(dir(AsyncSession))


def test_a_stream_comes_as_it_is_made() -> None:
    """The second half of the answer is sent only when the first was seen."""
    gate = threading.Event()
    seen: list[str] = []
    replies = (Answer(calls=(Call("ls", {}),), text="first"), Answer("second").sent(gate=gate))
    with Server(*replies) as server, Agent.create(served(server, "small")) as agent, agent.session(".") as session:
        for item in session.stream("go"):
            if isinstance(item, Envelope) and isinstance(item.event, TextDelta):
                seen.append(item.event.text)
                gate.set()
            final = item
    assert "".join(seen) == "firstsecond" and isinstance(final, Result) and final.text == "second"


def test_leaving_a_stream_ends_the_run(house: tuple[Agent, Server]) -> None:
    agent, server = house
    server.reply(Answer("half").sent(stall_after=2))
    with agent.session(".") as session:
        events: list[Any] = []
        session.listen(lambda envelope: events.append(envelope.event))
        stream = session.stream("go")
        assert any(isinstance(item, Envelope) and isinstance(item.event, TextDelta) for item in stream)
        stream.close()
        assert not session.busy and isinstance(events[-1], RunFinished) and events[-1].status == "interrupted"
        assert str(session.send("again")).startswith("small:")


def test_overlapping_calls_of_threads_raise_at_once() -> None:
    gate = threading.Event()
    with Server(always=lambda request: echo(request).sent(gate=gate)) as server, Agent.create(served(server, "small")) as agent:
        session = agent.session(".")
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(session.send, "one")
            server.wait_for(1)
            for call in (lambda: session.send("two"), lambda: session.run("two"), lambda: next(session.stream("two"))):
                with pytest.raises(SessionBusy):
                    call()
            gate.set()
            assert str(first.result()) == "small: one"


def test_errors_cross_the_thread_with_their_result_and_use_after_close_is_said(house: tuple[Agent, Server]) -> None:
    from support.server import failed

    agent, server = house
    session = agent.session(".")
    server.reply(failed(400, "cannot"))
    with pytest.raises(RequestRejected, match="cannot") as caught:
        session.send("x")
    assert isinstance(caught.value.result, Result)
    session.close()
    session.close()
    stream = session.stream("x")
    for call in (lambda: session.send("x"), lambda: session.task("scout", "x"), lambda: session.use_model("large"), lambda: next(stream)):
        with pytest.raises(SessionClosed):
            call()
    other = agent.session(".")
    agent.close()
    agent.close()
    assert other.closed
    other.close()
    for call in (lambda: agent.session("."), lambda: other.send("x"), lambda: other.orchestrator.list_agents()):
        with pytest.raises(SessionClosed):
            call()
    assert other.history == () and other.agents == ()


def test_closing_the_agent_ends_what_other_threads_wait_for() -> None:
    with Server(always=Answer("half").sent(stall_after=2)) as server:
        agent = Agent.create(served(server, "small"))
        session = agent.session(".")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(session.send, "one")
            server.wait_for(1)
            agent.close()
            with pytest.raises(Interrupted):
                waiting.result(10)


def test_the_orchestrator_steers_from_another_thread_while_send_runs(house: tuple[Agent, Server]) -> None:
    agent, server = house
    gate = threading.Event()
    server.reply(Answer(calls=(Call("task", {"agent": "scout", "prompt": "look"}),)), Answer(calls=(Call("ls", {}),)).sent(gate=gate))
    session = agent.session(".")
    steer = AgentOrchestrator(session)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(session.send, "delegate")
        server.wait_for(2)
        (worker,) = session.agents
        steer.pause_agent(worker.id)
        steer.inject_prompt(worker.id, "Stop and summarize")
        with pytest.raises(UnknownAgent, match="main/scout-1"):
            steer.cancel_agent("scout-9")
        steer.resume_agent(worker.name)
        gate.set()
        ended = steer.wait(worker.id, timeout_s=10)
        assert ended.text == "large: Stop and summarize" and steer.get_agent("scout-1") == ended and steer.wait_all() == (ended,)
        assert "Stop and summarize" in str(sending.result())
    assert [one.name for one in session.orchestrator.list_agents()] == ["main", "scout-1"]


def test_an_orchestrator_takes_a_session_of_its_own_kind(house: tuple[Agent, Server]) -> None:
    with pytest.raises(UsageError, match="takes a Session"):
        AgentOrchestrator(house[0])  # type: ignore[arg-type]


def test_cancel_from_another_thread_ends_send(house: tuple[Agent, Server]) -> None:
    agent, server = house
    server.reply(Answer("half").sent(stall_after=2))
    session = agent.session(".")
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(session.send, "one")
        server.wait_for(1)
        session.cancel()
        with pytest.raises(Interrupted):
            sending.result(10)
    assert str(session.send("again")).startswith("small:")


def test_tools_and_callbacks_may_use_the_session_but_an_async_one_may_not_wait_for_it() -> None:
    told: list[str] = []

    @tool
    def look() -> str:
        """Looks."""
        told.append(str(session.task("scout", "from the tool")))
        return "looked"

    @tool
    async def deadlock() -> str:
        """Would wait for itself."""
        with pytest.raises(UsageError, match="AsyncAgent"):
            try:
                session.task("scout", "never")
            except UsageError as error:
                raise UsageError(error.line()) from error
        return "noticed"

    replies = (Answer(calls=(Call("look", {}), Call("deadlock", {}))), Answer("from large"), Answer("done"))
    with Server(*replies) as server, Agent.create(served(server, "small", "large", more=SCOUT)) as agent:
        session = agent.session(".", own_tools=[look, deadlock], allowed_tools=["look", "deadlock"])
        assert str(session.send("go")) == "done" and told == ["from large"]
        results = next(part for part in session.history if hasattr(part, "results")).results
        assert [result.text() for result in results] == ["looked", "noticed"]


def test_an_async_function_that_exits_takes_nobody_with_it(house: tuple[Agent, Server]) -> None:
    agent, server = house

    @tool
    async def leave() -> str:
        """Leaves."""
        raise SystemExit(3)

    other = agent.session(".")
    server.reply(Answer(calls=(Call("leave", {}),)))
    session = agent.session(".", own_tools=[leave], allowed_tools=["leave"])
    with contextlib.suppress(SystemExit):
        session.send("go")
    assert str(other.send("still there")) == "small: still there"


def test_a_forgotten_agent_ends_its_thread_and_closes_its_sessions() -> None:
    before = threading.active_count()
    with Server(always=echo) as server:
        agent = Agent.create(served(server, "small"))
        session = agent.session(".")
        session.send("x")
        inner, connections = session._session, server.connections
        del agent
        gc.collect()
        assert not inner.closed, "the session still needs its agent"
        del session
        gc.collect()
        assert inner.closed and connections == 1
        server.wait_closed(1)
        assert threading.active_count() == before + 1, "the server's own thread"


def test_a_loop_that_two_threads_stop_at_once_ends_its_work_in_order() -> None:
    loop, begun, ending, put_in_order = LoopThread("a loop"), threading.Event(), threading.Event(), []

    async def slow_to_end() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ending.set()
            await asyncio.sleep(0.2)
            put_in_order.append(True)

    job = loop.begin(slow_to_end)
    assert begun.wait(10)
    first = threading.Thread(target=loop.stop)
    first.start()
    assert ending.wait(10)
    loop.stop()
    first.join()
    assert isinstance(job.done.exception(5), asyncio.CancelledError) and put_in_order
    with pytest.raises(SessionClosed):
        loop.run(slow_to_end)


def test_an_agent_without_a_session_starts_no_thread() -> None:
    before = threading.active_count()
    agent = Agent.create(hcl([]))
    assert threading.active_count() == before
    agent.close()


# --- as programs of their own ---


def program(text: str) -> subprocess.Popen[str]:
    Path("program.py").write_text(text)
    return subprocess.Popen([sys.executable, "program.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def test_ctrl_c_in_a_waiting_call_cancels_the_run_and_is_raised() -> None:
    text = """
from agentcli import Agent
agent = Agent.create("agent.hcl")
session = agent.session(".")
try:
    session.send("hold on")
except KeyboardInterrupt:
    print("interrupted; busy:", session.busy, flush=True)
    print(str(session.send("again")).splitlines()[-1])
"""
    with Server(Silence(), always=echo) as server:
        Path("agent.hcl").write_text(served(server, "small"))
        running = program(text)
        server.wait_for(1, 30)
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=30)
    assert (running.returncode, out) == (0, "interrupted; busy: False\nagain\n"), errors
    assert last(server.requests[1]) == "hold on\n\nagain"


def test_ctrl_c_in_a_stream_cancels_the_run_too() -> None:
    text = """
from agentcli import Agent
session = Agent.create("agent.hcl").session(".")
try:
    for item in session.stream("hold on"):
        pass
except KeyboardInterrupt:
    print("interrupted; busy:", session.busy)
"""
    with Server(Answer("half").sent(stall_after=2)) as server:
        Path("agent.hcl").write_text(served(server, "small"))
        running = program(text)
        server.wait_for(1, 30)
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=40)
    assert (running.returncode, out) == (0, "interrupted; busy: False\n"), errors


def test_a_program_that_closes_nothing_ends_by_itself_and_quietly() -> None:
    text = """
from agentcli import Agent
session = Agent.create("agent.hcl").session(".")
print(session.send("hello"))
session.task("scout", "never ends", background=True)
"""
    with Server(echo, always=Answer("half").sent(stall_after=2)) as server:
        Path("agent.hcl").write_text(served(server, "small", "large", more=SCOUT))
        running = program(text)
        out, errors = running.communicate(timeout=40)
    assert (running.returncode, out, errors) == (0, "small: hello\n", "")


def test_a_program_that_closes_nothing_leaves_no_clone_of_a_worker() -> None:
    text = """
from agentcli import Agent
session = Agent.create("agent.hcl").session(".")
print(session.task("general", "look", workspace="branch"))
"""
    Path("agent.hcl").write_text(hcl(["done"]))
    running = program(text)
    out, errors = running.communicate(timeout=40)
    left = list(folders.cache().rglob("agent.hcl"))
    assert (running.returncode, out, errors, left) == (0, "done\n", "", [])


def test_a_forked_child_is_told_instead_of_waiting_for_ever() -> None:
    text = """
import os
from agentcli import Agent, SessionClosed
agent = Agent.create("agent.hcl")
session = agent.session(".")
print(session.send("hello"), flush=True)
if os.fork() == 0:
    try:
        session.send("from the child")
    except SessionClosed as error:
        print("told", flush=True)
    session.close()
    agent.close()
    print("closed", session.closed, flush=True)
    os._exit(0)
os.wait()
print(session.send("again"))
"""
    with Server(always=echo) as server:
        Path("agent.hcl").write_text(served(server, "small"))
        running = program(text)
        out, errors = running.communicate(timeout=40)
    assert (running.returncode, out) == (0, "small: hello\ntold\nclosed False\nsmall: again\n"), errors


def test_closing_frees_threads_files_and_sockets(house: tuple[Agent, Server]) -> None:
    process, before = psutil.Process(), (threading.active_count(), psutil.Process().num_fds())
    _, server = house
    for _ in range(3):
        with Agent.create(served(server, "small")) as agent:
            agent.session(".").send("x")
    server.wait_closed(server.connections)
    gc.collect()
    assert (threading.active_count(), process.num_fds()) == before

"""Workers in the background: their reports come as messages at the next safe point, a run waits for them before its end, and a failure counts."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from support.crew import all_texts, asked, calling, each_ended_once, hcl, obey_but, opened
from support.program import run
from support.server import Answer, Call, Captured, Reply, Server, failed
from support.ways import agents

from agentcli.protocol.commands import Inject
from agentcli.protocol.events import AgentFinished, Replied, RunFinished, UserSubmitted
from agentcli.protocol.messages import user_text

BACKGROUND = ("task", {"agent": "explore", "prompt": "work", "background": True})


class Parent:
    """A main agent that starts a worker in the background, looks at something meanwhile, and then answers."""

    def __init__(self, gate: threading.Event) -> None:
        self.gate = gate
        self.calls = 0

    def __call__(self, request: Captured) -> Reply:
        self.calls += 1
        if self.calls == 1:
            return Answer(calls=(Call("task", BACKGROUND[1]),))
        if self.calls == 2:
            self.gate.set()  # the worker ends while the parent's own call is under way
            return Answer(calls=(Call("ls", {"path": "."}),)).sent(first_delay_s=0.3)
        return Answer(f"answer {self.calls}")


async def test_a_report_comes_at_the_next_safe_point(tmp_path: Path) -> None:
    gate = threading.Event()
    with Server(always=obey_but(go=Parent(gate), work=Answer("it is in lib/").sent(gate=gate))) as server:
        async with opened(hcl(server.url), tmp_path, **agents()) as (session, seen):
            result = await session.send("go")
        third = [one for one in server.requests if asked(one).prompt == "go"][2]
    report = third.body["messages"][-1]
    assert report["role"] == "user"
    told = [event.message for event in seen.of(UserSubmitted, "main") if event.message.origin == "worker"]
    assert len(told) == 1
    assert told[0].text().splitlines()[:2] == ["A background worker has ended.", "--- Task 1 (explore · alpha/strong:low) [OK] ---"]
    assert told[0].text().endswith("served: strong; source: parent\nit is in lib/")
    assert told[0].text() in all_texts([third])
    assert (str(result), len([one for one in server.requests if asked(one).prompt == "go"])) == ("answer 3", 3)


async def test_a_run_waits_for_its_background_workers_and_their_parent_reads_them(tmp_path: Path) -> None:
    slow = Answer("found it").sent(first_delay_s=0.2)
    with Server(always=obey_but(work=slow)) as server:
        async with opened(hcl(server.url), tmp_path) as (session, seen):
            result = await session.send(calling(BACKGROUND, BACKGROUND))
        main = [one for one in server.requests if asked(one).prompt.startswith("CALL")]
    order = [(one.agent_id, type(one.event).__name__) for one in seen.envelopes if isinstance(one.event, AgentFinished | RunFinished)]
    assert order[-1] == ("main", "RunFinished")
    assert each_ended_once(seen)
    assert all_texts([main[-1]]).count("found it") == 2
    assert len(result.agents) == 2


async def test_a_person_who_speaks_to_a_run_that_waits_for_its_workers_is_answered_at_once(tmp_path: Path) -> None:
    gate = threading.Event()
    with Server(always=obey_but(work=Answer("found it").sent(gate=gate))) as server:
        async with opened(hcl(server.url), tmp_path) as (session, seen):
            running = asyncio.create_task(session.send(calling(BACKGROUND)))
            async with asyncio.timeout(10):
                while len(seen.of(Replied, "main")) < 2:
                    await asyncio.sleep(0.01)
                session.command(Inject(user_text("how far are you", "injected")))
                while len(seen.of(Replied, "main")) < 3:
                    await asyncio.sleep(0.01)
            assert not seen.of(AgentFinished)
            gate.set()
            await running
    told = [event.message.origin for event in seen.of(UserSubmitted, "main")]
    assert told == ["person", "injected", "worker"]


async def test_a_worker_waits_for_the_background_workers_of_its_own(tmp_path: Path) -> None:
    with Server(always=obey_but(work=Answer("found it").sent(first_delay_s=0.1))) as server:
        async with opened(hcl(server.url), tmp_path, max_parallel=1, **agents()) as (session, seen):
            await session.send(calling(("task", {"agent": "chief", "prompt": calling(BACKGROUND, BACKGROUND)})))
    order = [one.agent_id for one in seen.envelopes if isinstance(one.event, AgentFinished)]
    assert (order[-1], len(order), {event.status for event in seen.of(AgentFinished)}) == ("main/chief-1", 3, {"completed"})


async def test_a_run_that_fails_does_not_leave_its_background_workers_behind(tmp_path: Path) -> None:
    def main(request: Captured) -> Reply:
        return failed(400, "broken") if request.body["messages"][-1]["role"] == "tool" else Answer(calls=(Call("task", BACKGROUND[1]),))

    with Server(always=obey_but(go=main, work=Answer("late").sent(first_delay_s=60))) as server:
        async with opened(hcl(server.url), tmp_path) as (session, seen):
            with pytest.raises(Exception, match="broken"):
                await session.send("go")
        assert each_ended_once(seen)
    assert [event.status for event in seen.of(AgentFinished)] == ["cancelled"]


# --- print mode ---


@pytest.mark.parametrize(("call", "code", "failure"), [(BACKGROUND, 1, "worker_failed"), (("task", {"agent": "explore", "prompt": "work"}), 0, None)],
                         ids=["background", "foreground"])  # fmt: skip
def test_a_failed_background_worker_makes_exit_1_a_foreground_one_is_reported(
    tmp_path: Path, call: tuple[str, dict[str, object]], code: int, failure: str | None
) -> None:
    with Server(always=obey_but(work=failed(400, "no such thing"))) as server:
        (tmp_path / "a.hcl").write_text(hcl(server.url))
        ran = run("-p", calling(call), "--config", str(tmp_path / "a.hcl"), "--output-format", "stream-json", "-q")
        texts = all_texts(server.requests)
    result = ran.result
    assert (ran.code, (result.get("error") or {}).get("kind")) == (code, failure)
    assert [(one["id"], one["status"]) for one in result["agents"]] == [("main/explore-1", "failed")]
    assert "error: alpha answered 400: no such thing." in texts
    kinds = [line.get("subtype") or line["type"] for line in ran.lines]
    assert kinds.index("task_notification") < len(kinds) - 1

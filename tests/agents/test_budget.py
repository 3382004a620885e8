"""One ledger over the whole tree: it stops the next call of whoever makes it, background workers included, and never more is spent than was
in flight when the last cent went."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.crew import asked, calling, config, each_ended_once, hcl, obey_but, opened
from support.server import Answer, Call, Captured, Reply, Server
from support.ways import agents

from agentcli.agents.patterns import parallel
from agentcli.agents.tree import Task
from agentcli.protocol.errors import AgentError, BudgetLimit
from agentcli.protocol.events import AgentFinished, Replied
from agentcli.protocol.models import Usage

A_CALL_USD = 0.012
"""What `BIG` costs on alpha/strong: 1,000 tokens in at $2 and 1,000 out at $10 a million."""
BIG = Usage(input=1000, output=1000)


def digging(request: Captured) -> Reply:
    """A worker that never has enough: each answer costs `A_CALL_USD` and calls another tool."""
    return Answer(calls=(Call("ls", {"path": "."}, id=f"c{len(request.body['messages'])}"),), usage=BIG)


def spent(seen: Any) -> float:
    return sum(event.cost_usd for event in seen.of(Replied))


async def test_the_usd_of_all_agents_count_and_the_next_call_of_each_is_stopped(tmp_path: Path) -> None:
    with Server(always=obey_but(dig=digging)) as server:
        async with opened(hcl(server.url), tmp_path, max_budget_usd=0.1, **agents(tools=["ls"])) as (session, seen):
            with pytest.raises(BudgetLimit, match=r"the budget of \$0\.1 is spent") as stopped:
                await session.send(calling(("parallel_task", {"tasks": [{"agent": "scout", "prompt": "dig"}] * 4})))
        calls = len(seen.of(Replied))
    ended = seen.of(AgentFinished)
    assert [(event.status, event.failure.kind) for event in ended] == [("failed", "budget")] * 4
    assert 0.1 <= spent(seen) < 0.1 + 4 * A_CALL_USD
    assert stopped.value.exit_code == 54
    assert len(server.requests) == calls


async def test_tokens_have_a_limit_of_their_own(tmp_path: Path) -> None:
    with Server(always=obey_but(dig=digging)) as server:
        async with opened(hcl(server.url), tmp_path, max_tokens=9_000, **agents(tools=["ls"])) as (session, seen):
            with pytest.raises(BudgetLimit, match="the limit of 9000 tokens is used up"):
                await session.send(calling(("task", {"agent": "scout", "prompt": "dig"})))
    used = sum(event.usage.total for event in seen.of(Replied))
    assert 9_000 <= used < 9_000 + BIG.total


async def test_workers_in_the_background_spend_from_the_same_purse(tmp_path: Path) -> None:
    """They have spent it all when the main agent asks again: its call is not made."""
    gate = threading.Event()

    def last(request: Captured) -> Reply:
        if request.body["messages"][-1]["role"] == "tool":
            return Answer("waiting").sent(gate=gate)
        return Answer(calls=(Call("task", {"agent": "scout", "prompt": "dig", "background": True}),))

    def worker(request: Captured) -> Reply:
        if sum(message["role"] == "tool" for message in request.body["messages"]) == 8:
            gate.set()
        return digging(request)

    with Server(always=obey_but(go=last, dig=worker)) as server:
        async with opened(hcl(server.url), tmp_path, max_budget_usd=0.1, **agents(tools=["ls"])) as (session, seen):
            with pytest.raises(BudgetLimit):
                await session.send("go")
        assert each_ended_once(seen)
        assert len([one for one in server.requests if asked(one).prompt == "go"]) == 2
    assert seen.by(AgentFinished)["main/scout-1"].failure.kind == "budget"
    assert 0.1 <= spent(seen) < 0.1 + 2 * A_CALL_USD


async def test_a_workers_own_budget_ends_that_worker_alone(tmp_path: Path) -> None:
    with Server(always=obey_but(dig=digging)) as server:
        async with opened(hcl(server.url), tmp_path, **agents(tools=["ls"], max_cost_usd=0.03)) as (session, seen):
            tasks = [{"agent": "scout", "prompt": "dig"}, {"agent": "other", "prompt": "else"}]
            await session.send(calling(("parallel_task", {"tasks": tasks})))
    ended = seen.by(AgentFinished)
    assert (ended["main/scout-1"].status, ended["main/other-1"].status) == ("failed", "completed")
    assert ended["main/scout-1"].failure.message == "the budget of 'scout', $0.03, is spent ($0.0360)."
    assert ended["main/scout-1"].turns == 3


async def test_what_a_workers_own_workers_spend_counts_to_its_budget(tmp_path: Path) -> None:
    with Server(always=obey_but(dig=digging)) as server:
        scout = agents(tools=["ls"])
        scout["agents_json"] = '{"chief": {"description": "Leads.", "can_delegate": true, "max_cost_usd": 0.03}}'
        async with opened(hcl(server.url), tmp_path, **scout) as (session, seen):
            await session.send(calling(("task", {"agent": "chief", "prompt": calling(("task", {"agent": "scout", "prompt": "dig"}))})))
    ended = seen.by(AgentFinished)
    assert ended["main/chief-1/scout-1"].failure.message.startswith("the budget of 'chief', $0.03, is spent")
    assert ended["main/chief-1"].failure.kind == "budget"


async def test_a_worker_with_a_budget_of_its_own_needs_a_model_whose_price_is_known(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, **agents(max_cost_usd=1.0)) as (session, seen):
        with pytest.raises(AgentError, match="the price of beta/qwen3:8b is unknown"):
            await session.task("scout", "work", model="qwen3:8b")
    assert seen.of(AgentFinished) == []


async def test_each_run_of_a_session_has_the_whole_budget(tmp_path: Path) -> None:
    """What a run may spend is not what the runs before it left."""
    with Server(always=obey_but(dig=Answer("dug", usage=BIG))) as server:
        async with opened(hcl(server.url), tmp_path, max_budget_usd=0.02, **agents()) as (session, _):
            for _ in range(3):
                assert str(await session.task("scout", "dig")) == "dug"


@pytest.mark.parametrize("workers", [1, 8])
async def test_no_more_is_overspent_than_was_in_flight(tmp_path: Path, workers: int) -> None:
    """All workers are let go at the same moment, again and again: the worst case for a ledger that is asked before each call."""
    with Server(always=obey_but(dig=digging)) as server:
        options = {"max_budget_usd": 0.3, "max_parallel": workers, **agents(tools=["ls"])}
        async with opened(hcl(server.url), tmp_path, **options) as (session, seen):
            tree = session.tree
            await session.work(lambda: parallel(tree, tree.main, [Task("scout", "dig")] * workers))
    assert 0.3 <= spent(seen) < 0.3 + workers * A_CALL_USD


async def test_a_call_that_waited_for_its_service_looks_at_the_budget_again(tmp_path: Path) -> None:
    """A service that takes one call at a time: seven of eight workers asked for a place while nothing was spent."""
    with Server(always=obey_but(dig=digging)) as server:
        narrow = hcl(server.url).replace('providers "alpha" {', 'providers "alpha" {\n  max_concurrent = 1', 1)
        async with opened(narrow, tmp_path, max_budget_usd=0.001, max_parallel=8, **agents(tools=["ls"])) as (session, seen):
            tree = session.tree
            await session.work(lambda: parallel(tree, tree.main, [Task("scout", "dig")] * 8))
    assert spent(seen) == pytest.approx(A_CALL_USD)
    assert [one.failure.kind for one in seen.of(AgentFinished)] == ["budget"] * 8

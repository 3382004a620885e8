"""Pipelines: items go through the stages on their own, a stage that fails ends its item only, prompts are filled in one go."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.crew import asked, config, delegate, hcl, obey_but, opened
from support.server import Answer, Captured, Reply, Server, failed

from agentcli.agents.patterns import filled
from agentcli.agents.report import share
from agentcli.protocol.events import AgentFinished, AgentSpawned

STAGES = [{"agent": "explore", "prompt": "first {item}"}, {"agent": "explore", "prompt": "then {item} after {previous}", "model": "fast"}]


def test_a_prompt_is_filled_in_one_go() -> None:
    assert filled("{item}, {previous}, {other} and {{item}}", "a {previous}", "b {item}") == "a {previous}, b {item}, {other} and {a {previous}}"


async def test_each_item_goes_through_all_stages_and_knows_what_came_before(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path) as (session, _):
        told = await delegate(session, service, ("pipeline", {"items": ["a", "b"], "stages": STAGES}))
    lines = told.results[0].splitlines()
    assert [line for line in lines if line.startswith(("Item", "---", "did", "stage"))] == [
        "Item 1: a (2 stages run)",
        "--- Task 1 (stage 2 (explore) · alpha/cheap:low) [OK] ---",
        "did then a after did first a",
        "stage 1: model requested: alpha/strong:low; resolved: alpha/strong:low; served: strong; source: parent",
        "Item 2: b (2 stages run)",
        "--- Task 2 (stage 2 (explore) · alpha/cheap:low) [OK] ---",
        "did then b after did first b",
        "stage 1: model requested: alpha/strong:low; resolved: alpha/strong:low; served: strong; source: parent",
    ]


async def test_without_items_the_stages_run_once(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path) as (session, seen):
        await delegate(session, service, ("pipeline", {"stages": STAGES}))
    assert [event.prompt for event in seen.of(AgentSpawned)] == ["first ", "then  after did first "]


async def test_a_stage_may_have_a_name_and_a_schema_of_its_own(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    stages = [
        {"agent": "explore", "prompt": "count", "description": "count it", "output_schema": schema},
        {"agent": "explore", "prompt": "{previous}"},
    ]
    with Server(always=obey_but(count=Answer('{"n": 3}'))) as server:
        async with opened(hcl(server.url), tmp_path) as (session, seen):
            await delegate(session, server, ("pipeline", {"stages": stages}))
    assert [(event.label, event.prompt) for event in seen.of(AgentSpawned)] == [("count it", "count"), ("stage 2", '{"n": 3}')]
    assert seen.of(AgentFinished)[0].structured == {"n": 3}


async def test_a_stage_that_fails_ends_its_item_only(tmp_path: Path) -> None:
    def first(request: Captured) -> Reply:
        return failed(400, "no") if asked(request).prompt == "first b" else Answer("found")

    with Server(always=obey_but(first=first)) as server:
        async with opened(hcl(server.url), tmp_path) as (session, seen):
            told = await delegate(session, server, ("pipeline", {"items": ["a", "b", "c"], "stages": STAGES}))
    assert [line for line in told.results[0].splitlines() if line.startswith(("Item", "did then"))] == [
        "Item 1: a (2 stages run)", "did then a after found", "Item 2: b (1 stages run)", "Item 3: c (2 stages run)", "did then c after found",
    ]  # fmt: skip
    assert len(seen.of(AgentSpawned)) == 5


async def test_no_item_waits_for_another(tmp_path: Path) -> None:
    """Item a's first stage is held until item b's second one has been asked for."""
    gate = threading.Event()

    def first(request: Captured) -> Reply:
        return Answer("slow").sent(gate=gate) if asked(request).prompt == "first a" else Answer("quick")

    def then(request: Captured) -> Reply:
        if asked(request).prompt == "then b after quick":
            gate.set()
        return Answer("ended")

    with Server(always=obey_but(first=first, then=then)) as server:
        async with opened(hcl(server.url), tmp_path) as (session, _):
            told = await delegate(session, server, ("pipeline", {"items": ["a", "b"], "stages": STAGES}))
    assert told.results[0].count("\nended") == 2


@pytest.mark.parametrize("size", [100])
async def test_many_items_share_the_room_that_one_result_has(tmp_path: Path, size: int) -> None:
    with Server(always=obey_but(long=Answer(("x" * 20_000,)))) as server:
        async with opened(hcl(server.url), tmp_path, max_parallel=20) as (session, _):
            stages = [{"agent": "explore", "prompt": "long {item}"}]
            told = await delegate(session, server, ("pipeline", {"items": [str(number) for number in range(size)], "stages": stages}))
    assert len(told.results[0]) < size * 2_600
    assert [share(count) for count in (1, 10, 100, 1_000)] == [20_000, 6_000, 2_000, 200]
    assert told.results[0].count("the whole text is in") == size

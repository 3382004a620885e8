"""The table "Which model a worker runs on", over every way to start one; the loopback server's record of the request decides."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.crew import STRONG, calling, config, delegate, opened
from support.model_rows import KEYS, ROWS, Row
from support.server import Server
from support.ways import WAYS, Way, agents

from agentcli.protocol.events import AgentFinished, AgentSpawned
from agentcli.protocol.models import ModelUse


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_worker_runs_on_the_model_that_the_table_says(service: Server, tmp_path: Path, row: Row, way: Way) -> None:
    links = {"subagent_model": row.subagent or None, "workers": {"scout": row.pin} if row.pin else {}}
    async with opened(config(service.url), tmp_path, **agents(**row.scout), **links) as (session, seen):
        done = await way(session, service, row.call)
        spawned = [event for event in seen.of(AgentSpawned) if event.agent == "scout"]
        finished = [envelope.event for envelope in seen.envelopes if isinstance(envelope.event, AgentFinished)]
    provider = row.on.partition("/")[0]
    assert {one.on for one in done.asked} == {row.on}
    assert {one.key for one in done.asked} == {KEYS[provider]}
    expected = row.use
    assert {event.model for event in spawned} == {ModelUse(expected.requested, expected.resolved, expected.source)}
    assert expected in {event.model for event in finished}
    for said in (f"requested: {expected.requested}; ", f"resolved: {expected.resolved}; ", f"served: {expected.served}; ", row.note):
        assert said in done.text
    assert f"source: {expected.source}" in done.text


async def test_a_role_of_a_team_may_be_pinned_and_that_outranks_the_agents_pin(service: Server, tmp_path: Path) -> None:
    pins = {"lead": "fast", "worker": "beta/qwen3:8b", "Reviewer": "alpha/cheap", "general": "beta/gemini-flash:low"}
    async with opened(config(service.url), tmp_path, workers=pins) as (session, seen):
        told = await delegate(session, service, ("run_team", {"goal": "all", "worker_model": "alpha/strong"}))
        alone = await delegate(session, service, ("task", {"agent": "general", "prompt": "work"}))
    assert {role: {one.on for one in told.of(prompt)} for role, prompt in (("lead", "Goal:"), ("worker", "Task "), ("reviewer", "Review"))} == {
        "lead": {"alpha/cheap:low"},
        "worker": {"beta/qwen3:8b"},
        "reviewer": {"alpha/cheap:medium"},
    }
    assert [one.on for one in alone.of("work")] == ["beta/gemini-flash:low"]
    assert [event.name for event in seen.of(AgentSpawned)] == [
        "lead-1", "worker-1", "worker-2", "reviewer-1", "reviewer-2", "general-1",
    ]  # fmt: skip


async def test_when_the_session_switches_its_model_only_later_workers_follow(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, **agents()) as (session, _):
        first = await delegate(session, service, ("task", {"agent": "scout", "prompt": "work"}))
        session.use_model("beta/gemini-flash:high")
        second = await delegate(session, service, ("task", {"agent": "scout", "prompt": "work"}))
        session.pin_model("subagents", "fast")
        third = await delegate(session, service, ("task", {"agent": "scout", "prompt": "work"}))
        session.pin_model("scout", "inherit")
        fourth = await delegate(session, service, ("task", {"agent": "scout", "prompt": "work"}))
    assert [[one.on for one in told.of("work")] for told in (first, second, third, fourth)] == [
        [STRONG],
        ["beta/gemini-flash:high"],
        ["alpha/cheap:low"],
        ["beta/gemini-flash:high"],
    ]


async def test_self_on_another_model_is_a_clone_of_its_parent_there(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, system_prompt="You are the parent.") as (session, seen):
        calls = [("task", {"agent": "self", "prompt": "work", "model": "beta/qwen3:8b"}), ("task", {"agent": "self", "prompt": "same"})]
        told = await delegate(session, service, *calls)
        tools = session.tree.main.tool_names
    assert ([one.on for one in told.of("work")], [one.on for one in told.of("same")]) == (["beta/qwen3:8b"], [STRONG])
    assert [event.tools for event in seen.of(AgentSpawned)] == [tools, tools]
    assert "--- Task 1 (self · beta/qwen3:8b) [OK] ---" in told.results[0]


async def test_a_type_defined_at_run_time_brings_its_model_and_the_call_may_name_another(service: Server, tmp_path: Path) -> None:
    define = {"name": "finder", "description": "Finds.", "system_prompt": "You find.", "Model": "Gemini 3.5 Flash (High)"}
    async with opened(config(service.url), tmp_path) as (session, _):
        defined = await delegate(session, service, ("define_subagent", define))
        own = {"TypeName": "finder", "Role": "own", "Prompt": "own"}
        told = await delegate(session, service, ("invoke_subagent", {"Subagents": [own, {**own, "Prompt": "call", "Model": "fast"}]}))
    assert defined.results == ["Defined 'finder' on Gemini 3.5 Flash (High)."]
    assert ([one.on for one in told.of("own")], [one.on for one in told.of("call")]) == (["beta/gemini-flash:high"], ["alpha/cheap:low"])


async def test_a_worker_of_a_worker_inherits_from_that_worker(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, **agents()) as (session, seen):
        inner = calling(("task", {"agent": "scout", "prompt": "work"}))
        told = await delegate(session, service, ("task", {"agent": "chief", "prompt": inner, "model": "beta/gemini-flash:low"}))
    assert [one.on for one in told.of("work")] == ["beta/gemini-flash:low"]
    assert seen.by(AgentFinished)["main/chief-1/scout-1"].model == ModelUse(
        "beta/gemini-flash:low", "beta/gemini-flash:low", "parent", "gemini-flash"
    )

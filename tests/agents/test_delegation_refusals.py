"""What may not start: unknown names, locked definitions, models that cannot or may not do it. Nothing is spawned, and the parent reads why."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.crew import all_asked, config, delegate, opened
from support.server import Server
from support.ways import FEW_WAYS, WAYS, Way, agents

from agentcli.protocol.errors import ModelRefused, UnknownModel
from agentcli.protocol.events import AgentFinished, AgentSpawned, ApprovalAsked, Decision, Notice, RunFinished


@dataclass(frozen=True)
class Refused:
    """What is asked for and refused, and what the parent must read."""

    name: str
    told: tuple[str, ...]
    call: str | None = None
    scout: dict[str, Any] = field(default_factory=dict)
    extra: str = ""
    beta: str = ""
    options: dict[str, Any] = field(default_factory=dict)


CASES = (
    Refused("an unknown model in the call", ("unknown model 'alpha/cheep'", "alpha/cheap"), "alpha/cheep"),
    Refused("an unknown model in the definition", ("unknown model 'chaep'", "alpha/cheap"), scout={"model": "chaep"}),
    Refused("a level that the model does not have", ("unknown model 'alpha/cheap:huge'", "alpha/cheap:medium"), "alpha/cheap:huge"),
    Refused("a locked definition", ("is locked to its own ('fast') model", "'alpha/cheap' is refused"), "alpha/cheap",
            {"model": "fast", "model_locked": True}),
    Refused("a model without tool calls", ("'scout' has tools (read) and alpha/mute takes no tool calls",), "alpha/mute"),
    Refused("a model outside allowed_models", ("beta/qwen3:8b", "not among allowed_models (alpha/*)"), "qwen3:8b",
            extra='allowed_models = ["alpha/*"]'),
    Refused("a model that costs too much", ("$10 per million tokens", "limits.max_model_price (5)"), "alpha/strong",
            extra="limits { max_model_price = 5 }"),
    Refused("a model of unknown price under a ceiling", ("its price is unknown", "cost = {"), "beta/qwen3:8b",
            beta="remote = true", extra='limits { max_model_price = 20 }\npermissions { allow = ["model(remote)"] }'),
    Refused("a model of unknown price under a budget", ("a budget in USD is set", 'providers "beta" { models "qwen3:8b" { cost ='), "qwen3:8b",
            options={"max_budget_usd": 1.0}),
    Refused("a model that a rule denies", ("may not run on beta/gemini-flash:low", "task(model:beta/*)"), "Gemini 3.5 Flash (Low)",
            extra='permissions { deny = ["task(model:beta/*)"] }'),
    Refused("a remote model for a local parent, and nobody to ask", ("would send what it reads from this machine", "model(remote)"),
            "beta/qwen3:8b", beta="remote = true"),
    Refused("a remote model for a local parent, where a rule denies it", ("not on this machine", "model(remote)"),
            "beta/qwen3:8b", beta="remote = true", extra='permissions { deny = ["model(remote)"] }'),
)  # fmt: skip


PAIRS = [(case, way) for number, case in enumerate(CASES) for way in (WAYS if number < 4 else FEW_WAYS)]


@pytest.mark.parametrize(("case", "way"), PAIRS, ids=lambda one: getattr(one, "name", None) or one.__name__)
async def test_a_refused_worker_never_starts_and_its_parent_reads_why(service: Server, tmp_path: Path, case: Refused, way: Way) -> None:
    made = config(service.url, case.extra, case.beta)
    async with opened(made, tmp_path, **agents(**case.scout), **case.options) as (session, seen):
        done = await way(session, service, case.call)
    assert done.asked == []
    assert [event.agent for event in seen.of(AgentSpawned) if event.agent == "scout"] == []
    for words in case.told:
        assert words in done.text


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_an_unknown_worker_is_refused_with_the_nearest_names(service: Server, tmp_path: Path, way: Way) -> None:
    async with opened(config(service.url), tmp_path, **agents(name="scouts")) as (session, seen):
        done = await way(session, service, None)
    assert done.asked == []
    assert "unknown agent 'scout'; known: scouts, " in done.text
    assert [event.agent for event in seen.of(AgentSpawned) if event.agent not in ("other", "chief")] == []


@pytest.mark.parametrize("role", ["lead", "worker", "reviewer"])
async def test_a_team_of_which_one_role_cannot_start_does_not_begin(service: Server, tmp_path: Path, role: str) -> None:
    async with opened(config(service.url), tmp_path) as (session, seen):
        told = await delegate(session, service, ("run_team", {"goal": "all", f"{role}_model": "nope"}))
    assert (seen.of(AgentSpawned), "unknown model 'nope'" in told.results[0]) == ([], True)


async def test_a_pipeline_of_which_one_stage_cannot_start_does_not_begin(service: Server, tmp_path: Path) -> None:
    stages = [{"agent": "explore", "prompt": "{item}"}, {"agent": "explore", "prompt": "then {previous}", "model": "nope"}]
    async with opened(config(service.url), tmp_path) as (session, seen):
        told = await delegate(session, service, ("pipeline", {"items": ["a", "b"], "stages": stages}))
    assert (seen.of(AgentSpawned), told.results[0].count("unknown model 'nope'")) == ([], 2)


async def test_a_refused_entry_of_a_fan_out_loses_nobody_elses_result(service: Server, tmp_path: Path) -> None:
    tasks = [{"agent": "explore", "prompt": "a"}, {"agent": "explore", "prompt": "b", "model": "nope"}, {"agent": "explore", "prompt": "c"}]
    async with opened(config(service.url), tmp_path) as (session, seen):
        told = await delegate(session, service, ("parallel_task", {"tasks": [*tasks, tasks[1]]}))
    heads = [line for line in told.results[0].splitlines() if line.startswith(("---", "did", "2 of 4"))]
    assert heads == [
        "2 of 4 tasks succeeded.",
        "--- Task 1 (explore · alpha/strong:low) [OK] ---",
        "did a",
        "--- Task 2 (explore · nope) [ERR] ---",
        "--- Task 3 (explore · alpha/strong:low) [OK] ---",
        "did c",
        "--- Task 4 (explore · nope) [ERR] ---",
    ]
    (notice,) = seen.of(Notice)  # no event of a worker tells the person of it; once is enough
    assert notice.text.startswith("explore not started: unknown model 'nope'; nearest: ")


async def test_a_background_worker_that_cannot_start_is_told_at_once_beside_those_that_can(service: Server, tmp_path: Path) -> None:
    one = {"TypeName": "explore", "Role": "r", "Prompt": "work"}
    async with opened(config(service.url), tmp_path) as (session, seen):
        told = await delegate(session, service, ("invoke_subagent", {"Subagents": [{**one, "Model": "nope"}, one], "Background": True}))
    first, second, *_ = told.results[0].splitlines()
    assert first.startswith("explore not started: unknown model 'nope'")
    assert second == "main/explore-1 started in the background on alpha/strong:low (parent)."
    assert len(seen.of(AgentFinished)) == 1


# --- a person's consent: from a local parent to a remote worker ---

REMOTE = "remote = true"
TO_REMOTE = ("task", {"agent": "scout", "prompt": "work", "model": "qwen3:8b"})


async def ask_for_remote(
    service: Server, folder: Path, decision: Decision, times: int = 1, extra: str = "", beta: str = REMOTE
) -> tuple[list[ApprovalAsked], list[str]]:
    """What a person was asked, and what the parent was told each time."""
    asked: list[ApprovalAsked] = []

    def decide(question: ApprovalAsked) -> Decision:
        asked.append(question)
        return decision

    async with opened(config(service.url, extra, beta), folder, on_approval=decide, **agents()) as (session, _):
        results = [(await delegate(session, service, TO_REMOTE)).results[0] for _ in range(times)]
    return asked, results


async def test_a_person_who_agrees_once_is_asked_each_time(service: Server, tmp_path: Path) -> None:
    asked, results = await ask_for_remote(service, tmp_path, "once", times=2)
    assert [(one.title, one.rule) for one in asked] == [("scout on beta/qwen3:8b", "model(remote)")] * 2
    assert asked[0].reason == "The worker 'scout' would send what it reads from this machine to beta/qwen3:8b."
    assert [result.splitlines()[-1] for result in results] == ["did work", "did work"]


async def test_a_person_who_agrees_for_the_session_is_asked_once(service: Server, tmp_path: Path) -> None:
    asked, results = await ask_for_remote(service, tmp_path, "session", times=2)
    assert (len(asked), [result.splitlines()[-1] for result in results]) == (1, ["did work", "did work"])


async def test_a_person_who_says_no_is_obeyed(service: Server, tmp_path: Path) -> None:
    before = len(service.requests)
    asked, results = await ask_for_remote(service, tmp_path, "deny")
    assert (len(asked), all_asked(service.requests[before:], "work")) == (1, [])
    assert "A person refused." in results[0]


@pytest.mark.parametrize(
    ("rule", "title"), [("task(model:beta/*)", "scout on beta/qwen3:8b"), ("task(scout)", "scout: work"), ("task", "scout: work")]
)
async def test_a_rule_that_asks_about_a_worker_or_its_model_asks_once_a_call(service: Server, tmp_path: Path, rule: str, title: str) -> None:
    asked, results = await ask_for_remote(service, tmp_path, "session", times=2, extra=f'permissions {{ ask = ["{rule}"] }}', beta="")
    assert [(one.title, one.rule) for one in asked] == [(title, "")] * 2
    assert [result.splitlines()[-1] for result in results] == ["did work", "did work"]


async def test_where_nobody_can_be_asked_the_result_says_what_would_allow_it(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url, "", REMOTE), tmp_path, **agents()) as (session, seen):
        await delegate(session, service, TO_REMOTE)
    (denial,) = seen.of(RunFinished)[-1].denials
    assert denial.startswith("task scout on beta/qwen3:8b: ") and denial.endswith(" To allow it: --allowed-tools 'model(remote)'")


async def test_a_rule_agrees_for_good(service: Server, tmp_path: Path) -> None:
    made = config(service.url, 'permissions { allow = ["model(remote)"] }', REMOTE)
    async with opened(made, tmp_path, **agents()) as (session, _):
        told = await delegate(session, service, TO_REMOTE)
    assert [one.on for one in told.of("work")] == ["beta/qwen3:8b"]


async def test_a_worker_of_a_remote_parent_needs_no_consent_for_another_remote_model(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url, "", REMOTE), tmp_path, model="beta/gemini-flash", **agents()) as (session, _):
        told = await delegate(session, service, TO_REMOTE)
    assert [one.on for one in told.of("work")] == ["beta/qwen3:8b"]


# --- what is refused before a session begins ---


@pytest.mark.parametrize("options", [{"workers": {"scout": "chaep"}}, {"subagent_model": "chaep"}, {"fallback_models": ["chaep"]}])
async def test_a_model_that_a_person_names_for_workers_must_exist_at_the_start(service: Server, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UnknownModel, match="unknown model 'chaep'; nearest: alpha/cheap"):
        async with opened(config(service.url), tmp_path, **options):
            pass


@pytest.mark.parametrize("options", [{"model": "beta/qwen3:8b"}, {"fallback_models": ["beta/qwen3:8b"]}])
async def test_a_budget_refuses_a_model_of_unknown_price_at_the_start(service: Server, tmp_path: Path, options: dict[str, Any]) -> None:
    words = r"the price of beta/qwen3:8b is unknown"
    with pytest.raises(ModelRefused, match=words) as refused:
        async with opened(config(service.url), tmp_path, max_budget_usd=1.0, **options):
            pass
    assert 'models "qwen3:8b" { cost = {' in refused.value.hint


async def test_a_session_with_a_budget_cannot_be_switched_to_a_model_of_unknown_price(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, max_budget_usd=1.0) as (session, _):
        with pytest.raises(ModelRefused, match="the price of beta/qwen3:8b is unknown"):
            session.use_model("qwen3:8b")


# --- fallback models may not get round the checks ---


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ('allowed_models = ["alpha/*"]', "not among allowed_models"),
        ('permissions { deny = ["task(model:beta/*)"] }', "may not run on beta/qwen3:8b"),
        ("", "would send what it reads from this machine"),
    ],
)
async def test_a_fallback_that_the_worker_could_not_start_on_is_left_out(service: Server, tmp_path: Path, extra: str, why: str) -> None:
    made = config(service.url, extra, REMOTE)
    async with opened(made, tmp_path, **agents(fallback_models=["qwen3:8b", "fast"])) as (session, _):
        told = await delegate(session, service, ("task", {"agent": "scout", "prompt": "work"}))
        scout = session.tree.find("scout-1")
    assert scout.model.fallbacks == ("fast",)
    assert "note: The fallback model 'qwen3:8b' is left out" in told.results[0]
    assert why in told.results[0]

"""The table "which model a worker runs on", one test a row, and the checks before a worker starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from agentcli.agents.override import REMOTE_RULE, Chain, Choice, Consent, ModelLimits, Picked, check_model, choose_model, resolve_choice
from agentcli.agents.spec import WorkerSpec
from agentcli.protocol.errors import ModelRefused, UnknownModel
from agentcli.protocol.models import Cost, ModelRef, ModelSpec, ModelUse, Profile
from agentcli.protocol.tools import Access
from agentcli.providers.registry import Catalogue, Resolved
from agentcli.safety.rules import Policy, judge, parse_rules

STRONG = ModelSpec("openai", "gpt-strong", effort=("low", "high"), default_effort="high", cost=Cost(2.0, 10.0))
CHEAP = ModelSpec("openai", "gpt-cheap", effort=("low", "medium"), default_effort="medium", cost=Cost(0.1, 0.4))
OTHER = ModelSpec("acme", "vendor/model:free", name="Acme Fast")
GEMINI = ModelSpec("google", "gemini-flash", name="Gemini 3.5 Flash", effort=("low", "medium", "high"), default_effort="medium", cost=Cost(0.3, 2.5))
QWEN = ModelSpec("local", "qwen3:8b", "local", tool_call=False, profile=Profile("small"))
MUTE = ModelSpec("acme", "mute", tool_call=False)
MODELS = Catalogue([STRONG, CHEAP, OTHER, GEMINI, QWEN, MUTE], aliases={"fast": "openai/gpt-cheap", "fast-low": "openai/gpt-cheap:low"})
PARENT = Resolved(STRONG, STRONG.ref("low"))
SCOUT = WorkerSpec(name="scout", source="config")


def chain(**links: Any) -> Chain:
    return Chain(**{"parent": "openai/gpt-strong:low", "worker": "scout", **links})


def picked(**links: Any) -> Picked:
    return resolve_choice(choose_model(chain(**links)), PARENT, MODELS)


def use(**links: Any) -> ModelUse:
    return picked(**links).use


# --- one test a row of the table ---


def test_none_set_takes_the_parents_current_model_with_its_effort() -> None:
    assert use() == ModelUse("openai/gpt-strong:low", "openai/gpt-strong:low", "parent")


def test_the_sessions_subagent_model_stands_above_the_parents() -> None:
    assert use(subagent_model="fast") == ModelUse("fast", "openai/gpt-cheap:medium", "subagent_model")


def test_only_the_definition() -> None:
    assert use(definition="fast") == ModelUse("fast", "openai/gpt-cheap:medium", "definition")


def test_the_definition_stands_above_subagent_model() -> None:
    assert use(definition="fast", subagent_model="acme/mute") == ModelUse("fast", "openai/gpt-cheap:medium", "definition")


def test_only_the_call() -> None:
    assert use(call="Gemini 3.5 Flash (Low)") == ModelUse("Gemini 3.5 Flash (Low)", "google/gemini-flash:low", "call")


def test_the_call_wins_over_the_definition() -> None:
    assert use(call="openai/gpt-cheap:low", definition="acme/mute", subagent_model="fast") == ModelUse(
        "openai/gpt-cheap:low", "openai/gpt-cheap:low", "call"
    )


def test_a_pin_wins_over_a_call_and_the_note_names_both() -> None:
    assert choose_model(chain(pin="fast", call="openai/gpt-strong", definition="acme/mute")) == Choice(
        "fast",
        "pin",
        note="A person pinned 'scout' to 'fast' for this run; the call asked for 'openai/gpt-strong', which was not followed.",
    )


def test_a_pin_without_a_call_or_with_the_same_one_needs_no_note() -> None:
    assert choose_model(chain(pin="fast", definition="acme/mute")) == Choice("fast", "pin")
    assert choose_model(chain(pin="fast", call="fast")) == Choice("fast", "pin")


def test_inherit_in_the_call_skips_the_definition_and_subagent_model() -> None:
    assert use(call="inherit", definition="fast", subagent_model="acme/mute") == ModelUse("openai/gpt-strong:low", "openai/gpt-strong:low", "parent")


def test_a_pin_still_wins_over_inherit_in_the_call_and_the_note_says_so() -> None:
    assert choose_model(chain(pin="fast", call="inherit")) == Choice(
        "fast",
        "pin",
        note="A person pinned 'scout' to 'fast' for this run; the call asked to inherit its parent's model, which was not followed.",
    )


def test_a_person_may_pin_a_worker_to_its_parents_model() -> None:
    choice = choose_model(chain(pin="inherit", call="fast", definition="fast"))
    assert (choice.requested, choice.link, choice.inherited) == ("openai/gpt-strong:low", "parent", True)
    assert "the call asked for 'fast'" in choice.note


def test_inherit_in_the_definition_is_as_if_it_named_none_and_skips_subagent_model() -> None:
    assert use(definition="inherit", subagent_model="fast") == ModelUse("openai/gpt-strong:low", "openai/gpt-strong:low", "parent")


def test_inherit_in_the_definition_gives_way_to_a_call() -> None:
    assert use(definition="inherit", call="fast").source == "call"


@pytest.mark.parametrize("nothing", ["", None, "   ", "\t"])
def test_an_empty_or_null_model_is_an_omitted_one(nothing: str | None) -> None:
    everywhere = {"subagent_model": nothing, "definition": nothing, "call": nothing, "pin": nothing}
    assert choose_model(chain(**everywhere)) == choose_model(chain())
    assert choose_model(chain(call=nothing, definition="fast")) == Choice("fast", "definition")
    assert choose_model(chain(call="fast", pin=nothing)) == Choice("fast", "call")


def test_an_unknown_name_fails_with_the_nearest_and_never_falls_back() -> None:
    for link in ("subagent_model", "definition", "call", "pin"):
        with pytest.raises(UnknownModel) as failure:
            picked(**{link: "openai/gpt-chep"})
        assert failure.value.nearest[0] == "openai/gpt-cheap"


def test_a_model_without_tool_calls_is_refused_to_a_worker_with_tools() -> None:
    with pytest.raises(ModelRefused, match=r"'scout' has tools \(read, grep\) and acme/mute takes no tool calls"):
        check(picked(call="acme/mute"), tools=("read", "grep"))
    assert check(picked(call="acme/mute"), tools=()) == ()


def test_a_small_local_model_counts_as_able_to_use_tools() -> None:
    assert check(picked(call="local/qwen3:8b"), remote=False) == ()


def test_a_parent_that_switched_gives_its_new_model_to_workers_spawned_afterwards() -> None:
    switched = resolve_choice(choose_model(chain(parent="google/gemini-flash:high")), Resolved(GEMINI, GEMINI.ref("high")), MODELS)
    assert switched.use == ModelUse("google/gemini-flash:high", "google/gemini-flash:high", "parent")
    assert use().resolved == "openai/gpt-strong:low"


def test_self_with_a_model_runs_on_it_and_without_one_on_the_parents() -> None:
    assert use(worker="self", definition="inherit", call="fast").resolved == "openai/gpt-cheap:medium"
    assert use(worker="self", definition="inherit", subagent_model="fast").resolved == "openai/gpt-strong:low"


@pytest.mark.parametrize("call", ["fast", "inherit", "openai/gpt-strong"])
def test_a_locked_definition_refuses_a_model_in_the_call(call: str) -> None:
    with pytest.raises(ModelRefused, match=rf"'scout' is locked to its own \('fast'\) model; the call's model '{call}' is refused"):
        choose_model(chain(definition="fast", call=call, locked=True))
    with pytest.raises(ModelRefused, match="locked to its parent's model"):
        choose_model(chain(call=call, locked=True))


def test_a_locked_definition_still_follows_a_person() -> None:
    assert choose_model(chain(definition="fast", locked=True)) == Choice("fast", "definition")
    assert choose_model(chain(definition="fast", pin="acme/mute", locked=True)) == Choice("acme/mute", "pin")


def test_a_local_parent_needs_consent_for_a_remote_worker() -> None:
    (needed,) = check(picked(call="fast"), parent_remote=False)
    assert needed == Consent("scout", "openai/gpt-cheap:medium", needed.reason, "model(remote)")
    assert needed.reason == "The worker 'scout' would send what it reads from this machine to openai/gpt-cheap:medium."
    assert needed.refusal().hint == 'Allow it with: permissions { allow = ["model(remote)"] }'
    assert check(picked(call="fast"), parent_remote=False, remote_allowed=True) == ()
    assert check(picked(call="fast"), parent_remote=True) == ()
    assert check(picked(call="local/qwen3:8b"), parent_remote=False, remote=False) == ()


@pytest.mark.parametrize(
    ("allowed", "may"),
    [
        ((), True),
        (("openai/gpt-cheap",), True),
        (("openai/*",), True),
        (("*/gpt-ch?ap",), True),
        (("openai/gpt-cheap:*",), True),
        (("openai/gpt-cheap:medium",), True),
        (("fast",), True),
        (("openai/gpt-cheap:low",), False),
        (("fast-low",), True),
        (("Gemini 3.5 Flash", "google/*", "no/such"), False),
        (("gpt*",), False),
        (("openai/gpt-[a-z]heap",), False),
    ],
)
def test_a_model_outside_allowed_models_is_refused(allowed: tuple[str, ...], may: bool) -> None:
    limits = ModelLimits(allowed)
    if may:
        assert check(picked(call="fast"), limits=limits) == ()
        return
    with pytest.raises(ModelRefused, match="not among allowed_models"):
        check(picked(call="fast"), limits=limits)


def test_a_model_that_the_rules_deny_is_refused_and_one_they_ask_about_needs_consent() -> None:
    asked: list[Access] = []

    def judge(access: Access) -> Verdict:
        asked.append(access)
        return Verdict("deny", "task(model:openai/*) is denied.")

    with pytest.raises(ModelRefused, match=r"may not run on openai/gpt-cheap:medium: task\(model:openai/\*\) is denied"):
        check(picked(call="fast"), judge=judge)
    assert asked == [Access(agent="scout", model="openai/gpt-cheap:medium")]
    needed = check(picked(call="fast"), judge=lambda access: Verdict("ask", "a rule asks."), parent_remote=False)
    assert [one.rule for one in needed] == ["", "model(remote)"]


def test_the_permission_rules_of_a_config_speak_of_the_model_a_worker_really_gets() -> None:
    policy = Policy("default", (Path("/project"),)).with_rules(
        deny=parse_rules("task(model:openai/gpt-strong*)"), ask=parse_rules("task(model:acme/*)"), allow=parse_rules(REMOTE_RULE)
    )

    def rules(access: Access) -> Verdict:
        found = judge(policy, "task", access)
        return Verdict(found.decision, found.reason)

    assert check(picked(call="fast"), judge=rules) == ()
    with pytest.raises(ModelRefused, match=r"may not run on openai/gpt-strong:low: the rule task\(model:openai/gpt-strong\*\) forbids"):
        check(picked(), judge=rules)
    (needed,) = check(picked(call="Acme Fast"), judge=rules)
    assert needed.refusal().hint == "Take that rule out, or use --permission-mode bypass."


# --- effort, names, price ---


@pytest.mark.parametrize(
    ("links", "resolved"),
    [
        ({}, "openai/gpt-strong:low"),
        ({"effort": "high"}, "openai/gpt-strong:high"),
        ({"call": "inherit", "effort": "high"}, "openai/gpt-strong:low"),
        ({"definition": "inherit", "effort": "high"}, "openai/gpt-strong:high"),
        ({"definition": "fast", "effort": "low"}, "openai/gpt-cheap:low"),
        ({"definition": "openai/gpt-cheap", "effort": "low"}, "openai/gpt-cheap:low"),
        ({"definition": "openai/gpt-cheap:medium", "effort": "low"}, "openai/gpt-cheap:medium"),
        ({"definition": "Gemini 3.5 Flash (High)", "effort": "low"}, "google/gemini-flash:high"),
        ({"subagent_model": "fast", "effort": "low"}, "openai/gpt-cheap:low"),
        ({"call": "fast", "effort": "low"}, "openai/gpt-cheap:medium"),
        ({"pin": "fast", "effort": "low"}, "openai/gpt-cheap:medium"),
        ({"call": "acme/vendor/model:free"}, "acme/vendor/model:free"),
        ({"call": "local/qwen3:8b"}, "local/qwen3:8b"),
        ({"call": "qwen3:8b"}, "local/qwen3:8b"),
        ({"call": "Acme Fast"}, "acme/vendor/model:free"),
    ],
)
def test_effort_goes_with_the_model_that_was_named_and_ids_keep_their_colons(links: dict[str, str], resolved: str) -> None:
    assert use(**links).resolved == resolved


def test_an_effort_that_the_model_has_not_is_said_and_left_out() -> None:
    found = picked(definition="acme/vendor/model:free", effort="high")
    assert found.ref == ModelRef("acme", "vendor/model:free")
    assert found.note == "acme/vendor/model:free has no effort 'high', which the definition asks for."


@pytest.mark.parametrize(("ceiling", "may"), [(None, True), (0.4, True), (0.39, False), (0.0, False)])
def test_a_model_dearer_than_the_ceiling_is_refused(ceiling: float | None, may: bool) -> None:
    limits = ModelLimits(max_price=ceiling)
    if may:
        assert check(picked(call="fast"), limits=limits) == ()
        return
    with pytest.raises(ModelRefused, match=r"\$0.4 per million tokens is above limits.max_model_price"):
        check(picked(call="fast"), limits=limits)


def test_with_a_ceiling_an_unknown_price_is_refused_except_for_what_runs_on_this_machine() -> None:
    limits = ModelLimits(max_price=1.0)
    with pytest.raises(ModelRefused, match="its price is unknown") as failure:
        check(picked(call="acme/vendor/model:free"), limits=limits)
    assert 'providers "acme" { models "vendor/model:free" { cost' in failure.value.hint
    assert check(picked(call="local/qwen3:8b"), limits=limits, remote=False) == ()


class Verdict(NamedTuple):
    decision: Literal["allow", "ask", "deny"]
    reason: str = ""


def check(choice: Picked, **more: Any) -> tuple[Consent, ...]:
    facts: dict[str, Any] = {
        "tools": ("read",),
        "limits": ModelLimits(),
        "judge": lambda access: Verdict("allow"),
        "resolver": MODELS,
        "parent_remote": True,
        "remote": True,
        "remote_allowed": False,
    }
    return check_model(choice, SCOUT, **{**facts, **more})

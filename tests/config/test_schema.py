"""What a file may say: keys, types, spellings, and what the person reads when one is wrong."""

from __future__ import annotations

import msgspec
import pytest

from agentcli.config.layer import Leaf
from agentcli.config.reading import read_leaves
from agentcli.config.schema import QuirksPart
from agentcli.config.tree import Env
from agentcli.protocol.models import Quirks
from agentcli.protocol.secrets import Secret


def complaints(text: str) -> list[str]:
    return [problem.line() for problem in read_leaves(text, "f")[1]]


def leaves(text: str) -> list[Leaf]:
    found, problems = read_leaves(text, "f")
    assert problems == []
    return list(found)


@pytest.mark.parametrize(
    "text",
    [
        'providers "openai" {\n  apiKey = env("K")\n  models "m" { toolCall = false }\n}',
        'providers {\n  name = "openai"\n  api_key = env("K")\n  models {\n    id = "m"\n    tool_call = false\n  }\n}',
        'providers openai {\n  apiKey = env("K")\n  models = { m = { tool_call = false } }\n}',
        'providers = { openai = {\n  name = "openai", apiKey = env("K"), models = { "m" = { tool_call = false } } } }',
    ],
)
def test_every_way_to_write_a_provider_means_the_same(text: str) -> None:
    if text.startswith("providers = "):
        text = text.replace('name = "openai", ', "")
    assert [(leaf.path, leaf.value, leaf.env) for leaf in leaves(text)] == [
        (("providers", "openai"), None, None),
        (("providers", "openai", "api_key"), None, Env(("K",))),
        (("providers", "openai", "models", "m"), None, None),
        (("providers", "openai", "models", "m", "tool_call"), False, None),
    ]


def test_a_literal_key_is_a_secret_from_the_moment_it_is_read() -> None:
    text = 'providers "a" {\n  api_key = "sk-1"\n  headers { X-Team = "t", Y = env("Y", "dflt") }\n}'.replace(", Y", "\n Y")
    assert leaves(text)[1:] == [
        Leaf(("providers", "a", "api_key"), None, 2, 3, None, (28, 34), Secret("sk-1")),
        Leaf(("providers", "a", "headers", "X-Team"), None, 3, 13, None, (56, 59), Secret("t")),
        Leaf(("providers", "a", "headers", "Y"), None, 4, 2, Env(("Y",)), (74, 80), Secret("dflt")),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("limits { max_paralel = 3 }", 'f:1:10: unknown key "max_paralel" in limits. Did you mean "max_parallel"?'),
        ("ui { vimode = true }", 'f:1:6: unknown key "vimode" in ui. Did you mean "vi_mode"?'),
        ("defaultModell = null", 'f:1:1: unknown key "defaultModell". Did you mean "default_model"?'),
        ("ui { zzz = 1 }", 'f:1:6: unknown key "zzz" in ui. Known: vi_mode, notifications, notify_after_s, plain.'),
        ("limits { max_turns = -1 }", "f:1:10: limits.max_turns must be 1 or more, found -1."),
        ('limits { max_turns = "8" }', "f:1:10: limits.max_turns must be a whole number, found text."),
        ("limits { max_turns = true }", "f:1:10: limits.max_turns must be a whole number, found true."),
        ("limits { max_turns = 1.5 }", "f:1:10: limits.max_turns must be a whole number, found a number."),
        ('limits { max_turns = env("N") }', "f:1:10: limits.max_turns must be a whole number, found env(…)."),
        ("limits { max_budget_usd = -0.5 }", "f:1:10: limits.max_budget_usd must be 0 or more, found -0.5."),
        ("limits { timeout_s = 0 }", "f:1:10: limits.timeout_s must be more than 0, found 0."),
        ("limits { retries = 101 }", "f:1:10: limits.retries must be 100 or less, found 101."),
        ('ui { plain = "yes" }', "f:1:6: ui.plain must be true or false, found text."),
        ("limits = 3", "f:1:1: limits must be a block: { … }, found a number."),
        ("default_model { }", "f:1:1: default_model must be text in quotes, found a block."),
        ('agents "a" { tools = "read" }', "f:1:14: agents.a.tools must be a list: [ … ], found text."),
        ('agents "a" { model = "" }', "f:1:14: agents.a.model must not be empty."),
        (
            'agents "a/b" { }',
            'f:1:1: "a/b" cannot be a name in agents. A name is 1 to 64 letters, digits, _, -, . or spaces, and starts with a letter or digit.',
        ),
        (
            'providers "a" { wire = "opnai-chat" }',
            'f:1:17: providers.a.wire must be one of openai-chat, openai-responses, anthropic, gemini, local, scripted. Did you mean "openai-chat"?',
        ),
        ('providers "a" { base_url = "ftp://x" }', "f:1:17: providers.a.base_url must be an address that starts with http:// or https://."),
        ('providers "a" { base_url = "http://u:p@x" }', "f:1:17: providers.a.base_url must not hold a user name or password (put it in headers)."),
        ('providers "a" { models "m" { cost = { input = 1 } } }', 'f:1:30: "providers.a.models.m.cost" needs output. Add output = ….'),
        (
            'providers "a" { models "m" { effort = ["low"]\n default_effort = "high" } }',
            "f:1:17: providers.a.models.m names a default_effort that is not in its effort list.",
        ),
        ('providers "a" { models "m" { effort = ["a b"] } }', "f:1:30: providers.a.models.m.effort.0 must be a word without spaces, : and /."),
        (
            'providers "a" { quirks { extra_body { x = [env("K")] } } }',
            "f:1:26: env() cannot stand inside providers.a.quirks.extra_body. Write plain values there.",
        ),
        ('aliases { a = env("X") }', "f:1:11: aliases.a must be text in quotes, found env(…)."),
        ('permissions { mode = "yolo" }', "f:1:15: permissions.mode must be one of default, accept-edits, plan, auto, bypass."),
        ('permissions { deny = ["read(.env*)",\n  "bash(rm"] }', "f:2:3: permissions.deny.1 must be a rule: tool or tool(pattern)."),
        ('permissions { allow = ["bash", 3] }', "f:1:32: permissions.allow.1 must be text in quotes, found a number."),
        ("limits {}\nlimits {}", 'f:2:1: "limits" is set twice; the first is at 1:1. Remove one.'),
        ('providers "a" {}\nproviders { name = "a" }', 'f:2:1: "a" is set twice; the first is at 1:1. Remove one.'),
        ('providers "a" {\n apiKey = env("A")\n api_key = env("B")\n}', 'f:3:2: "api_key" is set twice; the first is at 2:2. Remove one.'),
        ('providers "a" "b" {}', 'f:1:1: "providers" takes one label. Write providers "NAME" { … }.'),
        ('providers "a" { name = "b" }', 'f:1:17: the block "a" names itself "b" inside. Remove the inner name.'),
        ("providers {}", 'f:1:1: this "providers" block has no name. Write providers "NAME" { … }.'),
        ("providers = 3", 'f:1:1: "providers" must be a block. Write providers "NAME" { … }.'),
        ("providers = { a = 3 }", 'f:1:15: "a" in providers must be a block. Write providers "a" { … }.'),
        ('limits "x" {}', 'f:1:1: "limits" takes no label. Write limits { … }.'),
        ('providers "a" { headers { x { } } }', 'f:1:27: "x" in providers.a.headers must be written with "=". Write x = "…".'),
    ],
)
def test_a_fault_is_one_line_with_place_and_expectation(text: str, line: str) -> None:
    assert complaints(text) == [line]


def test_all_faults_of_a_file_are_found_in_its_order() -> None:
    text = 'ui { plain = 3 }\nlimits {\n  foo = 1\n  max_turns = 0\n}\nagents "a" { effort = 3 }\n'
    assert [line.split(" ")[0] for line in complaints(text)] == ["f:1:6:", "f:3:3:", "f:4:3:", "f:6:14:"]


def test_a_null_is_as_if_the_key_were_not_there() -> None:
    assert leaves("default_model = null\nproviders = null\nlimits { max_turns = null }\npermissions { deny = null }\n") == []


def test_keys_that_mean_the_same_arrive_under_one_name() -> None:
    text = (
        'agents "a" {\n prompt = "p"\n timeout = 30\n workspace = "branch"\n permissionMode = "acceptEdits"\n}\n'
        'providers "b" { models "m" { attachment = true\n id = "real" } }'
    )
    assert [(leaf.path[2:], leaf.value) for leaf in leaves(text)] == [
        ((), None),
        (("system_prompt",), "p"),
        (("timeout_s",), 30),
        (("isolation",), "branch"),
        (("permission_mode",), "acceptEdits"),
        ((), None),
        (("models", "m"), None),
        (("models", "m", "image_input"), True),
        (("models", "m", "sent_as"), "real"),
    ]


def test_every_quirk_of_a_wire_can_be_written_in_a_config() -> None:
    assert set(QuirksPart.model_fields) == {part.name for part in msgspec.structs.fields(Quirks)}


@pytest.mark.parametrize(
    "text",
    [
        'providers "a" { api_key = SECRET }',
        'providers "a" { api_key = SECRET',
        "providers \"a\" { api_key = 'SECRET' }",
        'providers "a" { max_concurrent = "SECRET" }',
        'providers "a" { wire = "SECRET" }',
        'providers "a" { base_url = "SECRET" }',
        'providers "a" { api_key = env("SECRET-x") }',
        'providers "a" { api_key = "SECRET\\q" }',
        'providers "a" { api_key = "SECRET\n" }',
        'providers "a" { api_key = "SECRET${x}" }',
        'providers "a" { api_key = "SECRET" "x" }',
        'providers "a" { api_key = ["SECRET"] }',
        'providers "a" { headers { A = { x = "SECRET" } } }',
        'permissions { allow = ["SECRET("] }',
    ],
)
def test_a_value_is_never_in_a_complaint_for_it_may_be_a_key_in_the_wrong_place(text: str) -> None:
    lines = complaints(text)
    assert lines
    assert not any("SECRET" in line for line in lines)

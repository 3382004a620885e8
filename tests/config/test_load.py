"""Layers: where config is found, which one wins, and what the person reads when a file cannot be read."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from support.desk import Desk, put

from agentcli.config.load import Limits, Rule, Setting, Shown, check, load
from agentcli.config.trust import trust_folder
from agentcli.config.values import AgentBlock
from agentcli.protocol.errors import ConfigError
from agentcli.protocol.models import SMALL, Cost, ModelSpec, ProviderSpec
from agentcli.protocol.secrets import Secret


def example(shared: Path) -> str:
    """The example of the interface's section Config, as it stands there."""
    section = (shared / "interface.md").read_text().split("## Config\n")[1]
    lines = section.split("\n\n    default_model")[1].split("\n\nLabelled blocks")[0]
    return textwrap.dedent("    default_model" + lines)


def seed(shared: Path) -> str:
    """The `agent.acl` of the first seed, as it stands there."""
    text = next((shared / "seeds").glob("000*")).read_text()
    return "default_model = " + text.split("default_model = ")[1].split("\n\nPer-session model")[0]


def test_the_example_of_the_interface_loads_as_written(desk: Desk, shared: Path) -> None:
    desk.environ = {"OPENAI_API_KEY": "sk-real"}
    file = desk.write_user(example(shared))
    config = desk.load()
    model = ModelSpec(
        "openai", "MiniMax-M2.7-highspeed", name="MiniMax Fast", effort=("low", "high"), context=200000, output=8192, cost=Cost(0.3, 1.2, 0.03)
    )
    scout = AgentBlock("scout", "Reads files and reports findings.", model="fast", tools=("read", "grep", "glob", "ls"), place=f"{file}:18")
    assert config.default_model == Setting("openai/MiniMax-M2.7-highspeed", "config", "user", f"{file}:1")
    assert config.subagent_model == Setting("local/qwen", "config", "user", f"{file}:2")
    assert config.provider_names == ("openai",)
    assert config.models("openai") == (model,)
    assert config.closed("openai")
    assert config.provider("openai") == ProviderSpec("openai", base_url="https://api.openai.com/v1", api_key=Secret("sk-real"), max_concurrent=8)
    assert config.aliases == {"fast": "openai/MiniMax-M2.7-highspeed"}
    assert config.agents == (scout,)
    assert (config.permissions.allow, config.permissions.deny) == (
        (Rule("bash(git status)", f"{file}:24:12"),),
        (Rule("read(.env*)", f"{file}:25:12"),),
    )
    assert config.limits == Limits(max_parallel=8, max_budget_usd=2.0)
    assert config.key_variables == {"OPENAI_API_KEY"}
    assert (config.files, config.warnings, config.untrusted) == ((file,), (), None)


def test_the_seed_s_config_loads_as_written(desk: Desk, shared: Path) -> None:
    config = desk.text(seed(shared), A3S_OPENAI_API_KEY="k", A3S_OPENAI_BASE_URL="http://127.0.0.1:9/v1/")
    assert config.default_model == Setting("openai/MiniMax-M2.7-highspeed", "config", "text", "config text:1")
    assert config.models("openai") == (ModelSpec("openai", "MiniMax-M2.7-highspeed"), ModelSpec("openai", "gpt-4o"))
    assert config.provider("openai") == ProviderSpec("openai", base_url="http://127.0.0.1:9/v1", api_key=Secret("k"), remote=False)


def test_no_config_at_all_is_an_empty_one(desk: Desk) -> None:
    config = desk.load()
    assert (config.default_model, config.provider_names, config.limits, config.files, config.warnings) == (None, (), Limits(), (), ())
    assert not config.closed("openai")


def test_layers_merge_and_the_nearer_wins_per_key(desk: Desk) -> None:
    desk.write_user(
        'default_model = "a/user"\naliases { x = "user/x"\n y = "user/y" }\n'
        'providers "a" { max_concurrent = 1\n models "m" { tool_call = false\n name = "M" } }'
    )
    put(desk.project.parent / "agent.hcl", 'default_model = "a/above"\naliases { y = "above/y"\n z = "above/z" }')
    near = desk.write("agent.hcl", 'aliases { z = "near/z" }\nproviders "a" { models "m" { tool_call = true } }')
    named = put(desk.home / "named.hcl", 'providers "a" { max_concurrent = 4 }')
    trust_folder(desk.project.parent, desk.data)
    config = desk.load(explicit=named)
    assert config.default_model == Setting("a/above", "config", "project", f"{near.parent.parent}/agent.hcl:1")
    assert config.aliases == {"x": "user/x", "y": "above/y", "z": "near/z"}
    assert config.models("a") == (ModelSpec("a", "m", name="M", tool_call=True),)
    assert config.provider("a").max_concurrent == 4
    assert [file.name for file in config.files] == ["config.hcl", "agent.hcl", "agent.hcl", "named.hcl"]


def test_in_one_folder_agent_hcl_is_nearer_than_agent_acl_and_that_than_the_hidden_one(desk: Desk) -> None:
    trust_folder(desk.project, desk.data)
    desk.write(".agentcli/config.hcl", 'aliases { a = "m/hidden"\n b = "m/hidden"\n c = "m/hidden" }')
    desk.write("agent.acl", 'aliases { a = "m/acl"\n b = "m/acl" }')
    desk.write("agent.hcl", 'aliases { a = "m/hcl" }')
    assert desk.load().aliases == {"a": "m/hcl", "b": "m/acl", "c": "m/hidden"}


def test_rules_of_all_layers_add_up_each_with_its_place(desk: Desk) -> None:
    user = desk.write_user('permissions {\n allow = ["bash(ls)"]\n deny = ["read(.env*)"]\n}')
    trust_folder(desk.project, desk.data)
    near = desk.write("agent.hcl", 'permissions {\n allow = ["read(.env*)"]\n ask = ["edit(*)"]\n mode = "acceptEdits" }')
    found = desk.load().permissions
    assert (found.mode, found.allow, found.ask, found.deny) == (
        "accept-edits",
        (Rule("bash(ls)", f"{user}:2:11"), Rule("read(.env*)", f"{near}:2:11")),
        (Rule("edit(*)", f"{near}:3:9"),),
        (Rule("read(.env*)", f"{user}:3:10"),),
    )


def test_the_environment_s_model_outranks_every_file_but_a_whole_config_that_names_one(desk: Desk) -> None:
    desk.write_user('default_model = "a/user"')
    desk.environ = {"AGENTCLI_MODEL": "b/env"}
    wanted = Setting("b/env", "environment", "environment", "AGENTCLI_MODEL")
    assert desk.load().default_model == wanted
    assert desk.load(text="").default_model == wanted
    assert desk.load(text='default_model = "c/text"').default_model == Setting("c/text", "config", "text", "config text:1")


def test_a_whole_config_leaves_all_other_layers_out(desk: Desk) -> None:
    desk.write_user('aliases { a = "m/user" }')
    desk.write("agent.hcl", 'aliases { b = "m/project" }')
    file = put(desk.home / "whole.acl", 'aliases { c = "m/whole" }')
    assert desk.load(explicit=file, only=True).aliases == {"c": "m/whole"}
    assert desk.load(text='aliases { d = "m/text" }').aliases == {"d": "m/text"}
    assert desk.load(bare=True).aliases == {}
    assert desk.load(bare=True, explicit=file).aliases == {"c": "m/whole"}


def test_a_variable_of_default_model_is_read_at_once_and_named_when_it_is_missing(desk: Desk) -> None:
    assert desk.text('default_model = env("M", "a/d")').default_model == Setting("a/d", "config", "text", "config text:1")
    with pytest.raises(ConfigError) as caught:
        desk.text('\ndefault_model = env("M")')
    says = 'default_model needs the variable M, which is not set. Set it, or write a default there: env("M", "…").'
    assert caught.value.line() == f"config text:2:1: {says}"


def test_a_named_file_is_relative_to_the_working_directory_or_to_the_home(desk: Desk) -> None:
    desk.write("sub/x.hcl", 'aliases { a = "m/x" }')
    put(desk.home / "y.hcl", 'aliases { a = "m/y" }')
    assert desk.load(explicit=Path("sub/x.hcl")).aliases == {"a": "m/x"}
    assert desk.load(explicit=Path("~/y.hcl")).aliases == {"a": "m/y"}


def test_a_pipe_can_be_named(desk: Desk) -> None:
    reader, writer = os.pipe()
    os.write(writer, b'aliases { a = "m/pipe" }')
    os.close(writer)
    try:
        assert desk.load(explicit=Path(f"/dev/fd/{reader}")).aliases == {"a": "m/pipe"}
    finally:
        os.close(reader)


@pytest.mark.parametrize("data", ['\ufeffaliases { a = "m/x" }\n'.encode(), b'# c\r\naliases {\r\n  a = "m/x"\r\n}\r\n', b'aliases { a = "m/x" }'])
def test_byte_order_mark_crlf_and_a_missing_last_newline_are_fine(desk: Desk, data: bytes) -> None:
    desk.write_user(data)
    assert desk.load().aliases == {"a": "m/x"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'\xef\xbb\xbf# ok\naliases { a = "\xff" }', ":2:16: this file is not UTF-8 from here on. Save it as UTF-8."),
        (b"\xef\xbb\xbf\xff", ":1:1: this file is not UTF-8 from here on. Save it as UTF-8."),
        ('a = "x"'.encode("utf-16"), ":1:1: this file is UTF-16, not UTF-8. Save it as UTF-8."),
        (b"#" * 1_000_001, ": this is larger than 1,000,000 bytes. Is it the right file?"),
        (b"limits {", ':1:8: "{" is opened here and never closed. Close it, or remove it.'),
        (b"limits { foo = 1 }\nbar = 2", ':1:10: unknown key "foo" in limits. Known: max_turns, max_parallel, max_depth, max_agents, max_budget_usd,'
            " max_tokens, timeout_s, max_model_price, first_byte_s, idle_s, call_s, retries, retry_first_s, retry_most_s, wait_most_s, breaker_failures, breaker_pause_s, compact_at. (1 more: agentcli config check)"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line_with_its_place(desk: Desk, data: bytes, says: str) -> None:
    file = desk.write_user(data)
    with pytest.raises(ConfigError) as caught:
        desk.load()
    assert caught.value.line() == f"{file}{says}"
    assert caught.value.exit_code == 2


def test_what_is_no_file_is_told_as_that(desk: Desk) -> None:
    (desk.project / "agent.hcl").mkdir()
    with pytest.raises(ConfigError) as caught:
        desk.load()
    says = "this is a directory, and a config file should be here. Name the file inside it, or move it away."
    assert caught.value.line() == f"{desk.project}/agent.hcl: {says}"
    (desk.project / "agent.hcl").rmdir()
    with pytest.raises(ConfigError) as caught:
        desk.load(explicit=Path("no.hcl"))
    assert caught.value.line() == f"{desk.project}/no.hcl: there is no such file. Check the path (--config, AGENTCLI_CONFIG)."
    os.mkfifo(desk.project / "agent.hcl")
    with pytest.raises(ConfigError, match="no regular file"):
        desk.load()
    (desk.project / "agent.hcl").unlink()
    (desk.project / "agent.hcl").symlink_to("agent.hcl")
    with pytest.raises(ConfigError, match="cannot be read"):
        desk.load()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_told_as_that(desk: Desk) -> None:
    desk.write_user("").chmod(0)
    with pytest.raises(ConfigError, match="may not be read"):
        desk.load()


def test_a_path_with_control_characters_cannot_draw_on_the_terminal(desk: Desk) -> None:
    file = put(desk.home / "a\x1b[2Jb\u202ec.hcl", "foo = 1")
    with pytest.raises(ConfigError) as caught:
        desk.load(explicit=file)
    assert caught.value.line().startswith(f"{desk.home}/a\\u001b[2Jb\\u202ec.hcl:1:1: ")


def test_a_path_that_is_not_utf8_loads_and_is_cached(desk: Desk) -> None:
    file = put(Path(os.fsdecode(os.fsencode(desk.home) + b"/\xff.hcl")), 'aliases { a = "m/x" }')
    assert desk.load(explicit=file).aliases == desk.load(explicit=file).aliases == {"a": "m/x"}


def test_shown_values_name_their_layer_and_hide_every_secret(desk: Desk) -> None:
    user = desk.write_user(
        textwrap.dedent("""
            default_model = "gpt/x.y"
            providers "gpt" {
              apiKey = "sk-literal"
              baseUrl = env("BASE", "https://x.example")
              headers { Authorization = env("AUTH", "sk-default") }
              quirks { extra_body = { tier = "fast", session_token = "sk-body" } }
              models "x.y" {}
            }
            agents "scout" { prompt = <<E
            two
            lines
            E
            }
            permissions { deny = ["bash(rm *)"] }
        """)
    )
    trust_folder(desk.project, desk.data)
    near = desk.write("agent.hcl", 'limits { timeout = 90 }\nproviders "gpt" { headers { X = env("X") } }')
    desk.environ = {"AGENTCLI_MODEL": "gpt/z"}
    config = desk.load()
    assert config.values == (
        Shown("default_model", '"gpt/z"', "environment", "AGENTCLI_MODEL"),
        Shown("providers.gpt.api_key", "***", "user", f"{user}:4"),
        Shown("providers.gpt.base_url", 'env("BASE", "https://x.example")', "user", f"{user}:5"),
        Shown("providers.gpt.headers.Authorization", 'env("AUTH", "***")', "user", f"{user}:6"),
        Shown("providers.gpt.quirks.extra_body", '{"tier":"fast","session_token":"***"}', "user", f"{user}:7"),
        Shown('providers.gpt.models."x.y"', "{ }", "user", f"{user}:8"),
        Shown("agents.scout.system_prompt", '"two\\nlines\\n"', "user", f"{user}:10"),
        Shown("permissions.deny", '"bash(rm *)"', "user", f"{user}:15"),
        Shown("limits.timeout_s", "90", "project", f"{near}:1"),
        Shown("providers.gpt.headers.X", 'env("X")', "project", f"{near}:2"),
    )
    assert config.key_variables == {"AUTH", "X"}
    assert "sk-" not in repr(config) + repr(desk.sources(text="sk-text", environ={"K": "sk-env"}))


def test_local_models_are_small_and_their_paths_start_at_the_config(desk: Desk) -> None:
    config = desk.text(
        'providers "local" {\n wire = "local"\n models "mine" { path = "w/m.gguf" }\n models "home" { path = "~/m.gguf"\n profile = "full" } }'
    )
    assert config.models("local") == (
        ModelSpec("local", "mine", "local", profile=SMALL, path=f"{desk.project}/w/m.gguf"),
        ModelSpec("local", "home", "local", path=f"{desk.home}/m.gguf"),
    )
    assert config.provider("local") == ProviderSpec("local", "local", remote=False)


def test_check_finds_everything_and_strict_makes_missing_variables_errors(desk: Desk) -> None:
    user = desk.write_user('providers "a" {\n apiKey = env("A_KEY")\n baseUrl = env("A_URL")\n}\nproviders "b" {\n baseUrl = env("B_URL")\n}')
    desk.environ = {"B_URL": "no url"}
    desk.write("agent.hcl", 'default_model = "a/b"')
    found = check(desk.sources())
    assert [(problem.level, problem.line().removeprefix(f"{user}:")) for problem in found] == [
        ("warning", '2:2: api_key of provider "a" needs the variable A_KEY, which is not set. Set it, or use another provider.'),
        ("warning", '3:2: base_url of provider "a" needs the variable A_URL, which is not set.'
            ' Set it, or write a default there: env("A_URL", "…").'),
        ("error", '6:2: base_url of provider "b" must be an address that starts with http:// or https://, and the variable B_URL is not.'
            " Correct it."),
        ("warning", f"{desk.project}/agent.hcl waits for your trust; until then only deny and ask rules and lower limits count."
            f" Trust the folder with --trust or: agentcli config trust {desk.project}"),
    ]  # fmt: skip
    assert [problem.level for problem in check(desk.sources(), strict=True)] == ["error", "error", "error", "warning"]


def test_check_reports_the_faults_of_all_files_at_once(desk: Desk) -> None:
    user = desk.write_user("foo = 1\nbar = 2")
    near = desk.write("agent.hcl", "limits {")
    desk.write("agent.acl", b"\xff")
    assert [(problem.file, problem.row, problem.column) for problem in check(desk.sources())] == [
        (str(user), 1, 1), (str(user), 2, 1), (str(near.with_suffix(".acl")), 1, 1), (str(near), 1, 8),
    ]  # fmt: skip


def test_check_of_a_good_config_is_empty(desk: Desk) -> None:
    desk.write_user('providers "a" { api_key = "k" }')
    assert check(desk.sources(), strict=True) == ()


@pytest.mark.timeout(60)
def test_a_thousand_models_load_and_load_again_from_the_cache(desk: Desk) -> None:
    models = "\n".join(f'models "m{number}" {{ name = "M {number}"\n cost = {{ input = 1, output = 2 }} }}' for number in range(1000))
    desk.write_user(f'providers "a" {{\n{models}\n}}')
    assert len(desk.load().models("a")) == 1000
    assert len(load(desk.sources()).models("a")) == 1000

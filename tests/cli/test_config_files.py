"""Config as a person meets it: what is wrong is one line with its place, what a repository brings waits for trust, secrets stay hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.place import SCRIPTED, Place, said
from support.program import Ran, config, environment, run
from support.server import Answer, Server

BROKEN: dict[str, tuple[bytes, str, str]] = {
    # name: the file, where it is wrong, a word of what is said
    "broken HCL": (b'default_model = "test/m"\nproviders "test" {\n', ":2:18: ", "never closed"),
    "unknown key": (b'defalt_model = "test/m"\n', ":1:1: ", 'Did you mean "default_model"?'),
    "unknown key inside": (b'providers "test" {\n  baseUlr = "http://127.0.0.1:9/v1"\n}\n', ":2:3: ", "base"),
    "duplicate key": (b'default_model = "a/b"\n\ndefault_model = "c/d"\n', ":3:1: ", "set twice"),
    "wrong type": (b'limits {\n  max_parallel = "many"\n}\n', ":2:3: ", "whole number"),
    "missing variable": (b'default_model = env("UNSET_MODEL")\n', ":1:1: ", "UNSET_MODEL"),
    "not UTF-8": (b'# caf\xc3\xa9\ndefault_model = "caf\xe9"\n', ":2:21: ", "not UTF-8"),
    "a rule of a misspelt tool": (b'permissions { deny = ["raed(.env*)"] }\n', ":1:23: ", "Did you mean 'read'?"),
    "a bad rule": (b'permissions { allow = ["bash("] }\n', ":1:24: ", "tool(pattern)"),
}


def one_line(ran: Ran) -> str:
    """The one line of a run that was refused: exit code 2, nothing else on stderr."""
    (line,) = ran.err.splitlines()
    assert ran.code == 2, ran
    assert "Traceback" not in line
    return line


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_config_is_one_line_with_its_place_and_one_result(tmp_path: Path, name: str) -> None:
    data, place, says = BROKEN[name]
    (tmp_path / "agent.hcl").write_bytes(data)
    ran = run("--config", "agent.hcl", "-p", "hi", "--output-format", "json", cwd=tmp_path)
    line = one_line(ran)
    assert f"{tmp_path / 'agent.hcl'}{place}" in line
    assert says in line
    assert (ran.result["error"]["kind"], ran.result["error"]["exit_code"]) == ("config", 2)


def test_what_is_no_file_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "folder.hcl").mkdir()
    named = run("--config", "folder.hcl", "-p", "hi", "--output-format", "stream-json", cwd=tmp_path)
    missing = run("--config", "nowhere.hcl", "-p", "hi", cwd=tmp_path)
    (tmp_path / ".agentcli" / "config.hcl").mkdir(parents=True)
    found = run("-p", "hi", cwd=tmp_path)
    assert f"{tmp_path / 'folder.hcl'}: this is a directory" in one_line(named)
    assert named.result["error"]["kind"] == "config"
    assert f"{tmp_path / '.agentcli/config.hcl'}: this is a directory" in one_line(found)
    assert "nowhere.hcl: there is no such file" in one_line(missing)


def test_a_variable_stops_only_the_provider_that_needs_it(place: Place) -> None:
    two = config("URL") + 'providers "other" {\n  apiKey = env("UNSET_KEY")\n  baseUrl = "http://127.0.0.1:9/v1"\n  models "n" {}\n}\n'
    with Server(Answer("Hello.")) as server:
        path = place.file("agent.hcl", two.replace("URL", server.url))
        good = run("--config", "agent.hcl", "-p", "hi", cwd=place.folder)
        bad = run("--config", "agent.hcl", "-p", "hi", "-m", "other/n", cwd=place.folder)
    assert (good.code, good.out) == (0, "Hello.\n")
    assert f"{path}:" in one_line(bad)
    assert "UNSET_KEY" in bad.err


def test_check_finds_all_that_is_wrong_and_missing_variables_only_when_it_is_strict(place: Place) -> None:
    place.file("bad.hcl", 'defalt_model = "a/b"\nlimits {\n  max_parallel = "many"\n}\n')
    place.file("unset.hcl", 'providers "test" {\n  apiKey = env("UNSET_KEY")\n  models "m" {}\n}\n')
    place.file("good.hcl", config("http://127.0.0.1:9/v1"))
    bad = run("config", "check", "--config", "bad.hcl", cwd=place.folder)
    loose = run("config", "check", "--config", "unset.hcl", cwd=place.folder)
    strict = run("config", "check", "--strict", "--config", "unset.hcl", cwd=place.folder)
    good = run("config", "check", "--config", "good.hcl", cwd=place.folder)
    assert [line.partition(": ")[2].partition(": ")[0] for line in bad.out.splitlines()] == [f"{place.folder}/bad.hcl:{at}" for at in ("1:1", "3:3")]
    assert (bad.code, loose.code, strict.code, good.code) == (2, 0, 2, 0)
    assert loose.out.startswith(f"warning: {place.folder}/unset.hcl:2:3: ")
    assert strict.out == loose.out.replace("warning: ", "error: ")
    assert (good.out, good.err) == ("The config is fine.\n", "")


def test_check_finds_the_rules_that_no_run_would_start_with(place: Place) -> None:
    path = place.file("rules.hcl", 'permissions {\n  allow = ["bsah(ls)"]\n  deny = ["read(.env)", "raed(.env)"]\n}\n')
    checked = run("config", "check", "--config", "rules.hcl", cwd=place.folder)
    assert [line.partition(": bad permission rule ")[0] for line in checked.out.splitlines()] == [f"error: {path}:2:12", f"error: {path}:3:25"]
    assert checked.code == 2


MISNAMED = """default_model = "fast"
subagent_model = "inherit"
aliases {
  fast = "test/n"
  keyless = "anthropic/claude-sonnet-4-6"
}
agents "scout" {
  description = "Looks."
  model = "tset/m"
  fallback_models = ["test/m", "claudius"]
}
agents "keen" { model = "keyless" }
"""


def test_check_finds_the_names_that_no_model_has(place: Place) -> None:
    path = place.file("names.hcl", MISNAMED + config("http://127.0.0.1:9/v1").partition("\n")[2])
    loose = run("config", "check", "--config", "names.hcl", cwd=place.folder)
    strict = run("config", "check", "--strict", cwd=place.folder, env=environment(AGENTCLI_CONFIG=str(path)))
    at = [line.partition(": unknown model ")[0] for line in loose.out.splitlines()]
    assert at == [
        f"error: {path}:1:1: default_model", f"error: {path}:4:3: aliases.fast", f"warning: {path}:5:3: aliases.keyless",
        f"error: {path}:9:3: agents.scout.model", f"error: {path}:10:3: agents.scout.fallback_models",
        f"warning: {path}:12:17: agents.keen.model",
    ]  # fmt: skip
    assert "ANTHROPIC_API_KEY" in loose.out.splitlines()[2]
    assert "unknown model 'keyless' (an alias of 'anthropic/claude-sonnet-4-6')" in loose.out
    assert "unknown model 'tset/m'; nearest: test/m" in loose.out
    assert (loose.code, strict.code, strict.out) == (2, 2, loose.out.replace("warning: ", "error: "))


OWN = """default_model = "test/m"
providers "test" {
  apiKey = "sk-literal-canary-1"
  headers = { "X-Auth" = "header-canary-2" }
}
"""
SECRETS = ("sk-literal-canary-1", "header-canary-2", "sk-test-canary-0001")


def test_show_tells_where_each_value_came_from_and_hides_secrets(place: Place, own_home: Path) -> None:
    own = own_home / ".config" / "agentcli" / "config.hcl"
    own.parent.mkdir(parents=True)
    own.write_text(OWN)
    place.file("given.hcl", 'providers "test" {\n  apiKey = env("TEST_KEY")\n  baseUrl = "http://127.0.0.1:9/v1"\n}\n')
    text = run("config", "show", "--config", "given.hcl", cwd=place.folder)
    machine = run("config", "show", "--json", cwd=place.folder)
    paths = run("config", "path", "--config", "given.hcl", cwd=place.folder)
    shown = {value["key"]: (value["value"], value["layer"], value["place"]) for value in json.loads(machine.out)}
    assert not [secret for secret in SECRETS if secret in text.out + text.err + machine.out + machine.err]
    assert shown["default_model"] == ('"test/m"', "user", f"{own}:1")
    assert shown["providers.test.api_key"] == ("***", "user", f"{own}:3")
    assert [line.split() for line in text.out.splitlines() if "base_url" in line] == [
        ["providers.test.base_url", '"http://127.0.0.1:9/v1"', "explicit", f"{place.folder}/given.hcl:3"]
    ]
    assert paths.out.splitlines() == [str(own), f"{place.folder}/given.hcl"]


def test_a_key_is_in_no_output_no_session_and_no_cache(place: Place, own_home: Path) -> None:
    with Server(Answer("Hello."), Answer("Hello.")) as server:
        place.file("agent.hcl", config(server.url).replace('env("TEST_KEY")', '"sk-literal-canary-1"'))
        ran = run("--config", "agent.hcl", "-p", "hi", "--verbose", "--output-format", "stream-json", cwd=place.folder)
        sent = server.requests[0].headers["authorization"]
    written = b"".join(path.read_bytes() for path in own_home.rglob("*") if path.is_file())
    assert (ran.code, sent) == (0, "Bearer sk-literal-canary-1")
    assert b"sk-literal-canary-1" not in written + ran.out.encode() + ran.err.encode()
    assert b"Hello." in written


# --- trust ---


@pytest.mark.parametrize("way", ["--trust", "config trust"])
def test_a_repository_cannot_send_the_key_elsewhere_until_it_is_trusted(place: Place, own_home: Path, way: str) -> None:
    own = own_home / ".config" / "agentcli" / "config.hcl"
    own.parent.mkdir(parents=True)
    with Server(always=Answer("The person's.")) as mine, Server(always=Answer("The repository's.")) as theirs:
        own.write_text(config(mine.url))
        place.file("agent.hcl", f'providers "test" {{\n  baseUrl = "{theirs.url}"\n}}\npermissions {{\n  deny = ["bash"]\n}}\n')

        def ask(*words: str) -> Ran:
            return run("-p", "hi", *words, cwd=place.folder)

        untrusted = ask()
        if way == "config trust":
            told = run("config", "trust", cwd=place.folder)
            assert (told.code, told.out) == (0, f"trusted: {place.folder}\n")
        trusted = ask("--trust") if way == "--trust" else ask()
        remembered = ask()
        keys = [[request.headers["authorization"] for request in server.requests] for server in (mine, theirs)]
    (line,) = untrusted.err.splitlines()
    assert (untrusted.code, untrusted.out) == (0, "The person's.\n")
    assert f"{place.folder / 'agent.hcl'} waits for your trust" in line
    assert f"agentcli config trust {place.folder}" in line
    assert [(ran.code, ran.out, ran.err) for ran in (trusted, remembered)] == [(0, "The repository's.\n", "")] * 2
    assert keys == [["Bearer sk-test-canary-0001"], ["Bearer sk-test-canary-0001"] * 2]


def test_a_model_that_only_untrusted_config_has_is_refused_and_the_reason_told(place: Place) -> None:
    place.file("agent.hcl", config("http://127.0.0.1:9/v1"))
    nothing = run("-p", "hi", "--output-format", "json", cwd=place.folder)
    named = run("-p", "hi", "-m", "test/m", cwd=place.folder)
    listed = run("agents", cwd=place.folder)
    for ran in (nothing, named):
        assert f"agentcli config trust {place.folder}" in one_line(ran)
    assert (listed.code, f"agentcli config trust {place.folder}" in listed.err) == (0, True)
    assert nothing.result["error"]["kind"] == "usage"


def test_bare_reads_neither_the_person_s_nor_the_project_s_config(place: Place, own_home: Path) -> None:
    own = own_home / ".config" / "agentcli" / "config.hcl"
    own.parent.mkdir(parents=True)
    own.write_text("this is broken {")
    place.file("agent.hcl", "and so is this {")
    with Server(Answer("Hello.")) as server:
        env = environment(OPENAI_API_KEY="sk-openai-canary", OPENAI_BASE_URL=server.url)
        bare = run("--bare", "-p", "hi", "-m", "openai/any", env=env, cwd=place.folder)
        refused = run("-p", "hi", "-m", "openai/any", env=env, cwd=place.folder)
    assert (bare.code, bare.out, bare.err) == (0, "Hello.\n", "")
    assert f"{own}:1:" in one_line(refused)


def test_a_misspelt_tool_of_a_worker_is_told_with_its_place_but_not_where_another_program_is_meant(place: Place) -> None:
    place.script(said("Hello."))
    workers = 'agents "scout" {\n  description = "Looks."\n  tools = ["raed"]\n}\n'
    models = SCRIPTED.partition("agents ")[0].replace("script.json", str(place.shared / "script.json"))
    block = place.file("agent.hcl", f"{models}{workers}")
    own = place.file(".agentcli/agents/finder.md", "---\nname: finder\ndescription: Finds.\ntools: grep, glbo\n---\nFind.\n")
    place.file(".claude/agents/other.md", "---\nname: other\ndescription: Other.\ntools: Read, NotebookEdit\n---\nDo.\n")
    ran = run("--trust", "-p", "Say hello", env=place.env(), cwd=place.folder)
    assert (ran.code, ran.out) == (0, "Hello.\n"), ran.err
    said_of = dict.fromkeys(("scout", "finder", "other"), "")
    for line in ran.err.splitlines():
        said_of |= {name: line for name in said_of if f"worker '{name}'" in line}
    assert f"{block}:" in said_of["scout"] and "no tool 'raed'; nearest: read" in said_of["scout"]
    assert str(own) in said_of["finder"] and "no tool 'glbo'; nearest: glob" in said_of["finder"]
    assert said_of["other"] == ""

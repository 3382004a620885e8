"""The commands that list and change what there is: models, workers, sessions, local weights. Columns for people, JSON for scripts."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from support.place import SCRIPTED, Place, call, said
from support.program import Ran, environment, run
from support.terminal import Terminal, agentcli


def listed(place: Place, *words: str, **env: str) -> Ran:
    return run(*words, env=place.env(**env), cwd=place.folder)


def as_json(ran: Ran) -> Any:
    assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 1), ran
    return json.loads(ran.out)


# --- models ---


def test_models_lists_what_can_be_used_and_the_query_narrows_it(place: Place) -> None:
    own = ("models", "--config", place.served)
    rows = as_json(listed(place, *own, "--json", TEST_URL="http://127.0.0.1:9/v1"))
    text = listed(place, *own, "test/m", TEST_URL="http://127.0.0.1:9/v1")
    by_id = {row["id"]: row for row in rows}
    assert by_id["test/m"] == {
        "id": "test/m", "name": "", "wire": "openai-chat", "context": None, "tools": True, "effort": ["low", "high"], "default": True,
        "cost": {"input": 1.0, "output": 2.0}, "key_present": True, "problem": "",
    }  # fmt: skip
    assert by_id["local/qwen2.5-coder-0.5b"]["key_present"] is None
    assert [row["id"] for row in rows if row["default"]] == ["test/m"]
    assert (text.code, text.err) == (0, "")
    assert [line.split() for line in text.out.splitlines()] == [
        ["MODEL", "NAME", "WIRE", "CONTEXT", "IN/OUT", "$", "per", "M", "TOOLS", "EFFORT", "KEY"],
        ["test/m", "*", "openai-chat", "?", "1/2", "yes", "low", "high", "yes"],
        ["*", "runs", "where", "none", "is", "named"],
    ]


def test_models_says_which_key_is_missing_and_names_no_key(place: Place) -> None:
    env = place.env(TEST_URL="http://127.0.0.1:9/v1", OPENAI_API_KEY="sk-openai-canary")
    del env["TEST_KEY"]
    ran = run("models", "--config", place.served, "--json", env=env, cwd=place.folder)
    by_id = {row["id"]: row for row in as_json(ran)}
    assert (by_id["test/m"]["key_present"], "TEST_KEY" in by_id["test/m"]["problem"]) == (False, True)
    assert [row["key_present"] for name, row in by_id.items() if name.startswith("openai/")][:1] == [True]
    assert "canary" not in ran.out


# --- workers ---


def test_agents_tells_each_worker_s_model_and_which_link_decided(place: Place) -> None:
    rows = {row["name"]: row for row in as_json(listed(place, "agents", "--config", place.scripted, "--json"))}
    scout = rows["scout"]
    assert set(rows) >= {"scout", "explore", "plan", "general", "verify", "review", "self"}
    assert scout["model"] == {"requested": "demo/m2", "resolved": "demo/m2", "served": None, "source": "definition"}
    assert (scout["tools"], scout["description"], scout["problem"]) == (["read", "ls"], "Looks around.", "")
    assert scout["source"].startswith(f"{place.scripted}:")
    assert rows["explore"]["model"] == {"requested": "demo/m1", "resolved": "demo/m1", "served": None, "source": "parent"}


def test_one_worker_is_told_in_full_and_as_if_on_another_model(place: Place) -> None:
    text = listed(place, "agents", "scout", "--config", place.scripted)
    other = as_json(listed(place, "agents", "explore", "--config", place.scripted, "-m", "Model Two:high", "--json"))
    assert (text.code, text.out.splitlines()[0]) == (0, "scout: Looks around.")
    assert "demo/m2 (definition)" in text.out
    assert [row["model"]["resolved"] for row in other] == ["demo/m2:high"]


# --- sessions ---


@pytest.fixture
def sessions(place: Place) -> Place:
    """Three sessions: two of the place's folder, one of another."""
    place.script(call("ls", path="."), said("It is empty."))
    place.run("-p", "What is  here?", "--session-id", "first")
    place.run("-p", "And now?", "--session-id", "second")
    (place.folder.parent / "other").mkdir()
    place.run("-p", "Elsewhere?", "--session-id", "third", cwd=place.folder.parent / "other")
    return place


def test_sessions_are_listed_shown_exported_and_removed(sessions: Place) -> None:
    place = sessions
    here = as_json(listed(place, "sessions", "list", "--json"))
    everywhere = as_json(listed(place, "sessions", "list", "--all", "--json"))
    text = listed(place, "sessions")
    assert [info["id"] for info in here] == ["second", "first"]
    assert {name: here[1][name] for name in ("cwd", "title", "model", "turns")} == {
        "cwd": str(place.folder), "title": "What is here?", "model": "demo/m1", "turns": 1,
    }  # fmt: skip
    assert [info["id"] for info in everywhere] == ["third", "second", "first"]
    assert [line.split()[0] for line in text.out.splitlines()] == ["SESSION", "second", "first"]
    shown = listed(place, "sessions", "show", "fir")
    exported = listed(place, "sessions", "export", "first")
    (path,) = [path for path in place.sessions() if path.stem == "first"]
    assert shown.out.split("\n") == ["", "> What is  here?", "· ls .", "", "(demo/m1) It is empty.", ""]
    assert exported.out.encode() == path.read_bytes()
    removed = listed(place, "sessions", "rm", "first", "third")
    assert (removed.code, removed.out) == (0, "deleted first\ndeleted third\n")
    assert [path.stem for path in place.sessions()] == ["second"]


def test_no_sessions_is_said_in_words_and_is_an_empty_list(place: Place) -> None:
    assert listed(place, "sessions").out == f"No sessions in {place.folder}. Those of every folder: agentcli sessions list --all\n"
    assert as_json(listed(place, "sessions", "list", "--json")) == []


# --- local models ---


def test_local_list_tells_what_is_here_and_what_can_be_fetched(place: Place) -> None:
    weights = place.folder / "weights"
    weights.mkdir()
    (weights / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf").write_bytes(b"GGUF")
    ran = listed(place, "local", "list", AGENTCLI_WEIGHTS=str(weights))
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[0] == ["MODEL", "SIZE", "HERE", "SOURCE"]
    assert [row[0] for row in rows[1:3]] == ["local/qwen2.5-coder-0.5b", "local/qwen2.5-coder-1.5b"]
    assert "agentcli local pull" in ran.out
    removed = listed(place, "local", "rm", "qwen2.5-coder-0.5b", AGENTCLI_WEIGHTS=str(weights))
    assert (removed.code, list(weights.iterdir())) == (0, []), removed


# --- what does not exist ---


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("models", "nothing-like-it"), "agentcli models"),
        (("agents", "scuot"), "scout"),
        (("agents", "-m", "demo/m9"), "demo/m2"),
        (("sessions", "show", "nothing"), "agentcli sessions"),
        (("sessions", "export", "nothing"), "agentcli sessions"),
        (("sessions", "rm", "nothing"), "agentcli sessions"),
        (("local", "pull", "nothing"), "qwen2.5-coder-0.5b"),
        (("local", "rm", "nothing"), "nothing"),
        (("sessions", "lits"), "list"),
        (("config", "trust", "nowhere"), "no such folder"),
        (("models", "--cwd", "nowhere"), "no such folder"),
        (("models", "-p"), "agentcli models --help"),
        (("sessions", "show"), "ID"),
    ],
)
def test_an_unknown_name_exits_2_and_says_what_there_is(place: Place, words: tuple[str, ...], says: str) -> None:
    given = ("--config", place.scripted) if words[0] in ("models", "agents") else ()
    ran = run(*words, *given, env=place.env(), cwd=place.folder)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1), ran
    assert says in ran.err


@pytest.mark.parametrize("words", [(), ("models",), ("sessions",), ("compare",)])
def test_help_fits_a_narrow_terminal(words: tuple[str, ...]) -> None:
    ran = run(*words, "--help", env=environment(COLUMNS="80"))
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "--no-no-" not in ran.out
    assert "\x1b" not in ran.out


def test_a_table_on_a_terminal_keeps_to_its_lines(place: Place) -> None:
    place.file("agent.hcl", SCRIPTED)
    terminal = Terminal(agentcli("agents", "--config", "agent.hcl"), place.folder, place.env(), columns=100)
    try:
        assert terminal.end() == 0
    finally:
        terminal.close()
    lines = [line for line in terminal.lines if line]
    assert [line.split()[0] for line in lines] == ["WORKER", "explore", "general", "plan", "review", "scout", "self", "verify"]
    assert any("agent.hcl:" in line and str(place.folder) not in line for line in lines)


@pytest.mark.parametrize(("command", "rest"), [(("agents", "--json"), ()), (("config", "check"), ()), (("models",), ("--", "m1"))])
def test_the_config_and_the_folder_may_be_named_before_a_command(place: Place, command: tuple[str, ...], rest: tuple[str, ...]) -> None:
    flags = ("--config", str(place.scripted), f"--cwd={place.folder}")
    before, after = listed(place, *flags, *command, *rest), listed(place, *command, *flags, *rest)
    assert (before.code, before.out) == (0, after.out)


def test_a_word_that_is_a_command_is_a_prompt_after_p(place: Place) -> None:
    place.script(said("Hello."))
    ran = place.run("-p", "models")
    assert (ran.code, ran.out) == (0, "Hello.\n")


@pytest.mark.parametrize(
    ("shell", "code", "says"),
    [
        ('exec "$@" > /dev/full', 1, "cannot write to standard output"),
        ('mkdir gone && cd gone && rmdir ../gone && exec "$@"', 2, "the working folder does not exist any more"),
    ],
)
def test_a_full_disk_and_a_folder_that_is_gone_are_one_line(place: Place, shell: str, code: int, says: str) -> None:
    argv = ["sh", "-c", shell, "sh", *agentcli("models", "--config", place.scripted)]
    done = subprocess.run(argv, env=place.env(), cwd=place.folder, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (code, b"", 1)
    assert says.encode() in done.stderr

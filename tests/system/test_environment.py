from __future__ import annotations

import os

import pytest

from agentcli.system import environment
from agentcli.system.environment import NON_INTERACTIVE, Terminal, child_env, terminal


@pytest.fixture(autouse=True)
def only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if not name.startswith("PYTEST"):
            monkeypatch.delenv(name)


def _ours(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith("PYTEST")}


def test_read_is_a_copy_that_later_changes_do_not_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "1")
    before = environment.read()
    monkeypatch.setenv("A", "2")
    assert (before["A"], environment.get("A"), environment.get("NOT_SET"), environment.get("NOT_SET", "x")) == ("1", "2", "", "x")


def test_a_child_sees_no_provider_key_and_none_that_config_names_and_all_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"PATH": "/bin", "GITHUB_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "a", "SOME_API_KEY": "s", "LANG": "C.UTF-8", "OPENAI_BASE_URL": "u"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    for name in (*environment.PROVIDER_KEYS, "MY_GATEWAY_KEY"):
        monkeypatch.setenv(name, "sk-secret")
    assert _ours(child_env(["MY_GATEWAY_KEY", "NOT_SET"])) == kept | NON_INTERACTIVE
    assert {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY"} <= environment.PROVIDER_KEYS


def test_a_child_is_not_interactive_whatever_the_person_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PAGER": "less", "GIT_PAGER": "delta", "TERM": "xterm", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert _ours(child_env()) == {
        "PAGER": "cat", "GIT_PAGER": "cat", "TERM": "dumb", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true",
    }  # fmt: skip


def test_a_childs_shell_runs_nothing_first_and_goes_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASH_ENV", "ENV", "CDPATH"):
        monkeypatch.setenv(name, "/somewhere")
    assert _ours(child_env()) == NON_INTERACTIVE


def test_a_terminal_of_which_nothing_is_said() -> None:
    assert terminal() == Terminal()


def test_all_that_the_environment_says_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1", "FORCE_COLOR": "3",
        "COLUMNS": "120", "LINES": "40", "CI": "true", "EDITOR": "nano", "VISUAL": "vim",
    }  # fmt: skip
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert terminal() == Terminal("xterm-256color", "truecolor", True, True, 120, 40, True, "vim")


@pytest.mark.parametrize("columns", ["", "0", "-5", "wide", "٣", "1.5"])
def test_a_width_that_is_no_positive_number_is_unknown(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal().columns is None


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_switches_that_are_set_to_no_are_off(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "FORCE_COLOR"):
        monkeypatch.setenv(name, value)
    assert terminal() == Terminal()

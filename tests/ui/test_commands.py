"""Slash commands as a list: names, help, what a typed word finds, how /model reads its words. What they do is tried in a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from support.screens import first_turn

from agentcli.ui.commands import gathered
from agentcli.ui.commands.compare import split
from agentcli.ui.commands.models import Asked, parse
from agentcli.ui.commands.registry import Registry, SlashCommand, command
from agentcli.ui.commands.session import last_code
from agentcli.ui.repl import Repl, is_command
from agentcli.ui.transcript import transcript

NOBODY = cast(Repl, None)


@command("deploy", "ship", usage="WHERE")
async def deploy(repl: Repl, rest: str) -> None:
    """Bring it somewhere.

    The rest of the help.
    """


@command("describe", shown=lambda repl: False)
async def hidden(repl: Repl, rest: str) -> None:
    """Not there now."""


def test_a_decorated_function_is_a_command_and_its_docstring_the_help() -> None:
    assert (deploy.name, deploy.aliases, deploy.usage, deploy.summary) == ("deploy", ("ship",), "WHERE", "Bring it somewhere.")
    assert deploy.help == "Bring it somewhere.\n\nThe rest of the help."


def test_a_command_is_found_by_name_alias_and_a_beginning_that_only_one_has() -> None:
    registry = Registry((deploy, hidden))
    found = {word: registry.find(NOBODY, word) for word in ("deploy", "SHIP", "de", "x", "", "describe")}
    assert found == {"deploy": deploy, "SHIP": deploy, "de": deploy, "x": None, "": None, "describe": None}


def test_what_is_not_shown_is_neither_listed_nor_offered_as_near() -> None:
    registry = Registry((deploy, hidden))
    assert registry.listed(NOBODY) == [deploy]
    assert registry.near(NOBODY, "deplyo") == ("deploy",)


def test_the_commands_that_work_are_there_each_with_help_and_no_name_stands_for_two() -> None:
    commands = gathered().commands
    assert [one.name for one in commands] == [
        "agents", "clear", "compact", "compare", "config", "context", "copy", "cost", "diff", "doctor", "effort", "exit", "export", "fork", "help", "init",
        "model", "more", "permissions", "rename", "resume", "sessions", "tools",
    ]  # fmt: skip
    assert all(one.summary and len(one.summary) <= 100 for one in commands)
    names = [name for one in commands for name in (one.name, *one.aliases)]
    assert sorted(names) == sorted(set(names))


def test_every_family_is_gathered(tmp_path: Path) -> None:
    import agentcli.ui.commands as package

    folder = Path(package.__file__).parent
    defined = sum(path.read_text().count("\n@command(") for path in folder.glob("*.py"))
    assert defined == len(gathered().commands)


@pytest.mark.parametrize(
    ("rest", "asked"),
    [
        ("", Asked()),
        ("acme/big", Asked("", "acme/big")),
        ("acme/big:high d", Asked("", "acme/big:high", "d")),
        ("GPT-4o mini", Asked("", "GPT-4o mini")),
        ("GPT-4o mini s", Asked("", "GPT-4o mini", "s")),
        ("subagents fast", Asked("subagents", "fast")),
        ("subagents", Asked("subagents")),
        ("scout local d", Asked("scout", "local", "d")),
        ("scout none", Asked("scout", "none")),
        ("d", Asked("", "d")),
    ],
)
def test_model_reads_worker_name_and_for_how_long(rest: str, asked: Asked) -> None:
    assert parse(rest, ("scout", "explore")) == asked


@pytest.mark.parametrize(
    ("rest", "models", "prompt"),
    [
        ("a b fix it", ["a", "b"], "fix it"),
        ("a b", ["a", "b"], ""),
        ("a  b -- a story", ["a", "b"], "a story"),
        ("fix a b", [], "fix a b"),
        ("", [], ""),
    ],
)
def test_compare_takes_words_for_models_as_long_as_they_name_one(rest: str, models: list[str], prompt: str) -> None:
    assert split(rest.split(" "), {"a", "b"}.__contains__) == (models, prompt)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("one\n```py\na = 1\n```\ntwo\n~~~\nb\n\nc\n~~~\nend", "b\n\nc"),
        ("````md\n```\ninner\n```\n````", "```\ninner\n```"),
        ("no code, `inline` only", ""),
        ("```\nnever closed", ""),
    ],
)
def test_copy_finds_the_last_piece_of_code(text: str, code: str) -> None:
    assert last_code(text) == code


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("/help", True), ("/model x/y", True), ("/usr/bin/env is odd", False), ("/", False), ("a /help", False), ("/init\nmore", True)],
)
def test_a_path_is_no_command(text: str, is_one: bool) -> None:
    assert is_command(text) is is_one


def test_a_session_as_text_has_what_was_said_and_done_in_order() -> None:
    text = transcript(first_turn())
    parts = (
        "# Session in /home/me/records on acme/big-1:high", "## You\n\nThe parser accepts", "## Agent\n\nI'll look",
        "**bash** pytest -q tests/test_parser.py", "**edit** src/records/parser.py\n\n```diff\n--- a/", "| `[/].py` | crash",
    )  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.count("41 passed in 2.31s") == 1


def test_a_fence_in_an_output_does_not_close_the_one_around_it() -> None:
    from agentcli.ui.transcript import _fenced

    assert _fenced("a\n```\nb") == "````\na\n```\nb\n````"


def test_commands_are_plain_values() -> None:
    one: Any = gathered().commands[0]
    assert isinstance(one, SlashCommand)
    with pytest.raises(AttributeError):
        one.name = "other"

"""Nearest names and the spellings of a permission mode."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentcli.protocol.names import nearest, permission_mode

MODELS = ("openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4", "local/qwen3:8b")


def test_the_nearest_come_first_whatever_their_case_and_with_or_without_the_provider() -> None:
    assert nearest("GPT4o", MODELS) == ("openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4")
    assert nearest("openai/gpt-4o-mni", MODELS, 1) == ("openai/gpt-4o-mini",)
    assert nearest("claude-sonet", MODELS, 1) == ("anthropic/claude-sonnet-4",)


def test_a_cutoff_leaves_out_what_is_not_alike_and_nothing_known_gives_nothing() -> None:
    assert nearest("zzz", MODELS, cutoff=0.6) == ()
    assert nearest("x", ()) == ()
    assert nearest("", ("a", "a")) == ("a",)


def test_matching_names_is_not_paid_for_until_it_is_needed() -> None:
    code = "import sys, agentcli.protocol.names; print('difflib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("default", "default"), ("accept-edits", "accept-edits"), ("acceptEdits", "accept-edits"), ("accept_edits", "accept-edits"), ("Plan", "plan"),
        ("auto", "auto"), ("bypass", "bypass"), ("bypassPermissions", "bypass"), ("yolo", None), ("", None),
    ],
)  # fmt: skip
def test_permission_modes_are_known_in_both_spellings(text: str, mode: str | None) -> None:
    assert permission_mode(text) == mode

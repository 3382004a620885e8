"""The list of models and the questions beside it as a person sees them, at fixed widths. `PYTEST_GOLDEN=write` writes the files anew."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from agentcli.protocol.text import cells
from agentcli.ui.approve import Choice, Option
from agentcli.ui.commands.models import HEAD
from agentcli.ui.lines import plain
from agentcli.ui.picker import Picker, Row

SCREENS = Path(__file__).parent / "golden" / "screens"

ROWS = (
    Row("anthropic/claude-sonnet-4", ("anthropic/claude-sonnet-4", "Claude Sonnet 4", "200.0k", "3/15", ""), off="no key"),
    Row("openai/gpt-5", ("openai/gpt-5", "GPT-5", "400.0k", "1.25/10", "yes"), variants=("low", "medium", "high"), variant=""),
    Row("openai/gpt-4o-mini", ("openai/gpt-4o-mini", "GPT-4o mini", "128.0k", "0.15/0.6", "yes")),
    Row("openrouter/vendor/a-model-with-a-very-long-name:free", ("openrouter/vendor/a-model-with-a-very-long-name:free", "", "?", "?", "yes")),
    Row("local/qwen2.5-coder-1.5b", ("local/qwen2.5-coder-1.5b", "Qwen2.5 Coder 1.5B (local)", "8.2k", "0/0", "-")),
)


def screens(width: int) -> str:
    """The list, the list after a search and a choice of effort, the question that follows."""

    async def drawn() -> list[str]:
        picker = Picker("Model of this session", ROWS, head=HEAD, at=2)
        first = picker.lines(width, 20)
        for key, text in (("text", "gpt"), ("right", ""), ("right", "")):
            picker.press(key, text)
        body = [[("dim", "  The cache is lost: the next call reads about 45.2k tokens anew, $0.0565.")]]
        keep = Choice("openai/gpt-5:medium: for how long?", (Option("s", "s", "this session"), Option("d", "d", "the default from now on")), body)
        found = [*first, [], *picker.lines(width, 20), [], *keep.lines(width, 20)]
        return [plain(line).rstrip() for line in found]

    return "\n".join(asyncio.run(drawn())) + "\n"


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_of_models(width: int) -> None:
    path = SCREENS / f"the_list_of_models_{width}.txt"
    text = screens(width)
    if os.environ.get("PYTEST_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_in_a_narrow_window_names_can_still_be_told_apart() -> None:
    assert screens(40).split("\n")[:7] == [
        "Model of this session  search:",
        "  MODEL                        EFFORT",
        "  anthropic/claude-sonnet-4    no key",
        "  openai/gpt-5                 default",
        "› openai/gpt-4o-mini",
        "  openrouter/vendor/a-model-…",
        "  local/qwen2.5-coder-1.5b",
    ]


@pytest.mark.parametrize("width", [20, 40, 57, 79, 200])
def test_no_line_of_it_is_wider_than_the_window(width: int) -> None:
    assert all(cells(line) <= width for line in screens(width).split("\n"))

"""Whole windows of 24 lines as a terminal shows them: the real screen on a pty, prompt and status line included. `PYTEST_GOLDEN=write` writes the files anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from support.envelopes import Story
from support.inline import drawn, written
from support.screens import ANSWER, BIG, approval, asked, fan_out, first_turn, forty, opened, streamed

from agentcli.protocol.events import CallStarted, Envelope, StateChanged, TextDelta, ToolStarted
from agentcli.ui.repl import Repl

SCREENS = Path(__file__).parent / "golden" / "screens"
ROWS = 24
LONG_CODE = "\n".join(f"def f{number}(x: int) -> int:\n    return x + {number}" for number in range(40))


def at_work(repl: Repl, envelopes: Iterable[Envelope]) -> None:
    """A session in the middle of a turn."""
    repl.turns.submit("a turn under way")
    for envelope in envelopes:
        repl.feed(envelope)


def a_turn_is_over(repl: Repl) -> None:
    for envelope in first_turn():
        repl.feed(envelope)


def a_long_piece_of_code_comes(repl: Repl) -> None:
    story = Story().tell(opened(), asked("Write it."), StateChanged(state="running"), CallStarted(call=1, model=BIG))
    at_work(repl, story.tell(TextDelta(text=f"Here it is:\n\n```python\n{LONG_CODE}")).envelopes)


def three_workers(repl: Repl) -> None:
    at_work(repl, fan_out().envelopes)
    repl.state.queue("and look at the writer too", "steer")


def forty_workers(repl: Repl) -> None:
    at_work(repl, forty().envelopes[:-2])  # but for the question and the state that goes with it


def a_question(repl: Repl) -> None:
    story = Story().tell(opened(), asked("Run the checks."), StateChanged(state="running"))
    streamed(story, ANSWER[:200])
    story.tell(ToolStarted(call_id="w1", name="bash", title=approval().title, arguments="{}"), StateChanged(state="waiting"), approval())
    at_work(repl, story.envelopes)


def a_question_of_one_of_forty(repl: Repl) -> None:
    at_work(repl, forty().envelopes)


WINDOWS: list[Callable[[Repl], None]] = [
    a_turn_is_over,
    a_long_piece_of_code_comes,
    three_workers,
    forty_workers,
    a_question,
    a_question_of_one_of_forty,
]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.__name__)
def test_window(window: Callable[[Repl], None], columns: int, tmp_path: Path) -> None:
    def play(repl: Repl) -> Iterator[None]:
        window(repl)
        yield
        yield

    standing, _ = written(tmp_path, columns, ROWS, play, clock=lambda: 1_012.0)
    _, lines = drawn(standing, columns, ROWS)
    text = "\n".join(lines).rstrip("\n") + "\n"
    path = SCREENS / f"window_{window.__name__}_{columns}.txt"
    if os.environ.get("PYTEST_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")

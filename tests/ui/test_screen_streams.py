"""Answers as they stream onto a terminal: whatever the cuts, what stands there at the end is the rendering of the whole, each line once."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.envelopes import Story
from support.inline import drawn, written
from support.screens import BIG, replied

from agentcli.protocol.events import CallStarted, Envelope, TextDelta
from agentcli.protocol.text import cells
from agentcli.ui.markdown import markdown_lines
from agentcli.ui.render import Painter
from agentcli.ui.repl import Repl

ROWS = 24


def streamed_to(folder: Path, columns: int, updates: Sequence[Sequence[Envelope]]) -> tuple[list[str], bytes]:
    """The lines of a terminal at the end, those included that scrolled away, without empty ones; and all that was written. One update each."""

    def play(repl: Repl) -> Iterator[None]:
        for envelopes in updates:
            for envelope in envelopes:
                repl.feed(envelope)
            yield

    _, raw = written(folder, columns, ROWS, play)
    gone, window = drawn(raw, columns, ROWS)
    return kept([*gone, *window]), raw


def kept(lines: Sequence[str]) -> list[str]:
    return [unicodedata.normalize("NFC", line.rstrip()) for line in lines if line.strip()]


def told(text: str, cuts: Sequence[int], per_update: int = 1) -> list[list[Envelope]]:
    """A text in pieces as a model sends it, so many of them between two updates."""
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [TextDelta(text=text[start:end]) for start, end in itertools.pairwise(edges)]
    story = Story().tell(CallStarted(call=1, model=BIG), *pieces, replied(text))
    return [story.envelopes[at : at + per_update] for at in range(0, len(story.envelopes), per_update)]


def whole(text: str, columns: int) -> list[str]:
    return kept(markdown_lines(text, Painter("mono"), columns))


# --- any markdown in any cuts ---

# No joined emoji: pyte leaves out what follows a joiner.
WORDS = st.sampled_from([
    "alpha", "日本語", "👍", "cafe\u0301", "`code`", "**bold**", "[a](http://x)", "*it*", "x_y_z", "1990.", "[/].py", "&lt;", "<b>", "long" * 30,
])  # fmt: skip
LINE = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
PARAGRAPH = st.lists(LINE, min_size=1, max_size=3).map("\n".join)
CODE = st.tuples(st.sampled_from(["py", "", "sh"]), st.lists(st.one_of(LINE, st.sampled_from(["", "    x = 1", "# no", "\ty"])), max_size=30))
CELL = st.sampled_from(["a", "日本", "`x`", "many words " * 8, "1"])
BLOCKS = st.one_of(
    PARAGRAPH,
    LINE.map("## {}".format),
    CODE.map(lambda code: "\n".join([f"```{code[0]}", *code[1], "```"])),
    st.lists(LINE, min_size=1, max_size=4).map(lambda lines: "\n".join(f"- {line}\n  - under it" for line in lines)),
    st.lists(LINE, min_size=1, max_size=3).map(lambda lines: "\n\n".join(f"{at}. {line}" for at, line in enumerate(lines, 1))),
    LINE.map(lambda line: f"1. {line}\n\n   ```py\n   x = 1\n\n   y = 2\n   ```\n2. next"),
    PARAGRAPH.map(lambda text: "\n".join(f"> {line}" for line in text.split("\n"))),
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=4).map(
        lambda rows: "\n".join(["| A | B | C |", "|:--|--:|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    ),
    st.just("---"),
)
TEXTS = st.lists(st.tuples(BLOCKS, st.sampled_from(["\n\n", "\n\n\n", "\n"])), min_size=1, max_size=6).map(
    lambda parts: "".join(f"{block}{gap}" for block, gap in parts)
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(TEXTS, st.lists(st.integers(0, 2_000), max_size=20), st.sampled_from([40, 80, 137, 300]), st.integers(1, 4))
def test_any_markdown_in_any_cuts_ends_as_the_rendering_of_the_whole(
    tmp_path: Path, text: str, cuts: list[int], columns: int, per_update: int
) -> None:
    shown, _ = streamed_to(tmp_path, columns, told(text, cuts, per_update))
    assert shown == whole(text, columns)


# --- long ones ---

LONG_CODE = "\n".join(f"def f{number}(x):  # {'y' * (number % 120)}" for number in range(500))
LONG_TABLE = "\n".join(["| name | what | why |", "|---|---|---|", *(f"| `f{at}` | {'it does much ' * 12} | 日本語{at} |" for at in range(12))])
LONG = f"Here it is:\n\n```python\n{LONG_CODE}\n```\n\n{LONG_TABLE}\n\n{'x' * 900}\n\n" + "\n\n".join(
    f"Part {at} " + "with words " * 40 for at in range(60)
)


@pytest.mark.parametrize("columns", [80, 300])
def test_five_thousand_tokens_with_five_hundred_lines_of_code_are_all_there_once(tmp_path: Path, columns: int) -> None:
    size = len(LONG) // 5_000
    updates = told(LONG, range(0, len(LONG), size), per_update=250)
    shown, raw = streamed_to(tmp_path, columns, updates)
    assert shown == whole(LONG, columns)
    assert max(cells(line) for line in shown) <= columns
    assert b"\x1b[2J" not in raw
    assert len(raw) < 4 * len(LONG.encode()), "what was written before is written again and again"

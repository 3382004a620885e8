"""What is written to a terminal, fitted: fewer bytes for the same picture, and where the cursor is after a terminal wrapped lines anew."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Char, Screen

from agentcli.sdk.terminal import Terminal
from agentcli.ui.inline import compact, wrapped_position
from agentcli.ui.look import reflows
from agentcli.ui.pieces import Splitter, undisputed

RESET = "\x1b[0m"
PIECES = st.one_of(
    st.sampled_from(
        [RESET, "\x1b[0;36m", "\x1b[0;2m", "\x1b[0;1;31m", "\r\n", "\x1b[3C", "\x1b[A", "\b", "\x1b[K", "\x1b[J", "\x1b[?25l", "\x1b[?25h"]
    ),
    st.text("ab ⠹模", min_size=1, max_size=3),
    st.just("\x1b[1;33mown\x1b[0m\r\n"),
)


def drawn(text: str) -> list[list[tuple[str, str, bool]]]:
    screen = pyte.Screen(20, 6)
    pyte.Stream(screen).feed(text)
    return [[(cell.data, cell.fg, cell.bold) for cell in (screen.buffer[row][column] for column in range(20))] for row in range(6)]


@given(st.lists(PIECES, max_size=30))
@settings(max_examples=200, deadline=None)
def test_compact_output_draws_the_same_and_ends_without_a_style(pieces: list[str]) -> None:
    whole = [*pieces, RESET]
    short = compact(whole)
    assert len(short) <= len("".join(whole)) + len(RESET)
    assert drawn(f"{short}x") == drawn(f"{''.join(whole)}x")


def test_styles_that_nothing_is_drawn_in_are_left_out() -> None:
    rows = ["\x1b[0;36m", "⠹", RESET, "\r\n", "\x1b[0;36m", "⠹", RESET, "\r\n", "\x1b[5C", RESET]
    assert compact(rows) == "\x1b[0;36m⠹\r\n⠹\r\n\x1b[5C\x1b[0m"


def screen_of(*rows: str) -> Screen:
    screen = Screen()
    for number, text in enumerate(rows):
        column = 0
        for char in text:
            cell = screen.data_buffer[number][column] = Char(char)
            column += cell.width
    return screen


@pytest.mark.parametrize(
    ("cursor", "columns", "position"),
    [
        (Point(2, 2), 100, Point(2, 2)),
        (Point(2, 2), 50, Point(2, 3)),
        (Point(2, 2), 30, Point(2, 5)),
        (Point(45, 1), 20, Point(5, 6)),
    ],
)
def test_rows_that_a_narrower_terminal_wraps_count_as_often_as_they_are_wrapped(cursor: Point, columns: int, position: Point) -> None:
    assert wrapped_position(screen_of("x" * 80, "y" * 50, "› "), cursor, columns) == position


def test_a_wide_character_that_does_not_fit_at_the_edge_is_wrapped_whole() -> None:
    assert wrapped_position(screen_of("模" * 20, "› "), Point(2, 1), 20) == Point(2, 2)
    assert wrapped_position(screen_of("模" * 20, "› "), Point(2, 1), 19) == Point(2, 3)
    assert wrapped_position(screen_of("a" + "模" * 10), Point(20, 0), 12) == Point(9, 1)


@pytest.mark.parametrize(
    ("term", "env", "wraps"),
    [
        ("xterm-256color", {}, True),
        ("xterm-256color", {"XTERM_VERSION": "XTerm(390)"}, False),
        ("linux", {}, False),
        ("screen.xterm", {"STY": "1.pts"}, False),
        ("screen-256color", {"TMUX": "/tmp/x"}, True),
    ],
)
def test_which_terminals_wrap_anew(term: str, env: dict[str, str], wraps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert reflows(Terminal(term=term)) is wraps


def test_a_coloured_line_becomes_one_piece_for_each_run() -> None:
    splitter = Splitter()
    line = "\x1b[1;36m> \x1b[0m\x1b[2mdim\x1b[0m plain [b]"
    assert [splitter.pieces(line), splitter.pieces("nothing")] == [
        [("ansicyan bold", "> "), ("dim", "dim"), ("", " plain [b]")],
        [("", "nothing")],
    ]


def test_what_is_drawn_again_in_parts_has_one_width_on_every_terminal() -> None:
    assert undisputed("a 👩\u200d💻 👍\U0001f3fd ❤\ufe0f 模 é\u0301") == "a 👩💻 👍 ❤ 模 é\u0301"

"""Each kind of item as lines: what is shown, what is folded, and that nothing of a model, a tool or a file acts on the terminal."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text as RichText
from support.envelopes import Story, answered, started
from support.screens import BIG, DIFF, MINI, approval, asked, price, spawned

from agentcli.protocol.events import (
    ApprovalAsked,
    CallStarted,
    Failure,
    Notice,
    StateChanged,
    TextDelta,
    ThinkingDelta,
    ToolOutput,
    ToolStarted,
)
from agentcli.protocol.models import ModelUse
from agentcli.protocol.text import cells
from agentcli.protocol.tools import CommandDisplay, DiffDisplay, TextDisplay, TodoDisplay, TodoItem
from agentcli.sdk.overview import AgentRow
from agentcli.sdk.terminal import Terminal
from agentcli.ui.agents import agents_lines, worker_lines
from agentcli.ui.blocks import Scroll, item_lines, whole_lines
from agentcli.ui.diff import diff_lines
from agentcli.ui.folding import folds
from agentcli.ui.items import (
    Broke,
    Decided,
    FanOut,
    Item,
    Opened,
    Remark,
    RunEnd,
    Said,
    ToolRun,
    Trouble,
    UserSaid,
    WorkerFacts,
)
from agentcli.ui.look import Look, look_of
from agentcli.ui.markdown import markdown_lines
from agentcli.ui.region import live_lines, what_goes_on
from agentcli.ui.render import Painter, chopped, fitted, to_lines
from agentcli.ui.state import Screen
from agentcli.ui.status import status_line

LOOKS: list[Look] = ["colour", "mono", "plain"]
SGR = re.compile(r"\x1b\[([0-9;]*)m")
OURS = {"0", "1", "2", "3", "4", "9", *map(str, range(31, 38)), *map(str, range(90, 98))}
"""Bold, dim, italic, underlined, struck and the foreground colours; nothing hidden, no background, no blinking."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u2069\u3164\ud800-\udfff\U000e0100-\U000e01ef]")
NOW = 1_010.0


def drawn(item: Item, width: int = 80, look: Look = "mono") -> list[str]:
    return item_lines(item, Painter(look), width)


def tool(text: str = "", **changes: object) -> ToolRun:
    given: dict[str, object] = {"name": "bash", "title": "ls", "text": text}
    return ToolRun(**{**given, **changes})  # type: ignore[arg-type]


def facts(**changes: object) -> WorkerFacts:
    given: dict[str, object] = {
        "id": "main/scout-1", "name": "scout-1", "agent": "scout", "label": "", "model": MINI, "state": "running", "since": 1_000.0,
    }  # fmt: skip
    return WorkerFacts(**{**given, **changes})  # type: ignore[arg-type]


# --- nothing acts on the terminal ---


def every_item(text: str) -> list[Item]:
    """Each kind of item with `text` wherever it takes any."""
    failure = Failure("x", text, 1, text, text, 503)
    diff = f"--- a/{text}\n+++ b/{text}\n@@ -1,2 +1,2 @@\n {text}\n-{text}\n+{text}\n"
    row = facts(name=text, label=text, agent=text, doing=text, model=ModelUse(text, text, "definition"), state="failed", failure=failure, note=text)
    return [
        Opened(text, ModelUse(text, text, "flag"), "default", text, text, resumed=True),
        UserSaid(text),
        UserSaid(text, "worker"),
        UserSaid(text, "system"),
        Said(text),
        Said(f"```{text}\n{text}\n```"),
        Said(f"# {text}\n"),
        Said(f"- {text}"),
        Said(f"| {text} | b |\n|---|---|\n| {text} | 2 |"),
        Said(f"[{text}]({text}) ![{text}](a) <{text}> **{text}**"),
        Broke("error", text),
        tool(text, name=text, title=text),
        tool(text, is_error=True),
        tool(text, denied=True, is_error=True),
        tool(f"{text}\n{text}"),
        tool(text, display=TextDisplay(text)),
        tool(text, name="edit", display=DiffDisplay(text, diff, created=True)),
        tool(text, display=CommandDisplay(text, text, 1, full_output=text), is_error=True),
        tool(text, display=TodoDisplay((TodoItem(text, "in_progress"),))),
        Remark("warning", text),
        Trouble(failure),
        Decided(text, text, text, "always", text, text),
        Decided(text, text, text, "deny", text),
        FanOut((row, row), row.usage, None, 3.0, text, 0.5),
        RunEnd("error", 1, 2, 0.5, 3),
    ]


def everything_live(text: str, look: Look) -> list[str]:
    """The live region, the status line and `/agents` with `text` in every place."""
    who, painter, screen = "main/scout-1", Painter(look), Screen(price)
    story = Story().tell(asked(text), StateChanged(state="running"), CallStarted(call=1, model=BIG), TextDelta(text=text))
    story.tell(Notice(level="warning", text=text), ToolStarted(call_id="c", name=text, title=text, arguments="{}"))
    story.tell(ToolOutput(call_id="c", text=text), approval(detail=text, title=text, reason=text, rule=text, touches=(text,)))
    story.tell(spawned("scout-1", ModelUse(text, text, "pin"), label=text, note=text, prompt=text), agent=who)
    story.tell(ToolStarted(call_id="w", name=text, title=text, arguments="{}"), Notice(level="error", text=text), agent=who)
    for envelope in story.envelopes:
        screen.feed(envelope)
    screen.queue(text, "steer")
    lines = [*live_lines(screen, NOW, 300, 60, painter), status_line(screen, painter, 300, text)]
    screen.feed(Story().tell(CallStarted(call=2, model=BIG), ThinkingDelta(text=text)).envelopes[1])
    lines += live_lines(screen, NOW, 300, 60, painter)
    rows = [AgentRow(text, text, text, None, ModelUse(text, text, "pin")), AgentRow(text, text, text, None, None, problem=text)]
    workers = list(screen.crew.workers.values())
    return [*lines, *agents_lines(rows, workers, NOW, 300, painter), *worker_lines(workers[0], NOW, 300, painter)]


def cases(shared: Path) -> list[dict[str, str]]:
    lines = (shared / "cases" / "ansi_cases.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def harmless(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert {code for match in SGR.finditer(text) for code in match[1].split(";")} <= OURS
    assert CONTROL.search(SGR.sub("", text).replace("\n", "")) is None
    text.encode()


@pytest.mark.parametrize("look", LOOKS)
def test_no_control_byte_of_any_known_sequence_is_drawn_anywhere(look: Look, shared: Path) -> None:
    painter = Painter(look)
    known = cases(shared)
    assert len(known) > 30
    for case in known:
        text = case["input"].replace("|SPLIT|", "")
        for item in every_item(text):
            harmless(item_lines(item, painter, 300))
            harmless(whole_lines(item, painter, 300))
        harmless(everything_live(text, look))


def test_what_stands_before_and_after_a_hostile_sequence_stays_readable(shared: Path) -> None:
    """In the kinds that show all of a text; a heading or a folded result shows only its start."""
    for case in cases(shared):
        text = case["input"].replace("|SPLIT|", "")
        for item in (Said(text), UserSaid(text), Remark("info", text), tool(text, is_error=True), Trouble(Failure("x", text)), tool(text)):
            shown = "\n".join(whole_lines(item, Painter("mono"), 300))
            assert "before" in shown, (case["id"], type(item))
            assert "after" in shown, (case["id"], type(item))


def test_an_answer_that_comes_in_pieces_is_as_harmless(shared: Path) -> None:
    for case in cases(shared):
        screen = Screen()
        text = case["input"].replace("|SPLIT|", "")
        story = Story().tell(CallStarted(call=1, model=BIG), *(TextDelta(text=char) for char in text))
        for envelope in story.envelopes:
            screen.feed(envelope)
            harmless(live_lines(screen, NOW, 80, 10, Painter("colour")))


def test_output_of_a_command_keeps_its_columns_and_a_long_line_goes_on_below() -> None:
    output = "name      size\na\t\t1\n" + "x" * 100
    shown = drawn(tool(output, display=CommandDisplay("ls", output, 0)), 60)
    assert shown[1:] == ["  ⎿ name      size", "    a               1", f"    {'x' * 56}", f"    {'x' * 44}"]


@pytest.mark.parametrize(("lines", "told"), [(5, ""), (6, ""), (7, "  ⎿ … +2 earlier lines (Ctrl+O)")])
def test_no_single_line_is_folded_away(lines: int, told: str) -> None:
    output = "\n".join(map(str, range(lines)))
    shown = drawn(tool(output, display=CommandDisplay("seq", output, 0)))
    assert shown[1:] == (
        [told, "    2", *[f"    {number}" for number in range(3, 7)]] if told else ["  ⎿ 0", *[f"    {at}" for at in range(1, lines)]]
    )


def test_what_the_model_was_told_of_a_shell_command_shows_its_start_when_a_session_is_resumed() -> None:
    note = UserSaid("The person ran this (exit code 0):\n$ ls -la\ntotal  3\na   b\nc   d", "system")
    assert drawn(note) == ["· The person ran this (exit code 0):", "  $ ls -la", "  … +3 lines (Ctrl+O)"]
    assert folds(note)
    assert whole_lines(note, Painter("mono"), 80)[-2:] == ["a   b", "c   d"]


def test_an_error_is_read_whole_at_any_width() -> None:
    words = "The arguments of bash are not valid JSON, nothing was done; send the call again."
    shown = drawn(tool(words, is_error=True), 40)
    assert " ".join(line[4:] for line in shown[1:]) == words
    assert "…" in "".join(drawn(tool("y" * 5_000, is_error=True), 80))


def test_what_is_unfolded_begins_with_the_whole_command() -> None:
    command = "for name in *; do\n  wc -l $name\ndone"
    lines = whole_lines(tool("1\n2", title="for name in *; do wc -l $name do…", display=CommandDisplay(command, "1\n2", 0)), Painter("mono"), 60)
    assert lines == ["● bash for name in *; do", "         wc -l $name", "       done", "  ⎿ 1", "    2"]


MARKUP = ["[bold]loud[/bold]", "[/].py", "[red]", "[link=http://x]y[/link]", ":smile:", "{0} %s {x}", "<div>Vec<T></div>", "&lt;"]


@pytest.mark.parametrize("text", MARKUP)
def test_markup_of_any_kind_shows_as_it_is(text: str) -> None:
    code = Said(f"```\n{text}\n```")
    for item in (UserSaid(text), tool(text, is_error=True), tool("x", title=text), Remark("info", text), Trouble(Failure("x", text)), code):
        assert text in "\n".join(drawn(item)), type(item)
    if not text.startswith(("&", "[link")):
        assert drawn(Said(f"see {text} here")) == [f"see {text} here"]


TEXTS = st.text(st.sampled_from("ab \t\n*`#|[]()_>-1.日本e\u0301\u200d👩💻\u0627\x1b\x07\u202e~<&\\"), max_size=80)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.sampled_from([40, 41, 80, 137, 300]), st.sampled_from(LOOKS))
def test_no_text_makes_a_line_too_wide_or_acts_on_the_terminal(text: str, width: int, look: Look) -> None:
    painter = Painter(look)
    for item in every_item(text):
        lines = [*item_lines(item, painter, width), *whole_lines(item, painter, width)]
        assert max((cells(SGR.sub("", line)) for line in lines), default=0) <= width, (type(item), lines)
        harmless(lines)


# --- markdown ---


def test_markdown_leaves_nothing_out() -> None:
    text = "See [the **docs**](https://x.org/a) and <https://x.org>, ![a chart](c.png), Vec<T>, <kbd>Esc</kbd> &amp; ~~old~~ `code`"
    assert markdown_lines(text, Painter("mono"), 200) == [
        "See the docs (https://x.org/a) and https://x.org, [image: a chart] (c.png), Vec<T>, <kbd>Esc</kbd> & old code"
    ]


def test_line_breaks_of_a_paragraph_stay() -> None:
    assert markdown_lines("one\ntwo  \nthree", Painter("mono"), 80) == ["one", "two", "three"]


def test_lists_have_their_marks_and_the_text_of_an_item_stands_under_its_start() -> None:
    text = "- a\n- b is long enough to be wrapped here\n  1. inner\n     more\n\n9. nine\n10. ten"
    assert markdown_lines(text, Painter("mono"), 24) == [
        "• a",
        "• b is long enough to be",
        "  wrapped here",
        "  1. inner",
        "     more",
        "",
        " 9. nine",
        "10. ten",
    ]


def test_code_keeps_every_blank_and_is_cut_at_the_edge_not_at_words() -> None:
    code = "```py\nif x:\n\treturn  1\n\n    # a comment that is longer than the window\n```"
    assert markdown_lines(code, Painter("mono"), 30) == [
        "  if x:",
        "      return  1",
        "",
        "      # a comment that is long",
        "  er than the window",
    ]


def test_code_is_coloured_where_the_language_is_known_and_left_alone_where_not() -> None:
    known, unknown = (markdown_lines(f"```{name}\nimport os\n```", Painter("colour"), 80) for name in ("python", "no-such-language"))
    assert SGR.search(known[0])
    assert unknown == ["  import os"]


def test_a_table_that_has_no_room_is_shown_as_names_and_values() -> None:
    text = "| model | what it is good for | price |\n|---|---|---|\n| `a/tiny` | looking around, in extraordinarily many workers | 1 |\n| b/big | edits | 9 |"
    assert markdown_lines(text, Painter("mono"), 24) == [
        "model: a/tiny", "what it is good for:", "looking around, in", "extraordinarily many", "workers", "price: 1", "",
        "model: b/big", "what it is good for:", "edits", "price: 9",
    ]  # fmt: skip
    assert markdown_lines(text, Painter("mono"), 40) == [
        "model    what it is good for       price",
        "────────────────────────────────────────",
        "a/tiny   looking around, in        1",
        "         extraordinarily many",
        "         workers",
        "b/big    edits                     9",
    ]


WORDS = st.text("ab日é-", min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.lists(WORDS, max_size=4).map(" ".join), min_size=3, max_size=3), min_size=2, max_size=4), st.integers(20, 120))
def test_no_word_of_a_table_is_lost_at_any_width(rows: list[list[str]], width: int) -> None:
    text = "\n".join([f"| {' | '.join(rows[0])} |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows[1:])])
    lines = markdown_lines(text, Painter("mono"), width)
    assert all(cells(line) <= width for line in lines)
    shown = Counter(char for line in lines for char in line)
    wanted = Counter(char for row in (rows if "─" in shown else rows[1:]) for cell in row for char in cell)
    assert all(shown[char] >= count for char, count in wanted.items() if char != " ")


def test_a_quote_and_a_rule() -> None:
    assert markdown_lines("> quoted\n> text", Painter("mono"), 80) == ["▌ quoted", "▌ text"]
    assert markdown_lines("---", Painter("mono"), 80) == ["─" * 40]


def test_no_line_ends_in_blanks_so_that_a_narrower_window_reflows_nothing() -> None:
    for look in LOOKS:
        for line in markdown_lines("# Head\n\n- item\n\n| a |\n|---|\n| b |\n\n```\ncode\n```\n\n> q", Painter(look), 80):
            assert SGR.sub("", line) == SGR.sub("", line).rstrip()


def test_links_never_become_escape_sequences() -> None:
    assert "\x1b]" not in "".join(markdown_lines("[a](http://x) http://y <http://z>", Painter("colour"), 80))


# --- calls ---


def test_a_result_of_one_line_is_shown_and_a_longer_one_is_its_size() -> None:
    assert drawn(tool("a.py", name="glob", title="*.py")) == ["● glob *.py", "  ⎿ a.py"]
    assert drawn(tool("a\nb\nc", name="glob", title="*.py")) == ["● glob *.py", "  ⎿ 3 lines (Ctrl+O)"]


def test_a_tools_own_words_stand_for_its_result() -> None:
    run = tool("1\tx\n2\ty", name="read", title="a.py", display=TextDisplay("2 lines"))
    assert drawn(run) == ["● read a.py", "  ⎿ 2 lines (Ctrl+O)"]
    assert whole_lines(run, Painter("mono"), 80) == ["● read a.py", "  ⎿ 1       x", "    2       y"]


def test_a_commands_end_is_shown_with_what_is_left_out_and_its_exit_code() -> None:
    output = "\n".join(f"line {number}" for number in range(1, 9))
    run = tool(output, title="make", display=CommandDisplay("make", output, 2), is_error=True, duration_ms=65_000)
    assert drawn(run) == [
        "● bash make  1 min 5 s",
        "  ⎿ … +3 earlier lines (Ctrl+O)",
        *(f"    line {number}" for number in range(4, 9)),
        "    exit code 2",
    ]


@pytest.mark.parametrize(
    ("display", "last"),
    [
        (CommandDisplay("x", "", 0), "  ⎿ (no output)"),
        (CommandDisplay("x", "", None, timed_out=True), "  ⎿ ended: not done within its time"),
        (CommandDisplay("x", "", None), "  ⎿ ended before it was done"),
        (CommandDisplay("x", "", 3), "  ⎿ exit code 3"),
    ],
)
def test_how_a_command_ended(display: CommandDisplay, last: str) -> None:
    assert drawn(tool("", display=display))[-1] == last


def test_the_whole_of_a_cut_output_names_its_file() -> None:
    run = tool("x", display=CommandDisplay("x", "tail", 0, full_output="/tmp/out.txt"))
    assert whole_lines(run, Painter("mono"), 80)[-1] == "    all of it is in /tmp/out.txt"


def test_a_diff_has_line_numbers_signs_and_counts_and_a_long_one_is_cut() -> None:
    many = "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1,100 @@\n" + "".join(f"+line {number}\n" for number in range(100))
    lines = drawn(tool("Created.", name="write", title="new.py", display=DiffDisplay("new.py", many, created=True)))
    assert lines[0] == "● write new.py  +100 -0 (new file)"
    assert lines[1:3] == ["  ⎿  1 + line 0", "     2 + line 1"]
    assert lines[-1] == "    … +63 lines (Ctrl+O)"
    assert len(whole_lines(tool("", display=DiffDisplay("new.py", many)), Painter("mono"), 80)) == 101


def test_a_tools_own_count_stands_where_its_diff_was_cut() -> None:
    assert drawn(tool("", name="edit", title="a.py", display=DiffDisplay("a.py", DIFF), added=900, removed=7))[0] == "● edit a.py  +900 -7"


def test_added_lines_are_green_and_removed_ones_red() -> None:
    lines = diff_lines(DIFF.splitlines(), Painter("colour"), 80)
    assert [line for line in lines if "check(" in line] == ["\x1b[2m12 \x1b[0m\x1b[32m+         check(self._file.read(4))\x1b[0m"]
    assert [line for line in lines if "seek(" in line] == ["\x1b[2m12 \x1b[0m\x1b[31m-         self._file.seek(4)\x1b[0m"]


def test_hunks_are_parted_and_a_long_line_goes_on_below() -> None:
    text = "@@ -1,1 +1,1 @@\n-abcdefghij\n@@ -50,1 +50,1 @@\n+x\n\\ No newline at end of file"
    lines = [" 1 - abcdefg", "     hij", "   …", "50 + x", "   … No newl", "     ine at", "     end of", "     file"]
    assert diff_lines(text.split("\n"), Painter("mono"), 12) == lines


def test_a_refused_call_says_so() -> None:
    assert drawn(tool("Not permitted: outside the workspace.", denied=True, is_error=True)) == [
        "● bash ls  not permitted",
        "  ⎿ Not permitted: outside the workspace.",
    ]


def test_a_long_title_is_one_line_that_ends_in_an_ellipsis() -> None:
    head = drawn(tool("x", title="echo " + "日本" * 40), 60)[0]
    assert (59 <= cells(head) <= 60, head[-1]) == (True, "…")


def test_what_folds_is_what_leaves_something_out() -> None:
    assert [folds(run) for run in (tool("one"), tool("one\ntwo"), tool("x" * 300), tool("a\nb", is_error=True))] == [False, True, True, False]
    assert folds(UserSaid("short")) is False
    assert folds(UserSaid("line\n" * 30)) is True


# --- the rest ---


def test_a_long_paste_is_cut_and_images_are_counted() -> None:
    lines = drawn(UserSaid("\n".join(f"line {number}" for number in range(25)), images=2))
    assert (lines[0], lines[19], lines[20]) == ("> line 0", "  line 19 [2 images]", "  … +5 lines (Ctrl+O)")


def test_a_workers_report_is_its_heading() -> None:
    report = UserSaid("--- Task 1 (scout · openai/gpt-4o-mini) [OK] ---\nfound\nit", "worker")
    assert drawn(report) == ["← Task 1 (scout · openai/gpt-4o-mini) [OK] (3 lines, Ctrl+O)"]
    assert whole_lines(report, Painter("mono"), 80)[1:] == ["--- Task 1 (scout · openai/gpt-4o-mini) [OK] ---", "found", "it"]


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (Decided("", "bash", "make", "once"), "✓ allowed once: bash make"),
        (Decided("scout-2", "bash", "make", "session", "", "bash(make)"), "✓ allowed for this session to scout-2: bash(make)"),
        (Decided("", "bash", "make", "always", "", "bash(make)"), "✓ always allowed: bash(make)"),
        (Decided("scout-2", "bash", "make", "deny", "not now"), "✗ refused for scout-2: bash make (not now)"),
        (Broke("length"), "⋯ cut off by the output limit"),
        (RunEnd("interrupted", 1, 1_200, None, 2_000), "■ interrupted · 1 turn · 1.2k tok · price unknown · 2.0 s"),
    ],
)
def test_one_line_items(item: Item, line: str) -> None:
    assert drawn(item) == [line]


def test_items_that_belong_together_stand_together() -> None:
    scroll = Scroll(Painter("mono"))
    items: list[Item] = [UserSaid("q"), tool("a"), tool("b"), Remark("info", "n"), Remark("info", "m"), Decided("", "x", "y", "once")]
    items += [tool("c"), Said("t"), Broke("error")]
    lines = [line for item in items for line in scroll.lines(item, 80)]
    assert lines == [
        "> q", "", "● bash ls", "  ⎿ a", "● bash ls", "  ⎿ b", "", "· n", "· m", "✓ allowed once: x y", "● bash ls", "  ⎿ c", "", "t", "⋯ cut off",
    ]  # fmt: skip


# --- rendering ---


def test_the_look_follows_the_terminal_and_the_flags() -> None:
    assert look_of(Terminal(term="xterm-256color")) == "colour"
    assert look_of(Terminal(term="xterm", no_color=True)) == "mono"
    assert look_of(Terminal(term="xterm", no_color=True), "always") == "colour"
    assert look_of(Terminal(term="xterm"), "never") == "mono"
    assert look_of(Terminal(term="dumb"), "always") == "plain"
    assert look_of(Terminal(term="xterm"), plain=True) == "plain"


def test_without_colour_no_escape_code_is_written() -> None:
    for look in ("mono", "plain"):
        for item in every_item("text"):
            assert "\x1b" not in "".join(drawn(item, look=look))


def test_lines_of_any_renderable() -> None:
    text = RichText.assemble(("bold", "bold"), " and 日本日本日本", "   ")
    assert to_lines(text, 12, "mono") == ["bold and", "日本日本日本"]
    assert to_lines(text, 80, "colour") == ["\x1b[1mbold\x1b[0m and 日本日本日本"]


@pytest.mark.parametrize("look", LOOKS)
def test_joined_emoji_count_as_what_a_terminal_may_draw_at_most(look: Look) -> None:
    """Rich counts such a family as two cells; a terminal that does not join them draws six, and would break the line."""
    family = "👨\u200d👩\u200d👧"
    text = f"{family * 10} and a \u65e5\u200d11111 word"
    for lines in (to_lines(RichText(text, "bold"), 40, look), drawn(Said(text), 40, look), drawn(Remark("info", text), 40, look)):
        assert all(cells(SGR.sub("", line)) <= 40 for line in lines)
        assert "".join(SGR.sub("", line).strip(" ·") for line in lines).count(family[0]) == 10


def test_a_row_that_was_drawn_before_is_not_drawn_again() -> None:
    painter, text = Painter("colour"), RichText("row", "red")
    assert painter.row(text, 10) is painter.row(RichText("row", "red"), 10)
    assert painter.row(RichText("row", "green"), 10) == "\x1b[32mrow\x1b[0m"


@pytest.mark.parametrize(
    ("text", "width", "cut", "fit"),
    [
        ("abcdef", 4, ["abcd", "ef"], "abc…"),
        ("日本語", 4, ["日本", "語"], "日… "),
        ("日本語", 3, ["日", "本", "語"], "日…"),
        ("e\u0301e\u0301e\u0301", 2, ["e\u0301e\u0301", "e\u0301"], "e\u0301…"),
        ("", 3, [""], "   "),
    ],
)
def test_widths_count_cells_not_characters(text: str, width: int, cut: list[str], fit: str) -> None:
    assert chopped(text, width) == cut
    assert fitted(text, width) == fit


def test_the_status_line_drops_what_matters_least() -> None:
    screen = Screen(price, lambda _: 100_000)
    story = Story().tell(asked("x"), approval())
    for envelope in story.envelopes:
        screen.feed(envelope)
    assert status_line(screen, Painter("mono"), 80, "main") == "no model yet · default · main"
    assert status_line(screen, Painter("mono"), 22, "main") == "no model yet · default"
    assert status_line(screen, Painter("mono"), 10, "main") == "no model …"


def test_a_question_of_a_worker_is_counted_where_the_agent_waits() -> None:
    screen = Screen()
    asks: ApprovalAsked = approval()
    for envelope in Story().tell(asked("x"), StateChanged(state="running"), asks).envelopes:
        screen.feed(envelope)
    assert live_lines(screen, screen.since or 0.0, 80, 5, Painter("plain")) == ["- waiting for you: 1 question · 0s"]


@pytest.mark.parametrize(("model", "said"), [("local/qwen", "starting the local model"), ("acme/big", "waiting for the model")])
def test_until_its_first_answer_a_local_model_is_said_to_start(model: str, said: str) -> None:
    screen, use = Screen(), ModelUse(model, model, "flag")
    run = (started(model=use), asked("x"), StateChanged(state="running"), CallStarted(call=1, model=use))
    for envelope in Story().tell(*run).envelopes:
        screen.feed(envelope)
    assert what_goes_on(screen, screen.since or 0.0) == said
    for envelope in Story().tell(answered("y", model=use), CallStarted(call=2, model=use)).envelopes:
        screen.feed(envelope)
    assert what_goes_on(screen, screen.since or 0.0) == "waiting for the model"

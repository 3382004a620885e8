"""Workers on standard error in one-shot mode: a live panel on a real terminal, lines elsewhere, and rich only where a panel is drawn."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pyte
import pytest
from support.envelopes import DOWN, Story
from support.screens import BIG, MINI, asked, ended, fan_out, fan_out_over, forty, opened, price, replied, spawned, streamed, worker_call
from support.streams import Memory

from agentcli.protocol.events import (
    CallStarted,
    Failure,
    Notice,
    RunFinished,
    StateChanged,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from agentcli.protocol.messages import Text, ToolResult
from agentcli.ui.printing import Sink, make_sink

COLUMNS, LINES = 100, 24


class Window:
    """A real terminal of a known size, and what stands on it."""

    def __init__(self, stream: TextIO, master: int) -> None:
        self.stream = stream
        self.raw = b""
        self._master = master
        self._screen = pyte.HistoryScreen(COLUMNS, LINES, history=500)
        self._bytes = pyte.ByteStream(self._screen)

    def read(self) -> list[str]:
        """The lines of the window without the empty ones at its end."""
        while select.select([self._master], [], [], 0.02)[0]:
            data = os.read(self._master, 65_536)
            self.raw += data
            self._bytes.feed(data)
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    def scrolled(self) -> list[str]:
        """Lines that left the window at its top."""
        self.read()
        return ["".join(line[column].data for column in range(COLUMNS)).rstrip() for line in self._screen.history.top]

    def everything(self) -> list[str]:
        shown = self.read()
        return [*self.scrolled(), *shown]

    def type(self, data: bytes) -> None:
        """As a person does; the terminal echoes it."""
        os.write(self._master, data)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    async def until(self, wanted: Callable[[list[str]], bool]) -> list[str]:
        """Waits until the window shows what is wanted, five seconds at most."""
        for _ in range(250):
            if wanted(self.read()):
                return self.read()
            await asyncio.sleep(0.02)
        raise AssertionError("\n".join(self.read()))


@contextmanager
def a_window() -> Iterator[Window]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    with os.fdopen(slave, "w") as stream:
        yield Window(stream, master)
    os.close(master)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setenv("TERM", "xterm-256color")
    with a_window() as made:
        yield made


def fed(sink: Sink, story: Story, since: int = 0) -> None:
    for envelope in story.envelopes[since:]:
        sink.feed(envelope)


def row_of(lines: list[str], name: str) -> str:
    return next((line for line in lines if f" {name} " in line), "")


# --- lines, where nobody watches ---


def test_without_a_terminal_each_change_of_a_workers_state_is_a_line() -> None:
    err = Memory()
    sink = make_sink("text", Memory(), err)
    story = Story().tell(opened(), asked("x"), ToolStarted(call_id="t1", name="parallel_task", title="2 tasks", arguments="{}"))
    story.tell(spawned("scout-1", label="Scout", note="the pin overrides the call"), StateChanged(state="queued"), agent="main/scout-1")
    story.tell(spawned("scout-2", background=True), StateChanged(state="queued"), agent="main/scout-2")
    story.tell(StateChanged(state="running"), agent="main/scout-1")
    worker_call(story, "scout-1", "grep", '"def main"', MINI)
    story.tell(StateChanged(state="waiting", detail="bash make"), StateChanged(state="running"), StateChanged(state="paused"), agent="main/scout-1")
    story.tell(StateChanged(state="running"), ended("scout-2", failure=DOWN), agent="main/scout-2")
    story.tell(ended("scout-1"), agent="main/scout-1")
    story.tell(ToolFinished(result=ToolResult("t1", "parallel_task", (Text("ok"),))), RunFinished(status="success", text="ok", turns=1))
    fed(sink, story)
    sink.finish()
    assert err.said.splitlines() == [
        "scout-1 openai/gpt-4o-mini (definition) running · Scout · the pin overrides the call",
        "scout-1 openai/gpt-4o-mini (definition) waiting for approval: bash make",
        "scout-1 openai/gpt-4o-mini (definition) running",
        "scout-1 openai/gpt-4o-mini (definition) paused",
        "scout-2 openai/gpt-4o-mini (definition) running · in the background",
        "scout-2 openai/gpt-4o-mini (definition) failed · 2 turns · 0 tok · $0 · 8.0 s: " + DOWN.line(),
        "scout-1 openai/gpt-4o-mini (definition) done · 2 turns · 4.2k tok · $0.002 · 8.0 s",
        "error: background worker main/scout-2 failed: acme answered 503: overloaded. Try again later, or use another model.",
    ]


def test_a_fan_out_ends_with_a_line_of_what_it_cost() -> None:
    err = Memory()
    sink = make_sink("text", Memory(), err)
    sink.progress.price = price
    fed(sink, fan_out_over())
    assert err.said.splitlines()[-1] == (
        "3 workers: 1 failed, 2 done · 12.4k tok · price unknown · 8s · the same tokens on acme/big-1:high would have cost $0.249"
    )


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(window: Window, term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    sink = make_sink("text", Memory(), window.stream)
    fed(sink, fan_out_over())
    sink.finish()
    lines = window.read()
    assert "scout-1 openai/gpt-4o-mini (definition) running" in lines
    assert b"\x1b" not in window.raw


@pytest.mark.parametrize(("verbosity", "said"), [("quiet", False), ("normal", True), ("verbose", True)])
def test_quiet_is_quiet_about_workers(verbosity: str, said: bool) -> None:
    err = Memory()
    sink = make_sink("text", Memory(), err, verbosity=verbosity)  # type: ignore[arg-type]
    fed(sink, fan_out_over())
    assert ("scout-1 openai/gpt-4o-mini (definition) running" in err.said) is said


# --- the panel ---


def test_a_panel_shows_workers_while_they_run_and_lines_stay_when_they_are_over(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", window.stream, window.stream, look="mono")
        story = fan_out(Story(at=time.time()).tell(opened(), asked("x")))
        fed(sink, story)
        lines = await window.until(lambda lines: "bash git diff" in row_of(lines, "review-1"))
        assert lines[:2] == ["Three workers will look.", "· parallel_task 3 tasks"]
        assert row_of(lines, "scout-2").startswith(("⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"))
        assert [line.split()[0] for line in lines[2:]][-1] == "3"
        at = len(story.envelopes)
        for name in ("scout-1", "scout-2", "review-1"):
            story.tell(ended(name), agent=f"main/{name}")
        story.tell(ToolFinished(result=ToolResult("t1", "parallel_task", (Text("ok"),))))
        streamed(story, "They found it.\nIn two places.")
        story.tell(RunFinished(status="success", text="x", turns=2))
        fed(sink, story, at)
        assert sink.finish() == 0

    asyncio.run(run())
    assert window.everything() == [
        "Three workers will look.",
        "· parallel_task 3 tasks",
        "✓ scout-1   openai/gpt-4o-mini (definition)  done  …scout-1 does.    2 turns  4.2k tok  $0.0021  8s",
        "✓ scout-2   openai/gpt-4o-mini (definition)  done  …scout-2 does.    2 turns  4.2k tok       $?  8s",
        "✓ review-1  openai/gpt-4o-mini (definition)  done  …review-1 does.   2 turns  4.2k tok  $0.0021  8s",
        "3 workers: 3 done · 12.4k tok · price unknown · 8s",
        "They found it.",
        "In two places.",
    ]
    assert b"\x1b[?25l" not in window.raw
    assert b"\x1b[?1049h" not in window.raw


def test_the_time_in_a_row_goes_on_while_nothing_happens(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", Memory(), window.stream, look="mono")
        fed(sink, fan_out(Story(at=time.time()).tell(opened())))
        await window.until(lambda lines: row_of(lines, "scout-1").endswith("  1s"))
        sink.finish()

    asyncio.run(run())
    assert row_of(window.read(), "scout-1") == ""


def test_forty_workers_fit_a_window_of_24_lines_and_nothing_scrolls_away(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", Memory(), window.stream, look="mono")
        fed(sink, forty(Story(at=time.time() - 5).tell(opened())))
        for _ in range(4):
            lines = await window.until(lambda lines: lines[-1].startswith("40 workers: "))
            await asyncio.sleep(0.2)
        assert len(lines) <= LINES
        assert lines[-2].startswith("+")
        assert row_of(lines, "review-18").startswith("?")
        assert [line for line in window.scrolled() if "review-" in line] == []
        sink.finish()

    asyncio.run(run())
    assert [line for line in window.everything() if "review-" in line] == []


def test_a_lower_window_gets_a_lower_panel(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", Memory(), window.stream, look="mono")
        fed(sink, forty(Story(at=time.time()).tell(opened())))
        await window.until(lambda lines: lines[-1].startswith("40 workers: "))
        sink.progress.hold()
        window.resize(60, 10)
        sink.progress.free()
        lines = await window.until(lambda lines: lines[-1].startswith("40 workers: "))
        assert len([line for line in lines if "review-" in line]) == 7
        sink.finish()

    asyncio.run(run())


def test_an_answer_that_comes_while_workers_run_in_the_background_is_not_torn_apart(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", window.stream, window.stream, look="mono")
        story = Story(at=time.time()).tell(opened(), asked("x"))
        story.tell(spawned("scout-1", background=True), StateChanged(state="running"), agent="main/scout-1")
        story.tell(CallStarted(call=1, model=BIG), TextDelta(text="Half a li"))
        fed(sink, story)
        await asyncio.sleep(0.5)
        assert window.read() == ["Half a li"]
        at = len(story.envelopes)
        story.tell(Notice(level="warning", text="something odd"))
        story.tell(TextDelta(text="ne, and the rest."))
        fed(sink, story, at)
        at = len(story.envelopes)
        await asyncio.sleep(0.3)
        assert window.read() == ["Half a li", "warning: something odd", "ne, and the rest."]
        story.tell(replied("Half a line, and the rest."))
        fed(sink, streamed(story, "More."), at)
        await window.until(lambda lines: "running" in row_of(lines, "scout-1"))
        at = len(story.envelopes)
        story.tell(ended("scout-1"), agent="main/scout-1")
        fed(sink, story.tell(RunFinished(status="success", text="x", turns=1)), at)
        assert sink.finish() == 0

    asyncio.run(run())
    lines = window.everything()
    assert [line for line in lines if "⠋" in line or "running" in line] == []
    assert lines[-3:] == [
        "More.",
        "✓ scout-1  openai/gpt-4o-mini (definition)  done  Do what scout-1 does.  2 turns  0 tok  $0  8s",
        "1 worker: 1 done · 0 tok · $0 · 8s",
    ]


def test_the_answer_goes_to_a_file_while_the_panel_is_on_the_terminal(window: Window, tmp_path: Path) -> None:
    """Rich's live display would swallow standard output unless told not to."""

    async def run() -> None:
        with (tmp_path / "answer").open("w") as out:
            sink = make_sink("stream-json", out, window.stream, look="mono")
            fed(sink, fan_out(Story(at=time.time()).tell(opened())))
            await window.until(lambda lines: row_of(lines, "scout-1") != "")
            assert (sys.stdout, sys.stderr) == streams
            assert (tmp_path / "answer").read_text().count("\n") >= 5
            sink.finish()

    streams = (sys.stdout, sys.stderr)
    asyncio.run(run())


def test_lines_that_others_say_stand_above_the_panel(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", Memory(), window.stream, look="mono")
        story = fan_out(Story(at=time.time()).tell(opened()))
        fed(sink, story)
        await window.until(lambda lines: row_of(lines, "scout-1") != "")
        at = len(story.envelopes)
        fed(sink, story.tell(Notice(level="warning", text="the disk is nearly full")), at)
        lines = await window.until(lambda lines: "warning: the disk is nearly full" in lines and row_of(lines, "scout-1") != "")
        assert lines.index("warning: the disk is nearly full") < lines.index(row_of(lines, "scout-1"))
        sink.finish()

    asyncio.run(run())


def test_an_interrupt_takes_the_panel_away_and_tells_why(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", window.stream, window.stream, look="colour")
        fed(sink, fan_out(Story(at=time.time()).tell(opened())))
        await window.until(lambda lines: row_of(lines, "scout-1") != "")
        assert sink.finish(Failure("interrupted", "interrupted.", 130)) == 130

    asyncio.run(run())
    assert window.read() == ["Three workers will look.", "· parallel_task 3 tasks", "error: interrupted."]


def test_what_is_typed_meanwhile_and_the_terminal_shows_leaves_nothing_of_the_panel(window: Window) -> None:
    async def run() -> None:
        sink = make_sink("text", window.stream, window.stream, look="mono")
        fed(sink, fan_out(Story(at=time.time()).tell(opened())))
        await window.until(lambda lines: row_of(lines, "scout-1") != "")
        window.type(b"half a line\x03")
        await window.until(lambda lines: "^C" in lines[-1])
        sink.finish(Failure("interrupted", "interrupted.", 130))

    asyncio.run(run())
    assert window.read() == ["Three workers will look.", "· parallel_task 3 tasks", "error: interrupted."]


def test_only_rows_that_changed_are_written_again(window: Window) -> None:
    """But for the spinner and the clock of those that run."""

    async def run() -> None:
        sink = make_sink("text", Memory(), window.stream, look="mono")
        fed(sink, forty(Story(at=time.time()).tell(opened())))
        await window.until(lambda lines: lines[-1].startswith("40 workers: "))
        before = len(window.raw)
        await asyncio.sleep(0.5)
        window.read()
        assert b"queued " not in window.raw[before:]
        assert b"review-19" in window.raw[before:]
        sink.finish()

    asyncio.run(run())


def test_without_a_running_loop_events_alone_redraw(window: Window) -> None:
    sink = make_sink("text", Memory(), window.stream, look="mono")
    fed(sink, fan_out(Story(at=time.time()).tell(opened())))
    assert row_of(window.read(), "scout-1") != ""
    sink.finish()
    assert row_of(window.read(), "scout-1") == ""


def test_no_colour_means_no_colour(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    sink = make_sink("text", Memory(), window.stream)
    fed(sink, fan_out(Story(at=time.time()).tell(opened())))
    assert row_of(window.read(), "scout-1") != ""
    assert b"m" not in {part[:1] for part in window.raw.split(b"\x1b[3")}
    sink.finish()


# --- what is loaded ---

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
from support.envelopes import short_run, troubled_run
from agentcli.ui.printing import make_sink
sink = make_sink("text", sys.stdout, sys.stderr)
for envelope in short_run() if sys.argv[1] == "none" else troubled_run():
    sink.feed(envelope)
sink.finish()
sys.exit(10 if "rich" in sys.modules else 20)
"""


@pytest.mark.parametrize(("workers", "watched", "code"), [("none", True, 20), ("some", False, 20), ("some", True, 10)])
def test_rich_is_loaded_only_for_workers_on_a_terminal(workers: str, watched: bool, code: int) -> None:
    """10: it was, 20: it was not."""
    support = str(Path(__file__).resolve().parents[1])
    with a_window() as window:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, workers, support],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=window.stream if watched else subprocess.PIPE,
            env={**os.environ, "TERM": "xterm"},
            timeout=60,
        )
        assert done.returncode == code, (window.read(), done.stderr)

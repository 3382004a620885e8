"""What the screen writes to a terminal, counted: differences only, one write an update, no full-screen erase."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentcli.protocol.events import CallStarted, StateChanged, TextDelta, ToolStarted
from agentcli.ui.face import Start
from agentcli.ui.repl import Repl
from agentcli.ui.screen import InlineScreen
from support.envelopes import Story
from support.screens import MINI, asked, opened, replied, spawned

UPDATES = 60


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 100, rows: int = 30) -> Iterator[Callable[[], bytes]]:
    """A pty as our own terminal; gives a function that takes what was written to it."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (rows, columns))
    os.set_blocking(master, False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(os.dup(slave), "w", encoding="utf-8") as out, os.fdopen(os.dup(slave), encoding="utf-8") as into:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stdin", into)
        yield lambda: _taken(master)
    os.close(slave)
    os.close(master)


def _taken(master: int) -> bytes:
    data = b""
    while True:
        try:
            piece = os.read(master, 65_536)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


async def showing(repl: Repl, screen: InlineScreen, steps: Callable[[], Iterator[None]]) -> None:
    """Runs the screen; each step is followed by one update."""
    repl.face = screen
    repl.opening = ""
    running = asyncio.create_task(screen.run())
    await screen.shown.wait()
    for _ in steps():
        screen.show()
        await asyncio.sleep(0)
    screen.leave()
    await running


def four_workers(story: Story) -> None:
    story.tell(opened(), asked("Look everywhere."), StateChanged(state="running"))
    story.tell(ToolStarted(call_id="t1", name="parallel_task", title="4 tasks", arguments="{}"))
    for number in range(1, 5):
        story.tell(spawned(f"scout-{number}"), StateChanged(state="running"), agent=f"main/scout-{number}")


def test_sixty_updates_of_four_workers_cost_less_than_ten_kilobytes_and_erase_nothing_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch) as taken:
        written: list[bytes] = []

        async def run() -> None:
            repl = Repl(Start(cwd=tmp_path))
            screen = InlineScreen(repl)
            story = Story(at=time.time())
            four_workers(story)

            def steps() -> Iterator[None]:
                for envelope in story.envelopes:
                    repl.feed(envelope)
                yield
                taken()
                for number in range(UPDATES):
                    who = f"main/scout-{number % 4 + 1}"
                    story.envelopes.clear()
                    story.tell(CallStarted(call=number, model=MINI), replied("", [], model=MINI, cost_usd=0.0004), agent=who)
                    story.tell(ToolStarted(call_id=f"c{number}", name="grep", title=f'"def main_{number}"', arguments="{}"), agent=who)
                    for envelope in story.envelopes:
                        repl.feed(envelope)
                    yield
                    written.append(taken())

            await showing(repl, screen, steps)

        asyncio.run(run())
        whole = b"".join(written)
        assert len(written) == UPDATES
        assert b"main_59" in whole
        assert 2_000 < len(whole) < 10_000, f"{len(whole)} bytes"
        assert b"\x1b[2J" not in whole
        assert b"\x1b[J" not in whole


def test_a_finished_block_and_what_is_below_it_leave_in_one_synchronized_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as taken:
        written: list[bytes] = []

        async def run() -> None:
            repl = Repl(Start(cwd=tmp_path))
            screen = InlineScreen(repl)
            story = Story(at=time.time()).tell(opened(), asked("Tell me."), StateChanged(state="running"), CallStarted(call=1, model=MINI))
            story.tell(TextDelta(text="The first paragraph.\n\nThe sec"), TextDelta(text="ond one.\n\n"))

            def steps() -> Iterator[None]:
                for envelope in story.envelopes:
                    repl.feed(envelope)
                    taken()
                    yield
                    written.append(taken())

            await showing(repl, screen, steps)

        asyncio.run(run())
        text = b"".join(written).decode()
        assert text.count("The first paragraph.") == 1
        assert [block.count("\x1b[?2026h") for block in (one.decode() for one in written) if "paragraph" in block or "second" in block] == [1, 1]
        for one in written:
            shown = re.sub(r"\x1b\[\?2026[hl]", "", one.decode())
            assert one.decode() in ("", f"\x1b[?2026h{shown}\x1b[?2026l")


def test_a_question_on_a_terminal_that_is_too_low_still_shows_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyte

    from support.screens import approval

    with terminal(monkeypatch, columns=60, rows=8) as taken:
        seen = pyte.Screen(60, 8)

        async def run() -> None:
            repl = Repl(Start(cwd=tmp_path))
            screen = InlineScreen(repl)
            story = Story(at=time.time())
            four_workers(story)
            story.tell(approval(), agent="main/scout-1")

            def steps() -> Iterator[None]:
                for envelope in story.envelopes:
                    repl.feed(envelope)
                yield
                pyte.ByteStream(seen).feed(taken())

            await showing(repl, screen, steps)

        asyncio.run(run())
        shown = "\n".join(seen.display)
        assert "n no, with a reason" in shown
        assert "too small" not in shown

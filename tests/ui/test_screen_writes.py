"""What the screen writes to a terminal, counted: differences only, one write an update, no full-screen erase."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest
from support.envelopes import Story
from support.inline import showing, terminal
from support.screens import MINI, asked, opened, replied, spawned

from agentcli.protocol.events import CallStarted, StateChanged, TextDelta, ToolStarted
from agentcli.ui.face import Start
from agentcli.ui.repl import Repl
from agentcli.ui.screen import ANIMATION_S, InlineScreen

UPDATES = 60


def four_workers(story: Story) -> None:
    story.tell(opened(), asked("Look everywhere."), StateChanged(state="running"))
    story.tell(ToolStarted(call_id="t1", name="parallel_task", title="4 tasks", arguments="{}"))
    for number in range(1, 5):
        story.tell(spawned(f"scout-{number}"), StateChanged(state="running"), agent=f"main/scout-{number}")


def one_call(story: Story, number: int) -> None:
    """A worker's next model call and the tool it asks for: at four updates a second, one of the four has one every second."""
    who = f"main/scout-{number % 4 + 1}"
    story.tell(CallStarted(call=number, model=MINI), replied("", [], model=MINI, cost_usd=0.0004), agent=who)
    story.tell(ToolStarted(call_id=f"c{number}", name="grep", title=f'"def main_{number}"', arguments="{}"), agent=who)


def test_sixty_updates_of_four_workers_cost_less_than_ten_kilobytes_and_erase_nothing_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as taken:
        written: list[bytes] = []
        seen = pyte.Screen(100, 30)
        stream = pyte.ByteStream(seen)

        async def run() -> None:
            repl = Repl(Start(cwd=tmp_path))
            story = Story(at=1_000.0)
            screen = InlineScreen(repl, clock=lambda: story.at)
            four_workers(story)

            def feed() -> None:
                for envelope in story.envelopes:
                    repl.feed(envelope)
                story.envelopes.clear()

            def steps() -> Iterator[None]:
                feed()
                yield
                stream.feed(taken(0.1))
                for number in range(UPDATES):
                    at = story.at
                    if number % 4 == 3:
                        one_call(story, number // 4)
                    feed()
                    story.at = at + ANIMATION_S
                    yield
                    written.append(taken())
                    stream.feed(written[-1])

                written.append(taken(0.1))
                stream.feed(written[-1])

            await showing(repl, screen, steps)

        asyncio.run(run())
        whole = b"".join(written)
        assert "main_14" in "\n".join(seen.display)
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
                    yield
                    written.append(taken(0.02))

            await showing(repl, screen, steps)

        asyncio.run(run())
        text = b"".join(written).decode()
        assert (text.count("The first paragraph."), text.count("The second one.")) == (1, 1)
        (block,) = [part for part in re.findall(r"\x1b\[\?2026h(.*?)\x1b\[\?2026l", text, re.DOTALL) if "The first paragraph." in part]
        assert "! shell" in block
        assert text.count("\x1b[?2026h") == text.count("\x1b[?2026l")


def test_a_question_on_a_terminal_that_is_too_low_still_shows_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.screens import approval

    monkeypatch.setattr("agentcli.ui.floor.READ_S", 0.0)
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
                yield
                pyte.ByteStream(seen).feed(taken(0.1))

            await showing(repl, screen, steps)

        asyncio.run(run())
        shown = "\n".join(seen.display)
        assert "n no, and why" in shown
        assert "too small" not in shown


class Broken(Repl):
    """A session with a bug in what Enter does."""

    def enter(self, text: str) -> None:
        raise RuntimeError(f"a bug with {text}")


def test_a_bug_in_a_key_ends_the_session_with_the_terminal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as taken:
        before = termios.tcgetattr(sys.stdin.fileno())

        async def run() -> None:
            repl = Broken(Start(cwd=tmp_path))
            screen = InlineScreen(repl)
            repl.face = screen
            running = asyncio.create_task(screen.run())
            await screen.shown.wait()
            assert termios.tcgetattr(sys.stdin.fileno()) != before
            os.write(taken.master, b"x\r")
            await running

        with pytest.raises(RuntimeError, match="a bug with x"):
            asyncio.run(run())
        assert termios.tcgetattr(sys.stdin.fileno()) == before
        written = taken(0.1)
        assert written.rindex(b"\x1b[?2004l") > written.rindex(b"\x1b[?2004h")
        assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l")

"""An `InlineScreen` of this process on a pty, and what it writes: for counting bytes and for screens whose every update a test chooses."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agentcli.ui.repl import Repl
from agentcli.ui.screen import InlineScreen


class Taken:
    """What was written to the pty since the last call; with a time, also what comes within it: a pty hands over a little later."""

    def __init__(self, master: int) -> None:
        self.master = master

    def __call__(self, seconds: float = 0.0) -> bytes:
        data = b""
        while select.select([self.master], [], [], seconds)[0]:
            data += os.read(self.master, 65_536)
        return data


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 100, rows: int = 30) -> Iterator[Taken]:
    """A pty as our own terminal."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (rows, columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(os.dup(slave), "w", encoding="utf-8") as out, os.fdopen(os.dup(slave), encoding="utf-8") as into:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stdin", into)
        yield Taken(master)
    os.close(slave)
    os.close(master)


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

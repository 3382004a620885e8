"""An `InlineScreen` of this process on a pty, and what it writes: for counting bytes and for screens whose every update a test chooses."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest

from agentcli.ui.face import Start
from agentcli.ui.repl import Repl
from agentcli.ui.screen import InlineScreen

MARK = b"\x1b[0;0;0;0m"
"""A reset of styles as nothing else writes it."""


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


class Reading:
    """Takes what is written to the pty in a thread of its own, for nobody else would while the screen writes."""

    def __init__(self, taken: Taken) -> None:
        self.raw = b""
        self._taken = taken
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Reading:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def so_far(self) -> bytes:
        """What was written by now: all that comes before a mark."""
        os.write(sys.stdout.fileno(), MARK)
        while MARK not in self.raw:
            time.sleep(0.005)
        return self.raw.partition(MARK)[0]

    def _read(self) -> None:
        while not self._over.is_set():
            self.raw += self._taken(0.01)
        self.raw += self._taken(0.02)


def written(
    folder: Path, columns: int, rows: int, play: Callable[[Repl], Iterator[None]], clock: Callable[[], float] = time.time
) -> tuple[bytes, bytes]:
    """What the screen of a session writes while `play` goes on, an update after each of its steps: until it leaves, and in all."""
    standing: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch, terminal(patch, columns, rows) as taken, Reading(taken) as reading:
        patch.setattr("agentcli.ui.floor.READ_S", 0.0)

        async def run() -> None:
            repl = Repl(Start(cwd=folder))
            screen = InlineScreen(repl, clock)

            def steps() -> Iterator[None]:
                yield from play(repl)
                standing.append(reading.so_far())

            await showing(repl, screen, steps)

        asyncio.run(run())
    return standing[0], reading.raw


def drawn(raw: bytes, columns: int, rows: int) -> tuple[list[str], list[str]]:
    """What a terminal of that size shows of it: lines that scrolled away, and the lines of its window."""
    seen = pyte.HistoryScreen(columns, rows, history=20_000)
    pyte.ByteStream(seen).feed(raw)
    gone = ["".join(line[column].data for column in range(columns)).rstrip() for line in seen.history.top]
    return gone, [line.rstrip() for line in seen.display]

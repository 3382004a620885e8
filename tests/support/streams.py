"""Standard streams for tests that need no process: in memory, a pipe, or a real terminal."""

from __future__ import annotations

import io
import os
import pty
import select
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO


class Memory(io.TextIOWrapper):
    """A text stream of a poor locale over bytes that a test can read."""

    def __init__(self) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding="ascii")

    @property
    def data(self) -> bytes:
        return self.raw_bytes.getvalue()

    @property
    def said(self) -> str:
        return self.data.decode()


@dataclass
class Terminal:
    """A real terminal: `stream` is what a program writes to, `read()` what reached the screen so far."""

    stream: TextIO
    master: int

    def read(self) -> str:
        pieces = []
        while select.select([self.master], [], [], 0.05)[0]:
            pieces.append(os.read(self.master, 65_536))
        return b"".join(pieces).decode()


@contextmanager
def terminal() -> Iterator[Terminal]:
    """A pty that passes bytes on as they are."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    with os.fdopen(slave, "w", encoding="ascii") as stream:
        yield Terminal(stream, master)
    os.close(master)

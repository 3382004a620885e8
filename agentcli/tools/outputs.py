"""What a command writes, as it comes: shown to the person a few times a second, kept for the model cut in the middle, and, where it was cut,
saved whole. Nothing here starts a process.
"""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from msgspec import Struct

from agentcli.protocol.errors import StorageError
from agentcli.protocol.text import Cleaner
from agentcli.protocol.tools import ToolContext
from agentcli.system import folders

SHOW_EVERY_S = 0.1
"""A person reads no faster, and each update costs every face something."""
SHOW_AT_MOST = 8_000
"""Characters of one update: of a flood only the end can be seen anyway."""
FILE_LIMIT = 64 * 1024 * 1024
"""Bytes saved of one output: a command gone wild must not fill the disk."""
LONGEST_KEY = 4_096
NOTE_ROOM = 500
"""Characters of the limit that are left to the notes."""


class Collected(Struct, frozen=True):
    """An output at its end. `text` is cleaned and cut; `file` holds the whole as the bytes that came, None where nothing was cut or saved."""

    text: str
    file: Path | None = None


class Output:
    """Takes an output piece by piece. Whoever made it calls `finish()` at the end, or `close()` where the end is not wanted."""

    def __init__(self, ctx: ToolContext) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._cleaner = Cleaner()
        self._live = _Live(ctx.show)
        self._whole = Saved(ctx)
        self._middle = _Cut(max(ctx.output_limit - NOTE_ROOM, 200))

    def take(self, piece: bytes) -> None:
        self._whole.add(piece)
        self._text(self._cleaner.feed(self._decoder.decode(piece)))

    def finish(self) -> Collected:
        self._text(self._cleaner.feed(self._decoder.decode(b"", final=True)) + self._cleaner.flush())
        self.close()
        if not self._middle.left_out:
            return Collected(self._middle.start)
        note = f"[{self._middle.left_out:,} characters left out here; {self._whole.note()}]"
        return Collected(f"{self._middle.start.rstrip()}\n\n{note}\n\n{self._middle.end.lstrip()}", self._whole.path)

    def close(self) -> None:
        self._live.flush()
        self._whole.close()

    def _text(self, text: str) -> None:
        self._live.add(text)
        self._middle.add(text)
        if self._middle.left_out:
            self._whole.save()


class _Cut:
    """The start and the end of a text. All of it is `start` while it fits; more of the end is kept, for that is where commands say how it went."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._end_room = limit * 2 // 3
        self.start = ""
        self.end = ""
        self.left_out = 0

    def add(self, text: str) -> None:
        if not self.left_out:
            self.start += text
            if len(self.start) <= self._limit:
                return
            room = self._limit - self._end_room
            self.start, text = self.start[:room], self.start[room:]
        self.end += text
        over = len(self.end) - self._end_room
        if over > 0:
            self.end = self.end[over:]
            self.left_out += over


class _Live:
    """Shows text at most ten times a second, of a flood the end."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._pending = ""
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, text: str) -> None:
        if not text:
            return
        self._pending += text
        if len(self._pending) > SHOW_AT_MOST:
            self._pending = "…\n" + self._pending[-SHOW_AT_MOST:]
        wait = self._last + SHOW_EVERY_S - monotonic()
        if wait <= 0:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            text, self._pending = self._pending, ""
            self._last = monotonic()
            self._show(text)


class Saved:
    """Bytes as they came: held while they may turn out short, in a file of `scratch` from `save()` on."""

    def __init__(self, ctx: ToolContext) -> None:
        self._ctx = ctx
        self._held = bytearray()
        self._file: BinaryIO | None = None
        self._size = 0
        self._pending = b""
        self._problem = ""
        self.path: Path | None = None

    def add(self, piece: bytes) -> None:
        if self._problem:
            return
        if self.path is None:
            self._held += piece
            return
        self._write(self._without_keys(piece))

    def save(self) -> None:
        if self.path is not None or self._problem:
            return
        try:
            self._file = self._created()
        except (StorageError, OSError) as error:
            self._problem = error.message if isinstance(error, StorageError) else str(error.strerror)
            return
        held, self._held = bytes(self._held), bytearray()
        self.add(held)

    def note(self) -> str:
        """Where the whole is, in words."""
        if self.path is None:
            return f"it could not be saved: {self._problem}"
        if self._problem:
            return f"the output up to there is in {self.path} ({self._problem})"
        return f"the whole output is in {self.path}: look at parts of it with grep or read"

    def close(self) -> None:
        if self._file is None:
            return
        self._write(self._pending)
        file, self._file = self._file, None
        try:
            file.close()
        except OSError as error:
            self._problem = self._problem or str(error.strerror)

    def _without_keys(self, piece: bytes) -> bytes:
        """What can be written so far: the last bytes are held back, for a key may begin in them. Keys are ASCII, so any bytes will do."""
        if self._ctx.redact is str:
            return piece
        text = self._ctx.redact((self._pending + piece).decode("latin-1")).encode("latin-1")
        at = max(len(text) - LONGEST_KEY, 0)
        self._pending = text[at:]
        return text[:at]

    def _created(self) -> BinaryIO:
        """A new file, numbered on where an earlier run of the session or another agent has written some."""
        folder = folders.ensure(self._ctx.scratch)
        agent = self._ctx.agent_id.replace("/", ".")
        for number in count(self._ctx.memory.outputs + 1):
            self._ctx.memory.outputs = number
            path = folder / f"output-{agent}-{number}.txt"
            try:
                made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            self.path = path
            return os.fdopen(made, "wb")
        raise AssertionError("count() has no end")

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            return
        room = FILE_LIMIT - self._size
        try:
            self._size += self._file.write(piece[:room])
            self._file.flush()
        except OSError as error:
            self._problem = str(error.strerror)
            return
        if len(piece) > room:
            self._problem = f"no more than {FILE_LIMIT // 1024 // 1024} MB are saved"

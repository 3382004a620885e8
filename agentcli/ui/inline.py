"""prompt_toolkit fitted to an inline screen: writes that are held together, and a resize that knows how the terminal moved the old lines.

Reaches into prompt_toolkit's renderer (3.0.52 and later), which has no public way for either.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output.vt100 import Vt100_Output

from agentcli.sdk.saved import variable
from agentcli.sdk.terminal import Terminal

SYNC_BEGIN, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized update: terminals that know it show what is between at once, others ignore it."""
UNCHANGED = "\x1b[?25l\x1b[?7l\x1b[?7h\x1b[?25h"
"""What is left of a redraw where nothing differs: the cursor hidden and shown again."""
RESET = "\x1b[0m"
_STYLE = re.compile(r"\x1b\[[\d;]*m")
_MOTION = re.compile(r"\x1b\[\d*[ABCD]|[\r\n\b]+|\x1b\[\?\d+[hl]")


class InlineOutput(Vt100_Output):
    """An output whose flushes can be held, so that an erase and what replaces it leave in one write. Asks for no cursor positions."""

    _holding = 0

    @property
    def responds_to_cpr(self) -> bool:
        return False

    def show_cursor(self) -> None:
        if not self._cursor_visible:
            self._cursor_visible = True
            self.write_raw("\x1b[?25h")

    def flush(self) -> None:
        if self._holding:
            return
        text = compact(self._buffer)
        self._buffer = [] if text == UNCHANGED else [text]
        super().flush()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            self.flush()


def compact(pieces: Iterable[str]) -> str:
    """The same to see in fewer bytes: a style is written only where it differs from the one in force and something is drawn in it.

    prompt_toolkit resets before every move and sets again after it; over sixty updates of a panel that is half of all bytes.
    """
    out: list[str] = []
    now: str | None = RESET
    wanted: str | None = None
    for piece in pieces:
        if _STYLE.fullmatch(piece):
            wanted = piece
            continue
        if not _MOTION.fullmatch(piece):
            if wanted is not None and wanted != now:
                out.append(wanted)
                now = wanted
            if "\x1b" in piece:
                now = wanted = None  # it may set styles of its own
        out.append(piece)
    if wanted is not None and wanted != now:
        out.append(wanted)
    return "".join(out)


def inline_output(term: str) -> InlineOutput:
    """An output to our terminal."""
    output = InlineOutput.from_pty(sys.stdout, term=term)
    assert isinstance(output, InlineOutput)
    return output


class InlineApplication(Application[None]):
    """An application that is erased rightly after the terminal changed its width."""

    reflow = True
    """Whether this terminal wraps lines anew when it gets narrower."""

    def _on_resize(self) -> None:
        renderer: Any = self.renderer
        output = self.output
        assert isinstance(output, InlineOutput)
        last, size = renderer._last_screen, renderer._last_size
        columns = output.get_size().columns
        if self.reflow and last is not None and size is not None and columns < size.columns:
            renderer._cursor_pos = wrapped_position(last, renderer._cursor_pos, columns)
        with output.held():
            output.write_raw(SYNC_BEGIN)
            renderer.erase(leave_alternate_screen=False)
            self._redraw()
            output.write_raw(SYNC_END)


def wrapped_position(screen: Screen, cursor: Point, columns: int) -> Point:
    """Where the cursor is, counted from the first row drawn, once rows longer than `columns` have been wrapped."""
    above = sum(_rows(screen, row, columns) for row in range(cursor.y))
    return Point(x=cursor.x % columns, y=above + cursor.x // columns)


def _rows(screen: Screen, row: int, columns: int) -> int:
    cells: dict[int, Any] = screen.data_buffer.get(row, {})
    width = max((column + char.width for column, char in cells.items() if char.char != " " or "reverse" in char.style), default=0)
    return max(1, -(-width // columns))


def reflows(facts: Terminal) -> bool:
    """Most terminals wrap anew; xterm, the Linux console and GNU screen cut."""
    if variable("XTERM_VERSION") or facts.term.startswith(("linux", "vt")):
        return False
    return not (facts.term.startswith("screen") and variable("STY"))

"""prompt_toolkit fitted to an inline screen: writes that are held together, and a resize that knows how the terminal moved the old lines.

Reaches into prompt_toolkit's renderer (3.0.52 and later), which has no public way for either.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point, Size
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output.vt100 import Vt100_Output

from agentcli.sdk.saved import variable

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

    def erase_down(self) -> None:
        """From the second column on, the first by itself: where everything is erased from the first cell of a window, tmux keeps it as history."""
        self.erase_end_of_line()
        self.cursor_forward(1)
        super().erase_down()
        self.cursor_backward(1)

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
    """An application that is erased rightly when the terminal changes its width, and drawn again once that has come to rest.

    A terminal is resized before we are told, tmux a quarter of a second before where changes follow one another: what is drawn meanwhile stands
    otherwise than we think, and erasing it would take finished lines along or leave remains. So nothing is drawn while the width changes.
    """

    reflow = True
    """Whether this terminal wraps lines anew when it gets narrower."""
    rest_s = 0.08
    """Seconds without news after which a width is taken to stay."""
    rested: Callable[[], None] | None = None
    """What draws everything again then."""
    _rest: asyncio.TimerHandle | None = None

    @property
    def resting(self) -> bool:
        """Whether the width has just changed, so that nothing may be drawn now. Notices a change of which no signal came yet."""
        if self._rest is None and self._size_changed():
            self._on_resize()
        return self._rest is not None

    def _size_changed(self) -> bool:
        size = self._drawn_size
        return size is not None and size != self.output.get_size()

    @property
    def _drawn_size(self) -> Size | None:
        renderer: Any = self.renderer
        size: Size | None = renderer._last_size
        return size

    def _redraw(self, render_as_done: bool = False) -> None:
        if render_as_done or not self._is_running or not self.resting:
            super()._redraw(render_as_done)

    def _on_resize(self) -> None:
        renderer: Any = self.renderer
        output = self.output
        assert isinstance(output, InlineOutput)
        last, size, columns = renderer._last_screen, self._drawn_size, output.get_size().columns
        if self.reflow and last is not None and size is not None and columns < size.columns:
            renderer._cursor_pos = wrapped_position(last, renderer._cursor_pos, columns)
        with output.held():
            output.write_raw(SYNC_BEGIN)
            renderer.erase(leave_alternate_screen=False)
            if self._rest is not None or (size is not None and columns != size.columns):
                self._begin_rest()
            else:
                self._redraw()
            output.write_raw(SYNC_END)

    def _begin_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(self.rest_s, self._end_rest)

    def _end_rest(self) -> None:
        self._rest = None
        if self.rested is not None and self._is_running:
            self.rested()


def wrapped_position(screen: Screen, cursor: Point, columns: int) -> Point:
    """Where the cursor is, counted from the first row drawn, once rows longer than `columns` have been wrapped."""
    above = sum(_wrapped(screen, row, columns).y + 1 for row in range(cursor.y))
    at = _wrapped(screen, cursor.y, columns, cursor.x)
    return Point(x=at.x, y=above + at.y)


def _wrapped(screen: Screen, row: int, columns: int, until: int | None = None) -> Point:
    """Where a row's last cell, or the one at `until`, comes to stand. What is two cells wide is never cut in halves."""
    cells: dict[int, Any] = screen.data_buffer.get(row, {})
    seen = [(column, char.width) for column, char in sorted(cells.items()) if char.width and (char.char != " " or "reverse" in char.style)]
    wide = [column for column, width in seen if width > 1]
    end = until if until is not None else max((column + width - 1 for column, width in seen), default=0)
    shift = 0
    for column in wide:
        if column <= end and (column + shift) % columns == columns - 1:
            shift += 1
    return Point(x=(end + shift) % columns, y=(end + shift) // columns)


def rest_of() -> float:
    """How long a width must stay to be believed: tmux tells of the second and every further change up to 250 ms late."""
    return 0.3 if variable("TMUX") else 0.08

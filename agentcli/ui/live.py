"""The workers' panel of one-shot mode: on standard error, below what was written there, rows of rich texts of which only the changed are written.

One thread only: it is drawn between events and by a timer of the running loop. The cursor stays visible, on a line of its own below the rows:
there a terminal shows the ^C that a person types, and a process that dies in the middle leaves the terminal usable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import zip_longest

from agentcli.protocol.text import cells
from agentcli.sdk.terminal import terminal
from agentcli.ui.items import FanOut
from agentcli.ui.look import Look, reflows
from agentcli.ui.output import Output
from agentcli.ui.panel import final, panel
from agentcli.ui.render import Painter
from agentcli.ui.workers import Crew

TICK_S = 0.2
"""Seconds between two redraws: five a second."""
ERASE_DOWN = "\x1b[K\x1b[C\x1b[J\r"
"""In two steps: where everything is erased from the first cell of a window, tmux keeps it as history."""
MOST_ENDED = 50
"""Rows that stay of a fan-out that is over; the rest is counted."""


class LivePanel:
    """Shows the crew's current fan-outs while workers of them run. `clock` gives Unix seconds."""

    def __init__(self, err: Output, look: Look, crew: Crew, clock: Callable[[], float] = time.time) -> None:
        self._err = err
        self._look = look
        self._crew = crew
        self._clock = clock
        self._painter = Painter(look)
        self._reflows = reflows(terminal())
        self._rows: list[tuple[str, int]] = []
        """What stands there: each row and its cells; and for how many columns it was drawn."""
        self._columns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        self._held = False
        self._closed = False

    def changed(self) -> None:
        """Something happened: draws it now, or soon where the last redraw was just now."""
        if self._closed or self._held:
            return
        if not self._crew.alive:
            self.hide()
            return
        ticking = self._timer is not None or self._schedule()
        if not ticking or not self._rows:
            self._draw_if_due()

    def hide(self) -> None:
        """Takes the panel off the screen; the next redraw puts it back below what was written meanwhile."""
        if self._rows:
            self._err.text(f"{self._to_the_top()}{ERASE_DOWN}")
            self._rows = []

    def hold(self) -> None:
        self._held = True
        self.hide()

    def free(self) -> None:
        self._held = False
        self.changed()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.hide()

    def ended(self, fan_out: FanOut) -> list[str]:
        """The lines that stay of a fan-out."""
        width = self._err.size()[0] - 1
        return [row for text in final(fan_out, width, self._look, MOST_ENDED) for row in self._painter.lines(text, width)]

    def _schedule(self) -> bool:
        """False where no loop runs: then events alone redraw."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._timer = loop.call_later(TICK_S, self._tick)
        return True

    def _tick(self) -> None:
        self._timer = None
        if self._closed or not self._crew.alive:
            return self.hide()
        self._schedule()
        if not self._held:
            self._draw()
        return None

    def _draw_if_due(self) -> None:
        if self._clock() - self._drawn_at >= TICK_S:
            self._draw()

    def _draw(self) -> None:
        now = self._clock()
        self._drawn_at = now
        columns, lines = self._err.size()
        width, height = max(20, columns - 1), max(2, lines - 1)
        texts = panel([worker.facts() for worker in self._crew.current], now, width, height, self._look)
        rows = [(self._painter.row(text, width), cells(text.plain)) for text in texts]
        if len(rows) < len(self._rows) or columns != self._columns:
            self.hide()
        out = self._to_the_top() if self._rows else ""
        for row, known in zip_longest(rows, self._rows):
            out += "\n" if row == known else f"\x1b[2K{row[0]}\n"
        self._rows, self._columns = rows, columns
        self._err.text(out)

    def _to_the_top(self) -> str:
        """From the line below the rows to the first of them. A terminal that got narrower has wrapped them."""
        columns = self._err.size()[0]
        narrower = self._reflows and columns < self._columns
        return f"\r\x1b[{sum(max(1, -(-width // columns)) if narrower else 1 for _, width in self._rows)}A"

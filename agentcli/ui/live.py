"""The workers' panel of one-shot mode: rich's live display on standard error, below what was written there.

One thread only: it is drawn between events and by a timer of the running loop. The cursor stays visible and every row ends before the last
column, so that a process that dies in the middle leaves the terminal usable.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from typing import IO, cast

from rich.console import Console
from rich.live import Live
from rich.text import Text

from agentcli.ui.look import Look
from agentcli.ui.output import Output
from agentcli.ui.panel import panel
from agentcli.ui.workers import Crew

TICK_S = 0.2
"""Seconds between two redraws: five a second."""


class _Written(io.TextIOBase):
    """Rich's file: an `Output`, which never raises."""

    encoding = "utf-8"

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, text: str, /) -> int:
        self._output.text(text)
        return len(text)

    def isatty(self) -> bool:
        return True


class _Console(Console):
    """Leaves the cursor alone: nobody would show it again after a crash."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class LivePanel:
    """Shows the crew's current fan-outs while workers of them run. `clock` gives Unix seconds."""

    def __init__(self, err: Output, look: Look, crew: Crew, clock: Callable[[], float] = time.time) -> None:
        self._err = err
        self._look = look
        self._crew = crew
        self._clock = clock
        self._console = _Console(
            file=cast("IO[str]", _Written(err)),
            force_terminal=True,
            color_system="standard" if look == "colour" else None,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
            _environ={},
        )
        self._live: Live | None = None
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
        if not ticking or self._live is None:
            self._draw_if_due()

    def hide(self) -> None:
        """Takes the panel off the screen; the next redraw puts it back below what was written meanwhile."""
        if self._live is not None:
            self._live.stop()
            self._live = None

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
        rows = panel([worker.facts() for worker in self._crew.current], now, width, height, self._look)
        text = Text("\n").join(rows)
        text.no_wrap, text.overflow = True, "crop"
        self._console.size = (columns, lines)
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start()
        self._live.update(text, refresh=True)

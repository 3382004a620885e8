"""From what a `Repl` has to show to lines of text at a width. Loads rich; who shows the lines is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from agentcli.protocol.text import cells, clean, one_line
from agentcli.ui.amounts import clock, megabytes
from agentcli.ui.blocks import Scroll, whole_lines
from agentcli.ui.face import Drawn, Printed, Told, Whole
from agentcli.ui.items import Running
from agentcli.ui.lines import LEAD, Line
from agentcli.ui.look import Look
from agentcli.ui.panel import SPINNER
from agentcli.ui.region import live_lines
from agentcli.ui.render import BAD, CAREFUL, DIM, GOOD, NAME, STRONG, Painter, assembled
from agentcli.ui.status import status_line

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

STYLES = {"dim": DIM, "bold": STRONG, "title": STRONG, "key": NAME, "warn": CAREFUL, "bad": BAD, "good": GOOD}
SHELL_LINES = 6
LEAST_LAST = 20
"""Cells that a table's last column needs beside the others; where there are fewer, it goes below them."""


class Drawing:
    """One look, one scroll of finished things."""

    def __init__(self, look: Look) -> None:
        self.painter = Painter(look)
        self._scroll = Scroll(self.painter)

    def printed(self, things: Sequence[Printed], columns: int) -> list[str]:
        """Finished things as lines of at most `columns` cells."""
        out: list[str] = []
        for thing in things:
            match thing:
                case Told(lines=lines, close=close):
                    out += [*([] if close else [""]), *(row for line in lines for row in self._told(line, columns))]
                    self._scroll.other()
                case Drawn(draw=draw):
                    out += ["", *draw(self.painter, columns)]
                    self._scroll.other()
                case Whole(item=item):
                    out += ["", *whole_lines(item, self.painter, columns)]
                case item:
                    out += self._scroll.lines(item, columns)
        return out

    def _told(self, line: Line, columns: int) -> list[str]:
        pieces = [(clean(text), STYLES.get(style, "")) for style, text in line]
        if not line or line[0][0] != LEAD:
            return self.painter.hang(Text(), assembled(*pieces), columns)
        lead, body = Text(pieces[0][0]), assembled(*pieces[1:])
        if cells(lead.plain) + LEAST_LAST <= columns:
            return self.painter.hang(lead, body, columns)
        return [self.painter.row(Text(lead.plain.rstrip()), columns), *(self.painter.hang(Text("    "), body, columns) if body else [])]

    def live(self, repl: Repl, now: float, width: int, height: int) -> list[str]:
        """What goes on, in at most `height` lines."""
        own = [*self._shell(repl, now, width), *self._download(repl.download, width)][-max(0, height) :]
        lines = live_lines(repl.state, now, width, height - len(own), self.painter) if height > len(own) else []
        return [*own, *lines]

    def _shell(self, repl: Repl, now: float, width: int) -> list[str]:
        if repl.shell is None:
            return []
        shell = repl.shell
        running = Running("", "!", shell.line, shell.since)
        head = assembled((f"{SPINNER[int(now * 10) % len(SPINNER)]} ", NAME), ("! ", STRONG), one_line(running.title, max(8, width - 12)))
        head.append(f"  {clock(max(0.0, now - shell.since))}", DIM)
        shown = [line for line in shell.output.split("\n") if line.strip()][-SHELL_LINES:]
        return [self.painter.row(head, width), *(self.painter.printed(line, width, "    ") for line in shown)]

    def _download(self, progress: Any, width: int) -> list[str]:
        if progress is None or progress.step == "done":
            return []
        share = f"{progress.done * 100 // max(1, progress.total)}%"
        text = f"{progress.step} {progress.name}: {megabytes(progress.done)} of {megabytes(progress.total)} ({share}) from {progress.source}"
        return [self.painter.row(Text(one_line(text, width), DIM), width)]

    def status(self, repl: Repl, width: int) -> str:
        return status_line(repl.state, self.painter, width, repl.branch)

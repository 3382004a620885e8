"""A unified diff as coloured lines with line numbers. Knows nothing of the tool that made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct
from rich.text import Text

from agentcli.ui.look import Look
from agentcli.ui.render import BAD, DIM, GOOD, Painter, chopped

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
STYLES = {"+": GOOD, "-": BAD, " ": "", "…": DIM}


class DiffLine(Struct, frozen=True):
    """`number` is the line's in the new file, in the old one where it was removed; 0 where it has none."""

    sign: Literal["+", "-", " ", "…"]
    number: int
    text: str


def parsed(lines: Iterable[str]) -> Iterator[DiffLine]:
    """The lines of one file's diff without its heads; between two hunks a line `…`."""
    old = new = 0
    begun = False
    for line in lines:
        if hunk := _HUNK.match(line):
            if begun:
                yield DiffLine("…", 0, "")
            old, new, begun = int(hunk[1]), int(hunk[2]), True
        elif not begun:
            continue
        elif line.startswith("+"):
            yield DiffLine("+", new, line[1:])
            new += 1
        elif line.startswith("-"):
            yield DiffLine("-", old, line[1:])
            old += 1
        elif line.startswith(("\\", "…")):
            yield DiffLine("…", 0, line.lstrip("\\… "))
        else:
            yield DiffLine(" ", new, line[1:])
            old, new = old + 1, new + 1


def counted(lines: Iterable[str]) -> tuple[int, int]:
    """Lines added and removed."""
    signs = [line.sign for line in parsed(lines)]
    return signs.count("+"), signs.count("-")


def diff_lines(lines: Iterable[str], painter: Painter, width: int) -> list[str]:
    """One line of output for each line of the diff, or several where it is longer than `width`."""
    rows = list(parsed(lines))
    gutter = max((len(str(row.number)) for row in rows), default=1)
    return [line for row in rows for line in _row(row, gutter, painter, width)]


def _row(row: DiffLine, gutter: int, painter: Painter, width: int) -> Iterator[str]:
    number = f"{row.number or '':>{gutter}} "
    if painter.look == "plain":
        number = _spoken(row)
    lead = f"{number}{row.sign} "
    room = max(1, width - len(lead))
    for index, piece in enumerate(chopped(row.text.expandtabs(4), room)):
        start = lead if index == 0 else " " * len(lead)
        yield painter.row(Text.assemble((start[: len(number)], DIM), (start[len(number) :] + piece, STYLES[row.sign])), width)


def _spoken(row: DiffLine) -> str:
    return f"{row.number} " if row.number else ""


def change(added: int, removed: int, look: Look) -> str:
    """`+3 -1`; in words for a screen reader."""
    return f"{added} added, {removed} removed" if look == "plain" else f"+{added} -{removed}"

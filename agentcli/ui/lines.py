"""Lines of styled text for what a face draws itself (pickers, questions, the status line): style names, no colours and no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentcli.protocol.text import cells, one_line

Piece = tuple[str, str]
"""A style's name and a text. Names: "" plain, dim, bold, key, title, warn, bad, good, chosen, typed."""
Line = list[Piece]
LEAD = "lead"
"""The style of a first piece under whose end the rest of its line is wrapped."""


def plain(line: Iterable[Piece]) -> str:
    """The text alone."""
    return "".join(text for _, text in line)


def width_of(line: Iterable[Piece]) -> int:
    return sum(cells(text) for _, text in line)


def cut(line: Iterable[Piece], width: int) -> Line:
    """The line within `width` cells, … at its end where it was longer."""
    pieces = list(line)
    if width_of(pieces) <= width:
        return pieces
    out: Line = []
    room = width - 1
    for style, text in pieces if width > 0 else ():
        kept = _head(text, room)
        room -= cells(kept)
        if kept != text:
            return [*out, (style, f"{kept}…")]
        out.append((style, text))
    return out


def _head(text: str, room: int) -> str:
    kept = 0
    for char in text:
        room -= cells(char)
        if room < 0:
            break
        kept += 1
    return text[:kept]


def wrapped(text: str, width: int) -> list[str]:
    """Text in rows of at most `width` cells, cut anywhere: for commands, where every character counts."""
    rows: list[str] = []
    for line in text.split("\n"):
        row, used = "", 0
        for char in line.expandtabs(4):
            size = cells(char)
            if used + size > width and row:
                rows.append(row)
                row, used = "", 0
            row += char
            used += size
        rows.append(row)
    return rows


def worded(text: str, width: int) -> list[str]:
    """Prose in rows of at most `width` cells, cut between words; a word that is longer than a row anywhere."""
    rows = [""]
    for word in text.split():
        for piece in wrapped(word, width):
            joined = f"{rows[-1]} {piece}" if rows[-1] else piece
            if cells(joined) <= width:
                rows[-1] = joined
            else:
                rows.append(piece)
    return rows


def columns(rows: Sequence[Sequence[str]], widest: int = 40) -> list[int]:
    """How wide each column of a table is: its widest cell, at most `widest`."""
    count = max((len(row) for row in rows), default=0)
    return [min(widest, max((cells(row[at]) for row in rows if at < len(row)), default=0)) for at in range(count)]


def padded(text: str, width: int) -> str:
    """One cell of a table, cleaned, exactly `width` cells."""
    shown = one_line(text, width)
    return shown + " " * max(0, width - cells(shown))

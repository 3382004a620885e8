"""A unified diff as coloured lines with line numbers. Knows nothing of the tool that made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct
from rich.text import Text

from agentcli.protocol.text import one_line
from agentcli.ui.look import Look
from agentcli.ui.render import BAD, DIM, GOOD, STRONG, Painter, assembled, chopped

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
MOST_PATCH = 400
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


class FileDiff(Struct, frozen=True):
    """What git tells of one file. `note`: renamed, deleted and the like; "" for a plain change."""

    path: str
    note: str
    lines: tuple[str, ...]


def by_file(text: str) -> list[FileDiff]:
    """The files of what `git diff` printed."""
    return [_of_file(part.rstrip("\n").split("\n")) for part in re.split(r"^diff --git ", text, flags=re.MULTILINE)[1:]]


def _of_file(lines: list[str]) -> FileDiff:
    body = next((at for at, line in enumerate(lines) if line.startswith("@@ ")), len(lines))
    path = lines[0].rpartition(" b/")[2]
    notes: list[str] = []
    for line in lines[1:body]:
        word, _, rest = line.partition(" ")
        match word:
            case "---" | "+++" if rest != "/dev/null":
                path = rest.rstrip("\t").removeprefix("a/").removeprefix("b/")
            case "new" | "deleted":
                notes.append(word)
            case "rename" if rest.startswith("from "):
                notes.append(f"was {one_line(rest.removeprefix('from '), 60)}")
            case "Binary":
                notes.append("binary")
    return FileDiff(path, ", ".join(notes), tuple(lines[body:]))


def patch_lines(text: str, painter: Painter, width: int) -> list[str]:
    """What `git diff` printed, each file under its name and size; at most `MOST_PATCH` lines of it."""
    out: list[str] = []
    for one in by_file(text):
        size = change(*counted(one.lines), painter.look) if one.lines else ""
        facts = "".join(f"  {fact}" for fact in (size, f"({one.note})" if one.note else "") if fact)
        head = assembled((one_line(one.path, max(10, width - len(facts))), STRONG), (facts, DIM))
        out += [*([""] if out else []), painter.row(head, width), *diff_lines(one.lines, painter, width)]
    if len(out) <= MOST_PATCH:
        return out
    return [*out[:MOST_PATCH], painter.row(Text(f"… +{len(out) - MOST_PATCH} lines (git diff HEAD shows all)", DIM), width)]


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

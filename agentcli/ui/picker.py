"""A searchable list that a person picks from, as plain state: rows, what was typed, what is chosen. Drawn by the screen, tested without one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct, field

from agentcli.protocol.text import clean
from agentcli.ui.lines import Line, columns, cut, padded

MOST_ROWS = 12
LEAST_FIRST = 24
"""Cells that the first column, which is what is picked, is worth more than another column."""
LEAST_COLUMN = 7
"""Cells below which no column is shortened."""
FIRST_AHEAD = 8
"""Cells that the first column may be wider than any other, where room is short."""


class Row(Struct, frozen=True):
    """One thing to pick: `value` is what the picker gives back, `cells` are shown, `words` searched as well.

    `variants` can be gone through with ← and →; the chosen one comes with the answer. `off` says why it cannot be picked.
    """

    value: str
    cells: tuple[str, ...]
    words: str = ""
    variants: tuple[str, ...] = ()
    variant: str = ""
    off: str = ""
    why_off: str = ""
    """The same at more length, with what to do."""

    def matches(self, typed: str) -> bool:
        text = " ".join((*self.cells, self.words)).casefold()
        return all(word in text for word in typed.casefold().split())


class Picked(Struct, frozen=True):
    value: str
    variant: str = ""


class Picker(Struct):
    """`answer` is set when the person has picked (`Picked`) or gone away (None)."""

    title: str
    rows: Sequence[Row]
    empty: str = "Nothing matches."
    head: tuple[str, ...] = ()
    at: int = 0
    typed: str = ""
    refused: str = ""
    """Why what was just tried to pick cannot be."""
    answer: asyncio.Future[Picked | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _variants: dict[str, str] = field(default_factory=dict)
    blocks_prompt: bool = True

    @property
    def answered(self) -> bool:
        return self.answer.done()

    def reads(self, letter: str) -> bool:
        return True

    def takes(self, key: str) -> bool:
        return True

    def hasty(self, letter: str) -> bool:
        return False

    @property
    def found(self) -> list[Row]:
        return [row for row in self.rows if row.matches(self.typed)]

    # --- keys ---

    def press(self, key: str, text: str = "") -> None:
        """One key: its name, and its text where it has one."""
        found, self.refused = self.found, ""
        match key:
            case "enter":
                self._pick(found)
            case "escape" | "c-c" | "c-d":
                self._end(None)
            case "up" | "c-p" | "s-tab":
                self.at = (self.at - 1) % len(found) if found else 0
            case "down" | "c-n" | "tab":
                self.at = (self.at + 1) % len(found) if found else 0
            case "pageup":
                self.at = max(0, self.at - MOST_ROWS)
            case "pagedown":
                self.at = max(0, min(len(found) - 1, self.at + MOST_ROWS))
            case "home":
                self.at = 0
            case "end":
                self.at = max(0, len(found) - 1)
            case "left" | "right":
                self._turn(found, 1 if key == "right" else -1)
            case "backspace":
                self._search(self.typed[:-1])
            case "c-u" | "c-w":
                self._search("")
            case "text":
                self._search(self.typed + clean(text, keep_newlines=False))
            case _:
                return

    def _search(self, typed: str) -> None:
        self.typed, self.at = typed, 0

    def _pick(self, found: list[Row]) -> None:
        if not found:
            return
        row = found[self.at]
        if row.off:
            self.refused = f"{row.value} cannot be picked: {row.why_off or row.off}"
            return
        self._end(Picked(row.value, self._variants.get(row.value, row.variant)))

    def _turn(self, found: list[Row], step: int) -> None:
        if not found or not found[self.at].variants:
            return
        row = found[self.at]
        order = ("", *row.variants)
        now = self._variants.get(row.value, row.variant)
        place = order.index(now) if now in order else 0
        self._variants[row.value] = order[max(0, min(len(order) - 1, place + step))]

    def _end(self, answer: Picked | None) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    # --- in words, for plain lines ---

    def spoken(self) -> list[Line]:
        """The rows by number."""
        rows = []
        for number, row in enumerate(self.found, 1):
            off = f" ({row.off})" if row.off else ""
            rows.append(f"{number}. {', '.join(cell for cell in row.cells if cell)}{off}")
        foot = "Type a number, words to search for, or nothing to go back."
        return [[("", self.title)], *([("", row)] for row in rows or [self.empty]), [("", foot)]]

    def answered_by(self, line: str) -> bool:
        """Takes a typed line; False where the rows are to be read out again."""
        found = self.found
        if not line:
            self._end(None)
            return True
        if line.isdigit() and 0 < int(line) <= len(found):
            self.at = int(line) - 1
            self._pick(found)
            return self.answer.done()
        self._search(clean(line, keep_newlines=False))
        return False

    # --- drawing ---

    def lines(self, width: int, height: int, *, has_keys: bool = True) -> list[Line]:
        """At most `height` lines of at most `width` cells."""
        found = self.found
        room = max(1, min(MOST_ROWS, height - (4 if self.head else 3)))
        first = max(0, min(self.at - room // 2, len(found) - room))
        shown = found[first : first + room]
        widths = self._widths(width)
        out: list[Line] = [cut([("title", self.title), ("dim", "  search: "), ("typed", self.typed), ("cursor", " ")], width)]
        if self.head:
            more = "  EFFORT" if any(row.variants for row in self.rows) else ""
            out.append(cut([("dim", f"  {self._cells(self.head, widths)}{more}".rstrip())], width))
        out += [self._row(row, index == self.at, widths, width) for index, row in enumerate(shown, first)]
        if not found:
            out.append([("dim", f"  {self.empty}")])
        out.append(cut(self._foot(found, first, room), width))
        return out[:height]

    def _widths(self, width: int) -> list[int]:
        """Each column's cells: the last columns go where not all can be read, then the widest give way until all fit, beside what may stand after."""
        widths = columns([self.head, *(row.cells for row in self.rows)], 60)
        after = max((len(variant) + 2 for row in self.rows for variant in ("default", *row.variants) if row.variants), default=0)
        while len(widths) > 1 and min(widths[0], LEAST_FIRST) + sum(min(one, LEAST_COLUMN) for one in widths[1:]) > _room(width, widths, after):
            widths.pop()
        room = _room(width, widths, after)
        while sum(widths) > room and max(widths, default=0) > LEAST_COLUMN:
            # The first column is what is picked: it gives way last.
            widest = max(range(len(widths)), key=lambda at: widths[at] - (FIRST_AHEAD if at == 0 else 0))
            widths[widest] -= 1
        return widths

    def _row(self, row: Row, chosen: bool, widths: list[int], width: int) -> Line:
        mark = "› " if chosen else "  "
        style = "chosen" if chosen else "dim" if row.off else ""
        cells, after, how = mark + self._cells(row.cells, widths), row.off, "warn"
        if row.variants:
            after, how = self._variants.get(row.value, row.variant) or "default", "key" if chosen else "dim"
        return cut([(style, f"{cells}  "), (how, after)] if after else [(style, cells.rstrip())], width)

    @staticmethod
    def _cells(cells: Sequence[str], widths: list[int]) -> str:
        return "  ".join(padded(cell, size) for cell, size in zip(cells, widths, strict=False))

    def _foot(self, found: list[Row], first: int, room: int) -> Line:
        if self.refused:
            return [("warn", self.refused)]
        keys: Line = [("key", "Enter"), ("dim", " pick  "), ("key", "↑↓"), ("dim", " move  ")]
        if any(row.variants for row in found):
            keys += [("key", "←→"), ("dim", " effort  ")]
        keys += [("key", "Esc"), ("dim", " close")]
        more = len(found) - first - room
        if more > 0:
            keys.append(("dim", f"  +{more} more"))
        return keys


def _room(width: int, widths: Sequence[int], after: int) -> int:
    """Cells for the columns themselves: without the mark, the gaps and what stands after the last."""
    return width - 2 - 2 * len(widths) - after

"""Lines with ANSI colours as prompt_toolkit shows them: split once, a piece for each run of one style, handed over without another look."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.layout.controls import UIContent, UIControl

_DISPUTED = dict.fromkeys([0x200D, 0xFE0F, *range(0x1F3FB, 0x1F400)])
"""Joiners, emoji selectors and skin tones: one terminal takes 👩‍💻 for two cells, another for four."""
_STYLE = re.compile(r"(\x1b\[[\d;]*m)")


class Splitter:
    """Remembers what each escape sequence means; there are a dozen of them. Takes what rich writes: a style, a text, a reset."""

    def __init__(self) -> None:
        self._styles: dict[str, str] = {}

    def pieces(self, line: str) -> StyleAndTextTuples:
        if "\x1b" not in line:
            return [("", line)]
        out: StyleAndTextTuples = []
        style = ""
        for part in _STYLE.split(line):
            if part.startswith("\x1b"):
                style = self._style(part)
            elif part:
                out.append((style, part))
        return out

    def _style(self, sequence: str) -> str:
        known = self._styles.get(sequence)
        if known is None:
            (piece,) = to_formatted_text(ANSI(f"{sequence}x"))[:1]
            known = self._styles[sequence] = piece[0]
        return known


def undisputed(line: str) -> str:
    """The line with the same width on every terminal: what is written again in parts must not depend on that. Finished lines stay whole."""
    return line if line.isascii() else line.translate(_DISPUTED)


class Rows(UIControl):
    """Rows of pieces as they are; nothing in them can be focused."""

    def __init__(self) -> None:
        self.rows: Sequence[StyleAndTextTuples] = ()

    def is_focusable(self) -> bool:
        return False

    def create_content(self, width: int, height: int) -> UIContent:
        rows = self.rows
        return UIContent(get_line=lambda number: rows[number] if number < len(rows) else [], line_count=max(1, len(rows)), show_cursor=False)

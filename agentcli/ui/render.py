"""From rich texts to lines: ANSI or plain, never wider than asked, without trailing blanks and without links. The one place with a rich console."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

from agentcli.protocol.text import cells, clean, one_line
from agentcli.ui.look import Look

DIM = "dim"
STRONG = "bold"
GOOD = "green"
BAD = "red"
CAREFUL = "yellow"
NAME = "cyan"
"""The terminal's own colours, so that a person's light or dark palette stays readable."""

MARKDOWN = {"markdown.code": NAME, "markdown.code_block": "", "markdown.link": "underline", "markdown.block_quote": ""}
"""What differs from rich's own styles: no background colours, which are right for one palette only."""
MOST_CACHED = 2_000
Piece = str | tuple[str, str]
"""A text, or a text and its style."""


class Painter:
    """Renders for one look. Keeps single lines that it was asked for before, for most rows of a live view do not change between updates."""

    def __init__(self, look: Look = "colour") -> None:
        self.look = look
        self._system = ColorSystem.STANDARD if look == "colour" else None
        self._theme = Theme(MARKDOWN)
        self._rows: dict[tuple[object, ...], str] = {}
        self._consoles: dict[int, Console] = {}

    def lines(self, renderable: RenderableType, width: int) -> list[str]:
        """Whatever rich can render, as lines of at most `width` cells."""
        console = self._console(width)
        return [self._ansi(part) for line in console.render_lines(renderable, console.options, pad=False) for part in _parted(line, width)]

    def row(self, text: Text, width: int) -> str:
        """One line, cut with … where it is longer."""
        key = (text.plain, text.style, tuple(text.spans), width)
        known = self._rows.get(key)
        if known is not None:
            return known
        if len(self._rows) >= MOST_CACHED:
            self._rows.clear()
        # Assembled anew: a text's own style is drawn only where it became a span.
        line = self._rows[key] = self._ansi(Text.assemble(cropped(text, width)).render(self._console(width), end=""))
        return line

    def printed(self, line: str, width: int, margin: str = "") -> str:
        """One line of a program's output, dim, with its blanks, which may line up columns."""
        return self.row(Text(f"{margin}{clean(line.expandtabs(8), keep_newlines=False)}", DIM), width)

    def hang(self, prefix: Text, body: Text, width: int) -> list[str]:
        """`body` wrapped at words, its first line after `prefix`, the others under its own start."""
        margin = cells(prefix.plain)
        room = max(1, width - margin)
        console = self._console(room)
        out: list[str] = []
        for line in body.wrap(console, room):
            line.rstrip()
            lead = prefix if not out else Text(" " * margin)
            out += [self._ansi(part) for part in _parted(list(Text.assemble(lead, line).render(console, end="")), width)]
        return out or [self._ansi(prefix.render(console, end=""))]

    def _console(self, width: int) -> Console:
        console = self._consoles.get(width)
        if console is None:
            console = self._consoles[width] = self._new_console(max(1, width))
        return console

    def _new_console(self, width: int) -> Console:
        return Console(
            file=io.StringIO(),
            width=width,
            height=25,
            force_terminal=True,
            color_system="standard" if self.look == "colour" else None,
            theme=self._theme,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
            _environ={},
        )

    def _ansi(self, segments: Iterable[Segment]) -> str:
        kept = list(segments)
        while kept and _is_blank(kept[-1]):
            kept.pop()
        if not kept:
            return ""
        last = kept[-1]
        if last.style is None or last.style.bgcolor is None:
            kept[-1] = Segment(last.text.rstrip(" "), last.style)
        system = self._system
        return "".join(text if style is None or system is None else style.render(text, color_system=system) for text, style, _ in kept)


def to_lines(renderable: RenderableType, width: int, look: Look) -> list[str]:
    """Lines of at most `width` cells, with ANSI colours where the look has them."""
    return Painter(look).lines(renderable, width)


def assembled(*pieces: Piece) -> Text:
    """A text of pieces, each made harmless; none of it is read as markup."""
    text = Text()
    for piece in pieces:
        said, style = (piece, "") if isinstance(piece, str) else piece
        text.append(clean(said), style or None)
    return text


def fitted(text: str, width: int) -> str:
    """One clean line of exactly `width` cells, cut with … or filled with blanks."""
    line = one_line(text, width)
    return line + " " * (width - cells(line))


def cropped(text: Text, width: int) -> Text:
    """`text` as one line of at most `width` cells, cut with …"""
    if cells(text.plain) <= width:
        return text
    room, kept = width - 1, 0
    for char in text.plain:
        room -= cells(char)
        if room < 0:
            break
        kept += 1
    short = text[:kept] if kept else Text()
    return short.append("…") if width > 0 else Text()


def chopped(text: str, width: int) -> list[str]:
    """A line cut at `width` cells wherever that falls, nothing left out: for code and commands, where every blank counts."""
    if text.isascii():
        return [text[at : at + width] for at in range(0, len(text), width)] or [""]
    out, line, used = [], "", 0
    for char in text:
        size = cells(char)
        if used + size > width and line:
            out.append(line)
            line, used = "", 0
        line, used = line + char, used + size
    return [*out, line]


def _parted(line: list[Segment], width: int) -> list[list[Segment]]:
    """The line, or two and more where it is wider than rich believes: it counts joined emoji as one, many terminals do not."""
    text = "".join(segment.text for segment in line)
    if text.isascii() or cells(text) <= width:
        return [line]
    parts: list[list[Segment]] = [[]]
    used = 0
    for segment in line:
        piece = ""
        for char in segment.text:
            size = cells(char)
            if used + size > width:
                parts[-1].append(Segment(piece, segment.style))
                parts.append([])
                piece, used = "", 0
            piece, used = piece + char, used + size
        parts[-1].append(Segment(piece, segment.style))
    return parts


def _is_blank(segment: Segment) -> bool:
    return not segment.text.strip(" ") and (segment.style is None or segment.style.bgcolor is None)


def width_of(lines: Sequence[str]) -> int:
    """Cells of the widest of some plain lines."""
    return max((cells(line) for line in lines), default=0)

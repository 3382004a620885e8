"""An answer's markdown as lines. Loaded with the first answer, for its parser and highlighter are slow to import.

Differences to rich's own: nothing the model wrote is left out (HTML stays as text, a link shows where it leads, an image its source), line
breaks stay, headings stand left, code has the terminal's own colours and no padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import box, markdown
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from agentcli.protocol.text import cells
from agentcli.ui.render import Painter, chopped

CODE_THEME = "ansi_dark"
"""Sixteen colours by their names: what they look like is the terminal's matter."""
CODE_MARGIN = "  "
MOST_COLOURED = 20_000
"""Characters of one piece of code beyond which it is not coloured: that takes a tenth of a second, in which nobody can type."""
LONGEST_WORD = 24
"""Cells of a word up to which a table's column is wide enough for it."""
BETWEEN = 3
"""Cells between two columns."""


def markdown_lines(text: str, painter: Painter, width: int) -> list[str]:
    """Lines of one block or a whole answer; `text` is clean of control characters."""
    lines = painter.lines(Markdown(text), width)
    while lines and not lines[-1]:
        lines.pop()
    start = next((at for at, line in enumerate(lines) if line), 0)
    return lines[start:]


class Code(markdown.CodeBlock):
    """Code without a background, a little indented; long lines are cut at the edge, not at words."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip().expandtabs(4)
        width = max(1, options.max_width - len(CODE_MARGIN))
        rows: list[Text] = []
        for line in _highlighted(code, self.lexer_name).split("\n", allow_blank=True):
            rows += [line] if len(line.plain) * 2 <= width else _cut(line, width)
        yield Text(CODE_MARGIN, no_wrap=True, overflow="ignore").append_text(Text(f"\n{CODE_MARGIN}").join(rows))


def _cut(line: Text, width: int) -> list[Text]:
    """Pieces of at most `width` cells."""
    pieces = chopped(line.plain, width)
    if len(pieces) == 1:
        return [line]
    ends, at = [], 0
    for piece in pieces[:-1]:
        at += len(piece)
        ends.append(at)
    return list(line.divide(ends))


def _highlighted(code: str, lexer: str) -> Text:
    """The code with colours; as it is where no such language is known or there is too much of it."""
    if len(code) > MOST_COLOURED:
        return Text(code)
    text = _syntax(lexer).highlight(code)
    if text.plain.rstrip("\n") != code:
        return Text(code)
    text.rstrip()
    text.no_wrap = True
    return text


@lru_cache(maxsize=64)
def _syntax(lexer: str) -> Syntax:
    """The highlighter of a language, looked up once."""
    return Syntax("", Syntax("", lexer).lexer or lexer, theme=CODE_THEME)


class Heading(markdown.Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self.text.copy()
        text.justify = "left"
        text.stylize("bold underline" if self.tag == "h1" else "bold")
        yield text


class Rule(markdown.HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("─" * min(options.max_width, 40), "dim")


class Quote(markdown.BlockQuote):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.elements, options.update(width=max(1, options.max_width - 2)), pad=False)
        for line in lines:
            yield Segment("▌ ", console.get_style("dim"))
            yield from line
            yield Segment.line()


class List(markdown.ListElement):
    """Items with `•` or their number and a point, the text of each under its own start."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        first = self.list_start or 0
        marks = ["• "] * len(self.items) if self.list_type == "bullet_list_open" else [f"{first + at}. " for at in range(len(self.items))]
        margin = max((len(mark) for mark in marks), default=0)
        room = options.update(width=max(1, options.max_width - margin))
        for mark, item in zip(marks, self.items, strict=True):
            for at, line in enumerate(console.render_lines(item.elements, room, pad=False)):
                yield Segment(" " * margin if at else mark.rjust(margin), console.get_style("cyan"))
                yield from line
                yield Segment.line()


class Grid(markdown.TableElement):
    """Columns as wide as their longest words; where there is no room for that, each row as lines of names and values."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        header = self.header.row.cells if self.header and self.header.row else []
        rows = [row.cells for row in self.body.rows] if self.body else []
        widths = _widths([[cell.content.plain for cell in row] for row in (header, *rows)], options.max_width)
        if not widths:
            yield from _records(header, rows)
            return
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, border_style="dim", header_style="bold")
        for cell, width in zip(header, widths, strict=True):
            table.add_column(cell.content, overflow="fold", width=width, justify=cell.justify if cell.justify != "default" else "left")
        for row in rows:
            table.add_row(*(cell.content for cell in row))
        yield table


def _widths(rows: list[list[str]], room: int) -> list[int]:
    """Cells of each column: at least its longest word, at most its longest text, what is left shared evenly. None where not all have room."""
    columns = [[row[at] for row in rows if at < len(row)] for at in range(len(rows[0]))]
    widths = [max(map(_longest_word, column)) for column in columns]
    wanted = [max(1, *map(cells, column)) for column in columns]
    spare = room - sum(widths) - BETWEEN * (len(widths) - 1)
    if spare < 0:
        return []
    while spare and widths != wanted:
        for at, most in enumerate(wanted):
            if spare and widths[at] < most:
                widths[at] += 1
                spare -= 1
    return widths


def _longest_word(text: str) -> int:
    return min(LONGEST_WORD, max((cells(word) for word in text.split()), default=1))


def _records(header: list[markdown.TableDataElement], rows: list[list[markdown.TableDataElement]]) -> Iterator[Text]:
    if not rows:
        yield Text(" | ").join(cell.content for cell in header)
    for number, row in enumerate(rows):
        if number:
            yield Text()
        for name, value in zip(header, row, strict=False):
            yield Text.assemble((f"{name.content.plain}: " if name.content.plain else "", "bold"), value.content)


class Markdown(markdown.Markdown):
    """`text` as a rich renderable."""

    elements = markdown.Markdown.elements | {
        "fence": Code,
        "code_block": Code,
        "heading_open": Heading,
        "hr": Rule,
        "blockquote_open": Quote,
        "bullet_list_open": List,
        "ordered_list_open": List,
        "table_open": Grid,
    }  # fmt: skip

    def __init__(self, text: str) -> None:
        vars(self).update(_settings())
        self.markup = text
        self.parsed = list(_plain_links(_parser().parse(text)))


@cache
def _settings() -> dict[str, Any]:
    """What rich keeps of its own arguments. Taken once: its constructor makes a parser each time, which takes longer than most blocks."""
    return vars(markdown.Markdown("", hyperlinks=False))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")


def _plain_links(tokens: Iterable[Token]) -> Iterator[Token]:
    """Tokens with links and images as text that says where they lead, and line breaks kept."""
    for token in tokens:
        if token.type == "inline" and token.children:
            token.children = list(_inline(token.children))
        yield token


def _inline(children: list[Token]) -> Iterator[Token]:
    targets: list[tuple[str, list[str]]] = []
    for token in children:
        match token.type:
            case "link_open":
                targets.append((str(token.attrs.get("href", "")), []))
            case "link_close":
                target, said = targets.pop()
                if "".join(said) not in (target, target.removeprefix("mailto:")):
                    yield _text(f" ({target})")
            case "image":
                yield _text(f"[image: {token.content}] ({token.attrs.get('src', '')})")
            case "softbreak":
                token.type = "hardbreak"
                yield token
            case _:
                if targets:
                    targets[-1][1].append(token.content)
                yield token


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)

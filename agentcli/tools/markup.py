"""HTML as Markdown for a model: headings, lists, links, code and tables stay, decoration goes. Time is linear in the size whatever the page
holds: the parser of the standard library, and with it every converter built on it, takes minutes over 100 kB of `<a <a <a`, and 300 elements
within each other are too many for a recursive one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin, urlsplit

from msgspec import Struct, field

NAME = re.compile(r"[A-Za-z][^\s/>]*")
ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*)?))?""")
TAG_END = re.compile(r"[^>]*>")
COMMENT_END = re.compile("--!?>")
SPACE = re.compile(r"[ \t\r\n\f]+")
LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([\w+#-]{1,20})")

SKIPPED = frozenset({"script", "style", "svg", "template", "iframe", "object", "canvas", "math"})
"""Left out whole, up to their end tag. What is not closed takes the rest of the page, as in a browser."""
BLOCKS = frozenset({
    "address", "article", "aside", "body", "center", "dd", "details", "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer",
    "form", "header", "hgroup", "html", "legend", "main", "menu", "nav", "noscript", "p", "section", "summary", "caption", "thead", "tbody", "tfoot",
})  # fmt: skip
HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
CELLS = frozenset({"td", "th"})
DEEPEST = 8
"""Levels of lists and quotes that are shown by indenting."""
LONGEST_LINK = 2000
"""Characters of a link's target: what is longer is data, not an address."""


class Tag(Struct, frozen=True):
    """A start tag, or an end tag where `closes`. Names are lower case."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False


def tokens(source: str) -> Iterator[Tag | str]:
    """Tags and the text between them, entities resolved. Comments, declarations and the content of `SKIPPED` are left out."""
    at = 0
    while (start := source.find("<", at)) >= 0:
        if start > at:
            yield html.unescape(source[at:start])
        found = _markup(source, start)
        if found is None:
            return  # a tag or comment that never ends: nothing of the rest is text
        token, at = found
        if token is not None:
            yield token
        if isinstance(token, Tag) and not token.closes and token.name in SKIPPED:
            end = re.compile(rf"</{token.name}(?=[\s/>])", re.IGNORECASE).search(source, at)
            if end is None:
                return
            at = end.start()
    if at < len(source):
        yield html.unescape(source[at:])


def _markup(source: str, start: int) -> tuple[Tag | str | None, int] | None:
    """What begins at this `<` and where it ends; None where it does not end."""
    closes = source.startswith("</", start)
    name = NAME.match(source, start + 1 + closes)
    if name is not None and not closes:
        return _start_tag(source, name[0].lower(), name.end())
    if source.startswith("<!--", start):
        end = COMMENT_END.search(source, start + 2)
    elif closes or source.startswith(("<!", "<?"), start):
        end = TAG_END.match(source, start)
    else:
        return "<", start + 1
    if end is None:
        return None
    return (Tag(name[0].lower(), closes=True) if name else None), end.end()


def _start_tag(source: str, name: str, at: int) -> tuple[Tag, int] | None:
    attributes: dict[str, str] = {}
    while match := ATTRIBUTE.match(source, at):
        value = next((part for part in match.groups()[1:] if part is not None), "")
        attributes.setdefault(match[1].lower(), html.unescape(value))
        at = match.end()
    end = TAG_END.match(source, at)
    return (Tag(name, attributes), end.end()) if end else None


class Markdown(Struct, frozen=True):
    text: str
    title: str


def markdown(source: str, url: str) -> Markdown:
    """`source` as Markdown; `url` is where it came from, for links in it that are relative."""
    writer = _Writer(url)
    for token in tokens(source):
        if isinstance(token, str):
            writer.text(token)
        elif token.closes:
            writer.close(token.name)
        else:
            writer.open(token)
    return writer.finished()


class _Row(Struct):
    """A table row being filled: its cells so far, and whether one of them is a heading."""

    cells: list[str] = field(default_factory=list)
    heading: bool = False
    in_cell: bool = False


class _Table(Struct):
    row: _Row | None = None
    rows: int = 0


class _Writer:
    """Takes tags and text in order and writes blocks: a paragraph, a list item, a table row. It keeps no tree."""

    def __init__(self, url: str) -> None:
        self._base = url
        self._blocks: list[tuple[str, str]] = []
        self._line: list[str] = []
        self._title: list[str] | None = None
        self._titled = ""
        self._pre: list[str] | None = None
        self._language = ""
        self._lists: list[int] = []  # the next number of an ordered list, 0 of a plain one
        self._marker = ""
        self._quotes = 0
        self._tables: list[_Table] = []
        self._link: str | None = None
        self._link_start = 0
        self._link_blocks = 0

    # --- what comes in ---

    def text(self, text: str) -> None:
        if self._title is not None:
            self._title.append(text)
        elif self._pre is not None:
            self._pre.append(text)
        else:
            self._inline(SPACE.sub(" ", text))

    def open(self, tag: Tag) -> None:
        match tag.name:
            case "title":
                self._title = [] if not self._titled else None
            case "base":
                self._base = _joined(self._base, tag.attributes.get("href", "")) or self._base
            case "a":
                self._open_link(tag)
            case "img":
                self._inline(SPACE.sub(" ", tag.attributes.get("alt", "")))
            case "br":
                self._break()
            case "hr":
                self._end_block()
                self._add("", "---")
            case "pre" | "code" | "tt":
                self._open_code(tag)
            case "ul" | "ol" | "li" | "blockquote":
                self._open_list(tag)
            case "table" | "tr" | "td" | "th":
                self._open_table(tag.name)
            case name if name in HEADINGS:
                self._end_block()
                self._marker = HEADINGS[name]
            case name if name in BLOCKS:
                self._end_block()

    def close(self, name: str) -> None:
        match name:
            case "title":
                self._close_title()
            case "a":
                self._close_link()
            case "pre":
                self._close_pre()
            case "code" | "tt" if self._pre is None:
                self._inline("`")
            case "ul" | "ol" if self._lists:
                self._end_block()
                self._lists.pop()
            case "blockquote":
                self._end_block()
                self._quotes = max(self._quotes - 1, 0)
            case "table" if self._tables:
                self._end_row()
                self._tables.pop()
            case "tr":
                self._end_row()
            case "td" | "th":
                self._end_cell()
            case _ if name in HEADINGS or name in BLOCKS or name == "li":
                self._end_block()
                self._marker = ""

    def finished(self) -> Markdown:
        self._close_title()
        self._close_pre()
        while self._tables:
            self._end_row()
            self._tables.pop()
        self._end_block()
        pieces: list[str] = []
        before = ""
        for kind, text in self._blocks:
            if pieces:
                pieces.append("\n" if kind and kind == before else "\n\n")
            pieces.append(text)
            before = kind
        return Markdown("".join(pieces), self._titled)

    # --- within a line ---

    def _inline(self, text: str) -> None:
        """Text of which each run of white space is one blank; a blank after a blank, and at the start of a line, says nothing."""
        if text.startswith(" ") and (not self._line or self._line[-1].endswith((" ", "\n"))):
            text = text[1:]
        if text:
            self._line.append(text)

    def _break(self) -> None:
        if self._pre is not None:
            self._pre.append("\n")
        elif self._line:
            self._line.append(" " if self._in_cell() else "\n")

    def _open_link(self, tag: Tag) -> None:
        self._close_link()
        self._link = _target(self._base, tag.attributes.get("href", ""))
        self._link_start, self._link_blocks = len(self._line), len(self._blocks)

    def _close_link(self) -> None:
        target, self._link = self._link, None
        if not target or self._pre is not None:
            return
        start = self._link_start if len(self._blocks) == self._link_blocks else 0
        text = "".join(self._line[start:])
        if text.strip():
            lead = " " if text.startswith(" ") else ""
            self._line[start:] = [f"{lead}[{' '.join(text.split())}]({target})"]
        elif len(self._blocks) > self._link_blocks:
            kind, block = self._blocks[-1]
            self._blocks[-1] = kind, f"{block} ({target})"

    # --- blocks ---

    def _in_cell(self) -> bool:
        return bool(self._tables and self._tables[-1].row and self._tables[-1].row.in_cell)

    def _end_block(self) -> None:
        """A block ends where another starts, except in a table's cell, which is one line."""
        if self._pre is not None:
            if self._pre and not self._pre[-1].endswith("\n"):
                self._pre.append("\n")  # highlighters write a line as a block
            return
        if self._in_cell():
            self._inline(" ")
            return
        text = "\n".join(line.strip() for line in "".join(self._line).split("\n")).strip()
        self._line.clear()
        if text:
            self._add("item" if self._lists else "", text)

    def _add(self, kind: str, text: str) -> None:
        depth = min(len(self._lists), DEEPEST)
        indent = "  " * (depth - 1 if self._marker else depth)
        marker = self._marker
        if depth and not marker:
            kind = ""  # a further paragraph of an item
        first = f"{'> ' * min(self._quotes, DEEPEST)}{indent}"
        rest = first + " " * (len(marker) if depth else 0)
        self._blocks.append((kind, first + marker + text.replace("\n", f"\n{rest}")))
        self._marker = ""

    def _open_list(self, tag: Tag) -> None:
        self._end_block()
        match tag.name:
            case "ul":
                self._lists.append(0)
            case "ol":
                start = tag.attributes.get("start", "")
                self._lists.append(int(start) if start.isdecimal() and len(start) < 10 else 1)
            case "blockquote":
                self._quotes += 1
            case "li":
                number = self._lists[-1] if self._lists else 0
                self._marker = f"{number}. " if number else "- "
                if number:
                    self._lists[-1] = number + 1

    def _open_code(self, tag: Tag) -> None:
        language = LANGUAGE.search(tag.attributes.get("class", ""))
        if self._pre is not None:
            self._language = self._language or (language[1] if language else "")
        elif tag.name == "pre":
            self._end_block()
            self._pre, self._language = [], language[1] if language else ""
        else:
            self._inline("`")

    def _close_pre(self) -> None:
        if self._pre is None:
            return
        text = "".join(self._pre).strip("\r\n").rstrip()
        self._pre = None
        if self._in_cell():
            self._inline(SPACE.sub(" ", text))
        elif text:
            fence = "````" if "```" in text else "```"
            self._add("", f"{fence}{self._language}\n{text}\n{fence}")

    def _close_title(self) -> None:
        if self._title is not None:
            self._titled = " ".join("".join(self._title).split())
            self._title = None

    # --- tables ---

    def _open_table(self, name: str) -> None:
        if name == "table":
            self._end_outer_row()
            self._tables.append(_Table())
        elif name == "tr":
            self._end_row()
            if self._tables:
                self._tables[-1].row = _Row()
        elif self._tables:
            self._end_cell()
            row = self._tables[-1].row = self._tables[-1].row or _Row()
            row.in_cell = True
            row.heading = row.heading or name == "th"

    def _end_outer_row(self) -> None:
        """A table within a cell, as pages use for layout: what stands before it is a row of its own."""
        self._end_cell()
        row = self._tables[-1].row if self._tables else None
        if row is not None and row.cells and not row.cells[-1]:
            row.cells.pop()
        self._end_row()

    def _end_cell(self) -> None:
        row = self._tables[-1].row if self._tables else None
        if row is None or not row.in_cell:
            return
        row.cells.append(" ".join("".join(self._line).split()))
        self._line.clear()
        row.in_cell = False

    def _end_row(self) -> None:
        self._end_cell()
        self._end_block()
        table = self._tables[-1] if self._tables else None
        if table is None or table.row is None:
            return
        row, table.row = table.row, None
        if not any(row.cells):
            return
        if len(row.cells) == 1:
            self._add("", row.cells[0])
            return
        self._add("row", f"| {' | '.join(row.cells)} |")
        if row.heading and not table.rows:
            self._add("row", "|" + " --- |" * len(row.cells))
        table.rows += 1


def _target(base: str, href: str) -> str:
    """Where a link leads, whole; "" for one that leads nowhere else: within the page, a script, data."""
    href = href.strip()
    if not href or href.startswith("#"):
        return ""
    target = _joined(base, href)
    return target if len(target) <= LONGEST_LINK and target.startswith(("http://", "https://", "mailto:")) else ""


def _joined(base: str, href: str) -> str:
    try:
        joined = urljoin(base, href)
        urlsplit(joined)
        return joined.replace(" ", "%20").replace("\n", "")
    except ValueError:
        return ""

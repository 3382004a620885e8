"""The `read` tool: a text file, line by line with numbers, a page at a time. It never holds more than a page and a chunk."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import os
from pathlib import Path

from msgspec import Struct, field
from pydantic import Field

from agentcli.protocol.errors import ToolError
from agentcli.protocol.tools import Access, TextDisplay, Tool, ToolContext, ToolOutcome, said
from agentcli.tools import files, kinds, texts
from agentcli.tools.arguments import PATH_NAMES, Arguments

PAGE = 2000
"""Lines of a page where no limit is given."""
LINE_LIMIT = 2000
"""Characters shown of one line."""
CHUNK = 262_144
"""Bytes read at once."""


class ReadArgs(Arguments):
    path: str = Field(validation_alias=PATH_NAMES, description="The file, absolute or relative to the working folder.")
    offset: int = Field(1, ge=0, description="First line to read, counted from 1.")
    limit: int = Field(PAGE, ge=1, description="How many lines to read at most.")


class Read(Tool[ReadArgs]):
    name = "read"
    description = (
        "Reads a text file. Each line comes as its number, a tab and its text; the numbers are not part of the file. "
        f"At most {PAGE} lines a call, lines over {LINE_LIMIT} characters are cut, and a longer file says with which offset to go on. "
        "Use it before changing a file with edit or write. Not for folders (use ls), images or binary files."
    )
    short = "Read a text file with line numbers."
    args = ReadArgs

    def access(self, args: ReadArgs) -> Access:
        return Access(reads=(args.path,))

    def title(self, args: ReadArgs) -> str:
        return args.path if args.offset <= 1 else f"{args.path} from line {args.offset}"

    def at_once(self, args: ReadArgs, ctx: ToolContext) -> ToolOutcome | None:
        path = files.located(ctx, args.path)
        return _read(args, ctx, path) if files.at_hand(path) else None

    async def run(self, args: ReadArgs, ctx: ToolContext) -> ToolOutcome:
        return await asyncio.to_thread(_read, args, ctx, files.located(ctx, args.path))


class _Page(Struct):
    """Collects the lines of one page while the file's text flows past. `number` is the line being filled, from 1."""

    offset: int
    limit: int
    budget: int
    separator: str
    lines: list[str] = field(default_factory=list)
    number: int = 1
    size: int = 0
    full: bool = False
    _start: str = ""
    _length: int = 0

    def feed(self, text: str) -> None:
        ends = text.count(self.separator)
        if self.full or (self.number + ends < self.offset):
            self.number += ends
            self._length = len(text) - text.rfind(self.separator) - 1 if ends else self._length + len(text)
            return
        *whole, rest = text.split(self.separator)
        for piece in whole:
            self._extend(piece)
            self._end_line()
        self._extend(rest)

    def finish(self) -> int:
        """The number of lines in all; takes in a last line without an end."""
        if not self._length:
            return self.number - 1
        self._end_line()
        return self.number - 1

    def _extend(self, piece: str) -> None:
        self._start += piece[: LINE_LIMIT + 1 - len(self._start)]
        self._length += len(piece)

    def _end_line(self) -> None:
        if not self.full and self.number >= self.offset:
            self._take(f"{self.number}\t{self._shown()}")
        self.number += 1
        self._start, self._length = "", 0

    def _shown(self) -> str:
        if self._length <= LINE_LIMIT or (self._length == LINE_LIMIT + 1 and self._start.endswith("\r")):
            return self._start.removesuffix("\r")
        return f"{self._start[:LINE_LIMIT]}… [{self._length - LINE_LIMIT} more characters in this line]"

    def _take(self, line: str) -> None:
        if self.lines and self.size + len(line) + 1 > self.budget:
            self.full = True
            return
        self.lines.append(line)
        self.size += len(line) + 1
        self.full = len(self.lines) == self.limit


def _read(args: ReadArgs, ctx: ToolContext, path: Path) -> ToolOutcome:
    with files.opened(path, args.path) as fd:
        sample = os.read(fd, texts.SAMPLE)
        encoding = _text_encoding(sample, args.path, os.fstat(fd).st_size)
        page = _Page(max(args.offset, 1), args.limit, ctx.output_limit - 300, _separator(sample, encoding))
        digest, total = _flow(fd, sample, encoding, page)
        stamp = files.stamp(os.fstat(fd), digest)
    if total is not None and page.offset > max(total, 1):
        raise ToolError(f"{args.path} has {total} lines; there is no line {args.offset}", code="past_end")
    ctx.memory.seen[path] = stamp
    notes = _notes(page, total, encoding)
    text = "\n".join([*page.lines, *(f"[{note}]" for note in notes)])
    return said(text, TextDisplay(_summary(page, total)))


def _text_encoding(sample: bytes, shown: str, size: int) -> texts.Encoding:
    if kind := kinds.image_kind(sample):
        raise ToolError(f"{shown} is an image ({kind}, {files.human_size(size)}); images cannot be shown to you yet", code="image")
    encoding = texts.sniffed(sample, whole=len(sample) < texts.SAMPLE)
    if encoding is None:
        raise ToolError(
            f"{shown} is no text: {kinds.binary_kind(sample)}, {files.human_size(size)}; use bash with a program for this kind", code="binary"
        )
    return encoding


def _separator(sample: bytes, encoding: texts.Encoding) -> str:
    """What ends a line: LF (a CR before it is dropped), or CR in a file that has no LF."""
    text = sample[len(encoding.mark) :].decode(encoding.name, "replace")
    return "\r" if "\r" in text.removesuffix("\r") and "\n" not in text else "\n"


def _flow(fd: int, sample: bytes, encoding: texts.Encoding, page: _Page) -> tuple[str, int | None]:
    """Lets the file flow through the page: digest and number of lines, "" and None for a file too large to be passed over whole."""
    decoder = codecs.getincrementaldecoder(encoding.name)("replace")
    digest = hashlib.blake2b(digest_size=16)
    chunk, first, seen = sample, True, 0
    while chunk:
        digest.update(chunk)
        seen += len(chunk)
        page.feed(decoder.decode(chunk[len(encoding.mark) :] if first else chunk))
        if page.full and seen > files.WHOLE_LIMIT:
            return "", None
        chunk, first = os.read(fd, CHUNK), False
    page.feed(decoder.decode(b"", final=True))
    total = page.finish()
    return digest.hexdigest() if seen <= files.WHOLE_LIMIT else "", total


def _notes(page: _Page, total: int | None, encoding: texts.Encoding) -> list[str]:
    last = page.offset + len(page.lines) - 1
    notes = [] if encoding == texts.UTF8 else [f"encoding: {encoding.label()}"]
    if any("\ufffd" in line for line in page.lines):
        notes.append("\ufffd stands for bytes that are no valid text")
    if total == 0:
        notes.append("the file is empty")
    elif total is None:
        notes.append(f"lines {page.offset}-{last} of a very large file; go on with offset {last + 1}, or search it with grep")
    elif last < total:
        notes.append(f"lines {page.offset}-{last} of {total}; go on with offset {last + 1}")
    return notes


def _summary(page: _Page, total: int | None) -> str:
    shown = len(page.lines)
    if shown == total:
        return "1 line" if shown == 1 else f"{shown} lines"
    return f"lines {page.offset}-{page.offset + shown - 1} of {'many' if total is None else total}"

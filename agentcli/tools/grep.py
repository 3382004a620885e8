"""The `grep` tool: lines, files or counts that match a regular expression, by ripgrep. Ignored and hidden files stay out unless named."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct, field
from pydantic import AliasChoices, Field, field_validator

from agentcli.protocol.tools import Access, Tool, ToolContext, ToolOutcome, said
from agentcli.tools import files, globs, ripgrep
from agentcli.tools.arguments import PATH_NAMES, Arguments

MOST = 2000
"""The largest limit; more is taken for this."""
WIDEST = 500
"""Bytes shown of one line."""
BINARY = b": binary file matches ("
STOPPED = b": WARNING: stopped searching binary file"
"""What ripgrep prints among its lines about a file that turned out to be binary."""
NUMBERED = re.compile(r"\d+([:-]).*", re.DOTALL)
MEANT = {"files_with_matches": "files", "matches": "content", "lines": "content", "counts": "count"}


class GrepArgs(Arguments):
    pattern: str = Field(
        min_length=1,
        validation_alias=AliasChoices("pattern", "query", "regex"),
        description="Regular expression (Rust syntax: no look-around, no backreferences). Escape ( [ { . with a backslash to mean them.",
    )
    path: str = Field(".", validation_alias=PATH_NAMES, description="File or folder to search, absolute or relative to the working folder.")
    glob: str = Field(
        "",
        validation_alias=AliasChoices("glob", "include"),
        description="Only files matching this glob, such as *.py or src/**/*.ts; with a leading ! all others.",
    )
    type: str = Field("", description="Only files of this type, such as py, js, rust, go.")
    ignore_case: bool = Field(
        False, validation_alias=AliasChoices("ignore_case", "case_insensitive", "-i"), description="Ignore the case of letters."
    )
    output: Literal["content", "files", "count"] = Field(
        "content",
        validation_alias=AliasChoices("output", "output_mode"),
        description="content: the lines with numbers; files: names of files with a match; count: matching lines per file.",
    )
    context: int = Field(0, ge=0, validation_alias=AliasChoices("context", "-C"), description="Lines to show around each match.")
    limit: int = Field(100, ge=1, validation_alias=AliasChoices("limit", "head_limit", "max_results"), description="How many lines or files to show.")
    multiline: bool = Field(False, description="Let the pattern match across lines; a dot then matches a line end too.")

    @field_validator("output", mode="before")
    @classmethod
    def _meant(cls, value: Any) -> Any:
        return MEANT.get(value, value) if isinstance(value, str) else value


class Grep(Tool[GrepArgs]):
    name = "grep"
    description = (
        "Searches the contents of files with a regular expression, sorted by path. Files ignored by .gitignore, hidden and binary ones are "
        f"left out; a glob that names a dot brings hidden ones in. Lines over {WIDEST} bytes are cut, and what goes beyond limit is counted."
    )
    short = "Search file contents with a regular expression."
    args = GrepArgs

    def access(self, args: GrepArgs) -> Access:
        return Access(reads=(args.path or ".",))

    def title(self, args: GrepArgs) -> str:
        within = "" if args.path in (".", "") else f" in {args.path}"
        return f'"{args.pattern}"{within}' + (f" ({args.glob})" if args.glob else "")

    async def run(self, args: GrepArgs, ctx: ToolContext) -> ToolOutcome:
        named = args.path or "."
        path = files.located(ctx, named)
        found = files.status(path, named)
        if found is None:
            raise files.missing(path, named)
        folder = stat.S_ISDIR(found.st_mode)
        if not folder:
            files.refuse_irregular(found.st_mode, named)
        only = globs.filtering(args.glob, os.path.normpath(named).removeprefix(".")) if args.glob and folder else None
        names = only.names if only and not args.type else ()
        hidden = only is not None and only.hidden
        words = [*_words(args), "./" if folder else f"./{path.name}"]
        output = await ripgrep.search(ctx, path if folder else path.parent, words, names=names, hidden=hidden)
        return await asyncio.to_thread(_outcome, args, ctx, _Place(named, folder, only, hidden), output)


def _words(args: GrepArgs) -> list[str]:
    words = ["--sort", "path", "--with-filename"]
    words += ["--ignore-case"] if args.ignore_case else []
    words += ["--type", args.type] if args.type else []
    if args.multiline or "\n" in args.pattern or re.search(r"(?<!\\)(?:\\\\)*\\n", args.pattern):
        words += ["--multiline", "--multiline-dotall"]
    match args.output:
        case "content":
            shape = ["--line-number", "--no-heading", f"--max-columns={WIDEST}", "--max-columns-preview", f"--context={min(args.context, 50)}"]
        case "files":
            shape = ["--files-with-matches"]
        case "count":
            shape = ["--count"]
    return [*words, *shape, "--crlf", "-e", args.pattern]


class _Place(Struct, frozen=True):
    """Where was searched, and what found there counts."""

    named: str
    folder: bool
    only: globs.Glob | None
    hidden: bool

    def takes(self, path: str) -> bool:
        if not self.folder:
            return True
        return (self.hidden or not ripgrep.is_hidden(path)) and (self.only is None or self.only.matches(path))

    def shown(self, path: str) -> str:
        if not self.folder:
            return self.named
        return ripgrep.shown("" if self.named == "." else self.named, path)


class _Report(Struct):
    """What fits into both limits, and a count of what does not. A match is a line, or a file where files are asked for."""

    limit: int
    budget: int
    lines: list[str] = field(default_factory=list)
    shown: int = 0
    left: int = 0
    left_files: set[str] = field(default_factory=set)

    def match(self, path: str, *lines: str) -> None:
        """A match, with the lines that go with it in front."""
        if self.left or self.shown >= self.limit or not self._fits(lines):
            self.left += 1
            self.left_files.add(path)
            return
        self.shown += 1
        self._take(lines)

    def beside(self, *lines: str) -> None:
        """Lines that are no match; dropped once something was left out."""
        if not self.left and self._fits(lines):
            self._take(lines)

    def _fits(self, lines: tuple[str, ...]) -> bool:
        return sum(len(line) + 1 for line in lines) <= self.budget

    def _take(self, lines: tuple[str, ...]) -> None:
        self.lines += lines
        self.budget -= sum(len(line) + 1 for line in lines)


def _outcome(args: GrepArgs, ctx: ToolContext, place: _Place, found: ripgrep.Found) -> ToolOutcome:
    report = _Report(min(args.limit, MOST), ctx.output_limit - 300)
    match args.output:
        case "content":
            _contents(found.output, place, report)
        case "files":
            for path in map(ripgrep.relative, found.output.split(b"\0")[:-1]):
                if place.takes(path):
                    report.match(path, place.shown(path))
        case "count":
            for path, count in _records(found.output):
                if place.takes(path):
                    report.match(path, f"{place.shown(path)}: {count}")
    note = "the file is binary: what matches in it is not all shown" if BINARY in found.output and not place.folder else found.note
    return said(_text(args, report, note))


def _text(args: GrepArgs, report: _Report, note: str) -> str:
    notes = [note] if note else []
    if not report.shown and not report.left:
        where = "" if args.path in (".", "") else f" in {args.path}"
        return " ".join([f"No match for {args.pattern!r}{where}", *(f"[{text}]" for text in notes)])
    if report.left:
        lines_in = f"{_number(report.left, 'more matching line')} in {_number(len(report.left_files), 'file')}"
        left = lines_in if args.output == "content" else _number(report.left, "more file")
        notes.insert(0, f"{left}; narrow the search or raise limit")
    return "\n".join([*report.lines, *(f"[{text}]" for text in notes)])


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _records(output: bytes) -> Iterator[tuple[str, str]]:
    """Path and text of each line that ripgrep printed, and "" with "--" between stretches. A path may hold any byte but NUL."""
    at = 0
    while at < len(output):
        line_end = _line_end(output, at)
        line = output[at:line_end].rstrip(b"\r")
        nul = output.find(b"\0", at)
        if line == b"--":
            yield "", "--"
        elif nul < 0:
            return
        elif not (nul > line_end and (BINARY in line or STOPPED in line)):
            line_end = _line_end(output, nul)
            yield ripgrep.relative(output[at:nul]), output[nul + 1 : line_end].decode("utf-8", "replace").rstrip("\r")
        at = line_end + 1


def _line_end(output: bytes, at: int) -> int:
    end = output.find(b"\n", at)
    return len(output) if end < 0 else end


def _contents(output: bytes, place: _Place, report: _Report) -> None:
    """Lines under the name of their file: `12:` in front of a match, `12-` of a line around it, `--` between stretches."""
    current, gap, lines = "", False, list[str]()
    for path, text in _records(output):
        if not path:
            report.beside(*lines)
            gap, lines = True, []
            continue
        if not place.takes(path) or (found := NUMBERED.fullmatch(text)) is None:
            continue
        if path != current:
            report.beside(*lines)
            lines = [*([""] if current else []), place.shown(path)]
        elif gap:
            lines = ["--"]
        current, gap = path, False
        lines.append(text)
        if found[1] == ":":
            report.match(path, *lines)
            lines = []
    report.beside(*lines)

"""Where a growing markdown text may be cut: into blocks that nothing written later can change. Pure; the whole text gives the same blocks.

Fenced code, tables and lists stay whole. This is no markdown parser: it only has to know where a block surely ends.
"""

from __future__ import annotations

import re
from typing import Literal

from agentcli.protocol.text import Cleaner

Kind = Literal["", "text", "list", "indented", "fence"]

_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)\s*$")
_MARKER = re.compile(r"\s*(?:[-*+]|(\d{1,9})[.)])(?:\s|$)")


class Splitter:
    """Feed it an answer as it comes; it gives each block once, when it is finished. Control characters are made harmless on the way."""

    def __init__(self) -> None:
        self._cleaner = Cleaner()
        self._partial: list[str] = []
        self._lines: list[str] = []
        self._kind: Kind = ""
        self._fence = ""
        self._blank = 0
        self._done: list[str] = []

    def feed(self, chunk: str) -> list[str]:
        """The blocks that ended with this chunk."""
        self._take(self._cleaner.feed(chunk))
        return self._drain()

    def finish(self) -> list[str]:
        """The rest, at the end of the text."""
        self._take(self._cleaner.flush())
        if self._partial:
            self._line(self._rest())
        self._commit()
        return self._drain()

    @property
    def live(self) -> str:
        """The block under way."""
        lines = [*self._lines, *[""] * self._blank, "".join(self._partial)]
        return "\n".join(lines).strip("\n")

    def _take(self, text: str) -> None:
        head, *more = text.split("\n")
        if head:
            self._partial.append(head)
        for line in more:
            self._line(self._rest())
            if line:
                self._partial.append(line)

    def _rest(self) -> str:
        line = "".join(self._partial)
        self._partial.clear()
        return line

    def _drain(self) -> list[str]:
        done, self._done = self._done, []
        return done

    def _commit(self) -> None:
        text = "\n".join(self._lines).rstrip()
        if text:
            self._done.append(text)
        self._lines = []
        self._kind, self._fence, self._blank = "", "", 0

    def _line(self, line: str) -> None:
        if self._fence:
            self._inside_fence(line)
        elif not line.strip():
            self._empty_line()
        else:
            if self._kind in ("list", "indented"):
                self._after_container(line)
            self._begin_or_add(line)

    def _inside_fence(self, line: str) -> None:
        self._lines.append(line)
        mark = line.strip()
        if mark and len(mark) >= len(self._fence) and set(mark) == {self._fence[0]}:
            self._fence = ""
            if self._kind == "fence":
                self._commit()

    def _empty_line(self) -> None:
        if self._kind in ("list", "indented"):
            self._blank += 1
        else:
            self._commit()

    def _after_container(self, line: str) -> None:
        """Ends the list or the indented code where this line is no part of it."""
        deep = _indent(line)
        if self._kind == "indented":
            goes_on = deep >= 4
        else:
            goes_on = deep >= 2 or (_MARKER.match(line) is not None and not _RULE.match(line))
            lazy = not self._blank and not (_FENCE.match(line) or _HEADING.match(line) or _RULE.match(line))
            goes_on = goes_on or lazy
        if not goes_on:
            self._commit()
            return
        self._lines += [""] * self._blank
        self._blank = 0

    def _begin_or_add(self, line: str) -> None:
        fence = _FENCE.match(line)
        if fence and (self._kind == "list" or _indent(line) < 4):
            self._open_fence(line, fence[1])
        elif self._kind in ("list", "indented"):
            self._lines.append(line)
        elif self._kind == "text" and _UNDERLINE.match(line):
            self._lines.append(line)
            self._commit()
        elif _HEADING.match(line) or _RULE.match(line):
            self._commit()
            self._lines.append(line)
            self._commit()
        elif self._begins_list(line):
            self._commit()
            self._lines, self._kind = [line], "list"
        else:
            self._kind = self._kind or ("indented" if _indent(line) >= 4 else "text")
            self._lines.append(line)

    def _open_fence(self, line: str, mark: str) -> None:
        if self._kind != "list":
            self._commit()
            self._kind = "fence"
        self._lines.append(line)
        self._fence = mark

    def _begins_list(self, line: str) -> bool:
        """Of numbers, only a 1 may begin a list in the middle of a paragraph."""
        marker = _MARKER.match(line)
        if marker is None or _indent(line) >= 4:
            return False
        return self._kind == "" or marker[1] in (None, "1")


def blocks_of(text: str) -> list[str]:
    """The blocks of a whole text."""
    splitter = Splitter()
    return [*splitter.feed(text), *splitter.finish()]


def _indent(line: str) -> int:
    """Columns of white space in front, a tab going to the next fourth."""
    opened = line.expandtabs(4)
    return len(opened) - len(opened.lstrip())

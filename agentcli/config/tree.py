"""A config file as plain nodes that know where they stand, and what may be wrong with one. No parser and no schema here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from agentcli.protocol.errors import ConfigError


class Env(Struct, frozen=True, array_like=True):
    """`env("A")` or `env("A", "default")`: the first of `names` that is set to something, else the default. Never evaluated from a string."""

    names: tuple[str, ...]
    default: str | None = None

    def value(self, environ: Mapping[str, str]) -> str | None:
        """The text, or None where no variable is set (an empty one counts as not set) and no default was written."""
        return next((environ[name] for name in self.names if environ.get(name)), self.default)

    def written(self) -> str:
        """As it stands in the file."""
        end = "" if self.default is None else f', "{self.default}"'
        inner = f'"{self.names[-1]}"{end}'
        for name in reversed(self.names[:-1]):
            inner = f'"{name}", env({inner})'
        return f"env({inner})"


Plain = str | int | float | bool | None


class Scalar(Struct, frozen=True):
    """One value. `start` and `end` are offsets of its literal in the text (of the default's, for an `Env`), equal where there is none."""

    value: Plain | Env
    row: int
    column: int
    start: int = 0
    end: int = 0


class Items(Struct, frozen=True):
    items: tuple[Node, ...]
    row: int
    column: int


class Entry(Struct, frozen=True):
    key: str
    row: int
    column: int
    node: Node


class Block(Struct, frozen=True):
    kind: str
    labels: tuple[str, ...]
    body: Table
    row: int
    column: int


class Table(Struct, frozen=True):
    """The inside of a file, a block or an object: `key = value` entries and blocks."""

    entries: tuple[Entry, ...] = ()
    blocks: tuple[Block, ...] = ()
    row: int = 1
    column: int = 1


Node = Scalar | Items | Table


class Problem(Struct, frozen=True):
    """Something wrong in a config file: what, where (rows and columns count from 1; 0: unknown) and what to do."""

    message: str
    file: str = ""
    row: int = 0
    column: int = 0
    hint: str = ""
    level: Literal["error", "warning"] = "error"

    def error(self) -> ConfigError:
        return ConfigError(self.message, file=shown(self.file, 400), row=self.row, column=self.column, hint=self.hint)

    def line(self) -> str:
        """One line: `file:line:column: what. What to do.`"""
        return self.error().line()


def place(text: str, offset: int) -> tuple[int, int]:
    """Row and column of an offset, both from 1."""
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1


def shown(text: str, limit: int = 60) -> str:
    """Text of a file or a path made fit for one line of a message: nothing unprintable (controls, bidi marks), cut to `limit`."""
    clean = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"

"""What the analysis of a shell command finds: plain data, without the syntax tree that it was read from."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agentcli.safety.flow import Folders
from agentcli.safety.words import Word


class Redirect(Struct, frozen=True):
    """A file that the shell itself opens."""

    path: Word
    kind: Literal["read", "write"]


class Assignment(Struct, frozen=True):
    name: str
    value: Word


class Simple(Struct, frozen=True):
    """One simple command. `wraps`: all it does is run others, which follow it in the list. `outer`: the words of the wrapper it was
    found in, and `offset` where its own begin there. `unclear`: why what it does cannot be told before it runs.
    """

    words: tuple[Word, ...]
    folders: Folders = (".",)
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    wraps: bool = False
    unclear: str = ""
    outer: tuple[Word, ...] = ()
    offset: int = 0
    piped: bool = False
    """Reads another command's output."""
    late: bool = False
    """Runs at the end, or on a signal."""


class Script(Struct, frozen=True):
    """A whole command. Where `problem` is set it was not understood, and `commands` is not to be relied on."""

    commands: tuple[Simple, ...] = ()
    problem: str = ""
    unclear: tuple[str, ...] = ()
    """What it evaluates that only running it tells, outside of any one command."""

    @property
    def parsed(self) -> bool:
        return not self.problem

"""The words of a shell command against the file system: which file a word means in the folders the command may run in, what its patterns
stand for now. It decides nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from agentcli.safety.files import place
from agentcli.safety.findings import Script, Simple
from agentcli.safety.patterns import Place
from agentcli.safety.programs import use_of
from agentcli.safety.use import UNKNOWN_USE, Use
from agentcli.safety.words import Word, program_name, word

_MOST_FILES = 500
"""Names that one pattern of a command is expanded to before it is asked about as a whole."""
STREAMS = re.compile(r"-|/dev/(?:null|zero|full|stdin|stdout|stderr|tty|random|urandom|fd/\d+)")
_DIRECTORY_STACK = re.compile(r"~[-+\d]")
"""Tildes that stand for folders which only the shell knows."""


class Scene(Struct, frozen=True):
    """A command's `script` in the folder `cwd` where it starts."""

    cwd: Path
    script: Script

    def places(self, one: Word, simple: Simple, *, guess: bool = False) -> list[Place] | None:
        """Where a word leads, from each folder the command may run in; None where that is not known.

        With `guess` an unknown folder counts as the agent's own: for rules that forbid, which go by names too.
        """
        if one.text is None or _DIRECTORY_STACK.match(one.text):
            return None
        if STREAMS.fullmatch(one.text) or not one.text:
            return []
        found: list[Place] = []
        for folder in simple.folders:
            base = self.cwd if folder is None or one.text.startswith(("/", "~")) else self.folder(folder)
            if folder is None and not guess and not one.text.startswith(("/", "~")):
                return None
            texts = _expanded(base, one.text) if one.glob else [one.text]
            if texts is None:
                return None
            found += [place(base, text) for text in texts]
        return found

    def folder(self, folder: str) -> Path:
        return Path(os.path.normpath(self.cwd / os.path.expanduser(folder)))  # noqa: PTH111 a ~ of nobody stays as it is

    def steady(self, simple: Simple, *, besides: str = "") -> bool:
        """Whether nothing else in the script can make a file, so that patterns mean the files that are there now; `besides`: a program
        that does not count.
        """
        others = [one for one in self.script.commands if one is not simple and not one.wraps]
        others = [one for one in others if not (besides and one.words and program_name(one.words[0]) == besides)]
        opened = [redirect.path.text or "x" for one in others for redirect in one.redirects if redirect.kind == "write"]
        return all(settled_use(one).safe for one in others if one.words) and all(STREAMS.fullmatch(path) for path in opened)

    def settled(self, simple: Simple) -> tuple[Word, ...]:
        """The words with patterns replaced by the files they stand for, so that a name that looks like an option is seen as one."""
        if len(simple.folders) != 1 or simple.folders[0] is None:
            return simple.words
        words: list[Word] = []
        for one in simple.words:
            names = _expanded(self.folder(simple.folders[0]), one.text) if one.glob and one.text else None
            words += [one] if names is None else [word(name) for name in names]
        return tuple(words)

    def use(self, simple: Simple) -> Use:
        """What is known of a command, its patterns replaced where that is sure."""
        if any(one.glob for one in simple.words) and self.steady(simple):
            return use_of(self.settled(simple), piped=simple.piped)
        return known_use(simple)


def known_use(simple: Simple) -> Use:
    """What is known of a command."""
    return _use(simple, simple.words)


def settled_use(simple: Simple) -> Use:
    """What is known of a command, taking its patterns for plain names."""
    return _use(simple, [word(one.start or "x") if one.glob else one for one in simple.words])


def _use(simple: Simple, words: Sequence[Word]) -> Use:
    if not simple.words or (simple.unclear and simple.words[0].text is None):
        return UNKNOWN_USE
    return use_of(words, piped=simple.piped)


def _expanded(base: Path, pattern: str) -> list[str] | None:
    """The files a shell pattern stands for; the pattern itself where there are none; None where there are too many."""
    import glob
    from itertools import islice

    found = list(islice(glob.iglob(os.path.expanduser(pattern), root_dir=base), _MOST_FILES + 1))  # noqa: PTH111, PTH207 as bash does
    if len(found) > _MOST_FILES:
        return None
    return found or [pattern]

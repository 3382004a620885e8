"""The words of a shell command: what bash will pass to a program as far as that is known before it runs. Plain data."""

from __future__ import annotations

from msgspec import Struct

SYSTEM_FOLDERS = ("/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/")


class Word(Struct, frozen=True):
    """One word. `raw` is as written; `text` what the program gets, None where only running it tells; `start` what it certainly begins
    with; `glob`: `text` is a pattern that stands for the names of files.
    """

    raw: str
    text: str | None
    start: str = ""
    glob: bool = False


def word(text: str) -> Word:
    """A word known in full."""
    return Word(text, text, text)


UNKNOWN = Word("…", None)


def program_name(first: Word) -> str:
    """The plain name of a program that a shell finds by its path or in a folder of the system; else its text as it is."""
    text = first.text or ""
    folder, slash, name = text.rpartition("/")
    return name if not slash or folder + slash in SYSTEM_FOLDERS else text

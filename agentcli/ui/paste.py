"""Pasted text in the prompt: long ones folded to a mark that is opened again on sending, pictures as marks of their own. No terminal here."""

from __future__ import annotations

import re

from msgspec import Struct, field

from agentcli.protocol.messages import Image
from agentcli.protocol.text import one_line

FOLD_LINES = 10
FOLD_CHARACTERS = 2_000
"""What is longer than either is folded: more would push the conversation out of sight."""

_MARK = re.compile(r"\[pasted (?:\d+ lines|\d+ characters)(?: #\d+)?\]")
_PICTURES = ("png", "jpg", "jpeg", "gif", "webp", "bmp", "tiff", "heic")
_PICTURE_PATH = re.compile(rf"(?:file://)?['\"]?[^\n]{{1,1000}}\.(?:{'|'.join(_PICTURES)})['\"]?", re.IGNORECASE)
_PICTURE_BYTES = ("\x89PNG", "GIF8", "data:image/", "\xff\xd8\xff", "\ufffdPNG")

BY_FILE = "Pictures come as files: drop the file here, or paste its path."
EMPTY = f"Nothing in that paste is text. {BY_FILE}"


class Pastes(Struct):
    """What was folded in the text that is being written; `clear` when it was sent or thrown away."""

    _folded: dict[str, str] = field(default_factory=dict)
    _pictures: dict[str, Image] = field(default_factory=dict)

    def fold(self, text: str) -> str:
        """What goes into the prompt for a paste: itself where it is short, else a mark."""
        lines = text.removesuffix("\n").count("\n") + 1
        if lines <= FOLD_LINES and len(text) <= FOLD_CHARACTERS:
            return text
        size = f"{lines} lines" if lines > FOLD_LINES else f"{len(text)} characters"
        mark, number = f"[pasted {size}]", 1
        while mark in self._folded and self._folded[mark] != text:
            number += 1
            mark = f"[pasted {size} #{number}]"
        self._folded[mark] = text
        return mark

    def expand(self, text: str) -> str:
        """The text with every mark of ours replaced by what was pasted; a mark that a person typed stays."""
        return _MARK.sub(lambda mark: self._folded.get(mark[0], mark[0]), text)

    def show(self, picture: Image) -> str:
        """What stands in the prompt for a picture."""
        mark = f"[picture {one_line(picture.note, 60)}]"
        self._pictures[mark] = picture
        return mark

    def pictures_in(self, text: str) -> tuple[Image, ...]:
        """The pictures whose marks are still in the text, in the order they were pasted."""
        return tuple(picture for mark, picture in self._pictures.items() if mark in text)

    def clear(self) -> None:
        self._folded.clear()
        self._pictures.clear()


def normal(text: str) -> str:
    """Line breaks as LF: terminals send CR for them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refusal(text: str) -> str:
    """Why a paste is not taken, "" where it is: a picture's bytes, or nothing at all."""
    if not text.strip():
        return EMPTY if not text else ""
    if text.startswith(_PICTURE_BYTES):
        return BY_FILE
    return ""


def is_picture_path(text: str) -> bool:
    """Whether the paste is nothing but the path of a picture, as terminals insert for a dragged file."""
    return _PICTURE_PATH.fullmatch(text.strip()) is not None

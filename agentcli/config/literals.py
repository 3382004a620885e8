"""What the text literals of a config file mean: quoted text with its escapes, and heredocs. Nothing is ever evaluated in them."""

from __future__ import annotations

import re

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_SPECIAL = re.compile(r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.|\Z)|([$%])\1\{|[$%]\{|[\r\n]", re.DOTALL)
_MARKED = re.compile(r"([$%])\1\{|[$%]\{")

UNCLOSED = "this quote is never closed on its line"
HOW_TO_CLOSE = 'Close it with " (for several lines use <<EOT … EOT).'
NOT_EVALUATED = "text is never evaluated, and this has a ${ or %{ in it"
HOW_TO_WRITE = 'For a variable write env("NAME") without quotes around it; for the characters themselves write $${ or %%{.'


class BadLiteral(Exception):
    """A literal that means nothing. `offset` counts characters from the literal's start."""

    def __init__(self, message: str, hint: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset


def decoded(source: str) -> str:
    """The text of a literal as it stands in the file, quotes or heredoc marks included.

    Raises:
        BadLiteral: an unknown escape, a line break inside quotes, or a `${` that asks for evaluation.
    """
    return _heredoc(source) if source.startswith("<<") else _quoted(source)


def _quoted(source: str) -> str:
    def one(match: re.Match[str]) -> str:
        found, at = match[0], match.start() + 1
        if match[1]:
            return match[1] + "{"
        if found[0] in "$%":
            raise BadLiteral(NOT_EVALUATED, HOW_TO_WRITE, at)
        if found in "\r\n":
            raise BadLiteral(UNCLOSED, HOW_TO_CLOSE, 0)
        return _escape(found, at)

    return _SPECIAL.sub(one, source[1:-1])


def _escape(found: str, at: int) -> str:
    if len(found) > 2:
        code = int(found[2:], 16)  # noqa: FURB166 (an escape is no number of Python)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise BadLiteral("this escape names no character", "Write the character itself: the file is UTF-8.", at)
        return chr(code)
    char = _ESCAPES.get(found[1:])
    if char is None:
        raise BadLiteral("unknown escape in text", "For a backslash write \\\\ (in a Windows path / does, too).", at)
    return char


def _heredoc(source: str) -> str:
    for match in _MARKED.finditer(source):
        if not match[1]:
            raise BadLiteral(NOT_EVALUATED, HOW_TO_WRITE, match.start())
    mark, _, body = source.partition("\n")
    lines = body.replace("\r\n", "\n").rstrip(" \t\n").split("\n")[:-1]
    if mark.startswith("<<-"):
        lines = _dedented(lines)
    text = "".join(line + "\n" for line in lines)
    return _MARKED.sub(lambda match: match[1] + "{", text)


def _dedented(lines: list[str]) -> list[str]:
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()]
    cut = min(indents, default=0)
    return [line[cut:] for line in lines]

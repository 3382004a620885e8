"""Why a config file does not parse, in words for a person: unclosed quotes and brackets, foreign quotes, missing values. Pure text, no parser."""

from __future__ import annotations

import re

from agentcli.config.literals import HOW_TO_CLOSE, HOW_TO_WRITE, NOT_EVALUATED, UNCLOSED
from agentcli.config.tree import place

Finding = tuple[str, int, str]
"""What is wrong, the offset where, and what to do."""

_SHAPE = 'A setting is written key = value, a block: name "label" { … }.'
_TOKENS = re.compile(
    r"""
      \#[^\n]* | //[^\n]*
    | /\*.*?\*/
    | (?P<text>"(?:[^"\\\n]|\\[^\n])*")
    | <<-?(?P<mark>[A-Za-z][\w.-]*)\r?\n(?:.*?\n)??[ \t]*(?P=mark)[ \t]*(?=\r?\n|\Z)
    | (?P<fault>/\* | " | <<-?[A-Za-z][\w.-]*)
    | (?P<bracket>[][{}()])
    """,
    re.DOTALL | re.VERBOSE,
)
_HALF_TEMPLATE = re.compile(r"(?<![$%])[$%]\{[^}]*\Z")
_CLOSES = {"}": "{", "]": "[", ")": "("}
_FAULTS = {
    '"': (UNCLOSED, HOW_TO_CLOSE),
    "/*": ("this comment is never closed", "Close it with */."),
    "<<": ("this heredoc is never closed", "Write its mark alone on a line at the end."),
}


def explained(text: str, offset: int) -> Finding:
    """What is wrong with a text that a parser gave up on at `offset`."""
    fault = _structure(text)
    end = len(text.rstrip())
    if fault is not None and (fault[1] <= offset or offset >= end):
        return fault
    return _by_character(text, min(offset, end))


def _structure(text: str) -> Finding | None:
    opened: list[tuple[str, int]] = []
    for match in _TOKENS.finditer(text):
        if match["fault"]:
            message, hint = _FAULTS[match["fault"][:2]]
            return message, match.start(), hint
        if match["text"] and (half := _HALF_TEMPLATE.search(match["text"])):
            return NOT_EVALUATED, match.start() + half.start(), HOW_TO_WRITE
        bracket = match["bracket"]
        if not bracket:
            continue
        if bracket not in _CLOSES:
            opened.append((bracket, match.start()))
        elif not opened:
            return f'"{bracket}" closes nothing', match.start(), "Remove it, or open the block before it."
        elif opened[-1][0] != _CLOSES[bracket]:
            row, column = place(text, opened[-1][1])
            return f'"{bracket}" stands where "{opened[-1][0]}" of {row}:{column} is still open', match.start(), "Close that first."
        else:
            opened.pop()
    if opened:
        bracket, at = opened[-1]
        return f'"{bracket}" is opened here and never closed', at, "Close it, or remove it."
    return None


def _by_character(text: str, offset: int) -> Finding:
    before, after = text[:offset].rstrip(" \t\r"), text[offset:].lstrip(" \t")
    char = text[offset : offset + 1]
    if char in "'‘’“”«»`" and char:
        return "text takes straight double quotes", offset, 'Write "…".'
    if before.endswith("=") and (not after or after[0] in "\r\n#}"):
        return 'a value is missing after "="', offset, 'Write text in quotes ("…"), a number, true, false, [ … ] or env("NAME").'
    match char:
        case ";":
            return 'no ";" is needed', offset, "Write one setting a line."
        case ",":
            return "no comma was expected here", offset, "In a block write one setting a line; name = { a = 1, b = 2 } takes commas."
        case ":":
            return 'a setting is written with "="', offset, _SHAPE
        case '"' if not before.rpartition("\n")[2].strip():
            return "a key is written without quotes", offset, _SHAPE
        case "\n" | "\r" | "":
            return "this line is not finished", offset, _SHAPE
        case _ if char.isalnum() or char == "_":
            return "a word was not expected here", offset, _SHAPE
        case _:
            return f"unexpected {_named(char)}", offset, _SHAPE


def _named(char: str) -> str:
    return "quote" if char == '"' else f'"{char}"' if char.isprintable() else f"character U+{ord(char):04X}"

"""How the words of a command are read off the syntax tree: quotes, escapes, braces, known variables. Nothing here knows commands or
permissions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from agentcli.safety.words import Word

if TYPE_CHECKING:
    from tree_sitter import Node

Piece = tuple[str | None, bool]
"""A stretch of a word and whether it was quoted; text None: only running it tells."""
_MOST_BRACED = 64
"""Words that one brace expansion may become before it counts as unknown."""
_MOST_BRACES = 12
_ESCAPE = re.compile(r"\\(.)|([^\\]+)", re.DOTALL)
_IN_DOUBLE_QUOTES = re.compile(r'\\([$`"\\])|\\\n|(\\)|([^\\]+)', re.DOTALL)
_ANSI_C = re.compile(r"\\(?:([abefnrtv\\'\"?])|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|([0-7]{1,3}))|([^\\]+)|(\\.)", re.DOTALL)
_ANSI_C_LETTERS = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WILD = frozenset("*?[")
_UNKNOWN: Piece = (None, False)


Bindings = Mapping[str, Word]
"""Variables whose value is known where they are used: those of loops over known words."""


def read_words(node: Node, bindings: Bindings) -> tuple[Word, ...]:
    """The word(s) of an argument node: several where braces make several."""
    raw = source(node)
    pieces = tuple(_pieces(node, bindings))
    if any(text is None for text, _ in pieces):
        return (_unknown(raw, pieces),)
    chars = [(char, quoted) for text, quoted in pieces for char in text or ""]
    expanded = _braced(chars) if chars.count(("{", False)) <= _MOST_BRACES else None
    if expanded is None:
        return (Word(raw, None),)
    return tuple(_known(raw, chars) for chars in expanded)


def source(node: Node) -> str:
    return (node.text or b"").decode("utf-8")


def _known(raw: str, chars: list[tuple[str, bool]]) -> Word:
    text = "".join(char for char, _ in chars)
    glob = any(char in _WILD and not quoted for char, quoted in chars)
    start = text
    if glob:
        first = next(index for index, (char, quoted) in enumerate(chars) if char in _WILD and not quoted)
        start = text[:first]
    return Word(raw, text, start, glob)


def _unknown(raw: str, pieces: Iterable[Piece]) -> Word:
    start = ""
    for text, quoted in pieces:
        if text is None:
            break
        plain = text if quoted else re.split(r"[*?\[{]", text, maxsplit=1)[0]
        start += plain
        if plain != text:
            break
    return Word(raw, None, start)


def _pieces(node: Node, bindings: Bindings) -> Iterable[Piece]:
    text = source(node)
    match node.type:
        case "word":
            for escaped, plain in _ESCAPE.findall(text):
                yield (escaped, True) if escaped else (plain, False)
        case "number" | "variable_name" | "test_operator" | "file_descriptor":
            yield text, False
        case "raw_string":
            yield text[1:-1], True
        case "ansi_c_string":
            yield _ansi_c(text[2:-1]), True
        case "string":
            yield from _string(node, bindings)
        case "concatenation" | "command_name":
            yield from _joined(node, bindings)
        case "simple_expansion" | "expansion":
            yield _unquoted_value(bindings.get(_plain_name(node)))
        case "process_substitution":
            yield "/dev/fd/63", True
        case "$":
            yield "$", True
        case _:
            yield _UNKNOWN


def _joined(node: Node, bindings: Bindings) -> Iterable[Piece]:
    for child in node.children:
        yield from _pieces(child, bindings)


def _string(node: Node, bindings: Bindings) -> Iterable[Piece]:
    """A double-quoted string. White space next to an expansion or a line break may be in no node of the tree."""
    text, base = node.text or b"", node.start_byte
    yield "", True
    end = base + 1
    for child in node.children[1:]:
        yield text[end - base : child.start_byte - base].decode("utf-8"), True
        end = child.end_byte
        part = source(child)
        if child.type == "string_content":
            yield _without_escapes(part), True
            continue
        yield part[: len(part) - len(part.lstrip())], True
        if child.type == "$":
            yield "$", True
        elif child.is_named:
            value = bindings.get(_plain_name(child))
            yield _UNKNOWN if value is None else (value.text, not value.glob)


def _unquoted_value(value: Word | None) -> Piece:
    """What a variable gives outside quotes, where bash splits it and takes it for a pattern."""
    if value is None or value.text is None or re.search(r"[\s{]", value.text) or not value.text:
        return _UNKNOWN
    return value.text, not (value.glob or _WILD.intersection(value.text))


def _without_escapes(text: str) -> str:
    out = []
    for escaped, slash, plain in _IN_DOUBLE_QUOTES.findall(text):
        out.append(escaped or slash or plain)
    return "".join(out)


def _ansi_c(text: str) -> str | None:
    out = []
    for letter, hexadecimal, short, octal, plain, other in _ANSI_C.findall(text):
        if other:
            return None
        if letter:
            out.append(_ANSI_C_LETTERS.get(letter, letter))
        elif plain:
            out.append(plain)
        else:
            code = int(octal, 8) & 0xFF if octal else int(hexadecimal or short, 16)
            if code == 0 or 0x80 <= code <= 0xFF or 0xD800 <= code <= 0xDFFF:
                return None
            out.append(chr(code))
    return "".join(out)


def _plain_name(node: Node) -> str:
    """The variable of `$x` and `${x}`; "" for every other expansion."""
    named = [child for child in node.children if child.type not in ("$", "${", "}")]
    return source(named[0]) if len(named) == 1 and named[0].type == "variable_name" else ""


def _braced(chars: list[tuple[str, bool]]) -> list[list[tuple[str, bool]]] | None:
    """Brace expansion: one list of characters a word; None where it is more than is looked at."""
    start = next((at for at, (char, quoted) in enumerate(chars) if char == "{" and not quoted), None)
    if start is None:
        return [chars]
    parts, end, ranged = _brace_parts(chars, start)
    if end < 0 or (len(parts) < 2 and not ranged):
        rest = _braced(chars[start + 1 :])
        return None if rest is None else [chars[: start + 1] + tail for tail in rest]
    if ranged:
        return None
    heads: list[list[tuple[str, bool]]] = []
    for part in parts:
        inner = _braced(part)
        if inner is None:
            return None
        heads += inner
    tails = _braced(chars[end + 1 :])
    if tails is None or len(heads) * len(tails) > _MOST_BRACED:
        return None
    return [chars[:start] + head + tail for head in heads for tail in tails]


def _brace_parts(chars: list[tuple[str, bool]], start: int) -> tuple[list[list[tuple[str, bool]]], int, bool]:
    """The parts of the brace at `start`, where it ends (-1: nowhere), and whether it is a range."""
    parts: list[list[tuple[str, bool]]] = [[]]
    depth = 1
    for at in range(start + 1, len(chars)):
        char, quoted = chars[at]
        if not quoted:
            depth += (char == "{") - (char == "}")
            if depth == 0:
                inner = "".join(one for one, _ in parts[0])
                return parts, at, len(parts) == 1 and ".." in inner
            if char == "," and depth == 1:
                parts.append([])
                continue
        parts[-1].append((char, quoted))
    return parts, -1, False

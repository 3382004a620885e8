"""Exact replacement in a text: where an edit's old text stands, what takes its place, and a hint where it does not stand. Pure.

Line ends are the one thing matched loosely, for a model sees and writes only LF: a CRLF counts as one line end and cannot be cut in
two, lines that an edit repeats keep the end they had, and what it adds gets the file's. An edit that writes a CR itself is literal.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from msgspec import Struct

from agentcli.protocol.errors import ToolError
from agentcli.tools.texts import line_end, seen_text

HINT_LINES = 5_000
"""Different lines looked at for a hint."""

DOTS = r"(?:\.{3}|…)"
STANDS_FOR = (
    r"(?:the )?(?:(?:rest|remainder) of (?:\w+ ){0,3}\w+|rest unchanged"
    r"|(?:existing|remaining|unchanged|previous|other) (?:code|contents?|methods?|functions?|lines?|imports?|implementation))"
)
PLACEHOLDER = rf"{DOTS} ?{STANDS_FOR}[^.…]{{0,30}}{DOTS}?|{STANDS_FOR}[^.…]{{0,30}}{DOTS}"
COMMENT = r"^(?:#+|/[/*]+|<!--|--|;+|%+|\*)?\s*[(\[{]?\s*|\s*[)\]}]?\s*(?:\*/|-->)?$"


class Swap(Struct, frozen=True):
    old: str
    new: str
    replace_all: bool = False


def replaced(text: str, edits: Sequence[Swap], shown: str) -> tuple[str, int]:
    """The text after all edits, each made on the result of the one before, and how many places changed.

    Raises:
        ToolError: `no_change`, `exists`, `placeholder`, `not_found`, `multiple`; `shown` names the file in its message.
    """
    count = 0
    for index, edit in enumerate(edits, 1):
        where = shown if len(edits) == 1 else f"edit {index} of {len(edits)} in {shown} (nothing was changed)"
        text, places = _one(text, edit, where)
        count += places
    return text, count


def _one(text: str, edit: Swap, where: str) -> tuple[str, int]:
    refuse_empty(edit, where)
    if not edit.old:
        if text:
            raise ToolError(f"{where}: the file exists and is not empty; give the text to replace, or use write", code="exists")
        return edit.new, 1
    refuse_placeholder(edit.old, edit.new, where)
    spans, literal = _spans(text, edit.old, apart=edit.replace_all)
    if not spans:
        raise ToolError(f"{where}: the old text was not found. {hint(text, edit.old)}", code="not_found")
    if len(spans) > 1 and not edit.replace_all:
        lines = ", ".join(str(_line_at(text, start)) for start, _ in spans[:8]) + (", …" if len(spans) > 8 else "")
        raise ToolError(
            f"{where}: the old text stands in {len(spans)} places (lines {lines}). Add lines around it, or set replace_all.", code="multiple"
        )
    after = _put_in(text, spans, edit, literal=literal)
    if after == text:
        raise ToolError(f"{where}: the file already is as this edit would make it (line ends follow the file)", code="no_change")
    return after, len(spans)


def refuse_empty(edit: Swap, where: str) -> None:
    if edit.old == edit.new:
        raise ToolError(f"{where}: old and new are the same text", code="no_change")


def refuse_placeholder(old: str, new: str, where: str) -> None:
    """Raises `ToolError` (`placeholder`) for a line like `# ... rest of the code ...`, which would delete what it stands for."""
    for line in map(str.strip, new.split("\n")):
        if ("..." not in line and "…" not in line) or line in old:
            continue
        if re.fullmatch(PLACEHOLDER, re.sub(COMMENT, "", line), re.IGNORECASE):
            raise ToolError(
                f"{where}: the new text holds the placeholder {line!r}, which would be written as it stands; write the text in full",
                code="placeholder",
            )


# --- where ---


def _returns_only(text: str) -> bool:
    return "\r" in text and "\n" not in text


def _feeds(text: str, like: str) -> str:
    """A text with LF for every line end, as the file `like` counts line ends."""
    text = text.replace("\r\n", "\n")
    return text.replace("\r", "\n") if _returns_only(like) else text


def _spans(text: str, old: str, *, apart: bool) -> tuple[list[tuple[int, int]], bool]:
    """Start and end of each place, and whether they are literal: the old text writes a CR and stands there just so.

    `apart`: places do not overlap. Otherwise those that do count too, for which of them is meant cannot be known.
    """
    if "\r" in old and (exact := list(_found(text, old, apart=apart))):
        return exact, True
    plain = _feeds(text, text)
    found = _found(plain, _feeds(old, text), apart=apart)
    if len(plain) == len(text):
        return list(found), False
    # Where each CRLF's LF is in the plain text: a place there lies one CR per earlier pair further on in the file.
    pairs = [match.start() - index for index, match in enumerate(re.finditer("\r\n", text))]
    return [(start + bisect_left(pairs, start), end + bisect_left(pairs, end)) for start, end in found], False


def _found(text: str, old: str, *, apart: bool) -> Iterator[tuple[int, int]]:
    at = text.find(old)
    while at >= 0:
        yield at, at + len(old)
        at = text.find(old, at + (len(old) if apart else 1))


def _line_at(text: str, position: int) -> int:
    return text.count("\r" if _returns_only(text) else "\n", 0, position) + 1


# --- what ---


def _put_in(text: str, spans: list[tuple[int, int]], edit: Swap, *, literal: bool) -> str:
    common = line_end(text)
    parts, at = [], 0
    for start, end in spans:
        put = edit.new if literal or ("\r" in edit.new and "\r" not in edit.old) else _with_ends(text, start, end, edit.new, common)
        parts += [text[at:start], put]
        at = end
    return "".join((*parts, text[at:]))


def _with_ends(text: str, start: int, end: int, new: str, common: str) -> str:
    """The new text with the file's line ends. In a file that mixes them lines that stay keep theirs, one that takes another's place
    gets that one's, and one that is added gets its neighbour's.
    """
    new = _feeds(new, text)
    if common:
        return new.replace("\n", common)
    raw = _lines(text[start:end])
    old, lines = [line.replace("\r\n", "\n") for line in raw], _lines(new)
    most = min(len(old), len(lines))
    head = next((index for index in range(most) if old[index] != lines[index]), most)
    tail = next((index for index in range(most - head) if old[-1 - index] != lines[-1 - index]), most - head)
    ends = [_end_of(line) for line in raw[: len(raw) - tail]]
    near = re.compile("\r?\n")
    beside = near.search(text, start) or near.search(text)
    other = next((end for end in (*reversed(ends), beside[0] if beside else "") if end), "\n")
    middle = [
        line.removesuffix("\n") + ((ends[at : at + 1] or [other])[0] or other) if line.endswith("\n") else line
        for at, line in enumerate(lines[head : len(lines) - tail], head)
    ]
    return "".join((*raw[:head], *middle, *raw[len(raw) - tail :]))


def _end_of(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else line[-1:] if line.endswith("\n") else ""


def _lines(text: str) -> list[str]:
    """Lines with their ends, split at LF only."""
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


# --- why not ---


def hint(text: str, old: str) -> str:
    """One or two sentences for a model whose old text was not found: what the file has instead."""
    if not text:
        return "The file is empty."
    plain, sought = _feeds(text, text), _feeds(old, text)
    unnumbered = re.sub(r"^ *\d+\t", "", sought, flags=re.MULTILINE)
    if unnumbered != sought and unnumbered in plain:
        return "Leave out the line numbers that read puts in front."
    if sought.endswith("\n") and plain.endswith(sought.rstrip("\n")):
        return "It is at the end of the file, whose last line has no line end: leave the last one out."
    lines = plain.split("\n")
    if same := _loosely(lines, sought.split("\n")):
        first, found = same
        return f"Lines {first}-{first + len(found) - 1} differ from it in white space only; copy them exactly:\n{_quoted(found)}"
    near = _nearest(lines, sought)
    return f"The nearest line is {near[0]}:\n{_quoted([near[1]])}" if near else "Nothing like it is there; read the file again."


def _quoted(lines: list[str]) -> str:
    return seen_text("\n".join(line[:300] for line in lines[:20]))


def _loosely(lines: list[str], sought: list[str]) -> tuple[int, list[str]] | None:
    """The only stretch of lines equal to the sought but for white space: its first line's number and the lines."""
    keys = ["".join(line.split()) for line in sought]
    while keys and not keys[-1]:
        keys.pop()
    if not any(keys):
        return None
    bare = ["".join(line.split()) for line in lines]
    starts = [at for at, key in enumerate(bare) if key == keys[0] and bare[at : at + len(keys)] == keys]
    return (starts[0] + 1, lines[starts[0] : starts[0] + len(keys)]) if len(starts) == 1 else None


def _nearest(lines: list[str], sought: str) -> tuple[int, str] | None:
    """The line most like the longest of the sought, and its number."""
    import difflib  # failures only

    key = max((line.strip() for line in sought.split("\n")), key=len)[:200]
    numbers: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if len(numbers) >= HINT_LINES:
            break
        if bare := line.strip()[:200]:
            numbers.setdefault(bare, number)
    inside = next((bare for bare in numbers if key and (key in bare or (len(bare) > 7 and bare in key))), None)
    best = [inside] if inside else difflib.get_close_matches(key, numbers, n=1, cutoff=0.6)
    return (numbers[best[0]], lines[numbers[best[0]] - 1]) if best else None

"""A unified diff of one file for a person, in time that does not grow with the file but with the change. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from agentcli.tools.texts import seen_text

CONTEXT = 3
COMPARED = 5_000
"""Changed lines up to which the least change is looked for; beyond, the whole stretch is shown as replaced."""
DIFF_LIMIT = 60_000
"""Characters of a diff, about 1,500 lines. What is beyond is counted."""


class Change(Struct, frozen=True):
    """A change of one file: the diff, cut at `DIFF_LIMIT`, and how many lines it adds and removes in all."""

    diff: str = ""
    added: int = 0
    removed: int = 0


def change(path: str, before: str, after: str, *, created: bool = False) -> Change:
    """The change as a unified diff; an empty one where only line ends differ."""
    old, new = _lines(before), _lines(after)
    if old == new:
        return Change()
    hunks = list(_hunks(old, new))
    head = [f"--- {'/dev/null' if created else 'a/' + path}", f"+++ b/{path}"]
    added, removed = (sum(line.startswith(sign) for line in hunks) for sign in "+-")
    return Change(_bounded([*head, *hunks]), added, removed)


def _lines(text: str) -> list[str]:
    """Lines without their ends; a last line that has none carries the mark that diffs use for it."""
    if not text:
        return []
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = plain.split("\n")
    if lines[-1]:
        lines[-1] += "\n\\ No newline at end of file"
    else:
        lines.pop()
    return lines


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    """Hunks of what lies between the lines that both share at start and end, which are passed over quickly."""
    start, end = _shared(old, new)
    first = max(start - CONTEXT, 0)
    left, right = old[first : len(old) - max(end - CONTEXT, 0)], new[first : len(new) - max(end - CONTEXT, 0)]
    if max(len(left), len(right)) > COMPARED:
        yield _header(first, len(left), first, len(right))
        yield from _replaced(left, right, start - first, end - max(end - CONTEXT, 0))
        return
    from difflib import SequenceMatcher

    for group in SequenceMatcher(None, left, right).get_grouped_opcodes(CONTEXT):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = group[0], group[-1]
        yield _header(first + i1, i2 - i1, first + j1, j2 - j1)
        for tag, i, i_end, j, j_end in group:
            if tag == "equal":
                yield from (" " + line for line in left[i:i_end])
            else:
                yield from ("-" + line for line in left[i:i_end])
                yield from ("+" + line for line in right[j:j_end])


def _replaced(left: list[str], right: list[str], start: int, end: int) -> Iterator[str]:
    yield from (" " + line for line in left[:start])
    yield from ("-" + line for line in left[start : len(left) - end])
    yield from ("+" + line for line in right[start : len(right) - end])
    yield from (" " + line for line in left[len(left) - end :])


def _header(i: int, old: int, j: int, new: int) -> str:
    return f"@@ -{i + bool(old)},{old} +{j + bool(new)},{new} @@"


def _shared(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines both start with, and how many of the rest both end with."""
    most = min(len(old), len(new))
    start = next((index for index in range(most) if old[index] != new[index]), most)
    end = next((index for index in range(most - start) if old[-1 - index] != new[-1 - index]), most - start)
    return start, end


def _bounded(lines: list[str]) -> str:
    size = 0
    for index, line in enumerate(lines):
        size += len(line) + 1
        if size > DIFF_LIMIT:
            lines = [*lines[:index], f"… {len(lines) - index} more lines of this diff"]
            break
    return seen_text("\n".join(lines) + "\n")

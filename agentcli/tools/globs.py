"""Glob patterns as `glob` and `grep` read them: to a test of relative paths, and to what narrows a search for ripgrep. Pure.

`*` and `?` stay within one name, `**` crosses folders, `[a-z]` is one character or literally `[a-z]` (files of web routes are named
so), `{a,b}` is either, a backslash takes the next character literally.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from agentcli.protocol.errors import ToolError
from agentcli.safety.paths import FOLDS_CASE

MOST = 256
"""Patterns that braces may stand for."""


class Glob(Struct, frozen=True):
    """A pattern, tested against paths relative to the searched folder.

    `names`: name patterns for ripgrep, one of which every match's last name has; empty: it may have any.
    `hidden`: the pattern names an entry that starts with a dot, so such entries are looked at.
    """

    matches: Callable[[str], bool]
    names: tuple[str, ...]
    hidden: bool


def split(pattern: str) -> tuple[str, str]:
    """The leading folders of a pattern that have no wildcard, and the rest, which is never empty for a pattern that is not."""
    parts = pattern.split("/")
    count = next((index for index, part in enumerate(parts[:-1]) if re.search(r"[*?\[{\\]", part)), len(parts) - 1)
    return "/".join(parts[:count]) or ("/" if count else ""), "/".join(parts[count:])


def parsed(pattern: str, *, anywhere: bool) -> Glob:
    """A pattern to test with. `anywhere`: it may match below any folder, not only from the searched one on.

    Raises:
        ToolError: `bad_pattern`.
    """
    if not pattern or "\0" in pattern:
        raise ToolError("the glob pattern is empty or holds a NUL character", code="bad_pattern")
    patterns = _spread(pattern + "**" if pattern.endswith("/") else pattern)
    parts = [one.split("/") for one in patterns]
    if any(".." in names for names in parts):
        raise ToolError(f"the glob pattern {pattern!r} goes up with '..'; give the folder as path instead", code="bad_pattern")
    start = "(?:.*/)?" if anywhere else ""
    tests = [re.compile(start + _regex(names), re.DOTALL) for names in parts]
    hidden = any(name.startswith(".") for names in parts for name in names)
    return Glob(lambda path: any(test.fullmatch(path) for test in tests), _last_names(parts), hidden)


def filtering(pattern: str, folder: str = "") -> Glob:
    """`grep`'s glob: without a slash it matches names at any depth, with one paths below the folder; a leading `!` excludes.

    A pattern that starts with the searched `folder` itself, as the model named that, is understood too.
    """
    text = pattern.strip().removeprefix("!").removeprefix("./")
    found = parsed(text.lstrip("/"), anywhere="/" not in text)
    prefix = folder.strip("/") + "/"

    def within(path: str) -> bool:
        return found.matches(path) or (prefix != "/" and found.matches(prefix + path))

    if pattern.strip().startswith("!"):
        return Glob(lambda path: not within(path), (), hidden=False)
    return Glob(within, found.names, found.hidden)


def below(denied: Iterable[str], folder: Path, roots: Sequence[Path]) -> tuple[str, ...]:
    """Gitignore-like globs that hold from the `roots` (or, with a leading slash, the file system's), as ripgrep reads them in `folder`, a
    real path: braces and all that is special to it alone made plain."""
    found: list[str] = []
    for pattern in denied:
        text = re.sub(r"(?<!\\)([{}])", r"[\1]", pattern.rstrip("/") or "/")
        if not text.startswith("/"):
            found.append(text)
            continue
        parts = [part for part in text.split("/") if part]
        for base in (*roots, Path("/")):
            if folder.is_relative_to(base):
                found += ["/" + "/".join(rest) for rest in _beyond(parts, folder.relative_to(base).parts)]
            elif base.is_relative_to(folder):
                found.append("/" + "/".join([*map(_plain, base.relative_to(folder).parts), *parts]))
    return tuple(dict.fromkeys(found))


def _beyond(parts: Sequence[str], folders: Sequence[str]) -> Iterator[Sequence[str]]:
    """What is left of a pattern below folders that its beginning matches; of one that ends there, all that is below."""
    if not folders or not parts:
        yield parts or ["**"]
    elif parts[0] == "**":
        if len(parts) > 1:
            yield from _beyond(parts[1:], folders)
        yield from _beyond(parts, folders[1:])
    elif re.fullmatch(_name_regex(parts[0]), folders[0], re.DOTALL | re.IGNORECASE if FOLDS_CASE else re.DOTALL):
        yield from _beyond(parts[1:], folders[1:])


def _plain(name: str) -> str:
    return re.sub(r"([*?\[\]{}\\!])", r"\\\1", name)


def _spread(pattern: str) -> list[str]:
    """What the braces stand for, each without any."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        if len(done) + len(waiting) > MOST:
            raise ToolError(f"the glob pattern stands for more than {MOST} patterns; use fewer braces", code="bad_pattern")
        one = waiting.pop()
        if (span := _braces(one)) is None:
            done.append(one)
            continue
        start, end, choices = span
        waiting += [one[:start] + choice + one[end:] for choice in reversed(choices)]
    return done


def _braces(text: str) -> tuple[int, int, list[str]] | None:
    """Start, end and choices of the first pair of braces that closes."""
    depth, cuts, index = 0, [0], 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif char == "{":
            cuts = cuts if depth else [index]
            depth += 1
        elif char == "," and depth == 1:
            cuts.append(index)
        elif char == "}" and depth:
            depth -= 1
            if not depth:
                return cuts[0], index + 1, [text[a + 1 : b] for a, b in zip(cuts, [*cuts[1:], index], strict=True)]
        index += 1
    return None


def _regex(names: list[str]) -> str:
    out = "".join("(?:[^/]*/)*" if name == "**" else _name_regex(name) + "/" for name in names[:-1])
    return out + (".*" if names[-1] == "**" else _name_regex(names[-1]))


def _name_regex(name: str) -> str:
    out, index = "", 0
    while index < len(name):
        char = name[index]
        if char == "\\" and index + 1 < len(name):
            out, index = out + re.escape(name[index + 1]), index + 2
        elif char == "[" and (found := re.match(r"\[([!^]?)(\]?[^\]]*)\]", name[index:])):
            out, index = out + _class_regex(found), index + found.end()
        else:
            out, index = out + {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)), index + 1
    return out


def _class_regex(found: re.Match[str]) -> str:
    literal, listed = re.escape(found[0]), re.escape(found[2]).replace("\\-", "-")
    # Two hyphens together may come to mean something else to `re`: one that begins or ends a range is written as a character.
    first, rest = ("\\-", listed[1:]) if listed.startswith("-") else ("", listed)
    either = f"(?:(?!/)[{'^' if found[1] else ''}{first}{rest.replace('--', '-' + chr(92) + '-')}]|{literal})"
    try:
        re.compile(either)
    except re.error:
        return literal
    return either


def _last_names(parts: list[list[str]]) -> tuple[str, ...]:
    """The last names, loose enough to mean no less under ripgrep's rules; none where one may be any name."""
    names = {re.sub(r"\[.*\]|\\.", "*", names[-1]).replace("{", "?").replace("}", "?") for names in parts}
    useful = all(name.strip("*?") and not set(name) & set(":[]\\") for name in names)
    return tuple(sorted(names)) if useful else ()

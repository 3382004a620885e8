"""Permission rules as text: `tool`, `tool(pattern)`. What each kind of pattern means and whether it matches; what follows from a match is
decided elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from agentcli.protocol.errors import ConfigError
from agentcli.safety.paths import FOLDS_CASE, fold, inside, relative
from agentcli.safety.words import Word, program_name

Kind = Literal["tool", "path", "command", "host", "agent", "model"]
Match = Literal["no", "maybe", "yes"]
Side = Literal["allow", "forbid"]
"""A rule that allows must match what is really meant; one that forbids or asks matches any way of naming it."""

READS = frozenset(("read", "grep", "glob", "ls"))
CHANGES = frozenset(("edit", "write"))
_KINDS: dict[str, Kind] = {
    **dict.fromkeys((*READS, *CHANGES), "path"),
    "bash": "command", "web_fetch": "host", "task": "agent", "model": "model", "workspace": "path",
}  # fmt: skip
_ALIASES = {
    "bash": "bash", "shell": "bash", "read": "read", "edit": "edit", "multiedit": "edit", "notebookedit": "edit", "write": "write",
    "glob": "glob", "grep": "grep", "ls": "ls", "webfetch": "web_fetch", "task": "task", "agent": "task", "model": "model",
    "todo": "todo", "todowrite": "todo", "websearch": "web_search",
}  # fmt: skip
"""Names of tools of this field, without `_` and in lower case, as ours."""
_RULE = re.compile(r"\s*([A-Za-z_*][\w.*-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
_LONGEST = 1_000


class Rule(Struct, frozen=True, eq=False):
    """One rule. `text` is as written, `tool` the tool's name here, `pattern` what stands in parentheses ("" for the bare name).

    `glob` is of a bare name with `*`, an agent or a model.
    """

    text: str
    tool: str
    kind: Kind
    pattern: str
    path: PathPattern | None = None
    command: CommandPattern | None = None
    glob: re.Pattern[str] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and (self.text, self.tool) == (other.text, other.tool)

    def __hash__(self) -> int:
        return hash((self.text, self.tool))

    def names(self, tool: str) -> bool:
        """Whether this is a bare rule for `tool`."""
        if self.kind != "tool":
            return False
        name = tool.casefold()
        return bool(self.glob.fullmatch(name)) if self.glob else self.tool == name or name.startswith(f"{self.tool}__")


def parse_rule(text: str) -> Rule:
    """The rule of one text. Claude Code's names and spellings are taken too.

    Raises:
        ConfigError: it is no rule; names the text and what is wrong with it.
    """
    match = _RULE.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        raise _bad(text, "a rule is a tool's name, or tool(pattern)")
    name, pattern = match[1], match[2]
    tool = _ALIASES.get(name.replace("_", "").replace("-", "").casefold(), name.casefold())
    if pattern is None or (pattern.strip() in ("*", "**", ":*") and _KINDS.get(tool) != "path"):
        glob = _wildcard(tool) if "*" in tool else None
        return Rule(text.strip(), tool, "tool", "", glob=glob)
    pattern = pattern.strip()
    kind = _kind(text, tool, pattern)
    return _BUILDERS[kind](text.strip(), tool, pattern)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a list as flags carry it: separated by commas or spaces outside parentheses. Raises `ConfigError`."""
    return tuple(parse_rule(part) for part in split_rules(text))


def split_rules(text: str) -> tuple[str, ...]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")" and depth > 0)
        if depth == 0 and (char == "," or char.isspace()):
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return tuple(part.strip() for part in parts if part.strip())


def _bad(text: str, why: str, hint: str = "") -> ConfigError:
    return ConfigError(f"bad permission rule '{text[:200]}': {why}.", hint=hint)


def _kind(text: str, tool: str, pattern: str) -> Kind:
    if not pattern:
        raise _bad(text, "the parentheses are empty", f"Write '{tool}' for all of it.")
    kind = _KINDS.get(tool)
    if kind is not None:
        return kind
    import difflib

    near = difflib.get_close_matches(tool, _KINDS, 1)
    guess = f"Did you mean '{near[0]}'? " if near else ""
    raise _bad(text, f"'{tool}' takes no pattern", f"{guess}Patterns are for: {', '.join(sorted(_KINDS))}.")


# --- paths ---


class Place(Struct, frozen=True):
    """A file or folder that a call names: as an absolute path as written, and where that really leads."""

    written: Path
    real: Path


class PathPattern(Struct, frozen=True):
    """A gitignore-like pattern. `base`: `any` depth, or from the workspace (`root`), the `home` or the file system's root (`absolute`).

    `fixed` is the folder before the first wild card or last part, `rest` matches what is below it. A pattern that matches a folder
    matches all below it. `whole` is the path of a pattern without wild cards.
    """

    base: Literal["any", "root", "home", "absolute"]
    fixed: str
    rest: re.Pattern[str]
    whole: str

    def matches(self, place: Place, roots: Sequence[Path], side: Side) -> bool:
        forms = (place.real,) if side == "allow" else (place.written, place.real)
        if self.base == "any":
            return any(self._floats(form, roots, side) for form in forms)
        return any(self._below(form, base) for form in forms for base in self._bases(roots, side)) or (
            side == "forbid" and bool(self.whole) and any(inside(place.real, (target,)) for target in self._targets(roots))
        )

    def _floats(self, path: Path, roots: Sequence[Path], side: Side) -> bool:
        names = [name for root in roots if (name := relative(path, root)) is not None]
        if not names and side == "forbid":
            names = [str(path).lstrip("/")]
        return any(self.rest.fullmatch(fold(name)) for name in names)

    def _below(self, path: Path, base: Path) -> bool:
        name = relative(path, base)
        return name is not None and self.rest.fullmatch(fold(name)) is not None

    def _bases(self, roots: Sequence[Path], side: Side) -> Iterable[Path]:
        if self.base == "root":
            yield from (root / self.fixed for root in (roots[:1] if side == "allow" else roots))
            if side == "forbid":
                yield from (_real(root / self.fixed) for root in roots)
            return
        outer = self._outer()
        yield _real(outer / self.fixed)
        if side == "forbid":
            yield outer / self.fixed
            if self.base == "absolute":  # `/x` means the project's x elsewhere: a rule that forbids holds for both
                yield from (root / self.fixed for root in roots)

    def _targets(self, roots: Sequence[Path]) -> Iterable[Path]:
        tops = roots if self.base == "root" else (self._outer(),)
        return (_real(top / self.whole) for top in tops)

    def _outer(self) -> Path:
        return Path(os.path.expanduser("~")) if self.base == "home" else Path("/")  # noqa: PTH111 never raises


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _path_rule(text: str, tool: str, pattern: str) -> Rule:
    if pattern.startswith("!"):
        raise _bad(text, "a pattern cannot be negated", "Use deny rules for exceptions.")
    if "\0" in pattern:
        raise _bad(text, "it holds a NUL byte")
    return Rule(text, tool, "path", pattern, path=_path_pattern(pattern))


def _path_pattern(pattern: str) -> PathPattern:
    flags = re.IGNORECASE if FOLDS_CASE else 0
    text = re.sub(r"/{2,}", "/", pattern)
    base, text = _based(text)
    text = text.rstrip("/")
    if base == "any":
        return PathPattern("any", "", re.compile(f"(?s:(?:.*/)?{_glob(fold(text.removeprefix('**/')))}(?:/.*)?)", flags), "")
    parts = text.split("/")
    wild = next((at for at, part in enumerate(parts) if re.search(r"[*?\[\\]", part)), len(parts))
    split = min(wild, len(parts) - 1)
    rest = "/".join(parts[split:])
    shape = _glob(fold(rest)) if rest else ".*"
    whole = text if wild == len(parts) else ""
    return PathPattern(base, "/".join(parts[:split]), re.compile(f"(?s:{shape}(?:/.*)?)", flags), whole)


def _based(text: str) -> tuple[Literal["any", "root", "home", "absolute"], str]:
    if text == "~" or text.startswith("~/"):
        return "home", text[2:]
    if text.startswith("/"):
        return "absolute", text[1:]
    if text.startswith("./"):
        return "root", os.path.normpath(text) if text != "./" else ""
    if text == ".":
        return "root", ""
    if text.startswith("**/") or "/" not in text.rstrip("/"):
        return "any", text
    return "root", text


def _glob(text: str) -> str:
    """A glob as a regular expression: `*` and `?` within a name, `**` across names, `[…]`, backslash escapes."""
    out, at = [], 0
    while at < len(text):
        char = text[at]
        if text.startswith("**", at):
            end = at + len(text[at:]) - len(text[at:].lstrip("*"))
            if text.startswith("/", end) and (at == 0 or text[at - 1] == "/"):
                out.append("(?:[^/]+/)*")
                end += 1
            else:
                out.append(".*" if at == 0 or text[at - 1] != "/" else ".+")
            at = end
            continue
        step = 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and (found := re.compile(r"\[([!^]?)(\]?[^\]]*)\]").match(text, at)):
            inner = found[2].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("&&", "&\\&")
            out.append(f"[{'^/' if found[1] else ''}{inner}]")
            step = len(found[0])
        elif char == "\\" and at + 1 < len(text):
            out.append(re.escape(text[at + 1]))
            step = 2
        else:
            out.append(re.escape(char))
        at += step
    return "".join(out)


# --- commands ---


class CommandPattern(Struct, frozen=True):
    """Words a command begins with. `assigned`: variables that may be set in front of it. `open_end`: more words may follow."""

    words: tuple[str, ...]
    assigned: tuple[str, ...]
    open_end: bool
    globs: tuple[re.Pattern[str] | None, ...] = ()

    def matches(self, words: Sequence[Word], side: Side) -> Match:
        return self._from(0, words, 0, side)

    def _from(self, at: int, words: Sequence[Word], start: int, side: Side) -> Match:
        """Whether the pattern's words from `at` match the command's from `start`."""
        best: Match = "yes"
        while at < len(self.words):
            if self.words[at] == "*":
                return self._skips(at + 1, words, start, side)
            if start >= len(words):
                return "no"
            found = self._word(at, words[start], side)
            if found == "no":
                return "no"
            if found == "maybe":
                return "maybe" if side == "forbid" else "no"
            at, start = at + 1, start + 1
        whole = self.open_end or side == "forbid" or start == len(words)
        return best if whole else "no"

    def _skips(self, at: int, words: Sequence[Word], start: int, side: Side) -> Match:
        found = {self._from(at, words, later, side) for later in range(start, len(words) + 1)}
        return "yes" if "yes" in found else "maybe" if "maybe" in found else "no"

    def _word(self, at: int, word: Word, side: Side) -> Match:
        wanted, glob = self.words[at], self.globs[at]
        if word.text is None or word.glob:
            start = word.start
            return "maybe" if glob or wanted.startswith(start) or start.startswith(wanted) else "no"
        text = word.text
        if at == 0:
            return "yes" if self._program(word, wanted, glob, side) else "no"
        return "yes" if (glob.fullmatch(text) if glob else text == wanted) else "no"

    def _program(self, word: Word, wanted: str, glob: re.Pattern[str] | None, side: Side) -> bool:
        text = word.text or ""
        names = {text, program_name(word)}
        if side == "forbid":
            names.add(text.rpartition("/")[2])
        if glob:
            return any(glob.fullmatch(name) for name in names)
        return bool({fold(name) for name in names} & {fold(wanted), fold(program_name(Word(wanted, wanted)))})


def _command_rule(text: str, tool: str, pattern: str) -> Rule:
    words = _shell_words(text, pattern)
    first = next((at for at, one in enumerate(words) if not _ASSIGNED.match(one)), len(words))
    assigned, words = tuple(words[:first]), words[first:]
    open_end = True
    if words and words[-1] == "*":
        words.pop()
    elif "*" in words:
        open_end = False
    if not words:
        raise _bad(text, "it names no command")
    globs = tuple(_wildcard(one) if "*" in one and one != "*" else None for one in words)
    return Rule(text, tool, "command", pattern, command=CommandPattern(tuple(words), assigned, open_end, globs))


def _shell_words(text: str, pattern: str) -> list[str]:
    import shlex

    lexer = shlex.shlex(pattern.removesuffix(":*"), posix=True, punctuation_chars=";|&<>()\n`")
    lexer.commenters = ""
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError as error:
        raise _bad(text, f"{error}") from None
    if any(set(one) <= set(";|&<>()\n`") for one in words) or "$(" in pattern:
        raise _bad(text, "it names more than one simple command", "Write one rule for each command; each is judged by itself.")
    return words


# --- the rest ---


def _host_rule(text: str, tool: str, pattern: str) -> Rule:
    host = pattern.removeprefix("domain:").strip().casefold().removeprefix("*.").rstrip(".")
    if not re.fullmatch(r"[\w.:\[\]-]+", host) or "*" in host:
        raise _bad(text, "a page is named by its host", "Write web_fetch(domain:example.com); hosts below it are included.")
    return Rule(text, tool, "host", host)


def _agent_rule(text: str, tool: str, pattern: str) -> Rule:
    if pattern.startswith("model:"):
        return Rule(text, tool, "model", pattern[6:].strip(), glob=_wildcard(pattern[6:].strip()))
    return Rule(text, tool, "agent", pattern, glob=_wildcard(pattern))


def _model_rule(text: str, tool: str, pattern: str) -> Rule:
    return Rule(text, tool, "model", pattern, glob=_wildcard(pattern))


def _wildcard(pattern: str) -> re.Pattern[str]:
    """`*` for any run of characters, nothing else special."""
    parts = re.sub(r"\*+", "*", pattern).split("*")
    return re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)


_BUILDERS: dict[Kind, Callable[[str, str, str], Rule]] = {
    "path": _path_rule,
    "command": _command_rule,
    "host": _host_rule,
    "agent": _agent_rule,
    "model": _model_rule,
}

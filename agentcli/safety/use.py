"""What a command does with its words, as data, and the small readers of options that the knowledge of programs is written with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from agentcli.safety.words import Word, word

Depth = Literal["", "visible", "all"]

_HARMLESS = re.compile(
    r"LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|CLICOLOR|CLICOLOR_FORCE|COLORTERM|CI|DEBUG|VERBOSE|"
    r"RUST_BACKTRACE|RUST_LOG|NODE_ENV|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE|PYTHONIOENCODING|PYTHONUTF8|PYTHONHASHSEED|IFS"
    r"|(?!(?:http|https|ftp|all|no)_proxy$|npm_config_)[a-z][a-z0-9_]*|_"
)
_DANGEROUS = re.compile(
    r"LD_.*|DYLD_.*|BASH_ENV|ENV|PATH|CDPATH|HOME|SHELL|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|PS[0-4]|GIT_.*|SSH_.*|.*PAGER|.*EDITOR|VISUAL|"
    r"BROWSER|LESS.*|PYTHON(?:PATH|STARTUP|HOME|WARNINGS|BREAKPOINT|INSPECT)|PERL5?(?:LIB|OPT|DB)|RUBY(?:LIB|OPT)|NODE_(?:OPTIONS|PATH)|"
    r"JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|.*_COMMAND|.*WRAPPER|.*ASKPASS|(?i:.*_proxy)|npm_config_.*|NPM_CONFIG_.*|RIPGREP_CONFIG_PATH|"
    r"GREP_OPTIONS|TAR_OPTIONS|XDG_.*|PIP_.*|UV_.*|CARGO_.*|GLIBC_TUNABLES|MALLOC_.*|OPENSSL_CONF|CURL_HOME|WGETRC"
)


class Use(Struct, frozen=True):
    """What is known of one command.

    `safe`: it only reads and prints. `changes`: it is known to change files or state. `files`: `reads` and `writes` are all the files
    it touches. `deep`: it reads the contents of all below its folders, hidden ones or not. `follows`: it goes through the links below them.
    `removes`: it deletes folders whole.
    `runs`: why a rule for its first words does not cover it. `danger`: why it is asked about even where commands run freely.
    """

    safe: bool = False
    changes: bool = False
    files: bool = False
    reads: tuple[Word, ...] = ()
    writes: tuple[Word, ...] = ()
    deep: Depth = ""
    follows: bool = False
    removes: bool = False
    runs: str = ""
    network: bool = False
    danger: str = ""


UNKNOWN_USE = Use()


def harmless_variable(name: str) -> bool:
    """Whether setting a variable changes no more than a display or the shell's own bookkeeping: by name, unknown names do not count."""
    return _HARMLESS.fullmatch(name) is not None


def dangerous_variable(name: str) -> bool:
    """Whether a variable makes programs run or load something else."""
    return _DANGEROUS.fullmatch(name) is not None


def known(one: Word) -> str | None:
    """The text of a word that is itself no pattern; None where only running it tells."""
    return None if one.glob else one.text


def options(args: Sequence[Word]) -> tuple[Word, ...]:
    """The words that are options, or may be once the command runs."""
    found = []
    for one in args:
        text = known(one)
        if text == "--":
            break
        if (text is None and (not one.start or one.start.startswith("-"))) or (text is not None and text.startswith("-") and text != "-"):
            found.append(one)
    return tuple(found)


def has_option(args: Sequence[Word], shorts: str = "", longs: Iterable[str] = ()) -> bool:
    """Whether one of these options is given, or may be: in a cluster, abbreviated, or in a word known only when it runs."""
    longs = tuple(longs)
    if not shorts and not longs:
        return False
    return any(_is_option(one, shorts, longs) for one in options(args))


def _is_option(one: Word, shorts: str, longs: Sequence[str]) -> bool:
    text = known(one)
    if text is None:
        name, equals, _ = one.start.partition("=")
        if not name.startswith("--"):
            return True
        return any(long == name if equals else long.startswith(name) or name.startswith(long) for long in longs)
    if text.startswith("--"):
        name = text.partition("=")[0]
        return any(long == name or (len(name) > 3 and long.startswith(name)) for long in longs)
    return any(letter in shorts for letter in text[1:]) or text.partition("=")[0] in longs


def operands(args: Sequence[Word]) -> tuple[Word, ...]:
    """The words that may name files: all that are not certainly options, values of options among them."""
    found: list[Word] = []
    ended = False
    for one in args:
        text = known(one)
        if not ended and text == "--":
            ended = True
        elif ended or text is None or text == "-" or not text.startswith("-"):
            found.append(one)
    return tuple(found)


def option_paths(args: Sequence[Word]) -> tuple[Word, ...]:
    """Values glued to options that look like a path elsewhere: `--file=/etc/passwd`, `-f../x`."""
    found = []
    for one in args:
        text = known(one)
        if text is None or not text.startswith("-"):
            continue
        value = text.partition("=")[2] if text.startswith("--") else text[2:].removeprefix("=")
        if value.startswith(("/", "~")) or ".." in value.split("/"):
            found.append(word(value))
    return tuple(found)

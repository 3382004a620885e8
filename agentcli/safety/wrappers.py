"""Commands whose work is to run another: `env`, `timeout`, `xargs`, `bash -c`, `find -exec`. Which words of theirs are that command.

Only what is known of their options is looked through; an option not known here makes the answer unclear, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from agentcli.safety.words import UNKNOWN, Word, program_name, word


class Nothing(Struct, frozen=True):
    """Not a wrapper, or one that runs nothing here."""


class Unclear(Struct, frozen=True):
    """It runs something, and what is not known before it runs."""

    reason: str


class Inner(Struct, frozen=True):
    """Commands found within the words; `alone`: the wrapper also does work of its own. `offsets`: where each begins."""

    parts: tuple[tuple[Word, ...], ...]
    alone: bool
    offsets: tuple[int, ...]
    assignments: tuple[tuple[str, Word], ...] = ()


class Script(Struct, frozen=True):
    """A text that a shell reads; `same_shell`: this one, so that a `cd` in it lasts."""

    text: str
    same_shell: bool


Seen = Nothing | Unclear | Inner | Script

PRIVILEGED = frozenset((
    "sudo", "doas", "su", "pkexec", "runuser", "run0", "sudoedit", "chroot", "unshare", "nsenter", "gosu", "setpriv", "su-exec",
))  # fmt: skip
"""Raise or change privileges: never allowed without being asked."""
SHELLS = frozenset(("sh", "bash", "dash", "ash"))
OTHER_SHELLS = frozenset(("zsh", "fish", "ksh", "csh", "tcsh", "mksh", "nu", "pwsh", "xonsh", "elvish"))


class _Options(Struct, frozen=True):
    """Options of a wrapper: letters without and with a value, long names without and with one, and how many operands come before the command."""

    flags: str = ""
    valued: str = ""
    long_flags: tuple[str, ...] = ()
    long_valued: tuple[str, ...] = ()
    operands: int = 0
    number: bool = False
    """Takes a bare number as an option: `nice -10`."""


_WRAPPERS = {
    "nohup": _Options(),
    "setsid": _Options("cfw", "", ("--ctty", "--fork", "--wait")),
    "nice": _Options("", "n", (), ("--adjustment",), number=True),
    "ionice": _Options("t", "cn", ("--ignore",), ("--class", "--classdata")),
    "timeout": _Options("v", "ks", ("--foreground", "--preserve-status", "--verbose"), ("--kill-after", "--signal"), operands=1),
    "gtimeout": _Options("v", "ks", ("--foreground", "--preserve-status", "--verbose"), ("--kill-after", "--signal"), operands=1),
    "time": _Options("pav", "f", ("--portability", "--verbose"), ("--format",)),
    "stdbuf": _Options("", "ioe", (), ("--input", "--output", "--error")),
    "command": _Options("p"),
    "builtin": _Options(),
    "exec": _Options("cl", "a"),
    "busybox": _Options(),
    "toybox": _Options(),
    "chronic": _Options("ve"),
    "caffeinate": _Options("disu"),
    "xargs": _Options(
        "0rtpx", "dEILnPs", ("--null", "--no-run-if-empty", "--verbose", "--interactive", "--exit"),
        ("--delimiter", "--eof", "--max-lines", "--max-args", "--max-procs", "--max-chars"),
    ),
    "env": _Options("i0v", "u", ("--ignore-environment", "--null", "--debug"), ("--unset",)),
}  # fmt: skip
_UNFOLLOWED = frozenset((
    "watch", "parallel", "flock", "strace", "ltrace", "script", "taskset", "chrt", "setarch", "linux32", "linux64", "numactl", "expect",
    "entr", "systemd-run", "start-stop-daemon", "daemonize", "screen", "tmux", "dtach", "at", "batch", "unbuffer", "rlwrap", "proot",
    "fakeroot", "firejail", "bwrap", "coproc", "prlimit", "cgexec", "catchsegv", "gdb", "valgrind", "perf", "ts", "doexec", "run-parts",
))  # fmt: skip
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_RUNS = frozenset(("-exec", "-execdir", "-ok", "-okdir"))


def look_through(words: Sequence[Word]) -> Seen:
    """What these words run in turn."""
    name = program_name(words[0])
    if name in SHELLS:
        return _shell(words)
    if name in OTHER_SHELLS:
        return Unclear(f"{name} reads commands in a language of its own") if len(words) > 1 else Nothing()
    if name == "eval":
        return _eval(words[1:])
    if name == "trap":
        return _trap(words[1:])
    if name == "find":
        return _find(words)
    if name in PRIVILEGED:
        return _privileged(words)
    if name in _UNFOLLOWED:
        return Unclear(f"{name} runs a command in a way that is not followed here")
    options = _WRAPPERS.get(name)
    return Nothing() if options is None else _suffix(name, words, options)


def _suffix(name: str, words: Sequence[Word], options: _Options) -> Seen:
    if name == "command" and len(words) > 1 and words[1].text in ("-v", "-V", "-pv", "-pV"):
        return Nothing()
    at = _after_options(words, options)
    if at is None:
        return Unclear(f"an option of {name} is not known here")
    assigned: list[tuple[str, Word]] = []
    if name in ("env", "time"):
        at, assigned = _environment(words, at)
    if any(one.text is None or one.glob for one in words[at : at + options.operands]):
        return Unclear(f"what {name} runs is known only when it runs")
    at += options.operands
    inner = tuple(words[at:])
    if not inner:
        return Nothing()
    if name == "xargs":
        inner = _filled(words[:at], inner)
    return Inner((inner,), False, (at,), tuple(assigned))


def _after_options(words: Sequence[Word], options: _Options) -> int | None:
    at = 1
    while at < len(words):
        one = words[at]
        text = one.text
        if text is None or one.glob:
            return at if one.start and not one.start.startswith("-") else None
        if text == "--":
            return at + 1
        if not text.startswith("-") or text == "-":
            return at + (text == "-" and options.flags.startswith("i0"))
        step = _option_width(text, options)
        if step is None:
            return None
        at += step
    return at


def _option_width(text: str, options: _Options) -> int | None:
    """How many words an option takes; None for one that is not known."""
    if text.startswith("--"):
        name, equals, _ = text.partition("=")
        if name in options.long_flags:
            return None if equals else 1
        if name in options.long_valued:
            return 1 if equals else 2
        return None
    if options.number and re.fullmatch(r"-[+-]?\d+", text):
        return 1
    for index, letter in enumerate(text[1:], 1):
        if letter in options.valued:
            return 1 if index + 1 < len(text) else 2
        if letter not in options.flags:
            return None
    return 1


def _environment(words: Sequence[Word], at: int) -> tuple[int, list[tuple[str, Word]]]:
    assigned: list[tuple[str, Word]] = []
    while at < len(words):
        match = _ASSIGNED.match(words[at].text or words[at].start)
        if match is None:
            break
        assigned.append((match[1], word(match[2]) if words[at].text is not None else UNKNOWN))
        at += 1
    return at, assigned


def _filled(options: Sequence[Word], inner: tuple[Word, ...]) -> tuple[Word, ...]:
    """What `xargs` runs: its words with the place-holder unknown, and unknown ones behind."""
    mark = ""
    for index, one in enumerate(options):
        text = one.text or ""
        if text == "-I" and index + 1 < len(options):
            mark = options[index + 1].text or ""
        elif text.startswith("-I"):
            mark = text[2:]
    return (*(_holding(one, mark) for one in inner), UNKNOWN)


def _holding(one: Word, mark: str) -> Word:
    if not mark or one.text is None or mark not in one.text:
        return one
    return Word(one.raw, None, one.text.split(mark)[0])


def _find(words: Sequence[Word]) -> Seen:
    parts: list[tuple[Word, ...]] = []
    offsets: list[int] = []
    at = 1
    while at < len(words):
        if words[at].text not in _RUNS:
            at += 1
            continue
        end = next((i for i in range(at + 1, len(words)) if words[i].text in (";", "+")), len(words))
        inner = tuple(_holding(one, "{}") for one in words[at + 1 : end])
        if inner:
            parts.append(inner)
            offsets.append(at + 1)
        at = end + 1
    return Inner(tuple(parts), True, tuple(offsets)) if parts else Nothing()


def _privileged(words: Sequence[Word]) -> Seen:
    """What is run with other privileges, for the rules that forbid: every place where a command may begin."""
    starts = [i for i in range(1, min(len(words), 12)) if words[i].text and not (words[i].text or "-").startswith("-")]
    parts = tuple(tuple(words[start:]) for start in starts)
    return Inner(parts, True, tuple(starts)) if parts else Nothing()


def _shell(words: Sequence[Word]) -> Seen:
    at, runs_text = 1, False
    while at < len(words):
        text = words[at].text
        if text is None or words[at].glob:
            return Unclear("what the shell is given is known only when it runs")
        if text in ("--norc", "--noprofile", "--login", "--posix"):
            at += 1
        elif text in ("-o", "+o", "-O", "+O"):
            at += 2
        elif text in ("--", "-"):
            at += 1
            break
        elif text.startswith(("-", "+")):
            if re.fullmatch(r"[-+][abefhiklmnptuvxBCEHPTcrs]+", text) is None:
                return Unclear("an option of the shell is not known here")
            runs_text = runs_text or "c" in text
            at += 1
        else:
            break
    if not runs_text:
        return Nothing()
    if at >= len(words):
        return Nothing()
    text = words[at].text
    return Unclear("what the shell is given is known only when it runs") if text is None or words[at].glob else Script(text, False)


def _eval(arguments: Sequence[Word]) -> Seen:
    if any(one.text is None or one.glob for one in arguments):
        return Unclear("what eval is given is known only when it runs")
    return Script(" ".join(one.text or "" for one in arguments), True) if arguments else Nothing()


def _trap(arguments: Sequence[Word]) -> Seen:
    if arguments and arguments[0].text == "--":
        arguments = arguments[1:]
    if len(arguments) < 2:
        return Nothing()
    text = arguments[0].text
    if text is None or arguments[0].glob:
        return Unclear("what trap runs is known only when it runs")
    return Nothing() if text in ("", "-") else Script(text, True)

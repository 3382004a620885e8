"""What known programs do with their words: which only read, which files they name, which options make them run something else, what is
dangerous or goes to the network. Knowledge, not decisions; a program that is not here is unknown, not harmless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec import Struct

from agentcli.safety.gits import git_use
from agentcli.safety.scripts import awk_use, find_use, sed_use
from agentcli.safety.use import (
    Depth,
    Use,
    dangerous_variable,
    harmless_variable,
    has_option,
    known,
    operands,
    option_paths,
    options,
)
from agentcli.safety.words import UNKNOWN, Word, program_name, word
from agentcli.safety.wrappers import OTHER_SHELLS, PRIVILEGED, SHELLS


class _Reader(Struct, frozen=True):
    """A program that reads files and prints: options that make it do more, how many first operands name no file, how many it takes."""

    shorts: str = ""
    longs: tuple[str, ...] = ()
    most: int = 10_000


_READERS = {
    **dict.fromkeys((
        "cat", "head", "tail", "ls", "stat", "nl", "tac", "rev", "cut", "column", "fold", "expand", "unexpand", "paste", "join", "comm", "cmp",
        "od", "df", "realpath", "readlink", "base64", "strings", "egrep", "fgrep", "grep",
    ), _Reader()),
    **dict.fromkeys(("md5sum", "sha1sum", "sha256sum", "sha512sum", "b2sum", "cksum", "shasum"), _Reader("c", ("--check",))),
    "wc": _Reader("", ("--files0-from",)),
    "du": _Reader("X", ("--files0-from", "--exclude-from")),
    "file": _Reader("Cfm", ("--compile", "--files-from", "--magic-file")),
    "diff": _Reader("l", ("--paginate",)),
    "tree": _Reader("oR", ("--fromfile",)),
    "sort": _Reader("oT", ("--output", "--compress-program", "--temporary-directory", "--files0-from", "--random-source")),
    "uniq": _Reader("", (), 1),
    "xxd": _Reader("r", ("-revert",), 1),
    "rg": _Reader("z", ("--pre", "--hostname-bin", "--search-zip", "--files-with-pre")),
}  # fmt: skip
_FOLLOWING: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("grep", "egrep", "fgrep"), ("R", ("--dereference-recursive",))),
    "rg": ("L", ("--follow",)),
    "du": ("L", ("--dereference",)),
    "tree": ("l", ()),
}
PRINTERS = frozenset((
    "echo", "true", "false", ":", "test", "[", "[[", "exit", "return", "break", "continue", "shift", "pwd", "whoami", "uname", "nproc",
    "seq", "basename", "dirname", "sleep", "which", "type", "tr", "wait", "command", "exec",
))  # fmt: skip
"""Print or decide, and open no file that their words name; patterns among these still list the files of a folder."""
_VERSIONED = frozenset((
    "python", "python3", "node", "npm", "npx", "git", "uv", "pip", "pip3", "ruby", "java", "gcc",
    "g++", "clang", "make", "cmake", "docker", "rg", "bash", "deno", "bun", "php", "perl", "tsc", "pytest", "ruff", "mypy",
))  # fmt: skip
"""Print their version and do nothing else. Yarn, pnpm, Rust's and Go's run, or fetch, the version that a file of the project names."""
_CHANGERS = frozenset((
    "touch", "mkdir", "rmdir", "rm", "unlink", "shred", "truncate", "mkfifo", "mknod", "tee", "chmod", "chown", "chgrp", "cp", "mv", "ln",
    "install", "dd",
))  # fmt: skip
_CHANGES_STATE = frozenset((
    "tar", "unzip", "zip", "gzip", "gunzip", "bzip2", "xz", "zstd", "7z", "cpio", "rsync", "scp", "patch", "kill", "pkill", "killall", "crontab",
    "systemctl", "service", "launchctl", "mount", "umount", "useradd", "usermod", "passwd", "apt", "apt-get", "yum", "dnf", "apk", "pacman",
    "brew", "split", "csplit", "setfacl", "setfattr", "chattr", "ed", "ex", "vi", "vim", "nano", "emacs",
))  # fmt: skip
_NETWORK = frozenset((
    "curl", "wget", "ssh", "scp", "sftp", "ftp", "rsync", "nc", "ncat", "netcat", "telnet", "socat", "ping", "dig", "nslookup", "host",
    "pip", "pip3", "pipx", "conda", "mamba", "gem", "brew", "apt", "apt-get", "yum", "dnf", "apk", "pacman", "snap", "docker", "podman",
    "kubectl", "helm", "aws", "gcloud", "az", "gh", "glab", "terraform", "ansible", "ansible-playbook", "heroku", "vercel", "netlify",
    "fly", "flyctl", "npx", "bunx", "uvx", "lynx", "w3m", "http", "https", "aria2c", "rclone", "mosh", "psql", "mysql", "redis-cli",
    "mail", "sendmail", "twine", "hub", "huggingface-cli", "hf", "ollama",
))  # fmt: skip
_LOCAL_PARTS = {
    "npm": ("test", "t", "tst", "run", "run-script", "start", "ls", "list", "explain", "why", "prefix", "root", "pkg"),
    "yarn": ("test", "run", "start", "list", "why"),
    "pnpm": ("test", "t", "run", "start", "ls", "list", "why"),
    "bun": ("test", "run"),
    "cargo": ("build", "b", "check", "c", "test", "t", "run", "r", "clippy", "fmt", "doc", "bench", "clean", "tree", "metadata"),
    "go": ("build", "test", "vet", "fmt", "run", "list", "env", "version", "doc", "tool", "clean"),
    "uv": ("run", "pip", "tree", "version"),
    "poetry": ("run", "show", "env", "check", "version"),
    "pipenv": ("run", "graph"),
    "bundle": ("exec", "list", "show"),
    "composer": ("show", "validate", "dump-autoload"),
    "dotnet": ("build", "test", "run", "clean", "format"),
}
_DANGERS = frozenset((
    "mkfs", "shutdown", "reboot", "halt", "poweroff", "killall", "pkill", "crontab", "at", "batch", "systemctl", "service", "launchctl",
    "mount", "umount", "iptables", "useradd", "userdel", "usermod", "passwd", "visudo", "fdisk", "parted", "wipefs", "insmod", "modprobe",
    "sysctl", "history", "alias", "enable", "hash", "shopt", "chattr", "setfacl", "security", "osascript", "defaults",
    "xdg-open", "open", "kill", "env", "printenv", "complete", "bind", "ulimit", "umask",
))  # fmt: skip
_EVALUATES = frozenset(("let", "compgen", "fc"))
_SENT_TEXT = re.compile(r"-|/dev/(?:stdin|fd/\d+)")
"""In place of a script's name: what the program is sent."""
_SENT = re.compile(r"(?:[\w.-]*=?@)?((?:/|~|\.\.(?:/|$)).*)", re.DOTALL)
"""A file elsewhere, as programs of the network take it: `/etc/passwd`, `@/etc/passwd`, `f=@../x`."""
INTERPRETERS = SHELLS | OTHER_SHELLS | {
    "python", "python3", "python2", "node", "deno", "bun", "perl", "ruby", "php", "lua", "R", "Rscript", "osascript",
}  # fmt: skip
"""Run a program that is their argument, or what they are sent."""
_RUNNING_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tar": ("FI", (
        "--to-command", "--use-compress-program", "--checkpoint-action", "--info-script", "--new-volume-script", "--rsh-command",
        "--rmt-command",
    )),
    "zip": ("T", ("--unzip-command", "-TT")),
    "rsync": ("e", ("--rsh", "--rsync-path")),
    "ssh": ("oF", ()), "scp": ("oSF", ()), "sftp": ("oSF", ()),
    "man": ("PHE", ("--pager", "--html", "--preprocessor")),
    "curl": ("KoO", ("--config", "--output", "--remote-name", "--output-dir", "--dump-header", "--cookie-jar", "--trace", "--trace-ascii")),
    "wget": ("", ("--use-askpass", "--execute", "--config")),
    "go": ("", ("-exec", "-toolexec", "-vettool", "-overlay", "-modfile", "--exec", "--toolexec", "--vettool")),
    "cargo": ("", ("--config",)),
    "npm": ("", ("--script-shell", "--node-options", "--userconfig", "--globalconfig", "--prefix")),
    "fd": ("xX", ("--exec", "--exec-batch")), "fdfind": ("xX", ("--exec", "--exec-batch")),
    "split": ("", ("--filter",)),
    "date": ("", ("--set",)),
    "less": ("oOk+", ("--log-file", "--lesskey-file")), "more": ("+", ()),
    "ag": ("", ("--pager",)), "bat": ("", ("--pager",)), "delta": ("", ("--pager",)),
    "jq": ("fL", ("--from-file",)),
    "make": ("fE", ("--file", "--makefile", "--eval")),
    "mapfile": ("C", ()), "readarray": ("C", ()),
    "docker": ("", ("--privileged", "--mount", "--volume", "--device", "--pid", "--cap-add")),
}  # fmt: skip
"""Options with which a program runs another one, or writes or loads what a rule for its first words does not speak of."""

SAFE_COMMANDS = frozenset((
    *_READERS, *PRINTERS, *_VERSIONED,
    "git", "sed", "find", "awk", "gawk", "mawk", "nawk", "cd", "read", "export", "set", "date", "printf",
))  # fmt: skip
"""Names of the commands that run without asking where they only read, and only in the workspace."""


def use_of(words: Sequence[Word], *, piped: bool = False) -> Use:
    """What is known of one simple command."""
    name = program_name(words[0])
    args = tuple(words[1:])
    if len(args) == 1 and args[0].text in ("--version", "-V") and name in _VERSIONED:
        return Use(safe=True, files=True)
    reader = _READERS.get(name)
    if reader is not None:
        return _read(name, args, reader)
    if name in _CHANGERS:
        return _change(name, args)
    special = _SPECIAL.get(name)
    if special is not None:
        return special(words)
    if name in PRINTERS:
        asks_names = name == "test" and any(known(one) in ("-v", "-R") for one in args)
        return Use(safe=not asks_names, files=True, danger="a test of a name can run commands" if asks_names else "")
    return _other(name, args, piped=piped)


def _read(name: str, args: Sequence[Word], reader: _Reader) -> Use:
    odd = has_option(args, reader.shorts, reader.longs)
    named = operands(args)
    if name in ("grep", "egrep", "fgrep", "rg"):
        named = _searched(args, named)
    writes = named[1:] if len(named) > reader.most else _output(args) if name == "sort" else ()
    return Use(
        safe=not odd and not writes,
        changes=bool(writes),
        files=True,
        reads=(*named, *option_paths(args)),
        writes=writes,
        deep=_depth(name, args),
        follows=_follows(name, args),
        runs=f"an option of {name} may run another program or write a file" if odd else "",
    )


def _searched(args: Sequence[Word], named: Sequence[Word]) -> tuple[Word, ...]:
    """The files of a search: its first operand is the pattern, unless an option gives that. A pattern left in is only a file too many."""
    if has_option(args, "ef", ("--regexp", "--file", "--files", "--type-list")):
        skipped = {id(args[at + 1]) for at, one in enumerate(args[:-1]) if known(one) in ("-e", "--regexp")}
        return tuple(one for one in named if id(one) not in skipped)
    return tuple(named[1:]) if named and known(named[0]) is not None else tuple(named)


def _output(args: Sequence[Word]) -> tuple[Word, ...]:
    found = []
    for at, one in enumerate(args):
        text = known(one) or ""
        if text.startswith("--o"):
            found += [word(text.partition("=")[2])] if "=" in text else list(args[at + 1 : at + 2])
        elif re.fullmatch(r"-[a-zA-Z]*o.*", text) and not text.startswith("--"):
            rest = text.partition("o")[2]
            found += [word(rest)] if rest else list(args[at + 1 : at + 2])
    return tuple(found)


def _depth(name: str, args: Sequence[Word]) -> Depth:
    if name == "rg":
        return "all" if has_option(args, "u.", ("--hidden", "--no-ignore", "--unrestricted")) else "visible"
    if name in ("grep", "egrep", "fgrep", "diff"):
        return "all" if has_option(args, "rRd", ("--recursive", "--dereference-recursive", "--directories")) else ""
    return ""


def _follows(name: str, args: Sequence[Word]) -> bool:
    """Whether it goes through links that it meets below a folder."""
    if name == "diff":
        return has_option(args, "r", ("--recursive",)) and not any(known(one) == "--no-dereference" for one in args)
    if name == "ls":
        return has_option(args, "R", ("--recursive",)) and has_option(args, "L", ("--dereference",))
    shorts, longs = _FOLLOWING.get(name, ("", ()))
    return has_option(args, shorts, longs)


def _change(name: str, args: Sequence[Word]) -> Use:
    named = operands(args)
    if name == "dd":
        return _dd(args)
    if name in ("chmod", "chown", "chgrp"):
        named = named[1:] if not has_option(args, "", ("--reference",)) else named
    reads: tuple[Word, ...] = ()
    writes = (*named, *option_paths(args))
    if name in ("cp", "install") and not has_option(args, "tSd", ("--target-directory", "--suffix", "--directory")) and len(named) > 1:
        reads, writes = named[:-1], (*named[-1:], *option_paths(args))
    elif name in ("cp", "install", "mv"):
        reads = named
    if name in ("cp", "mv", "install", "ln"):
        writes = (*writes, *_glued(args))
    unclear = name == "ln" and any(".." in (one.text or "..") for one in named)
    return Use(
        changes=True,
        files=True,
        reads=reads,
        writes=(*writes, Word("", None)) if unclear else writes,
        deep="all" if name == "cp" and has_option(args, "rRa", ("--recursive", "--archive")) else "",
        removes=name == "rm" and has_option(args, "rR", ("--recursive",)),
        danger="it changes the rights of all below a folder" if name.startswith("ch") and has_option(args, "R", ("--recursive",)) else "",
    )


def _glued(args: Sequence[Word]) -> tuple[Word, ...]:
    """What is glued to an option and may be a file: `--target-directory=x`, `-tx`."""
    found = (re.fullmatch(r"--[\w-]+=(.+)|-[a-zA-Z]*?t(.+)", known(one) or "", re.DOTALL) for one in options(args))
    return tuple(word(match[1] or match[2]) for match in found if match)


def _dd(args: Sequence[Word]) -> Use:
    def values(key: str) -> tuple[Word, ...]:
        return tuple(word((one.text or "")[len(key) :]) if known(one) else one for one in args if (one.text or one.start).startswith(key))

    unknown = tuple(one for one in args if known(one) is None and not one.start)
    return Use(changes=True, files=True, reads=(*values("if="), *unknown), writes=(*values("of="), *unknown))


def _other(name: str, args: tuple[Word, ...], *, piped: bool) -> Use:
    first = known(args[0]) if args else ""
    shorts, longs = _RUNNING_OPTIONS.get(name, ("", ()))
    odd = has_option(args, shorts, longs)
    local = _LOCAL_PARTS.get(name)
    files = [one for one in operands(args) if not _SENT_TEXT.fullmatch(known(one) or "")]
    reads_stdin = not files and (name in SHELLS or (piped and name in INTERPRETERS))
    danger = ""
    if name in PRIVILEGED:
        danger = f"{name} runs it with other privileges"
    elif name in _DANGERS or name.startswith("mkfs"):
        danger = f"{name} reaches beyond the workspace"
    elif reads_stdin:
        danger = f"{name} runs whatever it is sent"
    elif name in _EVALUATES:
        danger = f"{name} can run commands that are hidden in its words"
    elif odd:
        danger = f"an option of {name} may run or write something else"
    deep: Depth = "all" if name in ("tar", "zip", "rsync", "scp", "7z", "cpio") else ""
    sent = [word(match[1]) for one in args if (match := _SENT.match(known(one) or ""))] if name in _NETWORK else []
    return Use(
        reads=tuple(sent),
        changes=name in _CHANGES_STATE or _changes_state(name, args),
        deep=deep,
        runs=f"an option of {name} may run another program or write elsewhere" if odd else "",
        network=name in _NETWORK or (local is not None and first not in local),
        danger=danger,
    )


def _changes_state(name: str, args: Sequence[Word]) -> bool:
    if name in ("perl", "ruby"):
        return has_option(args, "i")
    if name == "tar":
        return not has_option(args, "t", ("--list",))
    first = known(args[0]) if args else ""
    installs = ("install", "i", "ci", "add", "remove", "rm", "uninstall", "update", "upgrade", "publish", "sync", "lock", "init", "create")
    return first in installs and (name in _LOCAL_PARTS or name in _NETWORK)


def _cd(words: Sequence[Word]) -> Use:
    named = tuple(UNKNOWN if one.text == "-" else one for one in operands(words[1:]))
    return Use(safe=True, files=True, reads=named or (word("~"),))


def _sets(words: Sequence[Word]) -> Use:
    """`export A=b`, `read x`: harmless as the names are."""
    names = [(one.text if one.text is not None else one.start).partition("=")[0] for one in words[1:]]
    told = all(one.text is not None or "=" in one.start for one in words[1:])
    options = {"-r"} if words[0].text == "read" else set()
    if words[0].text == "export" and not names:
        return Use(files=True, danger="it prints all that the environment holds")
    risky = next((name for name in names if dangerous_variable(name) or "[" in name), "")
    return Use(
        safe=told and all(name in options or harmless_variable(name) for name in names),
        files=True,
        danger=f"{risky} changes what programs run" if risky else "" if told else "which variables it sets is known only when it runs",
    )


def _set(words: Sequence[Word]) -> Use:
    wanted = re.compile(r"[-+][eux]+o?|[-+]o|pipefail|errexit|nounset|xtrace")
    plain = all(one.text is not None and wanted.fullmatch(one.text) for one in words[1:]) and len(words) > 1
    return Use(safe=plain, files=True, danger="" if plain else "it changes how the shell reads what follows")


def _date(words: Sequence[Word]) -> Use:
    args = words[1:]
    shown = {id(after) for one, after in pairwise(args) if re.fullmatch(r"-[uR]*d|--date", one.text or "")}
    bare = [one for one in operands(args) if id(one) not in shown and not one.start.startswith("+")]
    sets = bool(bare) or any(known(one) is None or re.match(r"-[uR]*s|--s", one.text or "") for one in args)
    odd = has_option(args, "fr", ("--file", "--reference"))
    return Use(safe=not sets and not odd, files=True, changes=sets, danger="it may set the clock" if sets else "")


def _printf(words: Sequence[Word]) -> Use:
    sets = len(words) > 1 and (known(words[1]) is None or (words[1].text or "").startswith("-v"))
    return Use(safe=not sets, files=True, danger="it may set any variable" if sets else "")


_SPECIAL: dict[str, Callable[[Sequence[Word]], Use]] = {
    "git": git_use,
    "sed": sed_use,
    "gsed": sed_use,
    "find": find_use,
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), awk_use),
    "cd": _cd,
    **dict.fromkeys(("export", "read", "local", "declare", "typeset", "readonly", "unset"), _sets),
    "set": _set,
    "date": _date,
    "printf": _printf,
}

"""What `git` does: which of its commands only read, which options make it run something else, what loses work or goes to the network."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from msgspec import Struct

from agentcli.safety.use import Use, has_option, known, operands, option_paths
from agentcli.safety.words import Word, word

_READS = frozenset((
    "status", "diff", "log", "show", "rev-parse", "ls-files", "ls-tree", "blame", "annotate", "describe", "shortlog", "rev-list",
    "cat-file", "merge-base", "name-rev", "for-each-ref", "diff-tree", "diff-index", "diff-files", "whatchanged", "show-ref",
    "show-branch", "cherry", "count-objects", "check-ignore", "range-diff", "grep", "version",
))  # fmt: skip
_NETWORK = frozenset(("clone", "fetch", "pull", "push", "ls-remote", "svn", "send-email", "lfs", "p4", "fetch-pack", "send-pack", "request-pull"))
_LOSES = frozenset((
    "clean", "restore", "update-ref", "filter-branch", "filter-repo", "gc", "prune", "replace", "symbolic-ref", "config", "credential",
    "daemon", "instaweb", "fsmonitor--daemon",
))  # fmt: skip
_LOSING_OPTIONS = {
    "reset": ("", ("--hard", "--merge", "--keep")),
    "checkout": ("f", ("--force",)),
    "switch": ("fC", ("--force", "--discard-changes")),
    "branch": ("dDfM", ("--delete", "--force")),
    "tag": ("df", ("--delete", "--force")),
    "worktree": ("f", ("--force",)),
}
_RUNNING_OPTIONS = (
    "--upload-pack", "--receive-pack", "--exec", "--ext-diff", "--textconv", "--open-files-in-pager", "--output", "--extcmd", "--config",
    "--template", "--filters", "--no-index", "--upload-archive", "--show-signature", "--to-cmd", "--cc-cmd", "--sendmail-cmd",
)  # fmt: skip
_RUNNING_SHORTS = {"rebase": "xi", "difftool": "xt", "clone": "cu", "grep": "O", "archive": "o", "format-patch": "o", "bundle": ""}
_RUNNING_PARTS = {"submodule": ("foreach", "update", "add"), "bisect": ("run", "view", "visualize")}
_QUIET_GLOBALS = frozenset(("--no-pager", "-P", "--no-optional-locks", "--literal-pathspecs", "--glob-pathspecs", "--noglob-pathspecs"))
_VALUED_GLOBALS = frozenset(("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env", "--super-prefix"))
_LIST_OPTIONS = {
    "branch": frozenset((
        "-a", "--all", "-r", "--remotes", "-v", "-vv", "-l", "--list", "--show-current", "--contains", "--merged", "--no-merged",
        "--points-at", "--sort", "--format", "--color", "--no-color", "--column", "--no-column", "-i", "--ignore-case",
    )),
    "tag": frozenset(("-l", "--list", "-n", "--sort", "--format", "--contains", "--merged", "--no-merged", "--points-at", "--column")),
}  # fmt: skip
_LISTS = {"branch": ("-l", "--list", "--contains", "--merged", "--no-merged"), "tag": ("-l", "--list", "--contains", "--points-at")}
_READING_PARTS = {
    "stash": ("list", "show"), "reflog": ("show",), "worktree": ("list",), "remote": ("get-url",),
    "submodule": ("status",), "bisect": ("log",), "notes": ("list", "show"),
}  # fmt: skip
_MESSAGE = re.compile(r"-[aqsv]*m|--message")
_CONTAINED = frozenset((
    "add", "commit", "checkout", "switch", "restore", "reset", "rm", "mv", "branch", "tag", "stash", "merge", "rebase", "cherry-pick",
    "revert", "apply", "am", "clean", "notes", "fetch", "pull", "update-ref", "update-index", "write-tree", "commit-tree",
))  # fmt: skip
"""Change nothing but the repository they stand in, and refuse paths beyond it and, but for `_FOLLOWS_LINKS`, beyond links."""
_UNKNOWN_PATHS = ("--unsafe-paths", "--pathspec-from-file")
_FOLLOWS_LINKS = frozenset(("rm", "mv"))
"""Remove and move files of the working tree also where a folder on the way has become a link."""
_FILLS_TREE = frozenset((
    "checkout", "switch", "restore", "reset", "mv", "stash", "merge", "rebase", "cherry-pick", "revert", "apply", "am", "pull", "clone",
    "worktree", "submodule", "read-tree", "checkout-index", "sparse-checkout",
))  # fmt: skip
_MAKES_ELSEWHERE = frozenset(("clone", "init", "worktree", "push", "checkout-index", "archive", "bundle", "format-patch"))
_OUTPUTS = ("-o", "--output", "--output-directory", "--separate-git-dir", "--prefix", "--directory", "--index-output")
_LOOKS_UP = frozenset(("--get", "--get-all", "--get-regexp", "--list", "-l", "get", "list"))
"""Of `git config`: changes nothing, but may print keys of other services."""
_READS_ALONE = frozenset(("remote", "reflog"))


class _Call(Struct, frozen=True):
    """A git command line without its global options: `folder` from `-C`, `odd` the first global option that changes what runs, `elsewhere`
    the values of options that name another repository or working tree.
    """

    name: str
    args: tuple[Word, ...]
    folder: str = ""
    odd: str = ""
    unknown: bool = False
    elsewhere: tuple[Word, ...] = ()


class Reach(Struct, frozen=True):
    """Where a git command works. `folder` from `-C`, `elsewhere` other repositories and trees it names, `targets` what it makes or fills
    outside of its own repository. `contained`: it is known to change nothing but the repository it stands in, `shifts`: it may leave links
    and folders there that were not there before. `reads`: it changes nothing. `removes`: with what it names goes all that lies below.
    """

    name: str
    folder: str = ""
    elsewhere: tuple[Word, ...] = ()
    targets: tuple[Word, ...] = ()
    contained: bool = False
    shifts: bool = False
    reads: bool = False
    removes: bool = False


def git_use(words: Sequence[Word]) -> Use:
    call = _call(words)
    if call.unknown:
        return Use(runs="which command of git it runs is known only then", danger="an unknown git command")
    reads = _paths(call) if _only_reads(call) else (word(call.folder),) if call.folder else ()
    runs = _runs(call)
    network = call.name in _NETWORK or (call.name == "remote" and _part(call) in ("update", "show", "prune"))
    safe = _only_reads(call) and not runs and not call.folder
    return Use(
        safe=safe,
        changes=not (_only_reads(call) or call.name in ("ls-remote", "help", "", "var") or _looks_up(call)),
        files=_only_reads(call),
        reads=reads,
        deep="visible" if call.name == "grep" else "",
        runs=runs,
        network=network,
        danger=_danger(call),
    )


def git_reach(words: Sequence[Word]) -> Reach:
    """Where a git command works, for who must know that it stays there."""
    call = _call(words)
    if call.unknown:
        return Reach("")
    reads = not call.odd and not _runs(call) and (_only_reads(call) or _looks_up(call) or call.name in ("", "version", "help", "var"))
    contained = call.name in _CONTAINED and not call.odd and not _runs(call) and not has_option(call.args, "", _UNKNOWN_PATHS)
    return Reach(call.name, call.folder, call.elsewhere, _targets(call), contained, not reads and _shifts(call), reads, call.name == "rm")


def _targets(call: _Call) -> tuple[Word, ...]:
    named = [one for one in operands(_without_messages(call)) if call.name in _MAKES_ELSEWHERE or call.name in _FOLLOWS_LINKS]
    if call.name == "clone":
        named = named[1:]
    glued = [word(text.partition("=")[2]) for one in call.args if (text := known(one) or "").startswith("--") and "=" in text]
    outputs = [one for at, one in enumerate(call.args) if at and known(call.args[at - 1]) in _OUTPUTS]
    urls = ("ssh://", "http://", "https://", "git://")
    found = [*named, *option_paths(call.args), *(glued if _runs(call) or named else ()), *outputs]
    return tuple(word(one.text.removeprefix("file://")) if one.text else one for one in found if not (one.text or "").startswith(urls))


def _shifts(call: _Call) -> bool:
    made = call.name in ("checkout", "switch") and len(call.args) == 2 and known(call.args[0]) in ("-b", "-c")
    return call.name in _FILLS_TREE and not made


def git_plain(words: Sequence[Word]) -> tuple[Word, ...]:
    """The command line without global options, as rules name it: `git -C x log -p` is `git log -p`."""
    call = _call(words)
    return tuple(words) if call.unknown else (words[0], word(call.name), *call.args)


def _call(words: Sequence[Word]) -> _Call:
    at, folder, odd = 1, "", ""
    elsewhere: list[Word] = []
    while at < len(words):
        text = known(words[at])
        if text is None:
            return _Call("", (), unknown=True)
        if not text.startswith("-"):
            return _Call(text, tuple(words[at + 1 :]), folder, odd, elsewhere=tuple(elsewhere))
        name, equals, _ = text.partition("=")
        if name == "-C" and at + 1 < len(words) and known(words[at + 1]) is not None:
            folder = posixpath.join(folder, words[at + 1].text or "")
        elif name not in _QUIET_GLOBALS and text not in ("--version", "-v"):
            odd = odd or name
        if name in ("--git-dir", "--work-tree") or (name == "-C" and odd == "-C"):
            elsewhere.append(word(text.partition("=")[2]) if equals else words[at + 1] if at + 1 < len(words) else word(""))
        at += 2 if name in _VALUED_GLOBALS and not equals else 1
    return _Call("version" if len(words) == 2 and words[1].text in ("--version", "-v") else "", (), folder, odd)


def _only_reads(call: _Call) -> bool:
    if call.name in _READS or (call.name in _READS_ALONE and _part(call) == ""):
        return True
    if call.name in _LIST_OPTIONS:
        return _only_lists(call)
    return _part(call) in _READING_PARTS.get(call.name, ())


def _part(call: _Call) -> str | None:
    """The word behind the command, as in `git stash list`; "" where there is none. The `-v` of `git remote` says nothing."""
    says = [one for one in call.args if call.name != "remote" or known(one) not in ("-v", "--verbose")]
    return known(says[0]) if says else ""


def _looks_up(call: _Call) -> bool:
    return call.name == "config" and bool(call.args) and known(call.args[0]) in _LOOKS_UP


def _only_lists(call: _Call) -> bool:
    listed = False
    for one in call.args:
        text = known(one)
        if text is None:
            return False
        name = text.partition("=")[0]
        listed = listed or name in _LISTS[call.name]
        if text.startswith("-") and name not in _LIST_OPTIONS[call.name]:
            return False
        if not text.startswith("-") and not listed:
            return False
    return True


def _runs(call: _Call) -> str:
    if call.odd:
        return f"git's option {call.odd} changes what it runs"
    if has_option(_without_messages(call), _RUNNING_SHORTS.get(call.name, ""), _RUNNING_OPTIONS):
        return f"an option of git {call.name} may run another program or write a file"
    first = known(call.args[0]) if call.args else ""
    if first in _RUNNING_PARTS.get(call.name, ()) or call.name in ("filter-branch", "difftool", "mergetool", "instaweb"):
        return f"git {call.name} runs other programs"
    return ""


def _without_messages(call: _Call) -> tuple[Word, ...]:
    """The words but those behind `-m`, which are text wherever they come from."""
    if call.name not in ("commit", "tag", "merge", "stash", "notes"):
        return call.args
    return tuple(one for at, one in enumerate(call.args) if not at or not _MESSAGE.fullmatch(known(call.args[at - 1]) or ""))


def _danger(call: _Call) -> str:
    first = known(call.args[0]) if call.args else ""
    shorts, longs = _LOSING_OPTIONS.get(call.name, ("", ()))
    losing = (
        call.name in _LOSES
        or has_option(call.args, shorts, longs)
        or (call.name == "checkout" and any(known(one) in ("--", ".") for one in call.args))
        or (call.name == "stash" and first in ("drop", "clear"))
        or (call.name == "reflog" and first in ("expire", "delete"))
    )
    if losing and not _only_reads(call) and not _looks_up(call):
        return f"git {call.name} can lose work or change how git behaves"
    return _runs(call)


def _paths(call: _Call) -> tuple[Word, ...]:
    named = (*operands(call.args), *option_paths(call.args))
    if not call.folder:
        return named
    moved = [one if known(one) is None else word(posixpath.join(call.folder, one.text or "")) for one in named]
    return (word(call.folder), *moved)

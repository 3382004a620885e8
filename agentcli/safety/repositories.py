"""Does git run other programs where it only reads? The settings of a repository may name some, and a folder from elsewhere may come with them.

Settings of the person (`~/.gitconfig`) are the person's own and not looked at. Reads files, runs nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_RUNS = re.compile(
    r"(?:^|\])[ \t]*(fsmonitor|external|command|textconv|clean|smudge|process|program|sshcommand|askpass|gitproxy|uploadpack|vcs|allow|"
    r"alternaterefscommand|path)[ \t]*(?:=[ \t]*([^\n]*))?$",
    re.IGNORECASE | re.MULTILINE,
)
"""Keys, of whichever section, whose value git runs while it reads, or (`path` of `include`) that lead to other settings. One that is found
elsewhere, such as the `path` of a `mergetool`, costs a question and no more."""
_HARMLESS = re.compile(r'(?:true|false|yes|no|on|off|1|0|never|user)?|"?git[- ]lfs .*', re.IGNORECASE)
"""Fsmonitor's own daemon, protocols, and the filter that Git LFS writes."""
_HOOKS = re.compile(r"(?:^|\])[ \t]*hookspath[ \t]*=[ \t]*\"?([^\n\"]*)", re.IGNORECASE | re.MULTILINE)
_HOOK = "post-index-change"
"""The one hook that commands which only read run: `git status` writes what it found out to the index."""
_LARGEST = 1_000_000


def runs_programs(folder: Path) -> str:
    """Which setting makes git run another program in `folder`; "" for none, and where there is no repository."""
    found = next(filter(None, map(_repository, (folder, *folder.parents))), None)
    if found is None:
        return ""
    tree, own, common = found
    hooks = common / "hooks"
    for path in (common / "config", own / "config", own / "config.worktree", *sorted(common.glob("modules/**/config"))):
        try:
            text = path.read_bytes()[:_LARGEST].decode("utf-8", "replace")
        except OSError:
            continue
        for match in _RUNS.finditer(text.replace("\r\n", "\n")):
            if match[2] is None or not _HARMLESS.fullmatch(match[2].strip()):
                return f"{path.name} of this repository sets {match[1]}"
        for match in _HOOKS.finditer(text):
            hooks = tree / os.path.expanduser(match[1].strip())  # noqa: PTH111 never raises
    return f"this repository has a {_HOOK} hook" if os.access(hooks / _HOOK, os.X_OK) else ""


def _repository(folder: Path) -> tuple[Path, Path, Path] | None:
    """The working tree, the git folder and the one that it shares with other working trees, where `folder` is a repository's top."""
    own = folder / ".git"
    if own.is_file():
        own = folder / next(_pointed(own, "gitdir:"), "")
    elif not own.is_dir():
        if not all((folder / name).exists() for name in ("HEAD", "objects", "refs")):
            return None
        own = folder
    return folder, own, own / next(_pointed(own / "commondir", ""), "")


def _pointed(path: Path, label: str) -> Iterator[str]:
    try:
        text = path.read_bytes()[:_LARGEST].decode("utf-8", "replace")
    except OSError:
        return
    yield text.removeprefix(label).strip()

"""Where a command may run: the folders that `cd` may have led to, followed through lists, choices and subshells. No file is looked at."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from agentcli.safety.words import Word

Folders = tuple[str | None, ...]
"""The folders a command may run in, relative to where the whole starts (`.`), absolute or from `~`; None: any."""
ANYWHERE: Folders = (None,)
Flow = tuple[Folders, Folders]
"""Where one is after a command succeeded, and after it failed."""
_MOST = 8
"""Folders that are kept apart before they count as any."""


def union(left: Folders, right: Folders) -> Folders:
    if None in left or None in right:
        return ANYWHERE
    both = tuple(dict.fromkeys(left + right))
    return both if len(both) <= _MOST else ANYWHERE


def either(flow: Flow) -> Folders:
    return flow[0] if flow[0] == flow[1] else union(*flow)


def merged(left: Flow, right: Flow) -> Flow:
    return (left[0] if left[0] == right[0] else union(left[0], right[0])), (left[1] if left[1] == right[1] else union(left[1], right[1]))


def moved(arguments: Sequence[Word], at: Folders) -> Folders:
    """Where `cd` leads. Bash goes by the names as written, so `a/..` is where it began."""
    if arguments and arguments[0].text in ("--", "-L"):
        arguments = arguments[1:]
    if not arguments:
        return ("~",)
    target = arguments[0].text
    if len(arguments) > 1 or target is None or arguments[0].glob or not target or target.startswith(("-", "~+", "~-")):
        return ANYWHERE
    if target.startswith(("/", "~")):
        return (posixpath.normpath(target),)
    if None in at:
        return ANYWHERE
    return tuple(dict.fromkeys(posixpath.normpath(posixpath.join(one or ".", target)) for one in at))

"""Which names fit what was typed, the best first. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST = 50


def ranked(typed: str, names: Sequence[str], most: int = MOST) -> list[str]:
    """The names that hold the letters of `typed` in order, best first: last part starts with it, last part holds it, name holds it, else
    scattered. Case does not matter; shorter names first among equals."""
    if not typed:
        return sorted(names, key=lambda name: (name.count("/"), name))[:most]
    wanted = typed.casefold()
    scored = [(score, len(name), name) for name in names if (score := _whole(wanted, name.casefold())) is not None]
    if len(scored) < most:
        scattered = re.compile(".*?".join(map(re.escape, wanted)))
        known = {name for _, _, name in scored}
        scored += [
            (4 + match.end() - match.start(), len(name), name) for name in names if name not in known and (match := scattered.search(name.casefold()))
        ]
    return [name for _, _, name in sorted(scored)[:most]]


def _whole(wanted: str, name: str) -> int | None:
    if wanted not in name:
        return None
    last = name.rstrip("/").rpartition("/")[2]
    if last == wanted or name == wanted:
        return 0
    if last.startswith(wanted):
        return 1
    return 2 if wanted in last else 3


def with_folders(files: Sequence[str]) -> list[str]:
    """The files and every folder that holds one, folders with a slash at their end."""
    folders: set[str] = set()
    for name in files:
        at = name.rfind("/")
        while at > 0 and (folder := name[: at + 1]) not in folders:
            folders.add(folder)
            at = name.rfind("/", 0, at)
    return [*files, *folders]

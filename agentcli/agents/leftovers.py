"""Clones that a killed process left behind. A session that makes clones marks its folder as in use; the next session saves what others left."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from agentcli.agents.workspace import Recovered, recover
from agentcli.protocol.errors import WorkspaceError

CLONES = "workspaces"
_LOCK = "in-use"
_TOLD = "left"
"""Marks a folder of which a person was told that something in it could not be saved: they are told once."""


class Claim:
    """A session's hold on its own folder; the system lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder = folder
        self._descriptor = descriptor

    def release(self) -> None:
        """Lets go, and takes the folder away where nothing is left in it."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            (self._folder / CLONES).rmdir()
            (self._folder / _LOCK).unlink()
            self._folder.rmdir()
        os.close(self._descriptor)
        self._descriptor = -1


def claim(folder: Path) -> Claim | None:
    """None where another process has it, or where the file system knows no locks.

    Raises:
        WorkspaceError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WorkspaceError(f"no workspace can be made below {folder}: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return Claim(folder, descriptor)


async def save_leftovers(sessions: Path) -> tuple[str, ...]:
    """What became of the work of killed workers, one line for a person each. `sessions` holds a folder a session.

    The caller's own is among them: one that is resumed after a kill left its clones there, and one that made clones by now has claimed them.
    """
    told: list[str] = []
    for folder in _left(sessions):
        with contextlib.suppress(WorkspaceError):
            held = claim(folder)
            if held is None:
                continue
            try:
                found = await recover(folder / CLONES)
                told += [_line(one) for one in found if one.error or one.changes.files or one.changes.branches]
                if any(one.error for one in found):
                    (folder / _TOLD).touch()
            finally:
                held.release()
    return tuple(told)


def _left(sessions: Path) -> list[Path]:
    """Folders of sessions that made clones and did not clear them away."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(sessions) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder for folder in folders if (folder / CLONES).is_dir() and _holds_clones(folder)]


def _holds_clones(folder: Path) -> bool:
    if (folder / _TOLD).exists():
        return False
    with contextlib.suppress(OSError), os.scandir(folder / CLONES) as entries:
        return any(entry.is_dir(follow_symlinks=False) for entry in entries)
    return False


def _line(found: Recovered) -> str:
    who, place = f"A worker of a session that was cut off ({found.name})", f" of {found.source}" if found.source else ""
    if found.error:
        return f"{who} left work in {found.folder}: {found.error}"
    if found.changes.branch:
        return f"{who} left work: it is saved on the branch {found.changes.branch}{place}."
    where = f"in {found.changes.patch}" if found.changes.patch else f"on {', '.join(found.changes.branches)}"
    return f"{who} left work{place}: it is saved {where}."


__all__ = ["CLONES", "Claim", "claim", "save_leftovers"]

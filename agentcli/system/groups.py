"""Process groups: telling one to end, and knowing whether anything of it still runs. Who starts them is not known here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic
from typing import Any

REAP_S = 2.0
"""How long a killed child may take to be gone: only one stuck in the kernel needs longer."""
POLL_S = 0.02


async def end_group(group: int, leader_exited: asyncio.Event, grace_s: float) -> None:
    """TERM to the group, KILL to what is left of it after `grace_s` seconds, at once when cancelled meanwhile."""
    try:
        if signalled(group, signal.SIGTERM):
            signalled(group, signal.SIGCONT)  # a stopped process gets its TERM only when it goes on
            await _gone(group, leader_exited, grace_s)
    finally:
        signalled(group, signal.SIGKILL)
    await within(REAP_S, leader_exited.wait())


async def _gone(group: int, leader_exited: asyncio.Event, within_s: float) -> None:
    over = monotonic() + within_s
    await within(within_s, leader_exited.wait())
    while monotonic() < over and runs(group):  # noqa: ASYNC110 no event tells of the end of what is not our child
        await asyncio.sleep(POLL_S)


def runs(group: int) -> bool:
    """Whether a process of the group is still running. One that only waits to be reaped is not: in a container whose first process
    reaps nobody, an orphan stays that way for ever."""
    if not signalled(group, 0):
        return False
    try:
        with os.scandir("/proc") as entries:
            return any(_member(entry.name, group) for entry in entries if entry.name.isdigit())
    except OSError:
        return True  # no /proc (macOS): the signal's word has to do


def _member(pid: str, group: int) -> bool:
    """Whether this process runs and is of the group, by the fields after the name in /proc/PID/stat: state, parent, group."""
    try:
        fields = Path("/proc", pid, "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return int(fields[2]) == group and fields[0] not in (b"Z", b"X")


def signalled(group: int, number: int) -> bool:
    """Whether anything of the group is there to be told. PermissionError: only zombies (macOS), or another user's processes."""
    if group <= 1:
        return False  # to killpg, 0 is our own group
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def within(seconds: float, waiting: Coroutine[Any, Any, object]) -> bool:
    """Whether it came to its end in time."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return False
    return True

"""Processes found by a variable of their environment: what somebody's commands started and left running, in whatever group it is by now.

It takes /proc; where there is none (macOS) nothing is found.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from time import monotonic

from agentcli.system.groups import POLL_S

ROUNDS = 5
"""How often what was forked while the others were killed is looked for."""


def marked(name: str, path: str) -> list[int]:
    """The processes whose variable holds this path, or one below it."""
    entries = [f"\0{name}={path}{ending}".encode() for ending in "\0/"]
    try:
        numbers = [int(place.name) for place in os.scandir("/proc") if place.name.isdigit()]
    except OSError:
        return []
    return [number for number in numbers if number != os.getpid() and _holds(number, entries)]


async def end_marked(name: str, path: str, grace_s: float) -> None:
    """TERM to all of them, KILL to those left after `grace_s` seconds and to what they have started meanwhile."""
    left = await asyncio.to_thread(marked, name, path)
    _tell(left, signal.SIGTERM)
    _tell(left, signal.SIGCONT)
    over = monotonic() + grace_s
    while left and monotonic() < over:
        await asyncio.sleep(POLL_S)
        left = [number for number in left if _environment(number)]
    for _ in range(ROUNDS if left else 1):
        left = await asyncio.to_thread(marked, name, path)
        if not left:
            return
        _tell(left, signal.SIGKILL)


def _holds(number: int, entries: list[bytes]) -> bool:
    text = b"\0" + _environment(number)
    return any(entry in text for entry in entries)


def _environment(number: int) -> bytes:
    """Empty for a process that is gone or only waits to be reaped."""
    try:
        return Path("/proc", str(number), "environ").read_bytes()
    except OSError:
        return b""


def _tell(numbers: list[int], sign: signal.Signals) -> None:
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(number, sign)

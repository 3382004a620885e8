"""Whether a process still runs. One that only waits to be reaped does not: an orphan stays so where the first process reaps nobody."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def still_running(pids: Iterable[int], within_s: float = 5.0) -> list[int]:
    """Those of `pids` that still run after at most `within_s` seconds; returns as soon as none does."""
    over = time.monotonic() + within_s
    left = [pid for pid in pids if runs(pid)]
    while left and time.monotonic() < over:
        time.sleep(0.01)
        left = [pid for pid in left if runs(pid)]
    return left

"""Children die with us: one tiny shell per process that waits for our end and then ends the process groups still running.

Why a watcher and not PR_SET_PDEATHSIG: that reaches the direct child only and never what it started, exists on Linux alone, fires when the
*thread* that forked ends, and setting it takes either code between fork and exec (unsafe beside threads) or `setpriv` in front of
every command. The watcher reads a pipe whose other end only we hold, so the kernel tells it of our end however we die, SIGKILL included;
it works the same on macOS. It starts with the first child and costs one `sh` (about 1 ms).
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from functools import cache

SCRIPT = r""": agentcli guard
cd /
trap '' HUP INT TERM
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
  esac
done
[ "$groups" = ' ' ] && exit
for group in $groups; do kill -s TERM -- "-$group"; kill -s CONT -- "-$group"; done
sleep 1
for group in $groups; do kill -s KILL -- "-$group"; done
"""
"""Reads `+ GROUP` and `- GROUP` until end of file: then TERM, and KILL a second later."""


class Guard:
    """The watcher of this process. It is best effort: where no shell can be started, children simply outlive a killed parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._owner = 0
        self._watcher = 0
        self._pipe = -1

    def add(self, group: int) -> None:
        """This process group is to end when we do."""
        with self._lock:
            if self._owner != os.getpid():
                self._groups.clear()
            self._groups.add(group)
            if self._owner != os.getpid() or not self._tell(f"+ {group}\n"):
                self._start()

    def remove(self, group: int) -> None:
        """This group's leader has ended: what it left behind is no longer ours, and its number may come to mean another."""
        with self._lock:
            if group not in self._groups:
                return
            self._groups.discard(group)
            self._tell(f"- {group}\n")

    def _tell(self, line: str) -> bool:
        try:
            return os.write(self._pipe, line.encode()) > 0
        except OSError:
            return False

    def _start(self) -> None:
        """A first watcher, or another where the last one was killed or belongs to the process that forked us."""
        self._drop()
        reading, self._pipe = os.pipe()
        quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        actions = [(os.POSIX_SPAWN_DUP2, reading, 0), *quiet]
        try:
            argv = ["sh", "-c", SCRIPT, "agentcli-guard"]
            self._watcher = os.posix_spawn("/bin/sh", argv, {"PATH": "/usr/bin:/bin"}, file_actions=actions, setpgroup=0)
        except OSError:
            self._watcher = 0
        finally:
            os.close(reading)
        self._owner = os.getpid()
        os.set_blocking(self._pipe, False)
        for group in self._groups:
            self._tell(f"+ {group}\n")

    def _drop(self) -> None:
        """Closes our end of the last pipe and, where that watcher was ours, reaps it."""
        if self._pipe >= 0:
            os.close(self._pipe)
        if self._watcher and self._owner == os.getpid():
            with suppress(ChildProcessError):
                os.waitpid(self._watcher, os.WNOHANG)


@cache
def guard() -> Guard:
    """The one guard of this process: it mirrors the process table, of which there is one."""
    return Guard()

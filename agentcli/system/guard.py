"""Children die with us: one tiny shell per process that waits for our end and then ends the process groups still running.

Why a watcher and not PR_SET_PDEATHSIG: that reaches the direct child only and never what it started, exists on Linux alone, fires when the
*thread* that forked ends, and setting it takes either code between fork and exec (unsafe beside threads) or `setpriv` in front of
every command. The watcher reads a pipe whose other end only we hold, so the kernel tells it of our end however we die, SIGKILL included;
it works the same on macOS. It starts before the first child and costs one `sh` (about 1 ms).

A child is announced before it is started, by a mark that stands in its environment, for its number is known only afterwards: where we are killed
in between, the watcher finds it by that mark (in /proc; without one, on macOS, such a child is missed). Up to the last step before its exec a child
holds our end of the pipe too, so there is something to see once the watcher looks; and it looks again before the KILL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

MARK = "AGENTCLI_SPAWN"
"""The variable in a child's environment that tells it from all others."""

SCRIPT = r""": agentcli guard
cd /
trap '' HUP INT TERM
groups=' ' marks=' '
without() { case $1 in *" $2 "*) rest="${1%%" $2 "*} ${1#*" $2 "}" ;; *) rest=$1 ;; esac; }
while read -r sign word; do
  case $sign in
    +) groups="$groups$word " ;;
    -) without "$groups" "$word"; groups=$rest ;;
    '<') marks="$marks$word " ;;
    '>') without "$marks" "$word"; marks=$rest ;;
  esac
done
[ "$groups$marks" = '  ' ] && exit
tell() { for group in $groups; do kill -s "$1" -- "-$group"; done; }
find_marked() {
  for mark in $marks; do
    for place in $(grep -Fls "MARK=$mark" /proc/[0-9]*/environ); do
      place=${place#/proc/}
      groups="$groups${place%/environ} "
    done
  done
}
find_marked
tell TERM
tell CONT
sleep 1
find_marked
tell KILL
""".replace("MARK", MARK)
"""Reads `+ GROUP` and `- GROUP`, and `< MARK` and `> MARK` around each start, until end of file: then TERM, and KILL a second later."""


class Guard:
    """The watcher of this process. It is best effort: where no shell can be started, children simply outlive a killed parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._marks: set[str] = set()
        self._owner = 0
        self._watcher = 0
        self._pipe = -1

    @contextmanager
    def starting(self) -> Iterator[str]:
        """While a child is started, whose environment has to hold `MARK` with what this gives. Within it the child's group is added."""
        mark = os.urandom(8).hex()
        with self._lock:
            if self._owner != os.getpid():
                self._groups.clear()
                self._marks.clear()
            self._marks.add(mark)
            self._say(f"< {mark}\n")
        try:
            yield mark
        finally:
            with self._lock:
                self._marks.discard(mark)
                self._tell(f"> {mark}\n")

    def add(self, group: int) -> None:
        """This process group is to end when we do."""
        with self._lock:
            self._groups.add(group)
            self._say(f"+ {group}\n")

    def remove(self, group: int) -> None:
        """This group's leader has ended: what it left behind is no longer ours, and its number may come to mean another."""
        with self._lock:
            if group not in self._groups:
                return
            self._groups.discard(group)
            self._tell(f"- {group}\n")

    def _say(self, line: str) -> None:
        if self._owner != os.getpid() or not self._tell(line):
            self._start()

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
        for line in (*(f"< {mark}\n" for mark in self._marks), *(f"+ {group}\n" for group in self._groups)):
            self._tell(line)

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

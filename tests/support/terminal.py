"""The whole program on a real pty, and what a terminal of that size would show of it."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pexpect
import pyte

ENTER, ESC, TAB, SHIFT_TAB = "\r", "\x1b", "\t", "\x1b[Z"
CTRL_B, CTRL_C, CTRL_D, CTRL_G, CTRL_J, CTRL_O, CTRL_R = "\x02", "\x03", "\x04", "\x07", "\n", "\x0f", "\x12"
ALT_ENTER, BACKSPACE, DOWN, RIGHT, PASTE_BEGIN, PASTE_END = "\x1b\r", "\x7f", "\x1b[B", "\x1b[C", "\x1b[200~", "\x1b[201~"
READY = "/ commands · @ files · ! shell"
"""What an empty prompt says while nothing runs."""
BUSY = "Enter steers"

CONFIG = """
default_model = "demo/m1"
providers "demo" {
  wire = "scripted"
  script = "script.json"
  models "m1" {
    name = "Model One"
    limit = { context = 32000, output = 4000 }
    cost = { input = 1.0, output = 4.0 }
  }
  models "m2" {
    name = "Model Two"
    effort = ["low", "high"]
    cost = { input = 10.0, output = 40.0 }
  }
}
"""


class Terminal:
    """One program on one pty. Everything waits for what the screen shows; `close` ends it, also one that hangs."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, columns: int = 100, rows: int = 30) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        # XTERM_VERSION: like xterm, this terminal cuts lines when it gets narrower and does not wrap them anew.
        given = {**os.environ, "TERM": "xterm-256color", "XTERM_VERSION": "pyte", **(env or {})}
        self.child: Any = pexpect.spawn(argv[0], list(argv[1:]), cwd=str(cwd), env=given, dimensions=(rows, columns), timeout=10)
        self.child.delaybeforesend = None

    # --- what is seen ---

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    @property
    def everything(self) -> str:
        """With what has scrolled away."""
        columns = self.screen.columns
        gone = ["".join(line[at].data for at in range(columns)).rstrip() for line in self.screen.history.top]
        return "\n".join([*gone, *self.lines]).rstrip()

    def pump(self, seconds: float = 0.02) -> bool:
        """Takes what was written; False where the program has ended."""
        try:
            data = self.child.read_nonblocking(65_536, seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self._stream.feed(data)
        return True

    def until(self, met: Callable[[], bool], what: str, seconds: float = 15.0) -> float:
        """Waits; gives the seconds it took. Fails with what is on the screen."""
        began = time.monotonic()
        while not met():
            alive = self.pump()
            if time.monotonic() - began > seconds or (not alive and not met()):
                raise AssertionError(f"{what} after {time.monotonic() - began:.1f} s{'' if alive else ' (it ended)'}; the screen:\n{self.text}")
        return time.monotonic() - began

    def see(self, *texts: str, seconds: float = 15.0) -> float:
        """Waits until all of these are on the screen."""
        return self.until(lambda: all(text in self.text for text in texts), f"not to be seen: {texts}", seconds)

    def see_no_more(self, text: str, seconds: float = 15.0) -> float:
        return self.until(lambda: text not in self.text, f"still to be seen: {text!r}", seconds)

    def ready(self, seconds: float = 15.0) -> float:
        """Waits for the empty prompt of an idle session."""
        return self.until(lambda: READY in self.text and "starting …" not in self.text, "no empty prompt", seconds)

    def drain(self, quiet: float = 0.3) -> None:
        """Takes what comes until nothing did for a while."""
        while True:
            before = len(self.raw)
            self.pump(quiet)
            if len(self.raw) == before:
                return

    # --- what is done ---

    def type(self, text: str) -> None:
        self.child.send(text)

    def enter(self, text: str) -> None:
        """Types a line and sends it."""
        self.child.send(text + ENTER)

    def resize(self, columns: int, rows: int) -> None:
        self.drain(0.05)
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def end(self, seconds: float = 10.0) -> int:
        """Waits for the program's end; gives its exit code, 128 and the signal's number where one ended it."""
        began = time.monotonic()
        while self.pump():
            assert time.monotonic() - began < seconds, f"it did not end; the screen:\n{self.text}"
        self.child.wait()
        return int(self.child.exitstatus) if self.child.exitstatus is not None else 128 + int(self.child.signalstatus)

    def close(self) -> None:
        if self.child.isalive():
            self.child.terminate(force=True)
        self.child.close()


def workplace(folder: Path, script: Sequence[Mapping[str, Any]], config: str = CONFIG) -> Path:
    """A config with a scripted model, beside an empty project; gives the config's path."""
    (folder / "script.json").write_text(json.dumps(list(script)))
    path = folder / "agent.hcl"
    path.write_text(config)
    (folder / "project").mkdir()
    return path


SERVED = """
default_model = "test/m"
providers "test" {
  api_key  = "sk-test-canary-0001"
  base_url = "%s"
  models "m" {
    limit = { context = 32000, output = 4000 }
    cost = { input = 1.0, output = 2.0 }
  }
  models "other" {
    effort = ["low", "high"]
    cost = { input = 1.0, output = 2.0 }
  }
}
limits {
  retries       = 1
  retry_first_s = 0.01
}
"""


def served(folder: Path, url: str) -> Path:
    """A config with two models of a loopback server, beside an empty project; gives the config's path."""
    return workplace(folder, [], SERVED % url)


def agentcli(*words: str) -> list[str]:
    return [sys.executable, "-m", "agentcli", *words]


def plain_text(raw: bytes) -> str:
    """What was written, without escape sequences."""
    return re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)", "", raw.decode("utf-8", "replace"))

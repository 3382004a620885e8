"""A terminal of its own that wraps lines anew on a resize, which pyte does not."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: nothing here wraps lines anew")
NUMBERS = itertools.count(1)


class Tmux:
    """One command in one window, on a server of its own."""

    def __init__(self, command: str, cwd: Path, columns: int, rows: int) -> None:
        self._server = f"agentcli-test-{os.getpid()}-{next(NUMBERS)}"  # an ended one may still be leaving
        self.run("-f", os.devnull, "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(cwd), command)

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_: object) -> None:
        self.run("kill-server")

    def run(self, *words: str) -> str:
        return subprocess.run(["tmux", "-L", self._server, *words], capture_output=True, text=True, check=True).stdout

    def keys(self, *keys: str) -> None:
        self.run("send-keys", "-t", "0", *keys)

    def text(self, *more: str) -> str:
        return self.run("capture-pane", "-p", "-t", "0", *more)

    def see(self, *texts: str) -> None:
        until = time.monotonic() + 15
        while not all(text in self.text() for text in texts):
            assert time.monotonic() < until, f"not to be seen: {texts}; the screen:\n{self.text()}"
            time.sleep(0.02)

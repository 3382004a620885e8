"""The whole program again and again without its start: a process that has loaded it forks for each run. As real as a process of its own: argv in,
exit code out, its own environment, folder and standard streams; only what it would import is there already.

    with Warm() as program:
        ran = program.run("-p", "hi", env=environment(), cwd=tmp_path)      # from any thread, several at once

What a run imports, and when, is for `support.program` to show.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .program import Ran, environment

CONFIG = """
default_model = "warm/m"
providers "warm" {
  wire   = "scripted"
  script = "script.json"
  models "m" {}
}
"""
SCRIPT = '[{"calls": [{"name": "bash", "arguments": {"command": "true; echo warm > warm.txt"}}]}, {"text": "warm"}]'
LOADED = ("httpx", "httpcore", "anyio._backends._asyncio", "email.utils", *(f"agentcli.providers.{name}" for name in (
    "openai_chat", "openai_responses", "anthropic", "gemini", "clients", "failures",
)))  # fmt: skip
"""What a first run with a scripted model does not load."""


class Warm:
    """See the module's text. `close` (or `with`) ends it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="warm"))
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from support.warm import serve; serve({str(self._socket)!r})"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @property
    def _socket(self) -> Path:
        return self._folder / "socket"

    def run(self, *words: str, env: Mapping[str, str] | None = None, cwd: Path, timeout: float = 60) -> Ran:
        """Runs the program to its end. Standard input is /dev/null."""
        with tempfile.NamedTemporaryFile(dir=self._folder) as out, tempfile.NamedTemporaryFile(dir=self._folder) as err:
            order = {"words": words, "env": dict(env or environment()), "cwd": str(cwd), "out": out.name, "err": err.name}
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(timeout)
                line.connect(str(self._socket))
                line.sendall(json.dumps(order).encode())
                line.shutdown(socket.SHUT_WR)
                code = int(line.recv(20))
            return Ran(code, out.read().decode("utf-8"), err.read().decode("utf-8"))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        shutil.rmtree(self._folder)

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- the process that forks ---


def serve(path: str) -> None:
    """One connection is one run: a fork waits for it and tells its exit code."""
    import gc

    _first_run(Path(path).parent / "first")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(64)
        print("ready", flush=True)
        while True:
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _keep(line)
            line.close()


def _first_run(folder: Path) -> None:
    """All that a run loads and works out once is there after one."""
    import contextlib
    import importlib
    import threading

    from agentcli.cli import _guarded

    for name in LOADED:
        importlib.import_module(name)
    folder.mkdir()
    (folder / "warm.hcl").write_text(CONFIG)
    (folder / "script.json").write_text(SCRIPT)
    out = folder / "out"
    with out.open("w") as stream, contextlib.redirect_stdout(stream), contextlib.chdir(folder):
        code = _guarded(["--config", "warm.hcl", "-p", "Go", "--permission-mode", "bypass", "--output-format", "stream-json"])
    assert (code, (folder / "warm.txt").read_text()) == (0, "warm\n"), out.read_text()
    assert threading.active_count() == 1


def _keep(line: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pieces = iter(lambda: line.recv(65_536), b"")
    order = json.loads(b"".join(pieces))
    program = os.fork()
    if program == 0:
        line.close()
        _begin(order)
    _, status = os.waitpid(program, 0)
    line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _begin(order: dict[str, Any]) -> None:
    os.setsid()
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, order["out"], os.O_WRONLY), (2, order["err"], os.O_WRONLY)):
        os.dup2(os.open(name, flags), number)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    from agentcli.cli import main

    try:
        main(order["words"])
    finally:
        os._exit(70)  # main ends the process by itself

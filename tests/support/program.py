"""The whole program as a process of its own, with a home of its own, against the loopback server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-m", "agentcli"]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.split("\n") if line]

    @property
    def result(self) -> dict[str, Any]:
        """The one result; fails where there is none or more than one."""
        (found,) = [line for line in self.lines if line["type"] == "result"]
        assert self.lines[-1] == found
        return found


def config(url: str, wire: str = "openai-chat", **limits: object) -> str:
    """An HCL config of one provider `test` at a loopback server, with model `m`."""
    lines = "\n".join(f"  {name} = {json.dumps(value)}" for name, value in limits.items())
    return (
        'default_model = "test/m"\n'
        f'providers "test" {{\n  apiKey = env("TEST_KEY")\n  baseUrl = "{url}"\n  wire = "{wire}"\n'
        '  models "m" { cost = { input = 1.0, output = 2.0 } }\n  models "other" {}\n}\n'
        f"limits {{\n{lines}\n}}\n"
    )


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "TEST_KEY": "sk-test-canary-0001", **more}


def run(
    *words: str,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
) -> Ran:
    """Runs the program to its end. `stdin` None: /dev/null."""
    done = subprocess.run(
        [*PROGRAM, *words],
        input=stdin.encode() if stdin is not None else None,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env=dict(env or environment()),
        cwd=cwd,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def start(*words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, **streams: Any) -> subprocess.Popen[bytes]:
    """Starts the program; the caller ends it."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        stdin=streams.pop("stdin", subprocess.DEVNULL),
        stdout=streams.pop("stdout", subprocess.PIPE),
        stderr=streams.pop("stderr", subprocess.PIPE),
        env=dict(env or environment()),
        cwd=cwd,
        start_new_session=True,
        **streams,
    )

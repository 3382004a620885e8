"""The example programs run as programs of their own, in a small project."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.examples import LOCAL, PROGRAMS
from support.weights import FOLDER, missing

Run = Callable[..., str]


@pytest.fixture
def project() -> Path:
    """The working directory as a small project."""
    Path("src").mkdir()
    Path("src/greet.py").write_text('def greet(name: str) -> str:\n    """Greets."""\n    return f"hello {name}"\n')
    Path("a.txt").write_text("an apple\n")
    Path("b.txt").write_text("a pear\n")
    return Path.cwd()


@pytest.fixture
def run(project: Path) -> Run:
    """`run("own_tool", seconds, **environment)` runs a program in the project and gives what it printed."""

    def running(name: str, seconds: float = 60, **environment: str) -> str:
        argv = [sys.executable, str(PROGRAMS / f"{name}.py")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, env={**os.environ, **environment}, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    return running


@pytest.fixture
def local_weights(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where both local models are; skips, naming the command, where they are not or nobody asked for what takes so long."""
    if not pytestconfig.getoption("all_models"):
        pytest.skip("takes long: uv run pytest --all-models tests/examples")
    if reason := missing(*LOCAL):
        pytest.skip(reason)
    monkeypatch.setenv("AGENTCLI_WEIGHTS", str(FOLDER))
    return FOLDER

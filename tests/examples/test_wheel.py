"""What is installed is all that is needed: the wheel is built, unpacked, and used without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.examples import scripted_config

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = [{"agent": "explore", "text": "It greets."}, {"text": "Well done.", "repeat": True}]
PROGRAM = """
import agentcli
with agentcli.Agent.create("agent.hcl") as agent, agent.session(".") as session:
    print(session.task("explore", "What is it for?"), session.send("Thanks."), agentcli.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    zipfile.ZipFile(built).extractall(folder / "unpacked")
    return folder / "unpacked"


def test_it_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    here = {path.relative_to(ROOT) for path in (ROOT / "agentcli").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    there = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    assert {path for path in there if not path.parts[0].endswith(".dist-info")} == here
    assert {Path("agentcli/py.typed"), Path("agentcli/agents/manifest.json"), Path("agentcli/agents/builtin/explore.md")} <= there


def test_a_program_and_the_command_line_run_from_it(wheel: Path, project: Path) -> None:
    (project / "agent.hcl").write_text(scripted_config(SCRIPT))

    def run(*words: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(wheel)}
        done = subprocess.run([sys.executable, *words], cwd=project, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", PROGRAM) == f"It greets. Well done. {wheel / 'agentcli' / '__init__.py'}\n"
    assert run("-m", "agentcli", "-p", "Thanks.", "--config", "agent.hcl", "--output-format", "text") == "Well done.\n"

"""The house rules that tools can keep: import contracts, lint, strict types, module size. One test each, so that a failure names its rule."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def _run(*argv: str) -> None:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"


def test_imports_go_down_the_floors_and_the_contracts_hold() -> None:
    _run(str(BIN / "lint-imports"), "--no-cache")


def test_ruff_finds_nothing() -> None:
    _run(str(BIN / "ruff"), "check", "agentcli", "tests")


def test_the_code_is_formatted() -> None:
    _run(str(BIN / "ruff"), "format", "--check", "agentcli", "tests")


@pytest.mark.timeout(300)
def test_the_strict_type_check_passes() -> None:
    _run(str(BIN / "mypy"))


def test_no_module_is_longer_than_450_lines() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in (ROOT / "agentcli").rglob("*.py") if (lines := len(path.read_text().splitlines())) > 450}
    assert long == {}

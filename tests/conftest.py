"""Every test runs with a home, a cache and a working directory of its own, and with no key of the person who runs it.

`tests/support/` holds what several tests share; it is importable as `support.…`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

SHARED = Path(os.environ.get("AGENTCLI_SHARED") or Path(__file__).resolve().parents[2] / "shared")
KEEP = {"PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV", "AGENTCLI_SHARED"}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs on two processes; what is named on the command line on none beside this one, so that it starts at once."""
    return 0 if config.args != config.getini("testpaths") else min(2, os.cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option for what takes too long for every run of the suite."""
    parser.addoption("--all-models", action="store_true", help="run the example programs on both real local models too, for half an hour and more")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Isolates the person's home and working directory; yields the home."""
    base = tmp_path_factory.mktemp("isolated")
    home, work = base / "home", base / "work"
    home.mkdir()
    work.mkdir()
    for name in list(os.environ):
        if name not in KEEP and not name.startswith(("PYTEST", "COV")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name, folder in (("CONFIG", ".config"), ("DATA", ".local/share"), ("CACHE", ".cache"), ("STATE", ".local/state")):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / folder))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(work)
    yield home


@pytest.fixture
def shared() -> Path:
    """The folder of cases; tests that need it skip where a checkout has none beside it."""
    if not (SHARED / "cases").is_dir():
        pytest.skip(f"no cases at {SHARED}: set AGENTCLI_SHARED to the folder that holds cases/")
    return SHARED

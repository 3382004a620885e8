"""A place for the whole program, and a bench for many runs of it, with configs and their cache shared by all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench
from support.place import SCRIPTED, SERVED, Place
from support.warm import Warm


@pytest.fixture(scope="session")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shared = tmp_path_factory.mktemp("configs")
    (shared / "scripted.hcl").write_text(SCRIPTED)
    (shared / "served.hcl").write_text(SERVED)
    return shared


@pytest.fixture
def place(tmp_path: Path, configs: Path) -> Place:
    folder = tmp_path / "project"
    folder.mkdir()
    return Place(folder, configs)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Warm() as program:
        yield Bench(program, tmp_path_factory.mktemp("bench"))

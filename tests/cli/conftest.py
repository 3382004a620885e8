"""A place for the whole program, with configs and their cache shared by all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.place import SCRIPTED, SERVED, Place


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

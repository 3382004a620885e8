"""A person's folders and a project, all empty."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    base = tmp_path.resolve()
    home = base / "home"
    desk = Desk(home, home / ".config/agentcli", home / ".local/share/agentcli", home / ".cache/agentcli", home / "src/app")
    for folder in (desk.home, desk.project):
        folder.mkdir(parents=True, exist_ok=True)
    return desk

"""A workspace with the traps of the trade in it: links that lead out, a file of keys, git's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ground import Ground


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    base = tmp_path.resolve()
    root, outside = base / "work", base / "elsewhere"
    for folder in (root / "sub", root / "src", root / ".git" / "hooks", outside):
        folder.mkdir(parents=True)
    for name in ("a.py", "b.py", ".env", "sub/c.py"):
        (root / name).write_text("text\n")
    (outside / "secret").write_text("key\n")
    (root / "link").symlink_to(outside / "secret")
    (root / "door").symlink_to(outside)
    return Ground(root, outside)

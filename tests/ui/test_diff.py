"""What git tells of several files, as it is shown: each under its name, with its size and what became of it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from agentcli.sdk.programs import working_diff
from agentcli.ui.diff import MOST_PATCH, patch_lines
from agentcli.ui.render import Painter


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True, capture_output=True)


def committed(folder: Path, **files: str) -> None:
    git(folder, "init", "-q")
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")


def shown(folder: Path) -> list[str]:
    text, _ = asyncio.run(working_diff(folder))
    return patch_lines(text, Painter("text"), 60)


def test_every_file_has_its_name_its_size_and_what_became_of_it(tmp_path: Path) -> None:
    same = "".join(f"line {number}\n" for number in range(9))
    committed(tmp_path, changed="one\ntwo\n", gone="bye\n", moved=same)
    (tmp_path / "changed").write_text("one\n-- a/changed\n")
    (tmp_path / "gone").unlink()
    git(tmp_path, "mv", "moved", "[bold] name")
    (tmp_path / "image").write_bytes(bytes(range(256)))
    git(tmp_path, "add", "image")
    assert shown(tmp_path) == [
        "[bold] name  (was moved)",
        "",
        "changed  +1 -1",
        "1   one",
        "2 - two",
        "2 + -- a/changed",
        "",
        "gone  +0 -1  (deleted)",
        "1 - bye",
        "",
        "image  (new, binary)",
    ]


def test_a_long_difference_is_cut_with_its_size(tmp_path: Path) -> None:
    committed(tmp_path, long="")
    (tmp_path / "long").write_text("x\n" * 1_000)
    lines = shown(tmp_path)
    assert (len(lines), lines[0], lines[-1]) == (MOST_PATCH + 1, "long  +1000 -0", "… +601 lines (git diff HEAD shows all)")

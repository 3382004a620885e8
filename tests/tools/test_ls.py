"""Listing one folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.toolbox import answer, context, refusal

from agentcli.protocol.tools import Access
from agentcli.tools.ls import Ls

LS = Ls()


def test_folders_come_first_files_have_sizes_and_hidden_entries_are_counted(tmp_path: Path) -> None:
    for folder in ("src", "Build", "node_modules", ".git"):
        (tmp_path / folder).mkdir()
    (tmp_path / "b.txt").write_bytes(b"x" * 1234)
    (tmp_path / "A.txt").touch()
    (tmp_path / ".env").write_text("secret")
    (tmp_path / "link").symlink_to("src")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "c").symlink_to("b.txt")
    os.mkfifo(tmp_path / "pipe")
    ctx = context(tmp_path)
    shown = [
        "Build/", "link/ -> src", "node_modules/\t(installed packages)", "src/",
        "A.txt\t0 B", "b.txt\t1.2 kB", "c -> b.txt\t1.2 kB", "dangling\t(a link that leads nowhere)", "pipe\t(a named pipe)",
    ]  # fmt: skip
    assert answer(LS, ctx) == "\n".join([*shown, "[2 hidden entries; all=true lists them]"])
    everything = [".git/\t(git's own data)", *shown[:4], ".env\t6 B", *shown[4:]]
    assert answer(LS, ctx, path=str(tmp_path), all="true") == "\n".join(everything)


def test_ignored_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "a.log").touch()
    assert answer(LS, context(tmp_path)) == "a.log\t0 B\n[1 hidden entry; all=true lists them]"


def test_an_empty_folder_and_one_with_hidden_entries_only_say_so(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    assert answer(LS, ctx) == answer(LS, ctx, path="") == "[the folder is empty]"
    (tmp_path / ".x").touch()
    assert answer(LS, ctx) == "[nothing but hidden entries]\n[1 hidden entry; all=true lists them]"


def test_a_large_folder_is_bounded_in_number_and_size(tmp_path: Path) -> None:
    for number in range(700):
        (tmp_path / f"file-{number:04}").touch()
    lines = answer(LS, context(tmp_path)).split("\n")
    assert (len(lines), lines[0], lines[-2], lines[-1]) == (501, "file-0000\t0 B", "file-0499\t0 B", "[200 further entries; find them with glob]")
    short = answer(LS, context(tmp_path, output_limit=1000))
    assert len(short) <= 1000
    assert short.endswith("[643 further entries; find them with glob]")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes file names that are no UTF-8")
def test_names_that_are_no_utf8_or_hold_control_characters_stay_on_their_line(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).touch()
    (tmp_path / "two\nlines\x1b[31m").touch()
    assert answer(LS, context(tmp_path)) == "caf\\xe9\t0 B\ntwo\\x0alines\\x1b[31m\t0 B"


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    ctx = context(tmp_path)
    assert refusal(LS, ctx, path="f") == ("not_a_folder", "f is not a folder; use read for a file")
    assert refusal(LS, ctx, directory="g") == ("no_file", "g does not exist. Use glob or ls to find it.")


def test_access_names_the_folder_as_given() -> None:
    assert LS.access(LS.args.model_validate({})) == Access(reads=(".",))
    assert LS.access(LS.args.model_validate({"path": "../up"})) == Access(reads=("../up",))

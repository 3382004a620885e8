"""What the file tools share: names, and that a change is over when its call is."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from support.toolbox import context

from agentcli.tools import files


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345, "12.3 kB"), (999_999, "1.0 MB"), (4_100_000, "4.1 MB"), (7 * 10**12, "7.0 TB")],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert files.human_size(size) == text


def test_a_cancelled_change_is_waited_for_and_then_the_cancel_goes_on(tmp_path: Path) -> None:
    started, go_on, path = threading.Event(), threading.Event(), tmp_path / "f"

    def change() -> None:
        started.set()
        go_on.wait(10)
        path.write_text("done")

    async def scenario() -> bool:
        task = asyncio.create_task(files.finished(change))
        await asyncio.to_thread(started.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        await asyncio.wait((task,))
        return task.cancelled()

    assert asyncio.run(scenario())
    assert path.read_text() == "done"


def test_a_file_that_another_program_writes_between_look_and_save_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("mine")
    looked = path.stat()
    path.write_text("theirs, longer")
    with pytest.raises(files.ToolError) as refused:
        files.replace(path, b"mine, changed", "f", looked)
    assert (refused.value.code, path.read_text()) == ("changed_on_disk", "theirs, longer")


def test_a_file_that_appears_between_look_and_creation_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("theirs")
    with pytest.raises(files.ToolError) as refused:
        files.create(tmp_path / "f", b"mine", "f")
    assert (refused.value.code, (tmp_path / "f").read_text()) == ("exists", "theirs")


def test_paths_are_relative_to_the_agents_folder_and_follow_links_as_the_system_does(tmp_path: Path) -> None:
    work, other = tmp_path / "work", tmp_path / "other/inner"
    work.mkdir()
    other.mkdir(parents=True)
    (work / "link").symlink_to(other)
    ctx = context(work)
    real = tmp_path.resolve()
    assert files.located(ctx, "link/../x") == real / "other/x"
    assert files.located(ctx, "./a//b/../c") == real / "work/a/c"
    assert files.located(ctx, str(real / "abs")) == real / "abs"
    for path in ("~", "~/x"):
        with pytest.raises(files.ToolError, match="~ is not expanded here; give the absolute path"):
            files.located(ctx, path)
    (work / "~").mkdir()
    assert files.located(ctx, "~") == real / "work/~"

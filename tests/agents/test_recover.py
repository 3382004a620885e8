"""A session that was killed: what its workers did is found and saved."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from support.repositories import Repository, new_repository

from agentcli.agents.workspace import Recovered, open_workspace, recover

WORKER = """
import asyncio, sys
from pathlib import Path
from agentcli.agents.workspace import open_workspace

async def main():
    workspace = await open_workspace("branch", Path(sys.argv[1]), Path(sys.argv[2]), "main/scout-1")
    (workspace.path / "made.txt").write_text("made\\n")
    if "ignored" in sys.argv:
        (workspace.path / "own.log").write_text("ignored\\n")
    if "saved" in sys.argv:
        record = workspace.folder / "workspace.json"
        before = record.read_bytes()
        await workspace.collect()
        record.write_bytes(before)
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def killed_session(project: Path, scratch: Path, *more: str) -> None:
    """Opens a workspace, writes into it and is killed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(project), str(scratch), *more, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def test_the_work_of_a_killed_worker_is_saved_and_its_clone_removed(repository: Repository, scratch: Path) -> None:
    await killed_session(repository.path, scratch)
    (scratch / "scout-1/work/project/.git/index.lock").touch()
    (scratch / "scout-1/control/0/index.lock").touch()
    found = await recover(scratch)
    assert [(one.name, one.error, one.changes.branch) for one in found] == [("main/scout-1", "", "agentcli/scout-1")]
    assert repository.git("show", "agentcli/scout-1:made.txt") == "made"
    assert list(scratch.iterdir()) == []
    assert await recover(scratch) == ()


async def test_a_clone_is_kept_where_its_parent_is_gone_or_something_in_it_cannot_be_saved(
    repository: Repository, scratch: Path, tmp_path: Path
) -> None:
    gone = new_repository(tmp_path / "gone")
    await killed_session(gone.path, scratch)
    await killed_session(repository.path, scratch, "ignored")
    gone.path.rename(tmp_path / "elsewhere")
    first, second = await recover(scratch)
    assert "gone" in first.error
    assert (scratch / "scout-1/work/gone/made.txt").exists()
    assert second.error == "kept, for it holds what no branch can: own.log"
    assert repository.git("show", "agentcli/scout-1-2:made.txt") == "made"


async def test_half_made_clones_are_cleared_away_and_what_is_not_ours_stays(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    assert workspace.folder is not None
    (workspace.folder / "workspace.json").unlink()
    foreign = scratch / "foreign"
    foreign.mkdir()
    (foreign / "file").write_text("mine\n")
    broken = scratch / "broken"
    broken.mkdir()
    (broken / "workspace.json").write_text("{")
    assert await recover(scratch) == (Recovered("broken", broken, error=f"{broken / 'workspace.json'} cannot be read (DecodeError)."),)
    assert sorted(path.name for path in scratch.iterdir()) == ["broken", "foreign"]
    assert await recover(scratch / "nowhere") == ()


async def test_work_that_was_saved_just_before_the_kill_is_not_saved_twice(repository: Repository, scratch: Path) -> None:
    """The branch stood already, made some seconds before, and the workspace's own record did not say so yet."""
    await killed_session(repository.path, scratch, "saved")
    tree, parent = (repository.git("rev-parse", f"agentcli/scout-1{what}") for what in ("^{tree}", "^1"))
    earlier = repository.git("commit-tree", tree, "-p", parent, "-m", "the same work")
    repository.git("branch", "--force", "agentcli/scout-1", earlier)
    (found,) = await recover(scratch)
    assert (found.changes.branch, repository.branches()) == ("agentcli/scout-1", ["agentcli/scout-1", "main"])
    assert repository.git("rev-parse", "agentcli/scout-1") == earlier

"""What a session does with clones of others: those of the living are left alone, what the dead left is saved, and said once."""

from __future__ import annotations

from pathlib import Path

from support.repositories import Repository

from agentcli.agents.leftovers import CLONES, claim, save_leftovers
from agentcli.agents.workspace import Workspace, open_workspace


async def left_behind(repository: Repository, sessions: Path, session: str = "old") -> Workspace:
    """A clone with work in it, and no process that claims it."""
    workspace = await open_workspace("branch", repository.path, sessions / session / CLONES, "main/scout-1")
    (workspace.path / "made.txt").write_text("made\n")
    return workspace


async def test_work_that_was_left_is_saved_and_its_folder_cleared(repository: Repository, tmp_path: Path) -> None:
    workspace = await left_behind(repository, tmp_path / "sessions")
    told = await save_leftovers(tmp_path / "sessions")
    assert told == (
        f"A worker of a session that was cut off (main/scout-1) left work: it is saved on the branch agentcli/scout-1 of {repository.path}.",
    )
    assert repository.git("show", "agentcli/scout-1:made.txt") == "made"
    assert not workspace.path.exists()
    assert list((tmp_path / "sessions").iterdir()) == []
    assert await save_leftovers(tmp_path / "sessions") == ()


async def test_what_another_living_session_has_claimed_is_not_touched(repository: Repository, tmp_path: Path) -> None:
    workspace = await left_behind(repository, tmp_path / "sessions")
    held = claim(tmp_path / "sessions/old")
    assert held is not None
    assert claim(tmp_path / "sessions/old") is None
    assert await save_leftovers(tmp_path / "sessions") == ()
    assert workspace.path.exists()
    held.release()
    assert len(await save_leftovers(tmp_path / "sessions")) == 1


async def test_what_cannot_be_saved_stays_and_is_told_once(repository: Repository, tmp_path: Path) -> None:
    workspace = await left_behind(repository, tmp_path / "sessions")
    (workspace.path / "result.log").write_text("ignored by git\n")
    first = await save_leftovers(tmp_path / "sessions")
    second = await save_leftovers(tmp_path / "sessions")
    assert (len(first), second) == (1, ())
    assert "left work in" in first[0] and "result.log" in first[0]
    assert (workspace.path / "result.log").exists()


async def test_an_untouched_clone_is_cleared_without_a_word(repository: Repository, tmp_path: Path) -> None:
    workspace = await open_workspace("branch", repository.path, tmp_path / "sessions/old" / CLONES, "main/scout-1")
    assert await save_leftovers(tmp_path / "sessions") == ()
    assert (workspace.path.exists(), repository.branches()) == (False, ["main"])

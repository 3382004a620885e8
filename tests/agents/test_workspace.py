"""Workspaces on real repositories: what a worker finds there, what comes back, and that nothing is lost or touched that should not be."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from support.repositories import LINES, Repository, new_repository

from agentcli.agents import clones, merging
from agentcli.agents.handback import FileChange
from agentcli.agents.workspace import Changes, MergeResult, Place, Workspaces, named_place, open_workspace, read_kind
from agentcli.protocol.errors import WorkspaceError


def edited(text: str, number: int, word: str) -> str:
    return text.replace(f"line {number}\n", f"{word} {number}\n")


def made_dirty(repository: Repository) -> Repository:
    """One file staged and edited again, one edited, one deleted, one untracked, one ignored."""
    repository.write("old.txt", "old\n")
    repository.write("keep.txt", "keep\n")
    repository.commit("more")
    repository.write("app.txt", edited(LINES, 3, "STAGED"))
    repository.git("add", "app.txt")
    repository.write("app.txt", edited(edited(LINES, 3, "STAGED"), 9, "DIRTY"))
    repository.write("keep.txt", "kept\n")
    (repository.path / "old.txt").unlink()
    repository.write("notes/new.txt", "untracked\n")
    repository.write("secret.log", "ignored\n")
    return repository


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", ("inherit", "")),
        ("inherit", ("inherit", "")),
        (" branch ", ("branch", "")),
        ("worktree", ("branch", "")),
        ("share", ("share", "")),
        ("./branch", ("path", "./branch")),
        ("/some/where", ("path", "/some/where")),
        ("Branch", ("path", "Branch")),
    ],
)
def test_a_workspace_is_a_kind_or_a_path(text: str, meant: tuple[str, str]) -> None:
    assert read_kind(text) == meant


def test_a_named_place_is_seen_from_the_parent_and_must_exist(tmp_path: Path) -> None:
    parent, other = tmp_path / "parent", tmp_path / "other"
    (parent / "branch").mkdir(parents=True)
    other.mkdir()
    (parent / "out").symlink_to(other)
    (parent / "file").write_text("")
    assert named_place("./branch", parent, (parent,)) == Place(parent / "branch", outside=False)
    assert named_place("../other", parent, (parent,)) == Place(other, outside=True)
    assert named_place("out", parent, (parent,)) == Place(other, outside=True)
    assert named_place("../other", parent, (parent, other)) == Place(other, outside=False)
    for missing in ("nowhere", "file", "a\0b"):
        with pytest.raises(WorkspaceError, match="no folder that exists"):
            named_place(missing, parent, (parent,))


async def test_inherit_is_the_parents_folder_and_has_nothing_to_hand_back(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("inherit", repository.path, scratch, "main/scout-1", (repository.path, scratch))
    repository.write("app.txt", "done here\n")
    assert (workspace.path, workspace.roots, workspace.branch) == (repository.path, (repository.path, scratch), "")
    assert await workspace.collect() == Changes()
    assert await workspace.merge(Changes()) == MergeResult(True)
    assert await workspace.discard()
    assert repository.read("app.txt") == "done here\n"


async def test_a_path_is_worked_in_and_written_alone(repository: Repository, scratch: Path) -> None:
    place = named_place("lib", repository.path, (repository.path,))
    workspace = await open_workspace("path", place.path, scratch, "scout-1", (repository.path,))
    assert (workspace.path, workspace.roots, workspace.branch) == (repository.path / "lib", (repository.path / "lib",), "")
    assert await workspace.collect() == Changes()


async def test_those_that_share_see_each_other_and_the_next_ones_after_it_was_discarded_start_anew(repository: Repository, scratch: Path) -> None:
    workspaces = Workspaces(scratch)
    first, second = await asyncio.gather(*(workspaces.open("share", repository.path, name) for name in ("worker-1", "worker-2")))
    alone = await workspaces.open("branch", repository.path, "worker-3")
    (first.path / "made.txt").write_text("made\n")
    assert (second.path / "made.txt").read_text() == "made\n"
    assert not (alone.path / "made.txt").exists()
    one, two = await asyncio.gather(first.collect(), second.collect())
    assert one == two
    assert one.branch in repository.branches()
    assert await first.discard()
    third = await workspaces.open("share", repository.path, "worker-4")
    assert not (third.path / "made.txt").exists()


async def test_a_branch_carries_over_what_is_staged_unstaged_deleted_and_untracked_but_not_what_is_ignored(
    repository: Repository, scratch: Path
) -> None:
    made_dirty(repository)
    workspace = await open_workspace("branch", repository.path, scratch, "main/scout-1")
    clone = Repository(workspace.path)
    parent_files = repository.files()
    del parent_files["secret.log"]
    assert clone.files() == parent_files
    assert clone.status() == repository.status() == ["MM app.txt", " M keep.txt", " D old.txt", "?? notes/new.txt"]
    assert clone.git("diff", "--cached") == repository.git("diff", "--cached")
    assert clone.git("diff") == repository.git("diff")
    assert clone.git("log", "--format=%H") == repository.git("log", "--format=%H")
    assert clone.git("symbolic-ref", "HEAD") == "refs/heads/agentcli/scout-1"
    assert workspace.roots == (workspace.path,)
    assert workspace.path.name == "project"
    assert workspace.path.is_relative_to(scratch)


async def test_modes_symlinks_binaries_and_odd_names_are_carried_over_as_they_are(repository: Repository, scratch: Path) -> None:
    script = repository.write("run.sh", "#!/bin/sh\n")
    script.chmod(0o755)
    (repository.path / "link").symlink_to("app.txt")
    (repository.path / "binary").write_bytes(bytes(range(256)))
    repository.write("with space ü\tand tab.txt", "odd\n")
    repository.write(":(top)magic", "magic\n")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    assert os.access(workspace.path / "run.sh", os.X_OK)
    assert (workspace.path / "link").readlink() == Path("app.txt")
    assert (workspace.path / "binary").read_bytes() == bytes(range(256))
    assert (workspace.path / "with space ü\tand tab.txt").read_text() == "odd\n"
    assert (workspace.path / ":(top)magic").read_text() == "magic\n"
    (workspace.path / "binary").write_bytes(bytes(range(255, -1, -1)))
    changes = await workspace.collect()
    assert changes.files == (FileChange("binary", "modified", None, None),)


async def test_the_parents_tree_index_and_head_are_untouched_until_a_merge(repository: Repository, scratch: Path) -> None:
    made_dirty(repository)
    index, files = (repository.path / ".git/index").read_bytes(), repository.files()
    head = repository.git("rev-parse", "HEAD")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    Repository(workspace.path).write("app.txt", "all new\n")
    Repository(workspace.path).commit("mine")
    await workspace.collect()
    assert (repository.path / ".git/index").read_bytes() == index
    assert repository.files() == files
    assert (repository.git("rev-parse", "HEAD"), repository.git("symbolic-ref", "HEAD")) == (head, "refs/heads/main")


async def test_what_comes_back_is_a_branch_and_a_diff_of_the_workers_own_work_only(repository: Repository, scratch: Path) -> None:
    made_dirty(repository)
    workspace = await open_workspace("branch", repository.path, scratch, "main/scout-1")
    clone = Repository(workspace.path)
    clone.write("app.txt", edited(clone.read("app.txt"), 20, "WORKER"))
    clone.write("made.txt", "made\n")
    (clone.path / "keep.txt").unlink()
    changes = await workspace.collect()
    assert changes.files == (
        FileChange("app.txt", "modified", 1, 1),
        FileChange("keep.txt", "deleted", 0, 1),
        FileChange("made.txt", "added", 1, 0),
    )
    assert changes.branch == "agentcli/scout-1"
    assert "+WORKER 20" in changes.diff
    assert "DIRTY" not in changes.diff.replace(" DIRTY", "")
    assert "STAGED" not in changes.diff
    assert repository.git("show", "agentcli/scout-1:app.txt") == clone.read("app.txt").rstrip("\n")
    assert repository.git("diff", "--name-status", changes.base, changes.branch).split() == ["M", "app.txt", "D", "keep.txt", "A", "made.txt"]
    assert repository.git("log", "-1", "--format=%an <%ae>", changes.branch) == "agentcli <agentcli@localhost>"


async def test_collecting_again_gives_the_same_branch_and_later_work_moves_it(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    assert await workspace.collect() == Changes(base=workspace.clones[0].base, trees=(workspace.clones[0].start,))
    assert repository.branches() == ["main"]
    clone = Repository(workspace.path)
    clone.write("one.txt", "1\n")
    first = await workspace.collect()
    tip = repository.git("rev-parse", first.branch)
    assert await workspace.collect() == first
    assert repository.git("rev-parse", first.branch) == tip
    clone.write("two.txt", "2\n")
    second = await workspace.collect()
    assert [change.path for change in second.files] == ["one.txt", "two.txt"]
    assert repository.git("diff", "--name-only", "main", first.branch).split() == ["one.txt", "two.txt"]
    assert repository.branches() == ["agentcli/scout-1", "main"]


async def test_the_workers_own_commits_branches_and_stash_come_back_too(repository: Repository, scratch: Path) -> None:
    repository.write("dirty.txt", "dirt\n")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("one.txt", "1\n")
    clone.git("add", "one.txt")
    clone.git("commit", "--quiet", "-m", "the worker's commit")
    clone.git("checkout", "--quiet", "-b", "try/this", "main")
    clone.write("tried.txt", "tried\n")
    clone.git("add", "tried.txt")
    clone.git("commit", "--quiet", "-m", "an attempt")
    clone.write("lib/tool.txt", "stashed\n")
    clone.git("stash", "--quiet")
    clone.git("checkout", "--quiet", "agentcli/scout-1")
    clone.write("two.txt", "2\n")
    changes = await workspace.collect()
    assert changes.branches == ("agentcli/scout-1", "agentcli/scout-1.try-this", "agentcli/scout-1.stash")
    assert [change.path for change in changes.files] == ["one.txt", "two.txt"]
    assert repository.git("log", "--format=%s", "main..agentcli/scout-1").splitlines() == [
        "scout-1: what was not committed",
        "the worker's commit",
    ]
    assert repository.git("show", "agentcli/scout-1.try-this:tried.txt") == "tried"
    assert repository.git("show", "agentcli/scout-1.stash:lib/tool.txt") == "stashed"
    assert await workspace.merge(changes) == MergeResult(True, files=("one.txt", "two.txt"))
    assert repository.status() == ["?? dirty.txt", "?? one.txt", "?? two.txt"]


async def test_a_worker_without_an_identity_can_commit_and_no_hook_runs(
    repository: Repository, scratch: Path, tmp_path: Path, own_home: Path
) -> None:
    mark = tmp_path / "hook-ran"
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit", "post-commit"):
        path = repository.write(f".git/hooks/{hook}", f"#!/bin/sh\ntouch {mark}\n")
        path.chmod(0o755)
    repository.git("config", "core.fsmonitor", f"touch {mark}; false")
    repository.git("config", "filter.bad.clean", f"touch {mark}; cat")
    repository.git("config", "filter.bad.smudge", f"touch {mark}; cat")
    mark.unlink(missing_ok=True)
    repository.write(".gitattributes", "*.txt filter=bad\n")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    (workspace.path / "made.txt").write_text("made\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_AUTHOR")}
    for command in (["git", "add", "-A"], ["git", "commit", "-q", "-m", "mine"]):
        process = await asyncio.create_subprocess_exec(*command, cwd=workspace.path, env=environment)
        assert await process.wait() == 0
    changes = await workspace.collect()
    assert await workspace.merge(changes) == MergeResult(True, files=("made.txt",))
    assert not mark.exists()
    assert list(own_home.glob(".gitconfig*")) == []


async def test_what_a_worker_writes_into_its_git_config_is_never_run(repository: Repository, scratch: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("made.txt", "made\n")
    clone.commit("mine")
    with (clone.path / ".git/config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = "touch {mark}"\n\thooksPath = {tmp_path}\n\talternateRefsCommand = "touch {mark}"\n'
            f'[filter "x"]\n\tclean = "touch {mark}; cat"\n\tsmudge = "touch {mark}; cat"\n\trequired = true\n'
            f'[diff]\n\texternal = "touch {mark}"\n[diff "x"]\n\ttextconv = "touch {mark}; cat"\n'
            f'[uploadpack]\n\tpackObjectsHook = "touch {mark}"\n[include]\n\tpath = /nowhere\n'
        )
    clone.write(".gitattributes", "*.txt filter=x diff=x\n")
    clone.write("made.txt", "made again\n")
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == [".gitattributes", "made.txt"]
    assert (await workspace.merge(changes)).merged
    assert await workspace.discard()
    assert not mark.exists()


async def test_workers_that_edit_the_same_file_at_once_hand_back_branches_of_their_own_and_conflicts_are_listed(
    repository: Repository, scratch: Path
) -> None:
    spaces = await asyncio.gather(*(open_workspace("branch", repository.path, scratch, f"main/worker-{number}") for number in range(1, 9)))
    for number, space in enumerate(spaces, 1):
        line = 5 if number == 8 else number * 3
        (space.path / "app.txt").write_text(edited(LINES, line, f"W{number}") if number != 8 else edited(LINES, 6, "EIGHT"))
    collected = await asyncio.gather(*(space.collect() for space in spaces))
    assert [changes.branch for changes in collected] == [f"agentcli/worker-{number}" for number in range(1, 9)]
    assert repository.read("app.txt") == LINES
    results = [await space.merge(changes) for space, changes in zip(spaces, collected, strict=True)]
    assert results == [
        *[MergeResult(True, files=("app.txt",))] * 7,
        MergeResult(False, ("app.txt",)),
    ]
    expected = LINES
    for number in range(1, 8):
        expected = edited(expected, number * 3, f"W{number}")
    assert repository.read("app.txt") == expected
    assert repository.git("show", "agentcli/worker-8:app.txt") == edited(LINES, 6, "EIGHT").rstrip("\n")
    assert repository.status() == [" M app.txt"]


async def test_a_merge_goes_into_a_dirty_parent_beside_its_own_later_changes(repository: Repository, scratch: Path) -> None:
    made_dirty(repository)
    staged = repository.git("diff", "--cached")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("app.txt", edited(clone.read("app.txt"), 20, "WORKER"))
    clone.write("notes/new.txt", "untracked\nand more\n")
    (clone.path / "keep.txt").rename(clone.path / "kept.txt")
    changes = await workspace.collect()
    repository.write("app.txt", edited(repository.read("app.txt"), 28, "LATER"))
    assert await workspace.merge(changes) == MergeResult(True, files=("app.txt", "keep.txt", "kept.txt", "notes/new.txt"))
    assert repository.read("app.txt") == edited(edited(edited(edited(LINES, 3, "STAGED"), 9, "DIRTY"), 20, "WORKER"), 28, "LATER")
    assert repository.files().keys() == {".gitignore", "app.txt", "kept.txt", "lib/tool.txt", "notes/new.txt", "secret.log"}
    assert repository.git("diff", "--cached") == staged


async def test_more_work_after_a_merge_is_merged_without_the_first_part_again(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("app.txt", edited(LINES, 5, "FIRST"))
    assert (await workspace.merge(await workspace.collect())).merged
    repository.write("app.txt", edited(LINES, 5, "PERSON"))
    clone.write("app.txt", edited(edited(LINES, 5, "FIRST"), 25, "SECOND"))
    assert (await workspace.merge(await workspace.collect())).merged
    assert repository.read("app.txt") == edited(edited(LINES, 5, "PERSON"), 25, "SECOND")


async def test_a_file_that_a_person_saves_while_a_merge_is_done_is_not_overwritten(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    Repository(workspace.path).write("app.txt", edited(LINES, 5, "WORKER"))
    Repository(workspace.path).write("lib/tool.txt", "worker\n")
    changes = await workspace.collect()
    plan = await merging.plan_merge(workspace.clones[0], changes.trees[0])
    repository.write("lib/tool.txt", "saved just now\n")
    with pytest.raises(WorkspaceError, match="not uptodate"):
        await merging.check_merge(plan)
    with pytest.raises(WorkspaceError, match="not uptodate"):
        await merging.apply_merge(plan)
    assert (repository.read("app.txt"), repository.read("lib/tool.txt")) == (LINES, "saved just now\n")
    assert await workspace.merge(changes) == MergeResult(False, ("lib/tool.txt",))


async def test_a_new_file_never_overwrites_an_ignored_one_of_the_parent(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("run.log", "the worker's\n")
    clone.git("add", "--force", "run.log")
    clone.commit("forced")
    clone.write("other.txt", "other\n")
    repository.write("run.log", "the person's\n")
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == ["other.txt", "run.log"]
    assert repository.git("show", f"{changes.branch}:run.log") == "the worker's"
    assert await workspace.merge(changes) == MergeResult(False, ("run.log",))
    assert repository.files().keys() == {".gitignore", "app.txt", "lib/tool.txt", "run.log"}
    assert repository.read("run.log") == "the person's\n"
    (repository.path / "run.log").unlink()
    assert (await workspace.merge(changes)).merged
    assert repository.read("run.log") == "the worker's\n"


async def test_an_ignored_file_that_is_only_staged_by_force_comes_back_too(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("run.log", "the worker's\n")
    clone.git("add", "--force", "run.log")
    changes = await workspace.collect()
    assert changes.files == (FileChange("run.log", "added", 1, 0),)
    assert await workspace.discard()


async def test_ignored_files_that_are_not_made_anew_keep_a_clone_from_being_deleted(repository: Repository, scratch: Path) -> None:
    repository.write(".gitignore", "*.log\nbuild/\nnode_modules/\n__pycache__/\n")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("node_modules/a/index.js", "a\n")
    clone.write("lib/__pycache__/tool.pyc", "x\n")
    clone.write("build/report.txt", "asked for\n")
    changes = await workspace.collect()
    assert changes.unsaved == ("build/",)
    assert not await workspace.discard()
    assert (clone.path / "build/report.txt").exists()
    (clone.path / "build/report.txt").unlink()
    (clone.path / "build").rmdir()
    assert await workspace.discard()
    assert list(scratch.iterdir()) == []
    assert repository.git("for-each-ref", "refs/agentcli") == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_files_that_cannot_be_read_are_reported_and_the_rest_is_saved(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("made.txt", "made\n")
    clone.write("closed.txt", "closed\n").chmod(0)
    clone.write("app.txt", "changed\n").chmod(0)
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == ["made.txt"]
    assert changes.unsaved == ("closed.txt", "app.txt")
    assert not await workspace.discard()


async def test_a_workspace_whose_making_is_interrupted_leaves_nothing(repository: Repository, scratch: Path) -> None:
    async def interrupted(seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await open_workspace("branch", repository.path, scratch, "scout-1")

    for seconds in (0.0, 0.005, 0.02):
        with pytest.raises(TimeoutError):
            await interrupted(seconds)
        assert not scratch.exists() or list(scratch.iterdir()) == []
        assert repository.git("for-each-ref", "refs/agentcli") == ""


async def test_a_repository_that_the_worker_makes_inside_is_reported_and_not_deleted(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    new_repository(workspace.path / "vendor/own")
    changes = await workspace.collect()
    assert (changes.files, changes.unsaved) == ((), ("vendor/own",))
    assert not await workspace.discard()
    assert (workspace.path / "vendor/own/app.txt").exists()


async def test_work_is_saved_even_where_the_worker_destroyed_its_git_directory(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("made.txt", "made\n")
    clone.commit("mine")
    for path in sorted((clone.path / ".git").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == ["made.txt"]
    assert repository.git("show", f"{changes.branch}:made.txt") == "made"


async def test_commits_whose_objects_are_damaged_do_not_hide_the_work(repository: Repository, scratch: Path) -> None:
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("made.txt", "first\n")
    clone.commit("mine")
    blob = clone.git("rev-parse", "HEAD:made.txt")
    clone.write("made.txt", "second\n")
    clone.commit("mine again")
    (clone.path / f".git/objects/{blob[:2]}/{blob[2:]}").unlink()
    changes = await workspace.collect()
    assert repository.git("show", f"{changes.branch}:made.txt") == "second"
    assert repository.git("fsck", "--connectivity-only", check=False) == ""


async def test_a_clone_outlives_a_thorough_clean_up_of_its_parent(repository: Repository, scratch: Path) -> None:
    repository.write("app.txt", "to be rewritten\n")
    repository.commit("will be dropped")
    repository.git("branch", "side")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    repository.git("branch", "--quiet", "-D", "side")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    clone = Repository(workspace.path)
    clone.write("made.txt", "made\n")
    clone.commit("mine")
    assert clone.git("log", "--format=%s").splitlines() == ["mine", "will be dropped", "first"]
    changes = await workspace.collect()
    assert repository.git("show", f"{changes.branch}:made.txt") == "made"


async def test_a_detached_head_is_carried_over(repository: Repository, scratch: Path) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.write("app.txt", "second\n")
    repository.commit("second")
    repository.git("checkout", "--quiet", "--detach", first)
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    (workspace.path / "made.txt").write_text("made\n")
    changes = await workspace.collect()
    assert repository.git("rev-parse", f"{changes.branch}~1") == first
    assert (await workspace.merge(changes)).merged
    assert repository.status() == ["?? made.txt"]
    assert repository.git("rev-parse", "HEAD") == first


async def test_a_repository_without_a_commit_works_with_and_without_files(tmp_path: Path, scratch: Path) -> None:
    empty = new_repository(tmp_path / "empty", commit=False)
    workspace = await open_workspace("branch", empty.path, scratch, "scout-1")
    (workspace.path / "made.txt").write_text("made\n")
    changes = await workspace.collect()
    assert changes.files == (FileChange("made.txt", "added", 1, 0),)
    assert empty.git("show", f"{changes.branch}:made.txt") == "made"
    assert (await workspace.merge(changes)).merged
    empty.git("add", "made.txt")
    again = await open_workspace("branch", empty.path, scratch, "scout-2")
    clone = Repository(again.path)
    assert clone.status() == empty.status() == ["A  made.txt"]
    clone.commit("a first commit")
    changes = await again.collect()
    assert (changes.files, changes.branch) == ((), "agentcli/scout-2")
    assert empty.git("log", "--format=%s", changes.branch) == "a first commit"
    assert await again.discard()


async def test_a_linked_worktree_is_a_parent_like_any_other(repository: Repository, scratch: Path, tmp_path: Path) -> None:
    repository.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    linked = Repository(tmp_path / "linked")
    linked.write("app.txt", "in the worktree\n")
    linked.git("add", "app.txt")
    workspace = await open_workspace("branch", linked.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    assert (clone.read("app.txt"), clone.status()) == ("in the worktree\n", ["M  app.txt"])
    clone.write("made.txt", "made\n")
    changes = await workspace.collect()
    assert changes.branch in repository.branches()
    assert (await workspace.merge(changes)).merged
    assert linked.status() == ["M  app.txt", "?? made.txt"]
    assert repository.status() == []


async def test_a_shallow_clone_is_a_parent_like_any_other(repository: Repository, scratch: Path, tmp_path: Path) -> None:
    for number in range(3):
        repository.write("app.txt", f"{number}\n")
        repository.commit(str(number))
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(tmp_path / "shallow"))
    shallow = Repository(tmp_path / "shallow")
    workspace = await open_workspace("branch", shallow.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("made.txt", "made\n")
    clone.commit("mine")
    changes = await workspace.collect()
    assert shallow.git("log", "--format=%s", changes.branch).splitlines() == ["mine", "2"]
    assert clone.git("rev-parse", "origin/main") == shallow.git("rev-parse", "origin/main")


async def test_a_folder_below_the_repositorys_top_is_where_the_worker_starts(repository: Repository, scratch: Path) -> None:
    (repository.path / "lib/empty").mkdir()
    workspace = await open_workspace("branch", repository.path / "lib", scratch, "scout-1", (repository.path / "lib",))
    assert (workspace.path / "tool.txt").read_text() == "tool\n"
    assert workspace.roots == (workspace.path,)
    assert (workspace.path.parent / "app.txt").exists()
    (workspace.path / "tool.txt").write_text("better tool\n")
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == ["lib/tool.txt"]
    assert (await workspace.merge(changes)).merged
    assert repository.read("lib/tool.txt") == "better tool\n"
    unknown = await open_workspace("branch", repository.path / "lib/empty", scratch, "scout-2")
    assert unknown.path.is_dir()


async def test_an_ignored_folder_of_a_repository_is_copied_as_a_folder(repository: Repository, scratch: Path) -> None:
    repository.write("build/site/index.html", "<p>\n")
    workspace = await open_workspace("branch", repository.path / "build/site", scratch, "scout-1")
    assert (workspace.path / "index.html").read_text() == "<p>\n"
    assert workspace.branch == ""
    (workspace.path / "index.html").write_text("<p>new\n")
    assert (await workspace.merge(await workspace.collect())).merged
    assert repository.read("build/site/index.html") == "<p>new\n"


async def test_a_submodule_with_uncommitted_work_is_carried_over_and_its_changes_come_back(
    repository: Repository, scratch: Path, tmp_path: Path
) -> None:
    library = new_repository(tmp_path / "library")
    repository.git("submodule", "--quiet", "add", str(library.path), "vendor/library")
    repository.commit("with a submodule")
    inner = Repository(repository.path / "vendor/library")
    inner.write("lib/tool.txt", "dirty in the submodule\n")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    assert clone.read("vendor/library/lib/tool.txt") == "dirty in the submodule\n"
    assert clone.git("-C", "vendor/library", "status", "--porcelain") == " M lib/tool.txt"
    assert clone.status() == repository.status() == [" M vendor/library"]
    clone.write("app.txt", "outer\n")
    clone.write("vendor/library/app.txt", "inner\n")
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == ["app.txt", "vendor/library/app.txt"]
    assert "+++ b/vendor/library/app.txt" in changes.diff
    assert "dirty in the submodule" not in changes.diff
    assert inner.git("show", "agentcli/scout-1:app.txt") == "inner"
    assert (await workspace.merge(changes)).merged
    assert (repository.read("app.txt"), inner.read("app.txt")) == ("outer\n", "inner\n")
    assert inner.status() == [" M app.txt", " M lib/tool.txt"]
    assert await workspace.discard()


async def test_a_commit_inside_a_submodule_is_named_by_the_outer_branch_and_merges_clean(
    repository: Repository, scratch: Path, tmp_path: Path
) -> None:
    library = new_repository(tmp_path / "library")
    repository.git("submodule", "--quiet", "add", str(library.path), "library")
    repository.commit("with a submodule")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    inner = Repository(clone.path / "library")
    inner.write("app.txt", "inner\n")
    done = inner.commit("in the submodule")
    clone.commit("in both")
    changes = await workspace.collect()
    assert repository.git("rev-parse", f"{changes.branch}:library") == done
    assert repository.git("log", "-1", "--format=%s", changes.branch) == "in both"
    assert [change.path for change in changes.files] == ["library/app.txt"]
    assert Repository(repository.path / "library").git("rev-parse", changes.branch) == done
    assert (await workspace.merge(changes)).merged
    assert repository.read("library/app.txt") == "inner\n"


async def test_a_submodule_that_was_not_fetched_does_no_harm(repository: Repository, scratch: Path, tmp_path: Path) -> None:
    library = new_repository(tmp_path / "library")
    repository.git("submodule", "--quiet", "add", str(library.path), "library")
    repository.commit("with a submodule")
    repository.git("submodule", "--quiet", "deinit", "--force", "library")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    assert clone.status() == []
    clone.write("app.txt", "outer\n")
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == ["app.txt"]
    assert repository.git("ls-tree", changes.branch, "library") == repository.git("ls-tree", "main", "library")


async def test_a_repository_lying_untracked_inside_is_cloned_and_handed_back_on_its_own(repository: Repository, scratch: Path) -> None:
    inner = new_repository(repository.path / "tools/inner")
    empty = new_repository(repository.path / "tools/empty", commit=False)
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    clone.write("tools/inner/app.txt", "changed\n")
    clone.write("tools/empty/made.txt", "made\n")
    changes = await workspace.collect()
    assert [change.path for change in changes.files] == ["tools/empty/made.txt", "tools/inner/app.txt"]
    assert inner.branches() == ["agentcli/scout-1", "main"]
    assert repository.branches() == ["main"]
    assert (await workspace.merge(changes)).merged
    assert (inner.read("app.txt"), empty.read("made.txt")) == ("changed\n", "made\n")
    assert await workspace.discard()


async def test_an_unfinished_merge_of_the_parent_is_carried_over_with_its_marks(repository: Repository, scratch: Path) -> None:
    repository.git("checkout", "--quiet", "-b", "side")
    repository.write("app.txt", "side\n")
    repository.commit("side")
    repository.git("checkout", "--quiet", "main")
    repository.write("app.txt", "main\n")
    repository.commit("main")
    repository.git("merge", "--quiet", "side", check=False)
    assert repository.status() == ["UU app.txt"]
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    assert clone.read("app.txt") == repository.read("app.txt")
    assert "<<<<<<<" in clone.read("app.txt")
    clone.write("app.txt", "both\n")
    assert (await workspace.merge(await workspace.collect())).merged
    assert repository.read("app.txt") == "both\n"
    assert repository.status() == ["UU app.txt"]


async def test_split_indexes_and_entries_only_announced_are_read_right(repository: Repository, scratch: Path) -> None:
    repository.write("announced.txt", "announced\n")
    repository.git("add", "--intent-to-add", "announced.txt")
    repository.write("lib/tool.txt", "staged\n")
    repository.git("add", "lib/tool.txt")
    repository.git("update-index", "--split-index")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    assert clone.git("diff", "--cached", "--name-only") == "lib/tool.txt"
    assert clone.read("announced.txt") == "announced\n"
    assert (await workspace.collect()).files == ()


async def test_line_ends_are_kept_where_the_parent_converts_them(repository: Repository, scratch: Path) -> None:
    repository.git("config", "core.autocrlf", "true")
    (repository.path / "app.txt").write_bytes(LINES.replace("\n", "\r\n").encode())
    (repository.path / "lib/tool.txt").write_bytes(b"tool\r\n")
    (repository.path / ".gitignore").write_bytes(b"*.log\r\nbuild/\r\n")
    repository.git("add", "--all")
    assert repository.status() == []
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    assert clone.status() == []
    assert (clone.path / "app.txt").read_bytes() == (repository.path / "app.txt").read_bytes()
    (clone.path / "app.txt").write_bytes(edited(LINES, 7, "SEVEN").replace("\n", "\r\n").encode())
    changes = await workspace.collect()
    assert changes.files == (FileChange("app.txt", "modified", 1, 1),)
    assert (await workspace.merge(changes)).merged
    assert (repository.path / "app.txt").read_bytes() == edited(LINES, 7, "SEVEN").replace("\n", "\r\n").encode()


async def test_files_of_lfs_stay_the_pointers_that_are_stored_and_the_worker_is_told(repository: Repository, scratch: Path) -> None:
    repository.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repository.write("large.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    repository.commit("a pointer")
    for key in ("clean", "smudge", "process"):
        repository.git("config", f"filter.lfs.{key}", "false")
    repository.git("config", "filter.lfs.required", "true")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    clone = Repository(workspace.path)
    assert clone.read("large.bin") == repository.read("large.bin")
    assert clone.status() == []
    assert workspace.notes == (
        f"{clone.path} is a clone of {repository.path} for this work alone: use it wherever {repository.path} is named, "
        f"and leave {repository.path} as it is.",
        "Files that git ignores (installed packages, results of builds) were not carried over.",
        "Files stored with git LFS are pointers here, their contents were not fetched.",
    )
    clone.write("other.bin", "new\n")
    assert (await workspace.merge(await workspace.collect())).merged
    assert repository.read("other.bin") == "new\n"


async def test_a_branch_name_that_is_taken_is_left_alone(repository: Repository, scratch: Path) -> None:
    repository.git("branch", "agentcli/scout-1")
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    assert workspace.branch == "agentcli/scout-1-2"
    (workspace.path / "made.txt").write_text("made\n")
    repository.git("branch", "agentcli/scout-1-2")
    changes = await workspace.collect()
    assert changes.branch == "agentcli/scout-1-2-2"
    assert repository.git("rev-parse", "agentcli/scout-1-2") == repository.git("rev-parse", "main")
    repository.git("branch", "--quiet", "-D", "agentcli/scout-1", "agentcli/scout-1-2", "agentcli/scout-1-2-2")
    repository.git("branch", "agentcli")
    flat = await open_workspace("branch", repository.path, scratch, "scout-9")
    (flat.path / "made.txt").write_text("made\n")
    assert (await flat.collect()).branch == "agentcli-scout-9"


async def test_names_that_no_folder_or_branch_could_have_are_made_plain(repository: Repository, scratch: Path) -> None:
    first = await open_workspace("branch", repository.path, scratch, "main/Über scout ../..")
    second = await open_workspace("branch", repository.path, scratch, "main/Über scout ../..")
    third = await open_workspace("branch", repository.path, scratch, "///")
    assert [space.branch for space in (first, second, third)] == ["agentcli/worker", "agentcli/worker-2", "agentcli/worker-3"]
    assert len({first.path, second.path, third.path}) == 3


async def test_the_work_of_an_earlier_branch_can_be_taken_up(repository: Repository, scratch: Path) -> None:
    made_dirty(repository)
    first = await open_workspace("branch", repository.path, scratch, "worker-1")
    clone = Repository(first.path)
    clone.write("app.txt", edited(clone.read("app.txt"), 20, "FIRST"))
    clone.write("made.txt", "made\n")
    before = await first.collect()
    assert await first.discard()
    repository.write("app.txt", edited(repository.read("app.txt"), 28, "LATER"))
    second = await open_workspace("branch", repository.path, scratch, "worker-2", start_from=before.branch)
    clone = Repository(second.path)
    assert clone.read("made.txt") == "made\n"
    assert "FIRST 20" in clone.read("app.txt")
    assert "LATER 28" in clone.read("app.txt")
    clone.write("made.txt", "made better\n")
    changes = await second.collect()
    assert changes.files == (FileChange("app.txt", "modified", 1, 1), FileChange("made.txt", "added", 1, 0))
    assert (await second.merge(changes)).merged
    assert repository.read("made.txt") == "made better\n"
    repository.write("app.txt", edited(LINES, 20, "SOMETHING ELSE"))
    with pytest.raises(WorkspaceError, match=r"conflicts with the parent's folder in app\.txt"):
        await open_workspace("branch", repository.path, scratch, "worker-3", start_from=before.branch)


async def test_a_folder_that_is_no_repository_is_copied_and_gives_a_diff_a_list_and_a_patch(tmp_path: Path, scratch: Path) -> None:
    folder = Repository(tmp_path / "plain")
    folder.write("app.txt", LINES)
    folder.write("data/binary", "x\0y")
    folder.write("node_modules/big/index.js", "x\n")
    (folder.path / "binary.bin").write_bytes(bytes(256))
    (folder.path / "app.txt").chmod(0o755)
    workspace = await open_workspace("branch", folder.path, scratch, "main/scout-1")
    clone = Repository(workspace.path)
    assert clone.files().keys() == {"app.txt", "data/binary", "binary.bin"}
    assert stat.S_IMODE((clone.path / "app.txt").stat().st_mode) & 0o100
    assert not (clone.path / ".git").exists()
    assert workspace.notes[1] == "Caches and installed packages were not copied."
    clone.write("app.txt", edited(LINES, 4, "WORKER"))
    (clone.path / "binary.bin").write_bytes(bytes(255))
    changes = await workspace.collect()
    assert changes.files == (FileChange("app.txt", "modified", 1, 1), FileChange("binary.bin", "modified", None, None))
    assert (changes.branch, changes.branches) == ("", ())
    assert "+WORKER 4" in changes.diff
    folder.write("app.txt", edited(LINES, 25, "PERSON"))
    assert (await workspace.merge(changes)).merged
    assert folder.read("app.txt") == edited(edited(LINES, 25, "PERSON"), 4, "WORKER")
    assert (folder.path / "binary.bin").read_bytes() == bytes(255)
    assert await workspace.discard()
    assert [path.name for path in scratch.iterdir()] == ["scout-1.patch"]
    fresh = new_repository(tmp_path / "fresh", commit=False)
    fresh.write("app.txt", LINES)
    (fresh.path / "binary.bin").write_bytes(bytes(256))
    fresh.git("apply", changes.patch)
    assert fresh.read("app.txt") == edited(LINES, 4, "WORKER")


async def test_a_folder_with_too_much_in_it_is_refused_and_leaves_nothing(
    tmp_path: Path, scratch: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clones, "MOST_FILES", 20)
    for number in range(25):
        Repository(tmp_path / "plain").write(f"{number}.txt", "x\n")
        repository.write(f"node_modules/{number}.txt", "x\n")
        repository.write(f"{number}.txt", "x\n")
    with pytest.raises(WorkspaceError, match="too much to copy"):
        await open_workspace("branch", tmp_path / "plain", scratch, "scout-1")
    with pytest.raises(WorkspaceError, match="too much to copy"):
        await open_workspace("branch", repository.path, scratch, "scout-1")
    repository.commit("now they are committed")
    assert await open_workspace("branch", repository.path, scratch, "scout-1")
    assert [path.name for path in scratch.iterdir()] == ["scout-1"]


async def test_git_missing_is_said_so(repository: Repository, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkspaceError, match="needs git, which is not installed"):
        await open_workspace("branch", repository.path, scratch, "scout-1")
    assert list(scratch.iterdir()) == []


async def test_variables_that_point_git_elsewhere_are_not_followed(
    repository: Repository, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new_repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git/index"))
    workspace = await open_workspace("branch", repository.path, scratch, "scout-1")
    (workspace.path / "made.txt").write_text("made\n")
    await workspace.collect()
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert repository.branches() == ["agentcli/scout-1", "main"]
    assert other.branches() == ["main"]


async def test_a_scratch_folder_inside_the_repository_is_no_part_of_the_clones(repository: Repository) -> None:
    scratch = repository.path / ".agentcli/scratch"
    first = await open_workspace("branch", repository.path, scratch, "scout-1")
    second = await open_workspace("branch", repository.path, scratch, "scout-2")
    assert not (second.path / ".agentcli").exists()
    (first.path / "made.txt").write_text("made\n")
    changes = await first.collect()
    assert (await first.merge(changes)).merged
    assert repository.read("made.txt") == "made\n"


async def test_a_workers_worker_branches_off_the_workers_clone(repository: Repository, scratch: Path) -> None:
    outer = await open_workspace("branch", repository.path, scratch, "main/planner-1")
    (outer.path / "outer.txt").write_text("outer\n")
    inner = await open_workspace("branch", outer.path, scratch, "main/planner-1/explore-1")
    assert (inner.path / "outer.txt").read_text() == "outer\n"
    (inner.path / "inner.txt").write_text("inner\n")
    changes = await inner.collect()
    assert (await inner.merge(changes)).merged
    assert await inner.discard()
    handed = await outer.collect()
    assert [change.path for change in handed.files] == ["inner.txt", "outer.txt"]
    assert handed.branches == ("agentcli/planner-1", "agentcli/planner-1.agentcli-explore-1")

"""A worker in a clone of its own is judged by the clone's roots: its own files as its parent's would be, everything else not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.repositories import Repository

from agentcli.agents.workspace import Workspace, open_workspace
from agentcli.protocol.events import PermissionMode
from agentcli.protocol.tools import Access
from agentcli.safety.rules import Policy, judge

ESCAPES = (
    "git -C {parent} commit --quiet --allow-empty -m x",
    "git -C ../../../../project checkout -- app.txt",
    "git --git-dir={parent}/.git --work-tree={parent} checkout -- .",
    "GIT_DIR={parent}/.git git commit --allow-empty -m x",
    "export GIT_DIR={parent}/.git; git commit --allow-empty -m x",
    "env GIT_WORK_TREE={parent} git checkout -- .",
    "GIT_INDEX_FILE={parent}/.git/index git add made.txt",
    "echo x > {parent}/app.txt",
    "echo x >> ../../../../project/app.txt",
    "echo x > out/app.txt",
    "echo x | tee {parent}/app.txt",
    "sed -i s/1/2/ {parent}/app.txt",
    "cp made.txt out/",
    "mv made.txt {parent}/",
    "cd {parent} && rm app.txt",
    "cd out && touch new.txt",
    "ln -s {parent}/app.txt link && echo x > link",
    "rm -rf {control}",
    "git worktree add ../elsewhere",
    "git push {parent} HEAD:main",
    "$(echo git) -C {parent} reset",
    "bash -c 'echo x > {parent}/app.txt'",
)
NOT_UNDERSTOOD = "python3 -c 'open(\"{parent}/app.txt\", \"w\")'"
"""What a program does with its text is not known: such commands are asked, except in `auto`, where only a sandbox holds them."""


async def in_a_clone(repository: Repository, scratch: Path, mode: PermissionMode) -> tuple[Policy, Workspace]:
    """The policy of a worker whose parent works in the repository itself."""
    workspace = await open_workspace("branch", repository.path, scratch, "main/scout-1", (repository.path,))
    (workspace.path / "out").symlink_to(repository.path)
    (workspace.path / "made.txt").write_text("made\n")
    return Policy(mode, (repository.path,)).with_roots(workspace.roots), workspace


async def test_what_a_worker_does_in_its_clone_is_judged_as_in_its_parents_folder(repository: Repository, scratch: Path) -> None:
    policy, workspace = await in_a_clone(repository, scratch, "accept-edits")
    for access in (
        Access(writes=("made.txt",)),
        Access(writes=(str(workspace.path / "lib/tool.txt"),)),
        Access(reads=("app.txt",)),
    ):
        assert judge(policy, "edit" if access.writes else "read", access).decision == "allow", access
    for command in ("git status", "git diff main", "cat app.txt"):
        assert judge(policy, "bash", Access(command=command)).decision == "allow", command


@pytest.mark.parametrize("mode", ["default", "accept-edits", "auto", "plan"])
async def test_no_attempt_to_write_outside_of_the_clone_passes(repository: Repository, scratch: Path, mode: PermissionMode) -> None:
    policy, workspace = await in_a_clone(repository, scratch, mode)
    assert workspace.folder is not None
    places = {"parent": repository.path, "control": workspace.folder / "control"}
    commands = ESCAPES if mode == "auto" else (*ESCAPES, NOT_UNDERSTOOD)
    passed = [command for command in commands if judge(policy, "bash", Access(command=command.format(**places))).decision == "allow"]
    assert passed == []
    for path in (repository.path / "app.txt", "../../../../project/app.txt", "out/app.txt", workspace.folder / "control/0/config", "../x"):
        assert judge(policy, "edit", Access(writes=(str(path),))).decision != "allow", path


async def test_the_parents_own_policy_would_have_let_them_pass(repository: Repository, scratch: Path) -> None:
    policy, _ = await in_a_clone(repository, scratch, "accept-edits")
    parents = dataclasses.replace(policy, roots=(repository.path,))
    assert judge(parents, "edit", Access(writes=(str(repository.path / "app.txt"),))).decision == "allow"

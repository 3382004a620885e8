"""Git that only reads, in repositories whose settings would make it run other programs; what is allowed is tried on git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.ground import Ground

RUNS = {
    "core.fsmonitor": "touch {mark}; false",
    "diff.external": "touch {mark}",
    "diff.odd.textconv": "touch {mark}; cat",
    "diff.odd.command": "touch {mark}",
    "filter.odd.clean": "touch {mark}; cat",
    "gpg.program": "touch {mark}",
    "core.sshCommand": "touch {mark}",
    "include.path": "/elsewhere",
}
HARMLESS = {"core.fsmonitor": "true", "filter.lfs.process": "git-lfs filter-process", "core.hooksPath": ".husky", "user.name": "path = x"}


@pytest.fixture
def repository(ground: Ground) -> Ground:
    (ground.root / ".git" / "hooks").rmdir()
    subprocess.run(["git", "init", "-q", ground.root], check=True)
    return ground


def set_to(ground: Ground, key: str, value: str) -> None:
    subprocess.run(["git", "-C", ground.root, "config", key, value], check=True)


@pytest.mark.parametrize("key", RUNS)
def test_git_is_asked_about_where_the_repository_names_a_program(repository: Ground, tmp_path: Path, key: str) -> None:
    assert repository.bash("git diff").decision == "allow"
    set_to(repository, key, RUNS[key].format(mark=tmp_path / "mark"))
    verdict = repository.bash("git diff")
    assert (verdict.decision, key.rpartition(".")[2].lower() in verdict.reason.lower()) == ("ask", True)
    assert repository.bash("git diff", "plan").decision == "ask"
    assert repository.bash("git diff", allow=["bash(git diff)"]).decision == "allow"


@pytest.mark.parametrize("text", ["[core] fsmonitor = x", "[CORE]\r\n\tFsMonitor=x\r\n", "[core]\n fsmonitor = \\\n  touch x"])
def test_settings_are_found_however_they_are_written(repository: Ground, text: str) -> None:
    (repository.root / ".git" / "config").write_bytes(text.encode())
    assert repository.bash("git status").decision == "ask"


def test_the_settings_that_tools_usually_write_cost_no_question(repository: Ground) -> None:
    for key, value in HARMLESS.items():
        set_to(repository, key, value)
    assert repository.bash("git status").decision == "allow"


def test_a_hook_that_reading_runs_is_asked_about(repository: Ground) -> None:
    hook = repository.root / "hooks" / "post-index-change"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    assert repository.bash("git status").decision == "allow"
    set_to(repository, "core.hooksPath", "hooks")
    assert repository.bash("git status").decision == "ask"


def test_a_working_tree_obeys_the_settings_of_its_repository(repository: Ground) -> None:
    git = ["git", "-C", repository.root, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", repository.outside / "tree"], check=True)
    beside = Ground(repository.outside / "tree", repository.root)
    assert beside.bash("git status").decision == "allow"
    set_to(repository, "core.fsmonitor", "x")
    assert beside.bash("git status").decision == "ask"


def test_a_rule_for_git_does_not_cover_a_repository_that_the_agent_could_have_written(repository: Ground) -> None:
    """A bare one needs no `.git`: four plain files will do."""
    allowed = ["bash(git status)", "bash(git add)"]
    assert repository.bash("cd sub && git status", allow=allowed).decision == "allow"
    for name in ("HEAD", "objects/x", "refs/x", "config"):
        (repository.root / "sub" / name).parent.mkdir(exist_ok=True)
        (repository.root / "sub" / name).write_text("[core]\n\tfsmonitor = touch mark\n")
    for command in ("cd sub && git status", "git -C sub status", "cd sub/refs; git status", "git status; cd $x; git status",
                    "find sub -name HEAD -execdir git status \\;", "trap 'git status' EXIT; cd sub"):  # fmt: skip
        for mode in ("default", "accept-edits", "auto"):
            assert repository.bash(command, mode, allow=allowed).decision == "ask", command
    assert repository.bash("git add a.py && git status", allow=allowed).decision == "allow"
    assert repository.bash("cd src && git add x && git status", allow=allowed).decision == "allow"
    assert repository.bash("mkdir src/refs; echo x > src/config; cd src && git status", "accept-edits", allow=allowed).decision == "ask"
    assert repository.bash("cd sub && git status", allow=["bash"]).decision == "allow"

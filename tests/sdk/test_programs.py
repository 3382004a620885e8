"""Programs that a person runs from a face: their shell, their editor, git; and what a face keeps between sessions."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from support.alive import still_running

from agentcli.protocol.errors import UsageError
from agentcli.sdk import saved
from agentcli.sdk.files import project_files
from agentcli.sdk.programs import ShellEnd, edit_text, editor_argv, git_branch, run_shell, working_diff


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a.txt").write_text("one\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


# --- the shell ---


def test_a_shell_command_runs_in_the_persons_shell_and_its_output_comes_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "mine: $2"\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))
    heard: list[str] = []
    end = asyncio.run(run_shell("echo ä; echo b >&2; exit 3", tmp_path, heard.append))
    assert end == ShellEnd("mine: echo ä; echo b >&2; exit 3\nä\nb\n", 3)
    assert "".join(heard) == end.output


def test_a_shell_command_sees_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("MY_OWN", "also-secret")
    end = asyncio.run(run_shell("echo [$OPENAI_API_KEY$MY_OWN]", tmp_path, lambda _: None, ["MY_OWN"]))
    assert end.output == "[]\n"


def test_a_cancelled_shell_command_is_gone_with_all_it_started(tmp_path: Path) -> None:
    async def run() -> None:
        begun = asyncio.Event()
        work = asyncio.create_task(run_shell("sleep 300 & echo $!; wait", tmp_path, lambda text: (heard.append(text), begun.set())[1]))
        await begun.wait()
        work.cancel()
        await asyncio.wait((work,))
        assert work.cancelled()

    heard: list[str] = []
    asyncio.run(run())
    assert still_running([int("".join(heard))]) == []


# --- the editor ---


def test_a_text_goes_through_the_editor_and_comes_back_as_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\n[ "$1" = --wait ] && printf "%s, changed\\n\\n" "$(cat "$2")" > "$2"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", f"'{editor}' --wait")
    monkeypatch.setenv("EDITOR", "false")
    assert asyncio.run(edit_text("first\nsecond")) == "first\nsecond, changed"


def test_an_editor_that_fails_or_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "false")
    with pytest.raises(UsageError, match="the editor 'false' ended with 1: the text stays as it was"):
        asyncio.run(edit_text("x"))
    monkeypatch.setenv("EDITOR", "no-such-editor-here")
    with pytest.raises(UsageError, match="there is no such program"):
        asyncio.run(edit_text("x"))
    monkeypatch.setenv("EDITOR", "vi 'unclosed")
    with pytest.raises(UsageError, match="VISUAL or EDITOR is no command"):
        editor_argv()
    monkeypatch.delenv("EDITOR")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="no editor was found"):
        editor_argv()


# --- git ---


def test_the_branch_is_read_from_any_folder_of_a_repository_a_worktree_and_a_detached_head(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    below = repository / "x/y"
    below.mkdir(parents=True)
    tree = tmp_path_factory.mktemp("elsewhere") / "tree"
    git(repository, "worktree", "add", "-q", "-b", "side/topic", str(tree))
    assert [git_branch(repository), git_branch(below), git_branch(tree)] == ["trunk", "trunk", "side/topic"]
    git(repository, "checkout", "-q", "--detach")
    assert len(git_branch(repository)) == 7
    assert git_branch(tmp_path_factory.mktemp("no repository")) == ""


def test_the_difference_tells_changes_and_new_files_and_where_there_is_no_repository(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert asyncio.run(working_diff(repository)) == ("", ())
    (repository / "a.txt").write_text("two\n")
    (repository / "ä b.txt").write_text("new\n")
    text, fresh = asyncio.run(working_diff(repository))
    assert "-one\n+two" in text
    assert fresh == ("ä b.txt",)
    with pytest.raises(UsageError, match="there is no git repository here"):
        asyncio.run(working_diff(tmp_path_factory.mktemp("none")))


def test_the_files_of_a_project_leave_out_what_git_ignores(repository: Path) -> None:
    for name in (".gitignore", ".github/ci.yml", "src/b.py", "built/x.o"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("built\n" if name == ".gitignore" else "")
    assert asyncio.run(project_files(repository)) == (".github/ci.yml", ".gitignore", "a.txt", "src/b.py")
    assert asyncio.run(project_files(repository / "not there")) == ()


# --- what is kept ---


def test_saved_models_stand_in_the_settings_until_they_are_forgotten(own_home: Path) -> None:
    path = saved.save_default_model("acme/big:high")
    saved.save_subagent_model("acme/small")
    assert path == own_home / ".config/agentcli/settings.json"
    assert json.loads(path.read_text()) == {"default_model": "acme/big:high", "subagent_model": "acme/small"}
    saved.save_default_model(None)
    assert json.loads(path.read_text()) == {"subagent_model": "acme/small"}


def test_what_is_asked_once_is_remembered_apart_and_an_unwritable_state_is_no_error(own_home: Path) -> None:
    assert not saved.was_asked("setup")
    saved.remember_asked("setup")
    assert saved.was_asked("setup")
    assert not saved.was_asked(f"trust-{saved.mark_of(Path('/a/agent.hcl'))}")
    assert saved.mark_of(Path("/a/agent.hcl")) != saved.mark_of(Path("/b/agent.hcl"))
    state = own_home / ".local/state/agentcli"
    for path in sorted(state.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    state.rmdir()
    state.write_text("a file where the folder should be")
    saved.remember_asked("setup")
    assert not saved.was_asked("setup")
    assert saved.history_file() is None

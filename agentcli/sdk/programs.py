"""Programs that a person runs from a face: their shell, their editor, git. Output is given back, nothing is printed here."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from agentcli.protocol.errors import AgentError, StorageError, UsageError
from agentcli.system import environment, processes

KEPT_BYTES = 1_000_000
"""Of a shell command's output; more is dropped, and said to be."""
DIFF_LIMIT_S = 20.0
EDITORS = ("nano", "vim", "vi")
"""Tried in order where neither VISUAL nor EDITOR is set."""

CLIPBOARDS = (
    ("", "pbcopy"), ("WAYLAND_DISPLAY", "wl-copy"), ("DISPLAY", "xclip", "-selection", "clipboard"), ("DISPLAY", "xsel", "-ib"), ("", "clip.exe"),
    ("TMUX", "tmux", "load-buffer", "-w", "-"),
)  # fmt: skip
"""The variable that says that its desktop is there, and the program that takes a text for its clipboard."""
CLIPBOARD_LIMIT_S = 3.0


class ShellEnd(Struct, frozen=True):
    """How a command ended. `exit_code` is negative where a signal ended it; `cut`: output beyond the limit was dropped."""

    output: str
    exit_code: int | None
    cut: bool = False


async def run_shell(command: str, cwd: Path, on_output: Callable[[str], None], secrets: Iterable[str] = ()) -> ShellEnd:
    """Runs a command in the person's own shell, without a terminal; stdout and stderr together. A cancel ends it and all it started.

    Raises:
        UsageError: the shell or the folder is not there.
    """
    import codecs

    shell = environment.get("SHELL") or "/bin/sh"
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    done = await processes.run(
        [shell, "-c", command],
        cwd=cwd,
        env=environment.child_env(secrets),
        merge_stderr=True,
        max_output=KEPT_BYTES,
        on_output=lambda data: on_output(decoder.decode(data)),
        grace_s=0.2,
    )
    return ShellEnd(done.stdout.decode("utf-8", "replace"), done.exit_code, done.truncated)


async def edit_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Opens text in the person's editor (VISUAL, EDITOR, else a usual one), which has the terminal meanwhile; gives what they saved.

    Raises:
        UsageError: no editor, or it failed. StorageError: no temporary file can be written.
    """
    argv = editor_argv()
    try:
        with tempfile.TemporaryDirectory(prefix="agentcli-") as folder:
            path = Path(folder) / "message.md"
            path.write_text(text, encoding="utf-8")
            code = await processes.run_attached([*argv, str(path)], env=environment.attached_env(secrets))
            if code != 0:
                raise UsageError(f"the editor '{argv[0]}' ended with {code}: the text stays as it was.")
            return path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError as error:
        raise StorageError(f"the text cannot be handed to an editor: {error.strerror or error}.") from error


def editor_argv() -> list[str]:
    """The editor's command. Raises UsageError where there is none, or its variable is not a command."""
    import shutil

    named = environment.terminal().editor
    if named:
        try:
            argv = shlex.split(named)
        except ValueError as error:
            raise UsageError(f"VISUAL or EDITOR is no command ({error}): {named[:80]}.") from error
        if argv:
            return argv
    found = next((name for name in EDITORS if shutil.which(name)), "")
    if not found:
        raise UsageError("no editor was found.", hint="Set EDITOR to the one you use.")
    return [found]


async def copy_text(text: str) -> bool:
    """Puts text into the desktop's clipboard by the first program for it that is there and works; False where none does."""
    import shutil

    for needs, *argv in CLIPBOARDS:
        if (needs and not environment.get(needs)) or not shutil.which(argv[0]):
            continue
        try:
            done = await processes.run(argv, env=environment.child_env(), stdin=text.encode("utf-8", "replace"), timeout_s=CLIPBOARD_LIMIT_S)
        except UsageError:
            continue
        if done.exit_code == 0:
            return True
    return False


def git_branch(cwd: Path) -> str:
    """The branch that is checked out around a folder, a short commit where there is none, "" outside a repository. Reads one small file."""
    top = next((folder for folder in (cwd, *cwd.parents) if (folder / ".git").exists()), None)
    if top is None:
        return ""
    try:
        place = top / ".git"
        if place.is_file():
            place = top / place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (place / "HEAD").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref:") else head[:7]


async def working_diff(cwd: Path) -> tuple[str, tuple[str, ...]]:
    """What differs from the last commit, as git tells it, and the names of new files.

    Raises:
        UsageError: this is no repository, or git is not there.
    """
    env = environment.child_env()
    tracked, fresh = await asyncio.gather(
        processes.run(["git", "-c", "core.quotepath=off", "diff", "--no-color", "--no-ext-diff", "HEAD"], cwd=cwd, env=env, timeout_s=DIFF_LIMIT_S),
        processes.run(["git", "-c", "core.quotepath=off", "ls-files", "--others", "--exclude-standard"], cwd=cwd, env=env, timeout_s=DIFF_LIMIT_S),
    )
    if tracked.exit_code != 0 and fresh.exit_code != 0:
        raise UsageError("there is no git repository here, so there is nothing to compare with.")
    if tracked.exit_code is None:
        raise AgentError("git took too long to tell the difference.")
    return tracked.stdout.decode("utf-8", "replace").rstrip("\n"), tuple(fresh.stdout.decode("utf-8", "replace").splitlines())

"""Git as workspaces use it: plumbing only, no prompt, no hook, no program of the repository's choosing. Knows no workers.

A worker may write what it likes into its clone's `.git`, so no command that reads an index or a work tree is ever run with a clone's git
directory: a `control` directory of ours beside it, with our own config, looks at the same files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from agentcli.protocol.errors import UsageError, WorkspaceError
from agentcli.protocol.text import clean
from agentcli.system import environment, processes

TIME_LIMIT_S = 600.0
MAX_OUTPUT = 1 << 30

_SETTINGS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.untrackedCache=false", "core.splitIndex=false", "core.safecrlf=false",
    "core.quotePath=false", "core.alternateRefsCommand=true", "core.looseCompression=1", "core.commitGraph=false", "commit.gpgSign=false",
    "gc.auto=0", "maintenance.auto=false", "submodule.recurse=false", "safe.directory=*", "advice.detachedHead=false",
    "diff.external=", "color.ui=false", "merge.renames=true", "diff.renames=true",
)  # fmt: skip
_KEPT_VARIABLES = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"})
_OURS = {
    "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none", "GIT_LFS_SKIP_SMUDGE": "1", "GIT_DEFAULT_REF_FORMAT": "files", "GIT_EDITOR": "true",
    "GIT_PAGER": "cat", "LC_ALL": "C",
    "GIT_AUTHOR_NAME": "agentcli", "GIT_AUTHOR_EMAIL": "agentcli@localhost",
    "GIT_COMMITTER_NAME": "agentcli", "GIT_COMMITTER_EMAIL": "agentcli@localhost",
}  # fmt: skip


class Repo(Struct, frozen=True):
    """A repository as it was found. `git_dir` is the work tree's own (index, HEAD), `common` what all its work trees share.

    `head` is the commit it stands on, "" where there is none yet.
    """

    top: Path
    git_dir: Path
    common: Path
    head: str
    object_format: str = "sha1"

    def git(self) -> Git:
        """For its refs and config only: nothing that reads its index or files, see the module's first lines."""
        return Git(self.common, cwd=self.top)


class Git(Struct, frozen=True):
    """A git directory, and the files and index it is to look at."""

    dir: Path
    tree: Path | None = None
    index: Path | None = None
    cwd: Path | None = None
    objects: Path | None = None
    """Objects to read beside its own."""

    def at(self, tree: Path, index: Path) -> Git:
        return Git(self.dir, tree, index, objects=self.objects)

    async def run(self, *args: str, stdin: bytes | None = None, also: Sequence[int] = ()) -> bytes:
        """Standard output of a git command. Exit codes in `also` are no failure.

        Raises:
            WorkspaceError: it failed, with git's own first words.
        """
        done = await self.completed(*args, stdin=stdin)
        if done.exit_code == 0 or done.exit_code in also:
            return done.stdout
        raise _failed(args, self.tree or self.dir, done)

    async def text(self, *args: str, stdin: bytes | None = None) -> str:
        return os.fsdecode(await self.run(*args, stdin=stdin)).strip()

    async def completed(self, *args: str, stdin: bytes | None = None) -> processes.Completed:
        variables = {"GIT_DIR": str(self.dir)}
        if self.tree is not None:
            variables["GIT_WORK_TREE"] = str(self.tree)
        if self.index is not None:
            variables["GIT_INDEX_FILE"] = str(self.index)
        if self.objects is not None:
            variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(self.objects)
        return await run_git(args, self.cwd or self.tree or self.dir, variables, stdin)


async def run_git(args: Sequence[str], cwd: Path, variables: dict[str, str] | None = None, stdin: bytes | None = None) -> processes.Completed:
    """Runs git with settings that make it harmless.

    Raises:
        WorkspaceError: git is not installed, or its output was cut.
    """
    kept = {name: value for name, value in environment.child_env().items() if not name.startswith("GIT_") or name in _KEPT_VARIABLES}
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    try:
        done = await processes.run(
            ["git", *settings, *args],
            cwd=cwd,
            env={**kept, **_OURS, **(variables or {})},
            stdin=stdin,
            timeout_s=TIME_LIMIT_S,
            max_output=MAX_OUTPUT,
        )
    except UsageError as error:
        if shutil.which("git") is None:
            raise WorkspaceError(
                "a workspace of its own needs git, which is not installed.", hint="Install git, or use the workspace 'inherit'."
            ) from error
        raise WorkspaceError(error.message, hint=error.hint) from error
    if done.truncated:
        raise WorkspaceError(f"git {args[0]} in {cwd} said more than {MAX_OUTPUT} bytes.")
    return done


async def find_repo(folder: Path) -> Repo | None:
    """The repository that a folder lies in; None where it lies in none, or in a bare one.

    Raises:
        WorkspaceError: there is one that git will not open.
    """
    done = await run_git(["rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir"], folder)
    if done.exit_code != 0:
        said = done.stderr.decode("utf-8", "replace")
        if "not a git repository" in said or "must be run in a work tree" in said:
            return None
        raise _failed(["rev-parse"], folder, done)
    top, git_dir, common = (os.fsdecode(line) for line in done.stdout.rstrip(b"\n").split(b"\n"))
    shared = (folder / common).resolve()
    # Two further calls, for one that fails (no commit yet) would take the others' answers with it.
    head = await run_git(["rev-parse", "--quiet", "--verify", "HEAD^{commit}"], folder)
    form = await run_git(["rev-parse", "--show-object-format"], folder)
    object_format = form.stdout.decode().strip() if form.exit_code == 0 else "sha1"
    return Repo(Path(top), Path(git_dir), shared, head.stdout.decode().strip() if head.exit_code == 0 else "", object_format)


async def commit(control: Git, tree: str, message: str, *parents: str) -> str:
    named = [word for parent in parents if parent for word in ("-p", parent)]
    return await control.text("commit-tree", tree, *named, stdin=message.encode())


async def three_way(control: Git, base: str, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """The merge of two trees, or the paths in conflict. Done in an empty folder: git writes only what it has to merge."""
    scratch = control.dir / "merge"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    git = Git(control.dir, scratch, control.dir / "merge-index")
    root = await commit(git, base, "base")
    left, right = await commit(git, ours, "ours", root), await commit(git, theirs, "theirs", root)
    try:
        await git.run("read-tree", left)
        done = await git.completed("merge-recursive", root, "--", left, right)
        entries = (await git.run("ls-files", "--unmerged", "-z")).split(b"\0")
        conflicts = dict.fromkeys(os.fsdecode(entry.partition(b"\t")[2]) for entry in entries if entry)
        if not conflicts and done.exit_code != 0:
            raise _failed(["merge-recursive"], control.dir, done)
        return "" if conflicts else await git.text("write-tree"), tuple(conflicts)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def object_folders(common: Path) -> list[Path]:
    """Where a repository's objects lie: its own folder first, then those it borrows from."""
    found: list[Path] = []
    ahead = [common / "objects"]
    while ahead:
        place = ahead.pop(0)
        if place in found:
            continue
        found.append(place)
        borrowed = read_lines(place / "info" / "alternates")
        ahead += [(place / line).resolve() for line in borrowed if line and not line.startswith("#")]
    return found


def read_lines(path: Path) -> list[str]:
    """Lines of a file that may not be there."""
    try:
        return path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def split_nul(output: bytes) -> list[str]:
    return [os.fsdecode(part) for part in output.split(b"\0") if part]


def _failed(args: Sequence[str], place: Path, done: processes.Completed) -> WorkspaceError:
    if done.timed_out:
        return WorkspaceError(f"git {args[0]} in {place} took longer than {TIME_LIMIT_S:g} s.")
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip() and not line.startswith("hint:")]
    told = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else f"exit code {done.exit_code}")
    return WorkspaceError(f"git {args[0]} failed in {place}: {clean(told, keep_newlines=False)[:300]}")

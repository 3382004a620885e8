"""A clone of one repository or folder for a worker: how it is made, what changed in it, and how that comes back. One `Clone` each.

A clone borrows the objects of its source and has a git directory of its own; a folder that is no repository gets a copy without one.
States are compared as git trees, which a `control` git directory of ours writes (see `git`); the source's index and refs are not used for it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from agentcli.agents.git import Git, Repo, commit, find_repo, object_folders, read_lines, split_nul, three_way
from agentcli.protocol.errors import WorkspaceError

MOST_FILES = 50_000
MOST_BYTES = 2 << 30
"""Bounds on what is carried over beside committed files: more is a mistake (a data set, a home folder), not source."""

HEAVY = (
    "node_modules", ".venv", "venv", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".gradle", ".cache",
    ".next", ".nuxt", ".terraform", ".direnv", ".eggs", "*.pyc", ".DS_Store",
)  # fmt: skip
"""What is made anew from the rest: not copied from a folder that is no repository, and no loss where a clone ignores it."""
MADE_ANEW = (*HEAVY, "target", "coverage", "htmlcov", ".coverage", "*.egg-info", "*.o", "*.class")
"""Ignored results of builds that nobody misses either. Others may be what the worker was asked for, and count as unsaved."""

_LOCAL_KEYS = r"^core\.(autocrlf|eol|filemode|symlinks|ignorecase|precomposeunicode|excludesfile|attributesfile)$"


class Clone(Struct, frozen=True):
    """A clone and where it came from. `prefix` is "" or its place in the workspace (`vendor/lib/`), for a repository inside another.

    `start` is the tree that the worker began with, dirt included; `base` a commit of it on top of `head`. `inner` is left out of its trees:
    repositories inside, clones of their own, and our own folder. `saved` is what the source holds as `branch`; `merged` the tree whose work
    is in the source already.
    """

    prefix: str
    source: Path
    path: Path
    control: Path
    is_repo: bool
    head: str
    start: str
    base: str
    branch: str
    pin: str
    inner: tuple[str, ...] = ()
    saved: str = ""
    merged: str = ""

    def here(self) -> Git:
        objects = self.path / ".git" / "objects" if self.is_repo else None
        return Git(self.control, self.path, self.control / "index", objects=objects)

    def there(self) -> Git:
        return Git(self.control).at(self.source, self.control / "source-index")


class Wanted(Struct, frozen=True):
    """A clone to be made. `pin` is the name of its hidden refs in the source; `skip` a folder that is never carried over (our own)."""

    source: Path
    path: Path
    control: Path
    branch: str
    pin: str
    skip: Path
    prefix: str = ""
    start_from: str = ""
    """A branch of the source whose work the worker goes on from."""


async def make(wanted: Wanted) -> list[Clone]:
    """A clone, and one for each repository inside it, outermost first."""
    repo = await find_repo(wanted.source)
    if repo is not None and repo.top != wanted.source:
        repo = None
    control = Git(wanted.control)
    await _init_control(control, repo)
    there = control.at(wanted.source, wanted.control / "source-index")
    staged = await _staged(there, repo) if repo else ""
    inner = await _inner(there, wanted)
    left_out = (*inner, *_own_folder(wanted))
    start = await tree_of(there, left_out)
    await _populate(control.at(wanted.path, wanted.control / "index"), there)
    base = await commit(control, start, "State of the parent's folder when the worker began", repo.head if repo else "")
    if repo is not None:
        await _init_clone(wanted, repo, staged, start)
        await _take_up(control.at(wanted.path, wanted.control / "index"), wanted, repo, start)
    head = repo.head if repo else ""
    clone = Clone(wanted.prefix, wanted.source, wanted.path, wanted.control, repo is not None, head, start, base, wanted.branch, wanted.pin, left_out)
    parts = [_part(wanted, name, number) for number, name in enumerate(inner)]
    return [clone, *[one for part in parts for one in await make(part)]]


async def pin(clone: Clone) -> None:
    """A hidden ref in the source that keeps it from pruning what the clone borrows."""
    source = await find_repo(clone.source) if clone.head else None
    if source is not None:
        await source.git().run("update-ref", f"{clone.pin}/base", clone.head)


async def unpin(clone: Clone) -> None:
    """Takes the hidden ref away again."""
    source = await find_repo(clone.source) if clone.head and clone.source.is_dir() else None
    if source is not None:
        await source.git().run("update-ref", "-d", f"{clone.pin}/base")


async def tree_of(git: Git, left_out: Sequence[str]) -> str:
    """The tree of a folder as it stands: tracked files and all others that are not ignored. What cannot be read is left as it last was."""
    args = ["add", "--all", "--ignore-errors", "--", ".", *(f":(exclude,top,literal){name}" for name in left_out)]
    await git.run(*args, also=(1,))
    return await git.text("write-tree")


async def _init_control(control: Git, repo: Repo | None) -> None:
    form = [f"--object-format={repo.object_format}"] if repo and repo.object_format != "sha1" else []
    await Git(control.dir, cwd=control.dir.parent).run("init", "--quiet", "--bare", "--template=", *form, str(control.dir))
    if repo is None:
        _write_info(control.dir, HEAVY, ())
        return
    config = await _local_settings(repo)
    with (control.dir / "config").open("a") as file:
        file.write(config)
    _borrow(control.dir, object_folders(repo.common))
    _write_info(control.dir, read_lines(repo.common / "info" / "exclude"), read_lines(repo.common / "info" / "attributes"))
    refs = await repo.git().run("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", "refs/remotes")
    (control.dir / "packed-refs").write_bytes(refs)
    if (repo.common / "shallow").exists():
        shutil.copy2(repo.common / "shallow", control.dir / "shallow")


async def _local_settings(repo: Repo) -> str:
    """The settings of the source that say how files and objects correspond, and nothing that could run a program."""
    listed = split_nul(await repo.git().run("config", "--local", "-z", "--get-regexp", _LOCAL_KEYS, also=(1,)))
    lines = ["[core]"]
    for entry in listed:
        key, _, value = entry.partition("\n")
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'\t{key.partition(".")[2]} = "{quoted}"')
    return "\n".join(lines) + "\n"


def _borrow(git_dir: Path, folders: Iterable[Path]) -> None:
    info = git_dir / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    with (info / "alternates").open("ab") as file:
        file.writelines(os.fsencode(folder) + b"\n" for folder in folders)


def _write_info(git_dir: Path, exclude: Iterable[str], attributes: Iterable[str]) -> None:
    """No filters in a clone: their programs may be missing or need keys, and large files of LFS are not fetched. What was stored is what is seen."""
    info = git_dir / "info"
    info.mkdir(exist_ok=True)
    (info / "exclude").write_text("\n".join([*exclude, ""]), "utf-8", "surrogateescape")
    (info / "attributes").write_text("\n".join([*attributes, "* -filter", ""]), "utf-8", "surrogateescape")


async def _staged(there: Git, repo: Repo) -> str:
    """The source's index, copied for our use, as a tree; where it holds an unfinished merge, the commit's own tree."""
    copy_index(there, repo)
    done = await there.completed("write-tree")
    if done.exit_code == 0:
        return done.stdout.decode().strip()
    tree = f"{repo.head}^{{tree}}" if repo.head else ""
    return await there.text("rev-parse", tree) if tree else await there.text("mktree")


def copy_index(there: Git, repo: Repo) -> None:
    """A copy keeps the file's time: git tells by it which entries it may not trust without a look. A split index has its other half beside it."""
    assert there.index is not None
    there.index.unlink(missing_ok=True)
    for place, copy in ((repo.git_dir / "index", there.index), *((half, there.dir / half.name) for half in repo.git_dir.glob("sharedindex.*"))):
        try:
            shutil.copy2(place, copy)
        except FileNotFoundError:
            continue


async def _inner(there: Git, wanted: Wanted) -> tuple[str, ...]:
    """Repositories inside the source that are there: submodules that were fetched, and others that nobody told git of.

    Raises:
        WorkspaceError: there is more to carry over than anybody means to.
    """
    if there.index is None or not there.index.exists():
        await asyncio.to_thread(_check_size, wanted.source, _own_folder(wanted))
    linked = await gitlinks(there)
    others = split_nul(await there.run("ls-files", "--others", "--exclude-standard", "-z"))
    own = _own_folder(wanted)
    carried = [name for name in others if not name.endswith("/") and not any(name.startswith(f"{folder}/") for folder in own)]
    await asyncio.to_thread(_check_carried, wanted.source, carried)
    found = [name.rstrip("/") for name in (*linked, *others) if name in linked or name.endswith("/")]
    return tuple(name for name in found if not f"{name}/".startswith(tuple(f"{folder}/" for folder in own)) and _is_there(wanted.source / name))


def _is_there(inner: Path) -> bool:
    return (inner / ".git").exists()


async def gitlinks(git: Git) -> list[str]:
    """Paths at which the index names a commit of another repository."""
    entries = (await git.run("ls-files", "-s", "-z")).split(b"\0")
    return [os.fsdecode(entry.partition(b"\t")[2]) for entry in entries if entry.startswith(b"160000 ")]


async def foreign(git: Git, clone: Clone) -> tuple[str, ...]:
    """Repositories inside that are no clones of ours: the worker made or fetched them."""
    assert git.tree is not None
    others = split_nul(await git.run("ls-files", "--others", "--exclude-standard", "-z"))
    nested = [name.rstrip("/") for name in others if name.endswith("/")]
    linked = [name for name in await gitlinks(git) if (git.tree / name / ".git").exists()]
    return tuple(name for name in (*nested, *linked) if name not in clone.inner)


def _own_folder(wanted: Wanted) -> tuple[str, ...]:
    """Where our own folder of clones lies in the source, it is no part of the source."""
    if not wanted.skip.is_relative_to(wanted.source):
        return ()
    return (wanted.skip.relative_to(wanted.source).as_posix(),)


def _check_size(folder: Path, own: Sequence[str]) -> None:
    """Bounds a folder that is no repository before git walks it."""
    heavy = re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in (*HEAVY, ".git")))
    files = size = 0
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        folders[:] = [name for name in folders if not heavy.fullmatch(name) and (here / name).as_posix() not in own]
        files += len(names)
        size += sum(_size(os.path.join(place, name)) for name in names)  # noqa: PTH118 - half a million of these are joined
        _bound(folder, files, size)


def _check_carried(folder: Path, names: Sequence[str]) -> None:
    _bound(folder, len(names), sum(_size(folder / name) for name in names))


def _bound(folder: Path, files: int, size: int) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise WorkspaceError(
            f"{folder} holds more than {MOST_FILES} files or {MOST_BYTES >> 30} GB that are not committed; that is too much to copy.",
            hint="List what is not source in .gitignore, or use the workspace 'inherit'.",
        )


def _size(path: str | Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


async def _populate(here: Git, there: Git) -> None:
    """Writes the files of the source's state into the clone."""
    assert here.index is not None and there.index is not None and here.tree is not None
    here.tree.mkdir(parents=True, exist_ok=True)
    if there.index.exists():
        shutil.copy2(there.index, here.index)
    await here.run("checkout-index", "--all", "--force", "--index")


async def _init_clone(wanted: Wanted, repo: Repo, staged: str, start: str) -> None:
    """The worker's own git directory: same history, branches, tags and staging as its parent's, on a branch of its own."""
    git_dir = wanted.path / ".git"
    form = [f"--object-format={repo.object_format}"] if repo.object_format != "sha1" else []
    await Git(git_dir, cwd=wanted.path).run("init", "--quiet", "--template=", *form, str(wanted.path))
    _borrow(git_dir, [wanted.control / "objects", *object_folders(repo.common)])
    (git_dir / "info").mkdir(exist_ok=True)
    for name in ("info/exclude", "info/attributes", "shallow", "packed-refs"):
        if (wanted.control / name).exists():
            shutil.copyfile(wanted.control / name, git_dir / name)
    if repo.head:
        with (git_dir / "packed-refs").open("a") as file:
            file.write(f"{repo.head} refs/heads/{wanted.branch}\n")
    (git_dir / "HEAD").write_text(f"ref: refs/heads/{wanted.branch}\n")
    settings = await _local_settings(repo)
    with (git_dir / "config").open("a") as file:
        file.write(f"{settings}\thooksPath = /dev/null\n{_CLONE_SETTINGS}")
    shutil.copy2(wanted.control / "index", git_dir / "index")
    if staged != start:
        await Git(git_dir, wanted.path, git_dir / "index").run("read-tree", "-m", staged)


async def _take_up(here: Git, wanted: Wanted, repo: Repo, start: str) -> None:
    """Brings the work of an earlier branch into the clone's files, uncommitted. It counts as the worker's own, for `start` stays what it was."""
    found = await repo.git().completed("rev-parse", "--quiet", "--verify", f"refs/heads/{wanted.start_from}^{{commit}}")
    if not wanted.start_from or found.exit_code != 0:
        return
    tip = found.stdout.decode().strip()
    base = (await here.run("merge-base", repo.head, tip, also=(1,))).decode().strip() if repo.head else ""
    base_tree = await here.text("rev-parse", f"{base}^{{tree}}") if base else await here.text("mktree")
    tip_tree = await here.text("rev-parse", f"{tip}^{{tree}}")
    merged, conflicts = await three_way(Git(here.dir), base_tree, start, tip_tree)
    if conflicts:
        raise WorkspaceError(
            f"the work of {wanted.start_from} cannot be taken up: it conflicts with the parent's folder in {', '.join(conflicts)}.",
            hint=f"It is kept on the branch {wanted.start_from}.",
        )
    await here.run("read-tree", "-m", "-u", start, merged)


_CLONE_SETTINGS = """[user]
\tname = agentcli
\temail = agentcli@localhost
[commit]
\tgpgSign = false
[tag]
\tgpgSign = false
[gc]
\tauto = 0
"""


def _part(wanted: Wanted, name: str, number: int) -> Wanted:
    return replace(
        wanted,
        source=wanted.source / name,
        path=wanted.path / name,
        control=wanted.control.with_name(f"{wanted.control.name}-{number}"),
        pin=wanted.pin,
        prefix=f"{wanted.prefix}{name}/",
    )

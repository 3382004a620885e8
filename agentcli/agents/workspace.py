"""Where a worker works: its parent's folder, a clone of its own (`branch`), one clone for several (`share`), or a named folder.

A clone's work comes back as a named branch and a diff, is merged when somebody says so, and is never deleted before it is merged or saved.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import msgspec
from msgspec import Struct, field

from agentcli.agents import clones, handback, merging
from agentcli.agents.clones import Clone, Wanted
from agentcli.agents.git import Git, Repo, find_repo, run_git
from agentcli.agents.handback import FileChange, Work
from agentcli.agents.merging import Plan
from agentcli.protocol.errors import AgentError, WorkspaceError

Kind = Literal["inherit", "branch", "share", "path"]

MOST_DIFF = 2_000_000
"""Characters of a diff that are kept; the branch holds the rest."""
TRIES = 3
"""How often a merge is planned anew where the parent's files change while it is done."""

_MANIFEST = "workspace.json"


class Changes(Struct, frozen=True, omit_defaults=True):
    """What a worker did in its workspace: only its own work, not what its parent had lying about uncommitted.

    `branch` is where the parent's repository holds it ("" where nothing was done or there is none), `branches` all that were made.
    `patch` is the file that holds it where the parent's folder is no repository. `unsaved` are things that neither can hold.
    """

    branch: str = ""
    base: str = ""
    diff: str = ""
    files: tuple[FileChange, ...] = ()
    branches: tuple[str, ...] = ()
    patch: str = ""
    unsaved: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    """The state of each repository of the workspace, for `merge`."""


class MergeResult(Struct, frozen=True):
    """Whether the changes are in the parent's folder now; where not, what stands against it, and the folder is as it was."""

    merged: bool
    conflicts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Recovered(Struct, frozen=True):
    """A workspace found left over. `error` says why its work could not be saved; it is then still in `folder`. `source` is its parent's folder."""

    name: str
    folder: Path
    changes: Changes = Changes()
    error: str = ""
    source: Path | None = None


class Place(Struct, frozen=True):
    """A folder that a call names as its workspace. `outside`: it lies in none of the parent's folders, so a person has to agree."""

    path: Path
    outside: bool


class Manifest(Struct, frozen=True):
    """What is written beside a clone, so that another process can save its work."""

    name: str
    clones: tuple[Clone, ...]


class Workspace(Struct):
    """A worker's folder. `path` is where it starts, `roots` all that it may write; `notes` are for the worker's prompt.

    `inherit` and `path` workspaces have no changes to collect: what is done there is done.
    """

    kind: Kind
    name: str
    path: Path
    roots: tuple[Path, ...]
    folder: Path | None = None
    clones: tuple[Clone, ...] = ()
    notes: tuple[str, ...] = ()
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def branch(self) -> str:
        """The name of the branch that the worker is on; "" where it has none of its own."""
        return self.clones[0].branch if self.clones and self.clones[0].is_repo else ""

    async def collect(self) -> Changes:
        """Saves what was done so far in the parent's repository and says what it was. May be called again later.

        Raises:
            WorkspaceError: it cannot be saved; it then stays where it is.
        """
        if not self.clones:
            return Changes()
        async with self._lock:
            # Inner ones first: an outer branch names their commits, which should be there by then.
            works = [await handback.collect(clone, self.name) for clone in reversed(self.clones)]
            works.reverse()
            self._keep(tuple(work.clone for work in works))
            return await self._changes(works)

    async def merge(self, changes: Changes) -> MergeResult:
        """Brings collected changes into the parent's files, uncommitted, all or nothing; the parent's index and branches stay as they are.

        Merges into one folder have to come one after the other.

        Raises:
            WorkspaceError: the parent's files keep changing, or cannot be written.
        """
        if not self.clones or not changes.files:
            return MergeResult(True)
        async with self._lock:
            for attempt in range(TRIES):
                plans = [await merging.plan_merge(clone, tree) for clone, tree in zip(self.clones, changes.trees, strict=True)]
                conflicts = tuple(f"{plan.clone.prefix}{path}" for plan in plans for path in plan.conflicts)
                if conflicts:
                    return MergeResult(False, conflicts)
                try:
                    await self._apply(plans)
                except WorkspaceError:
                    if attempt == TRIES - 1:
                        raise
                    continue
                return MergeResult(True, files=tuple(change.path for change in changes.files))
        raise AssertionError

    async def discard(self, *, force: bool = False) -> bool:
        """Deletes the clone after its work is saved. False, and nothing deleted, where something in it cannot be saved and not `force`."""
        if not self.clones or self.folder is None or not self.folder.exists():
            return True
        changes = await self.collect()
        if changes.unsaved and not force:
            return False
        async with self._lock:
            for clone in self.clones:
                await clones.unpin(clone)
            await asyncio.to_thread(_remove, self.folder)
            self.clones = ()
        return True

    async def _apply(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            await merging.check_merge(plan)
        self._keep(tuple([await merging.apply_merge(plan) for plan in plans]))

    async def _changes(self, works: Sequence[Work]) -> Changes:
        pairs = [(work, await handback.diff(work.clone, work.tree) if work.files else "") for work in works]
        text = "".join(part for _, part in pairs)
        if len(text) > MOST_DIFF:
            text = f"{text[:MOST_DIFF]}\n… (cut: {len(text)} characters in all)\n"
        outer = works[0]
        return Changes(
            branch=outer.clone.branch if outer.tip else next((work.clone.branch for work in works if work.tip), ""),
            base=outer.clone.base,
            diff=text,
            files=tuple(change for work in works for change in work.files),
            branches=tuple(dict.fromkeys(branch for work in works for branch in work.branches)),
            patch=await self._write_patch(works),
            unsaved=tuple(thing for work in works for thing in work.unsaved),
            trees=tuple(work.tree for work in works),
        )

    async def _write_patch(self, works: Sequence[Work]) -> str:
        """What no branch can hold goes into a file beside the clone's folder, where it outlives it."""
        plain = [work for work in works if not work.clone.is_repo and work.files]
        if not plain or self.folder is None:
            return ""
        patch = self.folder.with_name(f"{self.folder.name}.patch")
        text = "".join([await handback.diff(work.clone, work.tree, binary=True) for work in plain])
        patch.write_bytes(text.encode("utf-8", "surrogateescape"))
        return str(patch)

    def _keep(self, changed: tuple[Clone, ...]) -> None:
        self.clones = changed
        if self.folder is not None:
            _write_manifest(self.folder, Manifest(self.name, changed))


class Workspaces:
    """The workspaces of one session: unique names, and one shared clone for each parent folder that asks for one.

    `folder` belongs to the session and is not the workers' to write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shared: dict[Path, Workspace] = {}
        self._lock = asyncio.Lock()

    async def open(self, kind: Kind, parent: Path, name: str, roots: Sequence[Path] = (), *, start_from: str = "") -> Workspace:
        """As `open_workspace`; `share` gives the clone that others of the same parent folder have already."""
        if kind != "share":
            return await open_workspace(kind, parent, self._folder, name, roots, start_from=start_from)
        async with self._lock:
            known = self._shared.get(parent)
            if known is None or not known.clones:
                known = self._shared[parent] = await open_workspace(kind, parent, self._folder, name, roots, start_from=start_from)
            return known


def read_kind(text: str) -> tuple[Kind, str]:
    """What a `workspace` argument means: a kind, and the path where it is one. A folder called `branch` is written `./branch`."""
    plain = text.strip()
    match plain:
        case "" | "inherit":
            return "inherit", ""
        case "branch" | "worktree":
            return "branch", ""
        case "share":
            return "share", ""
        case _:
            return "path", plain


def named_place(text: str, parent: Path, roots: Sequence[Path]) -> Place:
    """The folder that a path names, relative to the parent's.

    Raises:
        WorkspaceError: there is no such folder.
    """
    try:
        path = (parent / text).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise _no_folder(text, parent) from error
    if not path.is_dir():
        raise _no_folder(text, parent)
    return Place(path, not any(path.is_relative_to(root.resolve()) for root in (roots or (parent,))))


async def open_workspace(kind: Kind, parent: Path, folder: Path, name: str, roots: Sequence[Path] = (), *, start_from: str = "") -> Workspace:
    """A workspace for the worker `name`. `parent` is its parent's folder (for `path`, the folder itself, see `named_place`), `roots` what its
    parent may write, `start_from` a branch of an earlier worker whose work this one goes on from.

    Clones are made below `folder`. Whoever opens a workspace collects it in the end, and discards it.

    Raises:
        WorkspaceError: git is missing, there is too much to copy, the disk is full, the earlier work conflicts with the parent's folder.
    """
    parent = parent.resolve()
    if kind == "inherit":
        return Workspace(kind, name, parent, tuple(roots) or (parent,))
    if kind == "path":
        return Workspace(kind, name, parent, (parent,))
    place, number = _new_folder(folder.resolve(), _slug(name))
    try:
        return await _clone(kind, parent, place, name, roots, number, start_from)
    except OSError as error:
        raise WorkspaceError(f"no workspace can be made below {folder}: {error.strerror}.") from error
    finally:
        if not (place / _MANIFEST).exists():
            await asyncio.to_thread(_remove, place)


async def recover(folder: Path) -> tuple[Recovered, ...]:
    """Saves the work of clones that an ended process left in `folder`, and deletes those that were saved whole."""
    found: list[Recovered] = []
    for place in sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []:
        if not (place / _MANIFEST).exists():
            if (place / "control").is_dir() or not any(place.iterdir()):
                # It was still being made: no worker was ever in it.
                await asyncio.to_thread(_remove, place)
            continue
        found.append(await _recover(place))
    return tuple(found)


async def _recover(place: Path) -> Recovered:
    try:
        workspace = _read(place)
    except (OSError, msgspec.MsgspecError) as error:
        return Recovered(place.name, place, error=f"{place / _MANIFEST} cannot be read ({type(error).__name__}).")
    source = workspace.clones[0].source
    try:
        for lock in (place / "control").rglob("*.lock"):
            lock.unlink()
        changes = await workspace.collect()
        gone = await workspace.discard()
        kept = "" if gone else f"kept, for it holds what no branch can: {', '.join(changes.unsaved)}"
        return Recovered(workspace.name, place, changes, kept, source)
    except AgentError as error:
        return Recovered(workspace.name, place, error=error.line(), source=source)


def _read(place: Path) -> Workspace:
    manifest = msgspec.json.decode((place / _MANIFEST).read_bytes(), type=Manifest, dec_hook=_from_json)
    outer = manifest.clones[0].path
    return Workspace("branch", manifest.name, outer, (outer,), place, manifest.clones)


async def _clone(kind: Kind, parent: Path, place: Path, name: str, roots: Sequence[Path], number: int, start_from: str) -> Workspace:
    repo = await find_repo(parent)
    if repo is not None and repo.top != parent and await _is_ignored(parent):
        repo = None
    top = repo.top if repo else parent
    path = place / "work" / (top.name or "root")
    label = _slug(name) if number == 1 else f"{_slug(name)}-{number}"
    branch = await _free_branch(repo, label) if repo else f"agentcli/{label}"
    pin = f"refs/agentcli/{uuid4().hex[:12]}"
    (place / "control").mkdir()
    made = await clones.make(Wanted(top, path, place / "control" / "0", branch, pin, place.parent, start_from=start_from))
    start = path / parent.relative_to(top)
    start.mkdir(parents=True, exist_ok=True)
    inside = [path / root.resolve().relative_to(top) for root in roots if root.resolve().is_relative_to(top)]
    workspace = Workspace(kind, name, start, tuple(dict.fromkeys((start, *inside))), place, tuple(made), _notes(repo, top, path, made))
    workspace._keep(tuple(made))
    for clone in made:
        await clones.pin(clone)
    return workspace


async def _is_ignored(folder: Path) -> bool:
    """Whether a folder inside a repository is none of its business, so that a clone would lack it."""
    done = await run_git(["check-ignore", "--quiet", str(folder)], folder)
    return done.exit_code == 0


async def _free_branch(repo: Repo, label: str) -> str:
    """A branch name that the repository does not have. One called `agentcli` leaves no room for names below it."""
    known = set((await Git(repo.common, cwd=repo.top).text("for-each-ref", "--format=%(refname)", "refs/heads")).splitlines())
    first = f"agentcli-{label}" if "refs/heads/agentcli" in known else f"agentcli/{label}"
    names = (first if number == 1 else f"{first}-{number}" for number in range(1, 10_000))
    return next(name for name in names if f"refs/heads/{name}" not in known)


def _notes(repo: Repo | None, top: Path, path: Path, made: Sequence[Clone]) -> tuple[str, ...]:
    notes = [f"{path} is a {'clone' if repo else 'copy'} of {top} for this work alone: use it wherever {top} is named, and leave {top} as it is."]
    if repo is None:
        notes.append("Caches and installed packages were not copied.")
    else:
        notes.append("Files that git ignores (installed packages, results of builds) were not carried over.")
    if "filter=lfs" in _text(top / ".gitattributes"):
        notes.append("Files stored with git LFS are pointers here, their contents were not fetched.")
    if len(made) > 1:
        notes.append(f"Repositories inside: {', '.join(clone.prefix.rstrip('/') for clone in made[1:])}.")
    return tuple(notes)


def _new_folder(folder: Path, slug: str) -> tuple[Path, int]:
    """A folder of its own, made at once so that nobody else gets the name, and which try it was."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            place = folder / (slug if number == 1 else f"{slug}-{number}")
            if (folder / f"{place.name}.patch").exists():
                continue
            try:
                place.mkdir()
            except FileExistsError:
                continue
            return place, number
    except OSError as error:
        raise WorkspaceError(f"no workspace can be made below {folder}: {error.strerror}.") from error
    raise WorkspaceError(f"{folder} holds too many workspaces called {slug}.")


def _slug(name: str) -> str:
    """A name that a folder and a branch may have."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name.rpartition("/")[2]).strip("-")
    return plain[:60] or "worker"


def _no_folder(text: str, parent: Path) -> WorkspaceError:
    return WorkspaceError(
        f"the workspace '{text}' is no folder that exists (seen from {parent}).", hint="It is inherit, branch, share, or an existing folder."
    )


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    """Whole or not at all."""
    new = folder / f"{_MANIFEST}.new"
    try:
        new.write_bytes(msgspec.json.encode(manifest, enc_hook=str))
        new.replace(folder / _MANIFEST)
    except (OSError, UnicodeEncodeError) as error:
        raise WorkspaceError(f"{folder / _MANIFEST} cannot be written ({error}).") from error


def _from_json(kind: type, value: object) -> Any:
    return kind(value)


def _remove(folder: Path) -> None:
    """Deletes a folder, also what a worker made read-only."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for place in (folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())):
            place.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""

"""What comes back from a clone: what changed in it, saved in the source as a branch or told as a diff.

Nothing that a worker can write is run or believed: its refs are read as text, its objects by their hash, its config not at all.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from agentcli.agents.clones import MADE_ANEW, Clone, foreign, gitlinks, tree_of
from agentcli.agents.git import Git, Repo, commit, find_repo, read_lines, split_nul
from agentcli.protocol.errors import WorkspaceError
from agentcli.protocol.text import clean

LOOSE_LIMIT = 100
"""Up to so many new objects are stored one by one, more as a pack: git's own default."""
MOST_REF_BYTES = 1_000

_KINDS = {"A": "added", "D": "deleted", "M": "modified", "T": "modified"}
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class FileChange(Struct, frozen=True, omit_defaults=True):
    """A changed file, `kind` added, modified or deleted. Lines are None for what is no text."""

    path: str
    kind: str
    added: int | None = 0
    removed: int | None = 0


class Work(Struct, frozen=True):
    """What a worker did in one clone. `tree` is the state it left, `tip` the commit that holds it, "" where it did nothing.

    `unsaved` are things that no branch can hold: ignored files that are not made anew, repositories of the worker's own.
    """

    clone: Clone
    tree: str
    tip: str
    branches: tuple[str, ...]
    files: tuple[FileChange, ...]
    unsaved: tuple[str, ...] = ()


async def collect(clone: Clone, name: str) -> Work:
    """Looks at the clone, and saves what the worker did as a branch of the source where that is a repository."""
    git = clone.here()
    strange = await foreign(git, clone)
    tree = await tree_of(git, (*clone.inner, *strange))
    tree = await _with_forced(git, clone, tree)
    files = await changed_files(git, clone, tree)
    unsaved = tuple(f"{clone.prefix}{path}" for path in (*strange, *await _unread(git, clone, strange), *await _ignored(git)))
    if not clone.is_repo:
        own = (f"{clone.prefix}.git",) if (clone.path / ".git").exists() else ()
        return Work(clone, tree, "", (), files, (*unsaved, *own))
    source = await find_repo(clone.source)
    if source is None:
        raise WorkspaceError(f"the repository {clone.source} is gone; the work stays in {clone.path}.")
    refs, head = read_refs(clone.path / ".git")
    earlier = (clone.saved, await _held(source, clone.branch))
    tip = await _tip(git, clone, tree, head, name, earlier)
    clone, branches = await _save(git, clone, source, tip, name, tree)
    branches += await _save_others(git, clone, source, refs, tip)
    return Work(clone, tree, clone.saved if tip else "", branches, files, unsaved)


async def diff(clone: Clone, tree: str, *, binary: bool = False) -> str:
    """The worker's own changes as a unified diff, paths as in the workspace."""
    form = ["--binary", "--full-index"] if binary else []
    prefixes = [f"--src-prefix=a/{clone.prefix}", f"--dst-prefix=b/{clone.prefix}"]
    output = await clone.here().run(
        "diff-tree", "-r", "-p", "-M", "--no-color", "--no-ext-diff", "--no-textconv", *form, *prefixes, clone.start, tree
    )
    return output.decode("utf-8", "surrogateescape" if binary else "replace")


async def changed_files(git: Git, clone: Clone, tree: str) -> tuple[FileChange, ...]:
    output = await git.run("diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", clone.start, tree)
    kinds: dict[str, str] = {}
    found: list[FileChange] = []
    parts = iter(output.decode("utf-8", "replace").split("\0"))
    for part in parts:
        if part.startswith(":"):
            kinds[next(parts)] = _KINDS.get(part[-1], "modified")
        elif part:
            added, removed, path = part.split("\t", 2)
            shown = clean(f"{clone.prefix}{path}", keep_newlines=False)
            found.append(FileChange(shown, kinds.get(path, "modified"), _count(added), _count(removed)))
    return tuple(found)


def read_refs(git_dir: Path) -> tuple[dict[str, str], str]:
    """The branches and the stash of a git directory that is not ours, and the commit it stands on. Read as text: its config is not to be trusted."""
    refs: dict[str, str] = {}
    for line in read_lines(git_dir / "packed-refs"):
        commit_id, _, name = line.partition(" ")
        if _ID.fullmatch(commit_id):
            refs[name] = commit_id
    places = [git_dir / "refs" / "stash", *sorted((git_dir / "refs" / "heads").rglob("*"))]
    for place in places:
        said = _first_line(place)
        if _ID.fullmatch(said):
            refs[place.relative_to(git_dir).as_posix()] = said
    head = _first_line(git_dir / "HEAD")
    head = refs.get(head.removeprefix("ref: ").strip(), "") if head.startswith("ref: ") else head
    kept = {name: one for name, one in refs.items() if name.startswith("refs/heads/") or name == "refs/stash"}
    return kept, head if _ID.fullmatch(head) else ""


async def _unread(git: Git, clone: Clone, strange: tuple[str, ...]) -> list[str]:
    """Files that git could not read, so that the tree lacks them or holds them as they were."""
    others = split_nul(await git.run("ls-files", "--others", "--exclude-standard", "-z"))
    changed = split_nul(await git.run("diff-files", "--name-only", "-z"))
    known = {*clone.inner, *strange}
    return [name for name in (*others, *changed) if name.rstrip("/") not in known]


async def _ignored(git: Git) -> list[str]:
    """Ignored files and folders, folders as a whole, without those that are made anew anyway."""
    listed = split_nul(await git.run("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z"))
    anew = re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in MADE_ANEW))
    return [name for name in listed if not any(anew.fullmatch(part) for part in name.rstrip("/").split("/"))]


async def _with_forced(git: Git, clone: Clone, tree: str) -> str:
    """The tree with ignored files that the worker told git to track. Its index is read as a file, with our config."""
    assert git.index is not None
    try:
        shutil.copy2(clone.path / ".git" / "index", git.dir / "its-index")
    except OSError:
        return tree
    its = Git(git.dir, git.tree, git.dir / "its-index", objects=git.objects)
    listed = await its.completed("ls-files", "--cached", "--ignored", "--exclude-standard", "-z")
    forced = [name for name in split_nul(listed.stdout) if os.path.lexists(clone.path / name)]
    if listed.exit_code != 0 or not forced:
        return tree
    await git.run("update-index", "--add", "-z", "--stdin", stdin=b"\0".join(os.fsencode(name) for name in forced))
    return await git.text("write-tree")


async def _tip(git: Git, clone: Clone, tree: str, head: str, name: str, earlier: Sequence[str]) -> str:
    """The commit that holds everything the worker did: its own commits, and one of ours for what it did not commit. "": it did nothing.

    `earlier` are commits by which the same may have been saved before.
    """
    whole = await _with_inner_heads(git, clone, tree)
    if head and head != clone.head and await _is_commit(git, head):
        if await git.text("rev-parse", f"{head}^{{tree}}") == whole:
            return head
        return await _commit_once(git, earlier, whole, f"{name}: what was not committed", head)
    if whole == clone.start:
        return ""
    dirty = not clone.head or await git.text("rev-parse", f"{clone.head}^{{tree}}") != clone.start
    return await _commit_once(git, earlier, whole, f"{name}: changes", clone.base if dirty else clone.head)


async def _commit_once(git: Git, earlier: Sequence[str], tree: str, message: str, parent: str) -> str:
    """A second look at the same work finds the same commit."""
    for one in filter(None, earlier):
        done = await git.completed("rev-parse", f"{one}^{{tree}}", f"{one}^1")
        if done.exit_code == 0 and done.stdout.decode().split() == [tree, parent]:
            return one
    return await commit(git, tree, message, parent)


async def _with_inner_heads(git: Git, clone: Clone, tree: str) -> str:
    """The tree with the commits that inner repositories stand on in the clone: a branch should name what the worker had."""
    assert git.index is not None
    heads = {name: read_refs(clone.path / name / ".git")[1] for name in clone.inner}
    linked = [name for name in await gitlinks(git) if heads.get(name)] if heads else []
    if not linked:
        return tree
    index = git.index.with_name("tip-index")
    shutil.copy2(git.index, index)
    lines = b"".join(f"160000 {heads[name]}\t".encode() + os.fsencode(name) + b"\0" for name in linked)
    other = Git(git.dir, git.tree, index, objects=git.objects)
    await other.run("update-index", "-z", "--index-info", stdin=lines)
    return await other.text("write-tree")


async def _save(git: Git, clone: Clone, source: Repo, tip: str, name: str, tree: str) -> tuple[Clone, tuple[str, ...]]:
    """The tip as a branch of the source. What the worker's own history lacks, a single commit of the state still has."""
    if not tip:
        return clone, ()
    try:
        await _hand_over(git, clone, source, tip)
    except WorkspaceError:
        tip = await commit(git, tree, f"{name}: changes (its own commits cannot be read)", clone.base)
        await _hand_over(git, clone, source, tip)
    branch = await _set_branch(source, clone.branch, tip, clone.saved)
    return replace(clone, branch=branch, saved=tip), (branch,)


async def _save_others(git: Git, clone: Clone, source: Repo, refs: dict[str, str], tip: str) -> tuple[str, ...]:
    """Other branches, and the stash, with commits that neither the tip nor the source has."""
    before, _ = read_refs(clone.control)
    saved: list[str] = []
    for ref, commit_id in sorted(refs.items()):
        if before.get(ref) == commit_id or commit_id in (tip, clone.head) or not await _is_commit(git, commit_id):
            continue
        known = [f"^{one}" for one in (tip, clone.head) if one]
        if not await git.text("rev-list", "--max-count=1", commit_id, *known):
            continue
        await _hand_over(git, clone, source, commit_id)
        saved.append(await _set_branch(source, f"{clone.branch}.{_flat(ref)}", commit_id, ""))
    return tuple(saved)


async def _is_commit(git: Git, commit_id: str) -> bool:
    done = await git.completed("rev-parse", "--quiet", "--verify", f"{commit_id}^{{commit}}")
    return done.exit_code == 0


async def _hand_over(git: Git, clone: Clone, source: Repo, tip: str) -> None:
    """Copies the objects of a commit that the source lacks, and checks that nothing of it is missing there."""
    wanted = "\n".join([tip, *([f"^{clone.head}"] if clone.head else []), ""])
    pack = await git.run("pack-objects", "--revs", "--stdout", "--thin", "--delta-base-offset", "-q", stdin=wanted.encode())
    into = source.git()
    if int.from_bytes(pack[8:12], "big") <= LOOSE_LIMIT:
        await into.run("unpack-objects", "-q", stdin=pack)
    else:
        await into.run("index-pack", "--stdin", "--fix-thin", stdin=pack)
    await into.run("rev-list", "--objects", "--quiet", tip, *([f"^{clone.head}"] if clone.head else []))


async def _set_branch(source: Repo, branch: str, tip: str, before: str) -> str:
    """Sets a branch that is new, or still as we left it; a name that somebody else uses is left alone and another one taken."""
    git = source.git()
    # A branch that stands right already, from an earlier attempt, is not saved a second time.
    for number in range(1, 1000):
        name = branch if number == 1 else f"{branch}-{number}"
        held = await _held(source, name)
        if held == tip:
            return name
        if held and held != before:
            continue
        done = await git.completed("update-ref", "-m", "agentcli: work of a worker", f"refs/heads/{name}", tip, held or "0" * len(tip))
        if done.exit_code == 0:
            return name
    raise WorkspaceError(f"no branch could be made in {source.top} for {branch}.")


async def _held(source: Repo, branch: str) -> str:
    """The commit of a branch of the source; "" where there is none."""
    now = await source.git().completed("rev-parse", "--quiet", "--verify", f"refs/heads/{branch}")
    return now.stdout.decode().strip() if now.exit_code == 0 else ""


def _flat(ref: str) -> str:
    return re.sub(r"[^\w.-]+", "-", ref.removeprefix("refs/").removeprefix("heads/")).strip("-.") or "other"


def _first_line(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > MOST_REF_BYTES:
            return ""
        return path.read_text("utf-8", "replace").split("\n", 1)[0].strip()
    except OSError:
        return ""


def _count(text: str) -> int | None:
    return int(text) if text.isdigit() else None

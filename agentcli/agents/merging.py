"""A worker's changes brought into its parent's files: a three-way merge, worked out first and done only when it is whole.

The parent's index, branches and ignored files are left as they are; what is merged stands there uncommitted, as if it had been edited.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from agentcli.agents.clones import Clone, copy_index, foreign, tree_of
from agentcli.agents.git import Git, find_repo, split_nul, three_way
from agentcli.protocol.errors import WorkspaceError


class Plan(Struct, frozen=True):
    """A merge into one source, worked out and not yet done: from the state `old` of its files to `new`."""

    clone: Clone
    tree: str
    old: str
    new: str
    conflicts: tuple[str, ...] = ()


async def plan_merge(clone: Clone, tree: str) -> Plan:
    """Works out a three-way merge of the worker's own changes with the source's files as they are now. Changes nothing."""
    there = clone.there()
    if clone.is_repo:
        source = await find_repo(clone.source)
        if source is None:
            raise WorkspaceError(f"the repository {clone.source} is gone; the work stays in {clone.path}.")
        copy_index(there, source)
    strange = await foreign(there, clone)
    old = await tree_of(there, (*clone.inner, *strange))
    base = clone.merged or clone.start
    if old == tree or base == tree:
        return Plan(clone, tree, old, old)
    if old == base:
        return _blocked(Plan(clone, tree, old, tree), await _new_files(there, old, tree))
    new, conflicts = await three_way(Git(clone.control), base, old, tree)
    if conflicts:
        return Plan(clone, tree, old, old, conflicts)
    return _blocked(Plan(clone, tree, old, new), await _new_files(there, old, new))


async def apply_merge(plan: Plan) -> Clone:
    """Does a merge: writes the files that change, and refuses before it writes any where one was changed since the plan.

    Raises:
        WorkspaceError: the source's files changed meanwhile; plan again.
    """
    if plan.old != plan.new:
        await plan.clone.there().run("read-tree", "-m", "-u", plan.old, plan.new)
    return replace(plan.clone, merged=plan.tree)


async def check_merge(plan: Plan) -> None:
    """What `apply_merge` would raise, without writing."""
    if plan.old != plan.new:
        await plan.clone.there().run("read-tree", "-m", "-u", "--dry-run", plan.old, plan.new)


async def _new_files(there: Git, old: str, new: str) -> list[str]:
    return split_nul(await there.run("diff-tree", "-r", "-z", "--no-renames", "--diff-filter=A", "--name-only", old, new))


def _blocked(plan: Plan, new_files: Iterable[str]) -> Plan:
    """New files of the worker whose place an ignored file of the source holds: those are nobody's to overwrite."""
    held = tuple(path for path in new_files if os.path.lexists(plan.clone.source / path))
    return replace(plan, new=plan.old, conflicts=held) if held else plan

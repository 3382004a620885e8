"""What a worker is: one frozen shape, whoever wrote the definition, and the tools and mode a worker of it gets. No file is read here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from msgspec import Struct

from agentcli.protocol.events import PermissionMode

Source = Literal["builtin", "user", "config", "project", "flag", "sdk", "runtime"]
"""Who defined a worker: the package, a person's own file, a config's `agents` block, a project's file, `--agents`, a program, a model."""

INHERIT = "inherit"
SELF = "self"
"""The built-in worker that is a clone of its parent; no other definition may take the name."""

DELEGATION_TOOLS = (
    "task", "parallel_task", "pipeline", "run_team", "define_subagent", "invoke_subagent", "send_message", "manage_subagents",
)  # fmt: skip

ROLES = ("lead", "worker", "reviewer")
"""Of a team: names that a pin may go by."""

STRICTEST_FIRST: tuple[PermissionMode, ...] = ("plan", "default", "accept-edits", "auto", "bypass")


class WorkerSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The definition of a worker. What is left out comes from its parent.

    `model` "" names none; `inherit` names none and skips the session's `subagent_model`. `tools` None is what its parent may do, minus
    delegation; names may hold `*`. `max_turns` counts model calls, `max_steps` rounds of tools. `workspace` is `inherit`, `branch`, `share`
    or a path. `place` is file:line where there is one, `defined_by` the id of the agent that defined it at run time.
    """

    name: str
    description: str = ""
    system_prompt: str = ""
    model: str = ""
    model_locked: bool = False
    effort: str = ""
    tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] = ()
    can_delegate: bool = False
    max_turns: int | None = None
    max_steps: int | None = None
    permission_mode: PermissionMode | None = None
    workspace: str = ""
    timeout_s: float | None = None
    fallback_models: tuple[str, ...] = ()
    max_cost_usd: float | None = None
    output_schema: dict[str, object] | None = None
    locked: bool = False
    source: Source = "runtime"
    place: str = ""
    defined_by: str = ""

    @property
    def origin(self) -> str:
        """Where it was defined, for a person."""
        return self.place or (f"runtime ({self.defined_by})" if self.defined_by else self.source)


def laid_over(base: WorkerSpec, top: WorkerSpec) -> WorkerSpec:
    """`base` with everything that `top` says; what `top` leaves at its default stays as it was."""
    said = {part.name: getattr(top, part.name) for part in msgspec.structs.fields(WorkerSpec) if getattr(top, part.name) != part.default}
    return msgspec.structs.replace(base, **said)


def clone_of(parent: WorkerSpec, clone: WorkerSpec) -> WorkerSpec:
    """`self`: the parent's prompt, tools and mode under the clone's own name and limits. The model is the chain's business, not this one's."""
    return msgspec.structs.replace(
        clone,
        system_prompt=parent.system_prompt,
        tools=parent.tools,
        disallowed_tools=parent.disallowed_tools,
        can_delegate=parent.can_delegate,
        permission_mode=parent.permission_mode,
        max_steps=parent.max_steps,
    )


def select_tools(spec: WorkerSpec, parent: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """The names of the tools that a worker gets, in the order of `available`.

    `parent` is what its parent has, `available` what the session has. A definition that a person or a program wrote may list more than the
    parent has (a parent that only delegates is common); one that a model wrote at run time may not. Delegation only where the definition says so.
    """
    granted = set(parent) if spec.source == "runtime" else set(available)
    return tuple(
        name
        for name in available
        if _is_listed(spec, name, parent) and name in granted and not _matches(name, spec.disallowed_tools)
    )  # fmt: skip


def unknown_tools(spec: WorkerSpec, available: Sequence[str]) -> tuple[str, ...]:
    """Names that a definition lists and no tool has; patterns count as known."""
    named = (*(spec.tools or ()), *spec.disallowed_tools)
    return tuple(dict.fromkeys(name for name in named if "*" not in name and name not in available))


def stricter(mode: PermissionMode | None, parent: PermissionMode) -> PermissionMode:
    """A worker's mode: its definition's where that permits less than its parent's, else its parent's."""
    if mode is None:
        return parent
    return min(mode, parent, key=STRICTEST_FIRST.index)


def _is_listed(spec: WorkerSpec, name: str, parent: Sequence[str]) -> bool:
    if name in DELEGATION_TOOLS:
        return spec.can_delegate or name in (spec.tools or ())
    if spec.tools is None:
        return name in parent
    return _matches(name, spec.tools)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

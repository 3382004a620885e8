"""What is permitted, as data: mode, rules, folders. And what a decision looks like. No decision is made here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from agentcli.protocol.events import PermissionMode
from agentcli.safety.patterns import Rule


class Verdict(Struct, frozen=True):
    """A decision on one call, and why.

    `rule` is the rule that decided or, for an ask, the rule that would allow the same for good ("" where none can; several are joined
    by commas: `parse_rules` reads them). `suggestion` is the flag that would allow it where nobody can be asked. `touches` says for a
    person what it would reach, one line each.
    """

    decision: Literal["allow", "ask", "deny"]
    reason: str
    rule: str = ""
    suggestion: str = ""
    touches: tuple[str, ...] = ()


class Policy(Struct, frozen=True):
    """What an agent may do. Folders are absolute real paths.

    `roots` is the workspace, the agent's own folder first; `read_roots` more folders that may be read without asking. `safe_commands`
    names the commands that run without asking where they only read, None: the built-in list. `within`: policies that bind too; the
    strictest of all decides. `confined`: the roots are a clone of the agent's own; in every mode and whatever rules allow, nothing is
    written outside of them, and a command of which that cannot be told is asked.
    """

    mode: PermissionMode = "default"
    roots: tuple[Path, ...] = ()
    allow: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    read_roots: tuple[Path, ...] = ()
    safe_commands: frozenset[str] | None = None
    within: tuple[Policy, ...] = ()
    confined: bool = False

    @property
    def cwd(self) -> Path:
        """The agent's own folder."""
        return self.roots[0] if self.roots else Path.cwd()

    def with_mode(self, mode: PermissionMode) -> Policy:
        return replace(self, mode=mode)

    def with_rules(self, allow: Iterable[Rule] = (), ask: Iterable[Rule] = (), deny: Iterable[Rule] = ()) -> Policy:
        """With these rules too."""
        return replace(
            self,
            allow=tuple(dict.fromkeys((*self.allow, *allow))),
            ask=tuple(dict.fromkeys((*self.ask, *ask))),
            deny=tuple(dict.fromkeys((*self.deny, *deny))),
        )

    def with_roots(self, roots: Iterable[Path], read_roots: Iterable[Path] = ()) -> Policy:
        """For an agent that works in another folder, a clone of its own say: the same rules there, in all policies that bind it."""
        folders = tuple(roots)
        readable = tuple(dict.fromkeys((*self.read_roots, *read_roots)))
        return replace(self, roots=folders, read_roots=readable, within=tuple(outer.with_roots(folders, read_roots) for outer in self.within))

    def confined_to(self, roots: Iterable[Path]) -> Policy:
        """For an agent that works in a clone of its own: the same rules there, and nothing written anywhere else."""
        moved = self.with_roots(roots)
        return replace(moved, confined=True, within=tuple(outer.confined_to(moved.roots) for outer in moved.within))

    def restricted(
        self,
        mode: PermissionMode | None = None,
        allow: Iterable[Rule] = (),
        ask: Iterable[Rule] = (),
        deny: Iterable[Rule] = (),
    ) -> Policy:
        """A worker's policy: a mode and rules of its own, and never more than this one permits."""
        own = self.with_rules(allow, ask, deny)
        return replace(own, mode=mode or self.mode, within=(self,))

"""A workspace to judge commands and files in, and a short way to ask about a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentcli.protocol.events import PermissionMode
from agentcli.protocol.tools import Access
from agentcli.safety.rules import Policy, Verdict, judge, parse_rule


@dataclass(frozen=True)
class Ground:
    """`root` is the workspace; `outside` a folder beside it, to which the workspace's `door` leads."""

    root: Path
    outside: Path

    def filled(self, text: str) -> str:
        """A command with `{root}` and `{outside}` filled in."""
        return text.replace("{root}", str(self.root)).replace("{outside}", str(self.outside))

    def policy(self, mode: PermissionMode = "default", allow: Sequence[str] = (), ask: Sequence[str] = (), deny: Sequence[str] = ()) -> Policy:
        return Policy(
            mode,
            (self.root,),
            tuple(map(parse_rule, allow)),
            tuple(map(parse_rule, ask)),
            tuple(map(parse_rule, deny)),
        )

    def bash(
        self, command: str, mode: PermissionMode = "default", allow: Sequence[str] = (), ask: Sequence[str] = (), deny: Sequence[str] = ()
    ) -> Verdict:
        return judge(self.policy(mode, allow, ask, deny), "bash", Access(command=self.filled(command)))

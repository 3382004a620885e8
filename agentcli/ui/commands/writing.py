"""Commands that are messages in short: what they send is written here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcli.ui.commands.registry import command

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

INIT = (
    "Look through this project and write AGENTS.md in its root: what a coding agent that comes here for the first time must know and cannot "
    "see at a glance. Commands to build, test, check and run (one test alone too), how the code is laid out and why, conventions that differ "
    "from what is usual, traps. Read the README, the build files and the CI files first. Be exact and short: no more than 60 lines, nothing "
    "generic. Where an AGENTS.md or CLAUDE.md exists, improve it instead of replacing it."
)


@command("init")
async def init(repl: Repl, rest: str) -> None:
    """Have the model write AGENTS.md for this project."""
    repl.enter(f"{INIT}\n{rest}".strip())

"""Slash commands, one file per family. A new one is a decorated function in one of them; its docstring is its help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcli.protocol.errors import UsageError

if TYPE_CHECKING:
    from agentcli.ui.commands.registry import Registry
    from agentcli.ui.repl import Repl


def gathered() -> Registry:
    """All commands of all families."""
    from agentcli.ui.commands import compare, doctor, models, permissions, session, show, workers, writing
    from agentcli.ui.commands.registry import gather

    return gather((compare, doctor, models, permissions, session, show, workers, writing))


async def run_command(repl: Repl, said: str) -> None:
    """Runs `/name rest`. Raises UsageError for a name that there is not, naming the nearest."""
    name, _, rest = said[1:].partition(" ")
    name, newline, more = name.partition("\n")
    command = repl.commands.find(repl, name)
    if command is None:
        near = repl.commands.near(repl, name)
        also = f" Nearest: {', '.join(f'/{one}' for one in near)}." if near else ""
        raise UsageError(f"there is no command /{name}.", hint=f"{also} /help lists them; a space in front sends it as text.".strip())
    await command.run(repl, (rest or more if newline else rest).strip())

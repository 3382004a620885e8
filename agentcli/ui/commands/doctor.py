"""The command that says what works here and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcli.protocol.errors import UsageError
from agentcli.ui.commands.registry import command

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

TEST = "test"


@command("doctor", usage="[test]", complete=lambda repl, words: () if words else ((TEST, "each service answers a short question"),))
async def doctor(repl: Repl, rest: str) -> None:
    """Check config, keys, services, local models and programs, and say what to do.

    Services are asked for their list of models, which costs nothing; /doctor test asks each a short question too.
    """
    from agentcli.sdk.doctor import examine
    from agentcli.ui.doctor import report, terminal_finding

    if rest not in ("", TEST):
        raise UsageError(f"/doctor takes nothing, or the word {TEST}.")
    findings = await examine(repl.agent, repl.cwd, repl.start.config, test=rest == TEST)
    repl.say(*report([*findings, terminal_finding()]))

"""Commands about what may be done without asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, cast

from agentcli.protocol.commands import SetMode
from agentcli.protocol.errors import UsageError
from agentcli.protocol.names import permission_mode
from agentcli.ui.commands.registry import command
from agentcli.ui.commands.tables import table

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

MODES = {
    "default": "asks before changes and commands that do more than read",
    "accept-edits": "changes files here without asking",
    "plan": "changes nothing",
    "auto": "asks only about what is dangerous",
    "bypass": "asks nothing",
}


def _words(repl: Repl, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    if not words:
        yield from MODES.items()
        yield from (("allow", "RULE: never ask about it in this session"), ("ask", "RULE: always ask"), ("deny", "RULE: refuse"))


@command("permissions", "mode", usage="[MODE | allow RULE]", complete=_words)
async def permissions(repl: Repl, rest: str) -> None:
    """What may be done without asking; sets the mode or adds a rule for this session.

    Modes: default, accept-edits, plan, auto, bypass. A rule is a tool, or a tool and a pattern: bash(git status), edit(src/**).
    Rules for good stand in a config (permissions { allow = [...] }), or are saved by answering a question with "always".
    """
    if not rest:
        return _show(repl)
    word, _, rule = rest.partition(" ")
    if word in ("allow", "ask", "deny"):
        if not rule.strip():
            raise UsageError(f"/permissions {word} needs a rule.", hint=f"For example: /permissions {word} bash(git push)")
        repl.session.add_rule(cast(Literal["allow", "ask", "deny"], word), rule.strip())
        return repl.say(f"{word}: {rule.strip()}, in this session.")
    mode = permission_mode(rest)
    if mode is None:
        raise UsageError(f"there is no mode '{rest}'.", hint=f"Modes: {', '.join(MODES)}.")
    repl.command(SetMode(mode))
    return repl.say(f"Mode {mode}: {MODES[mode]}.")


def _show(repl: Repl) -> None:
    policy = repl.session.tree.main.gate.policy
    lists = (("allow", policy.allow), ("ask", policy.ask), ("deny", policy.deny))
    rules = [(effect, rule.text) for effect, listed in lists for rule in listed]
    shown = table(("", ""), rules) if rules else [[("dim", "No rules.")]]
    repl.say([("title", f"Mode {policy.mode}"), ("dim", f": {MODES[policy.mode]}; Shift+Tab goes to the next")], *shown)

"""Commands that only show: help, cost, context, tools, config, what changed on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from agentcli.protocol.errors import UsageError
from agentcli.protocol.text import one_line
from agentcli.ui.amounts import count, money, tokens
from agentcli.ui.commands.registry import command
from agentcli.ui.commands.tables import table
from agentcli.ui.lines import Line

if TYPE_CHECKING:
    from agentcli.ui.render import Painter
    from agentcli.ui.repl import Repl

KEYS = (
    ("Enter", "send; while the agent works: steer it"),
    ("Alt+Enter", "a new line; while the agent works: queue for after this turn"),
    ("Ctrl+J", "a new line"),
    ("Esc", "take queued text back, else interrupt"),
    ("Ctrl+C", "clear the line, interrupt; twice quits"),
    ("Ctrl+D", "quit, where the line is empty"),
    ("Ctrl+B", "send the running command or workers to the background"),
    ("Ctrl+R", "search the history"),
    ("Ctrl+G", "write in your editor"),
    ("Ctrl+O", "print the last folded result whole"),
    ("Shift+Tab", "next permission mode"),
    ("Tab", "complete /commands, @files, models, workers"),
    ("!command", "run it in your shell; the model is told with your next message"),
)
PLAIN_KEYS = (
    ("Enter", "send; while the agent works: steer it; answers a question"),
    ("Ctrl+C", "interrupt; twice quits"),
    ("Ctrl+D", "quit, where the line is empty"),
    KEYS[-1],
)
"""Where lines are typed and nothing else."""


def _commands(repl: Repl, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    return () if words else ((one.name, one.summary) for one in repl.commands.listed(repl))


@command("help", "?", "h", usage="[COMMAND]", complete=_commands)
async def help_(repl: Repl, rest: str) -> None:
    """What can be typed, and what keys do; /help COMMAND tells all of one."""
    if rest:
        return _one(repl, rest.removeprefix("/"))
    rows = [(f"/{one.name} {one.usage}".rstrip(), one.summary) for one in repl.commands.listed(repl)]
    keys = PLAIN_KEYS if repl.start.plain else KEYS
    repl.say([("title", "Commands")], *table(("", ""), rows), "", [("title", "Keys")], *table(("", ""), keys))
    return None


def _one(repl: Repl, name: str) -> None:
    found = repl.commands.find(repl, name)
    if found is None:
        raise UsageError(f"there is no command /{name}.", hint="/help lists them.")
    also = f"  (also {', '.join(f'/{alias}' for alias in found.aliases)})" if found.aliases else ""
    repl.say([("title", f"/{found.name} {found.usage}".rstrip()), ("dim", also)], *found.help.split("\n"))


@command("more", "whole", shown=lambda repl: repl.start.plain)
async def more(repl: Repl, rest: str) -> None:
    """Print the last folded result whole."""
    repl.unfold()


@command("cost", "usage")
async def cost(repl: Repl, rest: str) -> None:
    """What this session used and cost, by model and by agent."""
    tally = repl.state.tally
    if not tally.usage.total:
        return repl.say("Nothing was used yet.")
    head = ("MODEL", "CALLS", "IN", "CACHED", "OUT", "COST")
    rows = [
        (name, str(one.calls), _k(one.usage.input + one.usage.cache_write), _k(one.usage.cache_read), _k(one.usage.output), money(one.cost_usd))
        for name, one in tally.models.items()
    ]
    used = tally.usage
    rows.append(("all", "", _k(used.input + used.cache_write), _k(used.cache_read), _k(used.output), money(tally.cost_usd)))
    agents = [(agent.id, count(agent.turns, "turn"), tokens(agent.usage.total), money(agent.cost_usd)) for agent in tally.agents]
    more: list[Line | str] = ["", *table(("AGENT", "", "", ""), agents)] if len(agents) > 1 else []
    return repl.say(*table(head, rows), *more)


@command("context")
async def context(repl: Repl, rest: str) -> None:
    """What fills the model's context."""
    from agentcli.sdk.context import context_parts

    state = repl.state
    limit, used = state.context_limit, state.context_tokens
    of = f" of {_k(limit)}" if limit else ""
    last = f"{_k(used)}{of} tokens at the last call." if used else f"No call yet; the model takes {_k(limit)} tokens." if limit else "No call yet."
    parts = context_parts(repl.session)
    total = max(1, sum(part.tokens for part in parts))
    rows = [(part.name, f"~{_k(part.tokens)}", f"{round(part.tokens * 100 / total)}%") for part in parts]
    repl.say([("title", last)], *table(("PART", "TOKENS", "SHARE"), rows), [("dim", "Parts are estimated at four characters a token.")])


@command("tools")
async def tools(repl: Repl, rest: str) -> None:
    """What the model can do here."""
    _, offered = repl.session.prompt_and_tools
    repl.say(*table(("TOOL", ""), [(tool.name, one_line(tool.short or tool.description.partition(". ")[0], 90)) for tool in offered]))


@command("config", "settings")
async def config(repl: Repl, rest: str) -> None:
    """Every configured value and where it came from; secrets as stars."""
    values = repl.agent.config.values
    if not values:
        from agentcli.sdk.overview import user_config

        return repl.say(f"Nothing is configured. Yours is looked for in {user_config()}")
    return repl.say(*table(("KEY", "VALUE", "FROM"), [(one.key, one.value, f"{one.layer} {one.place}") for one in values]))


@command("diff")
async def diff(repl: Repl, rest: str) -> None:
    """What differs from the last commit in this folder."""
    from agentcli.sdk.programs import working_diff

    text, fresh = await working_diff(repl.cwd)
    if not text and not fresh:
        return repl.say("Nothing differs from the last commit.")

    def draw(painter: Painter, width: int) -> list[str]:
        from agentcli.ui.diff import patch_lines

        return patch_lines(text, painter, width)

    if text:
        repl.draw(draw)
    if fresh:
        repl.say([("title", "Not in git yet")], *(f"  {name}" for name in fresh))
    return None


def _k(number: int | None) -> str:
    return "?" if number is None else tokens(number).removesuffix(" tok")

"""The status line: model, permission mode, context, tokens, cost, branch, running workers. What matters least goes first where it is narrow."""

from __future__ import annotations

from rich.text import Text

from agentcli.protocol.text import cells, one_line
from agentcli.ui.amounts import count, money, tokens
from agentcli.ui.render import CAREFUL, DIM, Painter
from agentcli.ui.state import Screen

FULL = 0.8
"""Share of the context from which on it is worth a look."""
BETWEEN = " · "
KEEP = ("model", "mode", "workers", "context", "cost", "tokens", "branch")
"""Most important first."""


def status_line(screen: Screen, painter: Painter, width: int, branch: str = "") -> str:
    """One line of at most `width` cells."""
    facts = status_facts(screen, branch)
    kept = [name for name in KEEP if name in facts]
    while len(kept) > 1 and sum(cells(facts[name]) for name in kept) + len(BETWEEN) * (len(kept) - 1) > width:
        kept.pop()
    text = Text()
    for name in (name for name in facts if name in kept):
        if text:
            text.append(BETWEEN, DIM)
        text.append(facts[name], CAREFUL if _careful(name, screen) else DIM)
    return painter.row(text, width)


def status_facts(screen: Screen, branch: str = "") -> dict[str, str]:
    """What the line says, by name, in the order of the line; a fact that is not known is left out."""
    tally = screen.tally
    facts = {
        "model": one_line(screen.model.resolved, 60) if screen.model else "no model yet",
        "mode": screen.mode,
        "context": _context(screen),
        "tokens": tokens(tally.usage.total) if tally.usage.total else "",
        "cost": money(tally.cost_usd) if tally.usage.total else "",
        "branch": one_line(branch, 30),
        "workers": count(screen.crew.alive, "worker") if screen.crew.alive else "",
    }
    return {name: text for name, text in facts.items() if text}


def _context(screen: Screen) -> str:
    used, limit = screen.context_tokens, screen.context_limit
    if not used:
        return ""
    if not limit:
        return f"context {tokens(used).removesuffix(' tok')}"
    return f"context {min(100, round(100 * used / limit))}% of {tokens(limit).removesuffix(' tok')}"


def _careful(name: str, screen: Screen) -> bool:
    """Whether a fact should catch the eye."""
    if name == "mode":
        return screen.mode == "bypass"
    limit = screen.context_limit
    return name == "context" and bool(limit) and screen.context_tokens >= FULL * (limit or 1)

"""`/agents`: the definitions with what each would run on, the workers of this session, and one worker in detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from agentcli.protocol.text import cells, clean, one_line
from agentcli.ui.amounts import clock, count, money, tokens
from agentcli.ui.panel import panel, state_word
from agentcli.ui.render import BAD, DIM, STRONG, Painter, assembled, fitted
from agentcli.ui.workers import Worker

if TYPE_CHECKING:
    from agentcli.sdk.overview import AgentRow

LONGEST_NAME = 20
LONGEST_RUNS_ON = 44
LEAST_ABOUT = 12
"""Cells below which a description is left out."""


def agents_lines(definitions: Sequence[AgentRow], workers: Sequence[Worker], now: float, width: int, painter: Painter) -> list[str]:
    """Definitions, then the session's workers, those that still run included, every one."""
    lines = definition_lines(definitions, width, painter)
    if workers:
        facts = [worker.facts() for worker in workers]
        lines += ["", painter.row(Text("Workers", STRONG), width)]
        lines += [painter.row(row, width) for row in panel(facts, now, width, len(facts) + 1, painter.look)]
    return lines


def definition_lines(definitions: Sequence[AgentRow], width: int, painter: Painter) -> list[str]:
    """One row each: name, the model it would run on and the link that decides, what it is for."""
    if not definitions:
        return [painter.row(Text("No workers are defined.", DIM), width)]
    names = [one_line(row.name, LONGEST_NAME) for row in definitions]
    runs = [runs_on(row, min(LONGEST_RUNS_ON, max(12, width // 2))) for row in definitions]
    name_width, runs_width = max(map(cells, names)), max(map(cells, runs))
    about = width - name_width - runs_width - (4 if painter.look == "plain" else 7)
    lines = [painter.row(Text("Definitions", STRONG), width)]
    for row, name, model in zip(definitions, names, runs, strict=True):
        text = assembled(fitted(name, name_width), (" on " if painter.look == "plain" else " → ", DIM))
        text.append(fitted(model, runs_width), BAD if row.model is None else None)
        if about >= LEAST_ABOUT:
            text.append(f"  {one_line(row.description, about)}", DIM)
        lines.append(painter.row(text, width))
    return lines


def runs_on(row: AgentRow, width: int) -> str:
    """`fast = openai/gpt-4o-mini (definition)`: what was asked for, what that comes to, which link decided. The link is never cut."""
    if row.model is None:
        return one_line(f"none: {row.problem}", width)
    resolved, requested, link = row.model.resolved, row.model.requested, f" ({row.model.source})"
    asked = f"{requested} = " if requested and requested not in (resolved, "inherit") else ""
    room = max(4, width - cells(link))
    return (one_line(f"{asked}{resolved}", room) if cells(asked + resolved) <= room else one_line(resolved, room)) + link


def worker_lines(worker: Worker, now: float, width: int, painter: Painter) -> list[str]:
    """One worker: what it is, proof of its model, what it used, its last lines."""
    facts = worker.facts()
    model = facts.model
    elapsed = facts.elapsed(now)
    served = ", ".join(facts.served) or model.served or "no answer yet"
    rows = [
        ("id", facts.id),
        ("agent", f"{facts.agent}{' in the background' if facts.background else ''}"),
        ("state", state_word(facts, now)),
        ("model", f"requested: {model.requested}; resolved: {model.resolved}; served: {served}; source: {model.source}"),
        ("fallbacks", ", ".join(facts.fallbacks)),
        ("note", facts.note),
        ("used", f"{count(facts.turns, 'turn')}, {tokens(facts.usage.total)}, {money(facts.cost_usd)}, {clock(elapsed or 0.0)}"),
        ("doing", facts.doing),
        ("error", facts.failure.line() if facts.failure else ""),
        ("branch", facts.branch),
        ("task", one_line(facts.prompt, 600)),
    ]
    head = f"{facts.name}{f' · {facts.label}' if facts.label and facts.label != facts.name else ''}"
    lines = [painter.row(Text(one_line(head, width), STRONG), width)]
    for name, value in rows:
        if value:
            lines += painter.hang(Text(f"  {name:<10}", DIM), Text(clean(value, keep_newlines=False)), width)
    if worker.trail:
        lines += ["", painter.row(Text("Last lines", STRONG), width)]
        lines += [painter.row(Text(f"  {one_line(line, max(8, width - 2))}"), width) for line in list(worker.trail)[-15:]]
    return lines

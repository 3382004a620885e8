"""The doctor's report on the screen: one line a finding, what to do below it. Beside what the sdk finds, the terminal itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from agentcli.protocol.errors import ConfigError
from agentcli.protocol.jsonline import json_line
from agentcli.protocol.text import clean, utf8
from agentcli.sdk.agent import AsyncAgent, Origin
from agentcli.sdk.doctor import examine
from agentcli.sdk.findings import Finding, is_usable
from agentcli.sdk.terminal import terminal
from agentcli.ui.lines import LEAD, Line, plain
from agentcli.ui.look import look_of
from agentcli.ui.output import Output

MARKS = {"ok": "✓", "note": "!", "bad": "✗"}
STYLES = {"ok": "", "note": "", "bad": "bad"}
USABLE, UNUSABLE = "A model can be used.", "No model can be used here: see the lines above."


def run_doctor(cwd: Path, config: Path | None, *, as_json: bool, test: bool) -> int:
    """Prints the report. 0 where a model can be used, else 1."""
    findings = asyncio.run(_examined(cwd, config, test))
    usable = is_usable(findings)
    out = Output(sys.stdout)
    if as_json:
        checks = [{"area": one.area, "state": one.state, "text": one.text, "fix": one.fix} for one in findings]
        out.write(json_line({"usable": usable, "checks": checks}) + b"\n")
    else:
        out.text("".join(f"{line}\n" for line in (*map(plain, report(findings)), USABLE if usable else UNUSABLE)))
    return 0 if usable else 1


async def _examined(cwd: Path, config: Path | None, test: bool) -> list[Finding]:
    try:
        agent = AsyncAgent.layered(cwd, explicit=config, origin=Origin(link="flag"))
    except ConfigError:
        return [*await examine(None, cwd, config), terminal_finding()]
    async with agent:
        return [*await examine(agent, cwd, config, test=test), terminal_finding()]


def terminal_finding() -> Finding:
    """What the terminal can show."""
    out, seen = Output(sys.stdout), terminal()
    if not out.terminal:
        return Finding("terminal", "ok", "output goes to no terminal")
    look = look_of(seen)
    columns, lines = out.size()
    text = f"TERM {seen.term or 'is not set'}, {columns} x {lines}, {look}"
    if look == "plain":
        return Finding("terminal", "note", f"{text}: words in place of marks and colours", "Set TERM, such as TERM=xterm-256color.")
    if columns < 40:
        return Finding("terminal", "note", f"{text}: narrow", "40 columns and more show the panel of workers.")
    return Finding("terminal", "ok", text)


def report(findings: Sequence[Finding]) -> list[Line]:
    """A line each, and below it what to do."""
    width = max(len(one.area) for one in findings)
    lines: list[Line] = []
    for one in findings:
        lines.append([(LEAD, f"{MARKS[one.state]} {one.area.ljust(width)}  "), (STYLES[one.state], _shown(one.text))])
        if one.fix:
            lines.append([(LEAD, " " * (width + 4)), ("dim", _shown(one.fix))])
    return lines


def _shown(text: str) -> str:
    return utf8(clean(text, keep_newlines=False))

"""What the listing commands print: plain columns for people, JSON for scripts. Everything comes from the sdk's overview."""

from __future__ import annotations

import asyncio
import datetime
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec

from agentcli.protocol.errors import StorageError, UsageError
from agentcli.protocol.events import Replied, ToolFinished, ToolStarted, UserSubmitted
from agentcli.protocol.jsonline import json_line
from agentcli.protocol.names import nearest
from agentcli.protocol.text import clean, one_line, utf8
from agentcli.sdk import overview
from agentcli.sdk.agent import AsyncAgent, Origin
from agentcli.sdk.first import more_models
from agentcli.sdk.served import ask_all
from agentcli.ui.amounts import tokens
from agentcli.ui.output import Output, is_terminal
from agentcli.ui.places import folder_of
from agentcli.ui.progress import download_line

ASK_S = 5.0
"""How long a list of models waits for what a service at an address of one's own says it has."""
LEAST_CELLS = 14
"""The last column of a table gets no narrower."""


def opened(cwd: Path | None, config: Path | None) -> AsyncAgent:
    """An agent that is only looked at: nothing is connected. What its config waits for is told on stderr."""
    agent = AsyncAgent.layered(folder_of(cwd), explicit=config, origin=Origin(link="flag"))
    for warning in agent.config.warnings:
        Output(sys.stderr).text(f"{clean(warning)}\n")
    return agent


def models(agent: AsyncAgent, query: str, *, as_json: bool) -> None:
    failed = asyncio.run(ask_all(agent.services, ASK_S)) if agent.services.unlisted else {}
    rows = overview.model_rows(agent, query)
    if as_json:
        _json([_model_facts(row) for row in rows])
        return
    if not rows:
        near = ", ".join(nearest(query, (row.id for row in overview.model_rows(agent))))
        raise UsageError(f"no model matches '{query}'; nearest: {near}.", hint="List all with: agentcli models")
    _table(
        ("MODEL", "NAME", "WIRE", "CONTEXT", "IN/OUT $ per M", "TOOLS", "EFFORT", "KEY"),
        [
            (
                f"{row.id}{' *' if row.default else ''}",
                row.name,
                row.wire,
                tokens(row.context).removesuffix(" tok") if row.context else "?",
                f"{row.cost.input:g}/{row.cost.output:g}" if row.cost else "?",
                "yes" if row.tools else "no",
                " ".join(row.effort) or "-",
                "-" if row.key is None else "yes" if row.key else "missing",
            )
            for row in rows
        ],
    )
    if any(row.default for row in rows):
        _line("* runs where none is named")
    for name, error in failed.items():
        _line(f"{name}: what it has is not known: {error.line()}")
    if not query and not failed and all(row.wire == "local" for row in rows):
        _line(f"No key is set. For more, {more_models()}")


def _model_facts(row: overview.ModelRow) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(row)
    key = facts.pop("key")
    return {**facts, "key_present": key}


def agents(agent: AsyncAgent, cwd: Path, name: str, model: str | None, *, as_json: bool) -> None:
    rows = overview.agent_rows(agent, cwd, model)
    if name:
        known = tuple(row.name for row in rows)
        rows = [row for row in rows if row.name == name]
        if not rows:
            raise UsageError(f"no worker '{name}'; known: {', '.join(known)}.")
    if as_json:
        _json([_agent_facts(row) for row in rows])
    elif name:
        _one_agent(rows[0])
    else:
        _table(
            ("WORKER", "MODEL (WHY)", "TOOLS", "DEFINED IN", "FOR"),
            [(row.name, _runs_on(row), _tools(row), _short(row.source, cwd), row.description) for row in rows],
        )
    why = next((row.problem for row in rows if row.waits), "")
    if why and not as_json:
        _line(f"unknown: these workers follow the session's model; {why}")


def _agent_facts(row: overview.AgentRow) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(row)
    model = row.model
    facts["model"] = {"requested": model.requested, "resolved": model.resolved, "served": model.served, "source": model.source} if model else None
    return facts


def _runs_on(row: overview.AgentRow) -> str:
    if row.waits:
        return "unknown (parent)"
    return f"{row.model.resolved} ({row.model.source})" if row.model else f"none: {row.problem}"


def _short(place: str, cwd: Path) -> str:
    """A path as a person would write it here."""
    for folder, written in ((cwd, ""), (Path.home(), "~/")):
        if place.startswith(f"{folder}/"):
            return written + place.removeprefix(f"{folder}/")
    return place


def _tools(row: overview.AgentRow) -> str:
    return "its parent's" if row.tools is None else " ".join(row.tools) or "none"


def _one_agent(row: overview.AgentRow) -> None:
    _line(f"{row.name}: {row.description}")
    _line(f"model    {_runs_on(row)}" + (f", asked for as '{row.model.requested}'" if row.model else ""))
    _line(f"tools    {_tools(row)}")
    _line(f"defined  {row.source}")
    if row.note:
        _line(f"note     {row.note}")


def sessions(cwd: Path | None, *, as_json: bool) -> None:
    infos = overview.sessions_of(cwd)
    if as_json:
        _json([{**msgspec.to_builtins(info, enc_hook=str)} for info in infos])
        return
    if not infos:
        _line("No sessions yet." if cwd is None else f"No sessions in {cwd}. Those of every folder: agentcli sessions list --all")
        return
    rows = [
        (info.id, _when(info.updated_at), info.model, "?" if info.turns is None else str(info.turns), one_line(info.title, 60), info.cwd)
        for info in infos
    ]
    head = ("SESSION", "LAST USED", "MODEL", "TURNS", "TITLE", "FOLDER")
    _table(head if cwd is None else head[:-1], rows if cwd is None else [row[:-1] for row in rows])


def _when(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")


def show_session(session_id: str) -> None:
    """The conversation as text: what was said, which tools ran."""
    for envelope in overview.session_events(session_id):
        who = "" if envelope.agent_id == "main" else f"[{envelope.agent_id}] "
        match envelope.event:
            case UserSubmitted(message=message):
                _line(f"\n{who}> {message.text()}")
            case Replied(message=reply, model=model) if reply.text():
                _line(f"\n{who}({model.resolved}) {reply.text()}")
            case ToolStarted(name=name, title=title):
                _line(f"{who}· {name} {title}")
            case ToolFinished(result=result) if result.is_error:
                _line(f"{who}  failed: {one_line(result.text(), 200)}")
            case _:
                pass


def export_session(session_id: str) -> None:
    _write(overview.session_bytes(session_id))


def remove_sessions(session_ids: Sequence[str]) -> None:
    for session_id in session_ids:
        _line(f"deleted {overview.remove_session(session_id)}")


def show_config(agent: AsyncAgent, *, as_json: bool) -> None:
    values = agent.config.values
    if as_json:
        _json([value._asdict() for value in values])
        return
    if values:
        _table(("KEY", "VALUE", "FROM", "PLACE"), [(value.key, value.value, value.layer, value.place) for value in values])
    else:
        _line(f"Nothing is configured. A config of your own: {overview.user_config()}; a project's: agent.hcl")
    for warning in agent.config.warnings:
        _line(f"warning: {warning}")


def check_config(cwd: Path, config: Path | None, *, strict: bool) -> int:
    """0 where nothing is wrong, else 2."""
    problems = overview.config_problems(cwd, config, strict=strict)
    for problem in problems:
        _line(f"{problem.level}: {problem.error().line()}")
    if not problems:
        _line("The config is fine.")
    return 2 if overview.has_error(problems) else 0


def config_paths(agent: AsyncAgent) -> None:
    own = overview.user_config()
    for file in agent.config.files:
        _line(str(file))
    if own not in agent.config.files:
        _line(f"{own} (not there)")


def trust(path: Path) -> None:
    _line(f"trusted: {overview.trust(path)}")


def local_models() -> None:
    _table(
        ("MODEL", "SIZE", "HERE", "SOURCE"),
        [
            (f"local/{row.name}{' *' if row.default else ''}", f"{row.size / 1e6:.0f} MB", row.path or "no", row.source)
            for row in overview.weights_rows()
        ],
    )
    _line("* what --model local runs on. Fetch one with: agentcli local pull NAME")


def pull(name: str, stderr: TextIO) -> int:
    out = Output(stderr)
    shown = download_line(out)
    try:
        path = asyncio.run(overview.pull(name, shown))
    except KeyboardInterrupt:
        out.text("\nstopped; what was fetched so far is kept, the next pull goes on from there.\n")
        return 130
    _line(str(path))
    return 0


def remove_weights(name: str) -> None:
    overview.remove_weights(name)
    _line(f"deleted {name}")


# --- printing ---


def _json(value: object) -> None:
    _write(json_line(value) + b"\n")


def _line(text: str) -> None:
    shown = clean(text) if is_terminal(sys.stdout) else text
    _write(f"{utf8(shown)}\n".encode())


def _write(data: bytes) -> None:
    """Raises StorageError where nothing can be written; a reader that went away is no error."""
    out = Output(sys.stdout)
    out.write(data)
    if out.fault is not None:
        raise StorageError(f"cannot write to standard output: {out.fault.strerror or out.fault}.")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one as long as it is, on a terminal as long as the line."""
    lines = [tuple(head), *(tuple(one_line(cell, 200) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    room = _room(sum(widths[:-1]) + 2 * (len(head) - 1))
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths[:-1], strict=True)]
        _line("  ".join([*cells, one_line(line[-1], room)]).rstrip())


def _room(taken: int) -> int:
    """What a last column may take after so many cells."""
    out = Output(sys.stdout)
    return max(LEAST_CELLS, out.size()[0] - taken) if out.terminal else 1_000

"""`agentcli compare`: one table and the diffs for people, one JSON object for scripts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from agentcli.protocol.errors import Interrupted, Terminated
from agentcli.protocol.jsonline import json_line
from agentcli.protocol.text import clean, one_line
from agentcli.sdk.agent import AsyncAgent, Origin
from agentcli.sdk.compare import Compared, compare
from agentcli.ui.amounts import duration, money, tokens
from agentcli.ui.oneshot import Stop, catch_signals
from agentcli.ui.output import Output
from agentcli.ui.printing import make_sink


class Comparison(Struct, frozen=True):
    """What the command line asks for."""

    prompt: str
    models: Sequence[str]
    cwd: Path
    config: Path | None = None
    as_json: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def run_comparison(asked: Comparison) -> int:
    """0 where every model answered, else 1 (or the code of what stopped it)."""
    # Before the loop runs: a config that is a pipe can keep one waiting, and only here a signal ends that.
    agent = AsyncAgent.layered(asked.cwd, explicit=asked.config, origin=Origin(link="flag", default_mode="default"))
    return asyncio.run(_run(asked, agent))


async def _run(asked: Comparison, agent: AsyncAgent) -> int:
    task = asyncio.current_task()
    assert task is not None
    stop = Stop(task)
    catch_signals(stop)
    sink = make_sink("text", None, sys.stderr)
    try:
        async with agent:
            agent.on_progress = sink.download
            results = await compare(
                agent, asked.cwd, asked.prompt, asked.models, asked.options, sink.feed, lambda session: setattr(stop, "session", session)
            )
    except asyncio.CancelledError:
        raise stop.reason or Interrupted("interrupted.") from None
    except (Interrupted, Terminated) as error:
        raise stop.reason or error from None
    _print(asked, results)
    return 0 if all(result.ok for result in results) else 1


def _print(asked: Comparison, results: Sequence[Compared]) -> None:
    out = Output(sys.stdout)
    if asked.as_json:
        out.write(json_line({"prompt": asked.prompt, "results": msgspec.to_builtins(results)}) + b"\n")
        return
    out.text("".join(f"{line}\n" for line in _table(results)))
    for result in results:
        kept = f" (kept on branch {result.branch})" if result.branch else ""
        head = f"\n=== {result.model}{kept} ===\n"
        body = "\n".join(part.rstrip("\n") for part in (result.error, result.answer, result.diff) if part)
        out.text(f"{head}{clean(body) if out.terminal else body}\n")


def columns(results: Sequence[Compared]) -> list[tuple[str, ...]]:
    """A head and a row for each model."""
    rows: list[tuple[str, ...]] = [("MODEL", "RESULT", "FILES", "TURNS", "TOKENS", "COST", "TIME", "ANSWER")]
    rows += [
        (
            result.model,
            "ok" if result.ok else "failed",
            str(len(result.files)),
            str(result.turns),
            tokens(result.tokens).removesuffix(" tok"),
            money(result.cost_usd),
            duration(result.duration_ms),
            one_line(result.answer or result.error, 60),
        )
        for result in results
    ]
    return rows


def _table(results: Sequence[Compared]) -> list[str]:
    rows = columns(results)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


__all__ = ["Comparison", "columns", "run_comparison"]

"""Running one tool as the engine does: arguments validated from plain JSON values, a real folder, a fresh memory."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from agentcli.protocol.errors import ToolError
from agentcli.protocol.tools import Tool, ToolContext, ToolMemory, ToolOutcome


def context(folder: Path, *, output_limit: int = 30_000, memory: ToolMemory | None = None) -> ToolContext:
    """A context of an agent that works in `folder`; what its tools show is dropped."""
    folder = folder.resolve()
    return ToolContext(
        agent_id="main",
        call_id="call-1",
        cwd=folder,
        roots=(folder,),
        scratch=folder.parent / "scratch",
        memory=memory or ToolMemory(),
        child_env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder.parent)},
        show=lambda text: None,
        output_limit=output_limit,
    )


def call(tool: Tool[Any], ctx: ToolContext, /, **arguments: object) -> ToolOutcome:
    """The outcome of one call."""
    args = tool.args.model_validate(arguments)
    return tool.at_once(args, ctx) or asyncio.run(tool.run(args, ctx))


def text_of(outcome: ToolOutcome) -> str:
    return "\n".join(part.text for part in outcome.content if hasattr(part, "text"))


def answer(tool: Tool[Any], ctx: ToolContext, /, **arguments: object) -> str:
    """What the model reads of one call."""
    return text_of(call(tool, ctx, **arguments))


def refusal(tool: Tool[Any], ctx: ToolContext, /, **arguments: object) -> tuple[str, str]:
    """Code and message of a call that must fail."""
    try:
        outcome = call(tool, ctx, **arguments)
    except ToolError as error:
        return error.code, error.message
    raise AssertionError(f"{tool.name} should have refused {arguments}, but said: {text_of(outcome)}")

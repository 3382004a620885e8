"""The files of a project by name, for faces that complete them. Nothing is opened here."""

from __future__ import annotations

from pathlib import Path

from agentcli.protocol.errors import AgentError, ToolError
from agentcli.system import environment
from agentcli.tools import ripgrep

TIME_LIMIT_S = 5.0
"""A completion that comes later is of no use."""
MOST_FILES = 50_000


async def project_files(folder: Path) -> tuple[str, ...]:
    """Files below a folder that git would not ignore, as relative paths, sorted; at most 50,000. Empty where they cannot be listed."""
    try:
        names = await ripgrep.file_names(folder, environment.child_env(), timeout_s=TIME_LIMIT_S)
    except (ToolError, AgentError):
        return ()
    return tuple(sorted(names)[:MOST_FILES])

"""What a model can do: one file per tool. What models are told of each is shipped in `manifest.json`; a tool is imported when it is called.

After a change of a tool's name, texts or arguments: `AGENTCLI_UPDATE_GOLDEN=1 python -m pytest tests/tools/test_schemas.py`.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from agentcli.protocol.tools import Deferred, Tool, read_manifest

BUILTIN: dict[str, tuple[str, str]] = {
    "read": ("read", "Read"),
    "write": ("write", "Write"),
    "edit": ("edit", "Edit"),
    "ls": ("ls", "Ls"),
    "glob": ("glob", "Glob"),
    "grep": ("grep", "Grep"),
    "bash": ("bash", "Bash"),
    "web_fetch": ("web_fetch", "WebFetch"),
    "todo": ("todo", "Todo"),
}
"""Name to module and class, in the order in which a model is told of them."""

MANIFEST = Path(__file__).with_name("manifest.json")


def builtin() -> tuple[Tool[Any], ...]:
    """The built-in tools, each imported when it is first called. Tools are stateless, so one instance of each serves every agent."""
    return tuple(Deferred(told, partial(real, told.name)) for told in read_manifest(MANIFEST.read_bytes()))


def real(name: str) -> Tool[Any]:
    """A built-in tool itself, imported now."""
    module, kind = BUILTIN[name]
    return cast(Tool[Any], getattr(import_module(f"agentcli.tools.{module}"), kind)())


__all__ = ["BUILTIN", "MANIFEST", "builtin", "real"]

"""What a model can do: one file per tool. Importing this builds no schema and pulls in no library that a run may not need."""

from __future__ import annotations

from typing import Any

from agentcli.protocol.tools import Tool
from agentcli.tools.bash import Bash
from agentcli.tools.edit import Edit
from agentcli.tools.glob import Glob
from agentcli.tools.grep import Grep
from agentcli.tools.ls import Ls
from agentcli.tools.read import Read
from agentcli.tools.todo import Todo
from agentcli.tools.web_fetch import WebFetch
from agentcli.tools.write import Write

BUILTIN: tuple[Tool[Any], ...] = (Read(), Write(), Edit(), Ls(), Glob(), Grep(), Bash(), WebFetch(), Todo())
"""In the order in which a model is told of them. Tools are stateless, so one instance of each serves every agent."""

__all__ = ["BUILTIN"]

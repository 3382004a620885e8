"""The words for a small model: rules, one line a tool, worked examples. Tried on real weights (tests/benchmarks/local_choices.py); data only.

Short on purpose: two cores read about 130 tokens a second, and the first step waits for all of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentcli.providers.base import ToolSpec

ANSWER = "answer"

RULES = """You work in a folder of files. Reply with one JSON object: the one tool that fits the request best.
To see or change anything in the folder you need a tool. When the results show what was asked, or no file is needed, reply {"tool": "answer"}."""

Example = tuple[str, dict[str, str]]

EXAMPLES: dict[str, tuple[Example, ...]] = {
    "read": (("What does setup.cfg say about Python versions?", {"path": "setup.cfg"}),),
    "ls": (("What is in the docs directory?", {"path": "docs"}),),
    "glob": (("Are there any CSV tables here?", {"pattern": "**/*.csv"}),),
    "grep": (("Where do we use parse_date?", {"pattern": "parse_date"}),),
    "bash": (("Build it with make and tell me if it works", {"command": "make"}),),
    "write": (("Write a shell script up.sh that starts nginx", {"path": "up.sh", "content": "#!/bin/sh\nnginx\n"}),),
    "edit": (("In main.c change the timeout from 30 to 60", {"path": "main.c", "old": "timeout = 30", "new": "timeout = 60"}),),
    "task": (("Let the explore worker find out how logging is set up", {"agent": "explore", "prompt": "Find out how logging is set up."}),),
}
"""By tool, so that only what is offered is shown."""

NO_TOOL = ("Who wrote Hamlet?", "Thanks!")


def tool_line(name: str, arguments: Sequence[str], about: str) -> str:
    return f"{name}({', '.join(arguments)}): {about.strip()}"


def example_lines(tools: Sequence[ToolSpec]) -> list[str]:
    """Requests with the object that answers each."""
    pairs = [(asked, {"tool": tool.name} | arguments) for tool in tools for asked, arguments in EXAMPLES.get(tool.name, ())]
    pairs += [(asked, {"tool": ANSWER}) for asked in NO_TOOL]
    return [f"{asked}\n{json.dumps(step, ensure_ascii=False)}" for asked, step in pairs]

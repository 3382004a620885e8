"""The words for a small model: rules, one line a tool, worked examples as earlier turns. Data, tried on real weights.

Examples as turns got 20 of 28 first steps right that the same ones inside the system prompt got 15 of; longer rules, or a word of reasoning
before the tool, made it worse. Short on purpose: two cores read about 130 tokens a second, and the first step waits for all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ANSWER = "answer"

RULES = "You help a person with a folder of files. For each message reply with one JSON object that picks a tool."

PLAIN = "You are agentcli, a coding assistant. Answer briefly."
"""Where no tool was used. "In a few words" made the small one guess sums that "briefly" lets it work out."""

ANSWERING = """You are agentcli, a coding agent on this person's machine, run by a small language model. \
Tell the person the answer in a few plain words, from what your tools brought."""

DONE = "Say in one sentence what was done for the request: "
CAME_OUT = "Say in one sentence what came out of the request: "
"""Before the request, where the last tool was to do something: asked to "create x", a small model would else say the request back."""

FAILED = "That failed. Say in one sentence that it failed, and why."
"""In place of the request: where that still stands in view, a small model says that it was done."""


class Example(NamedTuple):
    """A request, the tool that fits it and its arguments; `found`: what it brought, after which the example wants to answer."""

    asked: str
    tool: str
    arguments: dict[str, str]
    found: str = ""


EXAMPLES = (
    Example("What does setup.cfg say about Python versions?", "read", {"path": "setup.cfg"}, "1\tpython_requires = >=3.9"),
    Example("Who wrote Hamlet?", ANSWER, {}),
    Example("What is in the docs directory?", "ls", {"path": "docs"}, "intro.md  2 kB"),
    Example("Are there any CSV tables here?", "glob", {"pattern": "**/*.csv"}),
    Example("Where do we use parse_date?", "grep", {"pattern": "parse_date"}),
    Example("How does a hash map work?", ANSWER, {}),
    Example("Build it with make", "bash", {"command": "make"}, "make: *** No targets.\n[exit code 2]"),
    Example("Describe parser.js", "read", {"path": "parser.js"}),
    Example("Write a shell script up.sh that starts nginx", "write", {"path": "up.sh", "content": "#!/bin/sh\nnginx\n"}, "Created up.sh: 2 lines."),
    Example("Is 97 a prime number?", ANSWER, {}),
    Example(
        "In main.c change the timeout from 30 to 60",
        "edit",
        {"path": "main.c", "old": "timeout = 30", "new": "timeout = 60"},
        "Edited main.c: 1 place replaced.",
    ),
    Example("Look around", "ls", {"path": "."}),
    Example("Give me all the Rust sources", "glob", {"pattern": "**/*.rs"}),
    Example("Does the word license occur in any file?", "grep", {"pattern": "license"}),
    Example("Let the explore agent find out how logging works", "task", {"agent": "explore", "prompt": "Find out how logging works."}),
    Example("Thank you!", ANSWER, {}),
    Example("Correct 'adress' in form.html", "edit", {"path": "form.html", "old": "adress", "new": "address"}),
)
"""None of them stands in tests/benchmarks/local_choices.py, by sentence or by file."""


def tool_line(name: str, arguments: Sequence[str], about: str) -> str:
    return f"{name}({', '.join(arguments)}): {about.strip()}"


def step(tool: str, arguments: dict[str, object] | dict[str, str]) -> str:
    """A step as the model writes it."""
    return json.dumps({"tool": tool} | arguments, ensure_ascii=False)


def result(tool: str, text: str, *, failed: bool = False) -> str:
    """A result as the model reads it."""
    return f"{tool} {'failed' if failed else 'result'}:\n{text}"


def brought(tool: str, arguments: dict[str, object], text: str, *, failed: bool = False) -> str:
    """A result as the answering model reads it."""
    first = next((str(value) for value in arguments.values()), "")
    return f"[{tool} {first}{' failed' if failed else ''}]\n{text}"


def example_turns(offered: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a person says and what the model replies, in pairs, for the tools that are offered."""
    for example in EXAMPLES:
        if example.tool != ANSWER and example.tool not in offered:
            continue
        yield example.asked, step(example.tool, example.arguments)
        if example.found:
            yield result(example.tool, example.found), step(ANSWER, {})

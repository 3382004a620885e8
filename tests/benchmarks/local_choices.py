"""What small local models choose first: ten fixed prompts on small folders, three runs each, with the real weights.

    python tests/benchmarks/local_choices.py [--model local/qwen2.5-coder-1.5b] [--runs 3] [--more] [--show]

Each prompt says what counts as a sensible first step. The worked examples of the system prompt share no sentence and no file with them.
`--more` runs a second list, which was written after the prompt was fixed, to see whether it holds for others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from agentcli.agents.delegation import TaskTool
from agentcli.engine.prompt import PromptFacts, build
from agentcli.engine.small import read_step, step_request
from agentcli.protocol.messages import ToolCall, user_text
from agentcli.protocol.models import ModelSpec, ProviderSpec
from agentcli.protocol.tools import tidy_schema
from agentcli.providers.base import Merge, ModelRequest, ToolSpec
from agentcli.providers.local import LocalProvider, local_models
from agentcli.providers.weights import named
from agentcli.tools import builtin

SYSTEM = build(PromptFacts(cwd=Path("/home/user/demo"), platform="linux", today="2026-11-20", is_git=True, delegates=True))

Step = tuple[str, dict[str, str]]
"""The tool's name (`answer` where none is wanted) and its arguments."""


@dataclass(frozen=True)
class Case:
    asked: str
    sensible: Callable[[str, dict[str, str]], bool]


def _on(arguments: dict[str, str], path: str) -> bool:
    return arguments.get("path", "").removeprefix("./").rstrip("/") == path


def _runs(arguments: dict[str, str], pattern: str) -> bool:
    return re.search(pattern, arguments.get("command", "")) is not None


CASES = (
    Case(
        "Read README.md and say in one sentence what this project is",
        lambda tool, given: tool == "read" and _on(given, "README.md"),
    ),
    Case(
        "How many lines does notes.txt have?",
        lambda tool, given: (tool == "read" and _on(given, "notes.txt")) or (tool == "bash" and _runs(given, r"wc\b.*notes\.txt")),
    ),
    Case(
        "Which files mention the word database?",
        lambda tool, given: (tool == "grep" and "database" in given["pattern"].lower()) or (tool == "bash" and _runs(given, "grep.*database")),
    ),
    Case(
        "Run the tests with pytest",
        lambda tool, given: tool == "bash" and _runs(given, r"\bpytest\b"),
    ),
    Case(
        "Create hello.py that prints hello",
        lambda tool, given: tool == "write" and _on(given, "hello.py") and "print(" in given["content"] and "hello" in given["content"].lower(),
    ),
    Case(
        "Rename the function foo to bar in app.py",
        lambda tool, given: (
            (tool == "edit" and _on(given, "app.py") and "foo" in given["old"] and "bar" in given["new"])
            or (tool == "read" and _on(given, "app.py"))
            or (tool == "grep" and "foo" in given["pattern"])
        ),
    ),
    Case(
        "List the files in the src folder",
        lambda tool, given: (tool == "ls" and _on(given, "src")) or (tool == "glob" and given["pattern"].startswith("src/")),
    ),
    Case(
        "Find all Python files in this project",
        lambda tool, given: (tool == "glob" and given["pattern"].endswith("*.py")) or (tool == "bash" and _runs(given, r"find .*\.py")),
    ),
    Case(
        "What is 17 plus 25?",
        lambda tool, given: tool == "answer" or (tool == "bash" and _runs(given, r"17 ?\+ ?25")),
    ),
    Case(
        "Explain in one sentence what a linked list is",
        lambda tool, given: tool == "answer",
    ),
)

MORE = (
    Case("What does LICENSE allow me to do?", lambda tool, given: tool == "read" and _on(given, "LICENSE")),
    Case("Show me the contents of package.json", lambda tool, given: tool == "read" and _on(given, "package.json")),
    Case("Which file defines the function load_user?", lambda tool, given: tool == "grep" and "load_user" in given["pattern"]),
    Case("Search the code for the text 'deprecated'", lambda tool, given: tool == "grep" and "deprecated" in given["pattern"]),
    Case("What folders and files are in lib?", lambda tool, given: tool == "ls" and _on(given, "lib")),
    Case("Find every YAML file", lambda tool, given: tool == "glob" and (".yml" in given["pattern"] or ".yaml" in given["pattern"])),
    Case("Check the git status", lambda tool, given: tool == "bash" and _runs(given, "git status")),
    Case("Save the text 'buy milk' in shopping.txt", lambda tool, given: tool == "write" and "milk" in given["content"]),
    Case(
        "In settings.toml set debug to false",
        lambda tool, given: (tool == "edit" and "false" in given["new"]) or (tool == "read" and _on(given, "settings.toml")),
    ),
    Case("Why is the sky blue?", lambda tool, given: tool == "answer"),
)


def offered() -> tuple[ToolSpec, ...]:
    """The tools as a session offers them to a small model."""
    wanted = local_models()[0].profile.tools
    own = [ToolSpec(tool.name, tool.short, tool.schema()) for tool in builtin() if tool.name in wanted]
    return (*own, ToolSpec(TaskTool.name, TaskTool.short, tidy_schema(TaskTool.args.model_json_schema())))


@dataclass
class Tried:
    step: Step
    text: str
    seconds: float
    prompt: int
    cached: int
    output: int
    served: str | None


async def first_step(provider: LocalProvider, spec: ModelSpec, asked: str, tools: tuple[ToolSpec, ...]) -> Tried:
    request = ModelRequest(model=spec, messages=(user_text(asked),), system=SYSTEM, tools=tools)
    merge, began = Merge(), time.monotonic()
    async with aclosing(provider.stream(step_request(request))) as parts:
        async for part in parts:
            merge.feed(part)
    message = merge.message()
    call = read_step(message, "step", request)
    return Tried(_step(call), message.text(), time.monotonic() - began, merge.usage.prompt, merge.usage.cache_read, merge.usage.output, merge.served)


def _step(call: ToolCall | None) -> Step:
    return ("answer", {}) if call is None else (call.name, json.loads(call.arguments))


async def measure(model: str, runs: int, cases: tuple[Case, ...], show: bool) -> list[int]:
    spec = next(spec for spec in local_models() if spec.id == named(model).name)
    provider, tools, scores, tried = LocalProvider(ProviderSpec("local", "local", remote=False)), offered(), [], []
    try:
        for run in range(runs):
            good = 0
            for case in cases:
                one = await first_step(provider, spec, case.asked, tools)
                tried.append(one)
                sensible = case.sensible(*one.step)
                good += sensible
                if show or not sensible:
                    print(f"  {'ok  ' if sensible else 'BAD '} {case.asked!r} -> {one.text}")
            scores.append(good)
            print(f"{spec.id} run {run + 1}: {good} of {len(cases)}")
    finally:
        await provider.aclose()
    first, later = tried[0], tried[1:]
    seconds, tokens = statistics.median(one.seconds for one in later), statistics.mean(one.output for one in later)
    print(f"{first.served}: first step {first.seconds:.1f} s, with loading, of {first.prompt} prompt tokens;")
    print(
        f"  later ones {seconds:.1f} s in the middle, of {tokens:.0f} tokens, {min(one.cached for one in later)} or more prompt tokens from the cache"
    )
    return scores


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--model", default="local")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--more", action="store_true")
    arguments.add_argument("--show", action="store_true")
    given = arguments.parse_args()
    asyncio.run(measure(given.model, given.runs, MORE if given.more else CASES, given.show))


if __name__ == "__main__":
    main()

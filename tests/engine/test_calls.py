"""What the engine gives tools to work with, and takes out of what they bring."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agentcli.engine.calls import Calls, Place, redacted
from agentcli.engine.gate import Gate
from agentcli.protocol.events import AnyEvent, ToolFinished, ToolOutput
from agentcli.protocol.messages import Text, ToolCall
from agentcli.protocol.tools import CommandDisplay, Tool, ToolMemory, ToolOutcome
from agentcli.safety.rules import Policy, parse_rules
from agentcli.system.environment import child_env
from agentcli.tools.bash import Bash
from agentcli.tools.glob import Glob
from agentcli.tools.grep import Grep

TOOLS: dict[str, Tool[object]] = {tool.name: tool for tool in (Bash(), Grep(), Glob())}  # type: ignore[misc]


def stars(text: str) -> str:
    return text.replace("canary", "***")


def ran(folder: Path, name: str, arguments: str, *, deny: str = "") -> list[AnyEvent]:
    folder = folder.resolve()
    events: list[AnyEvent] = []
    place = Place("main", folder, (folder,), folder / "scratch", child_env(), redact=stars)
    policy = Policy("bypass", (folder,), deny=parse_rules(deny))
    calls = Calls(TOOLS, Gate(policy), place, ToolMemory(), events.append)
    asyncio.run(calls.run([ToolCall("c1", name, arguments)]))
    return events


def finished(events: list[AnyEvent]) -> ToolFinished:
    (found,) = [event for event in events if isinstance(event, ToolFinished)]
    return found


def said(events: list[AnyEvent]) -> str:
    (part,) = finished(events).result.content
    assert isinstance(part, Text)
    return part.text


@pytest.mark.parametrize(
    "arguments",
    ['{"pattern": "needle"}', '{"pattern": "needle", "glob": ".env"}', '{"pattern": "needle", "glob": "**/.env*"}',
     '{"pattern": "needle", "path": "sub", "glob": ".*"}'],
)  # fmt: skip
def test_a_file_that_may_not_be_read_is_not_found_by_a_search_of_its_folder(tmp_path: Path, arguments: str) -> None:
    (tmp_path / "sub").mkdir()
    for name in (".env", "sub/.env.local"):
        (tmp_path / name).write_text("KEY=needle-in-env\n")
    assert said(ran(tmp_path, "grep", arguments, deny="read(.env*)")).startswith("No match")
    assert said(ran(tmp_path, "glob", '{"pattern": "**/.env*"}', deny="read(.env*)")).startswith("No file matches")
    assert "needle-in-env" in said(ran(tmp_path, "grep", '{"pattern": "needle", "glob": ".env*"}'))


def test_keys_are_taken_out_of_the_result_what_is_shown_of_it_and_its_facts(tmp_path: Path) -> None:
    events = ran(tmp_path, "bash", '{"command": "echo a canary; exit 3"}')
    done = finished(events)
    assert said(events).startswith("a ***")
    assert isinstance(done.display, CommandDisplay)
    assert (done.display.output.strip(), done.display.exit_code) == ("a ***", 3)
    assert "".join(event.text for event in events if isinstance(event, ToolOutput)).strip() == "a ***"


def test_every_text_of_an_outcome_is_looked_at_and_nothing_else_changes() -> None:
    outcome = ToolOutcome((Text("canary"),), CommandDisplay("c", "canary", 1), data={"a": ["canary", 1, None], "b": {"c": "canary"}})
    assert redacted(outcome, stars) == ToolOutcome((Text("***"),), CommandDisplay("c", "***", 1), data={"a": ["***", 1, None], "b": {"c": "***"}})
    assert redacted(outcome, str) is outcome


def test_what_an_interrupted_command_had_printed_stays_for_the_model_and_the_person(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    events: list[AnyEvent] = []
    place = Place("main", folder, (folder,), folder / "scratch", child_env(), redact=stars)
    calls = Calls(TOOLS, Gate(Policy("bypass", (folder,))), place, ToolMemory(), events.append)
    command = "echo one; echo canary; sleep 300"

    async def interrupted() -> None:
        running = asyncio.create_task(
            calls.run([ToolCall("c1", "bash", json.dumps({"command": command})), ToolCall("c2", "bash", '{"command": "sleep 1"}')])
        )
        async with asyncio.timeout(10):
            while not any(isinstance(event, ToolOutput) and "***" in event.text for event in events):
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait((running,))

    asyncio.run(interrupted())
    first, second = (event for event in events if isinstance(event, ToolFinished))
    stands = "Interrupted before it finished; what it had done by then stands."
    assert first.result.text() == f"{stands} The end of its output so far:\none\n***"
    assert first.display == CommandDisplay(command, "one\n***")
    assert (second.result.text(), second.display) == (stands, None)


def test_arguments_nested_without_end_are_told_to_the_model_and_end_nothing(tmp_path: Path) -> None:
    assert "not valid JSON" in said(ran(tmp_path, "grep", '{"pattern":' + "[" * 50_000))

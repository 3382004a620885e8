"""Every example program: on the scripted model, with what it must print, and on the real local models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.examples import PROGRAMS, local_config, readme_blocks, scripted_config

Run = Callable[..., str]
HELLO = [
    {"when": "Say hello", "text": "hello", "model": "small-1", "repeat": True},
    {"when": "Is this a greeting: hello", "text": "good", "model": "large-1", "repeat": True},
    {"agent": "scout", "text": "a.txt", "model": "small-1", "repeat": True},
]
SCENARIO = ["hello", "good", "a.txt", "a.txt", "a.txt"]
PLAN = '{"tasks": [{"title": "colours", "prompt": "Name them."}]}'
APPROVED = '{"approved": true, "feedback": ""}'
SCRIPTS: dict[str, tuple[list[Any], str]] = {
    "plain_script": (HELLO, "\n".join(SCENARIO)),
    "notebook": (HELLO, "\n".join(SCENARIO)),
    "thread_pool": (HELLO, "\n".join([" | ".join(SCENARIO)] * 3)),
    "async_program": (
        [*HELLO[:1], {"when": "goodbye", "text": "goodbye", "model": "large-1"}, {"when": "again", "text": "hello!", "served": "small-1-2026"}],
        "hello\ngoodbye\ntext: hello!\nresult: True small-1-2026",
    ),
    "own_tool": (
        [{"calls": [{"name": "price", "arguments": {"fruit": "pear"}}]}, {"when": "pear: 250 cents", "text": "A pear costs 250 cents."}],
        "A pear costs 250 cents.\ncalls: ['price']",
    ),
    "structured": (['{"verdict": "bad", "reason": "it says nothing"}'], "bad - it says nothing"),
    "fan_out": (
        [
            {"when": "in a.txt", "text": "an apple", "repeat": True},
            {"when": "in b.txt", "text": "a pear", "repeat": True},
            {"when": "in none.txt", "text": "nothing there", "repeat": True},
            {"when": "one word: an apple", "text": "apple"},
            {"when": "one word: a pear", "text": "pear"},
        ],
        "outcome: an apple\noutcome: a pear\noutcome: nothing there\nitem: a.txt apple\nitem: b.txt pear\nitem: none.txt dropped",
    ),
    "team_work": (
        [{"agent": "lead", "text": PLAN, "model": "large-1"}, {"agent": "worker", "text": "red, yellow, green", "model": "small-1"},
         {"agent": "reviewer", "text": APPROVED}],
        "part: colours approved\nmembers: 3 tokens: True",
    ),
    "steering": (
        [{"agent": "scout", "text": "I look.", "first_delay_s": 1.0}, {"when": "One line", "text": "a.txt b.txt src"}],
        "known: main, main/scout-1\na.txt b.txt src\n[('scout-1', 'completed')]",
    ),
}  # fmt: skip


def test_every_program_is_run() -> None:
    seeds, helper = {"model_per_session", "model_per_worker", "subagents"}, {"scenario"}
    assert {path.stem for path in PROGRAMS.glob("*.py")} == {*SCRIPTS, *seeds, *helper}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_program_runs_on_the_scripted_model(name: str, run: Run) -> None:
    script, printed = SCRIPTS[name]
    Path("agent.hcl").write_text(scripted_config(script))
    assert run(name).strip() == printed


@pytest.mark.local
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_program_runs_on_the_local_models(name: str, run: Run, local_weights: Path) -> None:
    """What a model of half a billion parameters says is its own affair: the program ends well and says something."""
    Path("agent.hcl").write_text(local_config())
    assert run(name, 1400).strip()


SLIPS = """
from agentcli import Agent, AgentError, SessionOptions, TaskSpec, WorkerAgentSpec

WorkerAgentSpec(name="scout", descripton="Reads.")  # wrong
WorkerAgentSpec("scout", "Reads.", model="fast", tools=["read"])
worker = WorkerAgentSpec()
worker.modle = "fast"  # wrong
worker.max_turns = "many"  # wrong
SessionOptions(max_turn=3)  # wrong
SessionOptions(max_turns=3, worker_agents=[worker], own_tools=[print])
TaskSpec(agent="scout")  # wrong
session = Agent.create("agent.hcl").session(".", modle="fast")  # wrong
Agent.create("agent.hcl").session(".", model="fast", max_turns=3, own_tools=[print])
Agent.create("agent.hcl").resume_session("ab12", fork=True)
session.task("scout", "x", modle="fast")  # wrong
session.task("scout", "x", background=True).usage
session.task("scout", "x", background=True).structured  # wrong
try:
    session.send(5)  # wrong
except AgentError as error:
    print(error.result.text if error.result else error.line())
session.send("x", output_schema=5)  # wrong
"""


def test_the_programs_and_the_readme_pass_a_strict_type_check_as_a_user_would_run_it_and_slips_do_not(tmp_path: Path) -> None:
    """With no configuration of ours, against the installed package."""
    blocks = [tmp_path / f"block_{number}.py" for number, _ in enumerate(readme_blocks(), start=1)]
    for path, block in zip(blocks, readme_blocks(), strict=True):
        path.write_text(block)
    (tmp_path / "slips.py").write_text(SLIPS)
    argv = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(PROGRAMS), *map(str, blocks), "slips.py"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)
    wrong = {number for number, line in enumerate(SLIPS.splitlines(), start=1) if line.endswith("# wrong")}
    *errors, _ = [line.split(":") for line in done.stdout.splitlines() if ": note:" not in line]
    assert {(file, int(line)) for file, line, *_ in errors} == {("slips.py", line) for line in wrong}, done.stdout + done.stderr

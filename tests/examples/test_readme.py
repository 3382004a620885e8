"""The README's library section is true: each of its Python blocks runs, as a program of its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.examples import readme_blocks, scripted_config

SCRIPT: list[Any] = [
    {"agent": "lead", "text": '{"tasks": [{"title": "all", "prompt": "Describe."}]}', "repeat": True},
    {"agent": "reviewer", "text": '{"approved": true, "feedback": ""}', "repeat": True},
    {"when": "Rate", "text": '{"stars": 2, "why": "it says nothing"}', "repeat": True},
    {"when": "umbrella", "calls": [{"name": "weather", "arguments": {"city": "Rome"}}]},
    {"when": "Look around", "calls": [{"name": "ls", "arguments": {}}]},
    {"text": "a scripted answer", "repeat": True},
]
BLOCKS = readme_blocks()


def test_the_readme_has_a_library_section_with_programs() -> None:
    assert len(BLOCKS) >= 8, "README.md has no '## Library' section with its programs"


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs_and_leaves_nothing_open(number: int, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    (project / "agent.hcl").write_text(scripted_config(SCRIPT))
    exec(compile(BLOCKS[number], f"README.md, block {number + 1} of the library", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()
    assert threading.active_count() == threads

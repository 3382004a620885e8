"""The same table from the command line: flags and `--agents` decide, the loopback server and the program's own output prove."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.crew import STRONG, Asked, all_asked, calling, hcl
from support.model_rows import KEYS, ROWS, Row
from support.program import Ran, run
from support.server import Server


@pytest.fixture
def config_file(service: Server, tmp_path: Path) -> Path:
    path = tmp_path / "models.hcl"
    path.write_text(hcl(service.url))
    return path


def worker(row: Row) -> str:
    """Each row has a worker of its own, so that rows with the same flags run in one process."""
    return "w-" + "".join(char if char.isalnum() else "-" for char in row.name)[:50].strip("-")


def definitions(rows: Iterable[Row]) -> str:
    out: dict[str, dict[str, Any]] = {}
    for row in rows:
        said = {"model": row.definition, **row.definition_more}
        out[worker(row)] = {"description": "Looks.", "tools": ["read"], **{key: value for key, value in said.items() if value}}
    return json.dumps(out)


def entry(row: Row) -> dict[str, Any]:
    return {"agent": worker(row), "prompt": f"work {worker(row)}", **({} if row.call is None else {"model": row.call})}


def flags(rows: Iterable[Row], subagent: str) -> list[str]:
    pins = [word for row in rows if row.pin for word in ("--worker", f"{worker(row)}={row.pin}")]
    return [*pins, *(["--subagent-model", subagent] if subagent else [])]


@pytest.mark.parametrize("subagent", sorted({row.subagent for row in ROWS}), ids=lambda name: name or "none")
def test_flags_and_definitions_decide_as_the_table_says(service: Server, config_file: Path, subagent: str) -> None:
    rows = [row for row in ROWS if row.subagent == subagent]
    before = len(service.requests)
    ran = run(
        "-p", calling(("parallel_task", {"tasks": [entry(row) for row in rows]})), "--config", str(config_file), "--agents", definitions(rows),
        "--output-format", "stream-json", "-q", *flags(rows, subagent),
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    asked: dict[str, list[Asked]] = defaultdict(list)
    for one in all_asked(service.requests[before:], "work "):
        asked[one.prompt.removeprefix("work ")].append(one)
    assert {name: [(one.on, one.key) for one in got] for name, got in asked.items()} == {
        worker(row): [(row.on, KEYS[row.on.partition("/")[0]])] for row in rows
    }
    assert models_in(ran) == {worker(row): as_json(row) for row in rows}
    assert notified(ran) == models_in(ran)
    for row in rows:
        assert row.note in json.dumps(ran.lines, ensure_ascii=False)


def models_in(ran: Ran) -> dict[str, Any]:
    return {agent["name"].rpartition("-")[0]: agent["model"] for agent in ran.result["agents"]}


def notified(ran: Ran) -> dict[str, Any]:
    ends = [line for line in ran.lines if line["type"] == "system" and line["subtype"] == "task_notification"]
    return {line["agent_id"].rpartition("/")[2].rpartition("-")[0]: line["model"] for line in ends}


def as_json(row: Row) -> dict[str, Any]:
    use = row.use
    return {"requested": use.requested, "resolved": use.resolved, "served": use.served, "source": use.source}


def test_the_listing_of_workers_says_what_each_would_run_on(service: Server, config_file: Path, tmp_path: Path) -> None:
    blocks = "\n".join(
        f'agents "{worker(row)}" {{ description = "x"\n' + (f'  model = "{row.definition}"\n' if row.definition else "")
        + (f'  effort = "{row.definition_more["effort"]}"\n' if "effort" in row.definition_more else "") + "}"
        for row in ROWS if row.call is None and not row.pin and not row.subagent
    )  # fmt: skip
    config_file.write_text(hcl(service.url, blocks))
    ran = run("agents", "--json", "--config", str(config_file))
    assert (ran.code, ran.err) == (0, "")
    listed = {row["name"]: row["model"] for row in json.loads(ran.out)}
    expected = {worker(row): {**as_json(row), "served": None} for row in ROWS if row.call is None and not row.pin and not row.subagent}
    assert {name: model for name, model in listed.items() if name in expected} == expected
    assert listed["explore"] == {"requested": STRONG, "resolved": STRONG, "served": None, "source": "parent"}


def test_a_pin_for_a_role_of_a_team_from_the_command_line(service: Server, config_file: Path) -> None:
    before = len(service.requests)
    words = ("--worker", "lead=fast", "--worker", "translator=fast")
    ran = run("-p", calling(("run_team", {"goal": "all"})), "--config", str(config_file), *words)
    assert (ran.code, ran.out) == (0, "I have the results.\n")
    assert "no worker is called 'translator' (nearest: " in ran.err
    requests = service.requests[before:]
    assert {one.on for one in all_asked(requests, "Goal:")} == {"alpha/cheap:low"}
    assert {one.on for one in all_asked(requests, "Task ")} == {STRONG}


def test_an_unknown_model_in_a_pin_ends_with_2_and_the_nearest_names(service: Server, config_file: Path) -> None:
    before = len(service.requests)
    ran = run("-p", "hi", "--config", str(config_file), "--worker", "explore=alpha/cheep")
    assert (ran.code, ran.out, len(service.requests)) == (2, "", before)
    assert "unknown model 'alpha/cheep'; nearest: alpha/cheap" in ran.err

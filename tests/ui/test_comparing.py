"""`agentcli compare` as a person and a script meet it: one table, the diffs, JSON, models that fail, and the folder left as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.program import Ran, run
from support.repositories import LINES, Repository, new_repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return new_repository(tmp_path / "project")


def change(model: str, new: str) -> dict[str, Any]:
    """What one model does with the prompt."""
    calls = [
        {"name": "read", "arguments": {"path": "app.txt"}},
        {"name": "edit", "arguments": {"path": "app.txt", "old": "line 3\n", "new": new}},
    ]
    return {"model": model, "each": True, "replies": [{"calls": calls}, {"text": f"Changed by {model}.", "served": f"{model}-2026"}]}


def config(folder: Path, *entries: dict[str, Any]) -> Path:
    (folder / "script.json").write_text(json.dumps(entries))
    path = folder / "compare.hcl"
    path.write_text(
        'default_model = "demo/a"\nproviders "demo" {\n  wire = "scripted"\n  script = "script.json"\n'
        '  models "a" { cost = { input = 1.0, output = 2.0 } }\n  models "b" { }\n  models "mute" { tool_call = false }\n}\n'
    )
    return path


def compare(repository: Repository, config_file: Path, *words: str) -> Ran:
    return run("compare", *words, "--config", str(config_file), "-C", str(repository.path))


def test_each_model_works_in_a_clone_of_its_own_and_one_table_and_the_diffs_are_printed(repository: Repository, tmp_path: Path) -> None:
    path = config(tmp_path, change("a", "first\n"), change("b", "second\n"))
    ran = compare(repository, path, "-m", "demo/a", "-m", "demo/b", "Change line 3.")
    assert ran.code == 0
    rows = [re.split(r" {2,}", line) for line in ran.out.splitlines()[:3]]
    assert rows[0] == ["MODEL", "RESULT", "FILES", "TURNS", "TOKENS", "COST", "TIME", "ANSWER"]
    assert [(*row[:6], row[7]) for row in rows[1:]] == [
        ("demo/a", "ok", "1", "2", "30", "<$0.0001", "Changed by a."),
        ("demo/b", "ok", "1", "2", "30", "price unknown", "Changed by b."),
    ]
    assert "=== demo/a (kept on branch agentcli/general-1) ===\nChanged by a.\ndiff --git a/app.txt b/app.txt" in ran.out
    assert ("-line 3\n+first" in ran.out, "-line 3\n+second" in ran.out) == (True, True)
    assert (repository.status(), repository.read("app.txt")) == ([], LINES)
    assert repository.branches() == ["agentcli/general-1", "agentcli/general-2", "main"]


def test_json_is_one_object_with_proof_of_each_model(repository: Repository, tmp_path: Path) -> None:
    path = config(tmp_path, change("a", "first\n"), change("b", "second\n"))
    ran = compare(repository, path, "-m", "demo/b", "-m", "demo/a", "--json", "Change", "line", "3.")
    assert (ran.code, len(ran.out.splitlines())) == (0, 1)
    told = json.loads(ran.out)
    assert told["prompt"] == "Change line 3."
    for result in told["results"]:
        assert result.pop("duration_ms") > 0
        assert result.pop("diff").startswith("diff --git a/app.txt b/app.txt")
    common = {"ok": True, "error": "", "files": ["app.txt"], "turns": 2, "tokens": 30}
    assert told["results"] == [
        {"model": "demo/b", "served": ["b", "b-2026"], "answer": "Changed by b.", "branch": "agentcli/general-1", "cost_usd": None, **common},
        {"model": "demo/a", "served": ["a", "a-2026"], "answer": "Changed by a.", "branch": "agentcli/general-2", "cost_usd": 4e-05, **common},
    ]


def test_a_model_that_fails_or_cannot_do_it_is_a_row_and_the_exit_code_is_1(repository: Repository, tmp_path: Path) -> None:
    broken = {"model": "b", "replies": [{"error": {"kind": "request_rejected", "message": "not today"}}]}
    path = config(tmp_path, change("a", "first\n"), broken)
    ran = compare(repository, path, "-m", "demo/a", "-m", "demo/b", "-m", "demo/mute", "--json", "Change line 3.")
    results = json.loads(ran.out)["results"]
    assert (ran.code, [result["ok"] for result in results]) == (1, [True, False, False])
    assert results[1]["error"] == "demo: not today"
    assert "demo/mute takes no tool calls" in results[2]["error"]
    assert results[2]["model"] == "demo/mute"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-m", "demo/a", "x"], "compare takes two models or more."),
        (["-m", "demo/a", "-m", "demo/b", " "], "compare needs a prompt."),
        (["-m", "demo/a", "-m", "demo/zz", "x"], "unknown model 'demo/zz'; nearest: demo/a"),
    ],
)
def test_fewer_than_two_models_an_unknown_one_or_no_prompt_is_a_usage_error_and_nothing_runs(
    repository: Repository, tmp_path: Path, words: list[str], told: str
) -> None:
    ran = compare(repository, config(tmp_path, change("a", "first\n")), *words)
    assert (ran.code, ran.out, repository.branches()) == (2, "", ["main"])
    assert told in ran.err


def test_a_time_limit_is_for_each_model_and_the_quick_one_keeps_its_result(repository: Repository, tmp_path: Path) -> None:
    path = config(tmp_path, change("a", "first\n"), {"model": "b", "replies": [{"hang": True}]})
    ran = compare(repository, path, "-m", "demo/a", "-m", "demo/b", "--timeout", "2", "--json", "Change line 3.")
    first, second = json.loads(ran.out)["results"]
    assert (ran.code, first["ok"], second["ok"]) == (1, True, False)
    assert second["error"].startswith("the time limit of 2 s is over.")


def test_a_model_that_wants_more_than_it_may_is_told_so_and_the_rest_stands(repository: Repository, tmp_path: Path) -> None:
    write = {"name": "write", "arguments": {"path": str(repository.path / "app.txt"), "content": "escaped"}}
    escape = [{"calls": [write]}, {"text": "It was not permitted."}]
    path = config(tmp_path, change("a", "first\n"), {"model": "b", "each": True, "replies": escape})
    ran = compare(repository, path, "-m", "demo/a", "-m", "demo/b", "--permission-mode", "bypass", "--json", "Change line 3.")
    results = json.loads(ran.out)["results"]
    assert [(result["ok"], result["files"]) for result in results] == [(True, ["app.txt"]), (True, [])]
    assert repository.status() == []

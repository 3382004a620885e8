"""Every case of shared/cases/bash_permission_cases.jsonl: what other agents got wrong. The promise is no BYPASS and no OVERASK."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentcli.protocol.tools import Access
from agentcli.safety.rules import Policy, Rule, Verdict, judge, parse_rule

CASES = Path(os.environ.get("AGENTCLI_SHARED") or Path(__file__).resolve().parents[3] / "shared") / "cases" / "bash_permission_cases.jsonl"
ALL: list[dict[str, Any]] = [json.loads(line) for line in CASES.read_text("utf-8").splitlines() if line.strip()] if CASES.is_file() else []
CONTEXT = {"builtin_readonly", "mode", "workspace", "reads_outside", "setup"}
"""All that a case may say of its surroundings. Reading outside of the workspace is asked here by default, as `reads_outside` wants it."""

pytestmark = pytest.mark.skipif(not ALL, reason=f"no cases at {CASES}: set AGENTCLI_SHARED to the folder that holds cases/")


def rules(texts: list[str]) -> tuple[Rule, ...]:
    return tuple(parse_rule(f"bash({text})") for text in texts)


def verdict_of(case: dict[str, Any], folder: Path) -> Verdict:
    """The cases without `builtin_readonly` and without a mode count what is allowed by rules alone."""
    context = case["context"]
    assert set(context) <= CONTEXT
    for line in context.get("setup", []):
        program, flag, target, name = line.split()
        assert (program, flag) == ("ln", "-s")
        (folder / name).symlink_to(target)
    given = case["rules"]
    assert given["default"] == "ask"
    alone = not (context.get("builtin_readonly") or context.get("mode"))
    policy = Policy(
        context.get("mode", "default"),
        (folder.resolve(),),
        rules(given["allow"]),
        rules(given["ask"]),
        rules(given["deny"]),
        safe_commands=frozenset() if alone else None,
    )
    return judge(policy, "bash", Access(command=case["command"]))


def mark(case: dict[str, Any], decision: str) -> str:
    if decision in (case["expected"], *case["accept_also"]):
        return "PASS"
    if decision == "allow":
        return "BYPASS"
    return "OVERASK" if case["expected"] == "allow" else "OTHER"


@pytest.mark.parametrize("case", ALL, ids=lambda case: case["id"])
def test_a_command_is_judged_as_the_case_says(case: dict[str, Any], tmp_path: Path) -> None:
    verdict = verdict_of(case, tmp_path)
    assert mark(case, verdict.decision) == "PASS", (case["command"][:300], case["why"], verdict)


def test_of_all_cases_none_is_a_bypass_and_none_asks_too_much(tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    for case in ALL:
        folder = tmp_path / case["id"]
        folder.mkdir()
        counted[mark(case, verdict_of(case, folder).decision)] += 1
    assert counted == {"PASS": len(ALL)}

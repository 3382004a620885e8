"""The team's loop on a real repository with the scripted model: split, work side by side, review, send back with feedback, approve, merge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.crew import each_ended_once, opened
from support.repositories import LINES, Repository

from agentcli.protocol.errors import AgentError
from agentcli.protocol.events import AgentFinished, AgentSpawned, ToolFinished

TEAM = ("run_team", {"goal": "Write two parts."})
PARTS = [{"title": "first part", "prompt": "Write one.txt"}, {"title": "second part", "prompt": "Write two.txt"}]


def script(folder: Path, *entries: dict[str, Any]) -> str:
    """A config of the scripted model; the main agent and the lead say what they always say here."""
    lead = {"agent": "lead", "each": True, "replies": [{"text": json.dumps({"tasks": PARTS})}]}
    main = {"agent": "main", "each": True, "replies": [{"text": "never", "repeat": True}]}
    (folder / "script.json").write_text(json.dumps([*entries, lead, main]))
    return f'default_model = "demo/m1"\nproviders "demo" {{\n  wire = "scripted"\n  script = "{folder}/script.json"\n  models "m1" {{ }}\n}}\n'


def main_calls(call: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"agent": "main", "each": True, "replies": [{"calls": [{"name": call[0], "arguments": call[1]}]}, {"text": "The team is done."}]}


def worker(title: str, *rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the workers of one task do: their first attempt, and what they do with each feedback."""
    return [
        {"agent": "worker", "when": when, "each": True, "replies": replies}
        for when, replies in reversed([(f": {title}" if not number else f"feedback {number} on {title}", one) for number, one in enumerate(rounds)])
    ]  # fmt: skip


def writes(path: str, content: str, report: str) -> list[dict[str, Any]]:
    return [{"calls": [{"name": "write", "arguments": {"path": path, "content": content}}]}, {"text": report}]


def edits(path: str, old: str, new: str, report: str) -> list[dict[str, Any]]:
    calls = [{"name": "read", "arguments": {"path": path}}, {"name": "edit", "arguments": {"path": path, "old": old, "new": new}}]
    return [{"calls": calls}, {"text": report}]


def verdicts(title: str, *said: tuple[bool, str]) -> dict[str, Any]:
    return {"agent": "reviewer", "when": f": {title}", "replies": [{"text": json.dumps({"approved": ok, "feedback": why})} for ok, why in said]}


def plain(seen: Any) -> str:
    (told,) = seen.of(ToolFinished, "main")
    text: str = told.result.text()
    return text.partition("\n\nlead-1: ")[0]


@pytest.mark.parametrize("workspace", ["", "branch"])
async def test_a_rejected_task_goes_back_with_feedback_and_is_then_approved(repository: Repository, tmp_path: Path, workspace: str) -> None:
    text = script(
        tmp_path,
        main_calls(("run_team", {**TEAM[1], "workspace": workspace or None})),
        *worker("first part", writes("one.txt", "one\n", "wrote one")),
        *worker("second part", writes("two.txt", "tow\n", "wrote two"), edits("two.txt", "tow", "two", "mended two")),
        verdicts("first part", (True, "good")),
        verdicts("second part", (False, "feedback 1 on second part: it is misspelt"), (True, "right now")),
    )
    async with opened(text, repository.path) as (session, seen):
        result = await session.send("Go.")
    assert str(result) == "The team is done."
    assert (repository.read("one.txt"), repository.read("two.txt")) == ("one\n", "two\n")
    assert [event.name for event in seen.of(AgentSpawned)] == [
        "lead-1", "worker-1", "worker-2", "reviewer-1", "reviewer-2", "worker-3", "reviewer-3",
    ]  # fmt: skip
    assert {event.status for event in seen.of(AgentFinished)} == {"completed"}
    again = next(event.prompt for event in seen.of(AgentSpawned) if event.name == "worker-3")
    assert "It ended with:\nwrote two" in again
    assert "The reviewer says:\nfeedback 1 on second part: it is misspelt" in again
    told = plain(seen)
    assert told.startswith("Team: 2 of 2 tasks approved after 2 rounds.\n\n--- Task 1 (first part) [approved, 1 attempt] ---\nwrote one\n")
    assert "--- Task 2 (second part) [approved, 2 attempts] ---\nmended two\n" in f"{told}\n"
    if workspace:
        assert "merged: agentcli/worker-1 (1 file)" in told
        assert repository.status() == ["?? one.txt", "?? two.txt"]
        reviews = [event.prompt for event in seen.of(AgentSpawned) if event.name.startswith("reviewer")]
        assert any("+tow" in prompt for prompt in reviews)


async def test_approved_branches_are_merged_in_order_and_a_conflict_is_listed(repository: Repository, tmp_path: Path) -> None:
    text = script(
        tmp_path,
        main_calls(("run_team", {**TEAM[1], "workspace": "branch"})),
        *worker("first part", edits("app.txt", "line 3\n", "first\n", "did one")),
        *worker("second part", edits("app.txt", "line 3\n", "second\n", "did two")),
        verdicts("first part", (True, "")),
        verdicts("second part", (True, "")),
    )
    async with opened(text, repository.path) as (session, seen):
        await session.send("Go.")
    branches = {event.name: seen.by(AgentFinished)[f"main/{event.name}"].branch for event in seen.of(AgentSpawned)}
    first, second = (next(branches[one.name] for one in seen.of(AgentSpawned) if one.label == part["title"]) for part in PARTS)
    told = plain(seen)
    assert f"merged: {first} (1 file)" in told
    assert f"not merged: {second} conflicts in app.txt; it is kept" in told
    assert repository.read("app.txt") == LINES.replace("line 3\n", "first\n")
    assert repository.git("show", f"{second}:app.txt").splitlines()[2] == "second"


async def test_where_there_is_no_repository_approved_copies_are_merged_and_a_conflict_names_its_patch(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "app.txt").write_text(LINES)
    text = script(
        tmp_path,
        main_calls(("run_team", {**TEAM[1], "workspace": "branch"})),
        *worker("first part", edits("app.txt", "line 3\n", "first\n", "did one")),
        *worker("second part", edits("app.txt", "line 3\n", "second\n", "did two")),
        verdicts("first part", (True, "")),
        verdicts("second part", (True, "")),
    )
    async with opened(text, folder) as (session, seen):
        await session.send("Go.")
    told = plain(seen)
    assert (folder / "app.txt").read_text() == LINES.replace("line 3\n", "first\n")
    assert "\nmerged: " in told
    patch = told.partition("not merged: ")[2].partition(" conflicts in app.txt; it is kept")[0]
    assert "+second" in Path(patch).read_text()


async def test_when_the_rounds_are_spent_the_rest_is_listed_as_rejected(repository: Repository, tmp_path: Path) -> None:
    text = script(
        tmp_path,
        main_calls(("run_team", {**TEAM[1], "workspace": "branch", "max_rounds": 2})),
        *worker("first part", writes("one.txt", "one\n", "wrote one")),
        *worker("second part", writes("two.txt", "2\n", "try 1"), edits("two.txt", "2", "3", "try 2")),
        verdicts("first part", (True, "")),
        verdicts("second part", (False, "feedback 1 on second part"), (False, "still wrong")),
    )
    async with opened(text, repository.path) as (session, seen):
        await session.send("Go.")
    told = plain(seen)
    assert told.startswith("Team: 1 of 2 tasks approved after 2 rounds.")
    assert "--- Task 2 (second part) [rejected, 2 attempts] ---\ntry 2\nbranch: agentcli/worker-3\nlast feedback: still wrong" in told
    assert (seen.of(ToolFinished, "main")[0].result.is_error, repository.status()) == (True, ["?? one.txt"])
    assert repository.git("show", "agentcli/worker-3:two.txt") == "3"


async def test_a_shared_branch_that_holds_rejected_work_is_not_merged(repository: Repository, tmp_path: Path) -> None:
    text = script(
        tmp_path,
        main_calls(("run_team", {**TEAM[1], "workspace": "share", "max_rounds": 1})),
        *worker("first part", writes("one.txt", "one\n", "wrote one")),
        *worker("second part", writes("two.txt", "2\n", "wrote two")),
        verdicts("first part", (True, "")),
        verdicts("second part", (False, "wrong")),
    )
    async with opened(text, repository.path) as (session, seen):
        await session.send("Go.")
    assert "branch: agentcli/worker-1\nnot merged: agentcli/worker-1 also holds work that was rejected; it is kept" in plain(seen)
    assert (repository.status(), repository.git("show", "agentcli/worker-1:one.txt")) == ([], "one")


async def test_a_second_attempt_on_a_branch_goes_on_from_the_first(repository: Repository, tmp_path: Path) -> None:
    """The reviewer wants a change of what the first attempt made, which is nowhere but on its branch."""
    text = script(
        tmp_path,
        main_calls(("run_team", {**TEAM[1], "workspace": "branch"})),
        *worker("first part", writes("one.txt", "draft\n", "wrote one"), edits("one.txt", "draft", "final", "mended")),
        *worker("second part", writes("two.txt", "two\n", "wrote two")),
        verdicts("first part", (False, "feedback 1 on first part"), (True, "")),
        verdicts("second part", (True, "")),
    )
    async with opened(text, repository.path) as (session, _):
        await session.send("Go.")
    assert (repository.read("one.txt"), repository.read("two.txt")) == ("final\n", "two\n")


async def test_no_more_workers_run_at_once_than_the_team_has(repository: Repository, tmp_path: Path) -> None:
    lead = {"agent": "lead", "each": True, "replies": [{"text": json.dumps({"tasks": [{"title": f"t{n}", "prompt": "x"} for n in range(6)]})}]}
    slow = {"agent": "worker", "each": True, "replies": [{"text": "ok", "first_delay_s": 0.03}]}
    approve = {"agent": "reviewer", "each": True, "replies": [{"text": '{"approved": true, "feedback": ""}'}]}
    text = script(tmp_path, main_calls(("run_team", {"goal": "x", "workers": 2})), lead, slow, approve)
    running, peak = set(), 0
    async with opened(text, repository.path) as (session, seen):
        await session.send("Go.")
    for one in seen.envelopes:
        if "/worker-" in one.agent_id and isinstance(one.event, AgentSpawned):
            running.add(one.agent_id)
            peak = max(peak, len(running))
        if isinstance(one.event, AgentFinished):
            running.discard(one.agent_id)
    assert (peak, len([event for event in seen.of(AgentSpawned) if event.name.startswith("worker")])) == (2, 6)


async def test_a_failed_worker_is_tried_again_and_a_hopeless_one_is_not(repository: Repository, tmp_path: Path) -> None:
    unauthorised = {"kind": "authentication", "message": "wrong key", "status": 401}
    rejected = {"kind": "request_rejected", "message": "no", "status": 400}
    text = script(
        tmp_path,
        main_calls(TEAM),
        {"agent": "worker", "when": ": first part", "replies": [{"error": rejected}, {"text": "did one"}]},
        {"agent": "worker", "when": ": second part", "replies": [{"error": unauthorised, "repeat": True}]},
        verdicts("first part", (True, "")),
    )
    async with opened(text, repository.path) as (session, seen):
        await session.send("Go.")
    told = plain(seen)
    assert "--- Task 1 (first part) [approved, 2 attempts] ---" in told
    assert "--- Task 2 (second part) [rejected, 1 attempt] ---" in told
    assert "last feedback: demo: wrong key" in told


async def test_a_goal_that_cannot_be_split_is_an_error_of_the_call(repository: Repository, tmp_path: Path) -> None:
    text = script(tmp_path, main_calls(TEAM), {"agent": "lead", "replies": [{"text": "I cannot.", "repeat": True}]})
    async with opened(text, repository.path) as (session, seen):
        await session.send("Go.")
    assert plain(seen).startswith("the team's lead did not split the goal: the answer does not fit the asked-for schema")
    assert [event.name for event in seen.of(AgentSpawned)] == ["lead-1"]
    assert each_ended_once(seen)


async def test_a_cancelled_member_is_not_replaced_and_the_rest_goes_on(repository: Repository, tmp_path: Path) -> None:
    text = script(
        tmp_path,
        main_calls(TEAM),
        {"agent": "worker", "when": ": first part", "replies": [{"hang": True}]},
        {"agent": "worker", "when": ": second part", "replies": [{"text": "did two"}]},
        verdicts("second part", (True, "")),
    )
    async with opened(text, repository.path) as (session, seen):
        session.listen(lambda one: session.tree.stop("worker-1") if isinstance(one.event, AgentFinished) and "reviewer" in one.agent_id else None)
        await session.send("Go.")
    assert "--- Task 1 (first part) [rejected, 1 attempt] ---\ncancelled.\nlast feedback: cancelled." in plain(seen)
    assert "--- Task 2 (second part) [approved, 1 attempt] ---\ndid two" in plain(seen)


async def test_a_program_gets_the_same_from_the_library(repository: Repository, tmp_path: Path) -> None:
    text = script(
        tmp_path,
        *worker("first part", writes("one.txt", "one\n", "wrote one")),
        *worker("second part", writes("two.txt", "two\n", "wrote two")),
        verdicts("first part", (True, "")),
        verdicts("second part", (True, "fine")),
    )
    async with opened(text, repository.path) as (session, _):
        made = await session.team("Write two parts.", workspace="branch")
        with pytest.raises(AgentError, match="unknown model 'nope'"):
            await session.team("x", reviewer_model="nope")
    assert (made.ok, [(item.title, item.approved, item.attempts) for item in made.items]) == (
        True,
        [("first part", True, 1), ("second part", True, 1)],
    )
    assert repository.read("one.txt") == "one\n"

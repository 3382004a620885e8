"""What bounds a run and what it may do: limits with their exit codes, permissions with the flag that would give them, tools, folders, prompts."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from support.place import Place, call, said, tool_results
from support.program import Ran, run
from support.server import Answer, Server, failed

COSTLY = {"input": 1_000_000, "output": 0}
"""One dollar of m1."""


def end_of(ran: Ran) -> tuple[int, str, str]:
    """Exit code, subtype and kind of the one result; one line of error."""
    assert len([line for line in ran.err.splitlines() if line.startswith("error: ")]) == 1, ran
    return ran.code, ran.result["subtype"], ran.result["error"]["kind"]


# --- limits ---


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (("--max-turns", "2"), (53, "error_max_turns", "turn_limit")),
        (("--max-budget-usd", "1.5"), (54, "error_max_budget_usd", "budget")),
        (("--max-tokens", "1500000"), (54, "error_max_budget_usd", "budget")),
    ],
)
def test_a_limit_ends_the_run_after_what_it_allows(place: Place, words: tuple[str, ...], end: tuple[int, str, str]) -> None:
    place.script({**call("ls", path="."), "usage": COSTLY, "repeat": True})
    ran = place.run("-p", "hi", "--output-format", "stream-json", *words)
    assert end_of(ran) == end
    assert (ran.result["num_turns"], ran.result["total_cost_usd"]) == (2, 2.0)
    assert words[0] in ran.result["error"]["hint"]


@pytest.mark.parametrize("output_format", ["json", "stream-json"])
def test_the_time_limit_ends_a_call_that_hangs(place: Place, output_format: str) -> None:
    place.script({"text": "Once", "hang": True})
    ran = place.run("-p", "hi", "--timeout", "0.4", "--output-format", output_format)
    assert end_of(ran) == (124, "error_during_execution", "time_limit")


def test_within_its_limits_a_run_ends_well(place: Place) -> None:
    place.script({**call("ls", path="."), "usage": COSTLY}, said("Done.", usage=COSTLY))
    limits = ("--max-turns", "2", "--max-budget-usd", "2.5", "--max-tokens", "2500000", "--timeout", "60")
    ran = place.run("-p", "hi", *limits, "--output-format", "json")
    assert (ran.code, ran.result["result"], ran.err) == (0, "Done.", "")


def test_a_budget_in_usd_is_refused_at_the_start_where_a_price_is_unknown(place: Place) -> None:
    place.script(said("Hello."))
    own = place.run("-p", "hi", "-m", "demo/unpriced", "--max-budget-usd", "1", "--output-format", "json")
    fallback = place.run("-p", "hi", "--fallback-model", "demo/unpriced", "--max-budget-usd", "1", "--output-format", "json")
    assert end_of(own) == end_of(fallback) == (2, "error_during_execution", "model_refused")
    assert "demo/unpriced" in own.err
    assert "cost = {" in own.err


# --- permissions ---

ASKS: dict[str, tuple[dict[str, Any], str]] = {
    "a command": (call("bash", command="touch made.txt && ls"), "--allowed-tools 'bash(touch made.txt)'"),
    "a file": (call("write", path="made.txt", content=""), "--permission-mode accept-edits"),
    "a file outside": (call("write", path="../made.txt", content=""), "--allowed-tools '"),
}


@pytest.mark.parametrize("what", ASKS)
def test_a_denial_names_the_flag_that_allows_it_and_with_that_flag_it_is_done(place: Place, what: str) -> None:
    reply, flag = ASKS[what]
    place.script(reply, said("Done."))
    denied = place.run("-p", "hi", "--output-format", "json")
    (line,) = denied.result["denials"]
    suggestion = line.partition("To allow it: ")[2]
    (permission,) = denied.result["permission_denials"]
    assert (denied.code, denied.result["is_error"], place.files()) == (0, False, {})
    assert suggestion.startswith(flag)
    assert f"not permitted: {line}" in denied.err.splitlines()
    assert (permission["tool_name"], permission["tool_input"]) == (reply["calls"][0]["name"], reply["calls"][0]["arguments"])
    allowed = place.run("-p", "hi", "--output-format", "json", *shlex.split(suggestion))
    assert (allowed.result["denials"], allowed.result["permission_denials"], allowed.err) == ([], [], "")
    assert [path.name for path in place.folder.parent.rglob("made.txt")] == ["made.txt"]


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (("--permission-mode", "plan"), []),
        (("--permission-mode", "accept-edits"), ["a.txt"]),
        (("--permission-mode", "acceptEdits", "--allowed-tools", "bash(touch)"), ["a.txt", "b.txt"]),
        (("--permission-mode", "bypassPermissions"), ["a.txt", "b.txt"]),
        (("--permission-mode", "bypass", "--disallowed-tools", "bash(touch *)"), ["a.txt"]),
        (("--allowed-tools", "write(a.txt),bash(touch b.txt)"), ["a.txt", "b.txt"]),
        (("--allowed-tools", "write", "--disallowed-tools", "write(a.*)"), []),
    ],
)
def test_modes_and_rules_decide_what_is_done(place: Place, words: tuple[str, ...], made: list[str]) -> None:
    place.script(call("write", path="a.txt", content=""), call("bash", command="touch b.txt"), said("Done."))
    ran = place.run("-p", "hi", "--output-format", "json", *words)
    assert (ran.code, sorted(place.files())) == (0, made)
    assert len(ran.result["denials"]) == 2 - len(made)


def test_tools_are_limited_and_taken_away_by_name(place: Place) -> None:
    place.script(said("Hello.", repeat=True))

    def tools(*words: str) -> list[str]:
        return list(place.run("-p", "hi", "--output-format", "stream-json", *words).lines[0]["tools"])

    every = tools()
    assert {"read", "write", "edit", "ls", "glob", "grep", "bash", "web_fetch", "todo", "task"} <= set(every)
    assert tools("--tools", "read,ls") == ["read", "ls"]
    assert tools("--tools", "") == []
    assert tools("--disallowed-tools", "bash,task") == [name for name in every if name not in ("bash", "task")]
    assert tools("--disallowed-tools", "bash(rm)") == every


def test_a_tool_that_was_taken_away_is_not_offered_and_not_run(place: Place) -> None:
    place.script(call("bash", command="touch made.txt"), said("Done."))
    ran = place.run("-p", "hi", "--permission-mode", "bypass", "--tools", "read", "--output-format", "stream-json")
    assert [is_error for is_error, _ in tool_results(ran)] == [True]
    assert place.files() == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tools", "raed"), "nearest: read"),
        (("--allowed-tools", "bash("), "bash("),
        (("--permission-mode", "yolo"), "bypass"),
        (("--add-dir", "nowhere"), "no such folder"),
        (("-C", "nowhere"), "no such folder"),
        (("--system-prompt-file", "nowhere.md"), "cannot read nowhere.md"),
        (("--agent", "scuot"), "scout"),
        (("--agents", "{x"), "no JSON"),
        (("--worker", "scout"), "NAME=MODEL"),
        (("--worker", "scout=demo/m9"), "demo/m2"),
        (("--subagent-model", "demo/m9"), "demo/m2"),
        (("--fallback-model", "demo/m9"), "demo/m2"),
        (("--effort", "high"), "its levels: none"),
        (("-m", "demo/m2:huge"), "nearest: demo/m2:low, demo/m2:high"),
        (("-m", "demo/m2", "--effort", "huge"), "low, high"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_runs(place: Place, words: tuple[str, ...], says: str) -> None:
    place.script(said("Hello."))
    ran = place.run("-p", "hi", *words)
    assert (ran.code, ran.out, len(ran.err.splitlines()), place.sessions()) == (2, "", 1, [])
    assert says in ran.err


# --- folders ---


def test_a_run_works_in_the_folder_it_is_given_and_in_no_other_unless_told(place: Place) -> None:
    (place.folder / "inner").mkdir()
    outside = place.folder.parent / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("alpha\n")
    place.script(call("write", path="made.txt", content="x"), call("read", path=str(outside / "a.txt")), said("Done."))
    words = ("-p", "hi", "-C", "inner", "--permission-mode", "accept-edits", "--output-format", "stream-json")
    kept_in = place.run(*words)
    let_out = place.run(*words, "--add-dir", str(outside))
    assert (kept_in.lines[0]["cwd"], sorted(place.files())) == (str(place.folder / "inner"), ["inner/made.txt"])
    assert [is_error for is_error, _ in tool_results(kept_in)] == [False, True]
    assert [is_error for is_error, _ in tool_results(let_out)][1] is False
    assert "alpha" in tool_results(let_out)[1][1]


# --- what the model is sent ---


def system_of(body: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in body["messages"] if message["role"] in ("system", "developer"))


def test_prompts_agents_and_effort_reach_the_model(place: Place) -> None:
    place.file("prompt.md", "\ufeffYou are a parrot.\r\n")
    agents = json.dumps({"owl": {"description": "Thinks.", "prompt": "You are an owl.", "tools": ["read"]}})
    with Server(always=Answer("Hello.")) as server:
        place.ask(server, "-p", "hi", "--append-system-prompt", "Speak softly.", "--effort", "high")
        place.ask(server, "-p", "hi", "--system-prompt-file", "prompt.md", "--append-system-prompt", "Speak softly.")
        place.ask(server, "-p", "hi", "--agents", agents, "--agent", "owl")
        built_in, own, owl = [request.body for request in server.requests]
    assert str(place.folder) in system_of(built_in)
    assert "Speak softly." in system_of(built_in)
    assert built_in["reasoning_effort"] == "high"
    assert system_of(own).startswith("You are a parrot.")
    assert "Speak softly." in system_of(own)
    assert system_of(owl).startswith("You are an owl.")
    assert [tool["function"]["name"] for tool in owl["tools"]] == ["read"]
    assert "reasoning_effort" not in own


def test_a_fallback_model_answers_where_the_first_stays_unavailable_and_the_result_says_so(place: Place) -> None:
    def reply(request: Any) -> Any:
        return Answer("From the other.") if request.body["model"] == "other" else failed(503, "overloaded")

    with Server(always=reply) as server:
        ran = place.ask(server, "-p", "hi", "--fallback-model", "test/other", "--output-format", "stream-json")
        asked = [request.body["model"] for request in server.requests]
    (hop,) = [line for line in ran.lines if line.get("subtype") == "model_fallback"]
    assert (ran.code, ran.result["result"], asked) == (0, "From the other.", ["m", "m", "other"])
    assert (hop["original_model"], hop["fallback_model"]) == ("test/m", "test/other")
    assert ran.result["fallbacks"] == ["test/other"]
    assert ran.result["model"]["resolved"] == "test/other"
    assert {name: model["calls"] for name, model in ran.result["modelUsage"].items()} == {"test/m": 2, "test/other": 1}
    assert "test/m is given up" in ran.err


def test_the_fallback_models_of_the_definition_that_runs_the_session_count(place: Place) -> None:
    agents = json.dumps({"owl": {"description": "An owl.", "fallback_models": ["test/other"]}})
    with Server(always=lambda request: Answer("Hu.") if request.body["model"] == "other" else failed(404, "gone")) as server:
        ran = place.ask(server, "-p", "hi", "--agents", agents, "--agent", "owl", "--output-format", "json")
    assert (ran.code, ran.result["result"], ran.result["fallbacks"]) == (0, "Hu.", ["test/other"])


def test_a_fallback_model_whose_key_is_not_set_is_told_before_anything_runs(place: Place) -> None:
    place.script(said("Hello."))
    second = 'providers "b" {\n api_key = env("NOT_SET_KEY")\n base_url = "http://127.0.0.1:1"\n models "m" {}\n}\n'
    config = place.file("agent.hcl", Path(place.scripted).read_text().replace('"script.json"', f'"{place.shared}/script.json"') + second)
    ran = run("--config", str(config), "-p", "hi", "--fallback-model", "b/m", env=place.env(), cwd=place.folder)
    assert (ran.code, ran.out, "NOT_SET_KEY" in ran.err) == (2, "", True), ran


def crowded(request: Any) -> Any:
    """A service that takes no more than 55 kB, and sums up what it is asked to."""
    if "memory of a coding agent" in request.raw.decode():
        return Answer("The person said long things.")
    return failed(400, "too long", code="context_length_exceeded") if len(request.raw) > 55_000 else Answer("Heard.")


def test_a_conversation_that_gets_too_long_is_compacted_told_in_one_line_and_resumed_as_it_then_is(place: Place) -> None:
    with Server(always=crowded) as server:
        for number in range(3):
            ran = place.ask(server, "-p", *(["-c"] if number else []), f"turn {number} " + "word " * 3_000, "--output-format", "stream-json")
        before = len(server.requests)
        again = place.ask(server, "-p", "-c", "and now?")
    (told,) = [line for line in ran.lines if line.get("subtype") == "compact_boundary"]
    assert told["compact_metadata"]["trigger"] == "auto"
    assert told["compact_metadata"]["post_tokens"] < told["compact_metadata"]["pre_tokens"]
    assert "history compacted from" in ran.err
    assert (ran.code, ran.result["result"], ran.result["modelUsage"]["test/m"]["calls"]) == (0, "Heard.", 3), "refused, summed up, answered"
    assert (again.code, again.out, len(server.requests)) == (0, "Heard.\n", before + 1)
    assert all(text in server.requests[-1].raw.decode() for text in ("The person said long things.", "turn 0", "and now?"))


def test_what_cannot_be_made_to_fit_one_model_goes_to_the_fallback_model(place: Place) -> None:
    too_long = {"error": {"kind": "context_overflow", "status": 400, "message": "prompt is too long"}, "model": "m1", "repeat": True}
    place.script(too_long, said("From the larger one.", model="m2"))
    ran = place.run("-p", "hi", "--fallback-model", "demo/m2", "--output-format", "json")
    assert (ran.code, ran.result["result"], ran.result["fallbacks"]) == (0, "From the larger one.", ["demo/m2"])
    assert "demo/m1 is given up" in ran.err

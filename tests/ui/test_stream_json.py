"""The whole stream against golden files, and the promises that a reader of Claude Code's format relies on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.envelopes import BIG, DOWN, RATE_LIMITED, SMALL, Story, answered, ended, short_run, started, submitted, troubled_run
from support.streams import Memory

from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    AgentState,
    AnyEvent,
    ArgumentsDelta,
    CallStarted,
    Compacted,
    Envelope,
    Failure,
    FellBack,
    ModeChanged,
    ModelChanged,
    Notice,
    PermissionMode,
    StateChanged,
    TextDelta,
    ToolFinished,
    UserSubmitted,
)
from agentcli.protocol.messages import AssistantMessage, Image, Text, Thinking, ToolCall, ToolResult, user_text
from agentcli.ui.printing import make_sink

GOLDEN = Path(__file__).parent / "golden"


def printed(envelopes: list[Envelope], failure: Failure | None = None, *, include_partial: bool = False) -> list[dict[str, Any]]:
    out = Memory()
    sink = make_sink("stream-json", out, Memory(), include_partial=include_partial)
    for envelope in envelopes:
        sink.feed(envelope)
    sink.finish(failure)
    assert out.data.endswith(b"\n")
    return [json.loads(line) for line in out.data[:-1].split(b"\n")]


def line_for(*events: AnyEvent, agent: str = "main") -> dict[str, Any]:
    """The one line that the last of these events gives."""
    first, *others = Story().tell(*events, agent=agent).envelopes
    lines = [line for line in printed([first, *others]) if line["seq"] == len(others) + 1 and line["type"] != "result"]
    assert len(lines) == 1, lines
    return {key: value for key, value in lines[0].items() if key not in ("uuid", "session_id", "seq", "agent_id")}


def golden(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / name).read_bytes().splitlines()]


def test_a_run_with_two_calls_a_worker_a_retry_and_an_error_is_the_golden_stream() -> None:
    assert printed(troubled_run()) == golden("troubled.jsonl")


def test_the_same_run_with_partial_messages_is_the_golden_stream() -> None:
    assert printed(troubled_run(), include_partial=True) == golden("troubled_partial.jsonl")


@pytest.mark.parametrize("include_partial", [False, True])
def test_every_line_has_the_fields_that_readers_of_the_format_require(include_partial: bool) -> None:
    required = {
        "assistant": {"message", "parent_tool_use_id", "session_id", "uuid"},
        "user": {"message", "parent_tool_use_id"},
        "stream_event": {"event", "uuid", "session_id", "parent_tool_use_id"},
        "system/init": {"cwd", "tools", "model", "permissionMode", "apiKeySource", "mcp_servers", "slash_commands", "output_style"},
        "system/task_started": {"task_id", "description", "uuid", "session_id", "tool_use_id"},
        "system/task_progress": {"task_id", "description", "usage", "uuid", "session_id", "last_tool_name"},
        "system/task_updated": {"task_id", "patch", "uuid", "session_id"},
        "system/task_notification": {"task_id", "status", "output_file", "summary", "usage", "uuid", "session_id"},
        "system/permission_denied": {"tool_name", "tool_use_id", "message"},
        "system/api_retry": {"attempt", "max_retries", "retry_delay_ms", "error_status", "error"},
        "result": {"subtype", "duration_ms", "duration_api_ms", "is_error", "num_turns", "session_id", "total_cost_usd", "usage", "result"},
    }
    seen = set()
    for line in printed(troubled_run(), include_partial=include_partial):
        kind = f"{line['type']}/{line['subtype']}" if line["type"] == "system" else line["type"]
        seen.add(kind)
        assert required[kind] | {"seq", "agent_id", "session_id", "uuid"} <= set(line), line
    assert seen == set(required) - (set() if include_partial else {"stream_event"})


@pytest.mark.parametrize("envelopes", [short_run(), troubled_run(), troubled_run()[:9], []])
def test_there_is_exactly_one_result_and_it_is_the_last_line(envelopes: list[Envelope]) -> None:
    kinds = [line["type"] for line in printed(envelopes)]
    assert kinds.count("result") == 1
    assert kinds[-1] == "result"


def test_every_uuid_is_there_once_and_the_same_for_the_same_events() -> None:
    uuids = [line["uuid"] for line in printed(troubled_run(), include_partial=True)]
    assert len(set(uuids)) == len(uuids)
    assert uuids == [line["uuid"] for line in printed(troubled_run(), include_partial=True)]


def test_each_tool_result_follows_the_use_it_belongs_to() -> None:
    used: set[tuple[str, str]] = set()
    for line in printed(troubled_run()):
        content = line["message"]["content"] if line["type"] in ("assistant", "user") else []
        for block in content if isinstance(content, list) else []:
            if block["type"] == "tool_use":
                used.add((line["agent_id"], block["id"]))
            if block["type"] == "tool_result":
                assert (line["agent_id"], block["tool_use_id"]) in used


def test_the_pieces_of_a_message_add_up_to_the_message() -> None:
    lines = printed(troubled_run(), include_partial=True)
    whole = {line["message"]["id"]: line["message"] for line in lines if line["type"] == "assistant"}
    assembled: dict[str, dict[str, Any]] = {}
    current: dict[str, str] = {}
    for line in (line for line in lines if line["type"] == "stream_event"):
        event = line["event"]
        if event["type"] == "message_start":
            current[line["agent_id"]] = event["message"]["id"]
            assembled[event["message"]["id"]] = event["message"]
            continue
        message = assembled[current[line["agent_id"]]]
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append({**event["content_block"], "json": ""})
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                key = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "json"}[delta["type"]]
                block[key] += delta.get("text") or delta.get("thinking") or delta.get("partial_json")
            case "message_delta":
                message |= event["delta"] | {"usage": event["usage"]}
    for number, message in assembled.items():
        for block in message["content"]:
            text = block.pop("json")
            if text:
                block["input"] = json.loads(text)
            if block["type"] == "thinking":
                block["signature"] = "sig"
        assert number not in whole or message == whole[number]
    assert set(whole) == {"msg_4", "msg_17", "msg_21"}
    assert set(assembled) == {*whole, "msg_27"}


# --- answers ---


def test_an_answer_that_broke_off_and_was_tried_again_is_no_message_twice() -> None:
    story = Story().tell(started(), submitted("x"), CallStarted(call=1, model=BIG))
    story.tell(answered("half", failure=RATE_LIMITED), CallStarted(call=1, model=BIG, attempt=2), answered("whole"), ended("whole"))
    assert [line["message"]["content"] for line in printed(story.envelopes) if line["type"] == "assistant"] == [[{"type": "text", "text": "whole"}]]


def test_an_answer_that_broke_off_for_good_is_shown_with_its_error() -> None:
    story = Story().tell(started(), submitted("x"), CallStarted(call=1, model=BIG))
    cut = AssistantMessage((Text("half"),), "error")
    story.tell(answered("", message=cut, failure=DOWN), ended("", status="error", failure=DOWN))
    messages = [line for line in printed(story.envelopes) if line["type"] == "assistant"]
    assert [(line["message"]["content"], line["message"]["stop_reason"], line["error"], line["seq"]) for line in messages] == [
        ([{"type": "text", "text": "half"}], None, "server_error", 5)
    ]


def test_an_answer_without_content_is_no_message() -> None:
    story = Story().tell(started(), answered("", message=AssistantMessage((), "end")), ended())
    assert [line["type"] for line in printed(story.envelopes, include_partial=True)] == ["system", "result"]


def test_an_answer_that_was_not_streamed_is_streamed_whole_with_partial_messages() -> None:
    story = Story().tell(started(), CallStarted(call=1, model=BIG), answered("All at once."), ended("All at once."))
    events = [line["event"] for line in printed(story.envelopes, include_partial=True) if line["type"] == "stream_event"]
    assert [event["type"] for event in events] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[2] == {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "All at once."}}


def test_a_call_that_got_its_id_only_in_the_end_is_not_streamed_twice() -> None:
    story = Story().tell(CallStarted(call=1, model=BIG), ArgumentsDelta(call_id="", name="read", text="{}"))
    message = AssistantMessage((ToolCall("call_0", "read", "{}"), ToolCall("call_1", "ls", "{}")), "tool_calls")
    story.tell(answered("", message=message))
    events = [line["event"] for line in printed(story.envelopes, include_partial=True) if line["type"] == "stream_event"]
    assert [event["content_block"] for event in events if event["type"] == "content_block_start"] == [
        {"type": "tool_use", "id": "", "name": "read", "input": {}},
        {"type": "tool_use", "id": "call_1", "name": "ls", "input": {}},
    ]


def test_a_failed_attempt_leaves_nothing_in_the_pieces_of_the_next() -> None:
    story = Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="ha"), answered("ha", failure=RATE_LIMITED))
    story.tell(CallStarted(call=1, model=BIG, attempt=2), TextDelta(text="whole"), answered("whole"))
    events = [line["event"] for line in printed(story.envelopes, include_partial=True) if line["type"] == "stream_event"]
    assert [event["message"]["id"] for event in events if event["type"] == "message_start"] == ["msg_1", "msg_4"]
    assert [(event["index"], event["content_block"]) for event in events if event["type"] == "content_block_start"] == [
        (0, {"type": "text", "text": ""}),
        (0, {"type": "text", "text": ""}),
    ]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("{}", {}),
        ("[1]", {"unparsed": "[1]"}),
        ('{"a": ', {"unparsed": '{"a": '}),
        ('{"a": "\\ud800"}', {"unparsed": '{"a": "\\ud800"}'}),
        pytest.param("[" * 3000, {"unparsed": "[" * 3000}, id="deep"),
        ('{"big": 123456789012345678901234567890}', {"big": 123456789012345678901234567890}),
    ],
)
def test_the_input_of_a_tool_use_is_always_an_object(arguments: str, shown: dict[str, Any]) -> None:
    line = line_for(answered("", message=AssistantMessage((ToolCall("c", "t", arguments),), "tool_calls")))
    assert line["message"]["content"] == [{"type": "tool_use", "id": "c", "name": "t", "input": shown}]


def test_a_signature_is_given_only_where_the_wire_has_one() -> None:
    content = (Thinking("a", "sig", "anthropic"), Thinking("b", "enc", "openai-responses"), Thinking("", "data", "anthropic", True))
    assert line_for(answered("", message=AssistantMessage(content)))["message"]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "sig"},
        {"type": "thinking", "thinking": "b", "signature": ""},
        {"type": "redacted_thinking", "data": "data"},
    ]


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        ("end", "end_turn"), ("tool_calls", "tool_use"), ("length", "max_tokens"), ("refusal", "refusal"),
        ("content_filter", "refusal"), ("interrupted", None), ("error", None),
    ],
)  # fmt: skip
def test_why_an_answer_ended_is_told_in_the_words_of_the_format(stop: Any, word: str | None) -> None:
    assert line_for(answered("", message=AssistantMessage((Text("x"),), stop)))["message"]["stop_reason"] == word


def test_lines_hold_any_text_and_split_at_line_feeds_only() -> None:
    odd = "a\nb\u2028c\x85d\x1be\udcfff 日本"
    story = Story().tell(answered(odd), ended(odd))
    out = Memory()
    sink = make_sink("stream-json", out, Memory())
    for envelope in story.envelopes:
        sink.feed(envelope)
    sink.finish()
    lines = out.said.splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["result"] == "a\nb\u2028c\x85d\x1be\ufffdf 日本"


# --- other messages ---


def test_prompts_are_not_echoed_but_what_came_otherwise_is() -> None:
    story = Story().tell(submitted("mine"), UserSubmitted(message=user_text("piped", "stdin")))
    story.tell(UserSubmitted(message=user_text("scout-1 is done", "worker")), UserSubmitted(message=user_text("steer", "injected")))
    assert [(line["message"]["content"], line["message_origin"]) for line in printed(story.envelopes) if line["type"] == "user"] == [
        ("scout-1 is done", "worker"),
        ("steer", "injected"),
    ]


def test_a_result_with_an_image_is_blocks() -> None:
    result = ToolResult("c", "read", (Text("a picture"), Image("image/png", "aGk=")))
    assert line_for(ToolFinished(result=result, duration_ms=5)) == {
        "type": "user",
        "message": {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": [
                        {"type": "text", "text": "a picture"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                    ],
                    "is_error": False,
                }
            ],
        },
        "parent_tool_use_id": None,
        "duration_ms": 5,
    }


USE = {"requested": "fast", "resolved": "tiny/small-2", "served": "small-2", "source": "definition"}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            FellBack(left="acme/big-1:high", model=SMALL, failure=DOWN),
            {
                "type": "system",
                "subtype": "model_fallback",
                "original_model": "acme/big-1:high",
                "fallback_model": "tiny/small-2",
                "content": DOWN.line(),
                "model": USE,
                "error": {
                    "kind": "unavailable", "message": DOWN.message, "hint": DOWN.hint, "exit_code": 75, "provider": "acme", "status": 503,
                },
            },
        ),
        (ModelChanged(model=SMALL, note="n"), {"type": "system", "subtype": "model_changed", "model": USE, "content": "n"}),
        (ModeChanged(mode="plan"), {"type": "system", "subtype": "status", "status": None, "permissionMode": "plan"}),
        (
            Compacted(summary="s", tokens_before=90, tokens_after=9),
            {
                "type": "system",
                "subtype": "compact_boundary",
                "compact_metadata": {"trigger": "auto", "pre_tokens": 90, "post_tokens": 9},
            },
        ),
        (Notice(level="error", text="x"), {"type": "system", "subtype": "informational", "content": "x", "level": "warning"}),
        (Notice(level="info", text="x"), {"type": "system", "subtype": "informational", "content": "x", "level": "info"}),
    ],
)  # fmt: skip
def test_what_happens_to_the_session_has_a_system_line(event: AnyEvent, line: dict[str, Any]) -> None:
    assert line_for(event) == line


@pytest.mark.parametrize(
    ("mode", "word"),
    [("default", "default"), ("accept-edits", "acceptEdits"), ("plan", "plan"), ("auto", "auto"), ("bypass", "bypassPermissions")],
)
def test_permission_modes_have_the_spelling_of_the_format(mode: PermissionMode, word: str) -> None:
    assert line_for(started(permission_mode=mode))["permissionMode"] == word


# --- workers ---

SPAWNED = AgentSpawned(name="scout-1", agent="scout", model=SMALL, prompt="look", background=True)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("queued", "pending"), ("running", "running"), ("waiting", "running"), ("paused", "paused"), ("completed", "completed"),
        ("failed", "failed"), ("cancelled", "killed"),
    ],
)  # fmt: skip
def test_a_workers_states_have_the_words_of_the_format(state: AgentState, word: str) -> None:
    line = line_for(SPAWNED, StateChanged(state=state, detail="d"), agent="main/scout-1")
    assert line == {
        "type": "system",
        "subtype": "task_updated",
        "task_id": "main/scout-1",
        "patch": {"status": word, "is_backgrounded": True},
        "state": state,
        "detail": "d",
        "model": USE,
    }


def test_a_cancelled_worker_is_stopped_and_a_failed_one_says_why() -> None:
    cancelled = line_for(SPAWNED, AgentFinished(status="cancelled", model=SMALL), agent="main/scout-1")
    failed = line_for(SPAWNED, AgentFinished(status="failed", model=SMALL, failure=DOWN), agent="main/scout-1")
    assert (cancelled["status"], cancelled["summary"], cancelled["error"]) == ("stopped", "", None)
    assert (failed["status"], failed["summary"], failed["error"]["kind"]) == ("failed", DOWN.line(), "unavailable")


def test_a_worker_that_no_call_started_is_never_taken_for_the_main_agent() -> None:
    line = line_for(SPAWNED, answered("hi", model=SMALL), agent="main/scout-1")
    assert line["parent_tool_use_id"] == "main/scout-1"
    assert "tool_use_id" not in line_for(SPAWNED, agent="main/scout-1")

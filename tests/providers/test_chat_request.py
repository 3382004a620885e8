"""What leaves on the openai-chat wire, pinned whole, quirk by quirk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asking import request
from support.chat_wire import invariants

from agentcli.protocol.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, UserMessage, user_text
from agentcli.protocol.models import ModelSpec, Quirks
from agentcli.providers.base import ToolSpec
from agentcli.providers.chat_request import encode, to_wire

READ = ToolSpec("read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})


def messages(*history: Message, quirks: Quirks | None = None, **model: Any) -> list[dict[str, Any]]:
    asked = request(messages=history, model=ModelSpec("test", "m1", **model))
    found: list[dict[str, Any]] = to_wire(asked, quirks or Quirks())["messages"]
    return found


def call(id: str = "c1", arguments: str = '{"path":"a"}', name: str = "read") -> ToolCall:
    return ToolCall(id, name, arguments)


def result(id: str = "c1", text: str = "found", **more: Any) -> ToolResult:
    return ToolResult(id, "read", (Text(text),), **more)


def test_a_whole_request_in_one_fixed_order_of_keys() -> None:
    asked = request(
        model=ModelSpec("test", "m1", sent_as="vendor-m1", effort=("low", "high")),
        system="Be brief.",
        messages=(user_text("hi"), AssistantMessage((Text("yes?"),)), user_text("read a")),
        tools=(READ,),
        effort="high",
        max_tokens=500,
        schema={"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
    )
    body = to_wire(asked, Quirks())
    assert json.dumps(body) == json.dumps({
        "model": "vendor-m1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "read a"},
        ],
        "tools": [{"type": "function", "function": {"name": "read", "description": "Reads a file.", "parameters": READ.parameters}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": asked.schema}},
        "max_tokens": 500,
        "reasoning_effort": "high",
        "stream": True,
        "stream_options": {"include_usage": True},
    })  # fmt: skip


def test_the_smallest_request_holds_nothing_that_was_not_asked_for() -> None:
    assert to_wire(request(), Quirks(stream_usage=False)) == {"model": "m1", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@pytest.mark.parametrize(
    ("quirks", "expected"),
    [
        (Quirks(max_tokens_field="max_completion_tokens"), {"max_completion_tokens": 9, "reasoning_effort": "low"}),
        (Quirks(effort_field="reasoning.effort"), {"max_tokens": 9, "reasoning": {"effort": "low"}}),
        (Quirks(effort_field=""), {"max_tokens": 9}),
        (Quirks(parallel_tool_calls=False), {"max_tokens": 9, "reasoning_effort": "low", "parallel_tool_calls": False}),
        (Quirks(extra_body={"top_k": 1, "max_tokens": 3}), {"max_tokens": 3, "reasoning_effort": "low", "top_k": 1}),
    ],
    ids=["max_completion_tokens", "effort in an object", "no effort", "no parallel calls", "extra body wins"],
)
def test_quirks_change_only_the_fields_they_name(quirks: Quirks, expected: dict[str, object]) -> None:
    body = to_wire(request(tools=(READ,), effort="low", max_tokens=9), quirks)
    for field in ("model", "messages", "tools", "stream", "stream_options"):
        del body[field]
    assert body == expected


def test_an_object_of_the_extra_body_is_added_to_the_requests_own() -> None:
    quirks = Quirks(effort_field="reasoning.effort", extra_body={"reasoning": {"exclude": True}, "provider": {"order": ["x"]}, "model": {"a": 1}})
    body = to_wire(request(effort="low"), quirks)
    assert (body["reasoning"], body["provider"], body["model"]) == ({"effort": "low", "exclude": True}, {"order": ["x"]}, {"a": 1})


def test_the_system_prompt_takes_the_role_that_the_model_wants() -> None:
    body = to_wire(request(system="s"), Quirks(system_role="developer"))
    assert body["messages"][0] == {"role": "developer", "content": "s"}


def test_a_schema_that_strict_mode_would_refuse_is_not_sent_as_strict() -> None:
    body = to_wire(request(schema={"type": "object", "properties": {"a": {"type": "string"}}}), Quirks())
    assert body["response_format"]["json_schema"]["strict"] is False


def test_flat_tool_schemas_have_no_references_and_no_null_alternatives() -> None:
    schema = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "most"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        },
        "$defs": {"Item": {"type": "object", "properties": {"name": {"type": "string"}, "inner": {"$ref": "#/$defs/Item"}}}},
    }
    body = to_wire(request(tools=(ToolSpec("t", "d", schema),)), Quirks(tool_schema="flat"))
    assert body["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "inner": {"type": "object"}}}},
            "limit": {"type": "integer", "description": "most"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        },
    }


def test_calls_and_results_with_errors_and_nothing() -> None:
    history = (
        user_text("go"),
        AssistantMessage((Text("Looking."), call("c1"), call("c2", ""), call("c3", "{broken"))),
        ToolMessage((result("c1"), result("c2", "", is_error=True), result("c3", "no such file", is_error=True))),
    )
    assert messages(*history)[1:] == [
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a"}'}},
                {"id": "c2", "type": "function", "function": {"name": "read", "arguments": "{}"}},
                {"id": "c3", "type": "function", "function": {"name": "read", "arguments": '{"invalid_json":"{broken"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: (no output)"},
        {"role": "tool", "tool_call_id": "c3", "content": "Error: no such file"},
    ]


def test_an_answer_of_calls_alone_has_null_content() -> None:
    history = (user_text("go"), AssistantMessage((call(),)), ToolMessage((result(),)))
    assert messages(*history)[1]["content"] is None


def test_images_go_as_data_urls_to_eyes_and_as_words_to_others() -> None:
    picture = Image("image/png", "QUJD", note="a red square")
    history = (UserMessage((Text("what is this"), picture)),)
    assert messages(*history, image_input=True) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            ],
        }
    ]
    assert messages(*history) == [{"role": "user", "content": "what is this\n\n[image: a red square]"}]


def test_an_image_in_a_tool_result_is_described() -> None:
    seen = ToolResult("c1", "read", (Text("a file"), Image("image/png", "QUJD")))
    history = (user_text("go"), AssistantMessage((call(),)), ToolMessage((seen,)))
    assert messages(*history, image_input=True)[-1]["content"] == "a file\n[image: image/png]"


def test_turns_of_one_role_in_a_row_are_joined_and_empty_ones_left_out() -> None:
    history = (
        user_text("one"),
        user_text(""),
        AssistantMessage((Thinking("hm"),)),
        UserMessage((Text("two"), Text("<stdin>x</stdin>"))),
        AssistantMessage((Text("a"),), "interrupted"),
        AssistantMessage((Text("b"), call())),
        ToolMessage((result(),)),
        user_text("three"),
    )
    assert messages(*history) == [
        {"role": "user", "content": "one\n\ntwo\n\n<stdin>x</stdin>"},
        {
            "role": "assistant",
            "content": "a\n\nb",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a"}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "user", "content": "three"},
    ]


def test_thinking_is_dropped_unless_the_service_wants_its_own_back() -> None:
    history = (
        user_text("go"),
        AssistantMessage((Thinking("mine", wire="openai-chat"), Thinking("foreign", wire="anthropic"), call())),
        ToolMessage((result(),)),
        AssistantMessage((call("c2"),)),
        ToolMessage((result("c2"),)),
    )
    assert all("reasoning_content" not in entry for entry in messages(*history))
    echoed = messages(*history, quirks=Quirks(echo_reasoning=True))
    assert [entry.get("reasoning_content") for entry in echoed] == [None, "mine", None, "", None]


def test_what_a_service_attached_to_a_call_goes_back_to_this_wire_only() -> None:
    signed = ToolCall("c1", "read", "{}", opaque='{"google":{"thought_signature":"abc"}}', wire="openai-chat")
    foreign = ToolCall("c2", "read", "{}", opaque="xyz", wire="anthropic")
    history = (user_text("go"), AssistantMessage((signed, foreign)), ToolMessage((result("c1"), result("c2"))))
    body = json.loads(encode(to_wire(request(messages=history), Quirks())))
    calls = body["messages"][1]["tool_calls"]
    assert [entry.get("extra_content") for entry in calls] == [{"google": {"thought_signature": "abc"}}, None]


@pytest.mark.parametrize(
    ("quirks", "id", "fits"),
    [
        (Quirks(), "call_abc", lambda id: id == "call_abc"),
        (Quirks(), "x" * 60, lambda id: len(id) <= 40),
        (Quirks(), "", lambda id: len(id) > 0),
        (Quirks(call_ids="nine"), "AbC123xyz", lambda id: id == "AbC123xyz"),
        (Quirks(call_ids="nine"), "call_abc", lambda id: len(id) == 9 and id.isalnum()),
    ],
)
def test_ids_of_calls_fit_the_service_and_still_pair(quirks: Quirks, id: str, fits: Any) -> None:
    history = (user_text("go"), AssistantMessage((call(id),)), ToolMessage((result(id),)))
    sent = messages(*history, quirks=quirks)
    assert fits(sent[1]["tool_calls"][0]["id"])
    assert sent[2]["tool_call_id"] == sent[1]["tool_calls"][0]["id"]


def test_halves_of_surrogate_pairs_leave_as_replacement_characters() -> None:
    history = (user_text("a\ud83d b"), AssistantMessage((call("c1", '{"a":"\ud83d"}'),)), ToolMessage((result("c1", "x\udc00"),)))
    body = json.loads(encode(to_wire(request(messages=history), Quirks())))
    assert body["messages"][0]["content"] == "a\ufffd b"
    assert body["messages"][2]["content"] == "x\ufffd"


TEXTS = st.text(max_size=8)
ARGUMENTS = st.sampled_from(["", "{}", "{oops", '{"a":1}'])
CALL = st.builds(ToolCall, st.sampled_from(["a", "b", "c" * 50]), st.just("read"), ARGUMENTS)
CALLS = st.lists(CALL, max_size=2, unique_by=lambda made: made.id)
TURN = st.tuples(TEXTS, TEXTS, CALLS)


@given(st.lists(TURN, max_size=5), st.sampled_from([Quirks(), Quirks(call_ids="nine", echo_reasoning=True)]))
def test_every_valid_history_gives_a_request_that_keeps_the_invariants(turns: list[Any], quirks: Quirks) -> None:
    history: list[Message] = [user_text("start")]
    made: set[str] = set()
    for asked, answered, every in turns:
        calls = [call for call in every if call.id not in made]
        made |= {call.id for call in calls}
        history.append(user_text(asked))
        history.append(AssistantMessage((Text(answered), *calls)))
        if calls:
            history.append(ToolMessage(tuple(result(call.id, "") for call in calls)))
    body = json.loads(encode(to_wire(request(messages=tuple(history)), quirks)))
    assert invariants(body) == []

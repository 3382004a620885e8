"""What is the anthropic wire's own: its events and its requests, where no other wire has the like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.anthropic_wire import NOT_THE_USERS, SIGNATURE, invariants
from support.asking import KEY, ask, request, spec_for, with_provider
from support.server import Answer, Call, Plain, Server, failed

from agentcli.protocol.errors import AuthenticationFailed, ContextOverflow, ProviderError, RateLimited, RequestRejected, StreamBroken, Unavailable
from agentcli.protocol.messages import AssistantMessage, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, user_text
from agentcli.protocol.models import ModelSpec, Quirks, Usage
from agentcli.providers.anthropic import MOST_PAUSES, MessageState, decoded, finish, from_wire
from agentcli.providers.anthropic_request import to_wire
from agentcli.providers.base import CallPart, ServedPart, StopPart, StreamPart, TextPart, ThinkingPart, ToolSpec, UsagePart
from agentcli.providers.failures import Source
from agentcli.providers.sse import SSEvent
from agentcli.providers.translate import sealed

MODEL = ModelSpec("test", "m1", "anthropic", effort=("low", "high"))
READ = ToolSpec("read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage or {"output_tokens": 1}}


def parts(*events: dict[str, Any]) -> list[StreamPart]:
    state = MessageState(MODEL, source=Source("test"))
    found: list[StreamPart] = []
    for event in events:
        found += from_wire(decoded(SSEvent(json.dumps(event).encode()), state), state)
    return [part for part in found + finish(state) if not isinstance(part, UsagePart)]


def sent(*history: Message, quirks: Quirks | None = None, **fields: Any) -> dict[str, Any]:
    asked = request(**{"messages": history or (user_text("hi"),), "model": MODEL, **fields})
    body = to_wire(asked, quirks or Quirks())
    assert invariants(body) == []
    return body


# --- events ---


def test_thinking_is_signed_when_its_block_is_whole() -> None:
    events = [
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="abc"),
        delta(0, type="signature_delta", signature="def"),
        stop(0),
        start(1, type="redacted_thinking", data="xyz"),
        stop(1),
        start(2, type="text", text=""),
        delta(2, type="text_delta", text="Yes."),
        stop(2),
    ]
    assert parts(*events, ended()) == [
        ThinkingPart("hm"),
        ThinkingPart("", "test/m1|abcdef"),
        ThinkingPart("", "test/m1|xyz", redacted=True),
        TextPart("Yes."),
        StopPart("end"),
    ]


def test_thinking_whose_text_the_service_keeps_to_itself_is_a_signature_alone() -> None:
    events = [start(0, type="thinking", thinking=""), delta(0, type="signature_delta", signature="abc"), stop(0)]
    assert parts(*events, ended()) == [ThinkingPart("", "test/m1|abc"), StopPart("end")]


def test_arguments_that_come_with_the_calls_first_event_count_where_no_piece_follows() -> None:
    whole = [start(0, type="tool_use", id="a", name="read", input={"path": "x"}), stop(0)]
    pieces = [start(1, type="tool_use", id="b", name="read", input={"path": "y"}), delta(1, type="input_json_delta", partial_json="{}"), stop(1)]
    assert parts(*whole, *pieces, ended("tool_use")) == [
        CallPart(0, "a", "read"), CallPart(0, arguments='{"path":"x"}'),
        CallPart(1, "b", "read"), CallPart(1, arguments="{}"),
        StopPart("tool_calls"),
    ]  # fmt: skip


def test_a_call_whose_pieces_come_after_another_block_began_is_whole() -> None:
    call = start(0, type="tool_use", id="a", name="read", input={})
    pieces = [delta(0, type="input_json_delta", partial_json=piece) for piece in ('{"path":', '"a"}')]
    found = parts(
        call, pieces[0], start(1, type="text", text=""), delta(1, type="text_delta", text="On"), pieces[1], stop(0), stop(1), ended("tool_use")
    )
    assert [part for part in found if not isinstance(part, TextPart)] == [
        CallPart(0, "a", "read", ""), CallPart(0, "", "", '{"path":'), CallPart(0, "", "", '"a"}'), StopPart("tool_calls"),
    ]  # fmt: skip


def test_the_services_own_tools_are_none_of_ours() -> None:
    events = [
        start(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, type="input_json_delta", partial_json='{"query":"x"}'),
        stop(0),
        start(1, type="web_search_tool_result", tool_use_id="s"),
        stop(1),
    ]
    assert parts(*events, ended()) == [StopPart("end")]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("end_turn", StopPart("end")),
        ("stop_sequence", StopPart("end")),
        ("tool_use", StopPart("end")),
        ("max_tokens", StopPart("length")),
        ("model_context_window_exceeded", StopPart("length")),
        ("refusal", StopPart("refusal")),
        ("something_new", StopPart("end", "something_new")),
    ],
)
def test_stop_reasons_of_an_answer_without_calls(word: str, expected: StopPart) -> None:
    assert parts(ended(word)) == [expected]


def test_usage_comes_in_two_events_and_what_an_event_leaves_out_stands() -> None:
    state = MessageState(MODEL, source=Source("test"))
    first = {"input_tokens": 9, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 7, "output_tokens": 1}
    events = [
        {"type": "message_start", "message": {"model": "m1-0801", "usage": first}},
        ended(output_tokens=30, output_tokens_details={"thinking_tokens": 12}),
    ]
    found = [part for event in events for part in from_wire(decoded(SSEvent(json.dumps(event).encode()), state), state)]
    assert found == [ServedPart("m1-0801"), UsagePart(Usage(9, 1, 50, 7)), UsagePart(Usage(9, 30, 50, 7, 12))]


@pytest.mark.parametrize(
    ("kind", "error", "retryable"),
    [
        ("overloaded_error", Unavailable, True),
        ("api_error", Unavailable, True),
        ("timeout_error", Unavailable, True),
        ("rate_limit_error", RateLimited, True),
        ("invalid_request_error", RequestRejected, False),
        ("request_too_large", RequestRejected, False),
        ("authentication_error", AuthenticationFailed, False),
        ("permission_error", AuthenticationFailed, False),
        ("billing_error", RequestRejected, False),
    ],
)
def test_an_error_event_is_the_error_it_names(kind: str, error: type[ProviderError], retryable: bool) -> None:
    with pytest.raises(error) as caught:
        parts({"type": "error", "error": {"type": kind, "message": "no"}})
    assert (caught.type, caught.value.retryable) == (error, retryable)


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 201000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length or `max_tokens` and try again",
    ],
)
def test_a_conversation_that_no_longer_fits_is_known_by_its_words(words: str) -> None:
    with Server(failed(400, words)) as server:
        assert type(ask(server.url, wire="anthropic").error) is ContextOverflow


# --- pauses ---


def test_a_paused_answer_is_gone_on_with_and_is_one_answer() -> None:
    first = Answer("First. ", thinking="Hm.", stop="pause_turn", usage=Usage(10, 5, 2))
    second = Answer("Second.", calls=(Call("read", {"path": "a"}, id="c1"),), usage=Usage(20, 7))
    asked = request(model=MODEL, tools=(READ,))
    with Server(first, second) as server:
        found = ask(server.url, asked, wire="anthropic")
        server.problems.remove(NOT_THE_USERS)
    assert found.error is None
    assert found.message == AssistantMessage(
        (Thinking("Hm.", sealed(MODEL, SIGNATURE), "anthropic"), Text("First. Second."), ToolCall("c1", "read", '{"path": "a"}')), "tool_calls"
    )
    assert [part for part in found.parts if isinstance(part, UsagePart)][-1] == UsagePart(Usage(30, 12, 2))
    assert [type(part) for part in found.parts].count(StopPart) == 1
    one, two = (sent.body["messages"] for sent in server.requests)
    assert two == [*one, {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}, {"type": "text", "text": "First. "},
    ]}]  # fmt: skip


def test_a_service_that_pauses_for_ever_is_given_up() -> None:
    with Server(always=Answer("a", stop="pause_turn")) as server:
        found = ask(server.url, wire="anthropic")
        assert set(server.problems) == {NOT_THE_USERS}
        server.problems.clear()
    assert type(found.error) is Unavailable
    assert not found.error.retryable
    assert len(server.requests) == MOST_PAUSES + 1


def test_a_cut_after_a_pause_is_a_cut() -> None:
    with Server(Answer("a", stop="pause_turn"), Answer("b", finish=False)) as server:
        found = ask(server.url, wire="anthropic")
        server.problems.remove(NOT_THE_USERS)
    assert type(found.error) is StreamBroken
    assert found.message.text() == "ab"


# --- requests ---


def test_the_key_and_the_version_go_in_headers_of_their_own() -> None:
    with Server(Answer("ok")) as server:
        ask(server.url, wire="anthropic")
    headers = server.requests[0].headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers
    assert "anthropic-beta" not in headers


@pytest.mark.parametrize(("declared", "expected"), [({}, "thinking-binding-controls-2026-08-01"), (
    {"Anthropic-Beta": "context-1m"}, "context-1m,thinking-binding-controls-2026-08-01",
)])  # fmt: skip
def test_bound_thinking_asks_to_be_dropped_rather_than_refused(declared: dict[str, str], expected: str) -> None:
    with Server(Answer("ok")) as server:
        ask(server.url, request(model=MODEL), wire="anthropic", quirks=Quirks(bound_thinking=True), headers=declared)
    (request_sent,) = server.requests
    assert request_sent.body["thinking"] == {
        "type": "adaptive", "display": "summarized", "block_binding": {"prefix_mismatch_behavior": "drop_block"},
    }  # fmt: skip
    assert request_sent.headers["anthropic-beta"] == expected


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/v1/messages"])
def test_the_base_url_may_end_with_the_version_or_not(base: str) -> None:
    with Server(Answer("ok"), models=("a", "b")) as server:
        assert ask(server.origin + base, wire="anthropic").error is None
        assert with_provider(spec_for(server.origin + base, wire="anthropic"), lambda provider: provider.list_models()) == ("a", "b")
    assert [sent.path for sent in server.requests] == ["/v1/messages", "/v1/models?limit=1000"]


def test_the_prefix_that_stays_is_marked_for_the_cache_four_times_at_most() -> None:
    history = [user_text("one"), AssistantMessage((Text("a"),)), user_text("two"), AssistantMessage((Text("b"),)), user_text("three")]
    body = sent(*history, system="Be brief.", tools=(READ, READ))
    mark = {"type": "ephemeral"}
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, mark]
    assert [entry["content"][-1].get("cache_control") for entry in body["messages"]] == [None, None, mark, None, mark]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 32_000),
        ({"max_tokens": 500}, 500),
        ({"model": ModelSpec("test", "m1", "anthropic", output=64_000)}, 64_000),
        ({"model": ModelSpec("test", "m1", "anthropic", output=64_000), "max_tokens": 9}, 9),
    ],
)
def test_the_bound_that_the_wire_demands(fields: dict[str, Any], expected: int) -> None:
    assert sent(**fields)["max_tokens"] == expected


@pytest.mark.parametrize(
    ("effort", "quirks", "max_tokens", "expected"),
    [
        ("", Quirks(), 9_000, {"thinking": {"type": "adaptive", "display": "summarized"}}),
        ("low", Quirks(), 9_000, {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}}),
        ("none", Quirks(), 9_000, {"thinking": {"type": "disabled"}}),
        ("", Quirks(effort_as="budget"), 9_000, {}),
        ("low", Quirks(effort_as="budget"), 9_000, {"thinking": {"type": "enabled", "budget_tokens": 4_096}}),
        ("max", Quirks(effort_as="budget"), 64_000, {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
        ("high", Quirks(effort_as="budget"), 4_000, {"thinking": {"type": "enabled", "budget_tokens": 3_000}}),
        ("high", Quirks(effort_as="budget"), 1_000, {}),
    ],
)
def test_effort_is_a_level_or_a_budget_that_leaves_room_for_the_answer(effort: str, quirks: Quirks, max_tokens: int, expected: Any) -> None:
    body = sent(quirks=quirks, effort=effort, max_tokens=max_tokens)
    assert {key: body[key] for key in ("thinking", "output_config") if key in body} == expected


def test_a_model_without_levels_is_asked_for_no_thinking() -> None:
    assert "thinking" not in sent(model=ModelSpec("test", "m1", "anthropic"), quirks=Quirks(bound_thinking=True))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}},
    ],
    ids=["no object", "any keys", "any keys within", "within itself"],
)
def test_a_schema_that_the_service_would_refuse_is_left_to_the_prompt(schema: dict[str, Any]) -> None:
    assert "output_config" not in sent(schema=schema)


def test_effort_and_schema_share_their_object() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]}
    assert sent(schema=schema, effort="low")["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {
            "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False,
        }},
    }  # fmt: skip


def test_one_call_at_a_time_where_the_service_should_make_no_more() -> None:
    assert sent(tools=(READ,), quirks=Quirks(parallel_tool_calls=False))["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_turns_of_one_role_are_joined_and_blank_ones_left_out() -> None:
    history = (
        AssistantMessage((Text("first"),)),
        user_text("one"),
        user_text(" \n"),
        AssistantMessage((Thinking("hm", sealed(MODEL, "s"), "anthropic"),)),
        user_text("two"),
        AssistantMessage((Text("a"),), "interrupted"),
        AssistantMessage((Text("b"), ToolCall("c1", "read", "{}"))),
        ToolMessage((ToolResult("c1", "read", (Text(" "),)),)),
        user_text("three"),
        AssistantMessage((Text("c"),)),
    )
    plain = [(entry["role"], [block.get("text", block["type"]) for block in entry["content"]]) for entry in sent(*history)["messages"]]
    assert plain == [
        ("user", ["(no text)"]), ("assistant", ["first"]), ("user", ["one", "two"]), ("assistant", ["a", "b", "tool_use"]),
        ("user", ["tool_result", "three"]), ("assistant", ["c"]), ("user", ["Go on."]),
    ]  # fmt: skip


def test_unsigned_thinking_goes_back_only_where_the_service_wants_it() -> None:
    history = (user_text("go"), AssistantMessage((Thinking("hm", "", "anthropic"), Text("a"))), user_text("on"))
    assert [block["type"] for block in sent(*history)["messages"][1]["content"]] == ["text"]
    body = to_wire(request(messages=history, model=MODEL), Quirks(echo_reasoning=True))
    assert body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}


def test_redacted_thinking_goes_back_as_it_came() -> None:
    history = (user_text("go"), AssistantMessage((Thinking("", sealed(MODEL, "xyz"), "anthropic", redacted=True), Text("a"))), user_text("on"))
    assert sent(*history)["messages"][1]["content"][0] == {"type": "redacted_thinking", "data": "xyz"}


def test_a_message_that_is_a_list_of_errors_is_an_error_all_the_same() -> None:
    with Server(Plain(400, b'{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}')) as server:
        found = ask(server.url, wire="anthropic")
    assert found.error is not None
    assert found.error.line().startswith("test answered 400: bad.")


def test_thinking_at_the_end_of_a_cut_answer_stays_behind_for_the_service_refuses_it() -> None:
    cut = AssistantMessage((Text("Half"), Thinking("More.", opaque=sealed(MODEL, SIGNATURE), wire="anthropic")))
    history = (user_text("Begin."), cut, user_text("Go on."))
    body = to_wire(request(model=MODEL, messages=history), Quirks())
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Half"}]

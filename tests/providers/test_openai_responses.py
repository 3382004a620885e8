"""What is the openai-responses wire's own: its events and its requests, where no other wire has the like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.asking import KEY, ask, collect, request, spec_for, with_provider
from support.responses_wire import invariants
from support.server import Answer, Server, failed

from agentcli.protocol.errors import ContextOverflow, InvalidResponse, ProviderError, RateLimited, RequestRejected, StreamBroken, Unavailable
from agentcli.protocol.messages import AssistantMessage, Message, StopReason, Text, Thinking, ToolCall, ToolMessage, ToolResult, user_text
from agentcli.protocol.models import ModelSpec, Quirks, Usage
from agentcli.providers.base import CallPart, ServedPart, StopPart, StreamPart, TextPart, ThinkingPart, ToolSpec, UsagePart
from agentcli.providers.failures import Source
from agentcli.providers.openai_responses import ResponseState, decoded, finish, from_wire
from agentcli.providers.responses_request import to_wire
from agentcli.providers.sse import SSEvent
from agentcli.providers.translate import sealed

MODEL = ModelSpec("test", "m1", "openai-responses", effort=("none", "low", "high"))
UNVERIFIED = "Your organization must be verified to generate reasoning summaries. Please go to: https://example.com"


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def done(place: int, **item: Any) -> dict[str, Any]:
    return event("output_item.done", output_index=place, item=item)


def completed(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return event(status, response={"status": status, "output": [], **fields})


def parts(*events: dict[str, Any], most: int | None = None, whole: bool = False) -> list[StreamPart]:
    state = ResponseState(MODEL, most, source=Source("test"))
    found: list[StreamPart] = []
    for one in events:
        found += from_wire(decoded(SSEvent(json.dumps(one).encode(), whole=whole), state), state)
    return found + finish(state)


def sent(*history: Message, quirks: Quirks | None = None, **fields: Any) -> dict[str, Any]:
    body = to_wire(request(**{"messages": history or (user_text("hi"),), "model": MODEL, **fields}), quirks or Quirks())
    assert invariants(body) == []
    return body


# --- events ---


def test_reasoning_is_shown_as_its_summary_and_kept_as_its_item() -> None:
    item = {"type": "reasoning", "id": "rs_1", "status": "completed", "summary": [], "encrypted_content": "gAAA"}
    events = [
        event("reasoning_summary_part.added", output_index=0, item_id="rs_1", summary_index=0),
        event("reasoning_summary_text.delta", output_index=0, item_id="rs_1", summary_index=0, delta="One."),
        event("reasoning_summary_part.added", output_index=0, item_id="rs_1", summary_index=1),
        event("reasoning_summary_text.delta", output_index=0, item_id="rs_1", summary_index=1, delta="Two."),
        event("output_item.done", output_index=0, item=item),
    ]
    kept = '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}'
    assert parts(*events, completed()) == [
        ThinkingPart("One."), ThinkingPart("\n\n"), ThinkingPart("Two."), ThinkingPart("", f"test/m1|{kept}"), StopPart("end"),
    ]  # fmt: skip


def test_reasoning_that_is_not_encrypted_is_shown_and_not_kept() -> None:
    item = {"type": "reasoning", "id": "rs_1", "content": [{"type": "reasoning_text", "text": "hm"}], "encrypted_content": ""}
    assert parts(done(0, **item), completed()) == [ThinkingPart("hm"), StopPart("end")]


def test_what_the_pieces_left_out_comes_when_the_item_is_done() -> None:
    events = [
        event("output_text.delta", output_index=0, delta="Hel"),
        done(0, type="message", content=[{"type": "output_text", "text": "Hello"}]),
        event("output_item.added", output_index=1, item={"type": "function_call", "id": "fc", "call_id": "c1", "name": "read", "arguments": ""}),
        event("function_call_arguments.delta", output_index=1, delta='{"a"'),
        done(1, type="function_call", id="fc", call_id="c1", name="read", arguments='{"a":1}'),
        done(2, type="function_call", id="fd", call_id="c2", name="find", arguments={"b": 2}),
    ]
    assert parts(*events, completed()) == [
        TextPart("Hel"), TextPart("lo"), CallPart(0, "c1", "read"), CallPart(0, arguments='{"a"'), CallPart(0, arguments=":1}"),
        CallPart(1, "c2", "find"), CallPart(1, arguments='{"b":2}'), StopPart("tool_calls"),
    ]  # fmt: skip


def test_events_that_do_not_tell_their_place_are_told_apart_by_their_items() -> None:
    """llama.cpp's server leaves `output_index` out."""
    events = [
        event("output_item.added", item={"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "read", "arguments": ""}),
        event("output_item.added", item={"type": "function_call", "id": "fc_2", "call_id": "c2", "name": "read", "arguments": ""}),
        event("function_call_arguments.delta", item_id="fc_2", delta='{"b":2}'),
        event("function_call_arguments.delta", item_id="fc_1", delta='{"a":1}'),
    ]
    assert parts(*events, completed()) == [
        CallPart(0, "c1", "read"), CallPart(1, "c2", "read"), CallPart(1, arguments='{"b":2}'), CallPart(0, arguments='{"a":1}'),
        StopPart("tool_calls"),
    ]  # fmt: skip


def test_two_messages_of_one_answer_are_two_paragraphs() -> None:
    events = [event("output_text.delta", output_index=0, delta="I look."), event("output_text.delta", output_index=1, delta="It is so.")]
    assert parts(*events, completed()) == [TextPart("I look."), TextPart("\n\n"), TextPart("It is so."), StopPart("end")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("max_output_tokens", StopPart("length")),
        ("content_filter", StopPart("content_filter")),
        ("something_new", StopPart("length", "something_new")),
        (None, StopPart("length", "incomplete")),
    ],
)
def test_an_incomplete_response_is_never_passed_off_as_whole(reason: str | None, expected: StopPart) -> None:
    assert parts(completed("incomplete", incomplete_details={"reason": reason} if reason else None)) == [expected]


@pytest.mark.parametrize(("tokens", "stop"), [(9, "end"), (10, "length")])
def test_an_answer_that_reached_its_bound_is_cut_whatever_the_service_calls_it(tokens: int, stop: StopReason) -> None:
    """llama.cpp's server says `completed` of both."""
    assert parts(completed(usage={"input_tokens": 1, "output_tokens": tokens}), most=10)[-1] == StopPart(stop)


@pytest.mark.parametrize(
    ("error", "kind", "wait"),
    [
        ({"code": "server_error", "message": "oops"}, Unavailable, None),
        ({"code": "rate_limit_exceeded", "message": "Rate limit reached. Please try again in 1.5s."}, RateLimited, 1.5),
        ({"code": "rate_limit_exceeded", "message": "Please try again in 300ms."}, RateLimited, 0.3),
        ({"code": "context_length_exceeded", "message": "Your input exceeds the context window of this model."}, ContextOverflow, None),
        ({"code": "invalid_prompt", "message": "no"}, RequestRejected, None),
        (None, Unavailable, None),
    ],
)
def test_a_failed_response_is_the_error_it_names_and_what_it_used_counts(error: Any, kind: type[ProviderError], wait: float | None) -> None:
    state = ResponseState(MODEL, source=Source("test"))
    failure = completed("failed", error=error, usage={"input_tokens": 7, "output_tokens": 2})
    assert from_wire(decoded(SSEvent(json.dumps(failure).encode()), state), state) == [UsagePart(Usage(7, 2))]
    with pytest.raises(kind) as caught:
        finish(state)
    assert (caught.type, caught.value.retry_after) == (kind, wait)


@pytest.mark.parametrize("status", ["cancelled", "expired"])
def test_a_cancelled_response_is_broken_off_and_so_is_one_of_a_status_that_nobody_knows(status: str) -> None:
    with pytest.raises(StreamBroken, match=status):
        parts({"type": "response.done", "response": {"status": status}})


@pytest.mark.parametrize("status", [None, "in_progress", "completed"])
def test_the_event_says_how_an_answer_ended_where_the_response_in_it_does_not(status: str | None) -> None:
    def ended(how: str) -> dict[str, Any]:
        return {"type": f"response.{how}", "response": {"status": status, "error": {"code": "server_error", "message": "oops"}}}

    assert parts(ended("completed")) == parts(ended("done")) == [StopPart("end")]
    assert parts(ended("incomplete"))[-1].reason == "length"
    with pytest.raises(Unavailable, match="oops"):
        parts(ended("failed"))


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
        {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
        {"error": {"code": "rate_limit_exceeded", "message": "slow down"}},
    ],
)
def test_an_error_event_in_each_form_is_the_error_it_names(error: dict[str, Any]) -> None:
    with pytest.raises(RateLimited, match="slow down"):
        parts(error)


def test_usage_counts_cached_tokens_apart() -> None:
    usage = {
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 15}, "total_tokens": 120,
    }  # fmt: skip
    assert parts(completed(usage=usage, model="m1-0801")) == [ServedPart("m1-0801"), UsagePart(Usage(10, 20, 60, 30, 15)), StopPart("end")]


def test_a_whole_response_is_its_items_in_their_order() -> None:
    whole = {
        "object": "response", "status": "completed", "model": "m1", "error": None,
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},
        ],
    }  # fmt: skip
    assert parts(whole, whole=True) == [ServedPart("m1"), ThinkingPart("hm"), TextPart("No."), StopPart("refusal")]


def test_a_call_that_is_never_named_is_no_answer() -> None:
    with pytest.raises(InvalidResponse, match="no name"):
        parts(event("function_call_arguments.delta", output_index=0, delta="{}"), completed())


# --- requests ---


def test_the_key_goes_in_its_header_and_nothing_is_stored() -> None:
    with Server(Answer("ok")) as server:
        ask(server.url, wire="openai-responses")
    (asked,) = server.requests
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body["store"] is False


@pytest.mark.parametrize(
    ("model", "effort", "quirks", "expected"),
    [
        (MODEL, "", Quirks(), {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}),
        (MODEL, "high", Quirks(), {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}),
        (MODEL, "none", Quirks(), {"reasoning": {"effort": "none"}, "include": ["reasoning.encrypted_content"]}),
        (MODEL, "", Quirks(reasoning_summary=""), {"include": ["reasoning.encrypted_content"]}),
        (ModelSpec("test", "m1", "openai-responses"), "", Quirks(), {}),
    ],
)
def test_only_models_that_reason_are_asked_about_their_reasoning(model: ModelSpec, effort: str, quirks: Quirks, expected: Any) -> None:
    body = sent(model=model, effort=effort, quirks=quirks)
    assert {key: body[key] for key in ("reasoning", "include") if key in body} == expected


def test_where_summaries_are_refused_the_service_is_asked_without_and_never_again_with() -> None:
    async def use(provider: Any) -> list[Any]:
        return [await collect(provider, request(model=MODEL, effort="low")) for _ in range(2)]

    with Server(failed(400, UNVERIFIED), Answer("one"), Answer("two")) as server:
        found = with_provider(spec_for(server.url, wire="openai-responses"), use)
    assert [said.message.text() for said in found] == ["one", "two"]
    assert [sent.body.get("reasoning") for sent in server.requests] == [{"effort": "low", "summary": "auto"}, {"effort": "low"}, {"effort": "low"}]


def test_the_same_refusal_twice_is_an_error() -> None:
    with Server(failed(400, UNVERIFIED), failed(400, UNVERIFIED)) as server:
        found = ask(server.url, request(model=MODEL), wire="openai-responses")
    assert type(found.error) is RequestRejected
    assert len(server.requests) == 2


def test_reasoning_at_the_end_of_a_cut_answer_is_left_out() -> None:
    item = sealed(MODEL, '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}')
    history = (
        user_text("go"),
        AssistantMessage((Thinking("", item, "openai-responses"), Text("a"), Thinking("", item, "openai-responses")), "interrupted"),
        user_text("on"),
    )
    assert [entry["type"] for entry in sent(*history)["input"]] == ["message", "reasoning", "message", "message"]


def test_text_before_a_call_is_commentary_and_the_last_text_the_answer_where_a_model_tells_them_apart() -> None:
    history = (
        user_text("go"),
        AssistantMessage((Text("I look."), ToolCall("c1", "read", "{}")), "tool_calls"),
        ToolMessage((ToolResult("c1", "read", (Text("x"),)),)),
        AssistantMessage((Text("Done."),)),
        user_text("on"),
        AssistantMessage((Text("Cut o"),), "length"),
        user_text("on"),
    )
    texts = [entry for entry in sent(*history, quirks=Quirks(phases=True))["input"] if entry.get("role") == "assistant"]
    assert [entry.get("phase") for entry in texts] == ["commentary", "final_answer", None]
    assert not any("phase" in entry for entry in sent(*history)["input"])


def test_tools_and_schema_as_the_wire_wants_them() -> None:
    tool = ToolSpec("read", "Reads.", {"type": "object", "properties": {"path": {"type": "string"}}})
    body = sent(tools=(tool,), schema={"type": "object"}, quirks=Quirks(parallel_tool_calls=False, extra_body={"seed": 1}))
    assert body["tools"] == [{"type": "function", "name": "read", "description": "Reads.", "parameters": tool.parameters, "strict": False}]
    assert body["text"] == {"format": {"type": "json_schema", "name": "answer", "strict": False, "schema": {"type": "object"}}}
    assert (body["parallel_tool_calls"], body["seed"]) == (False, 1)

"""What is the gemini wire's own: its chunks and its requests, where no other wire has the like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.asking import KEY, ask, request, spec_for, with_provider
from support.gemini_wire import invariants
from support.server import Answer, Plain, Server, failed

from agentcli.protocol.errors import AuthenticationFailed, ContextOverflow, InvalidResponse, ProviderError, RateLimited, StreamBroken, Unavailable
from agentcli.protocol.messages import AssistantMessage, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, user_text
from agentcli.protocol.models import ModelSpec, Quirks, Usage
from agentcli.providers.base import CallPart, Merge, ServedPart, StopPart, StreamPart, TextPart, ThinkingPart, ToolSpec, UsagePart
from agentcli.providers.failures import Source
from agentcli.providers.gemini import GeminiState, decoded, finish, from_wire
from agentcli.providers.gemini_request import to_wire
from agentcli.providers.sse import SSEvent
from agentcli.providers.translate import sealed

MODEL = ModelSpec("test", "m1", "gemini", effort=("low", "high"))
SKIP = Quirks(call_signature="skip")


def said(*found: dict[str, Any], stop: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(found)}}
    return {"candidates": [{**candidate, "finishReason": stop} if stop else candidate]}


def parts(*chunks: Any, whole: bool = False) -> list[StreamPart]:
    state = GeminiState(MODEL, source=Source("test"))
    found: list[StreamPart] = []
    for chunk in chunks:
        for one in decoded(SSEvent(json.dumps(chunk).encode(), whole=whole), state):
            found += from_wire(one, state)
    return found + finish(state)


def sent(*history: Message, quirks: Quirks | None = None, **fields: Any) -> dict[str, Any]:
    body = to_wire(request(**{"messages": history or (user_text("hi"),), "model": MODEL, **fields}), quirks or Quirks())
    assert invariants(body) == []
    return body


# --- chunks ---


def test_thoughts_text_calls_and_their_signatures_in_order_of_arrival() -> None:
    chunks = [
        {**said({"text": "hm", "thought": True}), "modelVersion": "m1-0801"},
        said({"text": "I "}),
        said({"text": "read."}, {"functionCall": {"id": "c1", "name": "read", "args": {"path": "ä"}}, "thoughtSignature": "abc="}),
        said({"functionCall": {"name": "ls"}}, stop="STOP"),
    ]
    found = parts(*chunks)
    assert found[:5] == [
        ServedPart("m1-0801"), ThinkingPart("hm"), TextPart("I "), TextPart("read."),
        CallPart(0, "c1", "read", '{"path":"ä"}', "test/m1|abc="),
    ]  # fmt: skip
    assert isinstance(found[5], CallPart)
    assert (found[5].name, found[5].arguments, found[5].opaque, bool(found[5].id)) == ("ls", "{}", "", True)
    assert found[6:] == [StopPart("tool_calls")]


@pytest.mark.parametrize(
    ("last", "content"),
    [
        ({"text": "b", "thoughtSignature": "abc="}, (Text("ab"), Thinking("", sealed(MODEL, "abc="), "gemini"))),
        ({"text": "", "thoughtSignature": "abc="}, (Text("a"), Thinking("", sealed(MODEL, "abc="), "gemini"))),
        ({"thoughtSignature": "abc="}, (Text("a"), Thinking("", sealed(MODEL, "abc="), "gemini"))),
    ],
)
def test_a_signature_after_text_goes_back_at_its_place(last: dict[str, Any], content: Any) -> None:
    merge = Merge("gemini")
    for part in parts(said({"text": "a"}), said(last, stop="STOP")):
        merge.feed(part)
    assert merge.message().content == content
    body = sent(user_text("go"), merge.message(), user_text("on"))
    assert body["contents"][1]["parts"] == [{"text": content[0].text}, {"text": "", "thoughtSignature": "abc="}]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("STOP", StopPart("end")),
        ("MAX_TOKENS", StopPart("length")),
        ("SAFETY", StopPart("content_filter")),
        ("RECITATION", StopPart("content_filter")),
        ("PROHIBITED_CONTENT", StopPart("content_filter")),
        ("SOMETHING_NEW", StopPart("end", "SOMETHING_NEW")),
    ],
)
def test_finish_reasons_of_an_answer_without_calls(word: str, expected: StopPart) -> None:
    assert parts(said({"text": "a"}, stop=word)) == [TextPart("a"), expected]


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "MISSING_THOUGHT_SIGNATURE"])
def test_an_answer_that_the_service_could_not_finish_is_broken_and_what_it_used_counts(word: str) -> None:
    state = GeminiState(MODEL, source=Source("test"))
    chunk = {**said(stop=word), "usageMetadata": {"promptTokenCount": 9}}
    (one,) = decoded(SSEvent(json.dumps(chunk).encode()), state)
    assert from_wire(one, state) == [UsagePart(Usage(9))]
    with pytest.raises(StreamBroken, match=word):
        finish(state)


def test_a_prompt_that_is_blocked_is_an_answer_cut_by_the_filter() -> None:
    assert parts({"promptFeedback": {"blockReason": "SAFETY"}}) == [StopPart("content_filter")]
    with Server(Plain(200, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})) as server:
        assert ask(server.url, wire="gemini").message == AssistantMessage((), "content_filter")


@pytest.mark.parametrize(
    "chunk",
    [{"candidates": []}, {"candidates": [{}]}, {"candidates": [{"finishReason": "FINISH_REASON_UNSPECIFIED"}]}, {"usageMetadata": {}}, {}],
    ids=str,
)
def test_candidates_of_nothing_are_not_done(chunk: dict[str, Any]) -> None:
    with pytest.raises(StreamBroken):
        parts(chunk)


def test_other_candidates_are_passed_over() -> None:
    chunk = said({"text": "a"}, stop="STOP")
    chunk["candidates"].append({"index": 1, "content": {"parts": [{"text": "other"}]}, "finishReason": "MAX_TOKENS"})
    assert parts(chunk) == [TextPart("a"), StopPart("end")]


def test_usage_counts_thoughts_as_output_and_what_was_cached_apart() -> None:
    counts = {"promptTokenCount": 100, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 20}
    chunks = [{**said({"text": "a"}), "usageMetadata": counts}, {**said(stop="STOP"), "usageMetadata": {**counts, "thoughtsTokenCount": 30}}]
    assert parts(*chunks, {"usageMetadata": {**counts, "thoughtsTokenCount": 30}}) == [
        TextPart("a"), UsagePart(Usage(45, 20, 60)), UsagePart(Usage(45, 50, 60, 0, 30)), StopPart("end"),
    ]  # fmt: skip


def test_a_list_of_chunks_in_the_place_of_a_stream_is_taken() -> None:
    assert parts([said({"text": "a"}), said({"text": "b"}, stop="STOP")], whole=True) == [TextPart("a"), TextPart("b"), StopPart("end")]
    with pytest.raises(Unavailable, match="an error 503: busy"):
        parts([{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}], whole=True)
    with pytest.raises(InvalidResponse, match="no generated content"):
        parts([], whole=True)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "API key not valid. Please pass a valid API key.", AuthenticationFailed),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", ContextOverflow),
    ],
)
def test_what_google_calls_an_invalid_argument_is_told_apart(status: int, message: str, kind: type[ProviderError]) -> None:
    with Server(failed(status, message)) as server:
        found = ask(server.url, wire="gemini")
    assert type(found.error) is kind


def test_the_wait_that_google_asks_for_stands_in_the_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure"}, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    body = {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": details}}
    with Server(Plain(429, body)) as server:
        found = ask(server.url, wire="gemini")
    assert found.error is not None
    assert (type(found.error), found.error.retry_after) == (RateLimited, 34.5)


# --- requests ---


def test_the_key_goes_in_its_header_and_never_into_the_url() -> None:
    with Server(Answer("ok"), models=("models/a", "b")) as server:
        ask(server.url, wire="gemini")
        assert with_provider(spec_for(server.url, wire="gemini"), lambda provider: provider.list_models()) == ("a", "b")
    assert [sent.headers["x-goog-api-key"] for sent in server.requests] == [KEY, KEY]
    assert [sent.path for sent in server.requests] == ["/v1/models/m1:streamGenerateContent?alt=sse", "/v1/models?pageSize=1000"]
    assert not any("authorization" in sent.headers or KEY in sent.path for sent in server.requests)


@pytest.mark.parametrize(
    ("base", "id", "path"),
    [
        ("/v1beta", "m1", "/v1beta/models/m1:streamGenerateContent?alt=sse"),
        ("/v1beta/models/", "m1", "/v1beta/models/m1:streamGenerateContent?alt=sse"),
        ("/v1beta?key2=a", "m1", "/v1beta/models/m1:streamGenerateContent?key2=a&alt=sse"),
        ("", "tunedModels/mine 1", "/tunedModels/mine%201:streamGenerateContent?alt=sse"),
    ],
)
def test_the_model_stands_in_the_address(base: str, id: str, path: str) -> None:
    with Server(Answer("ok")) as server:
        assert ask(server.origin + base, request(model=ModelSpec("test", id)), wire="gemini").error is None
    assert server.requests[0].path == path


@pytest.mark.parametrize(
    ("effort", "quirks", "max_tokens", "expected"),
    [
        ("", Quirks(), None, {"thinkingConfig": {"includeThoughts": True}}),
        ("low", Quirks(), 500, {"maxOutputTokens": 500, "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}),
        ("none", Quirks(effort_as="budget"), None, {"thinkingConfig": {"thinkingBudget": 0, "includeThoughts": True}}),
        ("high", Quirks(effort_as="budget"), None, {"thinkingConfig": {"thinkingBudget": 24_576, "includeThoughts": True}}),
        ("high", Quirks(effort_as="budget"), 8_000, {
            "maxOutputTokens": 8_000, "thinkingConfig": {"thinkingBudget": 6_000, "includeThoughts": True},
        }),
    ],
)  # fmt: skip
def test_effort_is_a_level_or_a_budget_that_leaves_room_for_the_answer(effort: str, quirks: Quirks, max_tokens: int | None, expected: Any) -> None:
    assert sent(effort=effort, quirks=quirks, max_tokens=max_tokens)["generationConfig"] == expected


def test_a_model_without_levels_is_asked_for_no_thinking() -> None:
    assert "generationConfig" not in sent(model=ModelSpec("test", "m1", "gemini"))


def test_tools_keep_what_of_json_schema_the_service_takes() -> None:
    schema = {
        "$schema": "x", "type": "object", "additionalProperties": False, "required": ["pattern"],
        "properties": {
            "pattern": {"type": "string", "minLength": 1, "pattern": ".", "default": "*"},
            "kind": {"const": "file"},
            "title": {"anyOf": [{"type": "string"}, {"type": "null"}], "examples": ["a"]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        },
        "$defs": {"Item": {"type": "object", "properties": {"format": {"type": "string", "format": "uri"}}}},
    }  # fmt: skip
    tool = ToolSpec("find", "Finds.", schema)
    declared = {"name": "find", "description": "Finds."}
    assert sent(tools=(tool,))["tools"] == [{"functionDeclarations": [{**declared, "parametersJsonSchema": {
        "type": "object", "additionalProperties": False, "required": ["pattern"],
        "properties": {
            "pattern": {"type": "string"}, "kind": {"enum": ["file"]}, "title": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        },
        "$defs": {"Item": {"type": "object", "properties": {"format": {"type": "string", "format": "uri"}}}},
    }}]}]  # fmt: skip
    assert sent(tools=(tool,), quirks=Quirks(tool_schema="flat"))["tools"] == [{"functionDeclarations": [{**declared, "parameters": {
        "type": "object", "required": ["pattern"],
        "properties": {
            "pattern": {"type": "string", "minLength": 1, "pattern": "."}, "kind": {"enum": ["file"]}, "title": {"type": "string"},
            "items": {"type": "array", "items": {"type": "object", "properties": {"format": {"type": "string", "format": "uri"}}}},
        },
    }}]}]  # fmt: skip


def history(*calls: ToolCall) -> tuple[Message, ...]:
    results = tuple(ToolResult(call.id, call.name, (Text("x"),)) for call in calls)
    return user_text("go"), AssistantMessage(calls), ToolMessage(results)


@pytest.mark.parametrize(
    ("opaque", "wire", "quirks", "signature"),
    [
        (sealed(MODEL, "abc="), "gemini", SKIP, "abc="),
        ("", "", SKIP, "skip"),
        (sealed(ModelSpec("test", "other"), "abc="), "gemini", SKIP, "skip"),
        (sealed(MODEL, "abc="), "anthropic", SKIP, "skip"),
        ("", "", Quirks(), None),
    ],
    ids=["its own", "none", "another model's", "another wire's", "none where none is demanded"],
)
def test_a_call_goes_back_with_its_signature_or_what_stands_in_for_it(opaque: str, wire: str, quirks: Quirks, signature: str | None) -> None:
    body = sent(*history(ToolCall("c1", "read", "{}", opaque, wire), ToolCall("c2", "read", "{}")), quirks=quirks)
    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == [signature, None]


def test_ids_of_calls_are_left_out_for_services_that_know_none() -> None:
    body = sent(*history(ToolCall("c1", "read", "{}")), quirks=Quirks(call_ids="none"))
    assert body["contents"][1]["parts"] == [{"functionCall": {"name": "read", "args": {}}}]
    assert body["contents"][2]["parts"] == [{"functionResponse": {"name": "read", "response": {"output": "x"}}}]


def test_turns_of_one_role_are_joined_and_empty_ones_left_out() -> None:
    turns = (
        AssistantMessage((Text("first"),)),
        user_text("one"),
        user_text(""),
        AssistantMessage((Thinking("", sealed(MODEL, "s"), "gemini"),)),
        user_text("two"),
        AssistantMessage((Text("a"),), "interrupted"),
        AssistantMessage((Text("b"),)),
        user_text("three"),
    )
    assert [(entry["role"], [part["text"] for part in entry["parts"]]) for entry in sent(*turns)["contents"]] == [
        ("user", ["(no text)"]), ("model", ["first"]), ("user", ["one", "two"]), ("model", ["a", "b"]), ("user", ["three"]),
    ]  # fmt: skip

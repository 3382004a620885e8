"""What comes back on the openai-chat wire: chunks to parts, in every spelling that compatible services use; and the whole way over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asking import ask, request, spec_for, with_provider
from support.chat_wire import ChatWire
from support.server import Answer, Call, Captured, Plain, Server, failed

from agentcli.protocol.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidResponse,
    ProviderError,
    RateLimited,
    RequestRejected,
    StreamBroken,
    Unavailable,
)
from agentcli.protocol.messages import AssistantMessage, Text, Thinking, ToolCall
from agentcli.protocol.models import ModelSpec, Quirks, Usage
from agentcli.providers.base import CallPart, Merge, ServedPart, StopPart, StreamPart, TextPart, ThinkingPart, UsagePart
from agentcli.providers.failures import Source
from agentcli.providers.openai_chat import ChatState, decoded, finish, from_wire
from agentcli.providers.sse import Decoder, SSEvent

STOP: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def said(*deltas: dict[str, Any], finish_reason: str = "stop") -> list[dict[str, Any]]:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}]


def parts(*chunks: dict[str, Any], quirks: Quirks | None = None) -> list[StreamPart]:
    state = ChatState(quirks or Quirks(), source=Source("test"))
    found: list[StreamPart] = []
    for chunk in chunks:
        found += from_wire(decoded(SSEvent(json.dumps(chunk).encode()), state), state)
    return found + finish(state)


def test_text_reasoning_calls_usage_and_stop_in_order_of_arrival() -> None:
    chunks = [
        {"id": "x", "model": "m1-0801", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        *said(
            {"reasoning_content": "hm"},
            {"content": "I "},
            {"content": "read."},
            {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "read", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"path":"a"}'}}]},
            finish_reason="tool_calls",
        ),
        {"model": "m1-0801", "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}},
    ]
    assert parts(*chunks) == [
        ServedPart("m1-0801"),
        ThinkingPart("hm"),
        TextPart("I "),
        TextPart("read."),
        CallPart(0, "c1", "read", ""),
        CallPart(0, arguments='{"path":"a"}'),
        UsagePart(Usage(100, 20)),
        StopPart("tool_calls"),
    ]


@pytest.mark.parametrize(
    ("delta", "quirks", "expected"),
    [
        ({"reasoning": "hm"}, Quirks(), [ThinkingPart("hm")]),
        ({"reasoning_content": "a", "reasoning": "b"}, Quirks(), [ThinkingPart("a")]),
        ({"reasoning_content": None, "reasoning": "b"}, Quirks(), [ThinkingPart("b")]),
        ({"thoughts": "hm"}, Quirks(reasoning_fields=("thoughts",)), [ThinkingPart("hm")]),
        ({"reasoning": {"text": "no string"}}, Quirks(), []),
        ({"content": None, "tool_calls": None, "refusal": None, "function_call": None}, Quirks(), []),
        ({"content": [{"type": "text", "text": "a"}, {"type": "other"}, {"type": "text", "text": ""}]}, Quirks(), [TextPart("a")]),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, Quirks(), [ThinkingPart("hm")]),
        ({"content": [{"type": "thinking", "thinking": "hm"}]}, Quirks(), [ThinkingPart("hm")]),
    ],
)
def test_where_a_delta_carries_what_differs_between_services(delta: dict[str, Any], quirks: Quirks, expected: list[StreamPart]) -> None:
    assert parts(*said(delta), quirks=quirks) == [*expected, StopPart("end")]


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "n", "arguments": {"a": 1}}}]}, CallPart(0, "c", "n", '{"a":1}')),
        ({"tool_calls": [{"index": "0", "id": "c", "function": {"name": "n", "arguments": None}}]}, CallPart(0, "c", "n")),
        ({"tool_calls": [{"id": "c", "function": {"name": "n", "arguments": "{}"}, "unknown": 1}]}, CallPart(0, "c", "n", "{}")),
        (
            {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "n", "arguments": "{}"}, "extra_content": {"google": {"s": "x"}}}]},
            CallPart(0, "c", "n", "{}", '{"google":{"s":"x"}}'),
        ),
    ],
    ids=["arguments as an object", "index as text, no arguments", "no index, unknown fields", "a signature"],
)
def test_calls_in_forms_that_are_not_quite_the_wires(delta: dict[str, Any], expected: CallPart) -> None:
    assert parts(*said(delta, finish_reason="stop")) == [expected, StopPart("tool_calls")]


def test_the_older_function_call_is_a_call() -> None:
    chunks = said({"function_call": {"name": "read", "arguments": '{"a"'}}, {"function_call": {"arguments": ":1}"}}, finish_reason="function_call")
    merge = Merge()
    for part in parts(*chunks):
        merge.feed(part)
    (call,) = merge.message().calls()
    assert (call.name, call.arguments, merge.stop) == ("read", '{"a":1}', "tool_calls")
    assert call.id


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("stop", StopPart("end")),
        ("length", StopPart("length")),
        ("content_filter", StopPart("content_filter")),
        ("tool_calls", StopPart("end")),
        ("MAX_TOKENS", StopPart("length")),
        ("eos", StopPart("end")),
        ("something_new", StopPart("end", "something_new")),
    ],
)
def test_finish_reasons_of_an_answer_without_calls(word: str, expected: StopPart) -> None:
    assert parts(*said({"content": "a"}, finish_reason=word)) == [TextPart("a"), expected]


def test_a_refusal_is_text_and_a_stop_of_its_own() -> None:
    assert parts(*said({"refusal": "I will "}, {"refusal": "not."})) == [TextPart("I will "), TextPart("not."), StopPart("refusal")]


def test_an_empty_finish_reason_is_none() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": ""}]}
    assert parts(chunk, STOP) == [TextPart("a"), StopPart("end")]


@pytest.mark.parametrize("word", ["error", "network_error", "insufficient_system_resource"])
def test_a_service_that_says_it_broke_off_is_a_broken_stream(word: str) -> None:
    with pytest.raises(StreamBroken, match=word):
        parts(*said({"content": "a"}, finish_reason=word))


def test_other_choices_empty_choices_and_unknown_events_are_passed_over() -> None:
    chunks = [
        {"choices": []},
        {"choices": None, "object": "ping"},
        {"type": "x.unknown", "data": [1, 2]},
        {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]},
        {"choices": [{"delta": {"content": "a"}}]},
        STOP,
    ]
    assert parts(*chunks) == [TextPart("a"), StopPart("end")]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 9}, Usage(100, 9)),
        ({"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 60}}, Usage(40, 9, 60)),
        (
            {"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}},
            Usage(10, 9, 60, 30),
        ),
        ({"prompt_tokens": 100, "completion_tokens": 9, "prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40}, Usage(40, 9, 60)),
        ({"prompt_tokens": 100, "completion_tokens": 9, "cached_tokens": 60}, Usage(40, 9, 60)),
        ({"prompt_tokens": 100, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 5}}, Usage(100, 9, reasoning=5)),
        (
            {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 114, "completion_tokens_details": {"reasoning_tokens": 5}},
            Usage(100, 14, reasoning=5),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 60}}, Usage(10, 9, 60)),
        ({"prompt_tokens": 10.0, "completion_tokens": None, "prompt_tokens_details": None}, Usage(10, 0)),
    ],
    ids=["plain", "cached", "cache written", "deepseek", "moonshot", "reasoning within", "reasoning beside", "cached beside", "odd numbers"],
)
def test_usage_in_each_spelling(usage: dict[str, Any], expected: Usage) -> None:
    assert parts(STOP, {"choices": [], "usage": usage}) == [UsagePart(expected), StopPart("end")]


def test_usage_inside_a_choice_counts_too() -> None:
    chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}]}
    assert parts(chunk) == [UsagePart(Usage(3, 1)), StopPart("end")]


@pytest.mark.parametrize(
    ("error", "kind", "status", "retryable"),
    [
        ({"message": "busy", "type": "overloaded_error"}, Unavailable, None, True),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, RateLimited, None, True),
        ({"message": "gone", "code": 502}, Unavailable, 502, True),
        ({"message": "gone", "code": "429"}, RateLimited, 429, True),
        ({"message": "bad", "type": "invalid_request_error"}, RequestRejected, None, False),
        ({"message": "This model's maximum context length is 10 tokens", "type": "invalid_request_error"}, ContextOverflow, None, False),
        ({"message": "no", "code": "invalid_api_key"}, AuthenticationFailed, None, False),
        ("just text", Unavailable, None, True),
        ({"message": "what", "metadata": {"raw": "upstream said no"}}, Unavailable, None, True),
    ],
)
def test_an_error_object_inside_a_stream_is_the_error_it_names(error: Any, kind: type[ProviderError], status: int | None, retryable: bool) -> None:
    with pytest.raises(kind) as caught:
        parts({"choices": [{"index": 0, "delta": {"content": "a"}}]}, {"error": error})
    assert (caught.type, caught.value.status, caught.value.retryable) == (kind, status, retryable)


def test_no_finish_reason_is_not_done() -> None:
    with pytest.raises(StreamBroken, match="stopped before it was complete"):
        parts({"choices": [{"index": 0, "delta": {"content": "a"}}]})


def test_a_call_without_a_name_is_no_answer() -> None:
    with pytest.raises(InvalidResponse, match="no name"):
        parts(*said({"tool_calls": [{"index": 0, "id": "c", "function": {"arguments": "{}"}}]}))


def test_broken_utf8_and_half_surrogates_become_replacement_characters() -> None:
    state = ChatState(Quirks(), source=Source("test"))
    broken = b'{"choices":[{"index":0,"delta":{"content":"a\xffb \\ud83d c"}}]}'
    assert from_wire(decoded(SSEvent(broken), state), state) == [TextPart("a\ufffdb \ufffd c")]


@pytest.mark.parametrize("data", [b"{oops", b"1", b'"text"', b"[" * 100_000, b'{"choices": 5}'])
def test_data_that_is_no_chunk_is_told_in_one_short_line(data: bytes) -> None:
    with pytest.raises(InvalidResponse) as caught:
        decoded(SSEvent(data), ChatState(Quirks(), source=Source("test")))
    assert "\n" not in caught.value.line()
    assert len(caught.value.line()) < 600


# --- over HTTP ---

LONG = Answer(
    text="Ünïcödé 😀 and a line\u2028separator. " * 4,
    thinking="Let me see… 思考",
    calls=(Call("read", {"path": "ä/😀.txt"}, id="c1"), Call("bash", {"command": "echo 'x\n'"}, id="c2")),
    usage=Usage(40, 30, 60, reasoning=5),
    served="m1-0801",
)
PLAIN_MESSAGE = AssistantMessage(
    (
        Thinking("Let me see… 思考", wire="openai-chat"),
        Text("Ünïcödé 😀 and a line\u2028separator. " * 4),
        ToolCall("c1", "read", json.dumps({"path": "ä/😀.txt"})),
        ToolCall("c2", "bash", json.dumps({"command": "echo 'x\n'"})),
    ),
    "tool_calls",
)


def whole_parts() -> list[StreamPart]:
    with Server(LONG) as server:
        found = ask(server.url)
    assert found.error is None
    assert found.message == PLAIN_MESSAGE
    return found.parts


@pytest.mark.parametrize(
    "how",
    [
        {"chunk": 1},
        {"chunk": 3},
        {"chunk": 11},
        {"chunk": 4096},
        {"newline": b"\r\n"},
        {"newline": b"\r\n", "chunk": 1},
        {"newline": b"\r"},
        {"bom": True},
        {"bom": True, "chunk": 1},
        {"noise": True},
        {"noise": True, "newline": b"\r\n", "chunk": 7},
        {"done": False},
        {"done": False, "cut_after": 10**9, "ending": "close"},
    ],
    ids=str,
)
def test_however_the_stream_is_cut_and_spelled_the_parts_are_the_same(how: dict[str, Any]) -> None:
    with Server(LONG.sent(**how)) as server:
        found = ask(server.url)
    assert found.error is None
    assert found.parts == whole_parts()


def stream_bytes() -> bytes:
    body = {"model": "m1", "stream": True, "stream_options": {"include_usage": True}}
    asked = Captured("POST", "/v1/chat/completions", {}, json.dumps(body).encode(), 0)
    return b"".join(ChatWire().events(LONG, asked))


@given(st.lists(st.integers(0, 6000), max_size=40))
def test_any_cut_of_the_bytes_gives_the_same_parts(cuts: list[int]) -> None:
    stream = stream_bytes()
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]

    def read(chunks: list[bytes]) -> list[StreamPart]:
        state, decoder = ChatState(Quirks(), source=Source("test")), Decoder()
        events = [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.flush()
        return [part for event in events for part in from_wire(decoded(event, state), state)] + finish(state)

    assert read(pieces) == read([stream])


def test_a_whole_completion_for_an_asked_stream_is_taken() -> None:
    answer = Answer("hello", calls=(Call("read", {"path": "a"}, id="c1"),), usage=Usage(7, 3))
    with Server(answer.sent(whole=True)) as server:
        found = ask(server.url)
    assert found.parts == [
        ServedPart("m1"),
        TextPart("hello"),
        CallPart(0, "c1", "read", '{"path": "a"}'),
        UsagePart(Usage(7, 3)),
        StopPart("tool_calls"),
    ]


def test_the_request_carries_the_key_in_its_header_and_nowhere_else() -> None:
    with Server(Answer("ok")) as server:
        ask(server.url, headers={"X-Team": "blue"})
    (sent,) = server.requests
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.headers["authorization"] == "Bearer sk-canary-0123456789"
    assert sent.headers["x-team"] == "blue"
    assert sent.headers["content-type"] == "application/json"
    assert b"sk-canary" not in sent.raw


def test_declared_headers_win_over_our_own_whatever_their_case() -> None:
    with Server(Answer("ok")) as server:
        ask(server.url, headers={"Authorization": "Token abc", "User-Agent": "mine"})
    assert server.requests[0].headers["authorization"] == "Token abc"
    assert server.requests[0].headers["user-agent"] == "mine"


def test_without_a_key_no_authorization_is_sent() -> None:
    with Server(Answer("ok")) as server:
        assert ask(server.url, api_key=None).error is None
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("base", "path"),
    [("/v1", "/v1/chat/completions"), ("/v1/", "/v1/chat/completions"), ("/v1?api-version=7", "/v1/chat/completions?api-version=7"),
     ("/openai/v1/chat/completions", "/openai/v1/chat/completions"), ("", "/chat/completions")],
)  # fmt: skip
def test_the_base_url_may_be_written_in_several_ways(base: str, path: str) -> None:
    with Server(Answer("ok")) as server:
        assert ask(server.origin + base).error is None
    assert server.requests[0].path == path


def test_a_models_own_quirks_replace_the_providers() -> None:
    model = ModelSpec("test", "m1", quirks=Quirks(max_tokens_field="max_completion_tokens"))
    with Server(Answer("ok")) as server:
        ask(server.url, request(model=model, max_tokens=5), quirks=Quirks(stream_usage=False))
    body = server.requests[0].body
    assert (body["max_completion_tokens"], "stream_options" in body) == (5, True)


def test_the_services_own_list_of_models() -> None:
    with Server(models=("a", "b")) as server:

        async def use(provider: Any) -> tuple[str, ...]:
            found: tuple[str, ...] = await provider.list_models()
            return found

        assert with_provider(spec_for(server.url), use) == ("a", "b")
    assert server.requests[0].path == "/v1/models"


@pytest.mark.parametrize("reply", [Plain(200, b"<html>"), Plain(200, b'{"data": 5}'), failed(404, "no such page")])
def test_a_service_without_a_list_of_models_says_so(reply: Any) -> None:
    with Server(reply) as server, pytest.raises(ProviderError):
        with_provider(spec_for(server.url), lambda provider: provider.list_models())

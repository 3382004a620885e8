"""The invariants by which the test server judges every request do find what they should."""

from __future__ import annotations

from typing import Any

import pytest
from support import anthropic_wire, gemini_wire, responses_wire
from support.asking import ask, request
from support.chat_wire import invariants
from support.server import Answer, Server

from agentcli.protocol.messages import ToolMessage, ToolResult, user_text

CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "n", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "x"}
USER = {"role": "user", "content": "u"}


@pytest.mark.parametrize(
    ("messages", "problems"),
    [
        ([USER, CALL, RESULT], []),
        ([USER, RESULT], ["message 1 (tool): a result without its call"]),
        ([USER, CALL, USER], ["message 2 (user): calls without results before it: ['a']"]),
        ([USER, CALL], ["calls without results at the end: ['a']"]),
        ([USER, CALL, RESULT, CALL, RESULT], ["message 3 (assistant): a second call with id 'a'"]),
        ([USER, USER], ["message 1 (user): two turns of one role in a row"]),
        ([USER, {"role": "assistant", "content": ""}], ["message 1 (assistant): empty content"]),
        (
            [USER, {**CALL, "tool_calls": [{"id": "a", "function": {"name": "n", "arguments": "{oops"}}]}, RESULT],
            ["message 1 (assistant): arguments that are no JSON object: {oops"],
        ),
    ],
)
def test_each_broken_rule_is_named(messages: list[dict[str, Any]], problems: list[str]) -> None:
    assert invariants({"messages": messages}) == problems


TURN = {"role": "user", "content": [{"type": "text", "text": "u"}]}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "n", "input": {}}]}
ANSWER = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}]}]}
LATE = {"role": "user", "content": [*TURN["content"], *ANSWER["content"]]}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"messages": [TURN, USE, ANSWER]}, []),
        ({"messages": [TURN], "max_tokens": 0}, ["no max_tokens"]),
        ({"messages": [USE, ANSWER]}, ["the first or the last turn is not the user's"]),
        ({"messages": [TURN, TURN]}, ["message 1 (user): two turns of one role in a row"]),
        ({"messages": [TURN, USE, TURN]}, ["message 2 (user): calls ['a'] were made before it, results [] are there"]),
        ({"messages": [TURN, USE, ANSWER, USE, ANSWER]}, ["message 3 (assistant): a second call with id 'a'"]),
        ({"messages": [TURN, USE, LATE]}, ["message 2 (user): a result after something else"]),
        ({"messages": [{"role": "user", "content": []}]}, ["message 0 (user): empty content"]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, ["message 0 (user): empty text"]),
        ({"messages": [TURN], "thinking": {"type": "enabled", "budget_tokens": 99}}, ["a thinking budget that the bound has no room for"]),
        ({"messages": [TURN], "system": [{"cache_control": 1}] * 5}, ["more than four marks for the cache"]),
    ],
)
def test_each_broken_rule_of_anthropics_wire_is_named(body: dict[str, Any], problems: list[str]) -> None:
    assert anthropic_wire.invariants({"max_tokens": 10, **body}) == problems


ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]}
CALLED = {"type": "function_call", "call_id": "a", "name": "n", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "x"}
REASONED = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "e"}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"input": [ITEM, REASONED, CALLED, OUTPUT]}, []),
        ({"input": [ITEM], "store": True}, ["the service would store the answer"]),
        ({"input": [ITEM], "tools": [{"type": "function"}]}, ["a tool that the service would make strict"]),
        ({"input": [ITEM, OUTPUT]}, ["item 1 (function_call_output): a result without its call"]),
        ({"input": [ITEM, CALLED, ITEM]}, ["item 2 (message): calls without results before it: ['a']", "calls without results at the end: ['a']"]),
        ({"input": [CALLED, OUTPUT, CALLED, OUTPUT]}, ["item 2 (function_call): a second call with id 'a'"]),
        ({"input": [REASONED, ITEM]}, ["item 0 (reasoning): reasoning that nothing follows"]),
        ({"input": [{**REASONED, "encrypted_content": ""}, CALLED, OUTPUT]}, ["item 0 (reasoning): reasoning that is not encrypted"]),
        ({"input": [{**ITEM, "content": []}]}, ["item 0 (message): empty content"]),
        ({"input": [CALLED, {**OUTPUT, "output": ""}]}, ["item 1 (function_call_output): empty output"]),
    ],
)
def test_each_broken_rule_of_the_responses_wire_is_named(body: dict[str, Any], problems: list[str]) -> None:
    assert responses_wire.invariants({"store": False, **body}) == problems


SAID = {"role": "user", "parts": [{"text": "u"}]}
ASKED = {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "n", "args": {}}}]}
GAVE = {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "n", "response": {}}}]}


@pytest.mark.parametrize(
    ("contents", "problems"),
    [
        ([SAID, ASKED, GAVE], []),
        ([ASKED, GAVE], ["content 0 (model): the first turn is not the user's"]),
        ([SAID, SAID], ["content 1 (user): two turns of one role in a row"]),
        ([SAID, ASKED, SAID], ["content 2 (user): calls [('a', 'n')] were made before it, responses [] are there"]),
        ([SAID, ASKED], ["calls without responses at the end: [('a', 'n')]"]),
        ([{"role": "user", "parts": []}], ["content 0 (user): empty parts"]),
        ([{"role": "user", "parts": [{"text": ""}]}], ["content 0 (user): empty parts"]),
        ([SAID, {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "n", "args": "x"}}]}, GAVE],
         ["content 1 (model): arguments that are no object"]),
    ],
)  # fmt: skip
def test_each_broken_rule_of_geminis_wire_is_named(contents: list[dict[str, Any]], problems: list[str]) -> None:
    assert gemini_wire.invariants({"contents": contents}) == problems


def test_a_test_whose_request_breaks_a_rule_fails_when_the_server_closes() -> None:
    orphan = (user_text("hi"), ToolMessage((ToolResult("c9", "read", ()),)))
    with pytest.raises(AssertionError, match="a result without its call"), Server(Answer("ok")) as server:
        ask(server.url, request(messages=orphan))

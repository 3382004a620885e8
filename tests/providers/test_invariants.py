"""The invariants by which the test server judges every request do find what they should."""

from __future__ import annotations

from typing import Any

import pytest
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


def test_a_test_whose_request_breaks_a_rule_fails_when_the_server_closes() -> None:
    orphan = (user_text("hi"), ToolMessage((ToolResult("c9", "read", ()),)))
    with pytest.raises(AssertionError, match="a result without its call"), Server(Answer("ok")) as server:
        ask(server.url, request(messages=orphan))

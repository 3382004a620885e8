"""The model that says what a script tells it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.asking import Said, collect, request

from agentcli.protocol.errors import (
    AuthenticationFailed,
    ConfigError,
    ContextOverflow,
    InvalidResponse,
    RateLimited,
    RequestRejected,
    StreamBroken,
    Unavailable,
)
from agentcli.protocol.messages import AssistantMessage, Message, Text, ToolCall, ToolMessage, ToolResult, user_text
from agentcli.protocol.models import ModelSpec, ProviderSpec, Usage
from agentcli.providers.base import CallPart, ModelRequest, ServedPart, StopPart, TextPart, ThinkingPart, UsagePart
from agentcli.providers.registry import connect
from agentcli.providers.scripted import Group, Reply, ScriptedCall, ScriptedProvider


def play(provider: ScriptedProvider, *asked: ModelRequest) -> list[Said]:
    async def main() -> list[Said]:
        return [await collect(provider, one) for one in asked]

    return asyncio.run(main())


def texts(provider: ScriptedProvider, *asked: ModelRequest) -> list[str]:
    return [said.message.text() if said.error is None else type(said.error).__name__ for said in play(provider, *asked)]


def after_tool(result: str, first: str = "hi") -> ModelRequest:
    history: tuple[Message, ...] = (
        user_text(first),
        AssistantMessage((ToolCall("c1", "read", "{}"),), "tool_calls"),
        ToolMessage((ToolResult("c1", "read", (Text(result),)),)),
    )
    return request(messages=history)


def test_a_reply_streams_thinking_text_and_calls_in_pieces() -> None:
    reply = Reply("I read it.", "Look first.", [ScriptedCall("read", {"path": "a.txt"}), ScriptedCall("bash", "{broken", "mine")], piece=6)
    provider = ScriptedProvider([reply])
    (said,) = play(provider, request("go"))
    assert said.error is None
    assert said.parts == [
        ServedPart("m1"),
        ThinkingPart("Look f"),
        ThinkingPart("irst."),
        TextPart("I read"),
        TextPart(" it."),
        CallPart(0, "call_1_1", "read", '{"path'),
        CallPart(0, arguments='":"a.t'),
        CallPart(0, arguments='xt"}'),
        CallPart(1, "mine", "bash", "{broke"),
        CallPart(1, arguments="n"),
        UsagePart(Usage(10, 5)),
        StopPart("tool_calls"),
    ]
    assert provider.requests == [request("go")]


def test_steps_are_used_in_order_and_an_exhausted_script_says_what_was_asked() -> None:
    provider = ScriptedProvider(["one", {"text": ["t", "wo"]}, Reply("three")])
    said = play(provider, *[request(f"question {number}") for number in range(4)])
    assert [one.message.text() for one in said[:3]] == ["one", "two", "three"]
    error = said[3].error
    assert isinstance(error, RequestRejected)
    assert error.message == "scripted: the script has no reply for call 4 (m1: 'question 3')."


def test_a_reply_waits_for_the_text_it_is_for() -> None:
    provider = ScriptedProvider([{"when": "two lines", "text": "It has two."}, "first"])
    assert texts(provider, request("hi"), after_tool("a file of two lines")) == ["first", "It has two."]


def test_a_repeated_reply_is_never_used_up() -> None:
    provider = ScriptedProvider([{"text": "again", "repeat": True}])
    assert texts(provider, request(), request(), request()) == ["again"] * 3


@pytest.mark.parametrize(
    ("entry", "fits"),
    [
        ({"model": "m2"}, False),
        ({"model": "m1"}, True),
        ({"model": "test/m1"}, True),
        ({"agent": "scout"}, True),
        ({"agent": "scout-2"}, True),
        ({"agent": "main/scout-2"}, True),
        ({"agent": "main"}, False),
        ({"agent": "scout", "model": "m2"}, False),
    ],
)
def test_a_reply_may_be_for_one_model_or_one_agent(entry: dict[str, str], fits: bool) -> None:
    provider = ScriptedProvider([{"text": "for it", **entry}, "for all"])
    assert texts(provider, request(agent_id="main/scout-2")) == ["for it" if fits else "for all"]


def test_workers_at_once_each_play_their_own_group_from_its_start() -> None:
    provider = ScriptedProvider([
        "main begins",
        Group([Reply(calls=[ScriptedCall("read")]), Reply("scout reports")], each=True, when="scan"),
        "main ends",
    ])  # fmt: skip

    async def worker(name: str) -> list[str]:
        asked = request(f"scan {name}")
        first = await collect(provider, asked)
        history = (*asked.messages, first.message, ToolMessage((ToolResult(first.message.calls()[0].id, "read", ()),)))
        return [call.name for call in first.message.calls()] + [(await collect(provider, request(messages=history))).message.text()]

    async def main() -> Any:
        begin = (await collect(provider, request("main"))).message.text()
        workers = await asyncio.gather(*(worker(name) for name in "abc"))
        return begin, workers, (await collect(provider, request("main"))).message.text()

    assert asyncio.run(main()) == ("main begins", [["read", "scout reports"]] * 3, "main ends")
    assert len({part.id for made in provider.requests for message in made.messages for part in message_calls(message)}) == 3


def message_calls(message: Message) -> tuple[ToolCall, ...]:
    return message.calls() if isinstance(message, AssistantMessage) else ()


def test_a_group_without_each_is_used_up_in_order() -> None:
    provider = ScriptedProvider([{"agent": "scout", "replies": [{"text": "one"}, {"text": "two"}]}, "rest"])
    scout = request(agent_id="main/scout-1")
    assert texts(provider, scout, request(), scout, scout) == ["one", "rest", "two", "RequestRejected"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rate_limit", RateLimited),
        ("unavailable", Unavailable),
        ("authentication", AuthenticationFailed),
        ("request_rejected", RequestRejected),
        ("context_overflow", ContextOverflow),
        ("invalid_response", InvalidResponse),
        ("stream_broken", StreamBroken),
    ],
)
def test_an_error_comes_after_what_was_said(kind: str, expected: type) -> None:
    entry = {"text": "so far", "error": {"kind": kind, "message": "no more.", "status": 500, "retry_after": 2.5}}
    (said,) = play(ScriptedProvider([entry]), request())
    assert type(said.error) is expected
    assert (said.error.message, said.error.status, said.error.retry_after) == ("scripted: no more.", 500, 2.5)
    assert "".join(part.text for part in said.parts if isinstance(part, TextPart)) == "so far"
    assert not any(isinstance(part, StopPart) for part in said.parts)


def test_a_cut_stream_is_broken() -> None:
    (said,) = play(ScriptedProvider([{"text": "half", "cut": True}]), request())
    assert isinstance(said.error, StreamBroken)
    assert said.message.text() == "half"


@pytest.mark.parametrize(
    ("entry", "limits"),
    [({"hang": True}, {"first_byte_s": 0.05}), ({"text": "a", "hang": True}, {"idle_s": 0.05}), ({"hang": True}, {"total_s": 0.05})],
)
def test_a_hanging_model_ends_at_the_time_limit(entry: dict[str, Any], limits: dict[str, float]) -> None:
    (said,) = play(ScriptedProvider([entry]), request(**limits))
    assert isinstance(said.error, Unavailable)


def test_a_hanging_model_is_left_by_a_cancel() -> None:
    async def main() -> None:
        task = asyncio.create_task(collect(ScriptedProvider([{"hang": True}]), request()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_delay_longer_than_the_limit_is_no_answer() -> None:
    (said,) = play(ScriptedProvider([{"text": "late", "first_delay_s": 5}]), request(first_byte_s=0.02))
    assert isinstance(said.error, Unavailable)
    assert said.parts == []


def test_delays_are_kept() -> None:
    async def main() -> float:
        began = asyncio.get_running_loop().time()
        await collect(ScriptedProvider([{"text": ["a", "b"], "delay_s": 0.02, "first_delay_s": 0.02}]), request())
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(main()) >= 0.079


def test_a_function_makes_its_reply_when_the_request_is_there_and_may_wait() -> None:
    async def held(asked: ModelRequest) -> str:
        await asyncio.sleep(0)
        return f"{len(asked.messages)} messages"

    provider = ScriptedProvider([lambda asked: {"text": asked.model.id}, held])
    assert texts(provider, request(), request()) == ["m1", "1 messages"]


def test_usage_served_model_and_stop_as_written() -> None:
    entry = {"text": "x", "usage": {"input": 1, "output": 2, "cache_read": 3}, "served": "m1-0801", "stop": "length"}
    (said,) = play(ScriptedProvider([entry]), request())
    assert said.parts == [ServedPart("m1-0801"), TextPart("x"), UsagePart(Usage(1, 2, 3)), StopPart("length")]


# --- from a config ---


def spec(path: Path | str) -> ProviderSpec:
    return ProviderSpec("demo", wire="scripted", script=str(path))


def test_a_script_file_named_in_a_config(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps([{"text": "hello"}, {"model": "m2", "replies": [{"text": "for m2"}]}]))
    provider = connect(spec(path))
    assert isinstance(provider, ScriptedProvider)
    assert texts(provider, request(model=ModelSpec("demo", "m2")), request()) == ["for m2", "hello"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "Expected `array`"),
        ("[1]", "Expected `object`"),
        ("[{]", "malformed"),
        ('[{"txt": "a"}]', "unknown field `txt`"),
        ('[{"replies": [{"text": 5}]}]', "$.replies[0].text"),
    ],
)
def test_a_script_that_is_not_right_names_its_file_and_what_is_wrong(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        connect(spec(path))
    assert caught.value.message.startswith(f"{path}: the script is not right: ")
    assert says in caught.value.message


def test_a_script_that_is_missing_or_not_named_is_an_error_of_the_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        connect(spec(tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="has no script"):
        connect(spec(""))


def test_an_unknown_kind_of_error_is_told() -> None:
    (said,) = play(ScriptedProvider([{"error": {"kind": "oops"}}]), request())
    assert isinstance(said.error, RequestRejected)
    assert "unknown error 'oops'" in said.error.message

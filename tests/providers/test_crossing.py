"""A conversation that changes its wire in the middle: what one model said is carried over to the next, and what only the first can read is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asking import ask, collect, request, spec_for
from support.server import Answer, Call, Captured, Server
from support.wires import BY_NAME, NAMES

from agentcli.protocol.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, UserMessage, user_text
from agentcli.protocol.models import ModelSpec, Quirks
from agentcli.providers.base import ToolSpec
from agentcli.providers.registry import connect
from agentcli.providers.translate import encode, sealed

READ = ToolSpec("read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})
PNG = Image("image/png", "QUJD", note="a red square")


def model(wire: str, id: str = "m1", **more: Any) -> ModelSpec:
    return ModelSpec("test", id, wire, **{"effort": ("low",), **more})  # type: ignore[arg-type]


def body(wire: str, *history: Message, spec: ModelSpec | None = None, quirks: Quirks | None = None) -> dict[str, Any]:
    """What leaves for this history, checked against the wire's rules."""
    provider: Any = connect(spec_for("http://127.0.0.1:1/v1", wire=wire, quirks=quirks or Quirks()))
    found: dict[str, Any] = json.loads(encode(provider.body(request(messages=history, model=spec or model(wire), tools=(READ,)))))
    assert BY_NAME[wire].problems(found) == []
    return found


# --- through all wires in one conversation ---


def answers(request: Captured) -> Answer:
    """Each service thinks, calls a tool, and when it has its result says so."""
    wire = next(name for name in NAMES if BY_NAME[name].takes(request))
    asked = json.dumps(request.body)
    if f"result for {wire}" in asked:
        return Answer(f"{wire} is done.", thinking="So it is.")
    return Answer("I look.", thinking=f"What would {wire} do?", calls=(Call("read", {"path": wire}, id=f"id.of/{wire}:{'x' * 70}"),))


async def converse(url: str, order: tuple[str, ...]) -> list[Message]:
    history: list[Message] = []
    for wire in order:
        provider = connect(spec_for(url, wire=wire))
        history.append(UserMessage((Text(f"Now {wire}."), PNG)))
        while not isinstance(history[-1], AssistantMessage):
            asked = request(model=model(wire, image_input=True), messages=tuple(history), tools=(READ,), effort="low")
            found = await collect(provider, asked)
            assert found.error is None, found.error
            history.append(found.message)
            if calls := found.message.calls():
                history.append(ToolMessage(tuple(ToolResult(call.id, call.name, (Text(f"result for {wire}"),)) for call in calls)))
        await provider.aclose()
    return history


@pytest.mark.parametrize("turn", range(4))
def test_a_conversation_visits_all_wires_with_a_call_on_each_and_every_request_keeps_the_rules(turn: int) -> None:
    import asyncio

    order = (*NAMES[turn:], *NAMES[:turn], NAMES[turn])
    with Server(always=answers) as server:
        history = asyncio.run(converse(server.url, order))
    assert len(server.requests) == 9  # the last visit finds its result in the history already
    texts = [message.text() for message in history if isinstance(message, AssistantMessage)]
    assert texts == [text for wire in order[:-1] for text in ("I look.", f"{wire} is done.")] + [f"{order[-1]} is done."]


# --- what goes and what stays ---

ITEM = sealed(model("openai-responses"), '{"type":"reasoning","encrypted_content":"Z0FBQQ"}')
THOUGHTS = {
    "openai-chat": Thinking("chat thought", wire="openai-chat"),
    "openai-responses": Thinking("response thought", ITEM, "openai-responses"),
    "anthropic": Thinking("claude thought", sealed(model("anthropic"), "c2ln"), "anthropic"),
    "gemini": Thinking("gemini thought", sealed(model("gemini"), "dGhvdWdodA=="), "gemini"),
    "redacted": Thinking("", sealed(model("anthropic"), "cmVkYWN0ZWQ="), "anthropic", redacted=True),
    "unsigned": Thinking("unsigned thought", wire="anthropic"),
    "local": Thinking("local thought", wire="local"),
}


@pytest.mark.parametrize("wire", NAMES)
@pytest.mark.parametrize("of", THOUGHTS)
def test_thinking_of_another_wire_is_dropped_cleanly(wire: str, of: str) -> None:
    thought = THOUGHTS[of]
    if thought.wire == wire:
        return
    with_it = body(wire, user_text("go"), AssistantMessage((thought, Text("Yes."))), user_text("on"))
    without = body(wire, user_text("go"), AssistantMessage((Text("Yes."),)), user_text("on"))
    assert with_it == without


@pytest.mark.parametrize("wire", [name for name in NAMES if name != "openai-chat"])
@pytest.mark.parametrize("other", [model, lambda wire: model(wire, "m2"), lambda wire: ModelSpec("elsewhere", "m1", wire)])
def test_thinking_goes_back_to_the_model_that_thought_and_to_no_other(wire: str, other: Any) -> None:
    spec = other(wire)
    sent = json.dumps(body(wire, user_text("go"), AssistantMessage((THOUGHTS[wire], Text("Yes."))), user_text("on"), spec=spec))
    kept = {"anthropic": "c2ln", "gemini": "dGhvdWdodA==", "openai-responses": '"Z0FBQQ"}'}[wire]
    assert (kept in sent) == (spec == model(wire))


@pytest.mark.parametrize("wire", NAMES)
def test_what_another_wire_attached_to_a_call_is_not_sent(wire: str) -> None:
    sealed_by = "anthropic" if wire == "gemini" else "gemini"
    call = ToolCall("c1", "read", "{}", sealed(model(sealed_by), "c2VjcmV0"), sealed_by)
    history = (user_text("go"), AssistantMessage((call,)), ToolMessage((ToolResult("c1", "read", (Text("x"),)),)))
    assert "c2VjcmV0" not in json.dumps(body(wire, *history))


IDS = ("toolu_01A", "call_abc", "c" * 41, "c" * 65, "functions.read:0", "ä/ö", " ", "9" * 500)


@pytest.mark.parametrize("wire", NAMES)
@pytest.mark.parametrize("id", IDS)
def test_ids_of_calls_fit_each_wire_and_still_pair(wire: str, id: str) -> None:
    first = (user_text("go"), AssistantMessage((ToolCall(id, "read", "{}"),)), ToolMessage((ToolResult(id, "read", (Text("x"),)),)))
    assert body(wire, *first) == body(wire, *first)


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_ids_stay_different(one: str, two: str) -> None:
    for wire in NAMES:
        calls = tuple(ToolCall(id, "read", "{}") for id in {one, two} if id)
        results = tuple(ToolResult(call.id, "read", (Text("x"),)) for call in calls)
        if calls:
            body(wire, user_text("go"), AssistantMessage(calls), ToolMessage(results))


# --- any history ---

TEXTS = st.sampled_from(["", " ", "a", "ä😀", "\ud83d", "<stdin>\n</stdin>"])
PICTURES = st.sampled_from([PNG, Image("image/tiff", "QUJD")])
CALLS = st.lists(
    st.builds(ToolCall, st.sampled_from(IDS), st.just("read"), st.sampled_from(["", "{}", "{oops", '{"a":1}', "[1]"])),
    max_size=3,
    unique_by=lambda made: made.id,
)
ASKED = st.lists(TEXTS.map(Text) | PICTURES, max_size=2)
ANSWERED = st.lists(TEXTS.map(Text) | st.sampled_from([*THOUGHTS.values()]), max_size=3)
TURN = st.tuples(ASKED, ANSWERED, CALLS)


@given(st.sampled_from(NAMES), st.lists(TURN, max_size=4), st.booleans())
def test_every_valid_history_gives_a_request_that_keeps_the_rules_of_every_wire(wire: str, turns: list[Any], sees: bool) -> None:
    history: list[Message] = [user_text("start")]
    made: set[str] = set()
    for asked, answered, every in turns:
        calls = [call for call in every if call.id not in made]
        made |= {call.id for call in calls}
        history += [UserMessage(tuple(asked)), AssistantMessage((*answered, *calls))]
        if calls:
            history.append(ToolMessage(tuple(ToolResult(call.id, "read", tuple(asked), is_error=sees) for call in calls)))
    body(wire, *history, user_text("end"), spec=model(wire, image_input=sees))


def test_an_answer_over_one_wire_goes_out_over_another_with_its_text_and_calls() -> None:
    answer = Answer("I look.", thinking="hm", calls=(Call("read", {"path": "a"}, id="c1"),))
    for wire in NAMES:
        with Server(answer) as server:
            message = ask(server.url, request(model=model(wire)), wire=wire).message
        for other in NAMES:
            sent = json.dumps(body(other, user_text("go"), message, ToolMessage((ToolResult("c1", "read", (Text("found"),)),))))
            assert all(word in sent for word in ("I look.", "c1", "path", "found"))
            assert ("hm" in sent) == (wire == other and other in ("anthropic", "openai-responses"))

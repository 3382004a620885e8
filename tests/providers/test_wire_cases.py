"""One table of conversations over every wire: what leaves is pinned whole in golden/, what comes back is the same on all of them.

A body that changed on purpose is written anew with AGENTCLI_UPDATE_GOLDEN=1; read the difference before you keep it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import anthropic_wire, gemini_wire, responses_wire
from support.asking import ask, request, spec_for
from support.faults import STRANGERS
from support.server import Answer, Call, Captured, Plain, Server
from support.wires import BY_NAME, NAMES, PATHS, captured, in_lines, interleaved

from agentcli.protocol.errors import StreamBroken
from agentcli.protocol.messages import AssistantMessage, Image, Message, StopReason, Text, Thinking, ToolCall, ToolMessage, ToolResult, UserMessage
from agentcli.protocol.messages import user_text as user
from agentcli.protocol.models import ModelSpec, Quirks, Usage
from agentcli.providers.base import ServedPart, StopPart, StreamPart, TextPart, ToolSpec, UsagePart
from agentcli.providers.registry import connect
from agentcli.providers.sse import Decoder
from agentcli.providers.translate import sealed

GOLDEN = Path(__file__).parent / "golden"
UPDATE = bool(os.environ.get("AGENTCLI_UPDATE_GOLDEN"))

READ = ToolSpec("read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})
FIND = ToolSpec(
    "find",
    "Finds files.",
    {
        "type": "object",
        "properties": {"pattern": {"type": "string", "minLength": 1}, "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 9}},
        "required": ["pattern"],
        "additionalProperties": False,
    },
)
SCHEMA = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": {"type": "string"}, "maxItems": 9}, "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["files", "note"],
    "additionalProperties": False,
}
PNG = Image("image/png", "QUJD", note="a red square")
ICON = Image("image/x-icon", "QUJD", note="an icon")


def model(wire: str, **more: Any) -> ModelSpec:
    return ModelSpec("test", "m1", wire, **more)  # type: ignore[arg-type]


def thought(wire: str, text: str, signed: bool = True) -> Thinking:
    """What the test server thinks and signs on each wire."""
    seal: dict[str, str] = {
        "anthropic": anthropic_wire.SIGNATURE,
        "gemini": gemini_wire.SIGNATURE,
        "openai-responses": json.dumps(
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}], "encrypted_content": responses_wire.ENCRYPTED},
            separators=(",", ":"), ensure_ascii=False,
        ),
    }  # fmt: skip
    return Thinking(text, sealed(model(wire), seal[wire]) if signed and wire in seal else "", wire)


def call(wire: str, id: str, name: str, arguments: dict[str, Any], signed: bool = False) -> ToolCall:
    opaque = sealed(model(wire), gemini_wire.SIGNATURE) if signed and wire == "gemini" else ""
    return ToolCall(id, name, json.dumps(arguments, separators=(",", ":") if wire == "gemini" else None), opaque, wire if opaque else "")


def said(wire: str, thinking: str, *rest: Text | ToolCall) -> tuple[Text | Thinking | ToolCall, ...]:
    """An answer with thinking, whose signature Gemini puts on the first call, or after everything."""
    if wire != "gemini":
        return (thought(wire, thinking), *rest)
    unsigned = thought(wire, thinking, signed=False)
    if any(isinstance(part, ToolCall) for part in rest):
        return (unsigned, *rest)
    return (unsigned, *rest, thought(wire, ""))


@dataclass
class Case:
    """A request, what the service answers, and the message that this is. `history` and `content` are told the wire."""

    answer: Answer
    content: Any
    history: Any = (user("Read a.txt"),)
    model: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    stop: StopReason = "end"
    usage: Usage = field(default_factory=lambda: Usage(10, 5))


def results_history(wire: str) -> tuple[Message, ...]:
    return (
        user("Read a.txt and b.txt"),
        AssistantMessage((
            Text("Looking."), call(wire, "c1", "read", {"path": "a.txt"}), ToolCall("c2", "read", ""), ToolCall("c3", "read", "{oops"),
        )),
        ToolMessage((
            ToolResult("c1", "read", (Text("one\ntwo"),)),
            ToolResult("c2", "read", ()),
            ToolResult("c3", "read", (Text("the arguments are no JSON"),), is_error=True),
        )),
        user("And now?"),
    )  # fmt: skip


def signed_history(wire: str) -> tuple[Message, ...]:
    """What a model thought goes back to it, at its place."""
    first = said(wire, "Look first.", Text("I look."), call(wire, "c1", "read", {"path": "a"}, signed=True), call(wire, "c2", "read", {"path": "b"}))
    results = ToolMessage((ToolResult("c1", "read", (Text("A"),)), ToolResult("c2", "read", (Text("B"),))))
    return user("Go"), AssistantMessage(first, "tool_calls"), results, AssistantMessage(said(wire, "Done.", Text("A and B.")), "end"), user("Thanks")


def images_history(wire: str) -> tuple[Message, ...]:
    return (
        UserMessage((Text("What is this?"), PNG, ICON)),
        AssistantMessage((call(wire, "c1", "read", {"path": "b.png"}),)),
        ToolMessage((ToolResult("c1", "read", (Text("a picture"), PNG)),)),
    )


def long_history(wire: str) -> tuple[Message, ...]:
    turns: list[Message] = []
    for number in range(6):
        name = f"c{number}"
        turns += [
            user(f"Question {number}: " + "ünïcödé 😀\u2028 " * 20),
            AssistantMessage((Text("I look."), call(wire, name, "read", {"path": f"{number}.txt"}))),
            ToolMessage((ToolResult(name, "read", (Text(f"line {number}\n" * 20),)),)),
            AssistantMessage((Text(f"Answer {number}."),), "end"),
        ]
    return (*turns, user("And the last?"))


CASES = {
    "text": Case(Answer("Hello there."), (Text("Hello there."),), asked={"system": "Be brief.", "max_tokens": 500}),
    "reasoning": Case(
        Answer("Two lines.", thinking="Count them."),
        lambda wire: said(wire, "Count them.", Text("Two lines.")),
        model={"effort": ("low", "high")},
    ),
    "one tool": Case(
        Answer("I read it.", calls=(Call("read", {"path": "a.txt"}, id="c1"),)),
        lambda wire: (Text("I read it."), call(wire, "c1", "read", {"path": "a.txt"})),
        asked={"tools": (READ, FIND)},
        stop="tool_calls",
    ),
    "parallel tools": Case(
        Answer(thinking="Both.", calls=(Call("read", {"path": "a"}, id="c1"), Call("read", {"path": "b"}, id="c2"))),
        lambda wire: said(wire, "Both.", call(wire, "c1", "read", {"path": "a"}, signed=True), call(wire, "c2", "read", {"path": "b"})),
        model={"effort": ("low",)},
        asked={"tools": (READ,)},
        stop="tool_calls",
    ),
    "tool results": Case(Answer("Fine."), (Text("Fine."),), results_history, asked={"tools": (READ,)}),
    "thinking goes back": Case(Answer("Bye."), (Text("Bye."),), signed_history, model={"effort": ("low",)}, asked={"tools": (READ,)}),
    "long": Case(Answer("Long. " * 500), (Text("Long. " * 500),), long_history, asked={"system": "Be brief.", "tools": (READ,)}),
    "images": Case(Answer("A square."), (Text("A square."),), images_history, model={"image_input": True}),
    "images without eyes": Case(Answer("A square?"), (Text("A square?"),), images_history),
    "effort": Case(Answer("Deep."), (Text("Deep."),), model={"effort": ("low", "high"), "output": 64_000}, asked={"effort": "high"}),
    "effort as a budget": Case(
        Answer("Deep."), (Text("Deep."),),
        model={"effort": ("low", "high"), "quirks": Quirks(effort_as="budget")}, asked={"effort": "high", "max_tokens": 16_000},
    ),
    "usage": Case(
        Answer("Counted.", usage=Usage(40, 30, 60, reasoning=5)), (Text("Counted."),), usage=Usage(40, 30, 60, reasoning=5),
    ),
    "schema": Case(Answer('{"files": [], "note": null}'), (Text('{"files": [], "note": null}'),), asked={"schema": SCHEMA}),
    "schema beside tools": Case(
        Answer('{"files": [], "note": null}'), (Text('{"files": [], "note": null}'),),
        model={"quirks": Quirks(json_schema="without_tools")}, asked={"schema": SCHEMA, "tools": (READ,)},
    ),
    "length": Case(Answer("Cut o", stop="length"), (Text("Cut o"),), stop="length"),
    "refusal": Case(Answer(refusal="I will not."), (Text("I will not."),), stop="refusal"),
    "filter": Case(Answer("Some ", stop="content_filter"), (Text("Some "),), stop="content_filter"),
}  # fmt: skip

OTHER_STOPS: dict[tuple[str, str], StopReason] = {("gemini", "refusal"): "content_filter", ("anthropic", "filter"): "refusal"}
"""Wires that know no refusal, or call each filter one."""


def history(case: Case, wire: str) -> tuple[Message, ...]:
    found: tuple[Message, ...] = case.history(wire) if callable(case.history) else case.history
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wire", NAMES)
def test_a_case_leaves_as_pinned_and_comes_back_as_the_same_message(wire: str, name: str) -> None:
    case = CASES[name]
    asked = request(model=model(wire, **case.model), messages=history(case, wire), **case.asked)
    with Server(case.answer) as server:
        found = ask(server.url, asked, wire=wire)
    assert found.error is None
    content = case.content(wire) if callable(case.content) else case.content
    assert found.message == AssistantMessage(content, OTHER_STOPS.get((wire, name), case.stop))
    assert [part for part in found.parts if isinstance(part, UsagePart)][-1] == UsagePart(case.usage)
    assert found.parts.count(ServedPart("m1")) == 1
    (sent,) = server.requests
    assert (sent.method, sent.path) == ("POST", PATHS[wire])
    check_golden(wire, name, sent)


def check_golden(wire: str, name: str, sent: Captured) -> None:
    path = GOLDEN / wire / f"{name.replace(' ', '_')}.json"
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sent.body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.dumps(sent.body) == json.dumps(json.loads(path.read_text(encoding="utf-8"))), "see AGENTCLI_UPDATE_GOLDEN above"


def test_no_golden_body_is_left_over() -> None:
    expected = {f"{wire}/{name.replace(' ', '_')}.json" for wire in NAMES for name in CASES}
    assert {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.json")} == expected


@pytest.mark.parametrize("wire", NAMES)
def test_long_texts_pass_whole_in_both_directions(wire: str) -> None:
    text = "Ünïcödé 😀 \u2028 " * 20_000
    with Server(Answer((text, text))) as server:
        found = ask(server.url, request(text), wire=wire)
    assert found.message.text() == text + text
    assert json.dumps(text)[1:-1] in json.dumps(server.requests[0].body)


@pytest.mark.parametrize("wire", NAMES)
def test_a_whole_answer_where_a_stream_was_asked_for_is_taken(wire: str) -> None:
    answer = Answer("hello", thinking="hm", calls=(Call("read", {"path": "a"}, id="c1"),), usage=Usage(7, 3), served="m1-0801")
    asked = request(model=model(wire, effort=("low",)), tools=(READ,))
    with Server(answer.sent(whole=True), answer) as server:
        whole, streamed = ask(server.url, asked, wire=wire), ask(server.url, asked, wire=wire)
    assert (whole.error, streamed.error) == (None, None)
    if wire == "openai-chat":  # whole completions of this wire bring no reasoning
        streamed.parts = [part for part in streamed.parts if type(part).__name__ != "ThinkingPart"]
    assert plain(whole.message) == plain(streamed.message)
    assert [part for part in whole.parts if isinstance(part, ServedPart | UsagePart | StopPart)] == [
        ServedPart("m1-0801"), UsagePart(Usage(7, 3)), StopPart("tool_calls"),
    ]  # fmt: skip


@pytest.mark.parametrize("wire", NAMES)
def test_a_whole_answer_without_a_finish_reason_is_not_done(wire: str) -> None:
    with Server(Answer("hello", finish=False).sent(whole=True)) as server:
        found = ask(server.url, wire=wire)
    assert isinstance(found.error, StreamBroken)


def plain(message: AssistantMessage) -> list[Any]:
    """The content, with white space in arguments as nobody cares for it."""
    return [
        ToolCall(part.id, part.name, json.dumps(json.loads(part.arguments)), part.opaque, part.wire) if isinstance(part, ToolCall) else part
        for part in message.content
    ]


# --- calls of odd forms ---


@pytest.mark.parametrize("wire", NAMES)
def test_calls_without_an_id_and_with_the_same_id_get_ids_of_their_own(wire: str) -> None:
    answer = Answer(calls=(Call("read", {"path": "a"}, id="same"), Call("read", {"path": "b"}, id="same"), Call("find", {})))
    with Server(answer) as server:
        found = ask(server.url, wire=wire)
    calls = found.message.calls()
    assert len({made.id for made in calls if made.id}) == 3
    assert [(made.name, json.loads(made.arguments)) for made in calls] == [("read", {"path": "a"}), ("read", {"path": "b"}), ("find", {})]


@pytest.mark.parametrize("wire", [name for name in NAMES if name != "gemini"])
@pytest.mark.parametrize("arguments", ["{oops", '"text"', "[1]", ""])
def test_arguments_that_are_no_object_come_as_they_are_and_go_back_inside_one(wire: str, arguments: str) -> None:
    with Server(Answer(calls=(Call("read", arguments, id="c1"),)), Answer("ok")) as server:
        first = ask(server.url, wire=wire).message
        again = (user("go"), first, ToolMessage((ToolResult("c1", "read", (Text("no"),), is_error=True),)))
        second = ask(server.url, request(messages=again), wire=wire)
    assert first.calls()[0].arguments == arguments
    assert second.error is None


# --- however it is spelled and cut ---

LONG = Answer(
    text="Ünïcödé 😀 and a line\u2028separator. " * 4,
    thinking="Let me see… 思考",
    calls=(Call("read", {"path": "ä/😀.txt"}, id="c1"), Call("bash", {"command": "echo 'x\n'"}, id="c2")),
    usage=Usage(40, 30, 60, reasoning=5),
    served="m1-0801",
)
SPELLINGS: tuple[dict[str, Any], ...] = (
    {"chunk": 1}, {"chunk": 3}, {"chunk": 11}, {"chunk": 4096}, {"newline": b"\r\n"}, {"newline": b"\r\n", "chunk": 1}, {"newline": b"\r"},
    {"bom": True}, {"bom": True, "chunk": 1}, {"noise": True}, {"noise": True, "newline": b"\r\n", "chunk": 7}, {"done": False},
    {"done": False, "cut_after": 10**9, "ending": "close"},
)  # fmt: skip


@pytest.mark.parametrize("how", SPELLINGS, ids=str)
@pytest.mark.parametrize("wire", NAMES)
def test_however_the_stream_is_cut_and_spelled_the_parts_are_the_same(wire: str, how: dict[str, Any]) -> None:
    with Server(LONG.sent(**how), LONG) as server:
        found, whole = ask(server.url, wire=wire), ask(server.url, wire=wire)
    assert (found.error, whole.error) == (None, None)
    assert found.parts == whole.parts
    assert found.message.text() == LONG.text


def read(wire: str, chunks: list[bytes]) -> list[StreamPart]:
    """The parts of a stream, without HTTP."""
    provider: Any = connect(spec_for("http://127.0.0.1:1/v1", wire=wire))
    state, decoder = provider.begin(request(model=model(wire))), Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.flush()
    return [part for event in events if not event.data.startswith(b"[DONE]") for part in provider.parts(event, state)]


@given(st.sampled_from(NAMES), st.lists(st.integers(0, 9000), max_size=40))
def test_any_cut_of_the_bytes_gives_the_same_parts(wire: str, cuts: list[int]) -> None:
    stream = b"".join(BY_NAME[wire].events(LONG, captured(wire)))
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read(wire, pieces) == read(wire, [stream])


@pytest.mark.parametrize("wire", NAMES)
def test_unknown_events_and_fields_are_passed_over(wire: str) -> None:
    with Server(LONG.sent(insert=STRANGERS), LONG) as server:
        found, whole = ask(server.url, wire=wire), ask(server.url, wire=wire)
    assert found.error is None
    assert found.parts == whole.parts


@pytest.mark.parametrize("wire", NAMES)
def test_events_whose_data_is_many_lines_are_the_same_events(wire: str) -> None:
    stream = in_lines(BY_NAME[wire].events(LONG, captured(wire)))
    with Server(Plain(200, stream, {"content-type": "text/event-stream"}), LONG) as server:
        found, whole = ask(server.url, wire=wire), ask(server.url, wire=wire)
    assert found.parts == whole.parts


@pytest.mark.parametrize("wire", NAMES)
def test_blocks_whose_pieces_come_in_turn_are_put_together_each_from_its_own(wire: str) -> None:
    stream = interleaved(BY_NAME[wire].events(LONG, captured(wire)))
    with Server(Plain(200, stream, {"content-type": "text/event-stream"}), LONG) as server:
        found, whole = ask(server.url, wire=wire), ask(server.url, wire=wire)
    assert (found.error, found.message.stop) == (None, "tool_calls")
    assert found.message.calls() == whole.message.calls()
    assert "".join(part.text for part in found.parts if isinstance(part, TextPart)) == LONG.text


@pytest.mark.parametrize("wire", NAMES)
def test_a_line_of_a_megabyte_is_one_event(wire: str) -> None:
    text = "x" * 1_000_000
    with Server(Answer((text,)).sent(chunk=50_000)) as server:
        found = ask(server.url, wire=wire)
    assert found.message.text() == text
    assert found.parts.count(TextPart(text)) == 1


@pytest.mark.parametrize("wire", NAMES)
def test_an_answer_of_nothing_is_whole_when_it_says_so(wire: str) -> None:
    with Server(Answer()) as server:
        found = ask(server.url, wire=wire)
    assert (found.error, found.message) == (None, AssistantMessage((), "end"))

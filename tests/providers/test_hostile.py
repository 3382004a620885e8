"""Whatever bytes a service sends, on every wire: an answer or an error of ours, never another exception; and the same answer however it is cut."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.asking import request, spec_for
from support.server import Answer, Call
from support.wires import BY_NAME, NAMES, captured

from agentcli.protocol.errors import ProviderError
from agentcli.protocol.models import ModelSpec, Usage
from agentcli.providers.answering import finish
from agentcli.providers.base import Merge, StreamPart
from agentcli.providers.registry import connect
from agentcli.providers.sse import Decoder, SSEvent

WHOLE = Answer(
    "Some text.",
    thinking="Some thought.",
    calls=(Call("read", {"path": "a"}, id="c1"), Call("bash", {"command": "ls"}, id="c2")),
    usage=Usage(40, 30, 60, reasoning=5),
    refusal="No.",
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(["", "x", "12", "0", "error", "\ud83d", "message"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "id", "name", "error", "x"]), inner, max_size=2),
    max_leaves=4,
)


def read(wire: str, chunks: list[bytes], *, whole: bool = False) -> list[StreamPart]:
    """The parts of a stream, without HTTP. Raises ProviderError."""
    provider: Any = connect(spec_for("http://127.0.0.1:1/v1", wire=wire))
    state, decoder = provider.begin(request(model=ModelSpec("test", "m1", wire))), Decoder()  # type: ignore[arg-type]
    events = [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.flush()
    found: list[StreamPart] = []
    for event in [SSEvent(chunks[0], whole=True)] if whole else events:
        if not event.data.startswith(b"[DONE]"):
            found += provider.parts(event, state)
    return found + finish(state)


def paths(value: Any) -> list[list[Any]]:
    """The place of every value within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [[]] + [[key, *path] for key, below in inner for path in paths(below)]


def spoiled(document: Any, place: int, odd: Any) -> Any:
    """The document with one value, wherever it stands, replaced."""
    every = paths(document)
    path = every[place % len(every)]
    if not path:
        return odd
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = odd
    return document


def spoiled_event(event: bytes, place: int, odd: Any) -> bytes:
    head, mark, data = event.partition(b"data: ")
    return head + mark + json.dumps(spoiled(json.loads(data), place, odd)).encode() + b"\n\n"


def read_or_refused(wire: str, chunks: list[bytes], *, whole: bool = False) -> None:
    merge = Merge(wire)
    try:
        for part in read(wire, chunks, whole=whole):
            merge.feed(part)
    except ProviderError as error:
        assert error.line()
        assert "\n" not in error.line()
        return
    merge.message()
    merge.usage.priced(None)


@settings(max_examples=200)
@given(st.sampled_from(NAMES), st.integers(0, 40), st.integers(0, 60), ODD)
def test_an_event_with_any_value_at_any_place_is_read_or_refused(wire: str, which: int, place: int, odd: Any) -> None:
    events = BY_NAME[wire].events(WHOLE, captured(wire))
    which %= len(events)
    events[which] = spoiled_event(events[which], place, odd)
    read_or_refused(wire, events)


@given(st.sampled_from(NAMES), st.integers(0, 60), ODD)
def test_a_document_with_any_value_at_any_place_is_read_or_refused(wire: str, place: int, odd: Any) -> None:
    document = json.loads(json.dumps(BY_NAME[wire].document(WHOLE, captured(wire))))
    read_or_refused(wire, [json.dumps(spoiled(document, place, odd)).encode()], whole=True)


BYTES = st.binary(max_size=30) | st.sampled_from([b"data: {}\n\n", b"data: [DONE]\n\n", b"data: null\n\n", b"event: error\n", b"\n", b"\r"])


@given(st.sampled_from(NAMES), st.lists(BYTES))
def test_any_bytes_are_read_or_refused(wire: str, chunks: list[bytes]) -> None:
    read_or_refused(wire, chunks)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANSWERS = st.builds(
    lambda text, thinking, arguments: Answer(
        text, thinking=thinking, calls=tuple(Call("bash", {"command": word}, id=f"c{number}") for number, word in enumerate(arguments))
    ),
    TEXT, TEXT, st.lists(TEXT, max_size=3),
)  # fmt: skip


@given(st.sampled_from(NAMES), ANSWERS, st.sampled_from([1, 3, 11]), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_any_answer_in_chunks_of_1_3_or_11_bytes_is_the_same_answer(wire: str, answer: Answer, size: int, newline: bytes, bom: bool) -> None:
    plain = b"".join(BY_NAME[wire].events(answer, captured(wire)))
    stream = b"\xef\xbb\xbf" * bom + plain.replace(b"\n", newline)
    parts = read(wire, [stream[at : at + size] for at in range(0, len(stream), size)])
    assert parts == read(wire, [plain])
    merge = Merge(wire)
    for part in parts:
        merge.feed(part)
    message = merge.message()
    assert message.text() == answer.text
    assert [(call.id, json.loads(call.arguments)) for call in message.calls()] == [(call.id, call.arguments) for call in answer.calls]

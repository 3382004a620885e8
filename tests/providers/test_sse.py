"""The event grammar, against a table and against httpx-sse; and that no cut of the bytes changes anything."""

from __future__ import annotations

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from agentcli.providers import sse
from agentcli.providers.sse import Decoder, EventTooLarge, SSEvent


def events(*chunks: bytes) -> list[SSEvent]:
    decoder = Decoder()
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    return found + decoder.flush()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [SSEvent(b"a"), SSEvent(b"b")]),
        (b"data:a\n\n", [SSEvent(b"a")]),
        (b"data:  a\n\n", [SSEvent(b" a")]),
        (b"data: a\r\n\r\ndata: b\r\r", [SSEvent(b"a"), SSEvent(b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SSEvent(b"a")]),
        (b"data: one\ndata: two\n\n", [SSEvent(b"one\ntwo")]),
        (b"event: ping\ndata: {}\n\n", [SSEvent(b"{}", "ping")]),
        (b": comment\n\ndata: a\n\n", [SSEvent(b"a")]),
        (b": comment\ndata: a\nid: 7\nretry: 10\nelse: x\n\n", [SSEvent(b"a")]),
        (b"event: nothing\n\ndata: a\n\n", [SSEvent(b"a")]),
        (b"\n\n\n\ndata: a\n\n\n\n", [SSEvent(b"a")]),
        (b"data\n\ndata: a\n\n", [SSEvent(b"a")]),
        (b"data: a", [SSEvent(b"a")]),
        (b"data: a\n", [SSEvent(b"a")]),
        ("data: a\u2028b\x0bc\x0cd\x85\n\n".encode(), [SSEvent("a\u2028b\x0bc\x0cd\x85".encode())]),
        (b"", []),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_event_streams_are_read_as_the_grammar_says(stream: bytes, expected: list[SSEvent]) -> None:
    assert events(stream) == expected


FIELD = st.sampled_from(
    ["data: x", "data:", 'data: {"a": 1}', "data: é😀\u2028", "event: e", ": c", "id: 1", "retry: 5", "other: y", "data", " data: z", ""]
)
LINES = st.lists(st.tuples(FIELD, st.sampled_from(["\n", "\r\n", "\r"])), max_size=30)


def reference(stream: bytes) -> list[SSEvent]:
    response = httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=stream)
    return [SSEvent(found.data.encode(), found.event) for found in EventSource(response).iter_sse() if found.data]


def spelled(lines: list[tuple[str, str]]) -> bytes:
    return "".join(field + end for field, end in lines).encode()


@given(LINES)
def test_any_stream_of_whole_events_gives_what_httpx_sse_gives(lines: list[tuple[str, str]]) -> None:
    stream = spelled(lines) + b"\n\n"
    assert events(stream) == reference(stream)


@given(LINES, st.lists(st.integers(0, 200), max_size=20))
def test_no_cut_of_the_bytes_changes_the_events(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    stream = spelled(lines)
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert events(*pieces) == events(stream)


@given(LINES)
def test_a_chunk_of_each_byte_alone_changes_nothing(lines: list[tuple[str, str]]) -> None:
    stream = spelled(lines)
    assert events(*(stream[at : at + 1] for at in range(len(stream)))) == events(stream)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_empty_lines_that_come_alone_are_no_events(end: bytes) -> None:
    assert events(b"data: a" + end + end, end, end, end, b"data: b" + end, end, end) == [SSEvent(b"a"), SSEvent(b"b")]


def test_a_line_of_one_megabyte_in_small_chunks_is_one_event() -> None:
    data = b"x" * 1_000_000
    stream = b"data: " + data + b"\n\n"
    assert events(*(stream[at : at + 1000] for at in range(0, len(stream), 1000))) == [SSEvent(data)]


def test_an_event_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 1000)
    decoder = Decoder()
    decoder.feed(b"data: " + b"x" * 900)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"x" * 200)

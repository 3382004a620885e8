"""Tool calls in pieces, in every spelling that compatible services were seen to use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentcli.protocol.messages import ToolCall
from agentcli.providers.base import CallPart, Merge, StopPart
from agentcli.providers.call_pieces import CallPieces

Piece = tuple[int | None, str, str, str]


def fresh() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"new{number}"


def calls(*pieces: Piece) -> list[tuple[str, str, str]]:
    """The calls that the pieces make: id, name, arguments. Also checks the contract: id and name come with a call's first part."""
    ids = fresh()
    assembly = CallPieces(new_id=lambda: next(ids))
    merge = Merge()
    seen: set[int] = set()
    for piece in pieces:
        for part in assembly.feed(*piece):
            assert bool(part.id and part.name) == (part.index not in seen)
            seen.add(part.index)
            merge.feed(part)
    merge.feed(StopPart("tool_calls"))
    return [(call.id, call.name, call.arguments) for call in merge.message().content if isinstance(call, ToolCall)]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(
            [(0, "a", "read", ""), (0, "", "", '{"p"'), (0, "", "", ":1}"), (1, "b", "ls", ""), (1, "", "", "{}")],
            [("a", "read", '{"p":1}'), ("b", "ls", "{}")],
            id="as OpenAI sends them",
        ),
        pytest.param(
            [(0, "a", "read", ""), (1, "b", "ls", ""), (0, "", "", '{"p"'), (1, "", "", "{"), (0, "", "", ":1}"), (1, "", "", "}")],
            [("a", "read", '{"p":1}'), ("b", "ls", "{}")],
            id="interleaved",
        ),
        pytest.param(
            [(None, "a", "read", '{"p":1}'), (None, "b", "ls", "{}")],
            [("a", "read", '{"p":1}'), ("b", "ls", "{}")],
            id="whole calls, no index",
        ),
        pytest.param(
            [(None, "a", "read", ""), (None, "", "", '{"p"'), (None, "", "", ":1}"), (None, "b", "ls", ""), (None, "", "", "{}")],
            [("a", "read", '{"p":1}'), ("b", "ls", "{}")],
            id="pieces without index or id",
        ),
        pytest.param(
            [(None, "a", "read", ""), (None, "b", "ls", ""), (None, "a", "", '{"p":1}'), (None, "b", "", "{}")],
            [("a", "read", '{"p":1}'), ("b", "ls", "{}")],
            id="no index, each piece with its id",
        ),
        pytest.param(
            [(0, "a", "read", '{"p":1}'), (0, "b", "ls", "{}")],
            [("a", "read", '{"p":1}'), ("b", "ls", "{}")],
            id="index 0 for every call",
        ),
        pytest.param(
            [(0, "a", "read", ""), (0, "", "", '{"p":1}'), (0, "b", "ls", ""), (0, "", "", "{}")],
            [("a", "read", '{"p":1}'), ("b", "ls", "{}")],
            id="index 0 for every call, in pieces",
        ),
        pytest.param(
            [(0, "", "read", '{"p":1}'), (0, "", "ls", "{}")],
            [("new1", "read", '{"p":1}'), ("new2", "ls", "{}")],
            id="index 0 for every call, no ids",
        ),
        pytest.param(
            [(0, "a", "read", '{"p"'), (0, "a", "read", ":1"), (0, "a", "read", "}")],
            [("a", "read", '{"p":1}')],
            id="id and name repeated in each piece",
        ),
        pytest.param(
            [(0, "x1", "read", '{"p"'), (0, "x2", "", ":1"), (0, "x3", "", "}")],
            [("x1", "read", '{"p":1}')],
            id="a new id for each piece",
        ),
        pytest.param(
            [(0, "", "read", '{"p"'), (0, "late", "", ":1}")],
            [("new1", "read", '{"p":1}')],
            id="id late: ours stands, for the service only needs it to pair",
        ),
        pytest.param([(0, "a", "", '{"p"'), (0, "", "read", ":1}")], [("a", "read", '{"p":1}')], id="name late"),
        pytest.param(
            [(0, "a", "read", ""), (1, "", "", '{"p"'), (2, "", "", ":1}")],
            [("a", "read", '{"p":1}')],
            id="an index that counts pieces",
        ),
        pytest.param(
            [(0, "a", "read", '{"p":1}'), (0, "a", "read", '{"p":1}')],
            [("a", "read", '{"p":1}')],
            id="a whole call said twice",
        ),
        pytest.param(
            [(0, "a", "read", '{"p":1}'), (1, "a", "read", '{"p":2}')],
            [("a", "read", '{"p":1}'), ("new1", "read", '{"p":2}')],
            id="two calls with one id",
        ),
        pytest.param([(7, "a", "read", "{}")], [("a", "read", "{}")], id="the first index is not 0"),
        pytest.param([(0, "a", "read", "")], [("a", "read", "")], id="no arguments at all"),
        pytest.param([(0, "a", "read", "{oops")], [("a", "read", "{oops")], id="arguments that are no JSON stay as they are"),
    ],
)
def test_pieces_become_the_calls_that_were_meant(pieces: list[Piece], expected: list[tuple[str, str, str]]) -> None:
    assert calls(*pieces) == expected


def test_a_call_that_is_never_named_is_told() -> None:
    assembly = CallPieces()
    assert assembly.feed(0, "a", "", "{}") == []
    assert assembly.nameless


def test_what_belongs_to_a_call_comes_with_it() -> None:
    assembly = CallPieces()
    assert assembly.feed(0, "a", "read", "{}", "signature") == [CallPart(0, "a", "read", "{}", "signature")]

"""Where a growing answer may be cut: blocks that nothing written later changes, the same however the text came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcli.ui.boundaries import Splitter, blocks_of

LINES = st.sampled_from([
    "", "", " ", "word", "two words", "# Head", "---", "===", "- item", "* item", "1. first", "2. second", "  under", "    deep", "\tdeep",
    "```", "```py", "~~~", "````", "  ```", "    ```", "| a | b |", "|---|---|", "> quote", "x ```y``` z", "a\x1b[31mb", "c\r", "d\u202e", "10) ten",
])  # fmt: skip
TEXTS = st.lists(LINES, max_size=14).map("\n".join)


@given(TEXTS, st.lists(st.integers(0, 120), max_size=8))
def test_any_cut_into_pieces_gives_the_blocks_of_the_whole_text(text: str, cuts: list[int]) -> None:
    splitter, at, blocks = Splitter(), 0, []
    for cut in [*sorted(cuts), len(text)]:
        blocks += splitter.feed(text[at:cut])
        at = max(at, cut)
    assert [*blocks, *splitter.finish()] == blocks_of(text)


@given(TEXTS)
def test_no_line_is_lost_and_none_comes_twice(text: str) -> None:
    """But for empty lines between blocks, blanks at the end, and what no terminal may see."""
    from agentcli.protocol.text import clean

    kept = [line.strip() for block in blocks_of(text) for line in block.split("\n") if line.strip()]
    assert kept == [line.strip() for line in clean(text).split("\n") if line.strip()]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "three"]),
        ("\n\n\nlate start\n\n\n", ["late start"]),
        ("# Head\ntext\n## Next\n", ["# Head", "text", "## Next"]),
        ("Title\n=====\ntext", ["Title\n=====", "text"]),
        ("a\n\n---\n\nb", ["a", "---", "b"]),
        ("Do:\n- a\n- b\n\n- c\n\nthen", ["Do:", "- a\n- b\n\n- c", "then"]),
        ("1. a\n\n   more of a\n\n2. b\nlazy\n\nend", ["1. a\n\n   more of a\n\n2. b\nlazy", "end"]),
        ("In 1990\n1. this begins\n", ["In 1990", "1. this begins"]),
        ("The year was\n1990. A good one\n", ["The year was\n1990. A good one"]),
        ("```py\na\n\n# no head\n- no list\n```\nafter", ["```py\na\n\n# no head\n- no list\n```", "after"]),
        ("````\n```\n````\nx", ["````\n```\n````", "x"]),
        ("text\n```\ncode\n```", ["text", "```\ncode\n```"]),
        ("- a\n\n  ```\n  code\n\n  more\n  ```\n- b\n\nx", ["- a\n\n  ```\n  code\n\n  more\n  ```\n- b", "x"]),
        ("- a\n```\ncode\n```\n", ["- a", "```\ncode\n```"]),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n\nx", ["| a | b |\n|---|---|\n| 1 | 2 |", "x"]),
        ("x\n\n    code\n\n    more\n\ny", ["x", "    code\n\n    more", "y"]),
        ("before```py\nprint(1)after", ["before```py\nprint(1)after"]),
        ("```py\nnever closed", ["```py\nnever closed"]),
    ],
)
def test_blocks(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


def test_a_block_comes_as_soon_as_it_is_surely_over_and_the_rest_stays_live() -> None:
    splitter = Splitter()
    assert (splitter.feed("A para"), splitter.live) == ([], "A para")
    assert (splitter.feed("graph.\n"), splitter.live) == ([], "A paragraph.")
    assert (splitter.feed("\n```sh\nls"), splitter.live) == (["A paragraph."], "```sh\nls")
    assert (splitter.feed("\n\n``"), splitter.live) == ([], "```sh\nls\n\n``")
    assert (splitter.feed("`\n- a"), splitter.live) == (["```sh\nls\n\n```"], "- a")
    assert splitter.finish() == ["- a"]


def test_half_an_escape_sequence_is_never_shown_as_one() -> None:
    splitter = Splitter()
    splitter.feed("a\x1b")
    splitter.feed("[2Jb\x9b")
    assert splitter.live == "ab"
    assert splitter.finish() == ["ab‹U+009B›"]

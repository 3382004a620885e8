from __future__ import annotations

import json

import pytest

from agentcli.protocol.events import Envelope, Notice, decode
from agentcli.protocol.jsonline import json_line


def test_plain_data_is_one_line_that_reads_back_the_same() -> None:
    value = {"text": "a\nb\tc", "number": 2**80, "none": None, "list": [1.5, True]}
    line = json_line(value)
    assert b"\n" not in line
    assert json.loads(line) == value


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x9b", "\x7f", "\u202e", "\x1c", "\r"])
def test_what_some_reader_takes_for_a_line_break_or_a_command_is_escaped(char: str) -> None:
    line = json_line({"text": f"a{char}b"}).decode()
    assert char not in line
    assert line.splitlines() == [line]
    assert json.loads(line) == {"text": f"a{char}b"}


def test_other_letters_stay_as_they_are() -> None:
    assert json_line({"text": "naïve 日本 👋"}) == '{"text":"naïve 日本 👋"}'.encode()


def test_lone_surrogates_are_replaced_and_pairs_joined_anywhere_in_the_value() -> None:
    envelope = Envelope(1, 2.0, "s", "main", Notice(level="info", text="x\ud800 \ud83d\ude00"))
    assert decode(json_line(envelope)) == Envelope(1, 2.0, "s", "main", Notice(level="info", text="x\ufffd 😀"))
    assert json_line({"k\udc80": ["\udc80"]}) == '{"k\ufffd":["\ufffd"]}'.encode()

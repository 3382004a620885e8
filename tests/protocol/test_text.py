"""Text made harmless: every case of shared/cases/ansi_cases.jsonl, whole and cut at every place, and what the cases do not say."""

from __future__ import annotations

import json
import os
import time
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcli.protocol.text import Cleaner, cells, clean, one_line, utf8, visible

CASES = Path(os.environ.get("AGENTCLI_SHARED") or Path(__file__).resolve().parents[3] / "shared") / "cases" / "ansi_cases.jsonl"
ALL: list[dict[str, Any]] = [json.loads(line) for line in CASES.read_text("utf-8").splitlines() if line.strip()] if CASES.is_file() else []
SPLIT = "|SPLIT|"
CONTROLS = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}

needs_cases = pytest.mark.skipif(not ALL, reason=f"no cases at {CASES}: set AGENTCLI_SHARED to the folder that holds cases/")


def by_id(case: dict[str, Any]) -> str:
    return f"{case['id']} {case['name']}"


def harmless(text: str) -> bool:
    """No terminal acts on it, and it can be written."""
    text.encode("utf-8")
    return not (CONTROLS - {"\n", "\t"}) & set(text) and not any(unicodedata.bidirectional(char) in BIDI for char in text)


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def streamed(*chunks: str) -> str:
    cleaner = Cleaner()
    return "".join(cleaner.feed(chunk) for chunk in chunks) + cleaner.flush()


def test_there_are_cases_of_every_class_where_the_cases_are() -> None:
    if not ALL:
        pytest.skip(f"no cases at {CASES}")
    assert {case["class"] for case in ALL} >= {"csi", "osc", "dcs/apc", "esc/c1", "c0", "bidi", "unicode", "ui-markup"}


@needs_cases
@pytest.mark.parametrize("case", ALL, ids=by_id)
def test_a_case_leaves_no_control_character_and_the_text_around_it_visible(case: dict[str, Any]) -> None:
    text = case["input"].replace(SPLIT, "")
    shown = clean(text)
    assert harmless(shown)
    assert shown.startswith("before")
    assert shown.endswith("after\n")
    assert clean(shown) == shown


@needs_cases
@pytest.mark.parametrize("case", ALL, ids=by_id)
def test_a_case_is_shown_the_same_wherever_the_stream_is_cut(case: dict[str, Any]) -> None:
    text = case["input"].replace(SPLIT, "")
    shown = clean(text)
    assert streamed(*case["input"].split(SPLIT)) == shown
    assert streamed(*text) == shown
    for cut in range(len(text) + 1):
        assert streamed(text[:cut], text[cut:]) == shown, cut


@needs_cases
@pytest.mark.parametrize("case", [case for case in ALL if case["class"] in ("bidi", "unicode", "esc/c1", "csi")], ids=by_id)
def test_a_case_is_shown_escaped_where_a_person_decides(case: dict[str, Any]) -> None:
    shown = visible(case["input"].replace(SPLIT, ""))
    assert harmless(shown)
    assert "‹" in shown
    assert shown.startswith("before")
    assert shown.endswith("after\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("a\x1b]0;title\x07b", "a␛]0;title␇b"),
        ("a\x9b31mb", "ab"),
        ("a\x9d0;t\x9cb", "a‹U+009D›0;t‹U+009C›b"),
        ("10%\r20%\r\ndone\r\r\n", "10%\n20%\ndone\n"),
        ("a\x1b[3", "a␛[3"),
        ("a\x1b[" + "1;" * 40 + "mb", "a␛[" + "1;" * 40 + "mb"),
        ("a\x00\x08\x7f", "a␀␈␡"),
        ("a\u202eb", "a‹U+202E›b"),
        ("a\u2028b", "a‹U+2028›b"),
        ("a\u200db 👨‍👩‍👧 ❤️‍🔥 می‌خواهم", "a‹U+200D›b 👨‍👩‍👧 ❤️‍🔥 می‌خواهم"),
        ("é" + "\u0301" * 20 + "x", "é" + "\u0301" * 8 + "…x"),
        ("e\u0301te\u0301", "e\u0301te\u0301"),
        ("\ud83d\ude00 \ud800", "😀 \ufffd"),
        ("日本語 naïve — “quoted”", "日本語 naïve — “quoted”"),
    ],
)
def test_clean_shows_what_was_there_and_nothing_else(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert streamed(*text) == shown


def test_without_newlines_breaks_and_tabs_are_one_space() -> None:
    assert clean("a\r\n\n\tb\x1b[0m", keep_newlines=False) == "a b"


AWKWARD = st.text(st.sampled_from("ab\x1b[]0;m1\r\n\t\x07\x9b\u202e\u200d\ufe0f\u0301é❤\ud83d\ude00\ud800(?é"), max_size=40)


@given(AWKWARD, st.lists(st.integers(0, 40), max_size=6))
def test_any_text_is_harmless_and_the_same_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})
    chunks = [text[start:end] for start, end in pairwise(places)]
    assert streamed(*chunks) == clean(text)
    assert harmless(clean(text))
    assert clean(clean(text)) == clean(text)
    assert harmless(visible(text))


def test_a_cleaner_holds_back_no_more_than_a_started_sequence() -> None:
    cleaner = Cleaner()
    assert cleaner.feed("shown at once") == "shown at once"
    assert cleaner.feed("this too\x1b[3") == "this too"
    assert cleaner.feed("1mred") == "red"
    assert cleaner.feed("\x1b]0;never ended " + "x" * 500) == "␛]0;never ended " + "x" * 500
    assert cleaner.flush() == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git commit -m 'fix: naïve — 修正 …'\n\tx", "git commit -m 'fix: naïve — 修正 …'\n\tx"),
        ("rm\u200b -rf\xa0x", "rm‹U+200B› -rf‹U+00A0›x"),
        ("cаt Москва", "c‹U+0430›t Москва"),
        ("rm ‐rf ＡＢ", "rm ‹U+2010›rf ‹U+FF21›‹U+FF22›"),
        ("ls" + " " * 200 + "; rm x", "ls‹200 spaces›; rm x"),
        ("ls" + "\n" * 30 + "rm x", "ls\n‹29 empty lines›\nrm x"),
        ("a\x1b[8mb\r", "a‹U+001B›[8mb‹U+000D›"),
        ("\udcff\ud83d\ude00", "‹U+DCFF›😀"),
        ("a" + "\u0301" * 12, "a" + "\u0301" * 8 + "‹4 more marks›"),
    ],
)
def test_visible_hides_nothing_from_the_person_who_decides(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_line_fits_the_cells_it_is_given() -> None:
    assert one_line("  git\n status\x1b[0m  ", 40) == "git status"
    assert one_line("日本語日本語", 7) == "日本語…"
    assert one_line("x" * 1_000_000, 5) == "xxxx…"
    assert (one_line("abc", 3), one_line("abcd", 3), one_line("abcd", 0)) == ("abc", "ab…", "")
    assert [cells(text) for text in ("abc", "日本", "e\u0301", "")] == [3, 4, 1, 0]


def test_utf8_joins_pairs_and_replaces_lone_surrogates() -> None:
    assert utf8("a\ud83d\ude00b\ud800c\udc00") == "a😀b\ufffdc\ufffd"
    assert utf8("plain é 日") == "plain é 日"


def test_five_thousand_small_deltas_cost_a_few_milliseconds() -> None:
    cleaner = Cleaner()
    deltas = [f"wort {number}, 日本\n" for number in range(5_000)]
    start = time.perf_counter()
    out = "".join([cleaner.feed(delta) for delta in deltas])
    spent = time.perf_counter() - start
    assert out == "".join(deltas)
    assert spent < 0.05

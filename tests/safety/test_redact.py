"""Keys never come through: known ones by value, others by shape; everything else does."""

from __future__ import annotations

import pytest

from agentcli.protocol.secrets import Secret
from agentcli.safety.redact import Redactor, known_out


def test_known_values_are_replaced_also_inside_words_urls_and_json() -> None:
    redact = Redactor([Secret("hunter2-hunter2"), "p@ss/w+rd", 'quo"ted\\key', Secret(" spaced-key \n")])
    text = 'a=hunter2-hunter2b p@ss/w+rd ?k=p%40ss%2Fw%2Brd {"k": "quo\\"ted\\\\key"} spaced-key'
    assert redact(text) == 'a=***b *** ?k=*** {"k": "***"} ***'


def test_short_and_empty_values_are_left_alone() -> None:
    assert Redactor(["abc", "", Secret("12345"), "     \n"])("abc 12345 and more") == "abc 12345 and more"


def test_the_longer_of_two_values_goes_first() -> None:
    assert Redactor(["abcdef", "abcdef-ghijkl"])("abcdef-ghijkl abcdef") == "*** ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk-abcdefghijklmnop1234 end", "key *** end"),
        ("sk-proj-Abc_def-1234567890123456", "***"),
        ("sk-ant-api03-" + "x" * 40, "***"),
        ("AKIAABCDEFGHIJKLMNOP", "***"),
        ("ghp_" + "a1" * 18, "***"),
        ("github_pat_" + "A1_" * 10, "***"),
        ("xoxb-1234567890-abc", "***"),
        ("glpat-abcdefghij1234567890", "***"),
        ("AIza" + "x" * 35, "***"),
        ("hf_" + "a" * 30, "***"),
        ("Authorization: Bearer abc123.def-456", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpwYXNzMQ==", "authorization: basic ***"),
        ('{"api_key": "0123456789abcdef"}', '{"api_key": "***"}'),
        ("x-api-key: 0123456789abcdef", "x-api-key: ***"),
        ("https://user:secret1@host/x", "https://user:***@host/x"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_def", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter", "***\nafter"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "***"),
    ],
)
def test_what_looks_like_a_key_is_replaced(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "task-abcdefghijklmnopqrstuvwx", "Bearer authentication failed", "basic configuration", "api_key = env(\"X\")", "sk-short", "https://host:8080/x@y",
        "no such key", "", "risk-abcdefghijklmnopqrst",
    ],
)  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor(["something-else"])(text) == text


def test_it_never_shows_what_it_hides() -> None:
    assert "hunter" not in repr(Redactor(["hunter2-hunter2"]))


@pytest.mark.timeout(60)
def test_long_text_costs_little() -> None:
    redact = Redactor(["hunter2-hunter2"])
    for text in ("plain words without a key " * 40_000, "://" + "a:" * 100_000, "https://x y " * 20_000):
        assert redact(text) == text


def test_of_what_tools_bring_only_keys_that_are_known_and_no_ordinary_words_are_taken_out() -> None:
    redact = known_out([Secret("ollama"), "not-needed-here", "real/key-0123", Secret("a-key-of-letters-alone")])
    text = "ollama not-needed-here sk-abcdefghijklmnopqrstuvwx "
    assert redact(text + "real/key-0123 real%2Fkey-0123 real\\/key-0123 a-key-of-letters-alone") == text + "*** *** *** ***"
    assert known_out(["ollama", ""]) is str

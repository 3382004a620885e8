from __future__ import annotations

import pytest

from agentcli.tools import pages
from agentcli.tools.pages import Page


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("text/html; charset=UTF-8", ("text/html", "UTF-8")),
        ('Text/Plain ;format=flowed; Charset="iso-8859-1"', ("text/plain", "iso-8859-1")),
        ("application/json", ("application/json", "")),
        ("", ("", "")),
    ],
)
def test_a_content_type_is_a_type_and_a_charset(header: str, parts: tuple[str, str]) -> None:
    assert pages.media_type(header) == parts


def test_which_types_are_text() -> None:
    text = ["text/html", "text/x-anything", "application/json", "application/ld+json", "application/atom+xml", "application/xhtml+xml"]
    other = ["image/png", "application/pdf", "application/octet-stream", "application/zip", "video/mp4", ""]
    assert [pages.is_text(kind) for kind in text + other] == [True] * len(text) + [False] * len(other)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\n <!DOCTYPE HTML><p>", "text/html"),
        (b"<html>", "text/html"),
        (b"just words", "text/plain"),
        (b"\x89PNG\0\0", ""),
        ("\ufeffwörter".encode("utf-16-le"), "text/plain"),
    ],
)
def test_a_type_that_is_not_told_is_guessed(body: bytes, kind: str) -> None:
    assert pages.guessed_type(body) == kind


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("grüße €".encode(), ""),
        ("grüße €".encode(), "utf8"),
        ("grüße €".encode("utf-8-sig"), "latin-1"),
        ("grüße €".encode("utf-16"), ""),
        ("grüße €".encode("cp1252"), "windows-1252"),
        ("grüße €".encode("cp1252"), ""),
        ("grüße €".encode("iso-8859-15"), "ISO-8859-15"),
        ("grüße €".encode(), "no-such-charset"),
        ("grüße €".encode(), "windows-9999"),
        ("grüße €".encode(), "unicode_escape"),
        ("grüße €".encode(), "zlib"),
    ],
)
def test_text_is_decoded_by_mark_then_header_then_utf8_then_as_browsers_do(body: bytes, charset: str) -> None:
    assert pages.read(body, "text/plain", charset, "http://h/") == Page("grüße €")


@pytest.mark.parametrize("meta", ['<meta charset="windows-1251">', "<META http-equiv=Content-Type content='text/html; charset=windows-1251'>"])
def test_html_may_name_its_charset_itself(meta: str) -> None:
    assert pages.read(f"{meta}<p>привет".encode("windows-1251"), "text/html", "", "http://h/") == Page("привет")


def test_a_body_that_was_cut_within_a_character_is_still_utf8() -> None:
    assert pages.read("zwölf ö".encode()[:-1], "text/plain", "", "http://h/") == Page("zwölf �")


def test_what_a_terminal_would_act_on_is_harmless_in_text_and_title() -> None:
    body = "<title>a\u202eb</title><p>\x1b[31mred\x1b]0;x\x07".encode()
    assert pages.read(body, "text/html", "", "http://h/") == Page("red␛]0;x␇", "a‹U+202E›b")

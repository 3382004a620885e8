"""The body of an HTTP answer as text that a model can read: HTML as Markdown, other text as it is. Pure; nothing here fetches."""

from __future__ import annotations

import codecs
import re

from msgspec import Struct

from agentcli.protocol.text import clean

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
TEXT_TYPES = frozenset({
    "application/json", "application/xml", "application/javascript", "application/ecmascript", "application/x-javascript", "application/yaml",
    "application/x-yaml", "application/toml", "application/x-ndjson", "application/jsonl", "application/sql", "application/graphql",
    "application/x-sh", "application/x-httpd-php", "application/rtf", "message/rfc822", "image/svg+xml",
})  # fmt: skip
CHARSET = re.compile(r"utf-?(8|16|32)(-?[lb]e)?|us-ascii|ascii|latin-?1|iso-?8859-?\d+(-\w)?|(windows-?|cp)\d+|koi8-[rut]|mac-?roman|gb\w+|big5\w*"
                     r"|(shift|s)[-_]?jis\w*|euc[-_]\w+|iso-?2022-\w+|tis-?620", re.IGNORECASE)  # fmt: skip
"""Names of charsets that pages use; Python knows codecs under other names that are no charsets."""
META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
FRONT_MATTER = re.compile(r"\A---\n(?:\S+: .*\n)+---\n")
"""What the converter puts before a page that has a title or a description."""
GAPS = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


class Page(Struct, frozen=True):
    """What a page says, fit to be shown."""

    text: str
    title: str = ""


def media_type(content_type: str) -> tuple[str, str]:
    """Type and charset of a Content-Type header, "" where it names none."""
    kind, _, rest = content_type.partition(";")
    charset = re.search(r"""charset\s*=\s*["']?([\w.:-]+)""", rest, re.IGNORECASE)
    return kind.strip().lower(), charset[1] if charset else ""


def is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in HTML_TYPES or kind in TEXT_TYPES or kind.endswith(("+json", "+xml", "+yaml"))


def guessed_type(body: bytes) -> str:
    """The type of a body whose server does not tell one: HTML, plain text, or "" for what is no text."""
    start = body[:1024].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return "" if is_binary(body) else "text/plain"


def is_binary(body: bytes) -> bool:
    """Whether this is no text whatever its server says: NUL bytes without a mark of UTF-16."""
    return 0 in body[:4096] and not body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def read(body: bytes, kind: str, charset: str, url: str) -> Page:
    """The text of a body. `url` is where it came from, for links in it that are relative."""
    text = _decoded(body, charset, html=kind in HTML_TYPES)
    if kind not in HTML_TYPES:
        return Page(clean(text).strip("\n"))
    return _markdown(text, url)


def _markdown(source: str, url: str) -> Page:
    """HTML as Markdown, links whole, without what a browser does not show. What the converter takes for no HTML stays as it is."""
    import html_to_markdown as converter

    options = converter.options.ConversionOptions(
        base_url=url,
        bullets="-",
        compact_tables=True,
        inline_data_media="alt_text_only",
        preprocessing=converter.options.PreprocessingOptions(enabled=False),  # it would leave out navigation, which is how one goes on
    )
    try:
        found = converter.convert(source, options)
    except converter.ConversionError:
        return Page(clean(source).strip("\n"))
    title = found.metadata.document.title if found.metadata else None
    text = FRONT_MATTER.sub("", found.content or "", count=1)
    return Page(GAPS.sub("\n\n", clean(text)).strip(), " ".join(clean(title or "", keep_newlines=False).split()))


def _decoded(body: bytes, charset: str, *, html: bool) -> str:
    """By byte order mark, header, meta element; else UTF-8, or what browsers take for it."""
    named = next((name for mark, name in MARKS if body.startswith(mark)), "") or charset
    if not named and html and (meta := META_CHARSET.search(body[:4096])):
        named = meta[1].decode("ascii", "replace")
    if named and (named == "utf-8-sig" or CHARSET.fullmatch(named)):
        try:
            return body.decode(named, "replace")
        except LookupError:
            pass  # a name like windows-9999
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        cut_in_a_character = error.end == len(body) and len(body) - error.start < 4
        return body.decode("utf-8" if cut_in_a_character else "cp1252", "replace")

"""The body of an HTTP answer as text that a model can read: HTML as Markdown, other text as it is. Pure; nothing here fetches."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from agentcli.protocol.text import clean

HTML_LIMIT = 1_000_000
"""Characters of HTML, scripts and styles not counted, that are turned into Markdown: about 2 s of one core, measured."""

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
CODE = re.compile(r"<(script|style|svg|template)\b|<!--", re.IGNORECASE)
CODE_END = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style", "svg", "template")}
COMMENT_END = re.compile("--!?>")
GAPS = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


@dataclass(frozen=True)
class Page:
    """What a page says. `partial`: its HTML was longer than is converted."""

    text: str
    title: str = ""
    partial: bool = False


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
    return "" if 0 in body[:4096] else "text/plain"


def read(body: bytes, kind: str, charset: str, url: str) -> Page:
    """The text of a body. `url` is where it came from, for links in it that are relative."""
    text = _decoded(body, charset, html=kind in HTML_TYPES)
    if kind not in HTML_TYPES:
        return Page(clean(text).strip("\n"))
    return _markdown(text, url)


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


def _markdown(html: str, url: str) -> Page:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter  # both 0.1 to 0.3 s to import

    html = _without_code(html)
    soup = BeautifulSoup(html[:HTML_LIMIT], "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    _tidy(soup, url)
    try:
        text = MarkdownConverter(heading_style="ATX", bullets="-").convert_soup(soup)
    except RecursionError:  # the converter takes about 300 elements within each other
        text = "\n".join(soup.stripped_strings)
    return Page(GAPS.sub("\n\n", clean(text)).strip(), clean(title, keep_newlines=False), len(html) > HTML_LIMIT)


def _without_code(html: str) -> str:
    """HTML without scripts, styles, drawings and comments: often most of its size, none of its text. One that is not closed takes all the rest, as in
    a browser."""
    kept: list[str] = []
    at = 0
    while opened := CODE.search(html, at):
        kept.append(html[at : opened.start()])
        end = CODE_END[opened[1].lower()] if opened[1] else COMMENT_END
        closed = end.search(html, opened.end() if opened[1] else opened.start() + 2)
        if closed is None:
            return "".join(kept)
        at = closed.end()
    return "".join([*kept, html[at:]])


def _tidy(soup: object, url: str) -> None:
    """Links whole, so that they can be fetched, and those that lead nowhere gone; of a picture its description; no head, no hidden parts."""
    from bs4 import BeautifulSoup

    assert isinstance(soup, BeautifulSoup)
    base = soup.find("base", href=True)
    start = urljoin(url, str(base["href"])) if base else url
    for element in soup.find_all(["head", "iframe", "object", "canvas"]):
        element.decompose()
    for element in soup.find_all("img"):
        element.replace_with(str(element.get("alt") or ""))
    for element in soup.find_all("a", href=True):
        target = _target(start, str(element["href"]))
        if target:
            element["href"] = target
        else:
            element.unwrap()


def _target(start: str, href: str) -> str:
    try:
        target = urljoin(start, href.strip())
        return target if urlsplit(target).scheme in ("http", "https", "mailto") and not href.startswith("#") else ""
    except ValueError:
        return ""

"""Bytes to text and back without loss: byte order marks, encodings, line ends. Pure; nothing here opens a file."""

from __future__ import annotations

import codecs
import re

from msgspec import Struct

from agentcli.protocol.errors import ToolError

SAMPLE = 65_536
"""How many bytes decide an encoding."""

MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 before UTF-16: the mark of the one starts with the other's."""

COMMON = ("cp1252", "cp1251")
"""Taken before rarer charsets that fit a file as well: in a short text, often all that decides is how common they are."""

CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\b\x1b")
SURROGATE = re.compile("[\ud800-\udfff]")


class Encoding(Struct, frozen=True):
    """How a file's bytes are text. `guessed`: no mark says so and it is no UTF-8."""

    name: str
    mark: bytes = b""
    guessed: bool = False

    def label(self) -> str:
        """`utf-16-le with BOM`, `cp1252 (guessed)`."""
        return self.name + (" with BOM" if self.mark else "") + (" (guessed)" if self.guessed else "")


UTF8 = Encoding("utf-8")


class Document(Struct, frozen=True):
    """A whole file as text. `encode(text)` with `text` itself gives the file's bytes back exactly."""

    text: str
    encoding: Encoding
    errors: str = "strict"

    def encode(self, text: str) -> bytes:
        """Bytes of a changed text in the file's own encoding, its mark in front.

        Raises:
            ToolError: `encoding`, naming the first character that this encoding lacks.
        """
        try:
            return self.encoding.mark + text.encode(self.encoding.name, self.errors)
        except UnicodeEncodeError as error:
            raise ToolError(
                f"the file's encoding is {self.encoding.label()}, which has no character {error.object[error.start]!r}; nothing was written. "
                "Use other characters, or convert the file to UTF-8 first.",
                code="encoding",
            ) from error


def sniffed(sample: bytes, *, whole: bool) -> Encoding | None:
    """The encoding that the first bytes of a file tell, or None for what is no text. `whole`: the sample is the file."""
    for mark, name in MARKS:
        if sample.startswith(mark):
            return Encoding(name, mark)
    if 0 in sample:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=whole)
    except UnicodeDecodeError:
        return _legacy(sample, whole)
    return UTF8


def _legacy(sample: bytes, whole: bool) -> Encoding | None:
    """The encoding of text that is not UTF-8; UTF-8 itself for text of that encoding with stray bytes; None for a binary."""
    if sum(byte in CONTROLS for byte in sample) * 20 > len(sample):
        return None
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    if sum(char > "\x7f" for char in text) - broken > broken:
        return UTF8
    cut = len(sample) if whole else sample.rfind(b"\n") + 1 or len(sample)
    name = _guessed(sample[:cut])
    return Encoding(name, guessed=True) if name else UTF8


def _guessed(sample: bytes) -> str:
    """A charset for these bytes that writes ASCII as ASCII and gives the same bytes back, or ""."""
    from charset_normalizer import from_bytes  # rare, and 30 ms to import

    found = from_bytes(sample)
    if (best := found.best()) is None:
        return ""
    alike = [match for match in found if match.chaos <= best.chaos + 0.01 and match.coherence >= best.coherence - 0.1]
    names = {name for match in alike for name in match.could_be_from_charset}
    name = next((name for name in COMMON if name in names), best.encoding)
    plain = b"az AZ09\t\r\n"
    if len(str(best)) < len(sample) and not re.search(rb"[\x80-\xff]{2}", sample):
        name = COMMON[0]  # a script of two bytes a letter does not leave every high byte alone between ASCII
    try:
        faithful = sample.decode(name).encode(name) == sample and plain.decode(name).encode() == plain
    except (UnicodeError, LookupError):
        return ""
    return name if faithful else ""


def document(raw: bytes) -> Document | None:
    """A whole file as text that can be written back without loss, or None for what is no text.

    Stray bytes of a UTF-8 file travel as lone surrogates. Where a guess does not give the same bytes back it is dropped.

    Raises:
        ToolError: `encoding`, for a file whose mark promises an encoding that its bytes break.
    """
    encoding = sniffed(raw[:SAMPLE], whole=len(raw) <= SAMPLE)
    if encoding is None:
        return None
    body = raw[len(encoding.mark) :]
    try:
        if encoding.guessed:
            text = body.decode(encoding.name)
            if text.encode(encoding.name) == body:
                return Document(text, encoding)
        elif encoding.name != "utf-8":
            return Document(body.decode(encoding.name), encoding)
    except UnicodeError as error:
        if not encoding.guessed:
            raise ToolError(f"the file starts as {encoding.label()}, but its bytes break that encoding", code="encoding") from error
    utf8 = Encoding("utf-8", encoding.mark)
    return Document(body.decode("utf-8", "surrogateescape"), utf8, "surrogateescape")


def line_end(text: str) -> str:
    """The one line end that a text uses, or "" where it has none or mixes them."""
    pairs, feeds, returns = text.count("\r\n"), text.count("\n"), text.count("\r")
    if pairs and pairs == feeds == returns:
        return "\r\n"
    if feeds and not returns:
        return "\n"
    return "\r" if returns and not feeds else ""


def seen_text(text: str) -> str:
    """Text that can be sent and shown: lone surrogates (stray bytes of a file) become the replacement character."""
    return SURROGATE.sub("\ufffd", text)


def refuse_surrogates(text: str, what: str) -> None:
    """Raises `ToolError` (`encoding`) for half a character: no file can hold it, and in a path or text it may hide a stray byte."""
    if SURROGATE.search(text):
        raise ToolError(f"{what} holds half of a surrogate pair, which no text file can hold; write the whole character", code="encoding")

"""Text made harmless before a terminal or a person sees it: control, escape, bidi and invisible characters, lone surrogates.

`clean` and `Cleaner` serve what is shown (answers, tool output, errors), `visible` what a person decides on (approval prompts, file
names). Nothing here knows a terminal; nothing that a model can read is hidden, except escape sequences that carry no text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u0f71-\u0f84\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
"""Combining marks that pile up over a letter."""
_HIDDEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Invisible, bidi, tag, filler and separator characters: shown as ‹U+XXXX›."""
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"
"""Legitimate after a letter of their scripts or an emoji; anywhere else shown as ‹U+XXXX›."""
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_SURROGATES = "\ud800-\udfff"

_MARK_LIMIT = 8
"""Marks kept on one letter. No script needs more; what comes after shifts the lines of a terminal."""
_HOLD = 80
"""Characters of an escape sequence that may be held back for its end. Real ones are shorter than 30."""

_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}"
_SUSPECT = re.compile(f"[{_CONTROLS}{_HIDDEN}{_JOINERS}{_MARKS}{_SURROGATES}]")
_INVISIBLE = re.compile(f"[{_HIDDEN}{_JOINERS}]")
_UNFINISHED = re.compile(rf"(?:\x1b|{_CSI}|[\ud800-\udbff])\Z")
_LONE = re.compile(f"[{_SURROGATES}]")
_BREAKS = re.compile(r"[\t\n]+")

_LOOKALIKE = re.compile("[\u01c0\u2010-\u2013\u2044\u2212\u2215\u2223\u2236\u29f8\ua789]")
"""Dashes, slashes, bars and colons that are not the ASCII ones."""
_TWIN_SCRIPTS = re.compile("[\u0370-\u03ff\u0400-\u052f\u0530-\u058f\u13a0-\u13ff\u2c80-\u2cff\ua4d0-\ua4ff]")
"""Greek, Cyrillic, Armenian, Cherokee, Coptic and Lisu: letters that pass for Latin ones."""
_PLAIN = re.compile(r"[\n\t -~]*")
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile("[A-Za-z]")
_UNUSUAL = re.compile(r"[^\n\t -~]")
_SPACES = re.compile(r"(?<=[^ \n]) {40,}")
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){4,}")
_PILE = re.compile(f"([{_MARKS}]{{{_MARK_LIMIT}}})([{_MARKS}]+)")


@cache
def _special() -> re.Pattern[str]:
    """Made when the first suspect text comes: most programs never see one, and making it takes a while."""
    return re.compile(
        rf"(?P<csi>{_CSI}[@-~])"
        r"|(?P<return>\r+\n?)"
        rf"|(?P<marks>[{_MARKS}]+)"
        rf"|(?P<joiner>[{_JOINERS}])"
        r"|(?P<pair>[\ud800-\udbff][\udc00-\udfff])"
        rf"|(?P<surrogate>[{_SURROGATES}])"
        rf"|(?P<control>[{_CONTROLS}])"
        rf"|(?P<hidden>[{_HIDDEN}])"
    )


@cache
def _acting() -> re.Pattern[str]:
    return re.compile(rf"(?P<csi>{_CSI}[@-~])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def utf8(text: str) -> str:
    """`text` with surrogate pairs joined and lone surrogates replaced by U+FFFD, so that it encodes."""
    return text if _LONE.search(text) is None else _LONE.sub("\ufffd", _joined(text))


def clean(text: str, keep_newlines: bool = True) -> str:
    """`text` with nothing in it that a terminal would act on; idempotent.

    Escape sequences that carry no text (CSI: colours, cursor moves) vanish, all other control characters become pictures (␛, ␇) and what
    followed them stays readable, bidi and invisible characters become ‹U+202E›. CR and CRLF become LF. Without `keep_newlines`, runs of
    line breaks and tabs become one space.
    """
    if _SUSPECT.search(text) is not None:
        cleaner = Cleaner()
        text = cleaner.feed(text) + cleaner.flush()
    return text if keep_newlines else _BREAKS.sub(" ", text)


def inert(text: str) -> str:
    """`text` without escape sequences, its other control characters (but TAB, LF and CR) as pictures, all else as it is: for a pipe, which may
    well end in a terminal (`… | tee log`)."""
    return text if _SUSPECT.search(text) is None else _acting().sub(lambda found: "" if found["csi"] else _picture(found[0]), text)


class Cleaner:
    """`clean` for a stream: the joined results equal `clean` of the joined chunks, wherever they were cut."""

    __slots__ = ("_after_return", "_held", "_last", "_marks")

    def __init__(self) -> None:
        self._held = ""
        self._last = ""
        self._marks = 0
        self._after_return = False

    def feed(self, chunk: str) -> str:
        """What can be shown now. At most the start of an escape sequence (80 characters) is held back."""
        if not self._held and not self._after_return and _SUSPECT.search(chunk) is None:
            if chunk:
                self._last, self._marks = chunk[-1], 0
            return chunk
        text = self._held + chunk
        start = _UNFINISHED.search(text, max(0, len(text) - _HOLD))
        self._held = text[start.start() :] if start else ""
        return self._translate(text[: start.start()] if start else text)

    def flush(self) -> str:
        """The rest, at the end of the stream."""
        text, self._held = self._held, ""
        return self._translate(text)

    def _translate(self, text: str) -> str:
        if self._after_return:
            text = self._without_rest_of_return(text)
        if not text:
            return ""
        self._after_return = text.endswith("\r")
        out: list[str] = []
        at = 0
        for match in _special().finditer(text):
            self._plain(text[at : match.start()], out)
            self._special(match, out)
            at = match.end()
        self._plain(text[at:], out)
        return "".join(out)

    def _without_rest_of_return(self, text: str) -> str:
        """A CR at a chunk's end was shown as LF already; the CRs and the LF that belong to it start the next chunk."""
        rest = text.lstrip("\r")
        self._after_return = not rest
        return rest.removeprefix("\n")

    def _plain(self, text: str, out: list[str]) -> None:
        if text:
            out.append(text)
            self._last, self._marks = text[-1], 0

    def _special(self, match: re.Match[str], out: list[str]) -> None:
        text = match.group()
        match match.lastgroup:
            case "csi":
                pass
            case "return":
                self._plain("\n", out)
            case "marks":
                self._pile(text, out)
            case "joiner" if self._joins(text):
                self._plain(text, out)
            case "pair":
                self._plain(clean(_joined(text)), out)
            case "surrogate":
                self._plain("\ufffd", out)
            case "control":
                self._stand_in(_picture(text), out)
            case _:
                self._stand_in(named(text), out)

    def _stand_in(self, shown: str, out: list[str]) -> None:
        out.append(shown)
        self._last, self._marks = "", 0

    def _joins(self, joiner: str) -> bool:
        if self._last == "\ufe0f":
            return joiner == "\u200d"
        if self._last in _JOINERS:
            return False
        return self._last > "\x7f" or (joiner in "\ufe0e\ufe0f" and self._last in "0123456789#*")

    def _pile(self, marks: str, out: list[str]) -> None:
        if self._marks > _MARK_LIMIT:
            return
        room = _MARK_LIMIT - self._marks
        out.append(marks if len(marks) <= room else marks[:room] + "…")
        self._marks += len(marks)
        self._last = marks[-1]


def visible(text: str) -> str:
    """`text` for a decision: all that is there can be seen. LF and tabs stay.

    What is invisible, moves the cursor or passes for ASCII is shown as ‹U+XXXX›, also letters of another script within a Latin word;
    long runs of blanks and of empty lines, which push text out of sight, as their count.
    """
    if _PLAIN.fullmatch(text) is None:
        text = _PILE.sub(lambda pile: f"{pile[1]}‹{len(pile[2])} more marks›", _joined(text))
        text = _WORD.sub(_single_script, text)
        text = _UNUSUAL.sub(lambda char: char[0] if _usual(char[0]) else named(char[0]), text)
    text = _SPACES.sub(lambda run: f"‹{len(run[0])} spaces›", text)
    return _EMPTY_LINES.sub(lambda run: f"\n‹{run[0].count(chr(10)) - 1} empty lines›\n", text)


def one_line(text: str, width: int) -> str:
    """`text` cleaned, its white space single spaces, cut to `width` terminal cells with … where it was longer."""
    start = text.lstrip()[: width * 16 + 256]
    line = " ".join(clean(start).split())
    if line.isascii() and len(line) <= width:
        return line
    if cells(line) <= width:
        return line
    room, kept = width - 1, 0
    for char in line:
        room -= cells(char)
        if room < 0:
            break
        kept += 1
    return line[:kept] + "…" if width > 0 else ""


def cells(text: str) -> int:
    """How many terminal cells `text` takes: 2 for a wide character, 0 for a combining one."""
    if text.isascii():
        return len(text)
    return sum(_cell(char) for char in text)


def named(char: str) -> str:
    """A character by its number: ‹U+202E›."""
    return f"‹U+{ord(char):04X}›"


def _cell(char: str) -> int:
    if unicodedata.combining(char) or char in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _picture(control: str) -> str:
    code = ord(control)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else named(control)


def _joined(text: str) -> str:
    """Surrogate pairs as the characters they stand for; lone ones stay."""
    if _LONE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _single_script(word: re.Match[str]) -> str:
    if _LATIN.search(word[0]) is None:
        return word[0]
    return _TWIN_SCRIPTS.sub(lambda char: named(char[0]), word[0])


def _usual(char: str) -> bool:
    if char == "…":
        return True
    if not char.isprintable() or _INVISIBLE.match(char) or _LOOKALIKE.match(char):
        return False
    return not unicodedata.normalize("NFKC", char).isascii()

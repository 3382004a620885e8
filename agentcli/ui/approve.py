"""Questions that a person must answer: approvals of calls, one after the other, and short choices. Plain state; the screen draws it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

from msgspec import Struct, field

from agentcli.protocol.commands import Answer
from agentcli.protocol.events import Decision
from agentcli.protocol.text import cells, clean, one_line, visible
from agentcli.ui.items import Waiting
from agentcli.ui.lines import Line, Piece, cut, worded, wrapped

CHANGES = (("old", "-", "bad"), ("old_string", "-", "bad"), ("new", "+", "good"), ("new_string", "+", "good"))
"""Arguments of an edit, and how they are marked."""


MOST_ROWS = 4
"""Rows of what a call touches, and of why it asks; of a rule that is to be saved all are shown."""
NOT_YET: Line = [("dim", "pause typing to answer")]
"""Said while keys still go to the prompt."""

# --- choices ---


class Option(Struct, frozen=True):
    """One key and what it means. `value` is the answer."""

    key: str
    value: str
    text: str


class Choice(Struct):
    """A question with a few one-key answers. `answer` is the option's value; `escape` what Esc stands for; Enter takes the first."""

    title: str
    options: Sequence[Option]
    body: Sequence[Line] = ()
    escape: str = ""
    answer: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    blocks_prompt: bool = True

    @property
    def answered(self) -> bool:
        return self.answer.done()

    def reads(self, letter: str) -> bool:
        return any(letter.casefold() == option.key for option in self.options)

    def takes(self, key: str) -> bool:
        return key in ("escape", "enter", "c-c", "c-d")

    def hasty(self, letter: str) -> bool:
        return True

    def press(self, key: str, text: str = "") -> None:
        if key in ("escape", "c-c", "c-d"):
            return self._end(self.escape)
        if key == "enter":
            return self._end(self.options[0].value)
        for option in self.options:
            if key == "text" and text.casefold() == option.key:
                return self._end(option.value)
        return None

    def _end(self, value: str) -> None:
        if not self.answer.done():
            self.answer.set_result(value)

    def spoken(self) -> list[Line]:
        keys = ", ".join(f"{option.key} for {option.text}" for option in self.options)
        return [[("", self.title)], *self.body, [("", f"Type {keys}.")]]

    def answered_by(self, line: str) -> bool:
        """Takes a typed line; False where it is none of the answers."""
        if line:
            self.press("text", line[:1])
        else:
            self._end(self.options[0].value)
        return self.answer.done()

    def lines(self, width: int, height: int, *, has_keys: bool = True) -> list[Line]:
        keys = _named(*((option.key, option.text) for option in self.options))
        title = [[("title", row)] for row in worded(self.title, width)]
        body = [row for line in self.body for row in _wrapped(line, width)]
        return [*title, *body, *_flowed(keys if has_keys else [NOT_YET], width, "", "   ")][-height:]


def _wrapped(line: Line, width: int) -> list[Line]:
    """A line of one style between its words, its indent before each row; one of several styles is cut."""
    if len(line) != 1:
        return [cut(line, width)]
    style, text = line[0]
    indent = " " * (len(text) - len(text.lstrip(" ")))
    return [[(style, f"{indent}{row}")] for row in worded(text.lstrip(" "), max(10, width - len(indent)))]


# --- approvals ---


class Approval(Struct):
    """One open question before a person; `behind` says how many more wait, `send` takes the answer.

    y once, s this session, a always (where there is a rule), which shows what is saved and where and takes Enter; n no, then a reason that may be
    empty; Esc no without one.
    """

    asked: Waiting
    behind: Callable[[], int]
    send: Callable[[Answer], None]
    reason: str | None = None
    """What was typed of the reason for a no; None while nobody said no."""
    saved_in: str = ""
    """The file that keeps what is always allowed."""
    saving: bool = False
    """Whether the rule is shown that would be saved."""
    blocks_prompt: bool = False
    answered: bool = False
    printed: bool = False
    """Whether the whole detail was printed above, because it did not fit."""

    # --- keys ---

    def reads(self, letter: str) -> bool:
        return self.reason is not None or letter.casefold() in ("s" if self.saving else "ysna1")

    def takes(self, key: str) -> bool:
        if self.reason is not None:
            return key != "c-c"
        return key == "escape" or (self.saving and key == "enter")

    def hasty(self, letter: str) -> bool:
        return self.reason is None and letter.casefold() in "ysa1"

    def press(self, key: str, text: str = "") -> None:
        if self.reason is not None:
            return self._press_reason(key, text)
        if self.saving:
            return self._press_saving(key, text)
        match key, text.casefold():
            case ("text", "y") | ("text", "1"):
                self._end("once")
            case "text", "s":
                self._end("session")
            case "text", "a" if self.asked.rule:
                self.saving = True
            case "text", "n":
                self.reason = ""
            case "escape", _:
                self._end("deny")
            case _:
                return None
        return None

    def _press_saving(self, key: str, text: str) -> None:
        match key, text.casefold():
            case "enter", _:
                self._end("always")
            case "text", "s":
                self._end("session")
            case "escape", _:
                self.saving = False
            case _:
                return

    def _press_reason(self, key: str, text: str) -> None:
        assert self.reason is not None
        match key:
            case "enter":
                self._end("deny", self.reason.strip())
            case "escape":
                self.reason = None
            case "backspace":
                self.reason = self.reason[:-1]
            case "c-u" | "c-w":
                self.reason = ""
            case "text":
                self.reason += clean(text, keep_newlines=False)
            case _:
                return

    # --- in words, for plain lines ---

    def spoken(self) -> list[Line]:
        always = f", a for always ({visible(self.asked.rule)})" if self.asked.rule else ""
        return [*self.lines(10_000, 10_000)[:-1], [("", f"Type y for once, s for this session{always}, or n and a reason.")]]

    def answered_by(self, line: str) -> bool:
        """Takes a typed line, `n because …` also; False where it is none of the answers."""
        word, _, reason = line.partition(" ")
        match word.casefold():
            case "n" | "no":
                self._end("deny", clean(reason, keep_newlines=False).strip())
            case "y" | "yes":
                self._end("once")
            case "s":
                self._end("session")
            case "a" if self.asked.rule:
                self._end("always")
            case _:
                return False
        return True

    def _end(self, decision: Decision, reason: str = "") -> None:
        self.answered = True
        self.send(Answer(self.asked.request_id, decision, reason))

    # --- drawing ---

    def lines(self, width: int, height: int, *, has_keys: bool = True) -> list[Line]:
        """The question within `height` lines; of a detail that is longer, what fits (the whole was printed above)."""
        detail, keys = self.detail_lines(width), self._keys(width) if has_keys else [[("", "  "), *NOT_YET]]
        about = self._about(width)[: max(0, height - 2 - len(keys))]
        room = max(0, height - 1 - len(about) - len(keys))
        if len(detail) > room:
            detail = [*detail[: max(0, room - 1)], [("dim", f"  … {len(detail) - room + 1} more lines; all of it is printed above")]][:room]
        return [self._title(width), *detail, *about, *keys][-max(1, height) :]

    def fits(self, width: int, height: int) -> bool:
        """Whether nothing of the detail would be left out."""
        return len(self.detail_lines(width)) + 1 + len(self._about(width)) + len(self._keys(width)) <= height

    def detail_lines(self, width: int) -> list[Line]:
        """All of what is asked for: nothing cut, nothing invisible."""
        return [[(style, f"  {row}")] for style, text in detail_of(self.asked) for row in wrapped(visible(text), max(10, width - 2))]

    def _title(self, width: int) -> Line:
        if self.saving:
            return cut([("title", "Always allow this in this folder?")], width)
        behind = self.behind()
        who = f"{visible(self.asked.who)} asks" if self.asked.who else "May it"
        what = f": {self.asked.tool}" if self.asked.who else f" {_deed(self.asked)}?"
        more = f"   ({behind} more {'waits' if behind == 1 else 'wait'})" if behind else ""
        return cut([("title", f"{who}{what}"), ("dim", more)], width)

    def _about(self, width: int) -> list[Line]:
        out: list[Line] = []
        facts = [("touches", ", ".join(self.asked.touches)), ("why", self.asked.reason if self.asked.reason != self.asked.detail else "")]
        if self.saving:
            facts = [("rule", self.asked.rule), ("saved in", self.saved_in)]
        for name, value in facts:
            rows = worded(clean(visible(value), keep_newlines=False), max(10, width - 11)) if value else []
            if len(rows) > MOST_ROWS and not self.saving:
                rows[MOST_ROWS - 1 :] = [f"… +{len(rows) - MOST_ROWS + 1} more lines"]
            out += [[("dim", f"  {name if not at else '':<8} "), ("", row)] for at, row in enumerate(rows)]
        return out

    def _keys(self, width: int) -> list[Line]:
        if self.reason is not None:
            shown: Line = [("key", "  no, because: "), ("typed", self.reason[-max(10, width - 20) :]), ("cursor", " ")]
            return [cut(shown, width), *_flowed(_named(("Enter", "says no (a reason is optional)"), ("Esc", "back")), width)]
        if self.saving:
            return _flowed(_named(("Enter", "save and allow"), ("s", "this session only"), ("Esc", "back")), width)
        always = (("a", f"always: {visible(self.asked.rule)}"),) if self.asked.rule else ()
        return _flowed(_named(("y", "once"), ("s", "this session"), *always, ("n", "no, and why"), ("Esc", "no")), width)


def _named(*meant: tuple[str, str]) -> list[Line]:
    """Keys and what they do."""
    return [[("key", key), ("dim", f" {words}")] for key, words in meant]


def _flowed(parts: list[Line], width: int, margin: str = "  ", between: str = " · ") -> list[Line]:
    """Parts side by side, on as many lines as they take."""
    rows: list[Line] = [[("", margin), *parts[0]]]
    for part in parts[1:]:
        longer = [*rows[-1], ("dim", between), *part]
        if sum(cells(text) for _, text in longer) <= width:
            rows[-1] = longer
        else:
            rows.append([("", margin), *part])
    return [cut(row, width) for row in rows]


def _deed(asked: Waiting) -> str:
    """`run bash`, `edit src/main.py`."""
    return f"{asked.tool} {one_line(asked.title, 200)}" if asked.tool in ("edit", "write") else f"run {asked.tool}"


def detail_of(asked: Waiting) -> list[Piece]:
    """What would be done, as styled texts: a command as it is, arguments in JSON by name, edits as removed and added lines."""
    try:
        arguments = json.loads(asked.detail) if asked.detail.lstrip().startswith("{") else None
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        return [("bold", asked.detail)]
    return _arguments(arguments)


def _arguments(arguments: dict[str, object]) -> list[Piece]:
    out: list[Piece] = []
    marks = {name: (mark, style) for name, mark, style in CHANGES}
    for name, value in arguments.items():
        if name in marks and isinstance(value, str):
            mark, style = marks[name]
            out.append((style, "\n".join(f"{mark} {line}" for line in value.split("\n"))))
        elif name == "edits" and isinstance(value, list) and all(isinstance(part, dict) for part in value):
            for part in value:
                out += _arguments(part)
        elif isinstance(value, str) and "\n" in value:
            out += [("dim", f"{name}:"), ("", value)]
        else:
            out.append(("", f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"))
    return out

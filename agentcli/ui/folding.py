"""What of a result is shown at once and what waits for Ctrl+O. Pure, and the same at every width, so that the state knows what is folded."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agentcli.protocol.text import clean
from agentcli.protocol.tools import CommandDisplay, DiffDisplay, TextDisplay, TodoDisplay
from agentcli.ui.items import ToolRun, UserSaid

DIFF_LINES = 40
ERROR_LINES = 6
COMMAND_LINES = 5
SUMMARY_LINES = 3
REPORT_LINES = 1
MESSAGE_LINES = 20
NOTE_LINES = 2
LONGEST = 240
"""Characters of a line that is shown at once; a longer one is cut to the width."""

Kind = Literal["summary", "size", "error", "command", "diff", "todo", "report", "message"]


class View(Struct, frozen=True):
    """The part that is shown. `hidden` counts lines left out, `above` that they are those before, `whole` is all of it."""

    kind: Kind
    lines: tuple[str, ...]
    whole: tuple[str, ...]
    hidden: int = 0
    above: bool = False

    @property
    def folded(self) -> bool:
        return self.hidden > 0 or (self.kind != "message" and any(len(line) > LONGEST for line in self.lines))


def folds(item: ToolRun | UserSaid) -> bool:
    """Whether less than the whole of it is printed."""
    return (view_of(item) if isinstance(item, ToolRun) else view_of_report(item)).folded


def view_of(run: ToolRun) -> View:
    """What is shown of a call's result."""
    match run.display:
        case DiffDisplay(diff=diff):
            return _head("diff", _lines(diff), DIFF_LINES)
        case CommandDisplay() as command:
            return _command(run, command)
        case TodoDisplay():
            return View("todo", (), ())
        case TextDisplay(text=text) if not run.is_error:
            return _summary(run, text)
        case _ if run.is_error or run.denied:
            return _head("error", _lines(run.text), ERROR_LINES)
        case _:
            return _size(run)


def view_of_report(said: UserSaid) -> View:
    """A background worker's report is a heading until somebody asks for it; a person's long paste is cut, of what else
    the model was told (a shell command and its output, say) the start is shown."""
    if said.origin == "worker":
        whole = _lines(said.text)
        return View("report", whole[:REPORT_LINES], whole, max(0, len(whole) - REPORT_LINES))
    return _head("message", _lines(said.text), NOTE_LINES if said.origin == "system" else MESSAGE_LINES)


def _command(run: ToolRun, command: CommandDisplay) -> View:
    """The end of the output: that is where a command says what came of it."""
    whole = _lines(command.output)
    if not whole and run.is_error and command.exit_code is None:
        whole = _lines(run.text)
    hidden = _hidden(whole, COMMAND_LINES)
    return View("command", whole[hidden:], whole, hidden, above=True)


def _summary(run: ToolRun, text: str) -> View:
    """The tool's own words for a person, in place of what the model was given."""
    shown, whole = _lines(text), _lines(run.text)
    if shown == whole:
        return _head("summary", whole, SUMMARY_LINES)
    return View("summary", shown[:SUMMARY_LINES], whole, len(whole))


def _size(run: ToolRun) -> View:
    whole = _lines(run.text)
    if len(whole) <= 1:
        return View("summary", whole, whole)
    return View("size", (), whole, len(whole))


def _head(kind: Kind, whole: tuple[str, ...], most: int) -> View:
    hidden = _hidden(whole, most)
    return View(kind, whole[: len(whole) - hidden], whole, hidden)


def _hidden(whole: tuple[str, ...], most: int) -> int:
    """Lines left out; never a single one, for the line that says so is as long."""
    return len(whole) - most if len(whole) > most + 1 else 0


def _lines(text: str) -> tuple[str, ...]:
    """Lines without trailing blanks and without empty lines at the end."""
    lines = [line.rstrip() for line in clean(text).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)

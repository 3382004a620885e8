"""Finished items as lines: each is printed once, above what still goes on. Every text of a model, a tool or a file is made harmless here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from rich.text import Text

from agentcli.protocol.text import clean, one_line
from agentcli.protocol.tools import CommandDisplay, DiffDisplay, TodoDisplay, TodoItem
from agentcli.ui.amounts import count, duration, money, tokens
from agentcli.ui.diff import change, counted, diff_lines
from agentcli.ui.folding import LONGEST, View, view_of, view_of_report
from agentcli.ui.items import Broke, Decided, FanOut, Item, Opened, Remark, RunEnd, Said, ToolRun, Trouble, UserSaid
from agentcli.ui.panel import final
from agentcli.ui.render import BAD, CAREFUL, DIM, GOOD, NAME, STRONG, Painter, assembled, chopped

FOLD_KEY, FOLD_COMMAND = "Ctrl+O", "/more"
"""What prints the last folded result whole: a key, or a command where lines are typed and nothing else."""
TOOL_MARGIN = 4
"""Cells before a result's lines, where its first has `  ⎿ `."""
SLOW_MS = 1_000
"""From this on a call's time is told."""
TODO_MARKS = {"pending": ("○ ", "", "to do: "), "in_progress": ("▸ ", STRONG, "now: "), "completed": ("✓ ", DIM, "done: ")}
CUT = {"length": "the output limit", "content_filter": "the content filter", "refusal": "a refusal", "interrupted": "an interrupt"}
DECISIONS = {"once": "allowed once", "session": "allowed for this session", "always": "always allowed", "deny": "refused"}


class Scroll:
    """Turns items into lines, one after the other, with an empty line where one helps the eye."""

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self._last: Item | None = None
        self._last_short = False

    def lines(self, item: Item, width: int) -> list[str]:
        """The item's lines at this width, an empty one before them where they begin something new."""
        lines = item_lines(item, self.painter, width)
        if not lines:
            return []
        short = len(lines) <= 2
        spaced = self._last is not None and not self._close(item, short)
        self._last, self._last_short = item, short
        return ["", *lines] if spaced else lines

    def other(self) -> None:
        """Something that is no item was printed meanwhile: remarks follow it closely, all else begins anew."""
        self._last, self._last_short = Remark("info", ""), True

    def _close(self, item: Item, short: bool) -> bool:
        """Whether it follows without an empty line."""
        match self._last, item:
            case (ToolRun(), ToolRun()):
                return short and self._last_short
            case (Remark() | Decided(), Remark() | Decided()) | (Said(), Broke()) | (Decided(), ToolRun()):
                return True
            case _:
                return False


def item_lines(item: Item, painter: Painter, width: int) -> list[str]:
    """The lines of one item, none of them wider than `width` cells."""
    width = max(20, width)
    match item:
        case Opened():
            return _opened(item, painter, width)
        case UserSaid():
            return _user(item, painter, width)
        case Said():
            return _said(item, painter, width)
        case Broke(stop=stop):
            why = CUT.get(stop, "")
            return [painter.row(Text(f"{_mark(painter, '⋯', 'Note:')} cut off{f' by {why}' if why else ''}", CAREFUL), width)]
        case ToolRun():
            return [_tool_head(item, painter, width), *_tool_body(item, painter, width)]
        case Remark(level=level, text=text):
            return _remark(level, text, painter, width)
        case Trouble():
            return _trouble(item, painter, width)
        case Decided():
            return _decided(item, painter, width)
        case FanOut():
            return [line for text in final(item, width, painter.look) for line in painter.lines(text, width)]
        case RunEnd():
            return _run_end(item, painter, width)
        case _:
            assert_never(item)


def whole_lines(item: Item, painter: Painter, width: int) -> list[str]:
    """All of an item that is printed folded; another item as it is printed anyway."""
    width = max(20, width)
    match item:
        case ToolRun():
            whole, room = view_of(item).whole, width - TOOL_MARGIN
            body = diff_lines(whole, painter, room) if isinstance(item.display, DiffDisplay) else _plain(whole, painter, room)
            return [*_whole_head(item, painter, width), *_under(body, painter), *_full_output(item, painter, width)]
        case UserSaid():
            head = painter.row(Text("report of a worker" if item.origin == "worker" else "message", DIM), width)
            return [head, *_plain(clean(item.text).split("\n"), painter, width)]
        case _:
            return item_lines(item, painter, width)


# --- a session and its messages ---


def _opened(item: Opened, painter: Painter, width: int) -> list[str]:
    name = f"agentcli {item.version}".rstrip()
    head = [(name, STRONG), (f" · {item.model.resolved} ({item.model.source}) · mode {item.mode}", "")]
    if item.resumed:
        title = f' "{one_line(item.title, 60)}"' if item.title else ""
        head = [(f"resumed{title}", STRONG), (f" · {item.model.resolved} ({item.model.source}) · mode {item.mode}", "")]
    lines = painter.hang(Text(), assembled(*head), width)
    return [*lines, painter.row(Text(one_line(item.cwd, width), DIM), width)]


def _user(item: UserSaid, painter: Painter, width: int) -> list[str]:
    if item.origin == "worker":
        return _report(item, painter, width)
    view = view_of_report(item)
    if item.origin == "system":
        said = Text("\n".join(map(_cut, view.lines)), DIM)
        return [*painter.hang(Text(_mark(painter, "·", "Note:") + " ", DIM), said, width), *_more(view, painter, width, 2)]
    images = f" [{count(item.images, 'image')}]" if item.images else ""
    body = Text("\n".join(view.lines) + images, STRONG)
    lines = painter.hang(Text(_mark(painter, ">", "You:") + " ", f"{STRONG} {NAME}"), body, width)
    return [*lines, *_more(view, painter, width, 2)]


def _report(item: UserSaid, painter: Painter, width: int) -> list[str]:
    """A background worker's report: whose it is; the rest on demand."""
    view = view_of_report(item)
    head = one_line(" ".join(view.lines), 200).strip("- ")
    more = f" ({count(len(view.whole), 'line')}, {_fold_key(painter)})" if view.folded else ""
    return [painter.row(assembled((_mark(painter, "←", "Report:") + " ", NAME), one_line(head, max(10, width - 2 - len(more))), (more, DIM)), width)]


def _said(item: Said, painter: Painter, width: int) -> list[str]:
    if painter.look == "plain":
        text = f"Agent: {item.text}" if item.first else item.text
        return _plain(clean(text).split("\n"), painter, width)
    from agentcli.ui.markdown import markdown_lines

    return markdown_lines(clean(item.text), painter, width)


# --- calls ---


def _tool_head(run: ToolRun, painter: Painter, width: int) -> str:
    style = CAREFUL if run.denied else BAD if run.is_error else GOOD
    suffix = _suffix(run, painter)
    lead = assembled((_mark(painter, "●", "Tool:") + " ", style), (one_line(run.name, 60), STRONG), " ")
    room = width - len(suffix) - len(lead.plain)
    lead.append(one_line(run.title, max(8, room)))
    if isinstance(run.display, DiffDisplay):
        return painter.row(lead.append_text(_signed(suffix)), width)
    lead.append(suffix, DIM)
    return painter.row(lead, width)


def _whole_head(run: ToolRun, painter: Painter, width: int) -> list[str]:
    """With the whole command, also one of several lines."""
    if not isinstance(run.display, CommandDisplay) or one_line(run.display.command, width) == one_line(run.title, width):
        return [_tool_head(run, painter, width)]
    lead = assembled((_mark(painter, "●", "Tool:") + " ", BAD if run.is_error else GOOD), (one_line(run.name, 60), STRONG), " ")
    return painter.hang(lead, Text(clean(run.display.command)), width)


def _suffix(run: ToolRun, painter: Painter) -> str:
    """What is told after the title: the size of a change, the time of what took long."""
    if isinstance(run.display, DiffDisplay):
        added, removed = counted(view_of(run).whole)
        done = change(added if run.added is None else run.added, removed if run.removed is None else run.removed, painter.look)
        return f"  {done}{' (new file)' if run.display.created else ''}"
    if run.denied:
        return "  not permitted"
    return f"  {duration(run.duration_ms)}" if run.duration_ms >= SLOW_MS else ""


def _signed(suffix: str) -> Text:
    text = Text()
    for index, word in enumerate(suffix.split(" ")):
        text.append(" " if index else "")
        text.append(word, GOOD if word.startswith("+") else BAD if word.startswith("-") else DIM)
    return text


def _tool_body(run: ToolRun, painter: Painter, width: int) -> list[str]:
    view, room = view_of(run), width - TOOL_MARGIN
    match run.display:
        case DiffDisplay():
            body = diff_lines(view.lines, painter, room)
        case TodoDisplay(items=items):
            body = [line for todo in items for line in _todo(todo, painter, room)]
        case CommandDisplay() as command:
            return _under(_command(run, command, view, painter, room), painter)
        case _ if view.kind == "size":
            return _under([painter.row(Text(f"{count(view.hidden, 'line')} ({_fold_key(painter)})", DIM), room)], painter)
        case _:
            if view.kind == "error":
                return _under([*_error(view, painter, room), *_more(view, painter, room, 0)], painter)
            body = [painter.row(Text(one_line(line, room), DIM), room) for line in view.lines]
            if view.kind == "summary" and view.hidden and body:
                words = one_line(view.lines[-1], room - len(_fold_key(painter)) - 3)
                return _under([*body[:-1], painter.row(Text(f"{words} ({_fold_key(painter)})", DIM), room)], painter)
    return _under([*body, *_more(view, painter, room, 0)], painter)


def _command(run: ToolRun, command: CommandDisplay, view: View, painter: Painter, room: int) -> list[str]:
    lines = _more(view, painter, room, 0)
    lines += [row for line in view.lines for row in _as_printed(line, painter, room)]
    if command.timed_out:
        lines.append(painter.row(Text("ended: not done within its time", BAD), room))
    elif command.exit_code is None:
        lines.append(painter.row(Text("ended before it was done", CAREFUL), room))
    elif command.exit_code:
        lines.append(painter.row(Text(f"exit code {command.exit_code}", BAD), room))
    return lines or [painter.row(Text("(no output)", DIM), room)]


def _error(view: View, painter: Painter, room: int) -> list[str]:
    """What went wrong is read whole: wrapped at words, but for the end of a very long line."""
    return [row for line in view.lines for row in painter.hang(Text(), Text(_cut(line), BAD), room)]


def _as_printed(line: str, painter: Painter, room: int) -> list[str]:
    """A line of a program's output with its blanks, which may line up columns; a longer one goes on below."""
    return [painter.row(Text(piece), room) for piece in chopped(_cut(line).expandtabs(8), room)]


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _todo(todo: TodoItem, painter: Painter, width: int) -> list[str]:
    mark, style, word = TODO_MARKS[todo.status]
    lead = Text(word if painter.look == "plain" else mark, style)
    return painter.hang(lead, Text(one_line(todo.text, 1_000), style), width)


def _more(view: View, painter: Painter, width: int, margin: int) -> list[str]:
    """The line that says how much is left out."""
    if not view.hidden or view.kind in ("summary", "size", "report"):
        return []
    where = "earlier " if view.above else ""
    return [painter.row(Text(f"{' ' * margin}… +{view.hidden} {where}{'line' if view.hidden == 1 else 'lines'} ({_fold_key(painter)})", DIM), width)]


def _under(lines: Sequence[str], painter: Painter) -> list[str]:
    """A result's lines under its header."""
    if painter.look == "plain":
        return [f"  {line}".rstrip() for line in lines]
    first = painter.row(Text("  ⎿", DIM), TOOL_MARGIN)
    return [f"{first if index == 0 else '   '} {line}".rstrip() for index, line in enumerate(lines)]


def _full_output(run: ToolRun, painter: Painter, width: int) -> list[str]:
    """Where the whole output is, when what the tool kept is only a part of it."""
    if not isinstance(run.display, CommandDisplay) or not run.display.full_output:
        return []
    return painter.hang(Text(" " * TOOL_MARGIN), Text(f"all of it is in {clean(run.display.full_output, keep_newlines=False)}"), width)


# --- remarks, errors, decisions, sums ---


def _remark(level: str, text: str, painter: Painter, width: int) -> list[str]:
    style = {"info": DIM, "warning": CAREFUL, "error": BAD}[level]
    mark = {"info": "·", "warning": "!", "error": "✗"}[level]
    word = {"info": "Note:", "warning": "Warning:", "error": "Error:"}[level]
    return painter.hang(Text(f"{_mark(painter, mark, word)} ", style), Text(clean(text, keep_newlines=False), style), width)


def _trouble(item: Trouble, painter: Painter, width: int) -> list[str]:
    """What went wrong, where, and what to do next."""
    failure = item.failure
    lines = painter.hang(Text(_mark(painter, "✗", "Error:") + " ", BAD), Text(clean(failure.message), BAD), width)
    where = ", ".join(part for part in (failure.provider, f"HTTP {failure.status}" if failure.status else "") if part)
    for word, text in (("where", where), ("next", failure.hint)):
        if text:
            lines += painter.hang(Text(f"  {word:<7}", DIM), Text(clean(text, keep_newlines=False)), width)
    return lines


def _decided(item: Decided, painter: Painter, width: int) -> list[str]:
    bad = item.decision == "deny"
    mark = _mark(painter, "✗" if bad else "✓", "Decision:")
    what = item.rule if item.rule and not bad else f"{item.tool} {item.title}".rstrip()
    who = f" to {item.who}" if item.who and not bad else f" for {item.who}" if item.who else ""
    why = f" ({item.reason})" if item.reason else ""
    words = one_line(f"{DECISIONS[item.decision]}{who}: {what}{why}", max(10, width - len(mark) - 1))
    return [painter.row(assembled((f"{mark} ", CAREFUL if bad else GOOD), (words, DIM)), width)]


def _run_end(item: RunEnd, painter: Painter, width: int) -> list[str]:
    parts = [count(item.turns, "turn"), tokens(item.tokens), money(item.cost_usd), duration(item.duration_ms)]
    if item.status == "interrupted":
        lead = (f"{_mark(painter, '■', 'Note:')} interrupted · ", CAREFUL)
        return [painter.row(assembled(lead, (" · ".join(parts), DIM)), width)]
    return [painter.row(Text(f"{_mark(painter, '─', 'Turn:')} {' · '.join(parts)}", DIM), width)]


# --- words and marks ---


def _fold_key(painter: Painter) -> str:
    return FOLD_COMMAND if painter.look == "plain" else FOLD_KEY


def _mark(painter: Painter, mark: str, word: str) -> str:
    return word if painter.look == "plain" else mark


def _plain(lines: Iterable[str], painter: Painter, width: int) -> list[str]:
    """Lines as they are, wrapped where they are longer."""
    return [row for line in lines for row in (painter.hang(Text(), Text(clean(line)), width) if line else [""])]

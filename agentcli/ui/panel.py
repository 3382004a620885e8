"""The panel: one row a worker, a total, and a count of what does not fit. Pure but for rich's texts; whoever shows it knows how high it may be.

A row tells icon, name, resolved model and the link that decided, state, last tool, turns, tokens, cost and elapsed time. Where the width does
not hold all of it, words get shorter first, columns go last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from math import ceil

from msgspec import Struct
from msgspec.structs import replace
from rich.text import Text

from agentcli.protocol.models import Usage
from agentcli.protocol.text import cells, one_line
from agentcli.ui.amounts import clock, count, money, tokens
from agentcli.ui.items import FanOut, WorkerFacts
from agentcli.ui.look import Look
from agentcli.ui.render import BAD, CAREFUL, DIM, GOOD, NAME, fitted
from agentcli.ui.workers import ORDER, WORDS, closing, counts, kind_of, sums

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ICONS = {"queued": "·", "waiting": "?", "paused": "‖", "retry": "↻", "completed": "✓", "failed": "✗", "cancelled": "-"}
STYLES = {
    "queued": DIM, "running": NAME, "waiting": CAREFUL, "paused": CAREFUL, "retry": CAREFUL,
    "completed": GOOD, "failed": BAD, "cancelled": DIM,
}  # fmt: skip
SHORT_WORDS: Mapping[str, str] = {"waiting": "approval", "completed": "done", "retry": "to retry"}
SHORT_LINKS = {"definition": "def", "subagent_model": "sub", "fallback": "fell back"}
GAP = 2
LONGEST_NAME = 28
LONGEST_MODEL = 48
LONGEST_DOING = 48
LEAST_STATE = 7
MOST_TASK = 400
"""Characters of a prompt that are looked at for its first line."""


class Layout(Struct, frozen=True):
    """How much the words are shortened. Each step of `STEPS` gives up a little more."""

    label: bool = True
    provider: bool = True
    words: bool = True
    units: bool = True
    links: bool = True
    turns: bool = True
    tokens: bool = True
    cost: bool = True
    time: bool = True
    link: bool = True
    model: int = LONGEST_MODEL
    name: int = LONGEST_NAME
    doing: int = 16
    """Least cells for the last tool; 0: no such column."""
    steady: bool = True
    """Numbers and states keep room to grow, so that the columns do not move at every turn."""


CHANGES: tuple[dict[str, bool | int], ...] = (
    {"label": False},
    {"words": False},
    {"provider": False},
    {"units": False, "doing": 9},
    {"links": False},
    {"model": 30, "name": 20},
    {"turns": False},
    {"model": 20, "name": 14},
    {"model": 16},
    {"doing": 0},
    {"tokens": False},
    {"model": 12, "name": 10},
    {"cost": False},
    {"link": False},
    {"time": False},
)
"""What is given up, one after the other, until the rest fits."""
CHANGES_OVER = ({"doing": 0}, *({key: value for key, value in change.items() if key != "doing"} for change in CHANGES))
"""The same for workers that are over: what they were to do matters least."""


def steps(over: bool) -> Iterator[Layout]:
    """From the whole layout to the narrowest."""
    layout, changes = (Layout(steady=False), CHANGES_OVER) if over else (Layout(), CHANGES)
    yield layout
    for change in changes:
        layout = replace(layout, **change)
        yield layout


class _Cells(Struct, frozen=True):
    """One row's texts under a layout; of the total, `name` is its head, `label` a shorter one and `doing` the shortest."""

    icon: str
    style: str
    name: str
    label: str
    model: str
    link: str
    state: str
    doing: str
    numbers: tuple[str, ...]
    doing_style: str = DIM
    brief: str = ""
    """In place of `doing` where that does not fit."""


def panel(workers: Sequence[WorkerFacts], now: float, width: int, height: int, look: Look = "colour") -> list[Text]:
    """At most `height` lines (at least 1) of at most `width` cells: rows, a count of the rest, the total."""
    if look == "plain":
        return [Text(sentence(worker, now)) for worker in workers]
    total = height > 1 and len(workers) > 1
    room = max(1, height - total)
    shown, rest = _chosen(workers, now, room)
    drawn = _drawn(shown, workers, now, width, total=total)
    if rest:
        drawn.insert(len(shown), Text(one_line(f"+{len(rest)} more: {counts(rest, now)}", width), DIM))
    return drawn


def final(fan_out: FanOut, width: int, look: Look = "colour", most: int = 20) -> list[Text]:
    """What stays on the screen when a fan-out is over: at most `most` rows, those that failed first, why they did, and what it all cost."""
    if look == "plain":
        return [*(Text(sentence(worker, 0.0)) for worker in fan_out.workers), *_closing(fan_out)]
    shown, rest = _chosen(fan_out.workers, 0.0, most)
    lines: list[Text] = []
    for worker, row in zip(shown, _drawn_over(shown, width), strict=True):
        lines.append(row)
        if worker.state == "failed" and worker.failure is not None:
            lines.append(Text(f"  {one_line(worker.failure.line(), 1_000)}", BAD))
    if rest:
        lines.append(Text(one_line(f"+{len(rest)} more: {counts(rest, 0.0)}", width), DIM))
    return [*lines, *_closing(fan_out)]


def sentence(worker: WorkerFacts, now: float) -> str:
    """A row in words."""
    parts = [f"{worker.name} {_state(worker, now, WORDS)}", f"{worker.model.resolved} ({worker.model.source})", _doing(worker)]
    if worker.since is not None:
        parts += [count(worker.turns, "turn"), tokens(worker.usage.total), money(worker.cost_usd), clock(worker.elapsed(now) or 0)]
    return one_line(", ".join(part for part in parts if part), 400)


def state_word(worker: WorkerFacts, now: float) -> str:
    """Its state as a person reads it: `waiting for approval`, `retry in 12 s`, `done`."""
    return _state(worker, now, WORDS)


# --- which rows ---


def _chosen(workers: Sequence[WorkerFacts], now: float, room: int) -> tuple[list[WorkerFacts], list[WorkerFacts]]:
    """The rows that fit, and the others. One line is kept for their count."""
    if len(workers) <= room:
        return list(workers), []
    ranked = sorted(workers, key=lambda worker: ORDER.index(kind_of(worker, now)))
    fitting = max(0, room - 1)
    return ranked[:fitting], ranked[fitting:]


def _head(workers: Sequence[WorkerFacts], now: float, words: Mapping[str, str]) -> str:
    return f"{count(len(workers), 'worker')}: {counts(workers, now, words)}"


# --- how they are drawn ---


def _drawn(shown: Sequence[WorkerFacts], everyone: Sequence[WorkerFacts], now: float, width: int, *, total: bool) -> list[Text]:
    """Rows in columns, and below them the total of everyone."""
    shared = _shared_start(shown)
    for layout in steps(over=False):
        rows = [_cells_of(worker, now, layout, shared) for worker in shown]
        sums_row = _total(everyone, now, layout) if total else None
        widths = _widths([*rows, sums_row] if sums_row else rows, layout)
        doing = _room(widths, layout, width)
        if doing is not None:
            break
    drawn = [_line(row, widths, doing or 0) for row in rows]
    if sums_row:
        drawn.append(_total_line(sums_row, widths, doing or 0, width))
    return drawn


def _drawn_over(shown: Sequence[WorkerFacts], width: int) -> list[Text]:
    """Rows of workers that are over: each with its task, where there is room."""
    shared = _shared_start(shown)
    for layout in steps(over=True):
        rows = [_with_task(_cells_of(worker, 0.0, layout), worker, shared) for worker in shown]
        widths = _widths(rows, layout)
        doing = _room(widths, layout, width)
        if doing is not None:
            break
    doing = min(doing or 0, max((cells(row.doing) for row in rows), default=0))
    return [_line(row, widths, doing) for row in rows]


def _room(widths: _Widths, layout: Layout, width: int) -> int | None:
    """Cells that are left for what a worker does; None where the layout does not fit."""
    room = width - _taken(widths, layout)
    if room < layout.doing:
        return None
    return min(room, LONGEST_DOING) if layout.doing else 0


def _cells_of(worker: WorkerFacts, now: float, layout: Layout, shared: int = 0) -> _Cells:
    kind = kind_of(worker, now)
    model = worker.model.resolved if layout.provider else worker.model.resolved.partition("/")[2] or worker.model.resolved
    link = worker.model.source if layout.links else SHORT_LINKS.get(worker.model.source, worker.model.source)
    label = worker.label if layout.label and worker.label and worker.label not in (worker.name, worker.agent) else ""
    name = one_line(worker.name, layout.name)
    numbers = _numbers(worker.turns, worker.usage, worker.cost_usd, worker.elapsed(now), layout)
    row = _Cells(
        icon=_icon(kind, now),
        style=STYLES[kind],
        name=name,
        label=one_line(label, LONGEST_NAME - cells(name) - 1) if cells(name) < LONGEST_NAME - 4 else "",
        model=one_line(model, layout.model),
        link=f"({one_line(link, 20)})" if layout.link else "",
        state=_state(worker, now, WORDS if layout.words else SHORT_WORDS),
        doing=one_line(_doing(worker), 200) if layout.doing else "",
        numbers=numbers if worker.since is not None else tuple("" for _ in numbers),
        doing_style=BAD if kind == "failed" else DIM,
    )
    return row if _doing(worker) or worker.over else _with_task(row, worker, shared)


def _with_task(row: _Cells, worker: WorkerFacts, shared: int) -> _Cells:
    """The row with what its worker was given to do; in brief without the start that all have in common."""
    task = _task(worker)
    return replace(row, doing=one_line(task, 200), doing_style=DIM, brief=f"…{one_line(task[shared:], 200)}" if shared else "")


def _shared_start(workers: Sequence[WorkerFacts]) -> int:
    """Characters of whole words with which the tasks of all begin."""
    tasks = [_task(worker) for worker in workers]
    if len(set(tasks)) < 2:
        return 0
    same = takewhile(lambda words: len(set(words)) == 1, zip(*(task.split(" ") for task in tasks), strict=False))
    return sum(len(words[0]) + 1 for words in same)


def _state(worker: WorkerFacts, now: float, words: Mapping[str, str]) -> str:
    wait = worker.retry_in(now) if worker.state == "running" else None
    if wait is None:
        return words.get(worker.state, worker.state)
    return f"retry in {ceil(wait)} s" if words is WORDS else f"retry {ceil(wait)} s"


def _doing(worker: WorkerFacts) -> str:
    if worker.state == "failed" and worker.failure is not None:
        return worker.failure.message
    return worker.doing


def _task(worker: WorkerFacts) -> str:
    """What it was given to do: the start of its prompt."""
    return next((line for line in worker.prompt[:MOST_TASK].splitlines() if line.strip()), worker.label)


def _numbers(turns: int, usage: Usage, cost: float | None, elapsed: float | None, layout: Layout) -> tuple[str, ...]:
    """The right columns: those that the layout keeps."""
    used = tokens(usage.total)
    shown = (
        (layout.turns, count(turns, "turn") if layout.units else f"{turns}t"),
        (layout.tokens, used if layout.units else used.removesuffix(" tok")),
        (layout.cost, "$?" if cost is None else money(cost)),
        (layout.time, "" if elapsed is None else clock(elapsed)),
    )
    return tuple(text for kept, text in shown if kept)


def _total(workers: Sequence[WorkerFacts], now: float, layout: Layout) -> _Cells:
    usage, cost = sums(workers)
    began = min((worker.since for worker in workers if worker.since is not None), default=None)
    ended = max((worker.until if worker.until is not None else now for worker in workers if worker.since is not None), default=now)
    turns = sum(worker.turns for worker in workers)
    numbers = _numbers(turns, usage, cost, None if began is None else max(0.0, ended - began), layout)
    heads = [_head(workers, now, WORDS), _head(workers, now, SHORT_WORDS), f"{count(len(workers), 'worker')}: {_marks(workers, now)}"]
    return _Cells("", "", heads[0], heads[1], "", "", "", heads[2], numbers)


def _marks(workers: Sequence[WorkerFacts], now: float) -> str:
    """How many are in which state, by the icons of the rows: `8⠋ 1✗ 14· 15✓`."""
    found = Counter(kind_of(worker, now) for worker in workers)
    return " ".join(f"{found[kind]}{_icon(kind, now)}" for kind in ORDER if found[kind])


def _icon(kind: str, now: float) -> str:
    return SPINNER[int(now * 10) % len(SPINNER)] if kind == "running" else ICONS[kind]


class _Widths(Struct, frozen=True):
    name: int
    model: int
    state: int
    numbers: tuple[int, ...]


def _widths(rows: Sequence[_Cells], layout: Layout) -> _Widths:
    numbers = zip(_least(layout), *(row.numbers for row in rows), strict=True)
    return _Widths(
        max((_both(row.name, row.label) for row in rows if row.icon), default=0),
        max((_both(row.model, row.link) for row in rows), default=0),
        max([LEAST_STATE if layout.doing and layout.steady else 0, *(cells(row.state) for row in rows)]),
        tuple(max([least, *map(cells, texts)]) for least, *texts in numbers),
    )


def _least(layout: Layout) -> tuple[int, ...]:
    """Room for numbers that grow: `12 turns`, `123.4k tok`, `$0.0042`, `1m05s`."""
    if layout.doing == 0 or not layout.steady:
        return tuple(0 for kept in (layout.turns, layout.tokens, layout.cost, layout.time) if kept)
    widths = (8, 10, 7, 5) if layout.units else (3, 5, 7, 3)
    kept = (layout.turns, layout.tokens, layout.cost, layout.time)
    return tuple(width for shown, width in zip(kept, widths, strict=True) if shown)


def _both(left: str, right: str) -> int:
    return cells(left) + (cells(right) + 1 if right else 0)


def _taken(widths: _Widths, layout: Layout) -> int:
    """Cells of everything but the last tool, its own gap included."""
    left = 2 + widths.name + GAP + widths.model + GAP + widths.state
    right = sum(width + GAP for width in widths.numbers)
    return left + right + (GAP if layout.doing else 0)


def _line(row: _Cells, widths: _Widths, doing: int) -> Text:
    text = Text(no_wrap=True, end="")
    text.append(f"{row.icon} ", row.style)
    _pair(text, row.name, row.label, widths.name)
    text.append(" " * GAP)
    _pair(text, row.model, row.link, widths.model)
    text.append(" " * GAP)
    text.append(fitted(row.state, widths.state), row.style)
    if doing:
        text.append(" " * GAP)
        text.append(fitted(row.brief if row.brief and cells(row.doing) > doing else row.doing, doing), row.doing_style)
    _append_numbers(text, row.numbers, widths)
    text.rstrip()
    return text


def _pair(text: Text, left: str, right: str, width: int) -> None:
    text.append(left)
    if right:
        text.append(f" {right}", DIM)
    text.append(" " * (width - _both(left, right)))


def _append_numbers(text: Text, numbers: Sequence[str], widths: _Widths) -> None:
    for number, column in zip(numbers, widths.numbers, strict=True):
        text.append(" " * (GAP + column - cells(number)))
        text.append(number)


def _total_line(row: _Cells, widths: _Widths, doing: int, width: int) -> Text:
    """The head over the left columns, in short words where it is longer, and the sums below theirs, or further right than cut the head."""
    right = sum(column + GAP for column in widths.numbers)
    left = 2 + widths.name + GAP + widths.model + GAP + widths.state + (GAP + doing if doing else 0)
    head = next((text for text in (row.name, row.label) if cells(text) <= left), row.doing)
    text = Text(fitted(head, min(max(left, cells(head)), width - right)), DIM, no_wrap=True, end="")
    _append_numbers(text, row.numbers, widths)
    return text


def _closing(fan_out: FanOut) -> list[Text]:
    """Nothing for one worker on the session's own model: its row says it all."""
    if len(fan_out.workers) == 1 and not fan_out.usual_model:
        return []
    return [Text(one_line(closing(fan_out), 1_000), DIM)]

"""The live region: what still goes on, in as many lines as there are. Below it stands the prompt; what is finished was printed above it.

From top to bottom: the end of the answer under way, running calls, the panel of workers, what waits for delivery, and what the agent does.
Nothing is animated for a screen reader.
"""

from __future__ import annotations

from rich.text import Text

from agentcli.protocol.text import clean, one_line
from agentcli.ui.amounts import clock, count
from agentcli.ui.blocks import item_lines
from agentcli.ui.items import Remark, Running
from agentcli.ui.panel import SPINNER, panel
from agentcli.ui.render import CAREFUL, DIM, NAME, STRONG, Painter, assembled, chopped
from agentcli.ui.state import Answer, Screen

OUTPUT_LINES = 3
"""Lines of a running call's output."""
LEAST_ANSWER = 3
QUEUED_LINES = 4


def live_lines(screen: Screen, now: float, width: int, height: int, painter: Painter) -> list[str]:
    """At most `height` lines of at most `width` cells, none where nothing goes on. `now` in Unix seconds."""
    if height < 1:
        return []
    below = [*_queued(screen, painter, width), *_activity(screen, now, painter, width)][-height:]
    room = height - len(below)
    workers = screen.crew.current
    least = LEAST_ANSWER if screen.answer is not None and screen.answer.text else 0
    rows: list[str] = []
    if workers and room > least:
        rows = [painter.row(row, width) for row in panel([worker.facts() for worker in workers], now, width, room - least, painter.look)]
        rows = rows[: room - least]
    calls = _calls(screen, now, painter, width)[: max(0, room - len(rows) - least)]
    free = room - len(rows) - len(calls)
    answer = _answer(screen, painter, width, free - 1 if free > least else free)
    gap = [""] if answer and len(answer) < free else []
    return [*answer, *gap, *calls, *rows, *below]


def _answer(screen: Screen, painter: Painter, width: int, room: int) -> list[str]:
    """The last lines of the block under way; only as much of it is rendered as can be seen."""
    if screen.answer is None or room < 1:
        return []
    text = screen.answer.text
    if text:
        return _end_of(text, painter, width, room)
    thinking = [line for line in clean(screen.answer.thinking).split("\n") if line.strip()]
    if not thinking or painter.look == "plain":
        return []
    return [painter.row(Text(one_line(piece, width), f"{DIM} italic"), width) for piece in chopped(thinking[-1], width)[-min(2, room) :]]


def _end_of(text: str, painter: Painter, width: int, room: int) -> list[str]:
    """The last lines of a block; where it is longer, below a line that says by how much. All of it is printed when it is finished."""
    lines = _rendered(_last_part(text, room, width), painter, width)
    above = text.count("\n") - room + 1
    if above < 1 or room < LEAST_ANSWER or painter.look == "plain":
        return lines[-room:]
    return [painter.row(Text(f"  … +{count(above, 'earlier line')}, printed when it is finished", DIM), width), *lines[1 - room :]]


def _rendered(text: str, painter: Painter, width: int) -> list[str]:
    if painter.look == "plain":
        return []
    from agentcli.ui.markdown import markdown_lines

    return markdown_lines(text, painter, width)


def _last_part(text: str, room: int, width: int) -> str:
    """The end of a long block: at least `room` lines of it, and its fence if it is code, so that it looks the same."""
    lines = text.split("\n")
    most = room + 2
    kept = [line[-width * room :] if len(line) > width * room else line for line in lines[-most:]]
    first = lines[0].lstrip()
    if len(lines) > most and first.startswith(("```", "~~~")):
        return "\n".join([lines[0], *kept])
    return "\n".join(kept)


def _calls(screen: Screen, now: float, painter: Painter, width: int) -> list[str]:
    """Running calls: a header each, and the last lines of what they print. Delegations are told by their workers' rows."""
    lines: list[str] = []
    for running in screen.running.values():
        if screen.crew.alive and not running.output and len(screen.running) > 1:
            continue
        lines.append(_running(running, now, painter, width))
        shown = [line for line in running.output.split("\n") if line.strip()][-OUTPUT_LINES:]
        lines += [painter.printed(line, width, "    ") for line in shown]
    return [*lines, *(_beside(call, now, painter, width) for call in screen.beside.values())]


def _beside(call: Running, now: float, painter: Painter, width: int) -> str:
    """One line of a call that was sent to the background."""
    tail = f"  in the background  {clock(max(0.0, now - call.since))}"
    name = one_line(call.name, 60)
    room = max(8, width - len(name) - len(tail) - 3)
    return painter.row(assembled((f"{_spinner(now, painter)} {name} {one_line(call.title, room)}{tail}", DIM)), width)


def _running(running: Running, now: float, painter: Painter, width: int) -> str:
    time = f"  {clock(max(0.0, now - running.since))}"
    name = one_line(running.name, 60)
    room = max(8, width - len(name) - len(time) - 3)
    return painter.row(assembled((f"{_spinner(now, painter)} ", NAME), (name, STRONG), f" {one_line(running.title, room)}", (time, DIM)), width)


def _queued(screen: Screen, painter: Painter, width: int) -> list[str]:
    words = {"steer": "next", "follow": "then"}
    lines = [
        painter.row(assembled((f"{words[item.kind]}: ", CAREFUL), (one_line(item.text, max(8, width - 6)), DIM)), width)
        for item in screen.queued[:QUEUED_LINES]
    ]
    if len(screen.queued) > QUEUED_LINES:
        lines.append(painter.row(Text(f"+{len(screen.queued) - QUEUED_LINES} more queued", DIM), width))
    return lines


def _activity(screen: Screen, now: float, painter: Painter, width: int) -> list[str]:
    """One line: what the main agent does, since when, and remarks that wait for the end of its answer."""
    if screen.since is None:
        return []
    held = [line for item in screen.held if isinstance(item, Remark) for line in item_lines(item, painter, width)]
    text = assembled((f"{_spinner(now, painter)} ", NAME), what_goes_on(screen, now), (f" · {clock(max(0.0, now - screen.since))}", DIM))
    return [*held[-2:], painter.row(text, width)]


def what_goes_on(screen: Screen, now: float) -> str:
    """The main agent's state in words: `waiting for the model`, `writing a call of write (3,120 characters)`, `retry in 12 s`."""
    if screen.approvals:
        waiting = count(len(screen.approvals), "question")
        return f"waiting for you: {waiting}"
    if screen.state == "paused":
        return "paused"
    if screen.retry_at is not None and screen.retry_at > now:
        return f"retry in {int(screen.retry_at - now) + 1} s"
    if screen.answer is not None:
        return _answering(screen, screen.answer)
    if alive := screen.crew.alive:
        return f"waiting for {count(alive, 'worker')}"
    if calls := screen.running or screen.beside:
        where = "" if screen.running else " in the background"
        return f"running {', '.join(dict.fromkeys(one_line(call.name, 40) for call in calls.values()))}{where}"
    return screen.doing or "working"


def _answering(screen: Screen, answer: Answer) -> str:
    if answer.writing:
        name, size = list(answer.writing.items())[-1]
        return f"writing a call of {one_line(name, 40) or 'a tool'} ({size:,} characters)"
    if answer.text or answer.printed:
        return "answering"
    if answer.thinking:
        return "thinking"
    # Loading the weights and reading the first prompt take many seconds: nobody should wonder whether a service hangs.
    model = screen.model.resolved if screen.model else ""
    return "starting the local model" if model.startswith("local/") and model not in screen.tally.models else "waiting for the model"


def _spinner(now: float, painter: Painter) -> str:
    return "-" if painter.look == "plain" else SPINNER[int(now * 10) % len(SPINNER)]

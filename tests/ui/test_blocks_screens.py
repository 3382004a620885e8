"""Whole screens at a fixed width, as a person sees them: text files to be read. `PYTEST_GOLDEN=write` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.envelopes import Story
from support.screens import (
    ANSWER,
    BIG,
    LOCAL,
    MINI,
    PINNED,
    approval,
    asked,
    ended,
    fan_out,
    fan_out_over,
    first_turn,
    forty,
    opened,
    ran,
    replied,
    screen_of,
    shown,
    streamed,
)

from agentcli.protocol.events import CallStarted, Envelope, Failure, Notice, RunFinished, StateChanged, TextDelta, ToolStarted
from agentcli.protocol.text import cells
from agentcli.sdk.overview import AgentRow
from agentcli.ui.agents import agents_lines, worker_lines
from agentcli.ui.approve import Approval
from agentcli.ui.lines import plain
from agentcli.ui.render import Painter
from agentcli.ui.state import Screen

SCREENS = Path(__file__).parent / "golden" / "screens"

DEFINITIONS = [
    AgentRow("explore", "Finds things in the code and reports where they are.", "built-in", ("read",), MINI),
    AgentRow("review", "Reads a change and says what is wrong with it.", "agent.hcl:12", None, PINNED),
    AgentRow("scout", "Reads files and reports findings.", ".agentcli/agents/scout.md", ("read", "grep"), LOCAL),
    AgentRow("writer", "Writes documentation.", "agent.hcl:20", None, None, problem="unknown model 'acme/tiny'."),
]


def a_first_turn(width: int) -> str:
    return shown(screen_of(first_turn()), width)


def an_answer_under_way(width: int) -> str:
    cut = ANSWER.index("    raise")
    story = Story().tell(opened(), asked("Please fix it."), StateChanged(state="running"), CallStarted(call=1, model=BIG))
    story.tell(TextDelta(text=ANSWER[:cut]), Notice(level="warning", text="the folder is not trusted: its config waits for your word"))
    screen = screen_of(story.envelopes)
    screen.queue("also add a test", "steer")
    screen.queue("then commit", "follow")
    return shown(screen, width)


def an_approval(width: int) -> str:
    story = Story().tell(opened(), asked("Run the checks."), StateChanged(state="running"))
    streamed(story, "I'll run the checks.")
    story.tell(ToolStarted(call_id="w1", name="bash", title=approval().title, arguments="{}"), StateChanged(state="waiting"), approval())
    story.tell(approval(request_id="ask-2", detail="git push\u202e --force", title="git push"), agent="main/scout-2")
    screen = screen_of(story.envelopes)
    questions = []
    for at, waiting in enumerate(screen.approvals):
        behind = len(screen.approvals) - 1 - at
        questions += [plain(line) for line in Approval(waiting, lambda behind=behind: behind, lambda _: None).lines(width, 30)] + [""]
    return f"{shown(screen, width)}\n" + "\n".join(line.rstrip() for line in questions)


def the_agents(width: int) -> str:
    """`/agents` while three workers run, then one of them in detail."""
    screen = screen_of(fan_out().envelopes)
    painter, now = Painter("mono"), 1_009.0
    lines = agents_lines(DEFINITIONS, list(screen.crew.workers.values()), now, width, painter)
    detail = worker_lines(screen.crew.workers["main/review-1"], now, width, painter)
    return "\n".join([*lines, "", *detail]) + "\n"


def a_panel_of_forty(width: int) -> str:
    """24 lines in all: the panel, what the agent does, the status line."""
    screen = screen_of(forty().envelopes)
    screen.take()
    return shown(screen, width, height=24, now=1_012.0)


def fan_outs_that_ended(width: int) -> str:
    story = forty()
    for number in range(17, 41):
        story.tell(ended(f"review-{number}"), agent=f"main/review-{number}")
    screen = screen_of(fan_out_over().envelopes)
    return shown(screen, width) + "\n" + shown(screen_of(story.tell(RunFinished(status="success", turns=1)).envelopes), width)


def an_error(width: int) -> str:
    failure = Failure("unavailable", "acme answered 503: overloaded, three times.", 75, "Try again later, or use another model: /model", "acme", 503)
    story = Story().tell(opened(), asked("Is this [bold]safe[/bold]?"), StateChanged(state="running"), CallStarted(call=1, model=BIG))
    streamed(story, "I look at `[/].py` first.")
    ran(story, "read", "[/].py", "no such file: [/].py. Nearest: [id].py", call_id="c1", is_error=True)
    story.tell(CallStarted(call=2, model=BIG), TextDelta(text="It is\n\nnot"))
    story.tell(replied("It is\n\nnot", failure=failure), RunFinished(status="error", failure=failure, turns=2, duration_ms=31_000))
    return shown(screen_of(story.envelopes), width)


def a_resumed_session(width: int) -> str:
    """Read back from the durable envelopes alone."""
    stored = [envelope for envelope in first_turn() if envelope.event.durable]
    story = Story(envelopes=list(stored)).tell(opened(resumed=True, title="The parser accepts files that are no record files."))
    return shown(screen_of(story.envelopes), width)


STORIES: list[Callable[[int], str]] = [
    a_first_turn,
    an_answer_under_way,
    an_approval,
    the_agents,
    a_panel_of_forty,
    fan_outs_that_ended,
    an_error,
    a_resumed_session,
]


def agrees(name: str, text: str) -> None:
    """Compares with the file of that name, or writes it."""
    path = SCREENS / f"{name}.txt"
    if os.environ.get("PYTEST_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_screen(story: Callable[[int], str], width: int) -> None:
    text = story(width)
    assert max(cells(line) for line in text.splitlines()) <= width
    assert not any(line != line.rstrip() for line in text.splitlines())
    agrees(f"{story.__name__}_{width}", text)


def test_screen_in_plain_words_for_a_screen_reader() -> None:
    text = shown(screen_of(first_turn()), 80, look="plain") + shown(screen_of(fan_out_over().envelopes), 80, look="plain")
    assert not set(text) & set("●⎿✓✗▸○─│╭⠹⋯←■")
    agrees("plain_words_80", text)


@pytest.mark.parametrize("width", [40, 41, 57, 79, 200, 300])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_no_line_is_wider_than_the_window(story: Callable[[int], str], width: int) -> None:
    assert max(cells(line) for line in story(width).splitlines()) <= width


def test_a_resumed_session_shows_what_the_live_one_showed() -> None:
    live, stored = shown(screen_of(first_turn()), 100), shown(screen_of(_durable(first_turn())), 100)
    assert live == stored


def _durable(envelopes: list[Envelope]) -> list[Envelope]:
    return [envelope for envelope in envelopes if envelope.event.durable]


def test_an_empty_screen_is_a_status_line() -> None:
    assert shown(Screen(), 80) == "\nno model yet · default · main\n"


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_real_screen_colours_change_nothing_but_colours(width: int) -> None:
    """A terminal emulator draws the coloured lines: each stays on its line, and reads as the screen without colours."""
    import pyte

    plain_lines = a_first_turn(width).splitlines()
    drawn = pyte.Screen(width, len(plain_lines))
    pyte.Stream(drawn).feed("\r\n".join(shown(screen_of(first_turn()), width, look="colour").splitlines()))
    assert [line.rstrip() for line in drawn.display] == plain_lines
    assert len({cell.fg for line in drawn.buffer.values() for cell in line.values()}) > 4

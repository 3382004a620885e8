"""The screen as a fold of envelopes: what is printed once, what still goes on, and that a session's file gives the same as the live stream."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.envelopes import DOWN, RATE_LIMITED, Story
from support.screens import (
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
    opened,
    price,
    ran,
    replied,
    screen_of,
    spawned,
    streamed,
    worker_call,
)

from agentcli.protocol.events import (
    AgentFinished,
    AnyEvent,
    ApprovalAnswered,
    ArgumentsDelta,
    CallStarted,
    Compacted,
    Envelope,
    FellBack,
    ModeChanged,
    ModelChanged,
    Notice,
    RetryScheduled,
    RunFinished,
    StateChanged,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    UserSubmitted,
    decode,
    encode,
)
from agentcli.protocol.messages import AssistantMessage, Image, Text, ToolCall, ToolResult, UserMessage, user_text
from agentcli.protocol.models import ModelUse, Usage
from agentcli.protocol.tools import CommandDisplay
from agentcli.ui.items import (
    Broke,
    Decided,
    FanOut,
    Item,
    Opened,
    Queued,
    Remark,
    RunEnd,
    Running,
    Said,
    ToolRun,
    Trouble,
    UserSaid,
    Waiting,
)
from agentcli.ui.state import Screen


def items_of(*events: AnyEvent, agent: str = "main") -> list[Item]:
    return screen_of(Story().tell(*events, agent=agent).envelopes).take()


# --- the property: a session's file shows what the live stream showed ---

PIECES = st.lists(
    st.sampled_from(["word ", "more.\n", "\n\n", "# Head\n", "- item\n", "```py\n", "```\n", "| a |\n|---|\n", "\x1b[31m", "日本", "[bold]", "\r\n"]),
    max_size=10,
)


@st.composite
def answers(draw: st.DrawFn) -> list[AnyEvent]:
    """A model call: perhaps cut off and tried again, perhaps thought over, perhaps never streamed, perhaps with calls."""
    out: list[AnyEvent] = []
    for attempt in range(1, draw(st.integers(1, 3)) + 1):
        pieces = draw(PIECES)
        out.append(CallStarted(call=1, model=BIG, attempt=attempt))
        if draw(st.booleans()):
            out += [ThinkingDelta(text="hm "), *(TextDelta(text=piece) for piece in pieces), ArgumentsDelta(call_id="c", name="read", text="{}")]
        text = "".join(pieces)
        last = draw(st.booleans())
        stop = draw(st.sampled_from(["end", "tool_calls", "length", "interrupted"])) if last else "error"
        message = AssistantMessage((Text(text),) if text else (), stop)
        out.append(replied(message=message, failure=None if last else RATE_LIMITED))
        if last:
            break
        out.append(RetryScheduled(failure=RATE_LIMITED, attempt=attempt, limit=3, delay_s=1.5))
    return out


@st.composite
def worker_lives(draw: st.DrawFn, name: str, background: bool) -> list[tuple[str, AnyEvent]]:
    who = f"main/{name}"
    model = draw(st.sampled_from([MINI, LOCAL, PINNED]))
    note = draw(st.sampled_from(["", "the pin won"]))
    events: list[AnyEvent] = [spawned(name, model, background=background, note=note), StateChanged(state="queued")]
    if draw(st.booleans()):
        events += [StateChanged(state="running"), CallStarted(call=1, model=model), TextDelta(text="busy"), replied("busy", model=model)]
        events += [ToolStarted(call_id="w1", name="bash", title="ls", arguments="{}"), ToolOutput(call_id="w1", text="a\n")]
        if draw(st.booleans()):
            request = f"{name}-ask"
            events += [StateChanged(state="waiting"), approval(request_id=request)]
            if draw(st.booleans()):
                events += [ApprovalAnswered(request_id=request, decision=draw(st.sampled_from(["once", "always", "deny"])), rule="bash(ls)")]
        events += [ToolFinished(result=ToolResult("w1", "bash", (Text("a"),)))]
        if draw(st.booleans()):
            events += [FellBack(left="x/y", model=BIG, failure=DOWN), Notice(level="warning", text="odd")]
        events += [RunFinished(status="success", turns=1)]
    status = draw(st.sampled_from(["completed", "failed", "cancelled"]))
    failure = DOWN if status == "failed" else None
    events.append(AgentFinished(status=status, model=model, failure=failure, turns=1, duration_ms=draw(st.integers(0, 5_000))))
    return [(who, event) for event in events]


@st.composite
def merged(draw: st.DrawFn, left: Sequence[tuple[str, AnyEvent]], right: Sequence[tuple[str, AnyEvent]]) -> list[tuple[str, AnyEvent]]:
    """Two streams side by side, each in its own order."""
    out, rest = [], [list(left), list(right)]
    while rest[0] and rest[1]:
        out.append(rest[draw(st.integers(0, 1))].pop(0))
    return [*out, *rest[0], *rest[1]]


@st.composite
def sessions(draw: st.DrawFn) -> list[Envelope]:
    """Runs of a main agent with workers in front, a worker in the background over all of it, a session taken up again."""
    told: list[tuple[str, AnyEvent]] = [("main", opened())]
    for run in range(draw(st.integers(1, 2))):
        told += [("main", event) for event in (asked(f"question {run}"), StateChanged(state="running"), *draw(answers()))]
        if draw(st.booleans()):
            call = ToolStarted(call_id="t1", name="parallel_task", title="2 tasks", arguments="{}")
            lives = draw(merged(draw(worker_lives(f"a-{run}", False)), draw(worker_lives(f"b-{run}", False))))
            told += [("main", call), *lives, ("main", ToolFinished(result=ToolResult("t1", "parallel_task", (Text("x\ny"),))))]
        told += [("main", event) for event in draw(answers())]
        others = [Notice(level="info", text="n"), ModeChanged(mode="plan"), Compacted(summary="", tokens_before=9, tokens_after=5)]
        told.append(("main", draw(st.sampled_from(others))))
        status = draw(st.sampled_from(["success", "error", "interrupted"]))
        told.append(("main", RunFinished(status=status, failure=DOWN if status == "error" else None, turns=1, duration_ms=100)))
        if draw(st.booleans()):
            told.append(("main", opened(resumed=True)))
    head, body = told[:1], told[1:]
    story = Story()
    for agent, event in [*head, *draw(merged(body, draw(worker_lives("back-1", True))))]:
        story.tell(event, agent=agent)
    return story.envelopes


@settings(max_examples=100, deadline=None)
@given(sessions(), st.data())
def test_the_stored_envelopes_of_a_session_give_the_items_of_its_live_stream(envelopes: list[Envelope], data: st.DataObject) -> None:
    live, printed = Screen(price), []
    for envelope in envelopes:
        live.feed(envelope)
        if data.draw(st.booleans()):
            printed += live.take()
    printed += live.take()
    stored = Screen(price)
    for line in [encode(envelope) for envelope in envelopes if envelope.event.durable]:
        envelope = decode(line)
        assert envelope is not None
        stored.feed(envelope)
    assert stored.take() == printed
    facts = ("folded", "approvals", "context_tokens", "mode", "state", "since", "last_fan_out", "model", "session", "held")
    assert {name: getattr(stored, name) for name in facts} == {name: getattr(live, name) for name in facts}
    assert [worker.facts() for worker in stored.crew.workers.values()] == [worker.facts() for worker in live.crew.workers.values()]


def test_cut_into_single_characters_a_turn_gives_the_same_items_as_whole() -> None:
    def told(size: int) -> list[Item]:
        text = "\n\nFirst.\n\n- a\n- b\n\n```py\nx = 1\n\ny = 2\n```\nLast"
        return screen_of(streamed(Story(), text, size).envelopes).take()

    assert told(1) == told(1_000) == [Said("First.", first=True), Said("- a\n- b"), Said("```py\nx = 1\n\ny = 2\n```"), Said("Last")]


# --- answers ---


def test_a_block_is_given_once_as_soon_as_it_is_over_and_only_the_last_stays_live() -> None:
    screen = screen_of(Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="One.\n\nTw")).envelopes)
    assert screen.take() == [Said("One.", first=True)]
    assert screen.answer is not None
    assert screen.answer.text == "Tw"
    for envelope in Story().tell(TextDelta(text="o.\n"), replied("One.\n\nTwo.\n")).envelopes:
        screen.feed(envelope)
    assert (screen.take(), screen.answer) == ([Said("Two.")], None)


def test_an_answer_that_was_cut_off_keeps_what_came_and_the_next_attempt_stands_below_it() -> None:
    story = Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="Half a sen"))
    story.tell(replied(message=AssistantMessage((Text("Half a sen"),), "error"), failure=RATE_LIMITED))
    story.tell(RetryScheduled(failure=RATE_LIMITED, attempt=1, limit=3, delay_s=1.5))
    streamed(story, "A whole sentence.")
    assert screen_of(story.envelopes).take() == [
        Said("Half a sen", first=True),
        Broke("error", RATE_LIMITED.message),
        Remark("warning", "retry 1 of 3 in 1.5 s: acme answered 429: slow down."),
        Said("A whole sentence.", first=True),
    ]


def test_an_answer_that_is_not_what_was_streamed_is_printed_whole_below_that() -> None:
    story = Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="One.\n\nTwo"), replied("Other."))
    assert screen_of(story.envelopes).take() == [Said("One.", first=True), Said("Two"), Said("Other.", first=True)]


def test_blank_deltas_before_an_answer_that_is_empty_print_nothing() -> None:
    assert items_of(CallStarted(call=1, model=BIG), TextDelta(text="\n\n"), replied("")) == []


def test_what_others_say_while_the_model_answers_waits_for_the_end_of_the_answer() -> None:
    story = Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="One.\n\n"), Notice(level="info", text="hello"))
    screen = screen_of(story.envelopes)
    assert (screen.take(), screen.held) == ([Said("One.", first=True)], (Remark("info", "hello"),))
    screen.feed(Story().tell(replied("One.\n\nTwo.")).envelopes[0])
    assert (screen.take(), screen.held) == ([Said("Two."), Remark("info", "hello")], ())


def test_thinking_and_calls_that_are_being_written_are_live_only() -> None:
    story = Story().tell(CallStarted(call=1, model=BIG), ThinkingDelta(text="Where "), ThinkingDelta(text="is it?"))
    screen = screen_of(story.envelopes)
    assert screen.answer is not None
    assert screen.answer.thinking == "Where is it?"
    screen.feed(Story().tell(ArgumentsDelta(call_id="c", name="write", text='{"path"')).envelopes[0])
    assert screen.answer.writing == {"write": 7}
    screen.feed(Story().tell(replied("", [ToolCall("c", "write", "{}")])).envelopes[0])
    assert (screen.take(), screen.answer) == ([], None)


# --- calls ---


def test_a_call_is_live_until_it_ends_and_then_one_item_with_its_result() -> None:
    display = CommandDisplay("ls", "a\nb", 0)
    story = Story().tell(ToolStarted(call_id="c1", name="bash", title="ls", arguments="{}"))
    story.tell(ToolOutput(call_id="c1", text="a\x1b"), ToolOutput(call_id="c1", text="[31m\nb"), ToolOutput(call_id="unknown", text="x"))
    screen = screen_of(story.envelopes)
    assert list(screen.running.values()) == [Running("c1", "bash", "ls", 1000.1, "a\nb")]
    screen.feed(Story().tell(ToolFinished(result=ToolResult("c1", "bash", (Text("a\nb"),)), display=display, duration_ms=5)).envelopes[0])
    assert (screen.take(), screen.running) == ([ToolRun("bash", "ls", "a\nb", display, duration_ms=5)], {})


def test_output_of_a_running_call_is_kept_at_its_end_only() -> None:
    story = Story().tell(ToolStarted(call_id="c1", name="bash", title="yes", arguments="{}"), ToolOutput(call_id="c1", text="y\n" * 100_000))
    assert len(screen_of(story.envelopes).running["c1"].output) == 4_000


def test_a_call_that_never_got_as_far_as_running_has_its_item_too() -> None:
    result = ToolResult("c9", "nope", (Text("There is no tool 'nope'."),), is_error=True)
    assert items_of(ToolFinished(result=result)) == [ToolRun("nope", "", "There is no tool 'nope'.", is_error=True)]


def test_the_last_folded_result_is_kept_for_later_and_what_was_shown_whole_is_not() -> None:
    story = ran(Story(), "grep", "x", "one\ntwo\nthree")
    ran(story, "glob", "*.py", "a.py", call_id="c2")
    assert screen_of(story.envelopes).folded == ToolRun("grep", "x", "one\ntwo\nthree")


def test_a_report_of_a_background_worker_is_folded_and_a_persons_images_are_counted() -> None:
    report = UserSubmitted(message=user_text("--- scout-1 ---\nfound\nit", "worker"))
    screen = screen_of(Story().tell(report).envelopes)
    assert screen.folded == UserSaid("--- scout-1 ---\nfound\nit", "worker")
    message = UserMessage((Text("look"), Image("image/png", "aGk=")), "person")
    assert items_of(UserSubmitted(message=message)) == [UserSaid("look", "person", 1)]


# --- questions ---


def test_questions_queue_in_the_order_they_came_and_name_their_worker() -> None:
    story = Story().tell(approval()).tell(approval(request_id="ask-2", rule=""), agent="main/scout-2")
    screen = screen_of(story.envelopes)
    facts = {"tool": "bash", "title": approval().title, "detail": approval().detail, "reason": approval().reason, "touches": approval().touches}
    assert screen.approvals == [
        Waiting("ask-1", "main", "w1", "", rule="bash(make check)", **facts),
        Waiting("ask-2", "main/scout-2", "w1", "scout-2", rule="", **facts),
    ]
    answer = ApprovalAnswered(request_id="ask-2", decision="deny", reason="not now")
    screen.feed(Story().tell(answer, agent="main/scout-2").envelopes[0])
    assert [waiting.request_id for waiting in screen.approvals] == ["ask-1"]
    assert screen.take() == [Decided("scout-2", "bash", approval().title, "deny", "not now")]


@pytest.mark.parametrize(("decision", "rule"), [("once", ""), ("session", "bash(make check)"), ("always", "bash(make check)")])
def test_a_rule_is_told_only_where_the_answer_made_one(decision: str, rule: str) -> None:
    answered = ApprovalAnswered(request_id="ask-1", decision=decision, rule="bash(make check)")  # type: ignore[arg-type]
    assert items_of(approval(), answered) == [Decided("", "bash", approval().title, decision, "", rule)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "end",
    [
        ToolFinished(result=ToolResult("w1", "bash", (Text("interrupted"),), is_error=True)),
        RunFinished(status="interrupted"),
        AgentFinished(status="cancelled", model=MINI),
    ],
)
def test_a_question_goes_away_with_whoever_asked_it(end: AnyEvent) -> None:
    story = Story().tell(spawned("scout-2"), approval(), agent="main/scout-2").tell(end, agent="main/scout-2")
    assert screen_of(story.envelopes).approvals == []


# --- runs ---


def test_a_run_that_fails_tells_why_and_what_it_came_to_its_workers_included() -> None:
    story = fan_out_over().tell(RunFinished(status="error", failure=DOWN, turns=2, duration_ms=9_500))
    screen = screen_of(story.envelopes)
    assert screen.take()[-2:] == [Trouble(DOWN), RunEnd("error", 2, 11_710 + 3 * 4_150, None, 9_500)]
    assert (screen.state, screen.since, screen.running) == ("idle", None, {})


def test_an_interrupted_run_is_no_trouble() -> None:
    story = Story().tell(asked("x"), CallStarted(call=1, model=BIG), TextDelta(text="Al"))
    story.tell(replied(message=AssistantMessage((Text("Al"),), "interrupted")), RunFinished(status="interrupted", failure=DOWN, turns=1))
    items = screen_of(story.envelopes).take()
    assert items[1:3] == [Said("Al", first=True), Broke("interrupted")]
    assert items[3:] == [RunEnd("interrupted", 1, 11_710, 0.0123, 0)]


def test_each_run_counts_for_itself() -> None:
    story = Story().tell(asked("one"), replied("1."), RunFinished(status="success", turns=1))
    story.tell(asked("two"), replied("2.", usage=Usage(input=7), cost_usd=0.5), RunFinished(status="success", turns=1))
    ends = [item for item in screen_of(story.envelopes).take() if isinstance(item, RunEnd)]
    assert ends == [RunEnd("success", 1, 11_710, 0.0123, 0), RunEnd("success", 1, 7, 0.5, 0)]


def test_a_session_that_is_taken_up_after_a_crash_has_nothing_going_on() -> None:
    story = fan_out().tell(approval(), agent="main/scout-1").tell(ToolStarted(call_id="c2", name="bash", title="sleep 9", arguments="{}"))
    story.tell(opened(resumed=True, title="The header"))
    screen = screen_of(story.envelopes)
    items = screen.take()
    assert items[-4:-1] == [
        items[-4],
        ToolRun("parallel_task", "3 tasks", "The session ended before this call did.", is_error=True),
        ToolRun("bash", "sleep 9", "The session ended before this call did.", is_error=True),
    ]
    assert isinstance(items[-4], FanOut)
    assert {row.state for row in items[-4].workers} == {"cancelled"}
    assert items[-1] == Opened("/home/me/records", BIG, "default", "1.2.3", "The header", resumed=True)
    assert (screen.running, screen.approvals, screen.crew.current, screen.since) == ({}, [], [], None)


def test_model_mode_and_context_follow_what_happens() -> None:
    story = Story().tell(opened(), replied("x"))
    screen = screen_of(story.envelopes)
    assert (screen.model, screen.mode, screen.context_tokens) == (BIG, "default", 11_710)
    other = ModelUse("mini", "openai/gpt-4o-mini", "command")
    story = Story().tell(ModelChanged(model=other, note="the cache is lost"), ModeChanged(mode="plan"))
    story.tell(Compacted(summary="s", tokens_before=11_710, tokens_after=900))
    screen.take()
    for envelope in story.envelopes:
        screen.feed(envelope)
    assert (screen.model, screen.mode, screen.context_tokens) == (other, "plan", 900)
    assert screen.take() == [
        Remark("info", "model: openai/gpt-4o-mini (command) the cache is lost"),
        Remark("info", "history compacted from 11.7k tok to 900 tok"),
    ]


def test_a_paused_and_a_waiting_run_say_so_until_they_go_on() -> None:
    screen = screen_of(Story().tell(asked("x"), StateChanged(state="paused")).envelopes)
    assert (screen.state, screen.since) == ("paused", 1000.1)
    screen.feed(Story().tell(StateChanged(state="running")).envelopes[0])
    assert (screen.state, screen.since) == ("running", 1000.1)


# --- queued texts ---


def test_a_queued_text_leaves_the_queue_when_it_is_delivered_or_given_back() -> None:
    screen = Screen()
    screen.queue("also the tests", "steer")
    screen.queue("then commit", "follow")
    screen.feed(Story().tell(UserSubmitted(message=user_text("also the tests", "injected"))).envelopes[0])
    assert screen.queued == [Queued("then commit", "follow")]
    assert screen.unqueue() == [Queued("then commit", "follow")]
    assert screen.queued == []


# --- workers ---


def test_a_fan_out_ends_with_what_it_cost_and_what_its_tokens_would_have_cost_on_the_sessions_model() -> None:
    screen = screen_of(fan_out_over().envelopes)
    fan = screen.take()[-1]
    assert isinstance(fan, FanOut)
    assert [(row.name, row.state, row.model.resolved) for row in fan.workers] == [
        ("scout-1", "completed", "openai/gpt-4o-mini"),
        ("scout-2", "completed", "local/qwen2.5-coder-1.5b"),
        ("review-1", "failed", "anthropic/claude-sonnet-4:high"),
    ]
    usage = Usage(input=12_000, output=450)
    assert (fan.usage, fan.cost_usd, fan.usual_model, fan.usual_cost_usd) == (usage, None, "acme/big-1:high", 0.249)
    assert (screen.last_fan_out, screen.crew.current, screen.crew.alive) == (fan, [], 0)
    assert len(screen.crew.workers) == 3


def test_workers_on_the_sessions_own_model_are_not_compared_with_it() -> None:
    story = Story().tell(opened()).tell(spawned("self-1", BIG, call_id=""), ended("self-1", BIG), agent="main/self-1")
    fan = screen_of(story.envelopes).take()[-1]
    assert isinstance(fan, FanOut)
    assert (fan.usual_model, fan.usual_cost_usd) == ("", None)


def test_stages_that_follow_each_other_within_one_call_are_one_fan_out() -> None:
    story = Story().tell(opened(), ToolStarted(call_id="t1", name="pipeline", title="", arguments="{}"))
    for name in ("read-1", "write-1"):
        story.tell(spawned(name), ended(name), agent=f"main/{name}")
    screen = screen_of(story.envelopes)
    assert [worker.facts().name for worker in screen.crew.current] == ["read-1", "write-1"]
    screen.feed(Story().tell(ToolFinished(result=ToolResult("t1", "pipeline", (Text("ok"),)))).envelopes[0])
    assert [len(item.workers) for item in screen.take() if isinstance(item, FanOut)] == [2]


def test_a_background_worker_is_a_fan_out_of_its_own_and_outlives_its_call() -> None:
    story = Story().tell(opened()).tell(spawned("back-1", background=True), agent="main/back-1")
    story.tell(spawned("scout-1", call_id="t2"), ended("scout-1"), agent="main/scout-1")
    story.tell(ToolFinished(result=ToolResult("t2", "task", (Text("ok"),))))
    screen = screen_of(story.envelopes)
    assert [[row.name for row in item.workers] for item in screen.take() if isinstance(item, FanOut)] == [["scout-1"]]
    assert [worker.facts().name for worker in screen.crew.current] == ["back-1"]
    screen.feed(Story().tell(ended("back-1"), agent="main/back-1").envelopes[0])
    assert [[row.name for row in item.workers] for item in screen.take() if isinstance(item, FanOut)] == [["back-1"]]


def test_workers_of_a_worker_belong_to_its_fan_out_and_are_called_by_their_path() -> None:
    story = Story().tell(opened()).tell(spawned("planner-1"), agent="main/planner-1")
    story.tell(spawned("explore-1", call_id="p1"), ended("explore-1"), agent="main/planner-1/explore-1")
    story.tell(ToolFinished(result=ToolResult("p1", "task", (Text("ok"),))), ended("planner-1"), agent="main/planner-1")
    story.tell(ToolFinished(result=ToolResult("t1", "task", (Text("ok"),))))
    fans = [item for item in screen_of(story.envelopes).take() if isinstance(item, FanOut)]
    assert [[row.name for row in fan.workers] for fan in fans] == [["planner-1", "planner-1/explore-1"]]


def test_facts_of_a_worker_from_queued_to_its_end() -> None:
    who, story = "main/scout-1", Story(at=999.9)
    screen = screen_of(story.tell(spawned("scout-1", label="Scout", note="n"), StateChanged(state="queued"), agent=who).envelopes)
    facts = screen.crew.workers[who].facts
    assert (facts().state, facts().elapsed(2_000.0), facts().label, facts().prompt) == ("queued", None, "Scout", "Do what scout-1 does.")
    later = worker_call(Story(at=1_009.9).tell(StateChanged(state="running"), agent=who), "scout-1", "grep", '"x"', MINI)
    for envelope in later.envelopes:
        screen.feed(envelope)
    assert (facts().state, facts().doing, facts().turns, facts().usage.total, facts().elapsed(1_015.0)) == ("running", 'grep "x"', 1, 4_150, 5.0)
    for envelope in Story(at=1_020.0).tell(RetryScheduled(failure=RATE_LIMITED, attempt=1, limit=3, delay_s=12.0), agent=who).envelopes:
        screen.feed(envelope)
    assert (facts().retry_in(1_022.1), facts().retry_in(1_032.2)) == (pytest.approx(10.0), None)
    screen.feed(Story(at=1_030.0).tell(FellBack(left="a/b", model=PINNED, failure=DOWN), agent=who).envelopes[0])
    assert facts().model == PINNED
    screen.feed(Story(at=1_040.0).tell(ended("scout-1", PINNED, duration_ms=25_000), agent=who).envelopes[0])
    assert (facts().state, facts().elapsed(9_999.0), facts().retry_at, facts().fallbacks) == ("completed", 25.0, None, (PINNED.resolved,))
    assert list(screen.crew.workers[who].trail) == ['· grep "x"', f"retry: {RATE_LIMITED.message}", f"goes on with {PINNED.resolved}"]


def test_the_whole_first_turn_in_items() -> None:
    kinds = [type(item).__name__ for item in screen_of(first_turn()).take()]
    assert kinds == ["Opened", "UserSaid", "Said", *["ToolRun"] * 6, *["Said"] * 6, "RunEnd"]


def test_the_state_needs_no_terminal_library() -> None:
    """Looked at in a process of its own, for here other tests have loaded everything."""
    import subprocess

    code = "import sys, agentcli.ui.state, agentcli.ui.workers; print([m for m in ('rich', 'prompt_toolkit', 'pygments') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

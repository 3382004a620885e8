"""Histories that no longer fit: what is cut, what is summed up, what stays, and that the run goes on with a history that any service accepts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from support.loops import Stage, stage

from agentcli.engine.control import RunLimits
from agentcli.engine.history import estimate_tokens, fold, repair
from agentcli.engine.shorten import REQUEST_CHARS, compacted, tail, told
from agentcli.protocol.errors import UsageError
from agentcli.protocol.events import Compacted, Notice, Replied, RunFinished, StateChanged
from agentcli.protocol.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
    user_text,
)
from agentcli.protocol.models import SMALL, Cost, ModelSpec, Profile, Usage
from agentcli.protocol.tools import Access, Tool, ToolContext, ToolOutcome, said

WIDE = ModelSpec("demo", "m1", "scripted", cost=Cost(1.0, 2.0), context=4_000, output=500)
"""Room for 3,500 tokens beside an answer, which are 14,000 characters."""
OVERFLOW = {"error": {"kind": "context_overflow", "status": 400, "message": "prompt is too long"}}


class BigArgs(BaseModel):
    size: int


class Big(Tool[BigArgs]):
    """Brings a text of so many characters."""

    name = "big"
    description = "Brings a text."
    args = BigArgs

    def access(self, args: BigArgs) -> Access:
        return Access()

    async def run(self, args: BigArgs, ctx: ToolContext) -> ToolOutcome:
        return said("x" * args.size)


def big(size: int) -> dict[str, Any]:
    return {"calls": [{"name": "big", "arguments": {"size": size}}]}


def play(made: Stage, *texts: str) -> RunFinished:
    for text in texts:
        asyncio.run(made.loop.run(user_text(text)))
    assert repair(made.loop.history) == made.loop.history
    assert fold(made.envelopes()) == made.loop.history
    end: RunFinished = made.of(RunFinished)[-1]
    return end


def asked(made: Stage, number: int) -> str:
    """A request, as text."""
    request = made.provider.requests[number]
    return f"{request.system}\n" + "\n".join(str(message) for message in request.messages)


# --- before the call ---


def test_old_tool_results_are_cut_first_and_that_costs_no_call(tmp_path: Path) -> None:
    made = stage(tmp_path, [big(9_000), big(5_000), "done"], tools=[Big()], spec=WIDE)
    end = play(made, "go")
    assert (end.status, end.text, len(made.provider.requests)) == ("success", "done", 3)
    (event,) = made.of(Compacted)
    assert (event.summary, event.trigger, event.usage, event.cost_usd) == ("", "auto", Usage(), 0.0)
    assert event.tokens_after < 0.6 * 3_500 < event.tokens_before
    first, second = [message for message in made.loop.history if isinstance(message, ToolMessage)]
    assert "characters were left out" in first.results[0].text()
    assert second.results[0].text() == "x" * 5_000


def test_older_turns_are_summed_up_by_the_model_the_first_request_and_the_latest_turns_stay_and_the_run_goes_on(tmp_path: Path) -> None:
    words = [f"answer {number} " + "word " * 900 for number in range(3)]
    made = stage(tmp_path, [*words, {"text": "They talked a lot.", "usage": {"input": 1000, "output": 100}}, "at the end"], spec=WIDE)
    end = play(made, "first request", "second request", "third request", "fourth request")
    (event,) = made.of(Compacted)
    assert end.text == "at the end"
    assert (event.trigger, event.model and event.model.resolved) == ("auto", "demo/m1")
    texts = [message.text() for message in made.loop.history if not isinstance(message, ToolMessage)]
    assert texts[0] == "first request"
    assert texts[1].startswith("This conversation was shortened")
    assert "They talked a lot." in texts[1]
    assert texts[-2:] == ["fourth request", "at the end"]
    assert (event.usage, event.cost_usd) == (Usage(input=1000, output=100), pytest.approx(0.0012))
    assert end.cost_usd == pytest.approx(0.0012 + (10 + 2 * 5) / 1e6)
    summing = made.provider.requests[3]
    assert (summing.tools, summing.schema) == ((), None)
    assert "first request" in asked(made, 3) and "answer 1" in asked(made, 3)
    assert [event.detail for event in made.of(StateChanged) if event.detail] == ["compacting the history"]
    assert "They talked" not in "".join(event.message.text() for event in made.of(Replied))


def test_what_the_person_wants_now_stays_word_for_word_when_its_turn_is_summed_up(tmp_path: Path) -> None:
    steps = ["hello", *[{"text": f"step {number} " + "word " * 700, **big(10)} for number in range(4)], "summary", "done"]
    made = stage(tmp_path, steps, tools=[Big()], spec=WIDE)
    play(made, "first", "rename foo to bar everywhere")
    assert made.of(Compacted)
    assert "rename foo to bar everywhere" in made.loop.history[1].text()  # type: ignore[union-attr]


def test_a_summary_that_fails_is_told_and_the_request_is_tried_all_the_same(tmp_path: Path) -> None:
    words = ["word " * 900, "word " * 900, "word " * 900]
    bad = [{"error": {"kind": "unavailable", "status": 503}}] * 2
    made = stage(tmp_path, [*words, *bad, "it fits after all"], spec=WIDE, limits=RunLimits(retries=1, retry_first_s=0.001))
    assert play(made, "a", "b", "c", "d").text == "it fits after all"
    assert not made.of(Compacted)
    assert next(event.text for event in made.of(Notice)).startswith("the history could not be compacted: ")


def test_where_little_can_be_gained_not_every_call_pays_for_a_summary(tmp_path: Path) -> None:
    made = stage(tmp_path, ["ok", "ok", "ok"], spec=WIDE, system="instructions " * 1_200)
    assert play(made, "a", "b", "c").status == "success"
    assert len(made.provider.requests) <= 4


@pytest.mark.parametrize(("share", "times"), [(0.0, 0), (0.5, 1), (1.0, 0)])
def test_the_share_can_be_set_and_zero_means_only_when_the_service_says_so(tmp_path: Path, share: float, times: int) -> None:
    size = 30_000 if share == 0 else 4_000
    made = stage(tmp_path, [big(4_000), big(size), "done"], tools=[Big()], spec=WIDE, limits=RunLimits(compact_at=share))
    assert play(made, "go").status == "success"
    assert len(made.of(Compacted)) == times


def test_the_services_own_count_corrects_the_rule_of_thumb(tmp_path: Path) -> None:
    """Text of which each character is a token: four times what the rule says."""
    first = {"text": "a", "usage": {"input": 3_200, "output": 5}}
    made = stage(tmp_path, [{**big(3_000), "usage": {"input": 850, "output": 5}}, first, "summary", "done"], tools=[Big()], spec=WIDE)
    play(made, "字" * 800, "b")
    assert made.of(Compacted)


def test_a_small_model_is_never_asked_for_a_summary_for_its_prompt_is_cut_each_time(tmp_path: Path) -> None:
    spec = ModelSpec("demo", "small", "scripted", context=8_192, profile=SMALL)
    steps = ["hello"] * 12
    made = stage(tmp_path, steps, tools=[Big()], spec=spec)
    play(made, *["word " * 2_000] * 12)
    assert not made.of(Compacted)
    with pytest.raises(UsageError, match="nothing to compact"):
        asyncio.run(made.loop.compact())
    assert len(made.provider.requests) == 12
    assert max(estimate_tokens(request.messages, request.system) for request in made.provider.requests) < 8_192


# --- when the service refuses ---


def test_a_request_that_overflows_is_made_shorter_and_sent_again(tmp_path: Path) -> None:
    unknown = ModelSpec("demo", "m1", "scripted")
    made = stage(tmp_path, [big(5_000), {"text": "one", **big(5_000)}, OVERFLOW, "done"], tools=[Big()], spec=unknown)
    end = play(made, "go")
    assert (end.status, end.text) == ("success", "done")
    assert [(event.trigger, event.summary) for event in made.of(Compacted)] == [("overflow", "")]
    assert len(asked(made, 3)) < len(asked(made, 2)) * 0.7


def test_what_is_still_too_long_is_summed_up_and_a_summary_that_overflows_is_asked_for_with_less(tmp_path: Path) -> None:
    unknown = ModelSpec("demo", "m1", "scripted")
    talk = ["word " * 1_000 for _ in range(4)]
    made = stage(tmp_path, [*talk, OVERFLOW, OVERFLOW, "short summary", "done"], spec=unknown)
    end = play(made, "a", "b", "c", "d", "e")
    assert (end.status, end.text) == ("success", "done")
    assert len(asked(made, 6)) < len(asked(made, 5))
    assert [event.trigger for event in made.of(Compacted)] == ["overflow"]


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([OVERFLOW], "nothing that could be left out"),
        (
            ["word " * 900, "word " * 900, OVERFLOW, {"error": {"kind": "unavailable", "message": "down"}, "repeat": True}],
            "could not be summed up: demo: down",
        ),
        (["word " * 900, "word " * 900, OVERFLOW, "sum", OVERFLOW, "sum", OVERFLOW], "still too long"),
    ],
    ids=["nothing to leave out", "no summary", "twice"],
)
def test_where_it_cannot_be_made_to_fit_the_error_says_why_and_what_to_do(tmp_path: Path, steps: list[Any], why: str) -> None:
    made = stage(tmp_path, steps, spec=ModelSpec("demo", "m1", "scripted"), limits=RunLimits(retries=0))
    end = play(made, *["a", "b", "c"][: max(1, min(len(steps), 3))])
    assert end.failure is not None
    assert (end.status, end.failure.kind) == ("error", "context_overflow")
    assert why in end.failure.message and "prompt is too long" in end.failure.message
    assert "larger context" in end.failure.hint


def test_one_huge_result_at_the_end_is_cut_where_nothing_else_helps(tmp_path: Path) -> None:
    made = stage(tmp_path, [big(60_000), "done"], tools=[Big()], spec=WIDE)
    end = play(made, "go")
    assert (end.status, end.text) == ("success", "done")
    assert made.of(Compacted)[0].kept_chars
    assert len(asked(made, 1)) < 14_000


# --- by hand ---


def test_a_person_compacts_with_a_word_on_what_to_keep(tmp_path: Path) -> None:
    made = stage(tmp_path, ["one " * 50, "two " * 50, "three", "the gist", "on"])
    play(made, "a", "b", "c")
    event = asyncio.run(made.loop.compact("the plan for the tests"))
    assert (event.trigger, event.usage) == ("manual", Usage(input=10, output=5))
    assert "the plan for the tests" in asked(made, 3)
    assert event.tokens_after < event.tokens_before
    assert play(made, "d").text == "on"
    assert made.of(StateChanged)[-2].state == "completed"


def test_by_hand_a_small_models_old_tool_results_are_cut_and_nobody_is_asked(tmp_path: Path) -> None:
    spec = ModelSpec("demo", "small", "scripted", context=8_192, profile=Profile("small", ("big",)))
    steps = [{"text": '{"tool": "big", "size": 9000}'}, {"text": '{"tool": "answer"}'}, "it is long", {"text": '{"tool": "answer"}'}, "yes"]
    made = stage(tmp_path, steps, tools=[Big()], spec=spec)
    play(made, "how long?", "really?")
    event = asyncio.run(made.loop.compact())
    assert (event.summary, event.model, len(made.provider.requests)) == ("", None, 5)
    assert event.tokens_after < event.tokens_before / 3


def test_with_nothing_to_compact_it_says_so_and_asks_nobody(tmp_path: Path) -> None:
    made = stage(tmp_path, ["hi"])
    play(made, "hello")
    with pytest.raises(UsageError, match="nothing to compact"):
        asyncio.run(made.loop.compact())
    assert len(made.provider.requests) == 1


def test_an_interrupt_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    made = stage(tmp_path, ["one " * 50, "two " * 50, "three", {"text": "half a summ", "hang": True}])
    play(made, "a", "b", "c")
    before = list(made.loop.history)

    async def interrupted() -> None:
        task = asyncio.create_task(made.loop.compact())
        while len(made.provider.requests) < 4:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert made.loop.history == before == fold(made.envelopes())


# --- pure parts ---

PICTURE = Image("image/png", "QUJD", note="a red square")
CALLS = st.integers(0, 2)
TURN = st.one_of(
    st.text(max_size=40).map(lambda text: [user_text(text or "go")]),
    st.tuples(st.text(max_size=60), CALLS).map(lambda given: _turn(*given)),
)


def _turn(text: str, calls: int) -> list[Message]:
    made = tuple(ToolCall(f"c{number}", "big", "{}") for number in range(calls))
    answer = AssistantMessage((Text(text or "ok"), *made))
    results = ToolMessage(tuple(ToolResult(call.id, "big", (Text(text * 20), PICTURE)) for call in made))
    return [answer, results] if made else [answer]


@given(st.lists(TURN, max_size=12), st.integers(0, 400), st.sampled_from(["", "a summary"]), st.sampled_from([0, 20]))
def test_whatever_is_kept_the_result_is_a_valid_history_that_begins_with_the_first_request(turns: Any, most: int, summary: str, chars: int) -> None:
    history: list[Message] = [user_text("the first request"), *(message for turn in turns for message in turn)]
    sizes = [estimate_tokens((message,)) for message in history]
    kept = tail(history, sizes, most)
    if kept > len(history) - 2:
        summary = ""  # there is nothing to sum up
    assert 1 <= kept <= len(history)
    assert not isinstance(history[-kept], ToolMessage)
    made = compacted(history, Compacted(summary=summary, tokens_before=0, tokens_after=0, kept=kept, older_chars=30, kept_chars=chars))
    assert repair(made) == made
    assert made[0] == history[0]
    if not chars:
        assert made[-kept:] == history[-kept:]


def test_pictures_in_old_results_become_words_and_those_of_a_person_stay() -> None:
    first = UserMessage((Text("look"), PICTURE))
    history: list[Message] = [
        first,
        AssistantMessage((ToolCall("c", "read", "{}"),)),
        ToolMessage((ToolResult("c", "read", (PICTURE,)),)),
        user_text("b"),
    ]
    made = compacted(history, Compacted(summary="", tokens_before=0, tokens_after=0, kept=1, older_chars=400))
    assert made[0] == first
    assert isinstance(made[2], ToolMessage)
    assert made[2].results[0].text() == "[a picture, left out to save room: a red square]"


def test_a_very_long_first_request_keeps_its_beginning_and_end() -> None:
    history = [user_text("BEGIN " + "x" * 50_000 + " END"), AssistantMessage((Text("ok"),)), user_text("b")]
    first = compacted(history, Compacted(summary="s", tokens_before=0, tokens_after=0, kept=1))[0]
    text = first.text() if isinstance(first, UserMessage) else ""
    assert text.startswith("BEGIN") and text.endswith("END") and len(text) < REQUEST_CHARS + 200


@given(st.lists(TURN, max_size=12), st.integers(1_000, 3_000))
def test_what_the_one_who_sums_up_is_told_fits_its_room(turns: Any, room: int) -> None:
    history = [message for turn in turns for message in turn] * 5
    assert len(told(history, room)) <= room + 100

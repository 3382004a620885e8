"""The turn loop on a scripted model: order, limits, retries, cuts, interruption, and a history that stays valid after each."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from pydantic import BaseModel
from support.loops import SPEC, Stage, active, stage

from agentcli.engine.approvals import Approvals
from agentcli.engine.control import ActiveModel, FixedModel, Free, RunLimits
from agentcli.engine.history import INTERRUPTED, fold
from agentcli.protocol.commands import Answer
from agentcli.protocol.errors import BudgetLimit, ProviderError
from agentcli.protocol.events import (
    ApprovalAsked,
    CallStarted,
    FellBack,
    Notice,
    Replied,
    RetryScheduled,
    RunFinished,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from agentcli.protocol.messages import (
    AssistantMessage,
    Text,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
    user_text,
)
from agentcli.protocol.models import Cost, ModelSpec, Profile, Usage
from agentcli.protocol.tools import Access, Tool, ToolContext, ToolOutcome, said
from agentcli.providers.scripted import ScriptedProvider


class EchoArgs(BaseModel):
    word: str
    path: str = ""


class Echo(Tool[EchoArgs]):
    """Says its word, after `until` is set; notes when it began and ended."""

    name = "echo"
    description = "Says a word."
    args = EchoArgs

    def __init__(self, until: asyncio.Event | None = None) -> None:
        self.log: list[str] = []
        self.until = until

    def access(self, args: EchoArgs) -> Access:
        return Access(writes=(args.path,)) if args.path else Access(own=False, reads=())

    async def run(self, args: EchoArgs, ctx: ToolContext) -> ToolOutcome:
        self.log.append(f"begin {args.word}")
        if self.until is not None:
            await self.until.wait()
        await asyncio.sleep(0)
        self.log.append(f"end {args.word}")
        if args.word == "boom":
            raise RuntimeError("a bug in the tool")
        return said(args.word)


def ask(made: Stage, text: str = "go") -> RunFinished:
    asyncio.run(made.loop.run(user_text(text)))
    return made.of(RunFinished)[-1]


def call(word: str, path: str = "") -> dict[str, object]:
    return {"name": "echo", "arguments": {"word": word, "path": path}}


def test_a_turn_with_tool_calls_goes_on_until_the_model_answers(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"text": "Looking.", "calls": [call("one")]}, "It says one."], tools=[Echo()])
    end = ask(made)
    assert (end.status, end.text, end.turns, end.usage) == ("success", "It says one.", 2, Usage(input=20, output=10))
    assert end.cost_usd == pytest.approx((20 * 1.0 + 10 * 2.0) / 1e6)
    assert [type(part).__name__ for part in made.loop.history] == ["UserMessage", "AssistantMessage", "ToolMessage", "AssistantMessage"]
    assert "".join(event.text for event in made.of(TextDelta)) == "Looking.It says one."
    assert fold(made.envelopes()) == made.loop.history


def test_a_price_that_must_be_looked_up_is_looked_up_while_the_answer_comes_and_not_before(tmp_path: Path) -> None:
    seen: list[tuple[bool, bool]] = []

    def price(_: ModelSpec) -> Cost:
        seen.append((bool(made.of(TextDelta) or provider.requests), threading.current_thread() is threading.main_thread()))
        return Cost(3.0, 4.0)

    spec = ModelSpec("demo", "unpriced", "scripted")
    provider = ScriptedProvider(["Done.", "Done again."], "demo")
    made = stage(tmp_path, [], models=FixedModel(replace(active(provider, spec), price=price)))
    assert ask(made).cost_usd == pytest.approx((10 * 3.0 + 5 * 4.0) / 1e6)
    assert seen[0] == (True, False)
    seen.clear()
    made = stage(tmp_path, [], models=FixedModel(replace(active(provider, spec), price=price, price_at_hand=lambda _: True)))
    assert ask(made).cost_usd == pytest.approx((10 * 3.0 + 5 * 4.0) / 1e6)
    assert {in_main for _, in_main in seen} == {True}


def test_each_call_of_an_answer_ends_once_and_results_come_in_order(tmp_path: Path) -> None:
    calls = [
        call("a"),
        {"name": "nothing", "arguments": {}},
        {"name": "echo", "arguments": "{broken"},
        {"name": "echo", "arguments": {}},
        call("boom"),
    ]
    made = stage(tmp_path, [{"calls": calls}, "done"], tools=[Echo()])
    ask(made)
    results = made.loop.history[2]
    assert isinstance(results, ToolMessage)
    texts = [(result.is_error, result.text()) for result in results.results]
    assert texts[0] == (False, "a")
    assert texts[1] == (True, "There is no tool 'nothing'. Nearest: echo.")
    assert texts[2][1].startswith("The arguments of echo are not valid JSON")
    assert texts[3][1] == "Wrong arguments for echo: word: Field required. Nothing was done; send the call again."
    assert texts[4][1] == "echo failed inside: RuntimeError: a bug in the tool"
    assert sorted(event.result.call_id for event in made.of(ToolFinished)) == sorted(result.call_id for result in results.results)


def test_calls_without_conflict_run_together_and_two_writers_of_one_file_do_not(tmp_path: Path) -> None:
    together, apart = Echo(), Echo()
    ask(stage(tmp_path, [{"calls": [call("a", "x"), call("b", "y")]}, "done"], tools=[together]))
    ask(stage(tmp_path, [{"calls": [call("a", "x"), call("b", "./x")]}, "done"], tools=[apart]))
    assert together.log[:2] == ["begin a", "begin b"]
    assert apart.log == ["begin a", "end a", "begin b", "end b"]


def test_repeated_and_missing_call_ids_are_told_apart(tmp_path: Path) -> None:
    twins = [{"name": "echo", "arguments": {"word": word}, "id": "same"} for word in ("a", "b")]
    made = stage(tmp_path, [{"calls": twins}, {"calls": twins}, "done"], tools=[Echo()])
    ask(made)
    assert fold(made.envelopes()) == made.loop.history
    first = made.loop.history[2]
    assert isinstance(first, ToolMessage)
    assert [result.text() for result in first.results] == ["a", "b"]
    results = [result for message in made.loop.history if isinstance(message, ToolMessage) for result in message.results]
    assert [result.call_id for result in results] == ["same", "same_2", "same_3", "same_4"]


def test_a_retryable_failure_is_tried_again_as_an_event_and_its_text_is_not_kept_twice(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"text": "Half an ans", "cut": True}, "The whole answer."])
    end = ask(made)
    assert (end.status, end.text) == ("success", "The whole answer.")
    assert [event.attempt for event in made.of(CallStarted)] == [1, 2]
    assert [event.failure.kind for event in made.of(RetryScheduled)] == ["stream_broken"]
    assert made.of(Replied)[0].message.stop == "error"
    assert made.loop.history == [user_text("go"), AssistantMessage((Text("The whole answer."),))]
    assert fold(made.envelopes()) == made.loop.history


def test_retries_are_bounded_and_the_last_failure_ends_the_run(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"error": {"kind": "unavailable", "status": 500}, "repeat": True}])
    end = ask(made)
    assert (end.status, end.failure and end.failure.kind, end.failure and end.failure.exit_code) == ("error", "unavailable", 75)
    assert len(made.provider.requests) == 4


def test_what_cannot_succeed_again_is_not_tried_again(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"error": {"kind": "authentication", "status": 401}, "repeat": True}])
    end = ask(made)
    assert end.failure is not None
    assert (end.failure.exit_code, len(made.provider.requests)) == (41, 1)


def test_a_service_that_says_when_to_come_back_is_believed(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"error": {"kind": "rate_limit", "retry_after": 0.07}}, "done"])
    began = time.monotonic()
    ask(made)
    assert made.of(RetryScheduled)[0].delay_s == 0.07
    assert time.monotonic() - began >= 0.07


def test_after_the_last_attempt_the_next_model_takes_over_from_the_transcript(tmp_path: Path) -> None:
    other = ScriptedProvider(["from the other"], "demo")

    class Two:
        def __init__(self, first: ActiveModel, second: ActiveModel) -> None:
            self.now, self.next = first, [second]

        def current(self) -> ActiveModel:
            return self.now

        def fallback(self, failed: ActiveModel, error: ProviderError) -> ActiveModel | None:
            if self.next:
                self.now = self.next.pop()
                return self.now
            return None

        def spare(self) -> bool:
            return bool(self.next)

    first = ScriptedProvider([{"error": {"kind": "request_rejected", "status": 404}}], "demo")
    models = Two(active(first), active(other, ModelSpec("demo", "m2", "scripted")))
    made = stage(tmp_path, [], models=models)
    end = ask(made)
    assert (end.status, end.text) == ("success", "from the other")
    assert [(event.left, event.model.resolved) for event in made.of(FellBack)] == [("demo/m1", "demo/m2")]
    assert end.cost_usd is None, "the second model's price is unknown, so the sum is"


@pytest.mark.parametrize(("stop", "words"), [("length", "output limit"), ("content_filter", "content filter"), ("refusal", "refused")])
def test_an_answer_that_is_not_whole_is_never_passed_off_as_one(tmp_path: Path, stop: str, words: str) -> None:
    made = stage(tmp_path, [{"text": "Half", "stop": stop}])
    end = ask(made)
    assert end.status == "error"
    assert end.failure is not None
    assert words in end.failure.message
    assert end.text == "Half"


@pytest.mark.parametrize("stop", ["content_filter", "refusal"])
def test_calls_of_an_answer_that_was_stopped_by_a_filter_do_not_run(tmp_path: Path, stop: str) -> None:
    echo = Echo()
    made = stage(tmp_path, [{"text": "Half", "calls": [call("a")], "stop": stop}], tools=[echo])
    end = ask(made)
    assert (end.failure and end.failure.kind, end.text, echo.log) == ("answer_cut", "Half", [])
    assert isinstance(made.loop.history[-1], ToolMessage), "each call has its result"


@pytest.mark.parametrize("arguments", ["", '{"word": "b'])
def test_the_call_at_which_the_output_limit_cut_is_not_run_and_the_model_is_told(tmp_path: Path, arguments: str) -> None:
    echo = Echo()
    last = {"name": "echo", "arguments": arguments}
    made = stage(tmp_path, [{"calls": [call("a"), last], "stop": "length"}, {"text": "I see."}], tools=[echo])
    end = ask(made)
    results = [event.result for event in made.of(ToolFinished)]
    assert (end.text, echo.log) == ("I see.", ["begin a", "end a"])
    assert sorted((result.is_error, "output limit" in result.text()) for result in results) == [(False, False), (True, True)]


def test_an_answer_of_nothing_is_no_failure_and_the_person_is_told(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"text": ""}])
    assert (ask(made).status, [notice.level for notice in made.of(Notice)]) == ("success", ["warning"])


def test_the_turn_limit_stops_before_the_next_call(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"calls": [call("a")], "repeat": True}], tools=[Echo()], limits=RunLimits(max_turns=3))
    end = ask(made)
    assert (end.status, end.turns, len(made.provider.requests), end.failure and end.failure.exit_code) == ("turn_limit", 3, 3, 53)


def test_the_time_limit_ends_a_call_that_hangs(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"text": "so far", "hang": True}], limits=RunLimits(timeout_s=0.05))
    end = ask(made)
    assert (end.status, end.failure and end.failure.exit_code, end.text) == ("time_limit", 124, "so far")
    assert made.loop.history[-1] == AssistantMessage((Text("so far"),), "interrupted")


def test_a_spent_budget_stops_the_next_call(tmp_path: Path) -> None:
    class Spent:
        def __init__(self) -> None:
            self.left = 1

        def turn(self) -> None:
            return

        def check(self) -> None:
            if not self.left:
                raise BudgetLimit("spent")

        def charge(self, usage: Usage, cost_usd: float | None) -> None:
            self.left -= 1

    made = stage(tmp_path, [{"calls": [call("a")]}, "never"], tools=[Echo()], ledger=Spent())
    end = ask(made)
    assert (end.status, end.failure and end.failure.exit_code, len(made.provider.requests)) == ("budget", 54, 1)


def test_an_interrupt_in_a_stream_keeps_what_was_said_and_history_stays_valid(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"text": "Once upon", "hang": True}, "again"])

    async def play() -> None:
        task = asyncio.create_task(made.loop.run(user_text("tell")))
        while not made.of(TextDelta):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await made.loop.run(user_text("go on"))

    asyncio.run(play())
    assert [event.status for event in made.of(RunFinished)] == ["interrupted", "success"]
    assert made.loop.history == [
        user_text("tell"),
        AssistantMessage((Text("Once upon"),), "interrupted"),
        user_text("go on"),
        AssistantMessage((Text("again"),)),
    ]
    assert fold(made.envelopes()) == made.loop.history


def test_half_a_step_of_a_small_model_is_neither_shown_nor_remembered(tmp_path: Path) -> None:
    half = {"text": '{"tool": "echo", "text": "The sea', "hang": True}
    made = stage(tmp_path, [half], tools=[Echo()], spec=replace(SPEC, profile=Profile("small")))

    async def play() -> None:
        task = asyncio.create_task(made.loop.run(user_text("write")))
        while not made.of(CallStarted):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    assert [(event.message.content, event.message.stop, event.first_ms > 40) for event in made.of(Replied)] == [((), "interrupted", False)]
    assert made.loop.history == [user_text("write")]


def test_an_interrupt_in_a_tool_gives_every_call_left_an_interrupted_result(tmp_path: Path) -> None:
    tool = Echo(until=asyncio.Event())
    made = stage(tmp_path, [{"calls": [call("a", "x"), call("b", "x")]}, "again"], tools=[tool])

    async def play() -> None:
        tool.until = asyncio.Event()
        task = asyncio.create_task(made.loop.run(user_text("work")))
        while not tool.log:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    results = made.loop.history[-1]
    assert isinstance(results, ToolMessage)
    assert [(result.is_error, result.text()) for result in results.results] == [(True, INTERRUPTED)] * 2
    assert tool.log == ["begin a"]
    assert fold(made.envelopes()) == made.loop.history


def test_messages_injected_while_tools_run_reach_the_next_call_and_one_after_the_answer_starts_another(tmp_path: Path) -> None:
    class Steered(Free):
        def __init__(self) -> None:
            self.waiting: list[list[UserMessage]] = [[], [user_text("also this", "injected")], [user_text("and that", "injected")], []]

        def drain(self) -> tuple[UserMessage, ...]:
            return tuple(self.waiting.pop(0)) if self.waiting else ()

    made = stage(tmp_path, [{"calls": [call("a")]}, "first answer", "second answer"], tools=[Echo()], control=Steered())
    end = ask(made)
    assert end.text == "second answer"
    assert [message.text() for message in made.loop.history if isinstance(message, UserMessage)] == ["go", "also this", "and that"]


def test_an_answer_must_fit_the_schema_and_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    made = stage(tmp_path, ["not json", '{"n": "x"}', '```json\n{"n": 3}\n```'], output_schema=schema)
    end = ask(made)
    assert (end.status, end.structured) == ("success", {"n": 3})
    hopeless = ask(stage(tmp_path, [{"text": "no", "repeat": True}], output_schema=schema))
    assert (hopeless.status, hopeless.failure and hopeless.failure.kind) == ("error", "output_invalid")


def test_a_worker_that_says_nothing_is_asked_once_for_its_report(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"calls": [call("a")]}, "", "I said a."], tools=[Echo()], report=True)
    assert ask(made).text == "I said a."
    silent = ask(stage(tmp_path, ["", ""], report=True))
    assert (silent.status, silent.failure and silent.failure.message) == ("error", "the model ended with an empty answer.")


def test_without_a_person_what_would_ask_is_denied_and_listed(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"calls": [call("a", "x")]}, "gave up"], tools=[Echo()], mode="default")
    end = ask(made)
    finished = made.of(ToolFinished)[0]
    assert finished.denied
    assert "Not permitted" in finished.result.text()
    assert len(end.denials) == 1


@pytest.mark.parametrize(("decision", "ran"), [("once", True), ("deny", False)])
def test_a_person_is_asked_and_the_answer_counts(tmp_path: Path, decision: str, ran: bool) -> None:
    approvals, tool = Approvals(), Echo()
    made = stage(tmp_path, [{"calls": [call("a", "x")]}, "done"], tools=[tool], mode="default", approvals=approvals)

    async def play() -> None:
        task = asyncio.create_task(made.loop.run(user_text("go")))
        while not made.of(ApprovalAsked):
            await asyncio.sleep(0)
        approvals.answer(Answer(made.of(ApprovalAsked)[0].request_id, decision, "not now"))  # type: ignore[arg-type]
        await task

    asyncio.run(play())
    assert (tool.log == ["begin a", "end a"]) is ran
    assert ran or "not now" in made.of(ToolFinished)[0].result.text()


def test_fold_repairs_a_session_that_ended_in_the_middle_of_a_call(tmp_path: Path) -> None:
    made = stage(tmp_path, [{"text": "t", "calls": [call("a"), call("b")]}, "done"], tools=[Echo()])
    ask(made)
    cut = [envelope for envelope in made.envelopes() if not isinstance(envelope.event, RunFinished)]
    last = max(index for index, envelope in enumerate(cut) if isinstance(envelope.event, ToolStarted))
    history = fold(cut[: last + 1])
    assert isinstance(history[-1], ToolMessage)
    assert [result.text() for result in history[-1].results] == [INTERRUPTED, INTERRUPTED]


def test_repair_drops_results_without_a_call_and_answers_before_any_question() -> None:
    from agentcli.engine.history import repair

    stray = ToolMessage((ToolResult("x", "echo", (Text("?"),)),))
    asked = AssistantMessage((ToolCall("c", "echo", "{}"),), "tool_calls")
    assert repair([AssistantMessage((Text("hello"),)), stray, user_text("hi"), AssistantMessage(()), asked]) == [
        user_text("hi"),
        asked,
        ToolMessage((ToolResult("c", "echo", (Text(INTERRUPTED),), is_error=True),)),
    ]


def test_a_model_that_takes_no_tools_is_offered_none(tmp_path: Path) -> None:
    made = stage(tmp_path, ["hello"], tools=[Echo()], spec=ModelSpec("demo", "m1", "scripted", tool_call=False))
    ask(made)
    assert made.provider.requests[0].tools == ()
    assert SPEC.tool_call

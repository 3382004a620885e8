from __future__ import annotations

import pytest
from support.envelopes import BIG, DOWN, SMALL, Story, answered, ended, short_run, started, submitted, troubled_run

from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    CallStarted,
    Envelope,
    Failure,
    FellBack,
    ModelChanged,
    RunStatus,
    StateChanged,
    decode,
    encode,
)
from agentcli.protocol.models import ModelUse, Usage
from agentcli.sdk.tally import Denied, Ending, Tally


def fed(envelopes: list[Envelope]) -> Tally:
    tally = Tally()
    for envelope in envelopes:
        tally.feed(envelope)
    return tally


def with_worker(status: str, *, background: bool, failure: Failure | None = None) -> list[Envelope]:
    story = Story().tell(started(), submitted("x"))
    story.tell(AgentSpawned(name="scout-1", agent="scout", model=SMALL, prompt="p", background=background), agent="main/scout-1")
    story.tell(AgentFinished(status=status, model=SMALL, failure=failure), agent="main/scout-1")  # type: ignore[arg-type]
    return story.tell(answered("done"), ended("done")).envelopes


def test_the_stored_events_alone_give_the_same_tally() -> None:
    stored = [decode(encode(envelope)) for envelope in troubled_run() if envelope.event.durable]
    live, read = fed(troubled_run()), fed([envelope for envelope in stored if envelope is not None])
    assert (live.main, live.workers, live.models, live.runs, live.denied) == (read.main, read.workers, read.models, read.runs, read.denied)


def test_sums_run_over_the_whole_tree_and_over_attempts_that_failed() -> None:
    tally = fed(troubled_run())
    assert tally.usage == Usage(input=130, output=32, cache_read=50)
    assert {name: (model.usage, model.calls, model.cost_usd) for name, model in tally.models.items()} == {
        "acme/big-1:high": (Usage(input=100, output=20, cache_read=50), 3, 0.25),
        "tiny/small-2": (Usage(input=30, output=12), 2, None),
    }
    assert (tally.api_ms, tally.duration_ms, tally.session_id, tally.seq) == (1700, 4000, "s-1", 33)


def test_an_unknown_price_makes_the_sum_unknown_and_spares_the_others() -> None:
    tally = fed(troubled_run())
    assert tally.cost_usd is None
    assert (tally.main.cost_usd, tally.workers["main/scout-1"].cost_usd) == (0.25, None)


def test_what_was_not_permitted_is_kept_with_its_arguments_and_what_would_permit_it() -> None:
    tally = fed(troubled_run())
    assert tally.denied == [Denied("main/scout-1", "w1", "grep", '{"pattern":"def"}', "Not permitted.")]
    assert tally.denials == ['grep "def": outside the workspace. To allow it: --add-dir ..']


def test_a_worker_is_known_with_parent_model_and_figures() -> None:
    worker = fed(troubled_run()).workers["main/scout-1"]
    assert (worker.name, worker.agent, worker.parent, worker.label, worker.call_id) == ("scout-1", "scout", "main", "Scout", "c2")
    assert (worker.state, worker.turns, worker.tool_calls, worker.last_tool) == ("completed", 2, 1, "grep")
    assert (worker.model, worker.served, worker.duration_ms, worker.text) == (SMALL, ["small-2"], 850, "found")


def test_turns_are_the_engines_count_once_a_run_ended_and_add_up_over_runs() -> None:
    story = Story().tell(answered("a", 1), answered("b", 2))
    assert fed(story.envelopes).main.turns == 2
    story.tell(ended("b", turns=1, duration_ms=10), answered("c"), ended("c", turns=4, duration_ms=20))
    tally = fed(story.envelopes)
    assert (tally.main.turns, tally.duration_ms, tally.text) == (5, 20 + 10, "c")


def test_fallbacks_and_the_model_that_answered_last_are_told() -> None:
    story = Story().tell(started(), FellBack(left="acme/big-1:high", model=SMALL, failure=DOWN), answered("x", model=SMALL))
    tally = fed(story.envelopes)
    assert (tally.main.fallbacks, tally.main.model) == (["tiny/small-2"], SMALL)


def test_a_finished_worker_keeps_the_model_that_its_calls_were_served_by() -> None:
    story = Story().tell(answered("x", model=SMALL), agent="main/w-1")
    story.tell(AgentFinished(status="completed", model=ModelUse("fast", "tiny/small-2", "definition")), agent="main/w-1")
    assert fed(story.envelopes).workers["main/w-1"].model == SMALL


def test_a_model_chosen_while_another_answers_stays_the_session_s_and_the_call_counts_for_the_one_that_answered() -> None:
    story = Story().tell(started(model=BIG), CallStarted(call=1, model=BIG), ModelChanged(model=SMALL), answered("cut", model=BIG))
    tally = fed(story.envelopes)
    assert (tally.main.model, list(tally.models)) == (SMALL, [BIG.resolved])
    served = ModelUse("fast", "tiny/small-2", "command", "small-2-june")
    story.tell(CallStarted(call=2, model=SMALL), answered("whole", 2, model=served))
    assert fed(story.envelopes).main.model == served


# --- endings ---


def test_a_good_run_ends_well() -> None:
    assert fed(short_run()).ending() == Ending("success", None, 0)


def test_a_failed_run_ends_with_its_own_failure() -> None:
    assert fed(troubled_run()).ending() == Ending("error", DOWN, 75)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("error", "error", 1), ("interrupted", "interrupted", 130), ("cancelled", "interrupted", 130), ("turn_limit", "turn_limit", 53),
        ("budget", "budget", 54), ("time_limit", "time_limit", 124),
    ],
)  # fmt: skip
def test_a_run_that_gave_no_reason_still_has_the_exit_code_of_its_status(status: RunStatus, kind: str, code: int) -> None:
    ending = fed([*short_run()[:-1], *Story().tell(ended(status=status)).envelopes]).ending()
    assert ending.failure is not None
    assert (ending.status, ending.failure.kind, ending.exit_code) == (status, kind, code)


def test_a_session_whose_run_never_ended_has_failed() -> None:
    ending = fed(short_run()[:-1]).ending()
    assert ending.failure is not None
    assert (ending.status, ending.failure.kind, ending.exit_code) == ("error", "internal", 1)


def test_what_the_caller_knows_goes_before_what_events_told() -> None:
    terminated = Failure("terminated", "SIGTERM.", 143)
    assert fed(short_run()).ending(terminated) == Ending("interrupted", terminated, 143)
    assert fed([]).ending(terminated) == Ending("interrupted", terminated, 143)
    spent = Failure("budget", "spent.", 54)
    assert fed(troubled_run()).ending(spent) == Ending("budget", spent, 54)


def test_a_background_worker_that_failed_makes_the_run_fail() -> None:
    ending = fed(with_worker("failed", background=True, failure=DOWN)).ending()
    assert ending == Ending("error", Failure("worker_failed", f"background worker main/scout-1 failed: {DOWN.message}", 1, DOWN.hint), 1)


@pytest.mark.parametrize(("status", "background"), [("failed", False), ("cancelled", True), ("completed", True)])
def test_other_workers_do_not(status: str, background: bool) -> None:
    assert fed(with_worker(status, background=background)).ending().exit_code == 0


def test_an_agent_that_was_never_announced_is_counted_all_the_same() -> None:
    story = Story().tell(StateChanged(state="running"), answered("x", model=BIG), agent="main/ghost-1")
    worker = fed(story.envelopes).workers["main/ghost-1"]
    assert (worker.name, worker.parent, worker.turns) == ("ghost-1", "main", 1)

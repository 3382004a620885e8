"""The panel: one row a worker, columns that line up at every width, and which rows stay when not all fit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.envelopes import DOWN
from support.screens import LOCAL, MINI, PINNED

from agentcli.protocol.events import AgentState
from agentcli.protocol.models import Link, ModelUse, Usage
from agentcli.protocol.text import cells
from agentcli.ui.amounts import clock
from agentcli.ui.items import FanOut, WorkerFacts
from agentcli.ui.panel import final, panel, sentence
from agentcli.ui.workers import closing

NOW = 1_008.3


def worker(number: int = 2, state: AgentState = "running", **changes: object) -> WorkerFacts:
    given: dict[str, object] = {
        "id": f"main/scout-{number}",
        "name": f"scout-{number}",
        "agent": "scout",
        "label": "",
        "model": MINI,
        "state": state,
        "doing": 'grep "def main"',
        "turns": 3,
        "usage": Usage(input=12_000, output=400),
        "cost_usd": 0.004,
        "since": 1_000.0,
    }
    return WorkerFacts(**{**given, **changes})  # type: ignore[arg-type]


def rows(workers: list[WorkerFacts], width: int = 120, height: int = 24) -> list[str]:
    return [text.plain for text in panel(workers, NOW, width, height, "mono")]


def queued(number: int) -> WorkerFacts:
    return worker(number, "queued", since=None, turns=0, usage=Usage(), cost_usd=0.0, doing="")


def test_a_row_tells_icon_name_model_and_link_state_tool_turns_tokens_cost_and_time() -> None:
    assert rows([worker()], 100) == ['⠸ scout-2  gpt-4o-mini (definition)  running  grep "def main"    3 turns   12.4k tok   $0.004     8s']


EVERY_STATE = [
    worker(1),
    worker(2, "waiting", doing="bash rm -rf build"),
    worker(3, retry_at=1_020.0, model=PINNED),
    worker(4, "paused", model=LOCAL),
    worker(5, "completed", until=1_005.0, cost_usd=None),
    worker(6, "failed", failure=DOWN, until=1_065.0),
    worker(7, "cancelled", until=1_001.0),
    queued(8),
]


def test_every_state_in_columns_with_a_total() -> None:
    assert rows(EVERY_STATE, 136) == [
        '⠸ scout-1  openai/gpt-4o-mini (definition)            running               grep "def main"          3 turns   12.4k tok   $0.004     8s',
        "? scout-2  openai/gpt-4o-mini (definition)            waiting for approval  bash rm -rf build        3 turns   12.4k tok   $0.004     8s",
        '↻ scout-3  anthropic/claude-sonnet-4:high (pin)       retry in 12 s         grep "def main"          3 turns   12.4k tok   $0.004     8s',
        '‖ scout-4  local/qwen2.5-coder-1.5b (subagent_model)  paused                grep "def main"          3 turns   12.4k tok   $0.004     8s',
        '✓ scout-5  openai/gpt-4o-mini (definition)            done                  grep "def main"          3 turns   12.4k tok       $?     5s',
        "✗ scout-6  openai/gpt-4o-mini (definition)            failed                acme answered 503: ov…   3 turns   12.4k tok   $0.004  1m05s",
        '- scout-7  openai/gpt-4o-mini (definition)            cancelled             grep "def main"          3 turns   12.4k tok   $0.004     1s',
        "· scout-8  openai/gpt-4o-mini (definition)            queued",
        "8 workers: 1 approval, 1 running, 1 to retry, 1 paused, 1 failed, 1 queued, 1 cancelled, 1 done     21 turns   86.8k tok       $?  1m05s",
    ]


def test_narrower_windows_shorten_words_first_and_drop_columns_last() -> None:
    one = [worker(), worker(3, "waiting", doing="bash make")]
    seen = {width: rows(one, width)[1] for width in (120, 100, 80, 70, 60, 50, 40)}
    assert seen == {
        120: "? scout-3  openai/gpt-4o-mini (definition)  waiting for approval  bash make          3 turns   12.4k tok   $0.004     8s",
        100: "? scout-3  gpt-4o-mini (definition)  approval  bash make                     3t  12.4k   $0.004   8s",
        80: "? scout-3  gpt-4o-mini (def)  approval  bash make        3t  12.4k   $0.004   8s",
        70: "? scout-3  gpt-4o-mini (def)  approval  bash make  12.4k   $0.004   8s",
        60: "? scout-3  gpt-4o-mini (def)  approval  12.4k  $0.004  8s",
        50: "? scout-3  gpt-4o-mini (def)  approval  $0.004  8s",
        40: "? scout-3  gpt-4o-mini  approval  8s",
    }


def test_a_role_stands_beside_the_name_where_there_is_room() -> None:
    labelled = [worker(2, label="Reads the parser")]
    assert rows(labelled, 140)[0].startswith("⠸ scout-2 Reads the parser  openai/")
    assert rows(labelled, 110)[0].startswith("⠸ scout-2  openai/")


def test_a_worker_that_has_done_nothing_yet_shows_its_task_without_the_start_that_all_share() -> None:
    crew = [worker(number, doing="", prompt=f"Read the file src/{name}.py and report.\nAll of it.") for number, name in ((1, "a"), (2, "b"))]
    assert "  Read the file src/a.py and report.  " in rows(crew, 140)[0]
    assert "  …src/b.py and r…  " in rows(crew, 100)[1]
    assert "  Read the file s…  " in rows(crew[:1], 100)[0]


def test_a_total_that_does_not_fit_counts_by_the_icons_of_the_rows() -> None:
    assert rows(EVERY_STATE, 80)[-1].startswith("8 workers: 1? 1⠸ 1↻ 1‖ 1✗ 1· 1- 1✓ ")


def test_more_workers_than_lines_show_those_that_need_somebody_then_those_that_run() -> None:
    workers = [worker(number, "completed", until=1_002.0) for number in range(1, 21)]
    workers += [worker(21, "failed", failure=DOWN, until=1_003.0), worker(22), worker(23, "waiting"), *(queued(number) for number in range(24, 41))]
    lines = rows(workers, 100, 6)
    assert [line.split()[1] for line in lines[:3]] == ["scout-23", "scout-22", "scout-21"]
    assert lines[4] == "+36 more: 16 queued, 20 done"
    assert lines[5].startswith("40 workers: 1 approval, 1 running, 1 failed, 17 queued, 20 done ")
    assert len(lines) == 6


@pytest.mark.parametrize("height", [1, 2, 3, 24])
def test_the_panel_is_never_higher_than_it_may_be(height: int) -> None:
    assert len(rows([worker(number) for number in range(1, 41)], 80, height)) <= height


LINKS: list[Link] = ["parent", "subagent_model", "definition", "call", "pin", "fallback"]
STATES: list[AgentState] = ["queued", "running", "waiting", "paused", "completed", "failed", "cancelled"]
NAMES = st.sampled_from([
    "a", "scout-2", "日本語-1", "e\u0301\u0301x-1", "planner-1/explore-12/deep-3", "x" * 60, "[/].py-1", "👩\u200d💻-1", "\x1b[31mred",
])  # fmt: skip


@st.composite
def workers(draw: st.DrawFn) -> WorkerFacts:
    name = draw(NAMES)
    state = draw(st.sampled_from(STATES))
    model = ModelUse("x", draw(st.sampled_from(["a/b", "openai/gpt-4o-mini", "日本/モデル:high", "v" * 70, ""])), draw(st.sampled_from(LINKS)))
    used = Usage(draw(st.sampled_from([0, 950, 12_400, 999_999, 12_000_000])))
    return worker(
        1,
        state,
        name=name,
        label=draw(NAMES),
        model=model,
        doing=draw(st.sampled_from(["", "bash " + "long " * 30, "日本" * 40, "a\nb\x07"])),
        prompt=draw(st.sampled_from(["", "Read the file a.py", "Read the file 日本.py and say", "\n \x1b[31mRead the " + "x" * 500])),
        usage=used,
        turns=draw(st.integers(0, 400)),
        cost_usd=draw(st.sampled_from([None, 0.0, 0.00001, 0.004, 123.45])),
        since=draw(st.sampled_from([None, 1_000.0, -90_000.0])),
        retry_at=draw(st.sampled_from([None, 1_020.0])),
        failure=DOWN if state == "failed" else None,
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(workers(), min_size=1, max_size=7), st.integers(40, 300), st.integers(1, 12))
def test_rows_of_any_workers_fit_and_their_right_columns_line_up(crew: list[WorkerFacts], width: int, height: int) -> None:
    lines = rows(crew, width, height)
    assert len(lines) <= height
    assert all(cells(line) <= width for line in lines)
    assert all(line.isprintable() or "\u200d" in line or "\u0301" in line for line in lines)
    begun = [line for line in lines if "workers: " not in line and line[-1:] in "sm" and line[-2:-1].isdigit() and not line.startswith("+")]
    assert len({cells(line) for line in begun}) <= 1


def test_in_plain_words_a_row_is_a_sentence() -> None:
    assert sentence(worker(), NOW) == 'scout-2 running, openai/gpt-4o-mini (definition), grep "def main", 3 turns, 12.4k tok, $0.004, 8s'
    assert sentence(worker(3, retry_at=1_020.0, cost_usd=None), NOW).startswith("scout-3 retry in 12 s, ")
    assert sentence(queued(4), NOW) == "scout-4 queued, openai/gpt-4o-mini (definition)"


def test_the_end_of_a_fan_out_tells_why_some_failed_and_what_it_would_have_cost() -> None:
    crew = (worker(1, "completed", until=1_005.0), worker(2, "failed", failure=DOWN, until=1_008.0))
    over = FanOut(crew, Usage(24_800), 0.008, 8.0, "acme/big-1:high", 0.5)
    assert [text.plain for text in final(over, 100, "mono")] == [
        "✓ scout-1  openai/gpt-4o-mini (definition)  done    3 turns  12.4k tok  $0.004  5s",
        "✗ scout-2  openai/gpt-4o-mini (definition)  failed  3 turns  12.4k tok  $0.004  8s",
        f"  {DOWN.message} {DOWN.hint}",
        "2 workers: 1 failed, 1 done · 24.8k tok · $0.008 · 8s · the same tokens on acme/big-1:high would have cost $0.5",
    ]


def test_one_worker_on_the_sessions_model_needs_no_total() -> None:
    assert len(final(FanOut((worker(1, "completed", until=1_005.0),), Usage(), 0.0, 5.0), 100)) == 1


def test_a_large_fan_out_keeps_all_that_failed_and_counts_the_rest() -> None:
    crew = (*(worker(number, "completed", until=1_005.0) for number in range(1, 100)), worker(100, "failed", failure=DOWN, until=1_006.0))
    lines = [text.plain for text in final(FanOut(crew, Usage(), None, 6.0), 100, "mono")]
    assert lines[0].startswith("✗ scout-100")
    assert lines[-2:] == ["+81 more: 81 done", closing(FanOut(crew, Usage(), None, 6.0))]
    assert len(lines) == 19 + 3


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (59.9, "59s"), (65, "1m05s"), (3_599, "59m59s"), (3_725, "1h02m"), (400_000, "111h06m")])
def test_elapsed_time_in_a_column(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown

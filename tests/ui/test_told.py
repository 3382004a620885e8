"""The one line that a retry, a hop to another model and a compaction have, on the screen and in plain progress alike."""

from __future__ import annotations

import pytest

from agentcli.protocol.events import Compacted, Failure, FellBack, RetryScheduled
from agentcli.protocol.models import ModelUse
from agentcli.ui.told import compacted_words, fallback_words, retry_words

SLOW = Failure("rate_limit", "house answered 429: slow down.", 75, provider="house")


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (2, "retry 2 of 3 in 12.0 s: house answered 429: slow down."),
        (0, "waits 12.0 s, as all calls to house do: house answered 429: slow down."),
    ],
)
def test_a_wait_says_whether_it_is_for_a_failure_of_ones_own(attempt: int, words: str) -> None:
    assert retry_words(RetryScheduled(failure=SLOW, attempt=attempt, limit=3, delay_s=12.0)) == words


def test_a_hop_names_both_models_and_the_reason() -> None:
    hop = FellBack(left="house/m", model=ModelUse("b", "other/m2", "fallback"), failure=SLOW)
    assert fallback_words(hop) == "house/m is given up (house answered 429: slow down.); going on with other/m2"


@pytest.mark.parametrize(
    ("summary", "cost", "words"),
    [
        ("", 0.0, "history compacted from 120.0k tok to 9.0k tok: old tool results were cut"),
        ("s", 0.02, "history compacted from 120.0k tok to 9.0k tok (the summary cost $0.02)"),
        ("s", None, "history compacted from 120.0k tok to 9.0k tok"),
    ],
)
def test_a_compaction_says_how_it_was_done_and_what_it_cost(summary: str, cost: float | None, words: str) -> None:
    assert compacted_words(Compacted(summary=summary, tokens_before=120_000, tokens_after=9_000, cost_usd=cost)) == words

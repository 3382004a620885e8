"""What keeps a run going (retries, fallbacks, compaction) in one line each, the same on the screen and in plain progress."""

from __future__ import annotations

from agentcli.protocol.events import Compacted, FellBack, RetryScheduled
from agentcli.ui.amounts import duration, money, tokens


def retry_words(event: RetryScheduled) -> str:
    wait, failure = duration(round(event.delay_s * 1000)), event.failure
    if event.attempt:
        return f"retry {event.attempt} of {event.limit} in {wait}: {failure.message}"
    return f"waits {wait}, as all calls to {failure.provider or 'the provider'} do: {failure.message}"


def fallback_words(event: FellBack) -> str:
    return f"{event.left} is given up ({event.failure.message}); going on with {event.model.resolved}"


def compacted_words(event: Compacted) -> str:
    sizes = f"{tokens(event.tokens_before)} to {tokens(event.tokens_after)}"
    how = "" if event.summary else ": old tool results were cut"
    cost = f" (the summary cost {money(event.cost_usd)})" if event.cost_usd else ""
    return f"history compacted from {sizes}{how}{cost}"

"""How a worker's end is put into words and brought about whole: status, failure, and work that no second cancel may cut off."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from agentcli.agents.tree import Ended, EndState, Node
from agentcli.engine.loop import Outcome
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import AgentError, Interrupted, Terminated, TimeLimit
from agentcli.protocol.events import Failure
from agentcli.protocol.models import Usage

T = TypeVar("T")


async def unhurried(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` to its end, however often the caller is cancelled meanwhile. Raises CancelledError only where the work itself was cancelled."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()


def status_of(failure: BaseException | None, outcome: Outcome | None) -> EndState:
    """How it ended, in one word."""
    if isinstance(failure, TimeLimit):
        return "failed"
    if isinstance(failure, Interrupted | Terminated | asyncio.CancelledError):
        return "cancelled"
    if failure is not None or outcome is None or outcome.failure is not None:
        return "failed"
    return "completed"


def told_failure(failure: BaseException | None, outcome: Outcome | None) -> Failure | None:
    """What went wrong, as data."""
    if isinstance(failure, asyncio.CancelledError):
        return failure_of(Interrupted("cancelled."))
    if isinstance(failure, Exception):
        return failure_of(failure)
    if outcome is not None:
        return outcome.failure
    return failure_of(AgentError("the worker ended without a result."))


def plain_end(node: Node, failure: BaseException | None) -> Ended:
    """The end of a worker as far as its own loop told; nothing of its workspace."""
    outcome = node.outcome
    use = (outcome.model if outcome else None) or node.model.active.use
    return Ended(
        worker_id=node.id,
        name=node.name,
        agent=node.spec.name,
        status=status_of(failure, outcome),
        text=outcome.text if outcome else "",
        use=use,
        failure=told_failure(failure, outcome),
        served=outcome.served if outcome else (),
        fallbacks=outcome.fallbacks if outcome else (),
        usage=outcome.usage if outcome else Usage(),
        cost_usd=outcome.cost_usd if outcome else 0.0,
        turns=outcome.turns if outcome else 0,
        duration_ms=outcome.duration_ms if outcome else round((time.monotonic() - node.created) * 1000),
        structured=outcome.structured if outcome else None,
        note=node.note,
        label=node.task.label if node.task else "",
    )


def cut_short(node: Node, failure: BaseException | None) -> Ended:
    """The end of a worker whose own was cut off."""
    return plain_end(node, failure or asyncio.CancelledError())

"""A program's `on_approval`: asked where the rules would ask a person. Its answer, or its failure, reaches whoever waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from agentcli.engine.approvals import Approvals
from agentcli.protocol.commands import Answer
from agentcli.protocol.errors import AgentError, UsageError
from agentcli.protocol.events import ApprovalAsked, Decision
from agentcli.sdk.threads import caught
from agentcli.sdk.wanted import OnApproval


async def decide(asked: ApprovalAsked, on_approval: OnApproval, approvals: Approvals, fail: Callable[[AgentError], None]) -> None:
    """Asks the program and passes its answer on. One that raises, or gives no answer that is one, refuses, and `fail` ends the run for it."""
    said = await caught(on_approval, asked)
    decision = _decision(said)
    with contextlib.suppress(UsageError):  # whoever asked is gone meanwhile
        approvals.answer(Answer(asked.request_id, decision or "deny"))
    if decision is None:
        fail(_why(said))


def _decision(said: object) -> Decision | None:
    match said:
        case bool():
            return "once" if said else "deny"
        case "once" | "session" | "always" | "deny":
            return said
        case _:
            return None


def _why(said: object) -> AgentError:
    if isinstance(said, AgentError):
        return said
    if isinstance(said, BaseException):
        error = AgentError(f"on_approval failed: {type(said).__name__}: {str(said).rstrip('.')}.", hint="What it was asked about was refused.")
        error.__cause__ = said
        return error
    return UsageError(f"on_approval gave {said!r}.", hint="It answers True, False, or one of: once, session, always, deny.")

"""Permission of one call: the rules decide, a person is asked where there is one, and what a person allows for longer is remembered."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

from agentcli.engine.approvals import Approvals
from agentcli.engine.stream import Emit
from agentcli.protocol.commands import Answer
from agentcli.protocol.events import ApprovalAnswered, ApprovalAsked, StateChanged
from agentcli.protocol.tools import Access
from agentcli.safety.rules import Policy, Verdict, judge, parse_rules

ALLOWED_BY = " To allow it: "
"""Stands in a denial before the flag that would permit what was denied."""


class Asked(Struct, frozen=True):
    """A call that waits at the gate, as a person is shown it."""

    call_id: str
    tool: str
    title: str
    detail: str
    access: Access


class Passage(Struct, frozen=True):
    """`allowed`, or not and why: `reason` is for the model, `denial` one line for the result with what would allow it."""

    allowed: bool
    reason: str = ""
    denial: str = ""


class Gate(Struct):
    """The gate of one agent. Workers get their parent's policy, restricted; `approvals` None: nobody can be asked."""

    policy: Policy
    approvals: Approvals | None = None
    remember: Callable[[str], None] | None = None
    """Saves a rule for good ("always")."""
    denials: list[str] = field(default_factory=list)

    async def pass_through(self, asked: Asked, emit: Emit) -> Passage:
        """Decides about one call, waiting for a person where the rules say ask."""
        verdict = judge(self.policy, asked.tool, asked.access)
        if verdict.decision == "allow":
            return Passage(True)
        if verdict.decision == "ask" and self.approvals is not None:
            return await self._ask(self.approvals, asked, verdict, emit)
        return self._deny(asked, verdict)

    def _deny(self, asked: Asked, verdict: Verdict) -> Passage:
        what = f"{asked.tool} {asked.title}".strip()
        denial = f"{what}: {verdict.reason}" + (f"{ALLOWED_BY}{verdict.suggestion}" if verdict.suggestion else "")
        self.denials.append(denial)
        asks = " Nobody can be asked here." if verdict.decision == "ask" else ""
        told = f"Not permitted: {verdict.reason}{asks} Do not try to get around this; go on without it or say what you need."
        return Passage(False, told, denial)

    async def _ask(self, approvals: Approvals, asked: Asked, verdict: Verdict, emit: Emit) -> Passage:
        request_id, future = approvals.open()
        emit(StateChanged(state="waiting", detail=f"{asked.tool} {asked.title}".strip()))
        emit(
            ApprovalAsked(
                request_id=request_id,
                call_id=asked.call_id,
                tool=asked.tool,
                title=asked.title,
                detail=asked.detail,
                reason=verdict.reason,
                touches=verdict.touches,
                rule=verdict.rule,
            )
        )
        try:
            answer = await future
        finally:
            approvals.drop(request_id)
        emit(ApprovalAnswered(request_id=request_id, decision=answer.decision, reason=answer.reason, rule=verdict.rule))
        emit(StateChanged(state="running"))
        return self._settle(asked, verdict, answer)

    def _settle(self, asked: Asked, verdict: Verdict, answer: Answer) -> Passage:
        if answer.decision == "deny":
            self.denials.append(f"{asked.tool} {asked.title}: refused by the person".strip())
            return Passage(False, f"The person refused this. {answer.reason}".strip(), "refused")
        if answer.decision in ("session", "always") and verdict.rule:
            self.policy = self.policy.with_rules(allow=parse_rules(verdict.rule))
        if answer.decision == "always" and verdict.rule and self.remember is not None:
            self.remember(verdict.rule)
        return Passage(True)

"""What a run gives back to a program."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentcli.protocol.events import AgentState, Failure, RunStatus
from agentcli.protocol.messages import ToolCall
from agentcli.protocol.models import ModelUse, Usage
from agentcli.sdk.tally import AgentTally, Tally


@dataclass(frozen=True)
class AgentResult:
    """One worker of a run. `duration_ms` is wall time; `cost_usd` None: a price is unknown."""

    id: str
    name: str
    parent: str
    status: AgentState
    model: ModelUse
    text: str = ""
    failure: Failure | None = None
    fallbacks: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    duration_ms: int = 0
    turns: int = 0


@dataclass(frozen=True)
class Result:
    """How a run ended. It prints as its text.

    `usage` and `cost_usd` are sums over the whole tree of agents; `model` proves which model answered last in the main agent.
    """

    text: str
    status: RunStatus = "success"
    session_id: str = ""
    model: ModelUse | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    turns: int = 0
    duration_ms: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    agents: tuple[AgentResult, ...] = ()
    structured: object = None
    denials: tuple[str, ...] = ()
    failure: Failure | None = None

    def __str__(self) -> str:
        return self.text


def result_of(tally: Tally) -> Result:
    """What a tally of envelopes comes to."""
    ending = tally.ending()
    return Result(
        text=tally.text,
        status=ending.status,
        session_id=tally.session_id,
        model=tally.main.model,
        usage=tally.usage,
        cost_usd=tally.cost_usd,
        turns=tally.main.turns,
        duration_ms=tally.duration_ms,
        tool_calls=tally.tool_calls,
        agents=tuple(_agent(worker) for worker in tally.workers.values()),
        structured=tally.structured,
        denials=tuple(tally.denials),
        failure=ending.failure,
    )


def _agent(tally: AgentTally) -> AgentResult:
    return AgentResult(
        id=tally.id,
        name=tally.name,
        parent=tally.parent,
        status=tally.state,
        model=tally.model or ModelUse("", "", "parent"),
        text=tally.text,
        failure=tally.failure,
        fallbacks=tuple(tally.fallbacks),
        usage=tally.usage,
        cost_usd=tally.cost_usd,
        duration_ms=tally.duration_ms,
        turns=tally.turns,
    )

"""What a run, a worker, a pipeline and a team give back to a program. Plain frozen records; each prints as its text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field

from agentcli.engine.gate import ALLOWED_BY
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import AgentError, ProviderError
from agentcli.protocol.events import AgentState, Failure, RunStatus
from agentcli.protocol.messages import ToolCall
from agentcli.protocol.models import ModelUse, Usage, added_cost
from agentcli.safety.patterns import split_rules
from agentcli.sdk.schemas import fitted
from agentcli.sdk.tally import AgentTally

if TYPE_CHECKING:
    from agentcli.agents.tree import Ended
    from agentcli.engine.loop import Outcome
    from agentcli.sdk.books import PartTally
    from agentcli.sdk.options import OutputSchema


class _Printed(Struct, frozen=True):
    """Prints as its text, also where a format string asks for a width."""

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class AgentResult(_Printed, frozen=True):
    """One agent of a session, over or still at work: its own figures, without those of its workers.

    `duration_ms` is wall time, 0 until it ended; `cost_usd` in USD, None where a price is unknown; `turns` counts model calls.
    `branch` is where a workspace of its own left its changes.
    """

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
    agent: str = ""
    """The name of its definition; "" of the main agent."""
    label: str = ""
    branch: str = ""

    def __str__(self) -> str:
        return self.text


class Result(_Printed, frozen=True):
    """How a run of the session or of one worker ended.

    `usage` (tokens) and `cost_usd` (USD, None where a price is unknown) are sums over the whole tree of agents below it. `model` proves which
    model answered last: requested, resolved, served, and which link of the chain decided. `tool_calls` are the agent's own, in order; `agents`
    the workers it started (of a worker's result: itself first). `structured` is what fits the asked-for schema: an instance of the pydantic
    model, or plain JSON values. `denials` says of each call that was not permitted which option would permit it. `changes` are those of a worker in a
    workspace of its own, in words, and `branch` where they are. `fallbacks` are the models it went on with, in order, after one stayed unavailable.
    `failure` None means well.
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
    structured: Any = None
    denials: tuple[str, ...] = ()
    failure: Failure | None = None
    branch: str = ""
    changes: str = ""
    fallbacks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it went well: there is no `failure`."""
        return self.failure is None

    def __str__(self) -> str:
        return self.text


class ItemResult(_Printed, frozen=True):
    """What a pipeline made of one item. `value` is what the last stage made of it: a worker's `Result`, or what a function gave.

    `dropped`: a stage gave None, which ended this item. `stages` are the results of its workers, in order.
    """

    item: Any
    value: Any = None
    stages: tuple[Result, ...] = ()
    dropped: bool = False
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether it went well: there is no `failure`."""
        return self.failure is None

    @property
    def text(self) -> str:
        """`value` as text; empty where there is none."""
        return "" if self.value is None else str(self.value)

    @property
    def usage(self) -> Usage:
        """The tokens of all its workers."""
        return sum((stage.usage for stage in self.stages), Usage())

    @property
    def cost_usd(self) -> float | None:
        """What all its workers cost, in USD; None where a price is unknown."""
        return cost_of(self.stages)

    def __str__(self) -> str:
        return self.text


class TeamItem(_Printed, frozen=True):
    """One task of a team: what its worker brought last, and what the reviewer said of it."""

    title: str
    prompt: str
    approved: bool
    feedback: str = ""
    attempts: int = 0
    result: Result | None = None
    merged: str = ""
    """What came of merging its branch, where the team worked in branches."""

    @property
    def text(self) -> str:
        """What its worker said last."""
        return self.result.text if self.result else ""

    def __str__(self) -> str:
        return self.text


class TeamResult(_Printed, frozen=True):
    """What a team brought: all tasks, approved or with the last feedback. `members` are lead, workers and reviewers, in the order they ended."""

    text: str
    items: tuple[TeamItem, ...] = ()
    members: tuple[Result, ...] = ()
    rounds: int = 0

    @property
    def ok(self) -> bool:
        """Whether every task was approved."""
        return bool(self.items) and all(item.approved for item in self.items)

    @property
    def agents(self) -> tuple[AgentResult, ...]:
        """The members and the workers they started, in the order of `members`."""
        return tuple(agent for member in self.members for agent in member.agents)

    @property
    def usage(self) -> Usage:
        """The tokens of all members."""
        return sum((member.usage for member in self.members), Usage())

    @property
    def cost_usd(self) -> float | None:
        """What all members cost, in USD; None where a price is unknown."""
        return cost_of(self.members)

    def __str__(self) -> str:
        return self.text


# --- how they are made ---


def run_result(tally: PartTally, outcome: Outcome, schema: OutputSchema | None) -> Result:
    """Of a run of the main agent."""
    structured, misfit = fitted(schema, outcome.structured)
    failure = outcome.failure or misfit
    return Result(
        text=(tally.broken_off if failure else "") or outcome.text,
        status=outcome.status if failure is outcome.failure else "error",
        session_id=tally.session_id,
        model=outcome.model or tally.main.model,
        usage=tally.usage,
        cost_usd=tally.cost_usd,
        turns=outcome.turns,
        duration_ms=outcome.duration_ms,
        tool_calls=tally.tool_calls,
        agents=tuple(agent_result(worker) for worker in tally.workers.values()),
        structured=structured,
        denials=tuple(map(in_options, tally.denials)),
        failure=failure,
        fallbacks=outcome.fallbacks,
    )


def unbegun_result(tally: PartTally, error: AgentError) -> Result:
    """Of a run that ended before its loop could say how."""
    return Result(text=tally.text, status="error", session_id=tally.session_id, model=tally.main.model, failure=failure_of(error))


def worker_result(ended: Ended, tally: PartTally | None, schema: OutputSchema | None) -> Result:
    """Of a worker; `tally` is its own and its workers', None where it never started."""
    structured, misfit = fitted(schema, ended.structured)
    failure = ended.failure or misfit
    return Result(
        text=(tally.broken_off if tally and failure else "") or ended.text,
        status=_status(ended, failure),
        session_id=tally.session_id if tally else "",
        model=ended.use,
        usage=tally.usage if tally else ended.usage,
        cost_usd=tally.cost_usd if tally else ended.cost_usd,
        turns=ended.turns,
        duration_ms=ended.duration_ms,
        tool_calls=tally.tool_calls if tally else (),
        agents=tuple(agent_result(agent) for agent in tally.agents) if tally else (),
        structured=structured,
        denials=tuple(map(in_options, tally.denials)) if tally else (),
        failure=failure,
        branch=ended.branch,
        changes=ended.changes,
        fallbacks=ended.fallbacks,
    )


def agent_result(tally: AgentTally) -> AgentResult:
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
        agent=tally.agent,
        label=tally.label,
        branch=tally.branch,
    )


def in_options(denial: str) -> str:
    """A denial with a program's option in place of the command line's flag."""
    what, there, flag = denial.rpartition(ALLOWED_BY)
    try:
        words = shlex.split(flag) if there else []
    except ValueError:  # no flag at all: the words stand in the command that was denied
        return denial
    match words:
        case ["--allowed-tools", rules]:
            return f"{what}{there}allowed_tools={json.dumps(split_rules(rules), ensure_ascii=False)}"
        case ["--permission-mode", mode]:
            return f'{what}{there}permission_mode="{mode}"'
        case _:
            return denial


def cost_of(results: Iterable[Result]) -> float | None:
    """The sum in USD; None where one is unknown."""
    total: float | None = 0.0
    for result in results:
        total = added_cost(total, result.cost_usd)
    return total


def error_of(failure: Failure) -> AgentError:
    """The error that a failure was, as an instance of its class or, where that needs more than a message, of the nearest base."""
    kind = next((one for one in _kinds(AgentError) if one.kind == failure.kind), AgentError)
    if issubclass(kind, ProviderError):
        return kind(failure.message, provider=failure.provider, status=failure.status, hint=failure.hint)
    while "__init__" in vars(kind) and kind is not AgentError:
        kind = cast(type[AgentError], kind.__base__)
    return kind(failure.message, hint=failure.hint)


def _kinds(top: type[AgentError]) -> Iterator[type[AgentError]]:
    yield top
    for kind in top.__subclasses__():
        yield from _kinds(kind)


def _status(ended: Ended, failure: Failure | None) -> RunStatus:
    if failure is None:
        return "success"
    if ended.status == "cancelled":
        return "cancelled"
    match failure.kind:
        case "turn_limit" | "budget" | "time_limit" as limit:
            return limit
        case _:
            return "error"

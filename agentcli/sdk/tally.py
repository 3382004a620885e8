"""What a run came to, as a pure fold of envelopes: per agent and per model usage, cost, turns and state, the answer, the failure.

No output, no clock: the same envelopes give the same tally, live or read back from a session's file.
"""

from __future__ import annotations

from msgspec import Struct, field

from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    AgentState,
    CallStarted,
    Compacted,
    Envelope,
    Failure,
    FellBack,
    ModelChanged,
    Replied,
    RunFinished,
    RunStatus,
    SessionStarted,
    StateChanged,
    ToolFinished,
    ToolStarted,
)
from agentcli.protocol.messages import StopReason, ToolCall
from agentcli.protocol.models import ModelUse, Usage, added_cost

MAIN = "main"


class AgentTally(Struct):
    """One agent so far. Its own figures, without its workers'. `duration_ms` is wall time, 0 until it ended or a run of it did."""

    id: str
    name: str
    agent: str = ""
    """The definition's name; "" of the main agent."""
    label: str = ""
    call_id: str = ""
    background: bool = False
    model: ModelUse | None = None
    state: AgentState = "running"
    fallbacks: list[str] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    turns: int = 0
    tool_calls: int = 0
    last_tool: str = ""
    last_title: str = ""
    started_at: float = 0.0
    duration_ms: int = 0
    text: str = ""
    stop: StopReason | None = None
    failure: Failure | None = None
    branch: str = ""
    _ended_turns: int = 0
    _switched: bool = False
    """Another model was chosen while this one answers."""

    @property
    def parent(self) -> str:
        return self.id.rpartition("/")[0]

    def replied(self, event: Replied) -> None:
        self.usage = self.usage + event.usage
        self.cost_usd = added_cost(self.cost_usd, event.cost_usd)
        if not self._switched:
            self.model = event.model
        if event.model.served and event.model.served not in self.served:
            self.served.append(event.model.served)
        if event.failure is None:
            self.turns += 1
            self.stop = event.message.stop
            self.text = event.message.text() or self.text

    def calling(self) -> None:
        """A call leaves, on the model that was chosen last."""
        self._switched = False

    def switched(self, model: ModelUse) -> None:
        """From the next call on; the answer under way is still another's."""
        self.model, self._switched = model, True

    def compacted(self, event: Compacted) -> None:
        self.usage = self.usage + event.usage
        self.cost_usd = added_cost(self.cost_usd, event.cost_usd)

    def run_finished(self, event: RunFinished) -> None:
        """The engine's own count of turns stands: a turn may take several calls."""
        self._ended_turns += event.turns
        self.turns = self._ended_turns
        self.duration_ms += event.duration_ms
        self.text = event.text
        self.failure = event.failure

    def finished(self, event: AgentFinished) -> None:
        self.state = event.status
        self.text = event.text
        self.failure = event.failure
        self.duration_ms = event.duration_ms
        self.turns = event.turns or self.turns
        self.branch = event.branch
        self.fallbacks = list(event.fallbacks) or self.fallbacks
        served = event.model.served or (self.model.served if self.model else None)
        self.model = ModelUse(event.model.requested, event.model.resolved, event.model.source, served)


class ModelTally(Struct):
    """What all agents used of one model, named as resolved."""

    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    calls: int = 0
    served: list[str] = field(default_factory=list)

    def called(self, event: Replied | Compacted) -> None:
        self.usage = self.usage + event.usage
        self.cost_usd = added_cost(self.cost_usd, event.cost_usd)
        self.calls += 1
        if event.model and event.model.served and event.model.served not in self.served:
            self.served.append(event.model.served)


class Denied(Struct, frozen=True):
    """A call that was not permitted. `arguments` is JSON text, as the model wrote it."""

    agent_id: str
    call_id: str
    tool: str
    arguments: str
    message: str


class Ending(Struct, frozen=True):
    """How it ended, for a script: `failure` None means well."""

    status: RunStatus
    failure: Failure | None
    exit_code: int


class Tally:
    """Feed it every envelope in order; read it at any time."""

    def __init__(self) -> None:
        self.session_id = ""
        self.seq = 0
        self.main = AgentTally(MAIN, MAIN)
        self.workers: dict[str, AgentTally] = {}
        self.models: dict[str, ModelTally] = {}
        self.runs: list[RunFinished] = []
        self.denied: list[Denied] = []
        self.denials: list[str] = []
        """One line for each, with what would permit it."""
        self.api_ms = 0
        self._calls: dict[tuple[str, str], ToolCall] = {}
        self._first_at = 0.0
        self._last_at = 0.0

    def agent(self, agent_id: str) -> AgentTally:
        """The agent of that id; one that was never announced is made on the spot."""
        if agent_id == MAIN:
            return self.main
        known = self.workers.get(agent_id)
        if known is None:
            known = self.workers[agent_id] = AgentTally(agent_id, agent_id.rpartition("/")[2])
        return known

    def feed(self, envelope: Envelope) -> None:
        self.session_id = envelope.session_id
        self.seq = envelope.seq
        self._first_at = self._first_at or envelope.at
        self._last_at = envelope.at
        if not envelope.event.durable:
            return  # thousands of them come with an answer, and all that they say comes again with its end
        agent = self.agent(envelope.agent_id)
        match envelope.event:
            case Replied() as event:
                self._replied(agent, event)
            case Compacted() as event:
                agent.compacted(event)
                if event.model is not None:
                    self._called(event.model, event)
            case ToolStarted(name=name, title=title):
                agent.tool_calls += 1
                agent.last_tool, agent.last_title = name, title
            case ToolFinished(denied=True) as event:
                self._refused(agent, event)
            case RunFinished() as event:
                agent.run_finished(event)
                self.denials.extend(line for line in event.denials if line not in self.denials)
                if agent is self.main:
                    self.runs.append(event)
            case FellBack(model=model):
                agent.fallbacks.append(model.resolved)
            case CallStarted():
                agent.calling()
            case ModelChanged(model=model):
                agent.switched(model)
            case SessionStarted(model=model):
                agent.model = model
            case AgentSpawned() as event:
                self._spawned(agent, event, envelope.at)
            case StateChanged(state=state):
                agent.state = state
            case AgentFinished() as event:
                agent.finished(event)
            case _:
                pass

    def _replied(self, agent: AgentTally, event: Replied) -> None:
        agent.replied(event)
        self._called(event.model, event)
        for call in event.message.calls():
            self._calls[agent.id, call.id] = call

    def _called(self, model: ModelUse, event: Replied | Compacted) -> None:
        self.api_ms += event.duration_ms
        self.models.setdefault(model.resolved, ModelTally()).called(event)

    def _refused(self, agent: AgentTally, event: ToolFinished) -> None:
        result = event.result
        call = self._calls.get((agent.id, result.call_id))
        self.denied.append(Denied(agent.id, result.call_id, result.name, call.arguments if call else "", result.text()))

    def _spawned(self, agent: AgentTally, event: AgentSpawned, at: float) -> None:
        agent.name, agent.agent, agent.label = event.name, event.agent, event.label
        agent.call_id, agent.background = event.call_id, event.background
        agent.model, agent.started_at, agent.state = event.model, at, "queued"

    # --- sums over the whole tree ---

    @property
    def agents(self) -> list[AgentTally]:
        return [self.main, *self.workers.values()]

    @property
    def usage(self) -> Usage:
        return sum((agent.usage for agent in self.agents), Usage())

    @property
    def cost_usd(self) -> float | None:
        total: float | None = 0.0
        for agent in self.agents:
            total = added_cost(total, agent.cost_usd)
        return total

    @property
    def duration_ms(self) -> int:
        """Wall time of the main agent's runs; of all that was seen, where none ended."""
        return self.main.duration_ms or round((self._last_at - self._first_at) * 1000)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The main agent's calls, in order."""
        return tuple(call for (agent_id, _), call in self._calls.items() if agent_id == MAIN)

    # --- the end ---

    @property
    def text(self) -> str:
        """The answer, or what there is of it."""
        return self.main.text

    @property
    def structured(self) -> object:
        return self.runs[-1].structured if self.runs else None

    def ending(self, failure: Failure | None = None) -> Ending:
        """How it ended; `failure` is what the caller knows and no event tells (a signal, say), and goes first.

        A session whose main agent never finished a run has failed, and so has one whose background worker did.
        """
        last = self.runs[-1] if self.runs else None
        found = failure or (last.failure if last else None) or _unexplained(last) or self._worker_failure()
        if found is None:
            return Ending("success", None, 0)
        status = last.status if last and failure is None and last.status != "success" else _status_of(found)
        return Ending(status, found, found.exit_code or 1)

    def _worker_failure(self) -> Failure | None:
        failed = [agent for agent in self.workers.values() if agent.background and agent.state == "failed"]
        if not failed:
            return None
        first = failed[0]
        why = first.failure.message if first.failure else "no reason was given"
        more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        return Failure("worker_failed", f"background worker {first.id} failed: {why}{more}", 1, first.failure.hint if first.failure else "")


def _unexplained(last: RunFinished | None) -> Failure | None:
    """A failure for a run that ended badly without saying why, or that never ended."""
    if last is None:
        return Failure("internal", "the run ended without a result.", 1, "Run again with --verbose to see how far it got.")
    match last.status:
        case "success":
            return None
        case "interrupted" | "cancelled":
            return Failure("interrupted", f"{last.status}.", 130)
        case "turn_limit":
            return Failure("turn_limit", "the turn limit is reached.", 53)
        case "budget":
            return Failure("budget", "the budget is spent.", 54)
        case "time_limit":
            return Failure("time_limit", "the time limit is over.", 124)
        case "error":
            return Failure("error", "the run failed.", 1)


def _status_of(failure: Failure) -> RunStatus:
    match failure.kind:
        case "interrupted" | "terminated":
            return "interrupted"
        case "turn_limit" | "budget" | "time_limit" as same:
            return same
        case _:
            return "error"

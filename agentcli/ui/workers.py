"""The workers of a session as a pure fold of envelopes: one row of facts each, and which of them belong to a fan-out that still runs.

A fan-out lasts from its first worker to the moment when none runs and no call that started one is open, so that the stages of a pipeline and
the roles of a team are one. Background workers are a fan-out of their own, for they outlive the call that started them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    ApprovalAnswered,
    ApprovalAsked,
    CallStarted,
    Envelope,
    FellBack,
    Replied,
    RetryScheduled,
    RunFinished,
    SessionStarted,
    StateChanged,
    ToolFinished,
    ToolStarted,
)
from agentcli.protocol.models import ModelUse, Usage, added_cost
from agentcli.sdk.tally import MAIN, AgentTally, Tally
from agentcli.ui.amounts import clock, count, money, tokens
from agentcli.ui.items import FanOut, WorkerFacts

Price = Callable[[str, Usage], float | None]
"""What tokens cost in USD on a model, by its resolved name; None where the price is unknown."""

WORDS: Mapping[str, str] = {"waiting": "waiting for approval", "completed": "done", "retry": "waiting to retry"}
"""States as a person reads them, where that is another word."""
ORDER = ("waiting", "running", "retry", "paused", "failed", "queued", "cancelled", "completed")
"""Those that need somebody first, then those that move."""
TRAIL = 40
"""Lines kept of what a worker last did, for a look at it."""


def no_price(_: str, __: Usage) -> float | None:
    return None


class Worker(Struct):
    """One worker so far. What it used is in its tally."""

    tally: AgentTally
    note: str = ""
    prompt: str = ""
    hop: ModelUse | None = None
    """The model it fell back to, until that has answered."""
    since: float | None = None
    until: float | None = None
    retry_at: float | None = None
    asks: dict[str, str] = field(default_factory=dict)
    trail: deque[str] = field(default_factory=lambda: deque(maxlen=TRAIL))
    lost: bool = False
    """Its session ended without it: the process was killed, say."""

    def facts(self) -> WorkerFacts:
        tally = self.tally
        return WorkerFacts(
            id=tally.id,
            name=tally.id.removeprefix(f"{MAIN}/"),
            agent=tally.agent,
            label=tally.label,
            model=self.hop or tally.model or ModelUse("", "", "parent"),
            state="cancelled" if self.lost else tally.state,
            doing=next(iter(self.asks.values()), "") or f"{tally.last_tool} {tally.last_title}".strip(),
            turns=tally.turns,
            usage=tally.usage,
            cost_usd=tally.cost_usd,
            since=self.since,
            until=self.until,
            retry_at=self.retry_at,
            failure=tally.failure,
            background=tally.background,
            note=self.note,
            prompt=self.prompt,
            served=tuple(tally.served),
            fallbacks=tuple(tally.fallbacks),
            branch=tally.branch,
        )

    @property
    def over(self) -> bool:
        return self.lost or self.tally.state in ("completed", "failed", "cancelled")

    def feed(self, envelope: Envelope) -> None:
        """Takes an envelope of this worker, after its tally did."""
        at = envelope.at
        match envelope.event:
            case AgentSpawned(note=note, prompt=prompt):
                self.note, self.prompt = note, prompt
            case StateChanged(state="running") if self.since is None:
                self.since = at
            case CallStarted():
                self.since = at if self.since is None else self.since
                self.retry_at = None
            case RetryScheduled(failure=failure, delay_s=delay):
                self.retry_at = at + delay
                self.trail.append(f"retry: {failure.message}")
            case FellBack(model=model):
                self.hop = model
                self.trail.append(f"goes on with {model.resolved}")
            case Replied(message=message):
                self.hop = None
                self.trail.extend(line for line in message.text().splitlines() if line.strip())
            case ToolStarted(name=name, title=title):
                self.trail.append(f"· {name} {title}".rstrip())
            case ApprovalAsked() as asked:
                self.asks[asked.request_id] = f"{asked.tool} {asked.title}".strip()
            case ApprovalAnswered(request_id=request_id):
                self.asks.pop(request_id, None)
            case AgentFinished() as event:
                self._end(event, at)
            case _:
                pass

    def _end(self, event: AgentFinished, at: float) -> None:
        self.asks.clear()
        self.retry_at = None
        self.hop = None
        self.until = at
        if self.since is not None and event.duration_ms:
            self.until = self.since + event.duration_ms / 1000


class _Wave(Struct):
    """A fan-out under way: its workers and the calls that may still start more."""

    ids: list[str] = field(default_factory=list)
    calls: set[tuple[str, str]] = field(default_factory=set)


class Crew:
    """All workers of a session. `price` tells what tokens would have cost on another model."""

    def __init__(self, price: Price = no_price) -> None:
        self.price = price
        self.workers: dict[str, Worker] = {}
        self._waves = {"front": _Wave(), "back": _Wave()}

    def feed(self, envelope: Envelope, tally: Tally) -> list[FanOut]:
        """Takes an envelope that the tally was fed before; gives the fan-outs that ended with it."""
        event, agent_id = envelope.event, envelope.agent_id
        if isinstance(event, SessionStarted) and agent_id == MAIN:
            return self._lose(tally)
        if agent_id != MAIN:
            self._worker(agent_id, tally).feed(envelope)
        match event:
            case AgentSpawned():
                self._joined(agent_id, event)
                return []
            case ToolFinished(result=result):
                self._closed(lambda call: call == (agent_id, result.call_id))
            case RunFinished() | AgentFinished():
                self._closed(lambda call: call[0] == agent_id)
            case _:
                return []
        return self._ended(tally)

    @property
    def current(self) -> list[Worker]:
        """Workers of the fan-outs that still run, in order of their start, those of them included that are over."""
        ids = {id_ for wave in self._waves.values() for id_ in wave.ids}
        return [worker for id_, worker in self.workers.items() if id_ in ids]

    @property
    def alive(self) -> int:
        return sum(not worker.over for worker in self.current)

    def _worker(self, agent_id: str, tally: Tally) -> Worker:
        worker = self.workers.get(agent_id)
        if worker is None:
            worker = self.workers[agent_id] = Worker(tally.agent(agent_id))
        return worker

    def _joined(self, agent_id: str, event: AgentSpawned) -> None:
        """A worker's worker belongs where its outermost parent does."""
        outermost = self.workers.get("/".join(agent_id.split("/")[:2])) or self.workers[agent_id]
        wave = self._waves["back" if outermost.tally.background else "front"]
        if agent_id not in wave.ids:
            wave.ids.append(agent_id)
        if event.call_id and not event.background:
            wave.calls.add((agent_id.rpartition("/")[0], event.call_id))

    def _closed(self, ended: Callable[[tuple[str, str]], bool]) -> None:
        for wave in self._waves.values():
            wave.calls = {call for call in wave.calls if not ended(call)}

    def _ended(self, tally: Tally) -> list[FanOut]:
        over = []
        for name, wave in self._waves.items():
            if wave.ids and not wave.calls and all(self.workers[id_].over for id_ in wave.ids):
                over.append(self._sum(wave, tally))
                self._waves[name] = _Wave()
        return over

    def _lose(self, tally: Tally) -> list[FanOut]:
        """A session that starts again has no workers from before: what did not end then never will."""
        for worker in self.workers.values():
            worker.lost = worker.lost or not worker.over
            worker.asks.clear()
        self._closed(lambda _: True)
        return self._ended(tally)

    def _sum(self, wave: _Wave, tally: Tally) -> FanOut:
        rows = tuple(self.workers[id_].facts() for id_ in wave.ids)
        usage, cost = sums(rows)
        began = min((row.since for row in rows if row.since is not None), default=0.0)
        seconds = max((row.until for row in rows if row.until is not None), default=began) - began
        usual = tally.main.model.resolved if tally.main.model else ""
        if not usual or all(row.model.resolved == usual for row in rows):
            return FanOut(rows, usage, cost, round(max(0.0, seconds), 3))
        return FanOut(rows, usage, cost, round(max(0.0, seconds), 3), usual, self.price(usual, usage))


def sums(rows: Sequence[WorkerFacts]) -> tuple[Usage, float | None]:
    """Tokens and USD of several workers; the cost is unknown where one's is."""
    usage = sum((row.usage for row in rows), Usage())
    cost: float | None = 0.0
    for row in rows:
        cost = added_cost(cost, row.cost_usd)
    return usage, cost


def kind_of(worker: WorkerFacts, now: float) -> str:
    """Its state, `retry` being one of its own."""
    return "retry" if worker.state == "running" and worker.retry_in(now) is not None else worker.state


def counts(workers: Sequence[WorkerFacts], now: float, words: Mapping[str, str] = WORDS) -> str:
    """How many are in which state: `2 running, 1 queued`."""
    found = Counter(kind_of(worker, now) for worker in workers)
    return ", ".join(f"{found[kind]} {words.get(kind, kind)}" for kind in ORDER if found[kind])


def closing(fan_out: FanOut) -> str:
    """One line: what the fan-out came to, and what the same tokens would have cost on the session's model."""
    rows = fan_out.workers
    parts = [f"{count(len(rows), 'worker')}: {counts(rows, 0.0)}", tokens(fan_out.usage.total), money(fan_out.cost_usd), clock(fan_out.seconds)]
    if fan_out.usual_model and fan_out.usual_cost_usd is not None:
        parts.append(f"the same tokens on {fan_out.usual_model} would have cost {money(fan_out.usual_cost_usd)}")
    return " · ".join(parts)

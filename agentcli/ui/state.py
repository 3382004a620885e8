"""The screen as a pure reducer: envelope in, state out. No rich, no width, no clock: where time is needed it is an argument.

What is finished becomes an item, taken once and printed above what is still going on. The durable envelopes of a session's file give the
same items as the live stream did: an answer is cut at the same places whether it came in pieces or whole, and what others say while the
main agent's model answers waits for the end of that answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    ApprovalAnswered,
    ApprovalAsked,
    ArgumentsDelta,
    CallStarted,
    Compacted,
    Envelope,
    FellBack,
    ModeChanged,
    ModelChanged,
    Notice,
    PermissionMode,
    Replied,
    RetryScheduled,
    RunFinished,
    SessionStarted,
    StateChanged,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    UserSubmitted,
)
from agentcli.protocol.messages import Image, UserMessage
from agentcli.protocol.models import ModelUse
from agentcli.protocol.text import Cleaner
from agentcli.sdk.tally import MAIN, Tally
from agentcli.ui.boundaries import Splitter, blocks_of
from agentcli.ui.folding import folds
from agentcli.ui.items import (
    Broke,
    Decided,
    FanOut,
    Item,
    Opened,
    Queued,
    Remark,
    RunEnd,
    Running,
    Said,
    ToolRun,
    Trouble,
    UserSaid,
    Waiting,
)
from agentcli.ui.told import compacted_words, fallback_words, retry_words
from agentcli.ui.workers import Crew, Price, no_price

Limit = Callable[[str], int | None]
"""How many tokens of context a model takes, by its resolved name; None where unknown."""

OUTPUT_TAIL = 4_000
"""Characters kept of what a running call printed; the whole comes with its end."""
THINKING_TAIL = 2_000
BACKGROUND = "goes on in the background; what comes of it is told when it ends"


def no_limit(_: str) -> int | None:
    return None


class Answer(Struct):
    """The main agent's model call under way. `since`: Unix seconds when the request left."""

    since: float
    splitter: Splitter = field(default_factory=Splitter)
    printed: list[str] = field(default_factory=list)
    thinking: str = ""
    writing: dict[str, int] = field(default_factory=dict)
    """Tools whose call is being written, with the characters of arguments so far."""

    @property
    def text(self) -> str:
        """The block under way, clean."""
        return self.splitter.live


class _Start(Struct):
    """The sums when a run began, so that its end can say what it alone came to."""

    at: float
    tokens: int
    cost_usd: float | None


class Screen:
    """Everything a terminal shows of one session. `feed` every envelope in order, `take` what is to be printed.

    `price` and `limit` are lookups in the catalogue; state never asks anybody else.
    """

    def __init__(self, price: Price = no_price, limit: Limit = no_limit) -> None:
        self.tally = Tally()
        self.crew = Crew(price)
        self.limit = limit
        self.session: Opened | None = None
        self.mode: PermissionMode = "default"
        self.state: Literal["idle", "running", "waiting", "paused"] = "idle"
        self.since: float | None = None
        """When the run under way began; None while idle."""
        self.answer: Answer | None = None
        self.retry_at: float | None = None
        self.doing = ""
        """What the agent does between its calls, in its own words."""
        self.running: dict[str, Running] = {}
        self.beside: dict[str, Running] = {}
        """Calls that were sent to the background and have not ended."""
        self.approvals: list[Waiting] = []
        self.queued: list[Queued] = []
        self.context_tokens = 0
        self.folded: ToolRun | UserSaid | None = None
        """The last item that was printed folded, for Ctrl+O."""
        self.last_fan_out: FanOut | None = None
        self._items: list[Item] = []
        self._held: list[Item] = []
        self._cleaners: dict[str, Cleaner] = {}
        self._start: _Start | None = None

    # --- what is read ---

    @property
    def model(self) -> ModelUse | None:
        """The session's model; after an answer also what served it."""
        return self.tally.main.model

    @property
    def held(self) -> tuple[Item, ...]:
        """Items that wait for the end of the answer under way."""
        return tuple(self._held)

    @property
    def context_limit(self) -> int | None:
        return self.limit(self.model.resolved) if self.model else None

    def take(self) -> list[Item]:
        """Items that became finished since the last call, in order; each is given once."""
        items, self._items = self._items, []
        return items

    # --- texts that wait for delivery: the prompt says so, an envelope tells when they arrived ---

    def queue(self, text: str, kind: Literal["steer", "follow"]) -> None:
        self.queued.append(Queued(text, kind))

    def unqueue(self) -> list[Queued]:
        """Gives all queued texts back to the person."""
        queued, self.queued = self.queued, []
        return queued

    # --- the fold ---

    def feed(self, envelope: Envelope) -> None:
        self.tally.feed(envelope)
        fan_outs = self.crew.feed(envelope, self.tally)
        if isinstance(envelope.event, SessionStarted | RunFinished):
            self._add_fan_outs(fan_outs)
            fan_outs = []
        if envelope.agent_id == MAIN:
            self._main(envelope)
        else:
            self._worker(envelope)
        self._add_fan_outs(fan_outs)

    def _main(self, envelope: Envelope) -> None:
        at = envelope.at
        match envelope.event:
            case TextDelta() | ThinkingDelta() | ArgumentsDelta() as delta:
                self._delta(delta, at)
            case ToolOutput(call_id=call_id, text=text):
                self._output(call_id, text)
            case CallStarted():
                self.answer = Answer(at)
                self.retry_at, self.doing = None, ""
            case Replied() as event:
                self._replied(event)
            case ToolStarted() as event:
                self.running[event.call_id] = Running(event.call_id, event.name, event.title, at)
            case ToolFinished() as event:
                self._tool_finished(event)
            case UserSubmitted(message=message, run=run, call_id=call_id):
                self.beside.pop(call_id, None)
                if run or message.origin != "system":
                    self._begin(at)
                self._user(message)
            case RunFinished() as event:
                self._run_finished(event)
            case StateChanged(state=state, detail=detail):
                self.doing = detail
                self._state(state, at)
            case SessionStarted() as event:
                self._opened(event)
            case event:
                self._other(event, MAIN, at)

    def _worker(self, envelope: Envelope) -> None:
        match envelope.event:
            case ToolFinished(result=result):
                self._withdraw(lambda asked: asked.call_id == result.call_id and asked.agent_id == envelope.agent_id)
            case RunFinished() | AgentFinished():
                self._withdraw(lambda asked: asked.agent_id == envelope.agent_id)
            case AgentSpawned(note=note) if note:
                self._add(Remark("info", f"{_who(envelope.agent_id)}: {note}"))
            case Notice() | FellBack() | ApprovalAsked() | ApprovalAnswered() as event:
                self._other(event, envelope.agent_id, envelope.at)
            case _:
                pass

    def _other(self, event: object, agent_id: str, at: float) -> None:
        """What reads the same from every agent, and what only the main one says outside of its answers and calls."""
        who = _who(agent_id)
        whose = f"{who}: " if who else ""
        match event:
            case Notice(level=level, text=text):
                self._add(Remark(level, f"{whose}{text}"))
            case FellBack() as event:
                self._add(Remark("warning", f"{whose}{fallback_words(event)}"))
            case ApprovalAsked() as asked:
                self.approvals.append(_waiting(asked, agent_id, who))
            case ApprovalAnswered() as answered:
                self._decided(answered, who)
            case RetryScheduled(delay_s=delay) as event:
                self.retry_at = at + delay
                self._add(Remark("warning", retry_words(event)))
            case ModelChanged(model=model, note=note):
                self._add(Remark("info", f"model: {model.resolved} ({model.source}) {note}".rstrip()))
            case ModeChanged(mode=mode):
                self.mode = mode
            case Compacted() as event:
                self.context_tokens, self.doing = event.tokens_after, ""
                self._add(Remark("info", compacted_words(event)))
            case _:
                pass

    # --- an answer ---

    def _delta(self, delta: TextDelta | ThinkingDelta | ArgumentsDelta, at: float) -> None:
        answer = self.answer = self.answer or Answer(at)
        match delta:
            case TextDelta(text=text):
                answer.thinking = ""
                for block in answer.splitter.feed(text):
                    self._items.append(Said(block, first=not answer.printed))
                    answer.printed.append(block)
            case ThinkingDelta(text=text):
                answer.thinking = (answer.thinking + text)[-THINKING_TAIL:]
            case ArgumentsDelta(name=name, text=text):
                answer.writing[name] = answer.writing.get(name, 0) + len(text)

    def _replied(self, event: Replied) -> None:
        """The whole answer: what of it was not printed yet is. Where it is not what was streamed, it is printed whole below that."""
        printed = self.answer.printed if self.answer is not None else []
        blocks = blocks_of(event.message.text())
        if blocks[: len(printed)] != printed:
            self._items += [Said(block) for block in self.answer.splitter.finish()] if self.answer else []
            printed = []
        self._items += [Said(block, first=index == 0) for index, block in enumerate(blocks) if index >= len(printed)]
        if blocks and (event.failure is not None or event.message.stop not in ("end", "tool_calls")):
            self._items.append(Broke(event.message.stop, event.failure.message if event.failure else ""))
        if event.usage.total:
            self.context_tokens = event.usage.total
        self._end_answer()

    def _end_answer(self) -> None:
        self.answer = None
        self._items += self._held
        self._held = []

    # --- calls and questions ---

    def _output(self, call_id: str, text: str) -> None:
        running = self.running.get(call_id)
        if running is None:
            return
        shown = self._cleaners.setdefault(call_id, Cleaner()).feed(text)
        self.running[call_id] = replace(running, output=(running.output + shown)[-OUTPUT_TAIL:])

    def _tool_finished(self, event: ToolFinished) -> None:
        result = event.result
        begun = self.running.pop(result.call_id, None)
        self._cleaners.pop(result.call_id, None)
        self._withdraw(lambda asked: asked.call_id == result.call_id and asked.agent_id == MAIN)
        background = begun is not None and bool(event.data and event.data.get("background"))
        if begun is not None and background:
            self.beside[result.call_id] = begun
        run = ToolRun(
            name=result.name,
            title=begun.title if begun else "",
            text=BACKGROUND if background else result.text(),
            display=event.display,
            is_error=result.is_error,
            denied=event.denied,
            duration_ms=event.duration_ms,
            added=_number(event.data, "added"),
            removed=_number(event.data, "removed"),
        )
        if folds(run):
            self.folded = run
        self._add(run)

    def _decided(self, event: ApprovalAnswered, who: str) -> None:
        asked = next((item for item in self.approvals if item.request_id == event.request_id), None)
        self._withdraw(lambda item: item.request_id == event.request_id)
        if asked is not None:
            rule = event.rule if event.decision in ("session", "always") else ""
            self._add(Decided(who, asked.tool, asked.title, event.decision, event.reason, rule))

    def _withdraw(self, gone: Callable[[Waiting], bool]) -> None:
        self.approvals = [asked for asked in self.approvals if not gone(asked)]

    # --- a run ---

    def _begin(self, at: float) -> None:
        if self.since is None:
            self.since = at
            self._start = _Start(at, self.tally.usage.total, self.tally.cost_usd)
        self.state = "running" if self.state == "idle" else self.state

    def _state(self, state: str, at: float) -> None:
        match state:
            case "running":
                self._begin(at)
                self.state = "running"
            case "waiting" | "paused" as held:
                self.state = held
            case "completed":  # of something that is no run: a compaction
                self.state, self.since, self._start, self.retry_at = "idle", None, None, None
            case _:
                pass

    def _user(self, message: UserMessage) -> None:
        text = message.text()
        said = UserSaid(text, message.origin, sum(isinstance(part, Image) for part in message.content))
        delivered = next((item for item in self.queued if item.text == text), None)
        if delivered is not None:
            self.queued.remove(delivered)
        if folds(said):
            self.folded = said
        self._add(said)

    def _run_finished(self, event: RunFinished) -> None:
        self._end_answer()
        self._forget_calls()
        self._withdraw(lambda asked: asked.agent_id == MAIN)
        self.retry_at = None
        if event.failure is not None and event.status != "interrupted":
            self._add(Trouble(event.failure))
        start = self._start or _Start(0.0, 0, 0.0)
        used, cost = self.tally.usage.total - start.tokens, _more(self.tally.cost_usd, start.cost_usd)
        self._add(RunEnd(event.status, event.turns, used, cost, event.duration_ms))
        self.state, self.since, self._start = "idle", None, None

    def _opened(self, event: SessionStarted) -> None:
        """Also after a crash: what was going on when the old process ended is not any more."""
        for running in self.running.values():
            self._add(ToolRun(running.name, running.title, "The session ended before this call did.", is_error=True))
        self._forget_calls()
        self.approvals.clear()
        self._end_answer()
        self.state, self.since, self._start, self.retry_at = "idle", None, None, None
        self.mode = event.permission_mode
        self.session = Opened(event.cwd, event.model, event.permission_mode, event.version, event.title, event.resumed)
        self._add(self.session)

    def _forget_calls(self) -> None:
        self.running.clear()
        self.beside.clear()
        self._cleaners.clear()

    def _add_fan_outs(self, fan_outs: list[FanOut]) -> None:
        for fan_out in fan_outs:
            self.last_fan_out = fan_out
            self._add(fan_out)

    def _add(self, item: Item) -> None:
        """Prints it, or, while an answer is under way, after that."""
        (self._items if self.answer is None else self._held).append(item)


def _who(agent_id: str) -> str:
    return "" if agent_id == MAIN else agent_id.removeprefix(f"{MAIN}/")


def _waiting(asked: ApprovalAsked, agent_id: str, who: str) -> Waiting:
    return Waiting(asked.request_id, agent_id, asked.call_id, who, asked.tool, asked.title, asked.detail, asked.reason, asked.touches, asked.rule)


def _number(data: dict[str, object] | None, key: str) -> int | None:
    value = (data or {}).get(key)
    return value if isinstance(value, int) else None


def _more(now: float | None, before: float | None) -> float | None:
    """The difference of two sums of money, without the dust of binary fractions; unknown if either is."""
    return None if now is None or before is None else round(max(0.0, now - before), 9)

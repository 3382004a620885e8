"""One agent's turn loop: call the model, run the calls it asks for, repeat, within limits. Whatever ends it, the history stays valid."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from agentcli.engine import schema as schemas
from agentcli.engine.ask import Ask
from agentcli.engine.calls import Calls, Place
from agentcli.engine.compaction import Compaction
from agentcli.engine.control import ActiveModel, Control, Free, Ledger, Models, RunLimits, Unlimited
from agentcli.engine.gate import Gate
from agentcli.engine.history import repair
from agentcli.engine.stream import Cut, Emit, Reply, failure_of
from agentcli.protocol.errors import (
    AgentError,
    AnswerCut,
    BudgetLimit,
    Interrupted,
    OutputInvalid,
    TimeLimit,
    TurnLimit,
)
from agentcli.protocol.events import Compacted, Failure, Notice, RunFinished, RunStatus, StateChanged, UserSubmitted
from agentcli.protocol.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage, user_text
from agentcli.protocol.models import ModelUse, Usage
from agentcli.protocol.tools import Tool, ToolMemory
from agentcli.providers.base import ModelRequest, ToolSpec

SCHEMA_TRIES = 2
"""How often an answer that does not fit the schema is sent back with the reason."""


class Setup(Struct):
    """All that one agent needs to run. The loop asks for nothing else, and knows not whose worker it is."""

    models: Models
    tools: Sequence[Tool[Any]]
    gate: Gate
    place: Place
    emit: Emit
    system: str = ""
    limits: RunLimits = field(default_factory=RunLimits)
    control: Control = field(default_factory=Free)
    ledger: Ledger = field(default_factory=Unlimited)
    output_schema: dict[str, object] | None = None
    report: bool = False
    """A worker: an empty answer is asked for once more, then is a failure."""


class Outcome(Struct):
    """How a run ended, for whoever started it. The same facts went out as `RunFinished`."""

    status: RunStatus
    text: str
    failure: Failure | None
    usage: Usage
    cost_usd: float | None
    turns: int
    duration_ms: int
    structured: object
    denials: tuple[str, ...]
    served: tuple[str, ...]
    fallbacks: tuple[str, ...]
    model: ModelUse | None
    error: AgentError | None = None


class Loop:
    """The loop of one agent over one history. `run` may be called again: the history goes on."""

    def __init__(self, setup: Setup, history: Sequence[Message] = ()) -> None:
        self.setup = setup
        self.history: list[Message] = list(history)
        self.memory = ToolMemory()
        self._tools = {tool.name: tool for tool in setup.tools}
        self._specs = tuple(ToolSpec(tool.name, tool.description, tool.schema()) for tool in setup.tools)
        self._shorts = tuple(
            ToolSpec(tool.name, tool.short or tool.description.split(". ")[0], spec.parameters)
            for tool, spec in zip(setup.tools, self._specs, strict=True)
        )
        self.outcome: Outcome | None = None
        """How the last run ended, also one that was cancelled."""
        self._compaction = Compaction(self.history, self._request)
        self._calls = Calls(self._tools, setup.gate, setup.place, self.memory, setup.emit)

    async def run(self, message: UserMessage | None, run_id: str = "") -> Outcome:
        """Runs until the model has answered.

        Never raises for a failed run: the outcome says. When cancelled, everything is put in order, `RunFinished` goes out with status
        "interrupted", and CancelledError is raised on.
        """
        setup = self.setup
        self._ask = self._new_ask()
        self._turns, self._rounds, self._began, self._text = 0, 0, time.monotonic(), ""
        self._structured: object = None
        self._run_id, denied_before = run_id, len(setup.gate.denials)
        setup.emit(StateChanged(state="running"))
        status: RunStatus = "success"
        error: Exception | None = None
        try:
            async with asyncio.timeout(setup.limits.timeout_s):
                try:
                    await self._converse(message)
                finally:
                    await self._end_beside()
        except asyncio.CancelledError:
            ending = setup.control.ending() or Interrupted("interrupted.")
            self._close("interrupted" if isinstance(ending, Interrupted) else _status_of(ending), ending, denied_before)
            raise
        except TimeoutError:
            error = TimeLimit(f"the time limit of {setup.limits.timeout_s:g} s is over.", hint=setup.limits.time_hint)
            status = "time_limit"
        except AgentError as failed:
            error, status = failed, _status_of(failed)
        except Exception as bug:  # noqa: BLE001 - a turn is one of the three places: a bug must end in a result, not a dead session
            error, status = bug, "error"
        return self._close(status, error, denied_before)

    async def compact(self, instructions: str = "") -> Compacted:
        """Makes the history shorter, between runs: the model sums up all but its first request and its end.

        Raises:
            UsageError: there is nothing to compact. ProviderError, LimitReached: the model could not be asked.
        """
        try:
            return await self._compaction.by_hand(self._new_ask(), instructions)
        finally:
            self.setup.emit(StateChanged(state="completed"))

    def _new_ask(self) -> Ask:
        setup = self.setup
        return Ask(setup.models, setup.control, setup.ledger, setup.limits, setup.emit)

    def _close(self, status: RunStatus, error: Exception | None, denied_before: int) -> Outcome:
        self.history[:] = repair(self.history)
        ask = self._ask
        outcome = Outcome(
            status=status,
            text=self._text,
            failure=failure_of(error) if error else None,
            usage=ask.usage,
            cost_usd=ask.cost_usd,
            turns=self._turns,
            duration_ms=round((time.monotonic() - self._began) * 1000),
            structured=self._structured,
            denials=tuple(self.setup.gate.denials[denied_before:]),
            served=tuple(ask.served),
            fallbacks=tuple(ask.fallbacks),
            model=ask.last_use,
            error=error if isinstance(error, AgentError) else None,
        )
        self.outcome = outcome
        self.setup.emit(_finished(outcome, self._run_id))
        return outcome

    async def _converse(self, message: UserMessage | None) -> None:
        if message is not None:
            self._hear(message)
        asked_report, tries = False, 0
        while True:
            await self._safe_point()
            reply = await self._turn()
            self._text = reply.message.text() or self._text
            if calls := reply.message.calls():
                await self._round(reply, calls)
                continue
            await self.setup.control.settle(self._calls.beside.left)
            if self._deliver():
                continue
            _refuse_cut(reply)
            if not reply.message.text().strip():
                if asked_report or not self.setup.report:
                    return self._end_empty()
                asked_report = True
                self._hear(user_text("You ended without a word. Report now what you did and found, in plain text.", "system"))
                continue
            if self.setup.output_schema is None:
                return None
            problem = self._fit(reply.message.text())
            if not problem:
                return None
            tries += 1
            if tries > SCHEMA_TRIES:
                hint = "Try a stronger model or a simpler schema."
                raise OutputInvalid(f"the answer does not fit the asked-for schema: {problem}.", hint=hint)
            self._hear(user_text(f"That does not fit the JSON schema: {problem}. Answer again with the JSON object alone.", "system"))

    async def _round(self, reply: Reply, calls: tuple[ToolCall, ...]) -> None:
        """A round of tools. After the last that it may have, the model is told to report; calls that it makes then are not run."""
        limits, cut = self.setup.limits, reply.message.stop == "length"
        if not cut:
            _refuse_cut(reply)
        if self._rounds == limits.max_rounds:
            raise TurnLimit(f"the limit of {limits.max_rounds} rounds of tools is reached.", hint=limits.rounds_hint)
        self._rounds += 1
        await self._work(calls, cut=cut)
        if self._rounds == limits.max_rounds:
            self._hear(user_text("That was your last round of tools. Report now what you did and found, without calling any.", "system"))

    def _end_empty(self) -> None:
        if self.setup.report or self.setup.output_schema is not None:
            raise AgentError("the model ended with an empty answer.", hint="Ask again, or use another model.")
        self.setup.emit(Notice(level="warning", text="the model ended with an empty answer. Ask again, or use another model."))

    def _fit(self, text: str) -> str:
        """Keeps the object that fits; else says why not."""
        assert self.setup.output_schema is not None
        value, problem = schemas.fit(text, self.setup.output_schema)
        if not problem:
            self._structured = value
        return problem

    async def _safe_point(self) -> None:
        await self.setup.control.checkpoint()
        self._deliver()
        most = self.setup.limits.max_turns
        if most is not None and self._turns >= most:
            raise TurnLimit(f"the limit of {most} turns is reached.", hint=self.setup.limits.turns_hint)
        # Looked at here too, so that a call that is not made is no turn.
        self.setup.ledger.check()
        self.setup.ledger.turn()
        # A loop whose provider and tools answer at once must still let a cancel in.
        await asyncio.sleep(0)

    def _deliver(self) -> bool:
        messages = self.setup.control.drain()
        for message in messages:
            self._hear(message)
        return self._hear_late() or bool(messages)

    def _hear_late(self) -> bool:
        """Results of calls that went on beside the run."""
        late = self._calls.beside.take()
        for call_id, message in late:
            self._hear(message, call_id)
        return bool(late)

    def _hear(self, message: UserMessage, call_id: str = "") -> None:
        self.history.append(message)
        self.setup.emit(UserSubmitted(message=message, run=self._run_id, call_id=call_id))

    def let_go(self, call_id: str = "") -> None:
        """A running call, or all, go on beside the run. Raises UsageError where none runs."""
        self._calls.beside.let_go(call_id)

    async def _end_beside(self) -> None:
        """What was let go ends with the run, and the model is told so when it is asked again."""
        await self._calls.beside.end()
        self._hear_late()

    async def _turn(self) -> Reply:
        self._turns += 1
        try:
            reply = await self._answer()
        except Cut as cut:
            self._keep(cut.reply.message)
            self._text = cut.reply.message.text() or self._text
            raise asyncio.CancelledError from cut
        self._keep(reply.message)
        return reply

    async def _answer(self) -> Reply:
        return await self._compaction.answer(self._ask, self._once)

    async def _once(self) -> Reply:
        if self.setup.models.current().spec.profile.name == "small":
            from agentcli.engine.steps import small_answer

            return await small_answer(self._ask, self._request_small, f"step-{len(self.history)}")
        return await self._ask.once(self._request)

    def _keep(self, message: AssistantMessage) -> None:
        if message.content:
            self.history.append(message)

    async def _work(self, calls: tuple[ToolCall, ...], *, cut: bool) -> None:
        try:
            results = await self._calls.run(calls, cut=cut)
        except asyncio.CancelledError:
            self.history.append(ToolMessage(tuple(self._calls.finished.values())))
            raise
        self.history.append(ToolMessage(results))

    def _request(self, active: ActiveModel) -> ModelRequest:
        return self._make(active, self._specs)

    def _request_small(self, active: ActiveModel) -> ModelRequest:
        offered = active.spec.profile.tools
        specs = tuple(spec for spec in self._shorts if not offered or spec.name in offered)
        return self._make(active, specs)

    def _make(self, active: ActiveModel, tools: tuple[ToolSpec, ...]) -> ModelRequest:
        limits, schema = self.setup.limits, self.setup.output_schema
        return ModelRequest(
            model=active.spec,
            messages=tuple(self.history),
            system=self.setup.system if schema is None else schemas.told(self.setup.system, schema),
            tools=tools if active.spec.tool_call else (),
            effort=active.ref.effort,
            max_tokens=limits.max_output_tokens or active.spec.output,
            schema=schema,
            first_byte_s=limits.first_byte_s,
            idle_s=limits.idle_s,
            total_s=limits.call_s,
            agent_id=self.setup.place.agent_id,
        )


def _refuse_cut(reply: Reply) -> None:
    """An answer that is not whole is never passed off as one."""
    match reply.message.stop:
        case "length":
            raise AnswerCut("the answer was cut at the model's output limit.", hint="Ask it to go on, or raise limit.output.")
        case "content_filter":
            raise AnswerCut("the service's content filter cut the answer off.", hint="Say it another way, or use another model.")
        case "refusal":
            raise AnswerCut("the model refused to answer.", hint="Say it another way, or use another model.")
        case _:
            return


def _status_of(error: AgentError) -> RunStatus:
    match error:
        case TurnLimit():
            return "turn_limit"
        case BudgetLimit():
            return "budget"
        case TimeLimit():
            return "time_limit"
        case _:
            return "error"


def _finished(outcome: Outcome, run_id: str) -> RunFinished:
    return RunFinished(
        status=outcome.status,
        text=outcome.text,
        failure=outcome.failure,
        usage=outcome.usage,
        cost_usd=outcome.cost_usd,
        turns=outcome.turns,
        duration_ms=outcome.duration_ms,
        structured=outcome.structured,
        denials=outcome.denials,
        run=run_id,
    )

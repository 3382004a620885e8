"""A session: one conversation of a main agent, its tree of workers, its bus and its file. Faces and programs act through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agentcli.engine.loop import Loop, Outcome
from agentcli.protocol.commands import (
    Answer,
    Background,
    Cancel,
    Command,
    Inject,
    Interrupt,
    Pause,
    PinModel,
    Resume,
    SetEffort,
    SetMode,
    Submit,
    UseModel,
)
from agentcli.protocol.errors import AgentError, Interrupted, SessionClosed, UsageError
from agentcli.protocol.events import ApprovalAsked, Compacted, Envelope, Notice, SessionStarted, UserSubmitted
from agentcli.protocol.messages import Message, UserMessage
from agentcli.protocol.tools import Tool
from agentcli.sdk.approving import decide
from agentcli.sdk.books import LiveTally
from agentcli.sdk.bus import Bus
from agentcli.sdk.choices import Choosing
from agentcli.sdk.orchestrator import AsyncAgentOrchestrator
from agentcli.sdk.parts import MAIN, Parts
from agentcli.sdk.record import Record
from agentcli.sdk.result import AgentResult
from agentcli.sdk.runs import Runs
from agentcli.sdk.schemas import as_schema, json_schema
from agentcli.sdk.talk import Talking, as_message
from agentcli.sdk.work import Delegating
from agentcli.version import __version__

if TYPE_CHECKING:
    from agentcli.sdk.options import OutputSchema

T = TypeVar("T")


class AsyncSession(Talking, Delegating, Choosing):
    """One conversation and its workers, opened by `AsyncAgent.session`; used from one event loop.

        results = await asyncio.gather(session.send("Which file is the largest?"), session.task("explore", "List every TODO in src/."))

    Of the conversation (`send`, `run`, `stream`) one call at a time: the second raises SessionBusy at once; workers run beside it.
    """

    def __init__(self, parts: Parts, on_closed: Callable[[AsyncSession], None] | None = None) -> None:
        self._parts = parts
        self._on_closed = on_closed
        self.id = parts.bus.session_id
        self.kit = parts.kit
        self.tree = parts.orchestrator
        self._held = parts.node.held
        self._loop = Loop(parts.setup, parts.history)
        self._closed = False
        self._started = False
        self._answers = 0
        self._preparing = asyncio.Lock()
        self.output_schema = parts.output_schema
        self.live = LiveTally()
        """Every agent's figures so far."""
        parts.bus.listen(self.live.feed)
        self._record = Record(parts.file, parts.bus, self.stop)
        self._runs = Runs(parts.node.held, self._record.sync)
        if parts.on_approval is not None:
            parts.bus.listen(self._approve)

    @property
    def bus(self) -> Bus:
        """Where every event of every agent passes."""
        return self._parts.bus

    @property
    def orchestrator(self) -> AsyncAgentOrchestrator:
        """Steers the session's agents while they run."""
        return AsyncAgentOrchestrator(self)

    # --- runs ---

    async def drive(self, message: str | UserMessage, *, output_schema: OutputSchema | None = None) -> Outcome:
        """As `send`, but a failed or interrupted run is told by the outcome: for faces, which listen to events.

        Raises:
            SessionBusy, SessionClosed, StorageError: the run could not begin. AgentError: its model could not be made ready.
        """
        return await self.landed(self.launch(message, output_schema))

    def launch(self, message: str | UserMessage, output_schema: OutputSchema | None = None) -> asyncio.Task[Outcome]:
        """Begins a run; `landed` waits for its end. Raises SessionBusy, SessionClosed, StorageError; UsageError: message or schema is none."""
        said = as_message(message)
        as_schema(output_schema)
        self._begin_call()
        self._answers += 1
        self._loop.outcome = None
        return self._runs.begin_call(self._converse(said, output_schema), f"{self.id} run")

    async def landed(self, task: asyncio.Task[Outcome]) -> Outcome:
        """The outcome of a run. Raises AgentError: it ended before its loop could say how."""
        try:
            return await task
        except asyncio.CancelledError:
            error = self._runs.ended_by(task)
            if error is None:
                raise
            if self._loop.outcome is None:
                raise error from None
            return self._loop.outcome

    async def work(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs workers for a program or a face, beside the conversation: nothing of it enters the session's history.

        Raises:
            SessionClosed, StorageError: it could not begin. AgentError: it was interrupted, or what the job raises.
        """
        return await self.settled(self.beside(job))

    def beside(self, job: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Begins such work; `settled` waits for its end. Raises SessionClosed, StorageError."""
        self._begin()
        return self._runs.begin_job(self._beside(job))

    async def settled(self, task: asyncio.Task[T]) -> T:
        """What such work gave. Raises AgentError."""
        return await self._runs.settled(task)

    async def compact(self, instructions: str = "") -> Compacted:
        """Makes the history shorter: the model sums up its older turns (with `instructions` in mind), the first request and the latest turns stay
        as they are. What that came to and cost is in the event it gives. The engine does this by itself when a model's context is nearly full.

        Raises:
            SessionBusy, SessionClosed, StorageError: it could not begin. UsageError: there is nothing to compact.
            AgentError: the model could not be asked, or it was interrupted; the history is as it was.
        """
        self._begin_call()
        return await self.settled(self._runs.begin_call(self._compacting(instructions), f"{self.id} compaction"))

    def try_anew(self) -> None:
        """A person asks again: a provider that kept failing and is left alone for a while is tried at once."""
        self._parts.node.model.active.door.knock()

    async def cancel(self) -> None:
        """Ends what runs, the answer and all workers, and waits until it has; whoever waits for it gets Interrupted. Nothing where nothing runs."""
        await self._runs.end(Interrupted("cancelled by the program."))

    async def save(self) -> Path:
        """Makes sure that all so far survives a power cut; gives the session's file. (Events are written as they happen, also without this.)

        Raises:
            UsageError: the session was opened with `save=False`. StorageError: the file cannot be written. SessionClosed: after close.
        """
        self.check_open()
        return self._record.save()

    def command(self, command: Command) -> None:
        """Acts on a running or idle session at once. `Submit` is not among these: it is `send`, `run` or `stream`.

        Raises:
            UsageError: nothing to act on, or a model that does not exist.
        """
        match command:
            case Interrupt():
                self.stop(Interrupted("interrupted."))
            case Inject(message=message, agent_id=agent_id):
                self.tree.inject(agent_id, message)
            case Pause(agent_id=agent_id):
                self.tree.pause(agent_id)
            case Resume(agent_id=agent_id):
                self.tree.resume(agent_id)
            case Cancel(agent_id=agent_id):
                self.tree.stop(agent_id)
            case Answer():
                if self.kit.approvals is None:
                    raise UsageError("nobody was asked anything in this session.")
                self.kit.approvals.answer(command)
            case UseModel(model=model):
                self.use_model(model)
            case PinModel(worker=worker, model=model):
                self.pin_model(worker, model)
            case SetEffort(effort=effort):
                self.set_effort(effort)
            case SetMode(mode=mode):
                self.set_mode(mode)
            case Submit():
                raise UsageError("Submit is a run: use send, run or stream.")
            case Background(call_id=call_id):
                self._loop.let_go(call_id)

    def notice(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Tells the person something, in one line."""
        self._parts.bus.publish(MAIN, Notice(level=level, text=text))

    def tell(self, message: UserMessage) -> None:
        """Adds a message without a run: the model reads it with the next one; while a run is under way, at its next safe point."""
        if self._runs.conversing:
            self._held.inject(message)
            return
        self.start()
        self._loop.history.append(message)
        self._parts.bus.publish(MAIN, UserSubmitted(message=message))

    def take_back(self) -> tuple[UserMessage, ...]:
        """What a person said to the running agent and was not delivered yet, taken out again; what workers report stays."""
        messages = self._held.take_back()
        for message in messages:
            if message.origin != "injected":
                self._held.inject(message)
        return tuple(message for message in messages if message.origin == "injected")

    def stop(self, error: AgentError) -> None:
        """Ends the run, if one is under way, for the given reason; its history stays valid."""
        self._runs.stop(error)

    @property
    def history(self) -> tuple[Message, ...]:
        """What was said so far, as the model is sent it."""
        return tuple(self._loop.history)

    @property
    def agents(self) -> tuple[AgentResult, ...]:
        """Every worker of the session as it stands, whoever started it."""
        view = self.orchestrator.view
        return tuple(view(node) for node in self.tree.main.walk() if node.parent is not None)

    @property
    def prompt_and_tools(self) -> tuple[str, tuple[Tool[Any], ...]]:
        """The main agent's system prompt and the tools it is offered."""
        return self._parts.setup.system, tuple(self._parts.setup.tools)

    @property
    def conversing(self) -> bool:
        """Whether a message is being answered, or the history compacted."""
        return self._runs.conversing

    @property
    def closed(self) -> bool:
        """Whether `close` was called, of the session or of its agent."""
        return self._closed

    @property
    def busy(self) -> bool:
        """Whether anything runs: an answer, or workers beside it."""
        return self._runs.busy

    def listen(self, listener: Callable[[Envelope], None]) -> Callable[[], None]:
        """Every envelope from now on, on the session's thread; the returned function ends it.

        The listener must neither block nor raise: what it raises ends what runs.
        """

        def guarded(envelope: Envelope) -> None:
            try:
                listener(envelope)
            except Exception as error:  # noqa: BLE001 - a program's own code, in the midst of a run that must end in order
                self._listener_failed(error)

        return self._parts.bus.listen(guarded)

    def start(self) -> None:
        """Publishes the session's first event, once. `send` does this by itself."""
        if self._started:
            return
        self._started = True
        active, parts = self._parts.node.model.active, self._parts
        parts.bus.publish(
            MAIN,
            SessionStarted(
                cwd=str(self.kit.cwd),
                model=active.use,
                permission_mode=self.kit.mode(),
                tools=parts.node.tool_names,
                agents=self.tree.roster.names(),
                version=__version__,
                title=parts.title,
                resumed=parts.resumed,
            ),
        )
        for text in parts.notices:
            parts.bus.publish(MAIN, Notice(level="warning", text=text))

    async def close(self) -> None:
        """Ends what runs, frees processes, sockets and files. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await self._runs.end(Interrupted("the session was closed."))
        await self.tree.close()
        await self._runs.dismiss()
        self._record.close()
        if self._on_closed is not None:
            self._on_closed(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "busy" if self.busy else "open"
        return f"<{type(self).__name__} {self.id} on {self.tree.main.model.active.use.resolved}, {state}>"

    async def __aenter__(self) -> AsyncSession:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- inside ---

    def _begin_call(self) -> None:
        self.check_open()
        self._runs.check_free()
        self._begin()

    def _begin(self) -> None:
        self.check_open()
        self._parts.check_loop()
        self.start()
        self._record.check()
        if not self.busy:
            self._held.begin()
            self.kit.ledger.begin()
            self.tree.begin()

    async def _converse(self, message: UserMessage, schema: OutputSchema | None) -> Outcome:
        await self._prepare()
        self._parts.setup.output_schema = json_schema(self.output_schema if schema is None else schema)
        return await self._loop.run(message, f"run-{self._answers}")

    async def _compacting(self, instructions: str) -> Compacted:
        await self._prepare()
        return await self._loop.compact(instructions)

    async def _beside(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._prepare()
        return await job()

    async def _prepare(self) -> None:
        """Once; where it failed, the next call tries again."""
        async with self._preparing:
            if self._parts.prepare is not None:
                await self._parts.prepare()
                self._parts.prepare = None

    def _listener_failed(self, error: Exception) -> None:
        failure = AgentError(f"a listener failed: {type(error).__name__}: {str(error).rstrip('.')}.", hint="It must not raise.")
        failure.__cause__ = error
        if self.busy:
            self.stop(failure)
        else:
            asyncio.get_running_loop().call_exception_handler({"message": failure.line(), "exception": error})

    def check_open(self) -> None:
        """Raises SessionClosed after close."""
        if self._closed:
            raise SessionClosed("the session is closed.", hint="Open another with agent.session(...).")

    def _approve(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, ApprovalAsked):
            assert self._parts.on_approval is not None and self.kit.approvals is not None
            self._runs.accompany(decide(envelope.event, self._parts.on_approval, self.kit.approvals, self.stop))

"""A session: one conversation of a main agent, its tree of workers, its bus and its file. Faces and programs act through it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from agentcli.agents.kit import Kit
from agentcli.agents.orchestrator import Orchestrator
from agentcli.agents.tree import Node
from agentcli.engine.loop import Loop, Outcome, Setup
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
from agentcli.protocol.errors import AgentError, Interrupted, SessionBusy, SessionClosed, StorageError, UsageError
from agentcli.protocol.events import (
    ApprovalAsked,
    Decision,
    Envelope,
    ModeChanged,
    ModelChanged,
    Notice,
    RunFinished,
    SessionStarted,
)
from agentcli.protocol.messages import Message, UserMessage, user_text
from agentcli.protocol.models import ModelRef
from agentcli.providers.registry import Resolved
from agentcli.safety.rules import parse_rules
from agentcli.sdk.bus import Bus
from agentcli.sdk.options import OnApproval
from agentcli.sdk.result import Result, result_of
from agentcli.sdk.tally import Tally
from agentcli.store.files import SessionFile
from agentcli.version import __version__

MAIN = "main"
T = TypeVar("T")


@dataclass
class Parts:
    """What the composition root hands to a session."""

    kit: Kit
    bus: Bus
    node: Node
    orchestrator: Orchestrator
    setup: Setup
    history: list[Message] = field(default_factory=list)
    file: SessionFile | None = None
    notices: tuple[str, ...] = ()
    resumed: bool = False
    on_approval: OnApproval | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    """Awaited before the first run: fetches what the model needs (local weights)."""


class AsyncSession:
    """Opened by `AsyncAgent.session`. Not for two calls at once: the second raises SessionBusy."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.id = parts.bus.session_id
        self.kit = parts.kit
        self.orchestrator = parts.orchestrator
        self._held = parts.node.held
        self._loop = Loop(parts.setup, parts.history)
        self._task: asyncio.Task[Outcome] | None = None
        self._closed = False
        self._started = False
        self._runs = 0
        self._broken: StorageError | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._output_schema = parts.setup.output_schema
        if parts.file is not None:
            parts.bus.listen(self._store)
        if parts.on_approval is not None:
            parts.bus.listen(self._approve)

    # --- what a program does ---

    async def send(self, message: str | UserMessage, *, output_schema: dict[str, object] | None = None) -> Result:
        """One message and all that follows, until the model has answered.

        Raises:
            SessionBusy: a call is already running. SessionClosed: after close.
            AgentError: the run failed; its `result` holds what there is.
        """
        tally = Tally()
        leave = self._parts.bus.listen(tally.feed)
        try:
            outcome = await self.drive(message, output_schema=output_schema)
        except AgentError as error:
            error.result = result_of(tally)
            raise
        finally:
            leave()
        result = result_of(tally)
        if outcome.failure is None:
            return result
        failed = outcome.error or AgentError(outcome.failure.message, hint=outcome.failure.hint)
        failed.result = result
        raise failed

    async def drive(self, message: str | UserMessage, *, output_schema: dict[str, object] | None = None) -> Outcome:
        """As `send`, but a failed or interrupted run is told by the outcome: for faces, which listen to events.

        Raises:
            SessionBusy, SessionClosed, StorageError: the run could not begin.
        """
        await self._begin()
        said = user_text(message) if isinstance(message, str) else message
        self._runs += 1
        self._parts.setup.output_schema = output_schema or self._output_schema
        self._task = asyncio.create_task(self._loop.run(said, f"run-{self._runs}"), name=f"{self.id} run")
        try:
            return await self._task
        except asyncio.CancelledError:
            ending = self._held.ending()
            if ending is None or not self._task.cancelled() or self._loop.outcome is None:
                raise
            return self._loop.outcome
        finally:
            self._task = None
            self._sync()

    async def work(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs workers for a program or a face, beside the conversation: nothing of it enters the session's history.

        Raises:
            SessionClosed, StorageError: it could not begin. AgentError: it was interrupted, or what the job raises.
        """
        await self._begin(beside=True)
        task = asyncio.create_task(job())
        self._jobs.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            ending = self._held.ending()
            if ending is None or not task.cancelled():
                raise
            raise ending from None
        finally:
            self._jobs.discard(task)
            self._sync()

    async def stream(self, message: str | UserMessage) -> AsyncGenerator[Envelope, None]:
        """The envelopes of one run as they come, to the main agent's RunFinished. Closing the generator early interrupts the run."""
        queue: asyncio.Queue[Envelope | None] = asyncio.Queue()
        leave = self._parts.bus.listen(queue.put_nowait)
        task = asyncio.create_task(self.drive(message))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (envelope := await queue.get()) is not None:
                yield envelope
                if envelope.agent_id == MAIN and isinstance(envelope.event, RunFinished):
                    break
            with contextlib.suppress(AgentError):
                await task
        finally:
            leave()
            if not task.done():
                self.stop(Interrupted("interrupted."))
                with contextlib.suppress(AgentError, asyncio.CancelledError):
                    await task

    def command(self, command: Command) -> None:
        """Acts on a running or idle session at once. `Submit` is not among these: it is `send`, `run` or `stream`.

        Raises:
            UsageError: nothing to act on, or a model that does not exist.
        """
        match command:
            case Interrupt():
                self.stop(Interrupted("interrupted."))
            case Inject(message=message, agent_id=agent_id):
                self.orchestrator.inject(agent_id, message)
            case Pause(agent_id=agent_id):
                self.orchestrator.pause(agent_id)
            case Resume(agent_id=agent_id):
                self.orchestrator.resume(agent_id)
            case Cancel(agent_id=agent_id):
                self._later(self.orchestrator.cancel(self.orchestrator.find(agent_id).id))
            case Answer():
                if self.kit.approvals is None:
                    raise UsageError("nobody was asked anything in this session.")
                self.kit.approvals.answer(command)
            case UseModel(model=model):
                self.use_model(model)
            case PinModel(worker=worker, model=model):
                self.pin_model(worker, model)
            case SetEffort(effort=effort):
                self._set_effort(effort)
            case SetMode(mode=mode):
                gate = self._parts.node.gate
                gate.policy = self.kit.policy = gate.policy.with_mode(mode)
                self._parts.bus.publish(MAIN, ModeChanged(mode=mode))
            case Submit():
                raise UsageError("Submit is a run: use send, run or stream.")
            case Background():
                raise UsageError("nothing runs that could go on in the background.")

    def use_model(self, name: str) -> None:
        """The session's model from its next model call on. Raises UnknownModel."""
        self._switch(self.kit.catalogue.resolve(name), name)

    def pin_model(self, worker: str, name: str) -> None:
        """A worker's model for this session; `subagents` sets the default of all, an empty name lifts the pin. Raises UnknownModel."""
        if name:
            self.kit.catalogue.resolve(name)
        if worker == "subagents":
            self.kit.subagent_model = name
        elif name:
            self.kit.pins[worker] = name
        else:
            self.kit.pins.pop(worker, None)

    def add_rule(self, effect: Literal["allow", "ask", "deny"], text: str) -> None:
        """A permission rule (or several, parted by commas) for this session and all its agents. Raises ConfigError for one that is none."""
        rules = parse_rules(text)
        given = {effect: rules}
        self.kit.policy = self.kit.policy.with_rules(**given)
        for node in self.orchestrator.main.walk():
            node.gate.policy = node.gate.policy.with_rules(**given)

    def _set_effort(self, effort: str) -> None:
        active = self._parts.node.model.active
        if effort not in active.spec.effort:
            raise UsageError(f"{active.ref} has no effort '{effort}'; its levels: {', '.join(active.spec.effort) or 'none'}.")
        ref = ModelRef(active.ref.provider, active.ref.id, effort)
        self._switch(Resolved(active.spec, ref), str(ref))

    def _switch(self, resolved: Resolved, name: str) -> None:
        active = self.kit.activate(resolved, name, "command")
        self.start()
        self._parts.node.model.switch(active)
        self._parts.bus.publish(MAIN, ModelChanged(model=active.use))

    def notice(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Tells the person something, in one line."""
        self._parts.bus.publish(MAIN, Notice(level=level, text=text))

    def take_back(self) -> tuple[UserMessage, ...]:
        """What a person said to the running agent and was not delivered yet, taken out again; what workers report stays."""
        messages = self._held.take_back()
        for message in messages:
            if message.origin != "injected":
                self._held.inject(message)
        return tuple(message for message in messages if message.origin == "injected")

    def stop(self, error: AgentError) -> None:
        """Ends the run, if one is under way, for the given reason; its history stays valid."""
        running = [task for task in (self._task, *self._jobs) if task is not None and not task.done()]
        for task in running:
            self._held.end(error)
            task.cancel()

    @property
    def history(self) -> tuple[Message, ...]:
        return tuple(self._loop.history)

    @property
    def busy(self) -> bool:
        return self._task is not None or bool(self._jobs)

    def listen(self, listener: Callable[[Envelope], None]) -> Callable[[], None]:
        """Every envelope from now on, on the session's thread; the returned function ends it."""
        return self._parts.bus.listen(listener)

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
                agents=self.orchestrator.roster.names(),
                version=__version__,
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
        running = [task for task in (self._task, *self._jobs) if task is not None]
        if running:
            self.stop(Interrupted("the session was closed."))
            await asyncio.wait(running)
        await self.orchestrator.close()
        for asking in list(self._asking):
            asking.cancel()
        if self._parts.file is not None:
            self._parts.file.close()

    async def __aenter__(self) -> AsyncSession:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- inside ---

    async def _begin(self, *, beside: bool = False) -> None:
        self._check_free(beside=beside)
        self.start()
        if self._broken is not None:
            raise self._broken
        if not self.busy:
            self._held.begin()
            self.kit.ledger.begin()
        prepare, self._parts.prepare = self._parts.prepare, None
        if prepare is not None:
            await prepare()

    def _check_free(self, *, beside: bool) -> None:
        if self._closed:
            raise SessionClosed("the session is closed.", hint="Open another with agent.session(...).")
        if self._task is not None and not beside:
            raise SessionBusy("the session is already running a call.", hint="Wait for it, or open another session.")

    def _store(self, envelope: Envelope) -> None:
        file = self._parts.file
        if file is None:
            return
        try:
            file.append(envelope)
        except StorageError as error:
            # A conversation that cannot be kept is not silently gone on with: the run ends, once, for this reason.
            self._broken = error
            self.stop(error)

    def _sync(self) -> None:
        if self._parts.file is not None and self._broken is None:
            try:
                self._parts.file.sync()
            except StorageError as error:
                self._broken = error
                self._parts.bus.publish(MAIN, Notice(level="error", text=error.line()))

    def _approve(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, ApprovalAsked):
            self._later(self._decide(envelope.event))

    async def _decide(self, asked: ApprovalAsked) -> None:
        assert self._parts.on_approval is not None and self.kit.approvals is not None
        said = self._parts.on_approval(asked)
        if inspect.isawaitable(said):
            said = await said
        decision: Decision = ("once" if said else "deny") if isinstance(said, bool) else said
        self.kit.approvals.answer(Answer(asked.request_id, decision))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs something beside the run; closing the session ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

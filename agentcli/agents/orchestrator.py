"""The tree of runs of one session: spawn, queue, run, pause, resume, cancel, inject, wait. One way in for every kind of delegation.

Whatever starts a worker goes the same way: find its definition, choose and check its model, spawn, run, join, report.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from agentcli.agents.admission import Admitted, admit, check
from agentcli.agents.endings import cut_short, status_of, unhurried
from agentcli.agents.held import Held
from agentcli.agents.kit import Kit, SwitchableModel
from agentcli.agents.ledger import WorkerLedger
from agentcli.agents.roster import Roster
from agentcli.agents.slots import Slots
from agentcli.agents.staff import Desk, end_processes, finish, setup_worker
from agentcli.agents.tree import Ended, Node, Task
from agentcli.engine.loop import Loop
from agentcli.protocol.errors import AgentError, Interrupted, LimitReached, TimeLimit, UnknownAgent, UsageError
from agentcli.protocol.events import AgentFinished, AgentSpawned, Notice, StateChanged, ToolStarted
from agentcli.protocol.messages import UserMessage, user_text

MOST_REFUSED = 32
"""So many calls that ask for a worker beyond the most allowed, and the run is ended: its model does not listen."""


Bound = AbstractAsyncContextManager[Any]
"""A fan-out's own bound on how many of its workers run at once: a semaphore."""
ENDED_AS = {"completed": "completed", "failed": "failed", "cancelled": "been cancelled"}


class Orchestrator:
    """Runs the workers of one session. Lives on the session's event loop."""

    def __init__(self, kit: Kit, roster: Roster, main: Node) -> None:
        self.kit = kit
        self.roster = roster
        self.main = main
        self.desk = Desk(kit, roster)
        self._slots = Slots(kit.limits.max_parallel)
        self._names: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Ended]] = set()
        self._spawned = 0
        self._refused: set[str] = set()
        self._told: set[str] = set()
        main.held.before_end = lambda beside: self.settle(main, beside)

    # --- starting ---

    def remember_names(self, names: Iterable[str]) -> None:
        """Workers of the session's earlier runs: an id means one worker as long as the session lives."""
        for name in names:
            stem, _, number = name.rpartition("-")
            if number.isdecimal():
                self._names[stem] = max(self._names[stem], int(number))

    def begin(self) -> None:
        """A new run: what may be started counts from here."""
        self._spawned = 0
        self._refused.clear()
        self._told.clear()

    async def spawn(self, parent: Node, task: Task, call_id: str = "", bound: Bound | None = None) -> Node:
        """A new worker, queued, its model chosen and checked. It runs once a slot is free, and its place in `bound`, where there is one.

        Raises:
            UnknownAgent, UnknownModel, ModelRefused: before anything started.
            LimitReached: depth or total spawns.
        """
        self._check_limits(parent, call_id)
        admitted = await admit(self.kit, parent, self.roster.get(task.agent), task)
        self._check_limits(parent, call_id)  # others may have started while a person was asked
        node = self._place(parent, admitted, task)
        self._announce(node, task, call_id)
        node.running = asyncio.create_task(self._run(node, task, bound), name=node.id)
        self._tasks.add(node.running)
        node.running.add_done_callback(lambda running: self._ran(node, running))
        return node

    def check(self, parent: Node, task: Task) -> None:
        """Whether a worker could start as far as that is known before anybody is asked. Raises as `spawn`."""
        check(self.kit, parent, self.roster.get(task.agent), task)

    def tell_refused(self, parent: Node, task: Task, error: AgentError) -> None:
        """Tells the person, once a run, that a worker was refused and why."""
        text = f"{task.label or task.agent} not started: {error.line()}"
        if text not in self._told:
            self._told.add(text)
            parent.emit(Notice(level="warning", text=text))

    def _check_limits(self, parent: Node, call_id: str) -> None:
        limits = self.kit.limits
        if parent.depth >= limits.max_depth:
            raise LimitReached(f"workers may be nested {limits.max_depth} deep, not deeper.", hint="Do this part yourself.")
        if self._spawned < limits.max_agents:
            return
        error = LimitReached(f"this run has started {limits.max_agents} workers, the most allowed (limits.max_agents).", hint="Do the rest yourself.")
        self._refused.add(call_id)
        if len(self._refused) >= MOST_REFUSED:
            asked = f"It was told so {MOST_REFUSED} times and went on asking for more, so it was ended."
            self.kit.ledger.stop(LimitReached(f"{error.message} {asked}"))
        raise error

    def _place(self, parent: Node, admitted: Admitted, task: Task) -> Node:
        self._spawned += 1
        spec = admitted.spec
        stem = task.role or spec.name
        self._names[stem] += 1
        name = f"{stem}-{self._names[stem]}"
        agent_id = f"{parent.id}/{name}"
        publish = self.kit.publish

        def emit(event: object) -> None:
            if isinstance(event, StateChanged):
                node.state = event.state
            elif isinstance(event, ToolStarted) and event.name == "bash":
                node.ran_commands = True
            publish(agent_id, event)  # type: ignore[arg-type]

        node = Node(
            id=agent_id,
            name=name,
            spec=spec,
            parent=parent,
            emit=emit,
            held=Held(emit),
            model=SwitchableModel(self.kit, admitted.active, admitted.fallbacks),
            gate=self.desk.gate_for(parent, spec),
            tool_names=admitted.tool_names,
            ledger=parent.ledger if spec.max_cost_usd is None else WorkerLedger(parent.ledger, spec.max_cost_usd, spec.name),
            task=task,
            note=admitted.note,
        )
        node.held.before_end = lambda beside: self.settle(node, beside)
        parent.children.append(node)
        return node

    def _announce(self, node: Node, task: Task, call_id: str) -> None:
        node.emit(
            AgentSpawned(
                name=node.name,
                agent=node.spec.name,
                model=node.model.active.use,
                prompt=task.prompt,
                call_id=call_id,
                label=task.label or task.description,
                background=task.background,
                workspace=task.workspace or node.spec.workspace,
                tools=node.tool_names,
                note=node.note,
            )
        )
        node.emit(StateChanged(state="queued"))

    # --- running ---

    async def _run(self, node: Node, task: Task, bound: Bound | None) -> Ended:
        """Runs one worker to its end. Never raises for a failed worker."""
        node.begun = True
        try:
            async with bound or nullcontext(), self._slots.hold(node):
                failure = node.held.ending()
                if failure is None:
                    await self._work(node, task)
        except asyncio.CancelledError:
            failure = node.held.ending() or Interrupted("cancelled.")
        except AgentError as error:
            failure = error
        except BaseException as bug:
            await unhurried(self._finish(node, bug))
            raise
        return await unhurried(self._finish(node, failure))

    async def _work(self, node: Node, task: Task) -> None:
        loop = Loop(await setup_worker(self.desk, node, task))
        try:
            await loop.run(user_text(task.prompt, "parent"))
        finally:
            node.outcome = loop.outcome

    async def _finish(self, node: Node, failure: BaseException | None) -> Ended:
        """Puts a worker's things in order. Not to be cancelled: what it has done would be lost, and its end never told."""
        await self._end_children(node)
        if status_of(failure, node.outcome) != "completed":
            await end_processes(self.desk, node)
        ended = await finish(self.desk, node, failure)
        self._close(node, ended)
        return ended

    def _ran(self, node: Node, running: asyncio.Task[Ended]) -> None:
        """The last word where a worker's own was cut off: its loop is being shut down, or a bug."""
        self._tasks.discard(running)
        error = asyncio.CancelledError() if running.cancelled() else running.exception()
        if node.ended is None:
            self._close(node, cut_short(node, error))

    def _close(self, node: Node, ended: Ended) -> None:
        """Exactly once for each worker."""
        node.ended = ended
        node.state = ended.status
        node.emit(
            AgentFinished(
                status=ended.status,
                text=ended.text,
                failure=ended.failure,
                model=ended.use,
                served=ended.served,
                fallbacks=ended.fallbacks,
                usage=ended.usage,
                cost_usd=ended.cost_usd,
                turns=ended.turns,
                duration_ms=ended.duration_ms,
                structured=ended.structured,
                branch=ended.branch,
            )
        )
        if node.task is not None and node.task.background and node.parent is not None:
            node.parent.held.inject(user_text(self.desk.background_report(ended), "worker"))

    async def join(self, parent: Node, nodes: Sequence[Node]) -> list[Ended]:
        """Waits for workers of `parent`; their ends in the given order. The parent's slot is theirs meanwhile. A cancel of the wait cancels them."""
        running = [node.running for node in nodes if node.running is not None]
        try:
            async with self._slots.lend(parent):
                if running:
                    await asyncio.wait(running)
        except asyncio.CancelledError:
            await self.end(nodes, parent.held.ending())
            raise
        return [node.ended for node in nodes if node.ended is not None]

    async def settle(self, parent: Node, beside: Collection[asyncio.Task[Any]] = ()) -> None:
        """Waits for the background workers of `parent` and for what goes on `beside` it, so that their reports come before its end; no longer than
        until it is spoken to. A cancel of the wait cancels the workers."""
        workers = [node for node in parent.children if node.task and node.task.background and not node.is_over]
        running = [*beside, *(node.running for node in workers if node.running is not None)]
        if not running:
            return
        try:
            async with self._slots.lend(parent):
                await parent.held.heard_or_done(running)
        except asyncio.CancelledError:
            await self.end(workers, parent.held.ending())
            raise

    # --- steering ---

    def find(self, agent_id: str) -> Node:
        """An agent by id or name. Raises UnknownAgent naming the known ones."""
        nodes = list(self.main.walk())
        for node in nodes:
            if agent_id in (node.id, node.name):
                return node
        raise UnknownAgent(agent_id, tuple(node.id for node in nodes))

    def pause(self, agent_id: str) -> None:
        """Holds an agent at its next checkpoint; its current model call finishes."""
        self._working(agent_id).held.pause()

    def resume(self, agent_id: str) -> None:
        self._working(agent_id).held.resume()

    def inject(self, agent_id: str, message: UserMessage) -> None:
        """Delivers a message at the agent's next safe point."""
        self._working(agent_id).held.inject(message)

    async def cancel(self, agent_id: str) -> None:
        """Ends a worker and its children, and waits until no process of theirs is left."""
        await self.end([self._worker(agent_id)], Interrupted("cancelled."))

    def stop(self, agent_id: str) -> None:
        """As `cancel`, without waiting for the end."""
        self._halt([self._worker(agent_id)], Interrupted("cancelled."))

    def _alive(self, agent_id: str) -> Node:
        node = self.find(agent_id)
        if node.is_over:
            raise UsageError(f"agent '{node.id}' has already {ENDED_AS[node.state]}.")
        return node

    def _working(self, agent_id: str) -> Node:
        """One that still listens: a worker whose work is being handed back reads no message any more."""
        node = self._alive(agent_id)
        if node.outcome is not None:
            raise UsageError(f"agent '{node.id}' has finished; its work is being handed back.")
        return node

    def _worker(self, agent_id: str) -> Node:
        node = self._alive(agent_id)
        if node.parent is None:
            raise UsageError("the main agent is interrupted, not cancelled.", hint="Interrupt the session instead.")
        return node

    async def _end_children(self, node: Node) -> None:
        alive = [child for child in node.children if not child.is_over]
        if alive:
            await self.end(alive, Interrupted("its parent ended."))

    async def end(self, nodes: Iterable[Node], reason: AgentError | None) -> None:
        """Cancels workers for a reason and waits until they have put things in order."""
        tasks = self._halt(nodes, reason or Interrupted("cancelled."))
        if tasks:
            await asyncio.wait(tasks)

    def _halt(self, nodes: Iterable[Node], reason: AgentError) -> list[asyncio.Task[Ended]]:
        """Tells workers, and all below them at once, to end."""
        tasks = []
        for top in nodes:
            for node in top.walk():
                if node.running is None or node.running.done():
                    continue
                node.held.end(reason if node is top else Interrupted("its parent was ended."))
                # One that was cancelled before its first step would never say that it ended; it looks for the reason itself.
                if node.begun:
                    node.running.cancel()
                tasks.append(node.running)
        return tasks

    # --- waiting ---

    async def wait(self, agent_id: str, timeout_s: float | None = None) -> Ended:
        """Waits for one worker's end. Raises TimeLimit."""
        node = self.find(agent_id)
        if node.running is None:
            raise UsageError(f"'{agent_id}' is no worker.")
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(node.running), timeout_s)
        raise TimeLimit(f"agent '{agent_id}' did not end within {timeout_s:g} s.")

    async def wait_all(self, timeout_s: float | None = None) -> tuple[Ended, ...]:
        """Waits for every worker. Raises TimeLimit."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            if late:
                raise TimeLimit(f"{len(late)} workers did not end within {timeout_s:g} s.")
        return tuple(node.ended for node in self.main.walk() if node.ended is not None)

    async def close(self) -> None:
        """Ends every worker, and puts its workspaces away."""
        await self._end_children(self.main)
        await self.desk.close()

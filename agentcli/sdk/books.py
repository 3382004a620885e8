"""Tallies of a part of a session: one run without what runs beside it, one worker with all below it, every agent's figures as they grow."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from agentcli.protocol.events import AgentSpawned, Envelope, Replied
from agentcli.protocol.messages import ToolCall
from agentcli.sdk.result import Result, worker_result
from agentcli.sdk.tally import MAIN, AgentTally, Tally

if TYPE_CHECKING:
    from agentcli.agents.tree import Ended
    from agentcli.sdk.bus import Bus
    from agentcli.sdk.options import OutputSchema


def root_of(agent_id: str) -> str:
    """The worker of the main agent that an agent is, or is below of; `main` for the main agent."""
    return "/".join(agent_id.split("/", 2)[:2])


class PartTally(Tally):
    """A tally whose main agent's calls are all kept: services repeat call ids from one answer to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.broken_off = ""
        """What the last answer said before it failed; "" where it did not."""
        self._made: list[ToolCall] = []

    def _replied(self, agent: AgentTally, event: Replied) -> None:
        super()._replied(agent, event)
        if agent is not self.main:
            return
        self.broken_off = event.message.text() if event.failure else ""
        if event.failure is None:
            self._made += event.message.calls()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(self._made)


class RunTally(PartTally):
    """The main agent and the workers that it started in this run; not those that a program or a person started meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._own = {MAIN}

    def feed(self, envelope: Envelope) -> None:
        root = root_of(envelope.agent_id)
        if root not in self._own:
            if not (isinstance(envelope.event, AgentSpawned) and envelope.event.call_id):
                return
            self._own.add(root)
        super().feed(envelope)


class WorkerTally(PartTally):
    """One worker in the place of the main agent, and all below it."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self.main = AgentTally(root, root.rpartition("/")[2])
        self._root = root

    def agent(self, agent_id: str) -> AgentTally:
        return self.main if agent_id == self._root else super().agent(agent_id)


class LiveTally(Tally):
    """Every agent of a session as far as it got. Keeps no calls: it lives as long as the session."""

    def _replied(self, agent: AgentTally, event: Replied) -> None:
        agent.replied(event)


class Books:
    """While open, one `WorkerTally` for each worker of the main agent."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tallies: dict[str, WorkerTally] = {}

    def feed(self, envelope: Envelope) -> None:
        root = root_of(envelope.agent_id)
        if root == MAIN or not envelope.event.durable:
            return
        tally = self._tallies.get(root)
        if tally is None:
            tally = self._tallies[root] = WorkerTally(root)
        tally.feed(envelope)

    def result(self, ended: Ended, schema: OutputSchema | None = None) -> Result:
        """What a worker that is over came to."""
        return worker_result(ended, self._tallies.get(ended.worker_id), schema)

    def __enter__(self) -> Books:
        self._leave = self._bus.listen(self.feed)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()

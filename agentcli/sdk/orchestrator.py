"""Steering the agents of a session while they run: pause, resume, cancel, tell, look, wait. Scheduling lives on the floor below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentcli.agents.tree import Node
from agentcli.protocol.errors import UsageError
from agentcli.protocol.events import AgentState
from agentcli.protocol.models import ModelUse
from agentcli.sdk.result import AgentResult, agent_result
from agentcli.sdk.talk import as_message
from agentcli.sdk.work import Delegating

if TYPE_CHECKING:
    from agentcli.sdk.session import AsyncSession


class AsyncAgentOrchestrator:
    """The agents of one session. An agent is named by its id (`main/scout-1`) or its name (`scout-1`).

        worker = await session.task("scout", "Read everything.", background=True)
        await session.orchestrator.inject_prompt(worker.id, "Stop and summarize what you've done so far")
        print(await session.orchestrator.wait(worker.id, timeout_s=60))

    For use on the session's own event loop, from any of its tasks while `send` runs; `AgentOrchestrator` is for other threads.
    """

    def __init__(self, session: AsyncSession) -> None:
        if not isinstance(session, Delegating):
            raise UsageError(f"AsyncAgentOrchestrator takes an AsyncSession, not {type(session).__name__}.", hint="A Session has AgentOrchestrator.")
        self._session = session

    async def pause_agent(self, agent_id: str) -> None:
        """Lets the current model call finish and holds the agent at its next checkpoint.

        Raises:
            UnknownAgent: no such agent; names the known ones. UsageError: it is already over.
        """
        self._session.tree.pause(agent_id)

    async def resume_agent(self, agent_id: str) -> None:
        """Lets a paused agent go on. Raises as `pause_agent`."""
        self._session.tree.resume(agent_id)

    async def cancel_agent(self, agent_id: str) -> None:
        """Ends a worker and its own workers; returns when none of their processes is left (2 seconds at most). Raises as `pause_agent`."""
        await self._session.tree.cancel(agent_id)

    async def inject_prompt(self, agent_id: str, prompt: str) -> None:
        """Gives an agent a message, which it reads at its next safe point. Raises as `pause_agent`; UsageError where it says nothing."""
        self._session.tree.inject(agent_id, as_message(prompt, "injected"))

    async def list_agents(self) -> tuple[AgentResult, ...]:
        """Every agent of the session as it stands, the main one first, parents before their workers."""
        return tuple(self.view(node) for node in self._session.tree.main.walk())

    async def get_agent(self, agent_id: str) -> AgentResult:
        """One agent as it stands. Raises UnknownAgent."""
        return self.view(self._session.tree.find(agent_id))

    async def wait(self, agent_id: str, timeout_s: float | None = None) -> AgentResult:
        """Waits for a worker's end; a failed one is told by its `failure`.

        Raises:
            UnknownAgent. TimeLimit: it still runs after `timeout_s` seconds. UsageError: the main agent, which no worker is.
        """
        node = self._session.tree.find(agent_id)
        await self._session.tree.wait(agent_id, timeout_s)
        return self.view(node)

    async def wait_all(self, timeout_s: float | None = None) -> tuple[AgentResult, ...]:
        """Waits for every worker that runs; gives all workers of the session. Raises TimeLimit."""
        await self._session.tree.wait_all(timeout_s)
        return tuple(self.view(node) for node in self._session.tree.main.walk() if node.parent is not None)

    def view(self, node: Node) -> AgentResult:
        """A node with its figures so far."""
        known, use = agent_result(self._session.live.agent(node.id)), node.model.active.use
        served = known.model.resolved == use.resolved
        model = known.model if served else ModelUse(use.requested, use.resolved, use.source)
        return replace(known, model=model, status=self._state_of_main(known.status) if node.parent is None else node.state)

    def _state_of_main(self, state: AgentState) -> AgentState:
        if self._session.conversing:
            return state
        return "paused" if self._session.tree.main.held.paused else "completed"

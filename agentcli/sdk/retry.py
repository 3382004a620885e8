"""One worker's task once more, on the same model or another, as a person asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentcli.protocol.errors import UsageError

if TYPE_CHECKING:
    from agentcli.sdk.session import AsyncSession


async def retry(session: AsyncSession, agent_id: str, model: str = "") -> str:
    """Starts the task of a worker that is over again, in the background; its report goes to the parent. Gives the new worker's id.

    `model` is a person's word and outranks the definition's and the call's; "" asks the chain as before.

    Raises:
        UnknownAgent, UnknownModel, ModelRefused, LimitReached: it cannot start.
        UsageError: this is no worker, or it still runs.
    """
    orchestrator = session.tree
    node = orchestrator.find(agent_id)
    if node.task is None or node.parent is None:
        raise UsageError("the main agent is no worker.", hint="Ask it again instead.")
    if not node.is_over:
        raise UsageError(f"{node.id} is still {node.state}.", hint=f"End it first: /agents cancel {node.name}")
    session.start()
    parent = orchestrator.main if node.parent.is_over else node.parent
    label = f"{node.name} again"
    task = replace(node.task, background=True, label=label, role="" if model else node.task.role)
    if not model:
        return (await orchestrator.spawn(parent, task)).id
    pins = session.kit.pins
    pins[label] = model
    try:
        return (await orchestrator.spawn(parent, task)).id
    finally:
        pins.pop(label, None)

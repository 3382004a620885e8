"""The tree of an agent's workers as plain records: who runs, for whom, in which state, with what result. No scheduling here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, field

from agentcli.agents.held import Held
from agentcli.agents.kit import SwitchableModel
from agentcli.agents.spec import WorkerSpec
from agentcli.engine.control import Ledger
from agentcli.engine.gate import Gate
from agentcli.engine.loop import Outcome
from agentcli.engine.stream import Emit
from agentcli.protocol.events import AgentState, Failure
from agentcli.protocol.models import ModelUse, Usage

EndState = Literal["completed", "failed", "cancelled"]
NOT_STARTED = "not started"
"""In place of an id: a task whose worker was refused."""


class Task(Struct, frozen=True):
    """One piece of work for one worker. `timeout_s` counts from the start of running; `role` is a name that a pin may go by (`lead`)."""

    agent: str
    prompt: str
    description: str = ""
    model: str | None = None
    workspace: str = ""
    max_steps: int | None = None
    background: bool = False
    output_schema: dict[str, object] | None = None
    timeout_s: float | None = None
    label: str = ""
    role: str = ""
    start_from: str = ""
    """The branch of an earlier attempt, whose work a workspace of its own goes on from."""


class Ended(Struct, frozen=True):
    """How a worker ended. `use` proves the model of its last call; `note` says what the parent should know of the choice."""

    worker_id: str
    name: str
    agent: str
    status: EndState
    text: str
    use: ModelUse
    failure: Failure | None = None
    served: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    turns: int = 0
    duration_ms: int = 0
    structured: object = None
    note: str = ""
    label: str = ""
    branch: str = ""
    changes: str = ""
    """What its own workspace hands back: branch, files and diff in words."""

    @property
    def ok(self) -> bool:
        return self.status == "completed"


class Node(Struct):
    """One agent of the tree: the main one or a worker."""

    id: str
    name: str
    spec: WorkerSpec
    parent: Node | None
    emit: Emit
    held: Held
    model: SwitchableModel
    gate: Gate
    tool_names: tuple[str, ...]
    ledger: Ledger
    task: Task | None = None
    state: AgentState = "queued"
    children: list[Node] = field(default_factory=list)
    running: asyncio.Task[Ended] | None = None
    begun: bool = False
    """Whether `running` has taken its first step."""
    ended: Ended | None = None
    note: str = ""
    waiting_for_workers: int = 0
    holds_slot: bool = False
    in_line: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one call of this agent that waits for a slot."""
    outcome: Outcome | None = None
    ran_commands: bool = False
    created: float = field(default_factory=time.monotonic)

    @property
    def depth(self) -> int:
        return 0 if self.parent is None else self.parent.depth + 1

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def is_over(self) -> bool:
        return self.ended is not None

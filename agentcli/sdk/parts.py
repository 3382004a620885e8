"""What the composition root hands to a session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field

from agentcli.agents.kit import Kit
from agentcli.agents.orchestrator import Orchestrator
from agentcli.agents.tree import Node
from agentcli.engine.loop import Setup
from agentcli.protocol.messages import Message
from agentcli.sdk.bus import Bus
from agentcli.sdk.wanted import OnApproval
from agentcli.store.files import SessionFile

if TYPE_CHECKING:
    from agentcli.sdk.options import OutputSchema

MAIN = "main"


class Parts(Struct):
    """All parts of one session. `file` None: nothing is kept on disk."""

    kit: Kit
    bus: Bus
    node: Node
    orchestrator: Orchestrator
    setup: Setup
    history: list[Message] = field(default_factory=list)
    file: SessionFile | None = None
    notices: tuple[str, ...] = ()
    resumed: bool = False
    title: str = ""
    """The person's own, where a session that is taken up again has one."""
    on_approval: OnApproval | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    """Awaited before the first run: fetches what the model needs (local weights)."""
    check_loop: Callable[[], None] = lambda: None
    """Called before each run; raises UsageError where this is not the event loop that the agent's connections belong to."""
    output_schema: OutputSchema | None = None
    """As the program gave it; `setup` holds the JSON schema of it."""

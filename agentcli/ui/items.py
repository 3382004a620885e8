"""What the screen shows, as plain data: the finished items that are printed once, and the facts of what is still going on.

No rich, no width, no clock. Texts are as the model, the tool or the file gave them; whoever draws them cleans them.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agentcli.protocol.events import AgentState, Decision, Failure, PermissionMode, RunStatus
from agentcli.protocol.messages import Origin, StopReason
from agentcli.protocol.models import ModelUse, Usage
from agentcli.protocol.tools import Display

# --- finished, in the order they are printed ---


class Opened(Struct, frozen=True):
    """A session began or was taken up again."""

    cwd: str
    model: ModelUse
    mode: PermissionMode
    version: str = ""
    title: str = ""
    resumed: bool = False


class UserSaid(Struct, frozen=True):
    """A message that entered the history, whoever wrote it."""

    text: str
    origin: Origin = "person"
    images: int = 0


class Said(Struct, frozen=True):
    """One block of an answer: a paragraph, a list, a table, a fenced piece of code. Markdown, already clean of control characters."""

    text: str
    first: bool = False
    """Whether the answer begins with it."""


class Broke(Struct, frozen=True):
    """The answer above is not whole."""

    stop: StopReason
    why: str = ""


class ToolRun(Struct, frozen=True):
    """A call and what came of it. `title` is the tool's own line for a person, "" where the call never got that far."""

    name: str
    title: str
    text: str
    """What the model was given."""
    display: Display | None = None
    is_error: bool = False
    denied: bool = False
    duration_ms: int = 0
    added: int | None = None
    removed: int | None = None
    """Lines of the whole change, where the tool counted them: its diff may be cut."""


class Remark(Struct, frozen=True):
    """One line that a person should read."""

    level: Literal["info", "warning", "error"]
    text: str


class Trouble(Struct, frozen=True):
    """What ended a run."""

    failure: Failure


class Decided(Struct, frozen=True):
    """A person's answer to a question. `who` is the worker that asked, "" for the main agent."""

    who: str
    tool: str
    title: str
    decision: Decision
    reason: str = ""
    rule: str = ""


class WorkerFacts(Struct, frozen=True):
    """One worker at one moment. Times are Unix seconds: `since` it runs, `until` it ended, `retry_at` its next attempt starts."""

    id: str
    name: str
    """Its path below the main agent: `scout-2`, `planner-1/explore-1`."""
    agent: str
    label: str
    model: ModelUse
    state: AgentState
    doing: str = ""
    """Its last tool call; of one that waits, what it asks for."""
    turns: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    since: float | None = None
    until: float | None = None
    retry_at: float | None = None
    failure: Failure | None = None
    background: bool = False
    note: str = ""
    prompt: str = ""
    served: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    branch: str = ""

    @property
    def over(self) -> bool:
        return self.state in ("completed", "failed", "cancelled")

    def elapsed(self, now: float) -> float | None:
        """Seconds of running, not of queueing; None where it has not begun."""
        return None if self.since is None else max(0.0, (now if self.until is None else self.until) - self.since)

    def retry_in(self, now: float) -> float | None:
        """Seconds until its next attempt, None where it waits for none."""
        return self.retry_at - now if self.retry_at is not None and self.retry_at > now else None


class FanOut(Struct, frozen=True):
    """Workers that ran together and are over. `usual_cost_usd`: what the same tokens cost on `usual_model`, the session's; None unknown."""

    workers: tuple[WorkerFacts, ...]
    usage: Usage
    cost_usd: float | None
    seconds: float
    usual_model: str = ""
    usual_cost_usd: float | None = None


class RunEnd(Struct, frozen=True):
    """What a run came to, its workers included."""

    status: RunStatus
    turns: int
    tokens: int
    cost_usd: float | None
    duration_ms: int


Item = Opened | UserSaid | Said | Broke | ToolRun | Remark | Trouble | Decided | FanOut | RunEnd

# --- still going on ---


class Waiting(Struct, frozen=True):
    """A question that nobody has answered yet. `who` is the worker that asks, "" for the main agent."""

    request_id: str
    agent_id: str
    call_id: str
    who: str
    tool: str
    title: str
    detail: str
    reason: str
    touches: tuple[str, ...] = ()
    rule: str = ""


class Running(Struct, frozen=True):
    """A call of the main agent under way. `output` is the tail of what it printed so far."""

    call_id: str
    name: str
    title: str
    since: float
    output: str = ""


class Queued(Struct, frozen=True):
    """A text that the person sent while the agent worked and that was not delivered yet."""

    text: str
    kind: Literal["steer", "follow"]

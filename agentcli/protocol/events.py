"""Everything that happens, as a closed union of frozen structs, and the envelope that carries each.

One envelope is one line of the session file, one item of the library's iterator and one update of the screen. A `durable` event is
stored; a delta is shown only, for a durable event with the whole text always follows, also for an answer that was cut off. So the
durable envelopes reduce to the same screen as the full stream. Events are flat: none carries another.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec
from msgspec import Struct

from agentcli.protocol.messages import AssistantMessage, StopReason, ToolResult, UserMessage
from agentcli.protocol.models import ModelUse, Usage
from agentcli.protocol.tools import Display

AgentState = Literal["queued", "running", "waiting", "paused", "completed", "failed", "cancelled"]
PermissionMode = Literal["default", "accept-edits", "plan", "auto", "bypass"]
Decision = Literal["once", "session", "always", "deny"]
CompactTrigger = Literal["auto", "overflow", "manual"]
"""What it was for: the context was nearly full, a service refused a request as too long, a person asked."""
RunStatus = Literal["success", "error", "interrupted", "cancelled", "turn_limit", "budget", "time_limit"]


class Failure(Struct, frozen=True, omit_defaults=True):
    """An error as data: `kind` and `exit_code` of the class it was, its message, and what to do next."""

    kind: str
    message: str
    exit_code: int = 1
    hint: str = ""
    provider: str = ""
    status: int | None = None

    def line(self) -> str:
        """The failure as one line for a person: message, then hint."""
        return " ".join(f"{self.message} {self.hint}".split())


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all events. `durable` ones are kept in the session's file; the others are shown only."""

    durable: ClassVar[bool] = True


# --- a session ---


class SessionStarted(Event, frozen=True, kw_only=True, tag="session_started"):
    """First event of an agent's stream: of the session (`main`), or again when it is resumed."""

    cwd: str
    model: ModelUse
    permission_mode: PermissionMode
    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    version: str = ""
    resumed: bool = False
    title: str = ""


class ModelChanged(Event, frozen=True, kw_only=True, tag="model_changed"):
    """The agent's model from its next call on."""

    model: ModelUse
    note: str = ""


class ModeChanged(Event, frozen=True, kw_only=True, tag="mode_changed"):
    """The permission mode from now on."""

    mode: PermissionMode


class ModelPinned(Event, frozen=True, kw_only=True, tag="model_pinned"):
    """A person's model for workers from now on, as they named it; `worker` is a definition's name, or `subagents`; an empty model lifts the pin."""

    worker: str
    model: str


class Renamed(Event, frozen=True, kw_only=True, tag="renamed"):
    """The title that the person gave the session."""

    title: str


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """Something the person should know, in one line."""

    level: Literal["info", "warning", "error"]
    text: str


# --- one run: from a submitted message to its result ---


class UserSubmitted(Event, frozen=True, kw_only=True, tag="user_submitted"):
    """A user message that entered the history, `run` naming the run it starts or was delivered to."""

    message: UserMessage
    run: str = ""
    call_id: str = ""
    """The call whose result it brings, where that was sent to the background."""


class RunFinished(Event, frozen=True, kw_only=True, tag="run_finished"):
    """Ends the run of an agent's turn loop. `turns` counts model calls, `duration_ms` the wall time; `cost_usd` None: a price is unknown.

    `usage` and `cost_usd` are this agent's own in this run, without its workers'.
    """

    status: RunStatus
    text: str = ""
    failure: Failure | None = None
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    turns: int = 0
    duration_ms: int = 0
    structured: object = None
    denials: tuple[str, ...] = ()
    """What was not permitted, one line each, with the flag or rule that would permit it."""
    run: str = ""


# --- a model call ---


class CallStarted(Event, frozen=True, kw_only=True, tag="call_started"):
    """A request leaves. `attempt` counts from 1."""

    call: int
    model: ModelUse
    attempt: int = 1


class TextDelta(Event, frozen=True, kw_only=True, tag="text_delta"):
    """A piece of an answer's text as it comes; the whole follows in `Replied`."""

    durable: ClassVar[bool] = False
    text: str


class ThinkingDelta(Event, frozen=True, kw_only=True, tag="thinking_delta"):
    """A piece of a model's reasoning as it comes; the whole follows in `Replied`."""

    durable: ClassVar[bool] = False
    text: str


class ArgumentsDelta(Event, frozen=True, kw_only=True, tag="arguments_delta"):
    """A piece of a tool call's arguments while the model writes them."""

    durable: ClassVar[bool] = False
    call_id: str
    name: str
    text: str


class Replied(Event, frozen=True, kw_only=True, tag="replied"):
    """The whole answer of one model call, also of one that was cut off (`message.stop` says so; `failure` says why)."""

    call: int
    message: AssistantMessage
    model: ModelUse
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    duration_ms: int = 0
    first_ms: int = 0
    """Milliseconds from the request to the first part of the answer."""
    failure: Failure | None = None


class RetryScheduled(Event, frozen=True, kw_only=True, tag="retry_scheduled"):
    """Attempt `attempt` of `limit` failed; the next starts in `delay_s` seconds.

    `attempt` 0: not this agent's; another's failure (a Retry-After, say) holds all calls to the provider for so long.
    """

    failure: Failure
    attempt: int
    limit: int
    delay_s: float


class FellBack(Event, frozen=True, kw_only=True, tag="fell_back"):
    """The run goes on with another model."""

    left: str
    model: ModelUse
    failure: Failure


class Compacted(Event, frozen=True, kw_only=True, tag="compacted"):
    """The history before this point was made shorter: but for its first request and its last `kept` messages it is replaced by `summary`.

    Where `summary` is "", the older messages stay and their tool results are cut to `older_chars` characters. Those of the kept messages are cut to
    `kept_chars`, 0: not. `usage`, `cost_usd` and `model` are of the call that made the summary. Tokens before and after are estimates.
    """

    summary: str
    tokens_before: int
    tokens_after: int
    kept: int = 0
    older_chars: int = 0
    kept_chars: int = 0
    trigger: CompactTrigger = "auto"
    model: ModelUse | None = None
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    duration_ms: int = 0


# --- tools ---


class ToolStarted(Event, frozen=True, kw_only=True, tag="tool_started"):
    """A call was accepted for running (its arguments are valid); permission may still be asked. `title` is one line for a person."""

    call_id: str
    name: str
    title: str
    arguments: str


class ToolOutput(Event, frozen=True, kw_only=True, tag="tool_output"):
    """A piece of what a running tool prints; what the model reads of it follows in `ToolFinished`."""

    durable: ClassVar[bool] = False
    call_id: str
    text: str


class ToolFinished(Event, frozen=True, kw_only=True, tag="tool_finished"):
    """Exactly one for each call of an answer, also for calls that were refused, malformed or interrupted. `data` holds `background` where the call
    goes on beside the run; what came of it is told by a `UserSubmitted` of its id."""

    result: ToolResult
    display: Display | None = None
    duration_ms: int = 0
    denied: bool = False
    data: dict[str, object] | None = None


class ApprovalAsked(Event, frozen=True, kw_only=True, tag="approval_asked"):
    """Somebody must decide about a tool call. `title` is one line, `detail` the whole command or change, `reason` why it is asked, `touches` the
    paths it names, `rule` what "always" would save. The envelope's `agent_id` says who wants it."""

    request_id: str
    call_id: str
    tool: str
    title: str
    detail: str
    reason: str
    touches: tuple[str, ...] = ()
    rule: str = ""


class ApprovalAnswered(Event, frozen=True, kw_only=True, tag="approval_answered"):
    """What was decided; `rule` is what was saved, `reason` why where nobody was asked."""

    request_id: str
    decision: Decision
    reason: str = ""
    rule: str = ""


# --- workers ---


class AgentSpawned(Event, frozen=True, kw_only=True, tag="agent_spawned"):
    """Carried by the envelope of the new worker itself; its parent is the path above its own."""

    name: str
    agent: str
    """The definition's name."""
    model: ModelUse
    prompt: str
    call_id: str = ""
    """The tool call that started it, "" when a person or a program did."""
    label: str = ""
    background: bool = False
    workspace: str = ""
    tools: tuple[str, ...] = ()
    note: str = ""
    """What the person should know of the model's choice, a pin that overrode a call say."""


class StateChanged(Event, frozen=True, kw_only=True, tag="state_changed"):
    """An agent is queued, running, waiting for an approval, paused, or over; `detail` says for what it waits."""

    state: AgentState
    detail: str = ""


class AgentFinished(Event, frozen=True, kw_only=True, tag="agent_finished"):
    """Exactly one for each `AgentSpawned`. `served` lists each model that really answered, in order of first use."""

    status: Literal["completed", "failed", "cancelled"]
    text: str = ""
    failure: Failure | None = None
    model: ModelUse
    served: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    turns: int = 0
    duration_ms: int = 0
    structured: object = None
    branch: str = ""
    """Where a workspace of its own left its changes."""


AnyEvent = (
    SessionStarted
    | ModelChanged
    | ModelPinned
    | ModeChanged
    | Renamed
    | Notice
    | UserSubmitted
    | RunFinished
    | CallStarted
    | TextDelta
    | ThinkingDelta
    | ArgumentsDelta
    | Replied
    | RetryScheduled
    | FellBack
    | Compacted
    | ToolStarted
    | ToolOutput
    | ToolFinished
    | ApprovalAsked
    | ApprovalAnswered
    | AgentSpawned
    | StateChanged
    | AgentFinished
)


class Envelope(Struct, frozen=True):
    """One event, where and when. `seq` counts from 1 over the whole session, all agents; `at` is Unix time in seconds.

    `agent_id` is a path: `main`, `main/scout-2`, `main/planner-1/explore-1`.
    """

    seq: int
    at: float
    session_id: str
    agent_id: str
    event: AnyEvent


KNOWN_TAGS: frozenset[str] = frozenset(str(kind.__struct_config__.tag) for kind in AnyEvent.__args__)


class _Peek(Struct):
    type: str = ""


class _PeekEnvelope(Struct):
    event: _Peek


def encode(envelope: Envelope) -> bytes:
    """One JSON object without a line break."""
    return _ENCODER.encode(envelope)


def decode(line: bytes) -> Envelope | None:
    """The envelope of a stored line; None for an event that this version does not know.

    Raises:
        msgspec.DecodeError: the line is no envelope.
    """
    tag = _PEEK.decode(line).event.type
    return _DECODER.decode(line) if tag in KNOWN_TAGS else None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Envelope)
_PEEK = msgspec.json.Decoder(_PeekEnvelope)

__all__ = [
    "KNOWN_TAGS",
    "AgentFinished",
    "AgentSpawned",
    "AgentState",
    "AnyEvent",
    "ApprovalAnswered",
    "ApprovalAsked",
    "ArgumentsDelta",
    "CallStarted",
    "CompactTrigger",
    "Compacted",
    "Decision",
    "Envelope",
    "Event",
    "Failure",
    "FellBack",
    "ModeChanged",
    "ModelChanged",
    "ModelPinned",
    "Notice",
    "PermissionMode",
    "Renamed",
    "Replied",
    "RetryScheduled",
    "RunFinished",
    "RunStatus",
    "SessionStarted",
    "StateChanged",
    "StopReason",
    "TextDelta",
    "ThinkingDelta",
    "ToolFinished",
    "ToolOutput",
    "ToolStarted",
    "UserSubmitted",
    "decode",
    "encode",
]  # fmt: skip

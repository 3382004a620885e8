"""What goes in: the commands that a face sends to a session. Plain data, the mirror of events."""

from __future__ import annotations

from msgspec import Struct

from agentcli.protocol.events import Decision, PermissionMode
from agentcli.protocol.messages import UserMessage


class Submit(Struct, frozen=True, tag="submit"):
    """A message that starts a run of the main agent."""

    message: UserMessage


class Inject(Struct, frozen=True, tag="inject"):
    """A message delivered to a running agent at its next safe point."""

    message: UserMessage
    agent_id: str = "main"


class Interrupt(Struct, frozen=True, tag="interrupt"):
    """Ends the current run; its history stays valid."""


class Pause(Struct, frozen=True, tag="pause"):
    agent_id: str


class Resume(Struct, frozen=True, tag="resume"):
    agent_id: str


class Cancel(Struct, frozen=True, tag="cancel"):
    agent_id: str


class Answer(Struct, frozen=True, tag="answer"):
    """A person's decision on an `ApprovalAsked`; `reason` goes to the model where it is a no."""

    request_id: str
    decision: Decision
    reason: str = ""


class UseModel(Struct, frozen=True, tag="use_model"):
    """The session's model from its next model call on."""

    model: str


class PinModel(Struct, frozen=True, tag="pin_model"):
    """A worker's model for this session; `worker` is a definition's name, or `subagents` for the default of all; "" lifts the pin."""

    worker: str
    model: str


class SetMode(Struct, frozen=True, tag="set_mode"):
    mode: PermissionMode


class SetEffort(Struct, frozen=True, tag="set_effort"):
    effort: str


class Background(Struct, frozen=True, tag="background"):
    """Sends a waiting delegation or command to the background."""

    call_id: str = ""


Command = Submit | Inject | Interrupt | Pause | Resume | Cancel | Answer | UseModel | PinModel | SetMode | SetEffort | Background

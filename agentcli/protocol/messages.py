"""What is said between a person, an agent and a model. Plain frozen data, no wire's names, no behaviour beyond reading."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agentcli.protocol.models import ModelUse, Usage

StopReason = Literal["end", "tool_calls", "length", "content_filter", "refusal", "interrupted", "error"]
"""Why an answer ended. `interrupted` and `error`: it was cut off, what is there is kept and marked."""

Origin = Literal["person", "stdin", "parent", "injected", "worker", "system"]
"""Who wrote a user message: `worker` is a background worker's result, `system` a notice of agentcli itself."""


class Text(Struct, frozen=True, tag="text"):
    """A piece of text."""

    text: str


class Thinking(Struct, frozen=True, tag="thinking", omit_defaults=True):
    """Reasoning of a model. `opaque` is what its wire wants echoed back (a signature, an encrypted item), `wire` who may see it."""

    text: str
    opaque: str = ""
    wire: str = ""
    redacted: bool = False


class Image(Struct, frozen=True, tag="image", omit_defaults=True):
    """An image, base64. `note` describes it for models without eyes."""

    media_type: str
    data: str
    note: str = ""


class ToolCall(Struct, frozen=True, tag="tool_call", omit_defaults=True):
    """A call as the model wrote it: `arguments` is its JSON text, not yet checked. `opaque` is echoed to the same `wire`."""

    id: str
    name: str
    arguments: str
    opaque: str = ""
    wire: str = ""


class ToolResult(Struct, frozen=True, tag="tool_result", omit_defaults=True):
    """What a call brought, as the model reads it. `is_error`: it failed, was refused, or was never run."""

    call_id: str
    name: str
    content: tuple[Text | Image, ...]
    is_error: bool = False

    def text(self) -> str:
        """Its texts, a line each."""
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


class UserMessage(Struct, frozen=True, tag="user", omit_defaults=True):
    """What the model is told by a person, a program or agentcli itself (see `Origin`). With an image:

    UserMessage((Text("What is on it?"), Image("image/png", base64.b64encode(data).decode())))
    """

    content: tuple[Text | Image, ...]
    origin: Origin = "person"

    def text(self) -> str:
        """Its texts, a line each."""
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


class AssistantMessage(Struct, frozen=True, tag="assistant", omit_defaults=True):
    """An answer of the model: text, thinking and tool calls in the order they came. `stop` says why it ended."""

    content: tuple[Text | Thinking | ToolCall, ...]
    stop: StopReason = "end"

    def text(self) -> str:
        """What was said, without thoughts and calls."""
        return "".join(part.text for part in self.content if isinstance(part, Text))

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order."""
        return tuple(part for part in self.content if isinstance(part, ToolCall))


class ToolMessage(Struct, frozen=True, tag="tool"):
    """The results of one answer's calls, in the order of the calls."""

    results: tuple[ToolResult, ...]


Message = UserMessage | AssistantMessage | ToolMessage


def user_text(text: str, origin: Origin = "person") -> UserMessage:
    """A user message of one text."""
    return UserMessage((Text(text),), origin)


__all__ = [
    "AssistantMessage", "Image", "Message", "ModelUse", "Origin", "StopReason", "Text", "Thinking", "ToolCall",
    "ToolMessage", "ToolResult", "Usage", "UserMessage", "user_text",
]  # fmt: skip

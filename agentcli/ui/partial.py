"""Deltas as the events of a streamed message (`message_start`, `content_block_…`, `message_stop`), whole and in order for each agent.

What a wire did not stream (a call that came in one piece, say) is made up for when the answer is there, so that a reader of these events
alone has everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Literal

from msgspec import Struct, field

from agentcli.protocol.events import ArgumentsDelta, Replied, TextDelta, ThinkingDelta
from agentcli.protocol.messages import AssistantMessage, Text, Thinking, ToolCall
from agentcli.ui.result import stop_reason, usage_fields

Kind = Literal["text", "thinking", "tool_use"]
Key = tuple[Kind, str]
"""A block as it streams: its kind, and of a call its id, or its name where the service gives no id."""
Event = dict[str, Any]
Delta = TextDelta | ThinkingDelta | ArgumentsDelta


class _Message(Struct):
    """A message under way: the blocks begun, by their index, and those not ended yet.

    Text and thinking end when another block begins. Calls end with the message, for services interleave the arguments of several.
    """

    blocks: dict[Key, int] = field(default_factory=dict)
    open: dict[Key, int] = field(default_factory=dict)
    count: int = 0

    def begin(self, key: Key) -> int:
        self.blocks[key] = self.open[key] = self.count
        self.count += 1
        return self.count - 1

    def end(self, *kinds: Kind) -> Iterator[Event]:
        for key in [key for key in self.open if key[0] in kinds]:
            yield {"type": "content_block_stop", "index": self.open.pop(key)}


class Partial:
    """The messages under way, one an agent."""

    def __init__(self) -> None:
        self._messages: dict[str, _Message] = {}

    def delta(self, agent_id: str, message_id: str, model: str, delta: Delta) -> Iterator[Event]:
        message = self._messages.get(agent_id)
        if message is None:
            message = self._messages[agent_id] = _Message()
            yield _start(message_id, model)
        match delta:
            case TextDelta(text=text):
                yield from _piece(message, ("text", ""), {"type": "text", "text": ""}, {"type": "text_delta", "text": text})
            case ThinkingDelta(text=text):
                block = {"type": "thinking", "thinking": "", "signature": ""}
                yield from _piece(message, ("thinking", ""), block, {"type": "thinking_delta", "thinking": text})
            case ArgumentsDelta(call_id=call_id, name=name, text=text):
                call: Event = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
                yield from _piece(message, ("tool_use", call_id or name), call, {"type": "input_json_delta", "partial_json": text})

    def replied(self, agent_id: str, message_id: str, event: Replied) -> Iterator[Event]:
        """Ends the message of an answer that is there, with what was not streamed."""
        if agent_id not in self._messages:
            self._messages[agent_id] = _Message()
            yield _start(message_id, event.model.resolved)
        for delta in missing(self._messages[agent_id].blocks.keys(), event.message):
            yield from self.delta(agent_id, message_id, event.model.resolved, delta)
        message = self._messages.pop(agent_id)
        yield from message.end("text", "thinking", "tool_use")
        stop = {"stop_reason": stop_reason(event.message.stop), "stop_sequence": None}
        yield {"type": "message_delta", "delta": stop, "usage": usage_fields(event.usage)}
        yield {"type": "message_stop"}

    def drop(self, agent_id: str) -> None:
        """Forgets a message whose attempt failed; the next begins with a `message_start` of its own."""
        self._messages.pop(agent_id, None)


def missing(streamed: Collection[Key], message: AssistantMessage) -> list[Delta]:
    """The parts of an answer of which nothing was streamed. A call may have got its id only when the answer was whole."""
    deltas: list[Delta] = []
    nameless = sum(kind == "tool_use" for kind, _ in streamed) - sum(("tool_use", call.id) in streamed for call in message.calls())
    for part in message.content:
        match part:
            case Text(text=text) if ("text", "") not in streamed:
                deltas.append(TextDelta(text=text))
            case Thinking(text=text) if text and ("thinking", "") not in streamed:
                deltas.append(ThinkingDelta(text=text))
            case ToolCall(id=call_id, name=name, arguments=arguments) if ("tool_use", call_id) not in streamed:
                if nameless > 0:
                    nameless -= 1
                else:
                    deltas.append(ArgumentsDelta(call_id=call_id, name=name, text=arguments))
            case _:
                pass
    return deltas


def _piece(message: _Message, key: Key, block: Event, delta: Event) -> Iterator[Event]:
    index = message.open.get(key)
    if index is None:
        yield from message.end("text", "thinking")
        index = message.begin(key)
        yield {"type": "content_block_start", "index": index, "content_block": block}
    yield {"type": "content_block_delta", "index": index, "delta": delta}


def _start(message_id: str, model: str) -> dict[str, Any]:
    usage = {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message: Event = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return {"type": "message_start", "message": message}

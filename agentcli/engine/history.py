"""From stored events back to the messages a model is sent, and the repairs that keep such a list valid. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from agentcli.engine.shorten import compacted
from agentcli.protocol.events import Compacted, Envelope, Replied, ToolFinished, UserSubmitted
from agentcli.protocol.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)

INTERRUPTED = "Interrupted before it finished; what it had done by then stands."
IMAGE_TOKENS = 1_500
"""A rough middle of what the large vendors count for one picture of ordinary size."""


def fold(envelopes: Iterable[Envelope], agent_id: str = "main") -> list[Message]:
    """The history of one agent. Of several answers to one model call (attempts), the last stands."""
    messages: list[Message] = []
    replies: dict[int, int] = {}
    results: list[ToolResult] = []
    for envelope in envelopes:
        if envelope.agent_id != agent_id:
            continue
        match envelope.event:
            case ToolFinished(result=result):
                results.append(result)
                continue
            case UserSubmitted(message=message):
                _close_calls(messages, results)
                replies.clear()
                messages.append(message)
            case Replied(call=call, message=reply, failure=None):
                _close_calls(messages, results)
                if call in replies:
                    messages[replies[call]] = reply
                else:
                    replies[call] = len(messages)
                    messages.append(reply)
            case Compacted() as done:
                _close_calls(messages, results)
                replies.clear()
                messages = compacted(repair(messages), done)
            case _:
                pass
    _close_calls(messages, results)
    return repair(messages)


def _close_calls(messages: list[Message], results: list[ToolResult]) -> None:
    """Results belong to the answer before them; ids alone would not do, for services repeat them."""
    if results:
        messages.append(ToolMessage(tuple(results)))
        results.clear()


def repair(messages: Iterable[Message]) -> list[Message]:
    """A list any wire accepts: each call has its result, each result its call, nothing is empty, the first is a user's."""
    out: list[Message] = []
    waiting: tuple[ToolCall, ...] = ()
    for message in messages:
        if isinstance(message, ToolMessage):
            if waiting:
                out.append(_complete(waiting, message))
            waiting = ()
            continue
        if waiting:
            out.append(_complete(waiting, ToolMessage(())))
            waiting = ()
        if not message.content:
            continue
        if isinstance(message, AssistantMessage) and not any(isinstance(part, UserMessage) for part in out):
            continue
        out.append(message)
        waiting = message.calls() if isinstance(message, AssistantMessage) else ()
    if waiting:
        out.append(_complete(waiting, ToolMessage(())))
    return out


def _complete(calls: tuple[ToolCall, ...], message: ToolMessage) -> ToolMessage:
    known = {result.call_id: result for result in message.results}
    return ToolMessage(tuple(known.get(call.id) or interrupted(call) for call in calls))


def interrupted(call: ToolCall) -> ToolResult:
    """The result of a call that never came to its end."""
    return ToolResult(call.id, call.name, (Text(INTERRUPTED),), is_error=True)


def estimate_tokens(messages: Iterable[Message], system: str = "") -> int:
    """Tokens, by the rule of thumb of four characters each: for a bar and a warning, never for a bill."""
    return len(system) // 4 + sum(_size(part) for message in messages for part in _parts(message))


def _parts(message: Message) -> tuple[Text | Thinking | ToolCall | Image | ToolResult, ...]:
    match message:
        case ToolMessage(results=results):
            return results
        case UserMessage(content=content):
            return content
        case AssistantMessage(content=content):
            return content


def _size(part: Text | Thinking | ToolCall | Image | ToolResult) -> int:
    match part:
        case Text(text=text) | Thinking(text=text):
            return len(text) // 4 + 1
        case ToolCall(name=name, arguments=arguments):
            return (len(name) + len(arguments)) // 4 + 8
        case Image():
            return IMAGE_TOKENS
        case ToolResult(content=content):
            return 8 + sum(_size(piece) for piece in content)

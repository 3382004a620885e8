"""A history made shorter: how much of its end is kept, what stands for the rest, how it is told to whoever sums it up. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentcli.protocol.events import Compacted
from agentcli.protocol.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
    user_text,
)

REQUEST_CHARS = 8_000
"""Most characters of a person's request that is kept beside the summary (a piped file, say)."""
TOLD_CHARS = ((1_500, 6_000), (800, 3_000), (400, 1_500), (200, 800), (100, 400))
"""Most characters of one tool result, and of one message, that whoever sums up is told; the lower ones serve where there is less room."""
ARGUMENT_CHARS = 400
NOTES = ("system", "worker")
"""Origins of what nobody asked for."""


def compacted(messages: Sequence[Message], done: Compacted) -> list[Message]:
    """The history that such a compaction leaves of `messages`."""
    at = max(0, len(messages) - done.kept)
    older, kept = list(messages[:at]), list(messages[at:])
    if done.kept_chars:
        kept = with_short_results(kept, done.kept_chars)
    if not done.summary:
        return with_short_results(older, done.older_chars) + kept
    opening = [_shortened(message) for message in older[:1] if _is_request(message)]
    return [*opening, user_text(done.summary, "system"), *kept]


def tail(messages: Sequence[Message], sizes: Sequence[int], most: int) -> int:
    """How many of the last messages to keep: as many as have `most` tokens together, at least one, and no result without its call."""
    kept, total = 0, 0
    for count, (message, size) in enumerate(zip(reversed(messages), reversed(sizes), strict=True), start=1):
        total += size
        if kept and total > most:
            break
        if not isinstance(message, ToolMessage):
            kept = count
    return kept


def with_short_results(messages: Iterable[Message], most: int) -> list[Message]:
    """The same messages, no tool result longer than `most` characters and none with a picture."""
    return [
        ToolMessage(tuple(_short(result, most) for result in message.results)) if isinstance(message, ToolMessage) else message
        for message in messages
    ]


def latest_request(messages: Sequence[Message]) -> str:
    """What the person (or a parent) asked last, where that is not the first message; "" otherwise."""
    found = next((message for message in reversed(messages[1:]) if _is_request(message)), None)
    return cut_text(found.text(), REQUEST_CHARS) if isinstance(found, UserMessage) else ""


def told(messages: Sequence[Message], room: int) -> str:
    """The messages as text of at most `room` characters, for a model that sums them up."""
    for result_chars, message_chars in TOLD_CHARS:
        text = "\n\n".join(filter(None, (_told(message, result_chars, message_chars) for message in messages)))
        if len(text) <= room:
            return text
    return cut_text(text, room, head=0.25)


def cut_text(text: str, most: int, head: float = 0.75) -> str:
    """A text's beginning and end with a mark between, where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    first = int(most * head)
    return f"{text[:first]}\n… ({len(text) - most:,} characters were left out here to save room) …\n{text[len(text) - (most - first) :]}"


def _is_request(message: Message) -> bool:
    return isinstance(message, UserMessage) and message.origin not in NOTES


def _shortened(message: Message) -> Message:
    """A person's message with its text cut where it is very long. Pictures stay."""
    if not isinstance(message, UserMessage):
        return message
    parts = tuple(Text(cut_text(part.text, REQUEST_CHARS)) if isinstance(part, Text) else part for part in message.content)
    return UserMessage(parts, message.origin)


def _short(result: ToolResult, most: int) -> ToolResult:
    text = "\n".join(part.text if isinstance(part, Text) else _in_words(part) for part in result.content)
    if len(text) <= most and not any(isinstance(part, Image) for part in result.content):
        return result
    return ToolResult(result.call_id, result.name, (Text(cut_text(text, most)),), result.is_error)


def _in_words(picture: Image) -> str:
    return f"[a picture, left out to save room: {picture.note or picture.media_type}]"


def _told(message: Message, result_chars: int, message_chars: int) -> str:
    match message:
        case UserMessage(origin=origin):
            who = "note" if origin in NOTES else "request"
            return f"[{who}]\n{cut_text(message.text(), message_chars)}"
        case AssistantMessage():
            said = cut_text(message.text(), message_chars)
            calls = (f"[calls {call.name} with {cut_text(call.arguments, ARGUMENT_CHARS)}]" for call in message.calls())
            lines = "\n".join(filter(None, (said, *calls)))
            return f"[agent]\n{lines}" if lines else ""
        case ToolMessage(results=results):
            return "\n\n".join(
                f"[result of {result.name}{', failed' if result.is_error else ''}]\n{cut_text(result.text(), result_chars)}" for result in results
            )

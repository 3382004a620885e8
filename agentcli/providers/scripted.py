"""A model that says what a script tells it: deterministic, without a network. It drives the whole program in tests, from Python or from a config.

From a config (`script` is relative to the config file's folder):

    providers "demo" { wire = "scripted"  script = "script.json"  models "m1" { } }

The script is a JSON list, gone through in order, one reply for each model call; each entry is a reply, or a group of replies for some callers:

    [
      {"thinking": "Look first.", "text": "I read it.", "calls": [{"name": "read", "arguments": {"path": "a.txt"}}]},
      {"when": "two lines", "text": "It has two lines."},
      {"agent": "scout", "each": true, "replies": [{"text": "found one"}]}
    ]

A reply. Every field may be left out:

    text          a string, streamed in pieces of `piece` characters (8), or a list of strings, each one piece
    thinking      the same, before the text
    calls         [{"name", "arguments", "id"}] after the text; `arguments` an object, or a string sent as it is (broken JSON, say)
    usage         {"input", "output", "cache_read", "cache_write", "reasoning"}; 10 in and 5 out where left out
    served        the model that the answer names; the requested one where left out
    stop          end, tool_calls, length, content_filter or refusal; by itself tool_calls where there are calls, else end
    first_delay_s, delay_s     seconds before the first piece, and before each
    error         {"kind", "message", "status", "retry_after"} raised after what the reply says; `kind` as in result.error.kind: rate_limit,
                  unavailable, authentication, request_rejected, context_overflow, invalid_response, stream_broken
    cut           true: the stream breaks where the answer would have ended
    hang          true: nothing comes after what the reply says, until a time limit or a cancel
    repeat        true: this reply is never used up
    when          a text that the request's last user or tool text must hold; else the reply waits, and the next that fits is taken
    model         the model's id, or provider/id
    agent         who asks: an agent's whole path, or its last name without the number (`scout` for main/scout-2)

A group has `replies`, and `when`, `model`, `agent` of its own; its `when` is looked for in all user texts, so that a conversation keeps its
group over its turns. With `each`, every conversation starts at the first reply: the number of answers in its history decides, so workers that
run at once do not take each other's replies. Groups that fit come before replies that stand alone; where nothing fits, an error says so.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from agentcli.protocol.errors import (
    AuthenticationFailed,
    ConfigError,
    ContextOverflow,
    InvalidResponse,
    ProviderError,
    RateLimited,
    RequestRejected,
    StreamBroken,
    Unavailable,
)
from agentcli.protocol.messages import AssistantMessage, StopReason, ToolMessage, UserMessage
from agentcli.protocol.models import ProviderSpec, Usage
from agentcli.providers.base import CallPart, ModelRequest, ServedPart, StopPart, StreamPart, TextPart, ThinkingPart, UsagePart

ERRORS: dict[str, type[ProviderError]] = {
    kind.kind: kind for kind in (AuthenticationFailed, RateLimited, Unavailable, StreamBroken, RequestRejected, ContextOverflow, InvalidResponse)
}


class ScriptedCall(Struct, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] | str = msgspec.field(default_factory=dict)
    id: str = ""


class ScriptedError(Struct, forbid_unknown_fields=True):
    kind: str = "unavailable"
    message: str = "the script says so."
    status: int | None = None
    retry_after: float | None = None


class Reply(Struct, forbid_unknown_fields=True):
    """One answer; see the module's text for each field."""

    text: str | list[str] = ""
    thinking: str | list[str] = ""
    calls: list[ScriptedCall] = msgspec.field(default_factory=list)
    usage: Usage = Usage(input=10, output=5)
    served: str = ""
    stop: StopReason | None = None
    piece: int = 8
    first_delay_s: float = 0.0
    delay_s: float = 0.0
    error: ScriptedError | None = None
    cut: bool = False
    hang: bool = False
    repeat: bool = False
    when: str = ""
    model: str = ""
    agent: str = ""


class Group(Struct, forbid_unknown_fields=True):
    """Replies for some callers; see the module's text for each field."""

    replies: list[Reply]
    each: bool = False
    when: str = ""
    model: str = ""
    agent: str = ""


Answer = Reply | str | dict[str, Any]
Step = Answer | Group | Callable[[ModelRequest], Answer | Awaitable[Answer]]
"""What a script in Python is made of. A function is given the request, may be async (so that a test can hold an answer back), and is used once."""


class ScriptedProvider:
    """Plays a script. `requests` holds every request, in order of arrival."""

    def __init__(self, steps: ProviderSpec | Iterable[Step], name: str = "scripted") -> None:
        """From steps, or from a provider's declaration, whose script is read at once.

        Raises:
            ConfigError: the script cannot be read.
        """
        self.requests: list[ModelRequest] = []
        self._calls = 0
        if isinstance(steps, ProviderSpec):
            self.name = steps.name
            found: list[Any] = _load(steps)
        else:
            self.name = name
            found = [_entry(step) for step in steps]
        self._groups: list[Group] = [entry for entry in found if isinstance(entry, Group)]
        self._replies: list[Any] = [entry for entry in found if not isinstance(entry, Group)]

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        """The parts of the next reply that fits.

        Raises:
            ProviderError: nothing else.
        """
        self.requests.append(request)
        reply = await self._next(request)
        began = asyncio.get_running_loop().time()
        for number, part in enumerate(self._parts(reply, request)):
            await self._pause(reply.first_delay_s * (not number) + reply.delay_s, request, number)
            yield part
        if reply.hang:
            await self._hang(request, began, answered=bool(reply.text or reply.thinking or reply.calls))
        if reply.error is not None:
            raise self._error(reply.error)
        if reply.cut:
            raise StreamBroken(f"{self.name}: the answer stopped before it was complete.", provider=self.name, hint="Try again.")
        yield UsagePart(reply.usage)
        yield StopPart(reply.stop or ("tool_calls" if reply.calls else "end"))

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _next(self, request: ModelRequest) -> Reply:
        for group in self._groups:
            if _fits(group, request, _said_by_people(request)) and (reply := _of_group(group, request)) is not None:
                return reply
        for index, step in enumerate(self._replies):
            if not isinstance(step, Reply):
                del self._replies[index]
                answer = step(request)
                return _reply(await answer if inspect.isawaitable(answer) else answer)
            if _fits(step, request, _last_text(request)):
                if not step.repeat:
                    del self._replies[index]
                return step
        raise self._exhausted(request)

    def _parts(self, reply: Reply, request: ModelRequest) -> list[StreamPart]:
        parts: list[StreamPart] = [ServedPart(reply.served or request.model.id)]
        parts += [ThinkingPart(piece) for piece in _pieces(reply.thinking, reply.piece)]
        parts += [TextPart(piece) for piece in _pieces(reply.text, reply.piece)]
        answers = sum(isinstance(message, AssistantMessage) for message in request.messages)
        for index, call in enumerate(reply.calls):
            self._calls += 1
            text = call.arguments if isinstance(call.arguments, str) else msgspec.json.encode(call.arguments).decode()
            first, *rest = _pieces(text, reply.piece) or [""]
            parts.append(CallPart(index, call.id or f"call_{answers + 1}_{self._calls}", call.name, first))
            parts += [CallPart(index, arguments=piece) for piece in rest]
        return parts

    async def _pause(self, seconds: float, request: ModelRequest, number: int) -> None:
        limit = request.idle_s if number else request.first_byte_s
        await asyncio.sleep(min(seconds, limit))
        if seconds > limit:
            raise self._late(limit)

    async def _hang(self, request: ModelRequest, began: float, *, answered: bool) -> None:
        limit = request.idle_s if answered else request.first_byte_s
        left = began + request.total_s - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, min(limit, left)))
        raise self._late(limit)

    def _late(self, seconds: float) -> ProviderError:
        return Unavailable(f"{self.name}: nothing came for {seconds:g} s.", provider=self.name, hint="The script says so.")

    def _error(self, said: ScriptedError) -> ProviderError:
        kind = ERRORS.get(said.kind)
        if kind is None:
            return RequestRejected(f"{self.name}: the script names an unknown error '{said.kind}'; known: {', '.join(ERRORS)}.", provider=self.name)
        return kind(f"{self.name}: {said.message}", provider=self.name, status=said.status, retry_after=said.retry_after)

    def _exhausted(self, request: ModelRequest) -> ProviderError:
        asked = _last_text(request)
        who = f", asked by {request.agent_id}" if request.agent_id else ""
        left = f" {len(self._replies)} replies are left that wait for something else." if self._replies else ""
        return RequestRejected(
            f"{self.name}: the script has no reply for call {len(self.requests)} ({request.model.id}{who}: '{asked[:60]}').{left}",
            provider=self.name,
            hint="Add a reply to the script.",
        )


def _load(spec: ProviderSpec) -> list[Reply | Group]:
    if not spec.script:
        raise ConfigError(f"provider '{spec.name}' has no script.", hint=f'Set script = "script.json" in providers "{spec.name}".')
    try:
        entries = msgspec.json.decode(Path(spec.script).read_bytes(), type=list[dict[str, Any]])
        return [_converted(entry) for entry in entries]
    except OSError as error:
        raise ConfigError(f"the script cannot be read: {error.strerror}.", file=spec.script) from error
    except ValueError as error:
        raise ConfigError(f"the script is not right: {error}.", file=spec.script) from error


def _converted(entry: dict[str, Any]) -> Reply | Group:
    return msgspec.convert(entry, Group) if "replies" in entry else msgspec.convert(entry, Reply)


def _entry(step: Step) -> Any:
    if isinstance(step, Reply | Group):
        return step
    if isinstance(step, str):
        return Reply(step)
    return _converted(step) if isinstance(step, dict) else step


def _reply(answer: Answer) -> Reply:
    entry = _entry(answer)
    if not isinstance(entry, Reply):
        raise TypeError(f"a step of a script must give a reply, not {type(answer).__name__}")
    return entry


def _of_group(group: Group, request: ModelRequest) -> Reply | None:
    """The group's next reply; None where it is used up."""
    if group.each:
        number = sum(isinstance(message, AssistantMessage) for message in request.messages)
        reply = group.replies[min(number, len(group.replies) - 1)] if group.replies else None
        return reply if reply is not None and (number < len(group.replies) or reply.repeat) else None
    for index, reply in enumerate(group.replies):
        if _fits(reply, request, _last_text(request)):
            if not reply.repeat:
                del group.replies[index]
            return reply
    return None


def _fits(entry: Reply | Group, request: ModelRequest, text: str) -> bool:
    model = request.model
    if entry.model and entry.model not in (model.id, f"{model.provider}/{model.id}"):
        return False
    last = request.agent_id.rsplit("/", 1)[-1]
    if entry.agent and entry.agent not in (request.agent_id, last, re.sub(r"-\d+$", "", last)):
        return False
    return entry.when in text


def _last_text(request: ModelRequest) -> str:
    for message in reversed(request.messages):
        if isinstance(message, UserMessage):
            return message.text()
        if isinstance(message, ToolMessage):
            return "\n".join(result.text() for result in message.results)
    return ""


def _said_by_people(request: ModelRequest) -> str:
    return "\n".join(message.text() for message in request.messages if isinstance(message, UserMessage))


def _pieces(text: str | list[str], size: int) -> list[str]:
    if isinstance(text, list):
        return text
    return [text[at : at + max(1, size)] for at in range(0, len(text), max(1, size))]

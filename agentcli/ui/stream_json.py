"""Envelopes folded into the lines of `--output-format stream-json`: the schema that scripts of Claude Code's format read, with our
`seq`, `agent_id` and `model` beside its fields. Pure: envelope in, plain objects out; nothing is written here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    AgentState,
    ArgumentsDelta,
    CallStarted,
    Compacted,
    Envelope,
    Failure,
    FellBack,
    ModeChanged,
    ModelChanged,
    Notice,
    PermissionMode,
    Replied,
    RetryScheduled,
    RunFinished,
    SessionStarted,
    StateChanged,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    UserSubmitted,
)
from agentcli.protocol.messages import AssistantMessage, Image, Text, Thinking, ToolCall
from agentcli.protocol.models import ModelUse
from agentcli.sdk.tally import MAIN, AgentTally, Tally
from agentcli.ui.partial import Partial
from agentcli.ui.result import error_fields, model_fields, stop_reason, tool_input, usage_fields

Line = dict[str, Any]
"""One line, before it is encoded."""

NAMESPACE = uuid.UUID("6f1c5b1e-7a38-5d0c-9a55-0d5e2f9f7c11")
"""Of the ids of lines: the same stored session gives the same ids again."""


class StreamJson:
    """One stream. `tally` must have been fed the envelope before `lines` is asked for it."""

    def __init__(self, tally: Tally, *, include_partial: bool = False) -> None:
        self.tally = tally
        self._partial = Partial() if include_partial else None
        self._calls: dict[str, int] = {}
        self._broken: dict[str, Envelope] = {}

    def lines(self, envelope: Envelope) -> Iterator[Line]:
        """What one envelope comes to: none, one or several lines."""
        for number, line in enumerate(self._lines(envelope)):
            yield self._signed(line, envelope, number)

    def _signed(self, line: Line, envelope: Envelope, number: int) -> Line:
        line["session_id"] = envelope.session_id
        line["uuid"] = line_uuid(envelope.session_id, envelope.seq, number)
        line["seq"] = envelope.seq
        line["agent_id"] = envelope.agent_id
        return line

    def _lines(self, envelope: Envelope) -> Iterator[Line]:
        agent = self.tally.agent(envelope.agent_id)
        match envelope.event:
            case TextDelta() | ThinkingDelta() | ArgumentsDelta() as delta:
                yield from self._delta(envelope, delta)
            case CallStarted():
                self._calls[agent.id] = envelope.seq
                self._forget(agent.id)
            case Replied() as event:
                yield from self._replied(envelope, event)
            case ToolStarted(name=name, title=title) if agent.id != MAIN:
                yield task_progress(agent, f"{name} {title}".strip(), envelope.at)
            case ToolFinished() as event:
                yield from tool_finished(agent, event)
            case UserSubmitted() as event:
                yield from user_submitted(agent, event)
            case RunFinished():
                if broken := self._broken.pop(agent.id, None):
                    yield self._assistant(broken)
            case AgentSpawned() as event:
                yield task_started(agent, event)
            case StateChanged(state=state, detail=detail) if agent.id != MAIN:
                yield task_updated(agent, state, detail)
            case AgentFinished() as event:
                yield task_notification(agent, event)
            case event:
                yield from system_lines(event, agent)

    def _delta(self, envelope: Envelope, delta: TextDelta | ThinkingDelta | ArgumentsDelta) -> Iterator[Line]:
        if self._partial is None:
            return
        agent = self.tally.agent(envelope.agent_id)
        for event in self._partial.delta(agent.id, self._message_id(envelope), resolved(agent.model), delta):
            yield self._stream_event(agent, event)

    def _replied(self, envelope: Envelope, event: Replied) -> Iterator[Line]:
        """An answer that broke off is held back until it is known whether another attempt replaces it."""
        agent = self.tally.agent(envelope.agent_id)
        if event.failure is not None:
            if event.message.content:
                self._broken[agent.id] = envelope
            return
        if not event.message.content:
            return
        if self._partial is not None:
            for part in self._partial.replied(agent.id, self._message_id(envelope), event):
                yield self._stream_event(agent, part)
        yield self._assistant(envelope)

    def _forget(self, agent_id: str) -> None:
        self._broken.pop(agent_id, None)
        if self._partial is not None:
            self._partial.drop(agent_id)

    def _assistant(self, envelope: Envelope) -> Line:
        agent, event = self.tally.agent(envelope.agent_id), envelope.event
        assert isinstance(event, Replied)
        line = {
            "type": "assistant",
            "message": {
                "id": self._message_id(envelope),
                "type": "message",
                "role": "assistant",
                "model": event.model.resolved,
                "content": blocks_of(event.message),
                "stop_reason": stop_reason(event.message.stop),
                "stop_sequence": None,
                "usage": usage_fields(event.usage),
            },
            "parent_tool_use_id": parent_of(agent),
            "model": model_fields(event.model),
            "cost_usd": event.cost_usd,
            "duration_ms": event.duration_ms,
        }
        if event.failure is not None:
            line["error"] = error_word(event.failure)
        return line

    def _stream_event(self, agent: AgentTally, event: Line) -> Line:
        return {"type": "stream_event", "event": event, "parent_tool_use_id": parent_of(agent)}

    def _message_id(self, envelope: Envelope) -> str:
        """The same for all pieces of one attempt at one call: named by where that began."""
        return f"msg_{self._calls.get(envelope.agent_id, envelope.seq)}"


def line_uuid(session_id: str, seq: int, number: int) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{session_id}/{seq}/{number}"))


def resolved(use: ModelUse | None) -> str:
    return use.resolved if use else ""


def parent_of(agent: AgentTally) -> str | None:
    """The call that started the worker. One that no call started has its own id there: only null means the main agent."""
    return None if agent.id == MAIN else agent.call_id or agent.id


# --- messages ---


def blocks_of(message: AssistantMessage) -> list[Line]:
    return [block_of(part) for part in message.content]


def block_of(part: Text | Thinking | ToolCall) -> Line:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Thinking(redacted=True, opaque=opaque):
            return {"type": "redacted_thinking", "data": opaque}
        case Thinking(text=text, opaque=opaque, wire=wire):
            return {"type": "thinking", "thinking": text, "signature": opaque if wire == "anthropic" else ""}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_use", "id": call_id, "name": name, "input": tool_input(arguments)}


def content_of(parts: tuple[Text | Image, ...]) -> str | list[Line]:
    """One text as it is, anything else as blocks."""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [image_or_text(part) for part in parts]


def image_or_text(part: Text | Image) -> Line:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}


def tool_finished(agent: AgentTally, event: ToolFinished) -> Iterator[Line]:
    result = event.result
    if event.denied:
        yield {
            "type": "system",
            "subtype": "permission_denied",
            "tool_name": result.name,
            "tool_use_id": result.call_id,
            "message": result.text(),
        }
    block = {"type": "tool_result", "tool_use_id": result.call_id, "content": content_of(result.content), "is_error": result.is_error}
    line: Line = {"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": parent_of(agent)}
    if event.data is not None:
        line["tool_use_result"] = event.data
    line["duration_ms"] = event.duration_ms
    yield line


def user_submitted(agent: AgentTally, event: UserSubmitted) -> Iterator[Line]:
    """What a script did not send itself: a worker's task, a background result, a notice of ours. The format does not echo prompts."""
    if event.message.origin in ("person", "stdin"):
        return
    content = content_of(event.message.content)
    yield {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": parent_of(agent),
        "isSynthetic": True,
        "message_origin": event.message.origin,
    }


# --- workers ---


def task_started(agent: AgentTally, event: AgentSpawned) -> Line:
    return {
        **task(agent, "task_started"),
        "description": event.label or event.name,
        "subagent_type": event.agent,
        "task_type": "local_agent",
        "prompt": event.prompt,
        "is_backgrounded": event.background,
        "spawn_depth": agent.id.count("/"),
        "model": model_fields(event.model),
        "note": event.note,
    }


def task_progress(agent: AgentTally, doing: str, at: float) -> Line:
    return {
        **task(agent, "task_progress"),
        "description": doing,
        "subagent_type": agent.agent,
        "last_tool_name": agent.last_tool,
        "usage": task_usage(agent, round((at - agent.started_at) * 1000)),
        "model": model_fields(agent.model),
    }


def task_updated(agent: AgentTally, state: AgentState, detail: str) -> Line:
    patch = {"status": task_status(state), "is_backgrounded": agent.background}
    return {**task(agent, "task_updated"), "patch": patch, "state": state, "detail": detail, "model": model_fields(agent.model)}


def task_notification(agent: AgentTally, event: AgentFinished) -> Line:
    return {
        **task(agent, "task_notification"),
        "status": "stopped" if event.status == "cancelled" else event.status,
        "output_file": "",
        "summary": event.text or (event.failure.line() if event.failure else ""),
        "usage": task_usage(agent, event.duration_ms),
        "model": model_fields(agent.model),
        "fallbacks": agent.fallbacks,
        "cost_usd": agent.cost_usd,
        "turns": agent.turns,
        "error": error_fields(event.failure),
        "branch": event.branch or None,
    }


def task(agent: AgentTally, subtype: str) -> Line:
    line: Line = {"type": "system", "subtype": subtype, "task_id": agent.id}
    if agent.call_id:
        line["tool_use_id"] = agent.call_id
    return line


def task_usage(agent: AgentTally, duration_ms: int) -> Line:
    return {"total_tokens": agent.usage.total, "tool_uses": agent.tool_calls, "duration_ms": max(0, duration_ms)}


def task_status(state: AgentState) -> str:
    """The format's word. A worker that waits for a permission is running to it; `state` says more."""
    match state:
        case "queued":
            return "pending"
        case "running" | "waiting":
            return "running"
        case "cancelled":
            return "killed"
        case "paused" | "completed" | "failed" as same:
            return same


# --- the session ---


def system_lines(event: object, agent: AgentTally) -> Iterator[Line]:
    """Events that have a system line of their own; others have none."""
    match event:
        case SessionStarted() if agent.id == MAIN:
            yield init(event)
        case RetryScheduled():
            yield api_retry(event)
        case FellBack():
            yield {
                "type": "system",
                "subtype": "model_fallback",
                "original_model": event.left,
                "fallback_model": event.model.resolved,
                "content": event.failure.line(),
                "model": model_fields(event.model),
                "error": error_fields(event.failure),
            }
        case ModelChanged():
            yield {"type": "system", "subtype": "model_changed", "model": model_fields(event.model), "content": event.note}
        case ModeChanged():
            yield {"type": "system", "subtype": "status", "status": None, "permissionMode": mode_word(event.mode)}
        case Compacted():
            trigger = "manual" if event.trigger == "manual" else "auto"
            metadata = {"trigger": trigger, "pre_tokens": event.tokens_before, "post_tokens": event.tokens_after}
            yield {"type": "system", "subtype": "compact_boundary", "compact_metadata": metadata}
        case Notice():
            level = "info" if event.level == "info" else "warning"
            yield {"type": "system", "subtype": "informational", "content": event.text, "level": level}
        case _:
            return


def init(event: SessionStarted) -> Line:
    return {
        "type": "system",
        "subtype": "init",
        "cwd": event.cwd,
        "tools": event.tools,
        "mcp_servers": [],
        "model": event.model.resolved,
        "permissionMode": mode_word(event.permission_mode),
        "slash_commands": [],
        "apiKeySource": "none",
        "claude_code_version": event.version,
        "agentcli_version": event.version,
        "output_style": "default",
        "agents": event.agents,
        "skills": [],
        "plugins": [],
        "resumed": event.resumed,
        "model_use": model_fields(event.model),
    }


def api_retry(event: RetryScheduled) -> Line:
    return {
        "type": "system",
        "subtype": "api_retry",
        "attempt": event.attempt,
        "max_retries": event.limit,
        "retry_delay_ms": round(event.delay_s * 1000),
        "error_status": event.failure.status,
        "error": error_word(event.failure),
        "content": event.failure.line(),
    }


def error_word(failure: Failure) -> str:
    match failure.kind:
        case "authentication":
            return "authentication_failed"
        case "rate_limit":
            return "rate_limit"
        case "unavailable" | "stream_broken" | "invalid_response":
            return "server_error"
        case "request_rejected" | "context_overflow":
            return "invalid_request"
        case _:
            return "unknown"


def mode_word(mode: PermissionMode) -> str:
    match mode:
        case "accept-edits":
            return "acceptEdits"
        case "bypass":
            return "bypassPermissions"
        case "default" | "plan" | "auto" as same:
            return same

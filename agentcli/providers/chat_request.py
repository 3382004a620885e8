"""What we send on the openai-chat wire: a request as its JSON body. Pure; the history comes in valid (each result has its call)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from agentcli.protocol.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, UserMessage
from agentcli.protocol.models import Quirks
from agentcli.providers.base import ModelRequest, ToolSpec
from agentcli.providers.schemas import fits_strict, flat
from agentcli.providers.translate import arguments_text, described, digest, encode, fitting_id, put, result_text, schema_allowed, with_extra

__all__ = ["encode", "to_wire"]

WIRE = "openai-chat"
CALL_ID = re.compile(r"(?s).{1,40}")
"""Ids of tool calls that OpenAI accepts: of 40 characters at most."""
NINE = re.compile(r"[A-Za-z0-9]{9}")


def to_wire(request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    """The request's body. Keys come in one order always, so that equal requests are equal bytes."""
    model = request.model
    body: dict[str, Any] = {"model": model.sent_as or model.id, "messages": _messages(request, quirks)}
    if request.tools:
        body["tools"] = [_tool(tool, quirks) for tool in request.tools]
        if quirks.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = quirks.parallel_tool_calls
    if request.schema is not None and schema_allowed(request, quirks):
        schema = {"name": "answer", "strict": fits_strict(request.schema), "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.max_tokens is not None:
        body[quirks.max_tokens_field] = request.max_tokens
    if request.effort and quirks.effort_field:
        put(body, quirks.effort_field, request.effort)
    body["stream"] = True
    if quirks.stream_usage:
        body["stream_options"] = {"include_usage": True}
    return with_extra(body, quirks.extra_body)


def _tool(tool: ToolSpec, quirks: Quirks) -> dict[str, Any]:
    parameters = flat(tool.parameters) if quirks.tool_schema == "flat" else tool.parameters
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": parameters}}


def _messages(request: ModelRequest, quirks: Quirks) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    if request.system:
        out.append({"role": quirks.system_role, "content": request.system})
    for message in request.messages:
        _add(out, message, request.model.image_input, quirks)
    for entry in out:
        if entry["role"] == "user":
            entry["content"] = _plain_where_only_text(entry["content"])
    return out


def _add(out: list[dict[str, Any]], message: Message, sees: bool, quirks: Quirks) -> None:
    match message:
        case UserMessage(content=content):
            _add_user(out, [part for item in content if (part := _user_part(item, sees)) is not None])
        case AssistantMessage():
            _add_assistant(out, message, quirks)
        case ToolMessage(results=results):
            out.extend(_result(result, quirks) for result in results)


def _add_user(out: list[dict[str, Any]], parts: list[dict[str, Any]]) -> None:
    if not parts:
        return
    if out and out[-1]["role"] == "user":
        out[-1]["content"].extend(parts)
    else:
        out.append({"role": "user", "content": parts})


def _user_part(part: Text | Image, sees: bool) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text} if part.text else None
    if sees:
        return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{part.data}"}}
    return {"type": "text", "text": described(part)}


def _plain_where_only_text(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if any(part["type"] != "text" for part in parts):
        return parts
    return "\n\n".join(part["text"] for part in parts)


def _add_assistant(out: list[dict[str, Any]], message: AssistantMessage, quirks: Quirks) -> None:
    text = message.text()
    calls = [_call(call, quirks) for call in message.calls()]
    if not text and not calls:
        return
    last = out[-1] if out else {}
    if last.get("role") == "assistant" and "tool_calls" not in last:
        entry = last
        entry["content"] = f"{last['content']}\n\n{text}" if text else last["content"]
    else:
        entry = {"role": "assistant", "content": text or None}
        out.append(entry)
    if quirks.echo_reasoning and quirks.reasoning_fields:
        thinking = "".join(part.text for part in message.content if isinstance(part, Thinking) and part.wire in ("", WIRE))
        if thinking or calls:
            entry[quirks.reasoning_fields[0]] = thinking
    if calls:
        entry["tool_calls"] = calls


def _call(call: ToolCall, quirks: Quirks) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": _call_id(call.id, quirks),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments_text(call.arguments)},
    }
    if call.opaque and call.wire == WIRE:
        entry["extra_content"] = msgspec.Raw(call.opaque.encode())
    return entry


def _call_id(name: str, quirks: Quirks) -> str:
    """Ids of other wires, and of services with other rules, are translated; the same id always to the same."""
    if quirks.call_ids == "nine":
        return name if NINE.fullmatch(name) else digest(name)[:9]
    return fitting_id(name, CALL_ID, "call_")


def _result(result: ToolResult, quirks: Quirks) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": _call_id(result.call_id, quirks), "content": result_text(result)}

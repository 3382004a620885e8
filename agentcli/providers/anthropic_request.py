"""What we send on the anthropic wire: a request as its JSON body. Pure; the history comes in valid (each result has its call)."""

from __future__ import annotations

import re
from typing import Any

from agentcli.protocol.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, UserMessage
from agentcli.protocol.models import ModelSpec, Quirks
from agentcli.providers.base import ModelRequest, ToolSpec
from agentcli.providers.schemas import closed, flat
from agentcli.providers.translate import NO_OUTPUT, arguments_object, budget, described, fitting_id, opened, schema_allowed, with_extra

WIRE = "anthropic"
MAX_TOKENS = 32_000
"""The wire demands a bound of the answer. No model since Claude 4 allows fewer; a model that does declares its own."""
LEAST_BUDGET = 1_024
"""The fewest thinking tokens that the service takes."""
CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
RECENT = 2
"""How many of the last user turns are marked for the cache. With the tools and the system prompt that makes four marks, which is the most."""


def to_wire(request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    """The request's body. Keys come in one order always, so that equal requests are equal bytes."""
    model = request.model
    most = request.max_tokens or model.output or MAX_TOKENS
    body: dict[str, Any] = {"model": model.sent_as or model.id, "max_tokens": most}
    if request.system.strip():
        body["system"] = [_marked({"type": "text", "text": request.system})]
    if request.tools:
        body["tools"] = [_tool(tool, quirks) for tool in request.tools]
        _marked(body["tools"][-1])
        if quirks.parallel_tool_calls is False:
            body["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
    body["messages"] = _messages(request, quirks)
    body |= _effort(request, quirks, most)
    if request.schema is not None and schema_allowed(request, quirks) and (schema := closed(request.schema)) is not None:
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
    body["stream"] = True
    return with_extra(body, quirks.extra_body)


def continued(body: dict[str, Any], message: AssistantMessage, request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    """The same request after a pause: the service goes on from the answer so far."""
    messages, content = list(body["messages"]), _assistant(message, request.model, quirks)
    if messages[-1]["role"] == "assistant":  # paused before
        content = [*messages.pop()["content"], *content]
    return {**body, "messages": [*messages, {"role": "assistant", "content": content}]} if content else body


def _marked(block: dict[str, Any]) -> dict[str, Any]:
    """The block as the end of a prefix that is worth keeping in the service's cache."""
    block["cache_control"] = {"type": "ephemeral"}
    return block


def _tool(tool: ToolSpec, quirks: Quirks) -> dict[str, Any]:
    parameters = flat(tool.parameters) if quirks.tool_schema == "flat" else tool.parameters
    return {"name": tool.name, "description": tool.description, "input_schema": parameters}


def _effort(request: ModelRequest, quirks: Quirks, most: int) -> dict[str, Any]:
    """How much to think. A model that declares no levels is asked for nothing: what it does by itself, and takes, is not known."""
    if not request.model.effort:
        return {}
    if request.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if quirks.effort_as == "budget":
        tokens = budget(request.effort, most) if request.effort else 0
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}} if tokens >= LEAST_BUDGET else {}
    # Newer models leave the text of their thinking out unless asked for it.
    thinking: dict[str, Any] = {"type": "adaptive", "display": "summarized"}
    if quirks.bound_thinking:
        thinking["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
    return {"thinking": thinking} | ({"output_config": {"effort": request.effort}} if request.effort else {})


# --- messages ---


def _messages(request: ModelRequest, quirks: Quirks) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for message in request.messages:
        _add(out, message, request.model, quirks)
    if not out or out[0]["role"] != "user":
        out.insert(0, _said("(no text)"))
    if out[-1]["role"] != "user":
        out.append(_said("Go on."))
    turns = [entry for entry in out if entry["role"] == "user"]
    for entry in turns[-RECENT:]:
        _marked(entry["content"][-1])
    return out


def _said(text: str) -> dict[str, Any]:
    """A turn where the wire demands one: the first and the last are the user's."""
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _add(out: list[dict[str, Any]], message: Message, model: ModelSpec, quirks: Quirks) -> None:
    match message:
        case UserMessage(content=content):
            role, blocks = "user", _content(content, model)
        case ToolMessage(results=results):
            role, blocks = "user", [_result(result, model) for result in results]
        case AssistantMessage():
            role, blocks = "assistant", _assistant(message, model, quirks)
    if not blocks:
        return
    if out and out[-1]["role"] == role:
        out[-1]["content"].extend(blocks)
    else:
        out.append({"role": role, "content": blocks})


def _content(content: tuple[Text | Image, ...], model: ModelSpec) -> list[dict[str, Any]]:
    return [block for part in content if (block := _block(part, model)) is not None]


def _block(part: Text | Image, model: ModelSpec) -> dict[str, Any] | None:
    """Text of white space alone is refused, and so is left out."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text} if part.text.strip() else None
    if model.image_input and part.media_type in IMAGES:
        return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}
    return {"type": "text", "text": described(part)}


def _result(result: ToolResult, model: ModelSpec) -> dict[str, Any]:
    content = _content(result.content, model) or [{"type": "text", "text": NO_OUTPUT}]
    block = {"type": "tool_result", "tool_use_id": fitting_id(result.call_id, CALL_ID, "toolu_"), "content": content}
    return {**block, "is_error": True} if result.is_error else block


def _assistant(message: AssistantMessage, model: ModelSpec, quirks: Quirks) -> list[dict[str, Any]]:
    """An answer's blocks in their order. Thinking at the end, of an answer that was cut, is left out: the service refuses it there."""
    blocks = [block for part in message.content if (block := _answered(part, model, quirks)) is not None]
    while blocks and blocks[-1]["type"].endswith("thinking"):
        blocks.pop()
    return blocks


def _answered(part: Text | Thinking | ToolCall, model: ModelSpec, quirks: Quirks) -> dict[str, Any] | None:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text} if text.strip() else None
        case ToolCall(id=name):
            return {"type": "tool_use", "id": fitting_id(name, CALL_ID, "toolu_"), "name": part.name, "input": arguments_object(part.arguments)}
        case Thinking():
            return _thinking(part, model, quirks)


def _thinking(part: Thinking, model: ModelSpec, quirks: Quirks) -> dict[str, Any] | None:
    """Thinking goes back to the model that signed it; unsigned, only where the service wants that."""
    if part.wire != WIRE:
        return None
    signature = opened(model, part.opaque)
    if part.redacted:
        return {"type": "redacted_thinking", "data": signature} if signature else None
    if signature or (quirks.echo_reasoning and not part.opaque):
        return {"type": "thinking", "thinking": part.text, "signature": signature}
    return None

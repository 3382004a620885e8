"""What we send on the openai-responses wire: a request as its JSON body. Pure; the history comes in valid (each result has its call)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from agentcli.protocol.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, UserMessage
from agentcli.protocol.models import ModelSpec, Quirks
from agentcli.providers.base import ModelRequest, ToolSpec
from agentcli.providers.schemas import fits_strict, flat
from agentcli.providers.translate import arguments_text, described, fitting_id, in_words, opened, result_text, schema_allowed, with_extra

WIRE = "openai-responses"
CALL_ID = re.compile(r"(?s).{1,64}")
"""Ids of calls that the service accepts: of 64 characters at most."""
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
ENCRYPTED = "reasoning.encrypted_content"


def to_wire(request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    """The request's body. Keys come in one order always, so that equal requests are equal bytes. Nothing is stored with the service: what it
    reasoned comes back encrypted and goes out again with the history."""
    model = request.model
    body: dict[str, Any] = {"model": model.sent_as or model.id}
    if request.system:
        body["instructions"] = request.system
    body["input"] = _input(request, quirks)
    if request.tools:
        body["tools"] = [_tool(tool, quirks) for tool in request.tools]
        if quirks.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = quirks.parallel_tool_calls
    if request.schema is not None and schema_allowed(request, quirks):
        schema = {"type": "json_schema", "name": "answer", "strict": fits_strict(request.schema), "schema": request.schema}
        body["text"] = {"format": schema}
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    body |= _reasoning(request, quirks)
    body["store"] = False
    body["stream"] = True
    return with_extra(body, quirks.extra_body)


def without_summary(body: dict[str, Any]) -> dict[str, Any]:
    """The same request without asking for a summary of the reasoning."""
    reasoning = {key: value for key, value in body.get("reasoning", {}).items() if key != "summary"}
    rest = {key: value for key, value in body.items() if key != "reasoning"}
    return {**rest, "reasoning": reasoning} if reasoning else rest


def _reasoning(request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    """Models that do not reason refuse these fields, so one that declares no levels is sent none."""
    if not request.model.effort:
        return {}
    reasoning: dict[str, Any] = {"effort": request.effort} if request.effort else {}
    if quirks.reasoning_summary and request.effort != "none":
        reasoning["summary"] = quirks.reasoning_summary
    return {"reasoning": reasoning, "include": [ENCRYPTED]} if reasoning else {"include": [ENCRYPTED]}


def _tool(tool: ToolSpec, quirks: Quirks) -> dict[str, Any]:
    """Without `strict: false` the service would rewrite the schema so that every argument is required."""
    parameters = flat(tool.parameters) if quirks.tool_schema == "flat" else tool.parameters
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": parameters, "strict": False}


# --- the history ---


def _input(request: ModelRequest, quirks: Quirks) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for message in request.messages:
        _add(out, message, request.model, quirks)
    return out


def _add(out: list[dict[str, Any]], message: Message, model: ModelSpec, quirks: Quirks) -> None:
    match message:
        case UserMessage(content=content):
            _add_user(out, [block for part in content if (block := _seen(part, model)) is not None])
        case AssistantMessage():
            out.extend(_answered(message, model, quirks))
        case ToolMessage(results=results):
            out.extend(_result(result, model) for result in results)


def _add_user(out: list[dict[str, Any]], content: list[dict[str, Any]]) -> None:
    if not content:
        return
    if out and out[-1].get("role") == "user":
        out[-1]["content"].extend(content)
    else:
        out.append({"type": "message", "role": "user", "content": content})


def _seen(part: Text | Image, model: ModelSpec) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text} if part.text else None
    if _is_shown(part, model):
        return {"type": "input_image", "image_url": f"data:{part.media_type};base64,{part.data}", "detail": "auto"}
    return {"type": "input_text", "text": described(part)}


def _is_shown(part: Text | Image, model: ModelSpec) -> bool:
    return isinstance(part, Image) and model.image_input and part.media_type in IMAGES


def _answered(message: AssistantMessage, model: ModelSpec, quirks: Quirks) -> list[dict[str, Any]]:
    """An answer's items in their order. Reasoning must be followed by what came of it: at the end of an answer that was cut it is left out."""
    items: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for number, part in enumerate(message.content):
        item = _item(part, model)
        if item is None:
            continue
        if isinstance(part, Thinking):
            waiting.append(item)
            continue
        if quirks.phases and isinstance(part, Text):
            item |= _phase(message, number)
        items += [*waiting, item]
        waiting = []
    return items


def _item(part: Text | Thinking | ToolCall, model: ModelSpec) -> dict[str, Any] | None:
    match part:
        case Text(text=text):
            content = [{"type": "output_text", "text": text, "annotations": []}]
            return {"type": "message", "role": "assistant", "content": content} if text else None
        case ToolCall(id=name):
            head = {"type": "function_call", "call_id": fitting_id(name, CALL_ID, "call_"), "name": part.name}
            return {**head, "arguments": arguments_text(part.arguments)}
        case Thinking(opaque=opaque):
            kept = opened(model, opaque) if part.wire == WIRE else ""
            item: dict[str, Any] | None = msgspec.json.decode(kept) if kept else None
            return item


def _phase(message: AssistantMessage, number: int) -> dict[str, Any]:
    """Text before a call was said on the way; the last text of a whole answer is the answer."""
    rest = message.content[number + 1 :]
    if any(isinstance(part, ToolCall) for part in rest):
        return {"phase": "commentary"}
    return {"phase": "final_answer"} if message.stop == "end" else {}


def _result(result: ToolResult, model: ModelSpec) -> dict[str, Any]:
    head = {"type": "function_call_output", "call_id": fitting_id(result.call_id, CALL_ID, "call_")}
    if not any(_is_shown(part, model) for part in result.content):
        return {**head, "output": result_text(result)}
    images = [block for part in result.content if _is_shown(part, model) and (block := _seen(part, model)) is not None]
    words = result_text(result, in_words(part for part in result.content if not _is_shown(part, model)))
    return {**head, "output": [{"type": "input_text", "text": words}, *images]}

"""What we send on the gemini wire: a request as its JSON body. Pure; the history comes in valid (each result has its call)."""

from __future__ import annotations

from typing import Any

from agentcli.protocol.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolMessage, ToolResult, UserMessage
from agentcli.protocol.models import ModelSpec, Quirks
from agentcli.providers.base import ModelRequest, ToolSpec
from agentcli.providers.schemas import GEMINI_KEYS, OPENAPI_KEYS, flat, reduced
from agentcli.providers.translate import NO_OUTPUT, arguments_object, budget, described, in_words, opened, schema_allowed, with_extra

WIRE = "gemini"
IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})


def to_wire(request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    """The request's body. Keys come in one order always, so that equal requests are equal bytes. The model's id is not in it, but in the URL."""
    body: dict[str, Any] = {}
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    body["contents"] = _contents(request, quirks)
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool, quirks) for tool in request.tools]}]
    if config := _config(request, quirks):
        body["generationConfig"] = config
    return with_extra(body, quirks.extra_body)


def _config(request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    if request.schema is not None and schema_allowed(request, quirks):
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = reduced(request.schema, GEMINI_KEYS)
    if request.model.effort:
        config["thinkingConfig"] = {**_level(request, quirks), "includeThoughts": True}
    return config


def _level(request: ModelRequest, quirks: Quirks) -> dict[str, Any]:
    """Gemini 3 and later know levels, Gemini 2.5 a number of tokens; both in one request are refused."""
    if not request.effort:
        return {}
    if quirks.effort_as == "budget":
        return {"thinkingBudget": budget(request.effort, request.max_tokens)}
    return {"thinkingLevel": request.effort.upper()}


def _tool(tool: ToolSpec, quirks: Quirks) -> dict[str, Any]:
    head = {"name": tool.name, "description": tool.description}
    if quirks.tool_schema == "flat":
        return {**head, "parameters": reduced(flat(tool.parameters), OPENAPI_KEYS)}
    return {**head, "parametersJsonSchema": reduced(tool.parameters, GEMINI_KEYS)}


# --- the history ---


def _contents(request: ModelRequest, quirks: Quirks) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for message in request.messages:
        _add(out, message, request.model, quirks)
    if not out or out[0]["role"] != "user":
        out.insert(0, {"role": "user", "parts": [{"text": "(no text)"}]})
    return out


def _add(out: list[dict[str, Any]], message: Message, model: ModelSpec, quirks: Quirks) -> None:
    match message:
        case UserMessage(content=content):
            role, parts = "user", [part for item in content if (part := _seen(item, model)) is not None]
        case ToolMessage(results=results):
            role, parts = "user", _results(results, model, quirks)
        case AssistantMessage():
            role, parts = "model", _answered(message, model, quirks)
    if not parts:
        return
    if out and out[-1]["role"] == role:
        out[-1]["parts"].extend(parts)
    else:
        out.append({"role": role, "parts": parts})


def _seen(item: Text | Image, model: ModelSpec) -> dict[str, Any] | None:
    if isinstance(item, Text):
        return {"text": item.text} if item.text else None
    return _image(item) if _is_shown(item, model) else {"text": described(item)}


def _is_shown(item: Text | Image, model: ModelSpec) -> bool:
    return isinstance(item, Image) and model.image_input and item.media_type in IMAGES


def _image(image: Image) -> dict[str, Any]:
    return {"inlineData": {"mimeType": image.media_type, "data": image.data}}


def _results(results: tuple[ToolResult, ...], model: ModelSpec, quirks: Quirks) -> list[dict[str, Any]]:
    """The responses, as many as there were calls and in their order; images come after them all."""
    images = [_image(item) for result in results for item in result.content if isinstance(item, Image) and _is_shown(item, model)]
    return [*(_result(result, model, quirks) for result in results), *images]


def _result(result: ToolResult, model: ModelSpec, quirks: Quirks) -> dict[str, Any]:
    text = in_words(item for item in result.content if not _is_shown(item, model))
    said = {"error" if result.is_error else "output": text if text.strip() else NO_OUTPUT}
    return {"functionResponse": {**_id(result.call_id, quirks), "name": result.name, "response": said}}


def _id(call_id: str, quirks: Quirks) -> dict[str, str]:
    return {"id": call_id} if call_id and quirks.call_ids != "none" else {}


def _answered(message: AssistantMessage, model: ModelSpec, quirks: Quirks) -> list[dict[str, Any]]:
    """An answer's parts in their order, each with the signature that came with it. What the model thought goes back in signatures alone."""
    parts: list[dict[str, Any]] = []
    for item in message.content:
        match item:
            case Text(text=text) if text:
                parts.append({"text": text})
            case ToolCall():
                first = not any("functionCall" in part for part in parts)
                parts.append(_call(item, model, quirks, first))
            case Thinking(opaque=opaque) if item.wire == WIRE and (signature := opened(model, opaque)):
                parts.append({"text": "", "thoughtSignature": signature})
    return parts if any(part.get("text") or "functionCall" in part for part in parts) else []


def _call(call: ToolCall, model: ModelSpec, quirks: Quirks, first: bool) -> dict[str, Any]:
    """Of calls made together only the first is signed. One that another model made has no signature that this one could read."""
    part: dict[str, Any] = {"functionCall": {**_id(call.id, quirks), "name": call.name, "args": arguments_object(call.arguments)}}
    signature = opened(model, call.opaque) if call.wire == WIRE else ""
    if not signature and first:
        signature = quirks.call_signature
    return {**part, "thoughtSignature": signature} if signature else part

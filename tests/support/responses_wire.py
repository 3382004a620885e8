"""The server's side of the openai-responses wire: answers as events, errors as OpenAI words them, and what every request must obey."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Answer, Captured, Failed

ENCRYPTED = "gAAAAABencrypted=="
REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Ours to the wire's reason for an incomplete response."""


class ResponsesWire:
    name = "openai-responses"

    def takes(self, request: Captured) -> bool:
        return request.path.partition("?")[0].endswith("/responses")

    def streams(self, request: Captured) -> bool:
        return bool(request.body.get("stream"))

    def events(self, answer: Answer, request: Captured) -> list[bytes]:
        model = answer.served or request.body["model"]
        head = {"id": "resp_1", "object": "response", "model": model, "status": "in_progress", "output": []}
        events = [("response.created", {"response": head}), ("response.in_progress", {"response": head})]
        items = _items(answer, request)
        for place, item in enumerate(items):
            events += _item_events(place, item, answer)
        if answer.finish:
            status = _status(answer)
            events.append((f"response.{status}", {"response": _response(answer, request, items)}))
        return [_event(kind, sequence_number=number, **fields) for number, (kind, fields) in enumerate(events)]

    def end_mark(self) -> bytes:
        return b""

    def document(self, answer: Answer, request: Captured) -> dict[str, Any]:
        response = _response(answer, request, _items(answer, request))
        return response if answer.finish else {**response, "status": "in_progress"}

    def error(self, failed: Failed) -> dict[str, Any]:
        return {"error": {"message": failed.message, "type": "test_error", "param": None, "code": failed.code or None}}

    def broke(self, message: str) -> bytes:
        return _event("error", code="server_error", message=message, param=None)

    def problems(self, body: Any) -> list[str]:
        return invariants(body)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}, ensure_ascii=False).encode())


def _items(answer: Answer, request: Captured) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if thinking := "".join(answer.pieces("thinking")):
        asked = "reasoning.encrypted_content" in request.body.get("include", ())
        summary = [{"type": "summary_text", "text": thinking}]
        items.append({"type": "reasoning", "id": "rs_1", "summary": summary, **({"encrypted_content": ENCRYPTED} if asked else {})})
    content: list[dict[str, Any]] = []
    if text := "".join(answer.pieces("text")):
        content.append({"type": "output_text", "text": text, "annotations": []})
    if answer.refusal:
        content.append({"type": "refusal", "refusal": answer.refusal})
    if content:
        items.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content})
    for number, call in enumerate(answer.calls):
        head = {"type": "function_call", "id": f"fc_{number}", "call_id": call.id or f"call_{number}", "status": "completed"}
        items.append({**head, "name": call.name, "arguments": call.text})
    return items


def _item_events(place: int, item: dict[str, Any], answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    at = {"output_index": place, "item_id": item["id"]}
    empty = {key: [] if isinstance(value, list) else "" if key in ("arguments", "encrypted_content") else value for key, value in item.items()}
    events: list[tuple[str, dict[str, Any]]] = [("response.output_item.added", {"output_index": place, "item": empty})]
    match item["type"]:
        case "reasoning":
            events.append(("response.reasoning_summary_part.added", {**at, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}))
            kind = "response.reasoning_summary_text.delta"
            events += [(kind, {**at, "summary_index": 0, "delta": piece}) for piece in answer.pieces("thinking")]
        case "message":
            kind = "response.output_text.delta"
            events += [(kind, {**at, "content_index": 0, "delta": piece}) for piece in answer.pieces("text")]
            if answer.refusal:
                events.append(("response.refusal.delta", {**at, "content_index": 0, "delta": answer.refusal}))
        case "function_call":
            call = answer.calls[int(item["id"].removeprefix("fc_"))]
            events += [("response.function_call_arguments.delta", {**at, "delta": piece}) for piece in call.cut()]
            events.append(("response.function_call_arguments.done", {**at, "arguments": call.text}))
    return [*events, ("response.output_item.done", {"output_index": place, "item": item})]


def _status(answer: Answer) -> str:
    return "incomplete" if answer.stop in REASONS or answer.stop not in ("", "end", "tool_calls", "refusal") else "completed"


def _response(answer: Answer, request: Captured, items: list[dict[str, Any]]) -> dict[str, Any]:
    status = _status(answer)
    reason = {"reason": REASONS.get(answer.stop, answer.stop)} if status == "incomplete" else None
    usage = answer.usage
    counts = usage and {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "model": answer.served or request.body["model"],
        "status": status,
        "error": None,
        "incomplete_details": reason,
        "output": items,
        "usage": counts,
    }


def invariants(body: Any) -> list[str]:
    """What is wrong with a request: storing asked for, a result without its call before it, a call without its result, reasoning that nothing
    follows or that is not encrypted, ids that are empty, too long or come again, empty content, arguments that are no JSON object, lax tools unsaid."""
    found: list[str] = []
    if body.get("store") is not False:
        found.append("the service would store the answer")
    if any(tool.get("strict") is not False for tool in body.get("tools", ())):
        found.append("a tool that the service would make strict")
    calls: list[str] = []
    made: set[str] = set()
    for number, item in enumerate(body.get("input", ())):
        place = f"item {number} ({item['type']})"
        match item["type"]:
            case "message":
                texts = [part.get("text", part.get("image_url")) for part in item["content"]]
                if not texts or not all(texts):
                    found.append(f"{place}: empty content")
            case "function_call":
                calls.append(item["call_id"])
                if item["call_id"] in made:
                    found.append(f"{place}: a second call with id {item['call_id']!r}")
                made.add(item["call_id"])
                if not 1 <= len(item["call_id"]) <= 64 or not isinstance(json.loads(item["arguments"]), dict):
                    found.append(f"{place}: id {item['call_id']!r}, arguments {item['arguments']}")
            case "function_call_output":
                if item["call_id"] not in calls:
                    found.append(f"{place}: a result without its call")
                else:
                    calls.remove(item["call_id"])
                if not item["output"]:
                    found.append(f"{place}: empty output")
            case "reasoning":
                after = body["input"][number + 1 : number + 2]
                if not after or after[0].get("role") == "user" or after[0]["type"] == "function_call_output":
                    found.append(f"{place}: reasoning that nothing follows")
                if not item.get("encrypted_content"):
                    found.append(f"{place}: reasoning that is not encrypted")
        if item["type"] == "message" and calls:
            found.append(f"{place}: calls without results before it: {calls}") if item["role"] == "user" else None
    if calls:
        found.append(f"calls without results at the end: {calls}")
    return found

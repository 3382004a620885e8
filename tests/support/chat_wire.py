"""The server's side of the openai-chat wire: answers as chunks, errors as OpenAI words them, and what every request must obey."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Answer, Captured, Failed

STOPS = {"end": "stop", "tool_calls": "tool_calls", "length": "length", "content_filter": "content_filter", "refusal": "stop"}
"""Ours to the wire's; any other word goes out as it is."""


class ChatWire:
    name = "openai-chat"

    def takes(self, request: Captured) -> bool:
        return request.path.partition("?")[0].endswith(("/chat/completions", "/models"))

    def streams(self, request: Captured) -> bool:
        return bool(request.body.get("stream"))

    def events(self, answer: Answer, request: Captured) -> list[bytes]:
        model = answer.served or request.body["model"]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning_content": piece} for piece in answer.pieces("thinking")]
        deltas += [{"content": piece} for piece in answer.pieces("text")]
        if answer.refusal:
            deltas.append({"refusal": answer.refusal})
        for index, call in enumerate(answer.calls):
            first, *rest = call.cut()
            head = {"index": index, "id": call.id or f"call_{index}", "type": "function"}
            deltas.append({"tool_calls": [{**head, "function": {"name": call.name, "arguments": first}}]})
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in rest]
        chunks = [_chunk(model, [{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
        if answer.finish:
            chunks.append(_chunk(model, [{"index": 0, "delta": {}, "finish_reason": _stop(answer)}]))
        if answer.usage is not None and request.body.get("stream_options", {}).get("include_usage"):
            chunks.append({**_chunk(model, []), "usage": _usage(answer)})
        return [b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode("utf-8", "backslashreplace") for chunk in chunks]

    def end_mark(self) -> bytes:
        return b"data: [DONE]\n\n"

    def document(self, answer: Answer, request: Captured) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.pieces("text")) or None, "refusal": answer.refusal or None}
        if answer.calls:
            message["tool_calls"] = [
                {"id": call.id or f"call_{index}", "type": "function", "function": {"name": call.name, "arguments": call.text}}
                for index, call in enumerate(answer.calls)
            ]
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": answer.served or request.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": _stop(answer) if answer.finish else None}],
            **({"usage": _usage(answer)} if answer.usage is not None else {}),
        }

    def error(self, failed: Failed) -> dict[str, Any]:
        return {"error": {"message": failed.message, "type": "test_error", "param": None, "code": failed.code or None}}

    def broke(self, message: str) -> bytes:
        return b"data: %b\n\n" % json.dumps({"error": {"message": message, "type": "overloaded_error"}}).encode()

    def problems(self, body: Any) -> list[str]:
        return invariants(body)


def _chunk(model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}


def _stop(answer: Answer) -> str:
    return STOPS.get(answer.stop, answer.stop) if answer.stop else "tool_calls" if answer.calls else "stop"


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    assert usage is not None
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def invariants(body: Any) -> list[str]:
    """What is wrong with a request: a result without its call, a call without its result, two user or assistant turns in a row, empty content,
    arguments that are no JSON object, ids that come again."""
    found: list[str] = []
    waiting: list[str] = []
    made: set[str] = set()
    before = ""
    for number, message in enumerate(body.get("messages", ())):
        role, place = message["role"], f"message {number} ({message['role']})"
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                found.append(f"{place}: a result without its call")
            else:
                waiting.remove(message["tool_call_id"])
        elif waiting:
            found.append(f"{place}: calls without results before it: {waiting}")
            waiting = []
        if role == before and role in ("user", "assistant"):
            found.append(f"{place}: two turns of one role in a row")
        if not message.get("content") and not message.get("tool_calls"):
            found.append(f"{place}: empty content")
        for call in message.get("tool_calls") or ():
            waiting.append(call["id"])
            if call["id"] in made:
                found.append(f"{place}: a second call with id {call['id']!r}")
            made.add(call["id"])
            if not _is_object(call["function"]["arguments"]):
                found.append(f"{place}: arguments that are no JSON object: {call['function']['arguments']}")
        before = role
    if waiting:
        found.append(f"calls without results at the end: {waiting}")
    return found


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False

"""The server's side of the anthropic wire: answers as events, errors as Anthropic words them, and what every request must obey."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Answer, Captured, Failed

STOPS = {"end": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal", "refusal": "refusal"}
"""Ours to the wire's; any other word goes out as it is."""
SIGNATURE = "c2lnbmVkIGJ5IHRoZSB0ZXN0IHNlcnZlcg=="
KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip
MOST_MARKS = 4
NOT_THE_USERS = "the first or the last turn is not the user's"
"""The one rule that a request after a pause may break: it ends with the answer so far."""


class AnthropicWire:
    name = "anthropic"

    def takes(self, request: Captured) -> bool:
        return request.path.partition("?")[0].endswith("/messages")

    def streams(self, request: Captured) -> bool:
        return bool(request.body.get("stream"))

    def events(self, answer: Answer, request: Captured) -> list[bytes]:
        usage = _usage(answer)
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": answer.served or request.body["model"], "content": []}
        events = [
            _event("message_start", message={**head, "stop_reason": None, **({"usage": {**usage, "output_tokens": 1}} if usage else {})}),
            _event("ping"),
        ]
        for index, (block, deltas) in enumerate(_blocks(answer)):
            events.append(_event("content_block_start", index=index, content_block=block))
            events += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
            events.append(_event("content_block_stop", index=index))
        if answer.finish:
            more = {"usage": {key: usage[key] for key in ("output_tokens", "output_tokens_details")}} if usage else {}
            events.append(_event("message_delta", delta={"stop_reason": _stop(answer), "stop_sequence": None}, **more))
        return events

    def end_mark(self) -> bytes:
        return _event("message_stop")

    def document(self, answer: Answer, request: Captured) -> dict[str, Any]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": answer.served or request.body["model"],
            "content": [_whole(block, deltas) for block, deltas in _blocks(answer)],
            "stop_reason": _stop(answer) if answer.finish else None,
            **({"usage": _usage(answer)} if answer.usage is not None else {}),
        }

    def error(self, failed: Failed) -> dict[str, Any]:
        kind = failed.code or KINDS.get(failed.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": failed.message}, "request_id": "req_1"}

    def broke(self, message: str) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": message})

    def problems(self, body: Any) -> list[str]:
        return invariants(body)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}, ensure_ascii=False).encode())


def _blocks(answer: Answer) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each content block, and the pieces that it comes in."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if pieces := answer.pieces("thinking"):
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, {"type": "signature_delta", "signature": SIGNATURE}]))
    if pieces := (*answer.pieces("text"), *([answer.refusal] if answer.refusal else [])):
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]))
    for number, call in enumerate(answer.calls):
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *call.cut())]
        blocks.append(({"type": "tool_use", "id": call.id or f"toolu_{number}", "name": call.name, "input": {}}, deltas))
    return blocks


def _whole(block: dict[str, Any], deltas: list[dict[str, Any]]) -> dict[str, Any]:
    whole = dict(block)
    for delta in deltas:
        for key in ("thinking", "signature", "text"):
            if key in delta:
                whole[key] += delta[key]
    if block["type"] == "tool_use":
        whole["input"] = json.loads("".join(delta["partial_json"] for delta in deltas))
    return whole


def _stop(answer: Answer) -> str:
    if answer.refusal and not answer.stop:
        return "refusal"
    return STOPS.get(answer.stop, answer.stop) if answer.stop else "tool_use" if answer.calls else "end_turn"


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    if usage is None:
        return {}
    return {
        "input_tokens": usage.input,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def invariants(body: Any) -> list[str]:
    """What is wrong with a request: no bound, a first or last turn that is not the user's, two turns of one role in a row, empty content, a
    result without its call or not at its turn's start, a call without its result, ids that the service refuses or that come again, too many
    marks for the cache, thinking that is not signed or takes all the room."""
    found: list[str] = []
    messages = body.get("messages", ())
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        found.append("no max_tokens")
    if not messages or messages[0]["role"] != "user" or messages[-1]["role"] != "user":
        found.append(NOT_THE_USERS)
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        found.append("a thinking budget that the bound has no room for")
    if json.dumps(body).count('"cache_control"') > MOST_MARKS:
        found.append("more than four marks for the cache")
    waiting: list[str] = []
    made: list[str] = []
    before = ""
    for number, message in enumerate(messages):
        place = f"message {number} ({message['role']})"
        if message["role"] == before:
            found.append(f"{place}: two turns of one role in a row")
        before = message["role"]
        found += _content_problems(place, message["content"])
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        if sorted(results) != sorted(waiting):
            found.append(f"{place}: calls {waiting} were made before it, results {results} are there")
        if any(block["type"] == "tool_result" for block in message["content"][len(results) :]):
            found.append(f"{place}: a result after something else")
        waiting = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        found += [f"{place}: a second call with id {name!r}" for name in waiting if name in made]
        made += waiting
    return found


def _content_problems(place: str, content: list[dict[str, Any]]) -> list[str]:
    found = [] if content else [f"{place}: empty content"]
    for block in content:
        if block["type"] == "text" and not block["text"].strip():
            found.append(f"{place}: empty text")
        if block["type"] == "tool_result":
            found += _content_problems(f"{place}, result", block["content"])
        if block["type"] == "tool_use" and not (re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]) and isinstance(block["input"], dict)):
            found.append(f"{place}: a call with id {block['id']!r} and input {block['input']!r}")
        if block["type"] == "thinking" and not block["signature"]:
            found.append(f"{place}: thinking without its signature")
    return found

"""The server's side of the gemini wire: answers as chunks, errors as Google words them, and what every request must obey."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Answer, Captured, Failed

STOPS = {"end": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "refusal": "PROHIBITED_CONTENT"}
"""Ours to the wire's; any other word goes out as it is."""
SIGNATURE = "dGhvdWdodCBvZiBieSB0aGUgdGVzdA=="
KINDS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
}  # fmt: skip


class GeminiWire:
    name = "gemini"

    def takes(self, request: Captured) -> bool:
        return "enerateContent" in request.path

    def streams(self, request: Captured) -> bool:
        return request.path.endswith(":streamGenerateContent?alt=sse")

    def events(self, answer: Answer, request: Captured) -> list[bytes]:
        chunks = [_chunk(answer, request, [part]) for part in _parts(answer)]
        if answer.finish:
            chunks.append(_chunk(answer, request, [], _stop(answer)))
        return [b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks]

    def end_mark(self) -> bytes:
        return b""

    def document(self, answer: Answer, request: Captured) -> Any:
        return _chunk(answer, request, _parts(answer), _stop(answer) if answer.finish else None)

    def error(self, failed: Failed) -> dict[str, Any]:
        status = failed.code or KINDS.get(failed.status, "INTERNAL")
        return {"error": {"code": failed.status, "message": failed.message, "status": status}}

    def broke(self, message: str) -> bytes:
        error = {"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}}
        return b"data: %b\n\n" % json.dumps(error).encode()

    def problems(self, body: Any) -> list[str]:
        return invariants(body)


def _parts(answer: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": piece, "thought": True} for piece in answer.pieces("thinking")]
    parts += [{"text": piece} for piece in answer.pieces("text")]
    if answer.refusal:
        parts.append({"text": answer.refusal})
    signed = {"thoughtSignature": SIGNATURE} if answer.thinking else {}
    for number, call in enumerate(answer.calls):
        head = {"id": call.id} if call.id else {}
        args = call.arguments if isinstance(call.arguments, str) else json.loads(call.text)
        parts.append({"functionCall": {**head, "name": call.name, "args": args}, **(signed if number == 0 else {})})
    if signed and not answer.calls:
        parts.append({"text": "", **signed})
    return parts


def _chunk(answer: Answer, request: Captured, parts: list[dict[str, Any]], stop: str | None = None) -> dict[str, Any]:
    found = re.search(r"/models/([^:]+):", request.path)
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}} if parts else {"index": 0}
    if stop:
        candidate["finishReason"] = stop
    usage = answer.usage
    counts = usage and {
        "promptTokenCount": usage.prompt,
        "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.total,
    }
    served = answer.served or (found[1] if found else "")
    return {"candidates": [candidate], "modelVersion": served, "responseId": "r1", **({"usageMetadata": counts} if counts and stop else {})}


def _stop(answer: Answer) -> str:
    if answer.refusal and not answer.stop:
        return STOPS["refusal"]
    return STOPS.get(answer.stop, answer.stop) if answer.stop else "STOP"


def invariants(body: Any) -> list[str]:
    """What is wrong with a request: a first turn that is not the user's, two turns of one role in a row, a turn without parts, calls whose
    responses are not all in the next turn and in their order, arguments that are no object."""
    found: list[str] = []
    waiting: list[tuple[Any, Any]] = []
    before = ""
    for number, content in enumerate(body.get("contents", ())):
        place = f"content {number} ({content['role']})"
        if number == 0 and content["role"] != "user":
            found.append(f"{place}: the first turn is not the user's")
        if content["role"] == before:
            found.append(f"{place}: two turns of one role in a row")
        before = content["role"]
        if not content["parts"] or any(part.get("text") == "" and "thoughtSignature" not in part for part in content["parts"]):
            found.append(f"{place}: empty parts")
        answered = [_key(part["functionResponse"]) for part in content["parts"] if "functionResponse" in part]
        if answered != waiting:
            found.append(f"{place}: calls {waiting} were made before it, responses {answered} are there")
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        if not all(isinstance(call["args"], dict) for call in calls):
            found.append(f"{place}: arguments that are no object")
        waiting = [_key(call) for call in calls]
    if waiting:
        found.append(f"calls without responses at the end: {waiting}")
    return found


def _key(called: dict[str, Any]) -> tuple[Any, Any]:
    return called.get("id"), called["name"]

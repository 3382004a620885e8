"""What every wire needs to carry a history over: JSON, ids of calls, arguments, images, results, and what a model wants back of its own.

Pure functions; no wire's own form here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from agentcli.protocol.messages import Image, Text, ToolResult
from agentcli.protocol.models import ModelSpec, Quirks
from agentcli.protocol.text import utf8
from agentcli.providers.base import ModelRequest

NO_OUTPUT = "(no output)"
BUDGETS = {"none": 0, "minimal": 1_024, "low": 4_096, "medium": 12_288, "high": 24_576}
"""Thinking tokens for a level, where a model knows no levels. The highest is what every thinking model takes; a level above means it too."""


def encode(body: dict[str, Any]) -> bytes:
    """JSON. Half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return utf8(json.dumps(body, ensure_ascii=False, default=msgspec.json.decode)).encode()


def put(body: dict[str, Any], path: str, value: object) -> None:
    """`reasoning.effort` stands for a field in an object."""
    *outer, last = path.split(".")
    for key in outer:
        body = body.setdefault(key, {})
    body[last] = value


def with_extra(body: dict[str, Any], extra: dict[str, object]) -> dict[str, Any]:
    """The body with what the config adds to it. An object is added to the object of its name, anything else takes its place."""
    both = {key: {**body[key], **value} for key, value in extra.items() if isinstance(value, dict) and isinstance(body.get(key), dict)}
    return {**body, **extra, **both}


def fitting_id(name: str, allowed: re.Pattern[str], prefix: str, digits: int = 24) -> str:
    """A call's id as the wire takes it: itself where `allowed` matches it whole, else one made of it; the same always of the same."""
    return name if allowed.fullmatch(name) else prefix + digest(name)[:digits]


def digest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("utf-8", "replace")).hexdigest()


def arguments_object(text: str) -> dict[str, Any]:
    """A call's arguments. Services refuse a history whose arguments are no JSON object; what the model wrote is kept inside one, so that it
    sees its mistake."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"invalid_json": utf8(text)}


def arguments_text(text: str) -> str:
    """A call's arguments as JSON text: the model's own where they are an object, for what was said before should stay the same bytes."""
    found = arguments_object(text)
    return text if found and "invalid_json" not in found else msgspec.json.encode(found).decode()


def described(image: Image) -> str:
    """An image for a model without eyes."""
    return f"[image: {image.note or image.media_type}]"


def in_words(content: Iterable[Text | Image]) -> str:
    return "\n".join(part.text if isinstance(part, Text) else described(part) for part in content)


def result_text(result: ToolResult, text: str | None = None) -> str:
    """A result in words, never empty, an error marked as one. `text` stands for its content where some of it goes out otherwise."""
    text = in_words(result.content) if text is None else text
    if not text.strip():
        text = NO_OUTPUT
    return f"Error: {text}" if result.is_error and not text.lower().startswith("error") else text


def sealed(model: ModelSpec, value: str) -> str:
    """What a model wants back (a signature, an encrypted item), marked with the model: no other, and no other service, can read it."""
    return f"{model.provider}/{model.id}|{value}"


def opened(model: ModelSpec, opaque: str) -> str:
    """The value that `sealed` marked for this model; "" where another model's."""
    mark = sealed(model, "")
    return opaque[len(mark) :] if opaque.startswith(mark) else ""


def budget(effort: str, most: int | None) -> int:
    """Thinking tokens for a level. They count towards `most`, the answer's bound, of which a quarter is kept for the answer itself."""
    tokens = BUDGETS.get(effort, BUDGETS["high"])
    return tokens if most is None else min(tokens, most * 3 // 4)


def schema_allowed(request: ModelRequest, quirks: Quirks) -> bool:
    """Whether the service may be asked to constrain the answer to the request's schema."""
    if request.schema is None or quirks.json_schema == "never":
        return False
    return quirks.json_schema == "always" or not request.tools

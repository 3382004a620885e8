"""Answers that must fit a JSON schema: how the model is told, how the answer is read and checked."""

from __future__ import annotations

import json

import msgspec


def flaw(schema: dict[str, object]) -> str:
    """What makes it no JSON schema; "" where it is one."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return error.message
    except RecursionError:
        return "it is nested too deeply"
    return ""


def told(system: str, schema: dict[str, object]) -> str:
    """The system prompt with the demand: services that ignore a response format still read this."""
    demand = "Your final answer must be one JSON object that fits this JSON schema, and nothing else around it:"
    return f"{system}\n\n{demand}\n{json.dumps(schema, ensure_ascii=False)}".strip()


def fit(text: str, schema: dict[str, object]) -> tuple[object, str]:
    """The object in `text`, and "" or what is wrong with it."""
    try:
        value: object = msgspec.json.decode(_bare(text))
    except msgspec.DecodeError as error:
        return None, f"it is no JSON ({error})"
    except RecursionError:
        return None, "it is nested too deeply"
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        wrong = next(iter(Draft202012Validator(schema, registry=Registry()).iter_errors(value)), None)
    except RecursionError:
        return None, "it is nested too deeply, or the schema refers to itself without end"
    except Unresolvable as error:
        return None, f"the schema refers to {error.ref}, and nothing is fetched: write it under $defs"
    if wrong is None:
        return value, ""
    place = "/".join(map(str, wrong.absolute_path))
    return value, f"at {place}: {wrong.message}" if place else wrong.message


def _bare(text: str) -> str:
    """The JSON without the code fence that many models put around it."""
    text = text.strip()
    if not text.startswith("```"):
        return text
    lines = text.splitlines()
    return "\n".join(lines[1:-1] if lines[-1].strip() == "```" else lines[1:])

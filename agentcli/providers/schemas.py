"""JSON schemas as services want them. Pure functions on plain data."""

from __future__ import annotations

from typing import Any

from agentcli.protocol.tools import inline_refs


def flat(schema: dict[str, Any]) -> dict[str, object]:
    """The schema without `$ref` and without `anyOf` with null, for services that refuse them. A schema within itself ends as any object."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    result = _flat(schema, definitions, ())
    return result if isinstance(result, dict) else {}


def _flat(node: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_flat(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(ref := node.get("$ref"), str):
        name = ref.rsplit("/", 1)[-1]
        if name in inside or name not in definitions:
            return {"type": "object"}
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _flat({**definitions[name], **rest}, definitions, (*inside, name))
    some = node.get("anyOf")
    if isinstance(some, list):
        real = [option for option in some if option != {"type": "null"}]
        if len(real) == 1 and isinstance(real[0], dict):
            rest = {key: value for key, value in node.items() if key != "anyOf"}
            return _flat({**real[0], **rest}, definitions, inside)
    return {key: _flat(value, definitions, inside) for key, value in node.items() if key not in ("$defs", "definitions", "$schema")}


def fits_strict(schema: Any) -> bool:
    """Whether a service's strict mode takes the schema: every object closed, every property required."""
    if isinstance(schema, list):
        return all(fits_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        names = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(names):
            return False
        return all(fits_strict(part) for part in names.values()) and fits_strict(schema.get("$defs", {}))
    return all(fits_strict(part) for part in schema.values())


BOUNDS = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems",
    "pattern", "default", "examples", "title", "$schema", "$id",
})  # fmt: skip
"""What a schema may lose without allowing less: the answer is judged by the whole schema when it is there."""


def closed(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema for a service that takes closed objects alone, no bounds and no schema within itself; None where it cannot be said so."""
    try:
        found = _closed(inline_refs(schema))
    except _Open:
        return None
    return found if isinstance(found, dict) and found.get("type") == "object" else None


class _Open(Exception):
    """An object whose keys the schema does not name, or that holds itself."""


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        raise _Open
    out = {key: value for key, value in node.items() if key not in BOUNDS}
    if out.get("type") == "object" or "properties" in out:
        if not out.get("properties") or out.get("additionalProperties", False) is not False or "patternProperties" in out:
            raise _Open
        out["properties"] = {name: _closed(part) for name, part in out["properties"].items()}
        out["additionalProperties"] = False
    for key in ("items", "prefixItems", "anyOf", "allOf", "oneOf", "not"):
        if key in out:
            out[key] = _closed(out[key])
    if "oneOf" in out:
        out["anyOf"] = out.pop("oneOf")
    return out


GEMINI_KEYS = frozenset({
    "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf",
    "properties", "additionalProperties", "required", "$ref", "$defs", "$id", "$anchor",
})  # fmt: skip
"""The part of JSON schema that Gemini takes: https://ai.google.dev/api/generate-content, `responseJsonSchema`."""
OPENAPI_KEYS = frozenset({
    "type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength",
    "pattern", "anyOf", "properties", "required",
})  # fmt: skip
"""The part of OpenAPI's schema that Gemini's older `parameters` field takes."""


def reduced(node: Any, keys: frozenset[str]) -> Any:
    """The schema with these keywords alone. `const` becomes an `enum` of one; names of properties are no keywords."""
    if isinstance(node, list):
        return [reduced(item, keys) for item in node]
    if not isinstance(node, dict):
        return node
    if "const" in node and "enum" not in node:
        node = {**node, "enum": [node["const"]]}
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key not in keys:
            continue
        if key in ("properties", "$defs"):
            out[key] = {name: reduced(part, keys) for name, part in value.items()}
        else:
            out[key] = value if key in ("enum", "required") else reduced(value, keys)
    return out

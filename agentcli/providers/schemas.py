"""JSON schemas as services want them. Pure functions on plain data."""

from __future__ import annotations

from typing import Any


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

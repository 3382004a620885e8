"""What becomes of a JSON schema for services that take only a part of it."""

from __future__ import annotations

from typing import Any

import pytest

from agentcli.providers.schemas import GEMINI_KEYS, OPENAPI_KEYS, closed, reduced


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"type": "object", "title": "A", "properties": {"a": {"type": "string", "pattern": "x", "title": "T"}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
        ),
        (
            {"type": "object", "properties": {"a": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}}},
            {"type": "object", "properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, "additionalProperties": False},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/B"}}},
             "$defs": {"B": {"type": "object", "properties": {"default": {"type": "string"}}}}},
            {"type": "object", "properties": {"a": {"type": "array", "items": {
                "type": "object", "properties": {"default": {"type": "string"}}, "additionalProperties": False,
            }}}, "additionalProperties": False},
        ),
        ({"type": "object"}, None),
        ({"type": "object", "properties": {}}, None),
        ({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}}, None),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True}, None),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "patternProperties": {"x": {}}}, None),
        ({"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}]}, None),
        ({"type": "string"}, None),
    ],
)  # fmt: skip
def test_a_closed_schema_says_no_less_than_it_must_or_is_none(schema: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert closed(schema) == expected


def test_reducing_keeps_names_of_properties_that_look_like_keywords() -> None:
    schema = {"type": "object", "properties": {"pattern": {"type": "string", "pattern": "x"}, "$schema": {"const": 1}}, "$schema": "y"}
    assert reduced(schema, GEMINI_KEYS) == {"type": "object", "properties": {"pattern": {"type": "string"}, "$schema": {"enum": [1]}}}
    assert reduced(schema, OPENAPI_KEYS)["properties"]["pattern"] == {"type": "string", "pattern": "x"}
    values = {"enum": [{"type": "x", "other": 1}]}
    assert reduced({**values, "anyOf": [{"default": 1}]}, GEMINI_KEYS) == {**values, "anyOf": [{}]}

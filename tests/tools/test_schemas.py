"""What models are told of each built-in tool, pinned word for word: a change of it changes how every model works.

After a wanted change run `AGENTCLI_UPDATE_GOLDEN=1 python -m pytest tests/tools/test_schemas.py` and read the difference in
`agentcli/tools/manifest.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentcli.protocol.tools import Tool, manifest_of
from agentcli.tools import BUILTIN, MANIFEST, builtin, real

UPDATE = os.environ.get("AGENTCLI_UPDATE_GOLDEN") == "1"  # read here, for every test runs with an environment of its own

REAL = tuple(real(name) for name in BUILTIN)
EVERY_TOOL = pytest.mark.parametrize("tool", REAL, ids=[tool.name for tool in REAL])


def test_what_a_model_is_told_is_what_was_agreed() -> None:
    now = manifest_of(REAL)
    if UPDATE:
        MANIFEST.write_bytes(now)
    assert MANIFEST.read_bytes() == now
    assert [(tool.name, tool.description, tool.short, tool.schema()) for tool in builtin()] == [
        (tool.name, tool.description, tool.short, tool.schema()) for tool in REAL
    ]


def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of a schema, the outermost first."""
    if schema.get("type") == "object":
        yield schema
    for part in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from objects(part)


@EVERY_TOOL
def test_a_schema_is_flat_and_every_parameter_is_described(tool: Tool[Any]) -> None:
    schema: dict[str, Any] = tool.schema()
    text = json.dumps(schema)
    assert [word for word in ("$ref", "$defs", "anyOf", "oneOf", "allOf", '"title"') if word in text] == []
    for part in objects(schema):
        assert part["additionalProperties"] is False
        assert [name for name, prop in part["properties"].items() if not prop.get("description") or "type" not in prop] == []


@EVERY_TOOL
def test_texts_are_short(tool: Tool[Any]) -> None:
    assert 0 < len(tool.short) <= 60
    assert "\n" not in tool.short
    assert len(tool.description) <= 900
    assert len(json.dumps(tool.schema())) <= 2500


def test_importing_the_tools_brings_no_library_that_a_run_may_not_need() -> None:
    heavy = ["pydantic", "httpx", "markdownify", "bs4", "charset_normalizer", "tree_sitter", "hcl2", "rich", "prompt_toolkit", "difflib"]
    code = f"import agentcli.tools, sys; agentcli.tools.builtin(); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""What models are told of the delegation tools, pinned word for word, and their parameter names, which are a contract."""

from __future__ import annotations

import os

import msgspec

from agentcli.agents.delegation import KINDS
from agentcli.agents.offered import MANIFEST
from agentcli.protocol.tools import Told, inline_refs, read_manifest, tidy_schema

UPDATE = os.environ.get("AGENTCLI_UPDATE_GOLDEN") == "1"


def test_what_a_model_is_told_is_what_was_agreed() -> None:
    told = [Told(kind.name, kind.description, kind.short, tidy_schema(inline_refs(kind.args.model_json_schema()))) for kind in KINDS.values()]
    now = msgspec.json.format(msgspec.json.encode(told)) + b"\n"
    if UPDATE:
        MANIFEST.write_bytes(now)
    assert MANIFEST.read_bytes() == now


def test_the_parameters_have_the_names_of_the_systems_that_are_followed() -> None:
    names = {told.name: set(told.schema["properties"]) for told in read_manifest(MANIFEST.read_bytes())}  # type: ignore[call-overload]
    assert names == {
        "task": {"agent", "prompt", "description", "model", "workspace", "max_steps", "background", "output_schema", "timeout_s"},
        "parallel_task": {"tasks", "max_parallel", "min_success", "timeout_s"},
        "pipeline": {"items", "stages"},
        "run_team": {
            "goal", "lead_agent", "worker_agent", "reviewer_agent", "lead_model", "worker_model", "reviewer_model", "workers", "max_steps",
            "max_rounds", "workspace",
        },
        "define_subagent": {
            "name", "description", "system_prompt", "enable_mcp_tools", "enable_subagent_tools", "enable_write_tools", "Model",
        },
        "invoke_subagent": {"Subagents", "Background"},
        "send_message": {"Recipient", "Message"},
        "manage_subagents": {"Action", "Ids"},
    }  # fmt: skip

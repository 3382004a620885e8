"""The delegation tools as models are told of them, from the shipped manifest; the tools themselves are imported when one is called.

After a change of their texts or arguments: `AGENTCLI_UPDATE_GOLDEN=1 python -m pytest tests/agents/test_schemas.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agentcli.protocol.tools import Deferred, Told, Tool, read_manifest

if TYPE_CHECKING:
    from agentcli.agents.orchestrator import Orchestrator
    from agentcli.agents.roster import Roster

MANIFEST = Path(__file__).with_name("manifest.json")
WORKERS = "{workers}"
"""Stands in a description for the list of the session's workers."""


def delegation_tools(orchestrator: Orchestrator) -> tuple[Tool[Any], ...]:
    """All of them, for one session."""
    told = (_filled(one, orchestrator.roster) for one in read_manifest(MANIFEST.read_bytes()))
    return tuple(Deferred(one, partial(_real, one.name, orchestrator)) for one in told)


def worker_list(roster: Roster) -> str:
    """The workers that can be named, for the model."""
    return "\n".join(f"- {spec.name}: {spec.description}" for spec in roster.list() if spec.source != "runtime")


def _filled(told: Told, roster: Roster) -> Told:
    return msgspec.structs.replace(told, description=told.description.replace(WORKERS, worker_list(roster)))


def _real(name: str, orchestrator: Orchestrator) -> Tool[Any]:
    from agentcli.agents.delegation import KINDS

    return KINDS[name](orchestrator)

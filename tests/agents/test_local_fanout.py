"""One real run: workers on two local models at once, from the shipped example config; what each answer names as its server proves which was which."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.crew import Seen

from agentcli.protocol.events import AgentFinished, AgentSpawned, Replied
from agentcli.sdk.agent import AsyncAgent
from agentcli.sdk.overview import agent_rows

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "example.hcl"
WEIGHTS = os.environ.get("AGENTCLI_WEIGHTS", "")
SMALL, LARGE = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"


def file_of(name: str) -> Path:
    return Path(WEIGHTS or "nowhere") / f"{name}-instruct-q4_k_m.gguf"


async def test_the_example_config_loads_and_each_worker_resolves(tmp_path: Path) -> None:
    async with await AsyncAgent.create(EXAMPLE) as agent:
        rows = {row.name: row for row in agent_rows(agent, tmp_path)}
        session = agent.session(tmp_path, save=False)
        main = session.tree.main.model.active.use
    assert {name: (row.model.resolved, row.model.source, row.problem) for name, row in rows.items() if row.model} == {
        "scout": (f"local/{SMALL}", "definition", ""),
        "critic": (f"local/{LARGE}", "definition", ""),
        "writer": (f"local/{LARGE}", "definition", ""),
        "self": (f"local/{LARGE}", "parent", ""),
        **dict.fromkeys(("explore", "general", "plan", "review", "verify"), (f"local/{SMALL}", "subagent_model", "")),
    }
    assert (main.resolved, main.source) == (f"local/{LARGE}", "config")


@pytest.mark.local
@pytest.mark.skipif(
    not (file_of(SMALL).exists() and file_of(LARGE).exists()),
    reason=f"needs both local models: agentcli local pull {SMALL}; agentcli local pull {LARGE}; then set AGENTCLI_WEIGHTS to their folder",
)
@pytest.mark.timeout(600)
async def test_a_fan_out_on_two_local_models_proves_which_served_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTCLI_WEIGHTS", WEIGHTS)
    async with await AsyncAgent.create(EXAMPLE) as agent:
        session = agent.session(tmp_path, save=False)
        seen = Seen([])
        session.listen(seen.envelopes.append)
        results = await session.parallel(
            [
                {"agent": "critic", "prompt": "Reply with the word hello."},
                {"agent": "critic", "prompt": "Reply with the word hello.", "model": "small"},
            ]
        )
    assert [result.failure for result in results] == [None, None]
    served = [(event.model.requested, event.model.resolved, event.model.source, event.served) for event in seen.by(AgentFinished).values()]
    assert sorted(served) == sorted(
        [
            ("large", f"local/{LARGE}", "definition", (file_of(LARGE).stem,)),
            ("small", f"local/{SMALL}", "call", (file_of(SMALL).stem,)),
        ]
    )
    assert {event.model.served for event in seen.of(Replied)} == {file_of(SMALL).stem, file_of(LARGE).stem}
    assert all(str(result).strip() for result in results)
    assert len(seen.of(AgentSpawned)) == 2

"""One real run: workers on two local models at once, from the shipped example config; what each answer names as its server proves which was which."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.crew import Seen
from support.weights import FOLDER, LARGE, SMALL, file_of, missing

from agentcli.protocol.events import AgentFinished, AgentSpawned, Replied
from agentcli.sdk.agent import AsyncAgent
from agentcli.sdk.overview import agent_rows

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "example.hcl"
MISSING = missing(SMALL, LARGE)


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
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.timeout(600)
async def test_a_fan_out_on_two_local_models_proves_which_served_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTCLI_WEIGHTS", str(FOLDER))
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

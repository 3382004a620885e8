"""The seeds' Python programs run as they were written. Only the import line, the config and the workspace path may differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.examples import CONFIGS, PROGRAMS, seed_on_local
from support.server import Answer, Call, Captured, Server

Run = Callable[..., str]
FILES = ("qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder-1.5b-instruct-q4_k_m")
"""What the local runtime says it served: the weights' files."""
FAST, STRONG = "MiniMax-M2.7-highspeed", "gpt-4o"
SEEDS = {"model_per_session": "000_", "model_per_worker": "000_", "subagents": "002_"}


AS_WRITTEN = {
    "model_per_session": "18c2022d152e40f1cb8863a52fb90dbe893b03850935cdfc6ed6dc01763f0028",
    "model_per_worker": "a366c90b7c8b63841f3c7b4ff80e9d4bb88a4127023f93e88a49c14bab9a5737",
    "subagents": "83a01960270586ea45d35a4ae42a399b3c35b5bd1eb386c818f55154fc7160a9",
    "agent.acl": "d44fe046a8e576212510bbf2e53cb292b8f84d0a6e83a19865675e7e14abaf74",
}
"""SHA-256 of each, so that a change is noticed where no seeds lie beside the checkout."""


def as_written(name: str) -> bytes:
    """The seed's config, or its program without what may differ: the import line and the workspace."""
    if name == "agent.acl":
        return (CONFIGS / name).read_bytes()
    program = (PROGRAMS / f"{name}.py").read_bytes()
    return program.replace(b"from agentcli import", b"from a3s_code import", 1).replace(b"agent.session('.'", b"agent.session('/repo'")


@pytest.mark.parametrize("name", AS_WRITTEN)
def test_the_seeds_are_kept_byte_for_byte(name: str) -> None:
    assert hashlib.sha256(as_written(name)).hexdigest() == AS_WRITTEN[name]


@pytest.mark.parametrize("name", AS_WRITTEN)
def test_they_stand_so_in_the_seeds(name: str, shared: Path) -> None:
    (seed,) = (shared / "seeds").glob(f"{SEEDS.get(name, '000_')}*")
    assert as_written(name) in seed.read_bytes()


@pytest.fixture
def environment(project: Path) -> Callable[[Server], dict[str, str]]:
    """The seed's own config under both names, and the variables it reads, for a loopback server."""
    for name in ("agent.acl", "agent.hcl"):
        (project / name).write_bytes((CONFIGS / "agent.acl").read_bytes())
    return lambda server: {"A3S_OPENAI_API_KEY": "sk-seed-key-1", "A3S_OPENAI_BASE_URL": server.url}


def talk(request: Captured) -> list[tuple[str, str]]:
    """A request's conversation, without the system prompt."""
    return [(message["role"], message.get("content") or "") for message in request.body["messages"] if message["role"] != "system"]


def models(server: Server) -> list[str]:
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-seed-key-1"}
    return [request.body["model"] for request in server.requests]


def test_each_session_runs_on_its_own_model(run: Run, environment: Callable[[Server], dict[str, str]]) -> None:
    with Server(Answer("A fine project."), Answer("Too short.")) as server:
        printed = run("model_per_session", **environment(server))
    assert printed == "draft: A fine project.\ncritique: Too short.\n"
    assert models(server) == [FAST, STRONG]
    assert [talk(request) for request in server.requests] == [
        [("user", "Draft a short README intro for this project.")],
        [("user", "Critique this README intro:\nA fine project.")],
    ]


def test_a_worker_runs_on_its_own_model_and_the_session_keeps_its(run: Run, environment: Callable[[Server], dict[str, str]]) -> None:
    reading = Answer(calls=(Call("read", {"path": "src/greet.py"}),))
    with Server(reading, Answer("greet(name)"), Answer("Rename greet.")) as server:
        printed = run("model_per_worker", **environment(server))
    assert printed == "Rename greet.\n"
    assert models(server) == [FAST, FAST, STRONG]
    asked, read, plan = (talk(request) for request in server.requests)
    assert asked == [("user", "List every public API in src/.")]
    assert read[-1][0] == "tool" and "def greet" in read[-1][1]
    assert plan == [("user", "Given these findings, propose a refactor:\ngreet(name)")]


def test_the_model_delegates_with_the_task_tool(run: Run, environment: Callable[[Server], dict[str, str]]) -> None:
    task = {"agent": "general", "prompt": "Write unit tests for src/auth.rs covering all edge cases"}
    with Server(Answer("I delegate.", calls=(Call("task", task),)), Answer("3 tests written"), Answer("The auth module has 3 tests.")) as server:
        printed = run("subagents", **environment(server))
    assert printed == "The auth module has 3 tests.\n"
    assert models(server) == [FAST] * 3
    parent, worker, again = (talk(request) for request in server.requests)
    assert parent == [("user", "Use the task tool to write unit tests for the auth module")]
    assert worker == [("user", task["prompt"])]
    role, report = again[-1]
    assert role == "tool" and "3 tests written" in report and f"served: {FAST}" in report


@pytest.mark.local
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", SEEDS)
def test_they_run_for_real_on_the_local_models(name: str, run: Run, project: Path, local_weights: Path) -> None:
    for file in ("agent.acl", "agent.hcl"):
        (project / file).write_text(seed_on_local())
    assert run(name, 1400).strip()
    served = {line for path in project.parent.glob("home/.local/share/agentcli/sessions/**/*.jsonl") for line in served_in(path)}
    assert served == set(FILES[:1] if name == "subagents" else FILES)


def served_in(path: Path) -> set[str]:
    """The models that answered in a session, as its file says."""
    import json

    events = [json.loads(line)["event"] for line in path.read_bytes().splitlines()]
    return {event["model"]["served"] for event in events if event["type"] == "replied" and "served" in event["model"]}

"""One session that visits every wire and the local model, with a tool call on each: what one model did, the next one goes on from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.server import Answer, Call, Captured, Server
from support.weights import FOLDER, SMALL, missing
from support.wires import BY_NAME, NAMES

from agentcli import Agent
from agentcli.protocol.messages import AssistantMessage, Image, Text, Thinking, ToolMessage, UserMessage

MISSING = missing(SMALL)
ORDER = (NAMES[0], "local", *NAMES[1:], NAMES[0])
"""The local model comes early, for it has to read all that was said before, and yet has others before and after it."""
PNG = Image("image/png", "iVBORw0KGgo=", note="a red square")


def hcl(url: str) -> str:
    """A provider for each wire at one server, each with a key of its own; `little` is led like the local model."""
    bases = {wire: url.removesuffix("/v1") + "/v1beta" if wire == "gemini" else url for wire in NAMES}
    blocks = "\n".join(
        f'providers "on-{wire}" {{\n wire = "{wire}"\n api_key = "sk-{wire}-0001"\n base_url = "{bases[wire]}"\n'
        f' models "m" {{\n image_input = true\n cost = {{ input = 1, output = 2 }}\n }}\n models "little" {{ profile = "small" }}\n}}'
        for wire in NAMES
    )
    return f'default_model = "on-{NAMES[0]}/m"\n{blocks}\n'


def answers(request: Captured) -> Answer:
    """Thinks, reads the file it is asked for, and says that it did once it has the result; one object at a time where it is led so."""
    wire = next(name for name in NAMES if BY_NAME[name].takes(request))
    text = json.dumps(request.body)
    number = max(index for index in range(len(ORDER)) if f"file-{index}.txt" in text)
    has_result = f"colour number {number}" in text
    if '"const"' in text:
        return Answer('{"tool": "answer"}' if has_result else json.dumps({"tool": "read", "path": f"file-{number}.txt"}))
    if has_result:
        return Answer(f"It is colour number {number}.", thinking="So it is.")
    return Answer("I look.", thinking=f"What would {wire} do?", calls=(Call("read", {"path": f"file-{number}.txt"}, id=f"id.{number}/{'x' * 70}"),))


def visit(folder: Path, order: tuple[str, ...], model_of: Callable[[str], str]) -> list[Captured]:
    """The session: each model is asked to read a file of its own. Every request is checked against its wire's rules by the server."""
    for number in range(len(order)):
        (folder / f"file-{number}.txt").write_text(f"colour number {number}\n")
    with Server(always=answers) as server, Agent.create(hcl(server.url)) as agent:
        with agent.session(folder, tools=["read"]) as session:
            for number, name in enumerate(order):
                session.use_model(model_of(name))
                asked = UserMessage((Text(f"Read file-{number}.txt and say what is in it."), *((PNG,) if number == 0 else ())))
                result = session.send(asked)
                assert [call.name for call in result.tool_calls][:1] == ["read"], (name, result)
                assert result.model and result.model.resolved == model_of(name)
                assert result.text.strip()
            history = session.history
        with agent.resume_session(session.id) as again:
            assert again.history == history
            assert again.send(f"Read file-{len(order) - 1}.txt again.").text.strip()
    results = [result for message in history if isinstance(message, ToolMessage) for result in message.results]
    assert [any(f"colour number {number}" in result.text() for result in results) for number in range(len(order))] == [True] * len(order)
    assert {
        part.wire for message in history if isinstance(message, AssistantMessage) for part in message.content if isinstance(part, Thinking)
    } == set(NAMES)
    return server.requests


def test_one_session_visits_every_wire_and_a_small_model_with_a_call_on_each(tmp_path: Path) -> None:
    requests = visit(tmp_path, ORDER, lambda name: "on-openai-chat/little" if name == "local" else f"on-{name}/m")
    last = requests[-1].raw.decode()
    assert all(f"colour number {number}" in last for number in range(len(ORDER))), "what every model found is still there for the last"
    for request in requests:
        wire = next(name for name in NAMES if BY_NAME[name].takes(request))
        others = [name for name in NAMES if name != wire]
        assert not any(f"What would {other} do?" in request.raw.decode() for other in others), "no thinking of another wire"
        assert not any(f"sk-{other}-0001" in str((request.headers, request.raw)) for other in others), "no key of another"


@pytest.mark.local
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.timeout(600)
def test_one_session_visits_every_wire_and_the_local_model_with_a_call_on_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTCLI_WEIGHTS", str(FOLDER))
    visit(tmp_path, ORDER, lambda name: f"local/{SMALL}" if name == "local" else f"on-{name}/m")

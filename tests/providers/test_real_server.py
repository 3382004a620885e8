"""The real llama.cpp server over each wire that it speaks: what our own test server says of these wires is what a server of this world says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from support.asking import KEY, ask, request, with_provider
from support.weights import SMALL, file_of, needs

from agentcli.protocol.errors import ContextOverflow
from agentcli.protocol.messages import AssistantMessage, Text, ToolCall, ToolMessage, ToolResult, user_text
from agentcli.protocol.models import ModelSpec, ProviderSpec
from agentcli.providers.base import ServedPart, ToolSpec

MODEL = file_of(SMALL).stem
WIRES = ("openai-chat", "openai-responses", "anthropic")
READ = ToolSpec("read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})

pytestmark = needs(SMALL)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server of its own."""
    argv = [sys.executable, "-P", "-m", "agentcli.providers.local_child"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode({"path": str(file_of(SMALL)), "context": 2048, "slots": 1, "api_key": KEY}) + b"\n")
    process.stdin.flush()
    yield msgspec.json.decode(process.stdout.readline())["url"] + "/v1"
    process.stdin.close()
    process.wait(10)


def question(wire: str, *history: Any, **fields: Any) -> Any:
    model = ModelSpec("test", MODEL, wire)  # type: ignore[arg-type]
    return request(**{"model": model, "system": "You are helpful.", "max_tokens": 30, "messages": history, **fields})


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_comes_whole_with_usage_and_the_models_name(url: str, wire: str) -> None:
    found = ask(url, question(wire, user_text("Say the word hello and nothing else.")), wire=wire)
    assert found.error is None
    assert "hello" in found.message.text().lower()
    assert found.message.stop == "end"
    assert ServedPart(MODEL) in found.parts


@pytest.mark.parametrize("wire", WIRES)
def test_a_history_with_calls_and_results_is_taken(url: str, wire: str) -> None:
    calls = (ToolCall("c1", "read", '{"path":"a.txt"}'), ToolCall("c2", "read", '{"path":"b.txt"}'))
    results = (ToolResult("c1", "read", (Text("The number is 42."),)), ToolResult("c2", "read", (Text("no such file"),), is_error=True))
    history = (user_text("Read a.txt and b.txt."), AssistantMessage((Text("I will."), *calls)), ToolMessage(results), user_text("Which number?"))
    found = ask(url, question(wire, *history, tools=(READ,)), wire=wire)
    assert found.error is None
    assert found.message.text()


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_that_reaches_its_bound_is_cut(url: str, wire: str) -> None:
    found = ask(url, question(wire, user_text("Count from 1 to 1000."), max_tokens=8), wire=wire)
    assert (found.error, found.message.stop) == (None, "length")


@pytest.mark.parametrize("wire", WIRES)
def test_a_prompt_that_does_not_fit_is_an_overflow(url: str, wire: str) -> None:
    found = ask(url, question(wire, user_text("x " * 4000)), wire=wire)
    assert type(found.error) is ContextOverflow


def test_the_model_is_listed(url: str) -> None:
    for wire in WIRES:
        spec = ProviderSpec("test", wire, url, None, {"authorization": f"Bearer {KEY}"})  # type: ignore[arg-type]
        assert with_provider(spec, lambda provider: provider.list_models()) == (MODEL,)

"""The whole program against a real service: llama.cpp's own server with a real model, over each wire that it speaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.program import Ran, environment, run
from support.weights import SMALL, file_of, needs

KEY = "sk-test-canary-0001"
SERVER = """
import sys, threading
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path, params.api_keys = sys.argv[1], [sys.argv[2]]
params.verbosity, params.n_ctx, params.n_parallel, params.port = 0, 2048, 1, 0
params.sampling.temp = 0.0  # the likeliest token each time: a test needs the same answer twice
params.hostnames, params.model_alias = ["127.0.0.1"], {"served-qwen"}
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
import os
os._exit(0)
"""
WIRES = {"own": "openai-chat", "own-responses": "openai-responses", "own-messages": "anthropic"}
"""Providers, all of them the one server."""
BLOCK = """
providers "NAME" {
  apiKey  = env("TEST_KEY")
  baseUrl = "URL/v1"
  wire    = "WIRE"
  models "qwen" {
    limit = { context = 2048, output = 24 }
    cost  = { input = 1.0, output = 2.0 }
  }
}
"""
CONFIG = 'default_model = "own/qwen"' + "".join(BLOCK.replace("NAME", name).replace("WIRE", wire) for name, wire in WIRES.items())

pytestmark = needs(SMALL)


@dataclass(frozen=True)
class Llama:
    folder: Path

    def ask(self, *words: str, key: str = KEY) -> Ran:
        small = ("--tools", "", "--system-prompt", "Answer with one word.")
        return run("--config", "agent.hcl", *small, *words, env=environment(TEST_KEY=key), cwd=self.folder, timeout=110)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    folder = tmp_path_factory.mktemp("llama")
    argv = [sys.executable, "-c", SERVER, str(file_of(SMALL)), KEY]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        (folder / "agent.hcl").write_text(CONFIG.replace("URL", url) + "limits { retries = 0 }\n")
        yield Llama(folder)
        server.stdin.close()


def prompt_tokens(ran: Ran) -> int:
    usage = ran.result["usage"]
    return int(usage["input_tokens"] + usage["cache_read_input_tokens"])


def test_every_format_gives_one_right_answer_of_a_real_service(llama: Llama) -> None:
    question = "What is the capital of France?"
    text = llama.ask("-p", question)
    whole = llama.ask("-p", question, "--output-format", "json")
    stream = llama.ask("-p", question, "--output-format", "stream-json", "--include-partial-messages")
    pieces = [line["event"]["delta"].get("text", "") for line in stream.lines if line.get("event", {}).get("type") == "content_block_delta"]
    assert [(ran.code, ran.err) for ran in (text, whole, stream)] == [(0, "")] * 3
    assert "Paris" in text.out
    assert "Paris" in whole.result["result"]
    assert "".join(pieces) == stream.result["result"]
    assert "Paris" in stream.result["result"]
    for ran in (whole, stream):
        result = ran.result
        use = result["model"]
        assert {**use, "served": None} == {"requested": "own/qwen", "resolved": "own/qwen", "served": None, "source": "config"}
        assert use["served"] == result["modelUsage"]["own/qwen"]["served"][0] == "served-qwen"
        assert result["usage"]["output_tokens"] > 0
        assert prompt_tokens(ran) > 10
        assert result["total_cost_usd"] > 0


@pytest.mark.parametrize("provider", ["own-responses", "own-messages"])
def test_the_same_service_serves_a_run_over_each_other_wire(llama: Llama, provider: str) -> None:
    words = ("-m", f"{provider}/qwen", "--tools", "ls", "-p", "What is the capital of France?", "--output-format", "stream-json")
    ran = llama.ask(*words, "--include-partial-messages")
    result = ran.result
    pieces = [line["event"]["delta"].get("text", "") for line in ran.lines if line.get("event", {}).get("type") == "content_block_delta"]
    assert (ran.code, ran.err) == (0, "")
    assert "Paris" in result["result"] == "".join(pieces)
    assert (result["model"]["resolved"], result["model"]["served"]) == (f"{provider}/qwen", "served-qwen")
    assert result["usage"]["output_tokens"] > 0
    assert prompt_tokens(ran) > 10
    assert result["total_cost_usd"] > 0


@pytest.mark.parametrize("provider", WIRES)
def test_a_wrong_key_is_an_authentication_failure_of_a_real_service(llama: Llama, provider: str) -> None:
    ran = llama.ask("-m", f"{provider}/qwen", "-p", "hi", "--output-format", "json", key="sk-wrong-canary")
    assert (ran.code, ran.result["error"]["kind"], ran.result["api_error_status"]) == (41, "authentication", 401)
    assert "sk-wrong-canary" not in ran.out + ran.err


def test_a_real_service_takes_tools_and_a_conversation_that_goes_on(llama: Llama) -> None:
    first = llama.ask("-p", "The word is banana. Say it.", "--tools", "ls", "--session-id", "real", "--output-format", "json")
    second = llama.ask("-p", "Which word was it?", "-c", "--output-format", "json")
    assert (first.code, second.code, second.result["session_id"]) == (0, 0, "real")
    assert "banana" in second.result["result"].lower()
    assert prompt_tokens(first) > prompt_tokens(second), "a tool's description is part of the prompt"

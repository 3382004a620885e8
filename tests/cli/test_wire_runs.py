"""Conversations of the whole program over every wire: what a model thought goes back to it, and to no other."""

from __future__ import annotations

import pytest
from support import anthropic_wire, gemini_wire, responses_wire
from support.bench import KEY, Bench
from support.program import environment
from support.server import Answer, Call, Server
from support.wires import KEY_HEADER, NAMES

SEALS = {"anthropic": anthropic_wire.SIGNATURE, "gemini": gemini_wire.SIGNATURE, "openai-responses": responses_wire.ENCRYPTED}
LOOK = Answer("I look.", thinking="Look first.", calls=(Call("bash", {"command": "echo ran >> ran.txt"}, id="c1"),))
DONE = Answer("Done.", thinking="All is well.")


@pytest.mark.parametrize("wire", NAMES)
def test_what_a_model_thought_goes_back_to_it_within_a_run_and_when_resumed_and_to_no_other_model(bench: Bench, wire: str) -> None:
    first = bench.run("thinking", wire, "--effort", "high", replies=(LOOK,), always=DONE)
    second = bench.run("thinking", wire, "-c", always=DONE)
    other = bench.run("thinking", wire, "-c", "-m", "test/other", always=DONE)
    requests = [*first.server.requests, *second.server.requests, *other.server.requests]
    assert [(run.ran.code, run.ran.out, run.commands) for run in (first, second, other)] == [(0, "Done.\n", ["ran"])] * 3
    seal = SEALS.get(wire, "All is well.")
    expected = [0, 1, 2, 0] if wire in SEALS else [0, 0, 0, 0]
    assert [request.raw.decode().count(seal) for request in requests] == expected
    assert all(b"I look." in request.raw for request in requests[1:]), "what was said is carried over whole"


@pytest.mark.parametrize("wire", NAMES)
def test_all_requests_of_a_run_go_through_one_connection(bench: Bench, wire: str) -> None:
    run = bench.run("connection", wire, replies=(LOOK, LOOK), always=DONE)
    assert (run.ran.code, len(run.server.requests), run.server.connections) == (0, 3, 1)


@pytest.mark.parametrize("wire", NAMES)
def test_a_proxy_of_the_environment_is_used_and_its_password_is_not_shown(bench: Bench, wire: str) -> None:
    with Server(always=DONE) as proxy:
        env = environment(TEST_KEY=KEY, TEST_URL="http://model.invalid/v1", HTTP_PROXY=proxy.origin.replace("//", "//me:hush-hush@"), NO_PROXY="")
        ran = bench.program.run("--config", str(bench.config(wire)), "-p", "Go", "--verbose", env=env, cwd=bench.base)
    assert (ran.code, ran.out) == (0, "Done.\n")
    (request,) = proxy.requests
    assert request.path.startswith("http://model.invalid/v1")
    assert KEY in request.headers[KEY_HEADER[wire]]
    assert "hush" not in ran.out + ran.err

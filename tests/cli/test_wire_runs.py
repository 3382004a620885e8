"""Conversations of the whole program over every wire, and what is one wire's own."""

from __future__ import annotations

import json

import pytest
from support import anthropic_wire, gemini_wire, responses_wire
from support.bench import KEY, Bench, side_by_side
from support.faults import body
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


OWN = {
    "a prompt that is blocked": ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m"}, 1, "answer_cut", 1),
    "no candidates": ("gemini", {"candidates": [], "usageMetadata": {"promptTokenCount": 3}}, 75, "stream_broken", 2),
    "a malformed call": ("gemini", {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}, 75, "stream_broken", 2),
    "an answer for safety's sake": ("gemini", {"candidates": [{"finishReason": "SAFETY"}]}, 1, "answer_cut", 1),
    "a failed response": (
        "openai-responses",
        {"type": "response.failed", "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}}},
        75, "rate_limit", 2,
    ),
    "a cancelled response": ("openai-responses", {"type": "response.cancelled", "response": {"status": "cancelled"}}, 75, "stream_broken", 2),
    "an incomplete response": (
        "openai-responses",
        {"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}},
        1, "answer_cut", 1,
    ),
    "too busy in the middle": (
        "anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 75, "unavailable", 2
    ),
    "a refusal": ("anthropic", {"type": "message_delta", "delta": {"stop_reason": "refusal"}}, 1, "answer_cut", 1),
    "an unknown model": (
        "anthropic", {"type": "error", "error": {"type": "not_found_error", "message": "model: m"}}, 1, "request_rejected", 1
    ),
}  # fmt: skip
"""Events by which only one wire says that it gives no whole answer: the exit code, the error's kind, how often it was asked."""


def test_what_only_one_wire_can_say_ends_the_run_as_it_should(bench: Bench) -> None:
    def seen(name: str) -> tuple[int, str, int]:
        wire, event, *_ = OWN[name]
        reply = body(b"data: %b\n\n" % json.dumps(event).encode())
        run = bench.run(name, wire, "--output-format", "json", always=reply)
        assert run.error.startswith("error: ")
        return run.ran.code, run.ran.result["error"]["kind"], len(run.server.requests)

    assert side_by_side(seen, OWN) == {name: tuple(expected) for name, (_, _, *expected) in OWN.items()}


@pytest.mark.parametrize("wire", [name for name in NAMES if name != "openai-responses"])
def test_a_reason_to_end_that_nobody_knows_is_told_and_the_answer_is_given(bench: Bench, wire: str) -> None:
    """The openai-responses wire has a field that says whether an answer is whole."""
    run = bench.run("telepathy", wire, always=Answer("Done.", stop="telepathy"))
    assert (run.ran.code, run.ran.out) == (0, "Done.\n")
    assert run.ran.err == "warning: test ended its answer with 'telepathy', which is not known here: it may not be whole.\n"

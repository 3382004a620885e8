"""Every fault and every oddity of the table, over every wire, through the whole program in text and stream-json: the exit code, the one line,
how often the service was asked, what is kept of what was shown, and that no tool ever runs twice.

All cases run side by side, for many of them wait, and what was seen of them is compared at once: a difference names its case.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.bench import RETRIES, Bench, side_by_side
from support.faults import CUTS, LISTED, ODDITIES, Fault
from support.server import Answer, Call
from support.wires import NAMES

PATIENCE = 4
"""How much longer than a provider alone the program waits: other runs go on beside each."""
TOOL_TURN = Answer("First a command.", calls=(Call("bash", {"command": "echo ran >> ran.txt"}, id="c1"),))
DONE = Answer("Done.")
SLOW_FIRST = sorted(LISTED, key=lambda name: not (LISTED[name][1].limits or LISTED[name][1].retry_after))


def patient(fault: Fault) -> dict[str, float]:
    """The fault's limits as those of a config."""
    return {name.replace("total", "call"): seconds * PATIENCE for name, seconds in fault.limits.items()}


def asked(fault: Fault) -> int:
    """How often: once, and as often again as the config allows where that may help."""
    return 1 + (RETRIES if fault.retryable else 0)


def line_of(fault: Fault, line: str) -> str:
    """A short word for a right line, the line itself where it is none: one line with what happened, at whose, and what to do next."""
    message, _, hint = line.removeprefix("error: ").partition(". ")
    whole = f"{message}." if hint else ""
    is_right = line.startswith("error: ") and "\n" not in line and "test" in whole and hint.endswith((".", "models", "show"))
    status = fault.status in (None, 200) or str(fault.status) in whole or "reported" in whole
    return "right" if is_right and status and fault.says in line else line


def test_in_text_a_fault_is_one_line_and_an_exit_code_and_no_half_answer(bench: Bench) -> None:
    def seen(name: str) -> dict[str, Any]:
        wire, fault = LISTED[name]
        run = bench.run(f"{name}, text", wire, always=fault.reply, limits=patient(fault))
        return {"code": run.ran.code, "line": line_of(fault, run.error), "out": run.ran.out, "asked": len(run.server.requests)}

    def expected(fault: Fault) -> dict[str, Any]:
        return {"code": fault.kind.exit_code, "line": "right", "out": "", "asked": asked(fault)}

    assert side_by_side(seen, SLOW_FIRST) == {name: expected(fault) for name, (_, fault) in LISTED.items()}


def test_in_stream_json_a_fault_is_the_one_result_and_nothing_shown_is_lost_and_nothing_runs_twice(bench: Bench) -> None:
    """The fault, where it may pass, then a command, then the fault for ever."""

    def seen(name: str) -> dict[str, Any]:
        wire, fault = LISTED[name]
        replies = (fault.reply, TOOL_TURN) if fault.retryable else (TOOL_TURN,)
        run = bench.run(name, wire, "--output-format", "stream-json", replies=replies, always=fault.reply, limits=patient(fault))
        result, error, times = run.ran.result, run.ran.result["error"], [request.at for request in run.server.requests]
        answers = [(text.replace("x", ""), failed) for text, failed in run.answers]  # of a slow drip more or less comes
        return {
            "code": run.ran.code, "error": (error["kind"], error["provider"], error["status"], error["exit_code"]),
            "line": line_of(fault, f"error: {result['errors'][0]}"), "asked": len(times), "answers": answers, "commands": run.commands,
            "waited as asked": times[1] - times[0] >= (fault.retry_after or 0) or not fault.retryable,
        }  # fmt: skip

    def expected(name: str, fault: Fault) -> dict[str, Any]:
        code = fault.kind.exit_code
        broken = [(fault.shown, True)] if fault.shown or "slow drip" in name else []
        return {
            "code": code, "error": (fault.kind.kind, "test", fault.status, code), "line": "right",
            "asked": 1 + asked(fault) + fault.retryable, "answers": [("First a command.", False), *broken], "commands": ["ran"],
            "waited as asked": True,
        }  # fmt: skip

    assert side_by_side(seen, SLOW_FIRST) == {name: expected(name, fault) for name, (_, fault) in LISTED.items()}


@pytest.mark.parametrize("words", [(), ("--output-format", "stream-json")], ids=["text", "stream-json"])
@pytest.mark.parametrize("wire", NAMES)
def test_however_oddly_an_answer_comes_each_call_runs_once_and_the_run_ends_well(bench: Bench, wire: str, words: tuple[str, ...]) -> None:
    def seen(name: str) -> dict[str, Any]:
        odd = ODDITIES[name]
        first = odd.sent(wire, Answer(odd.text, calls=odd.calls, stop=odd.stop))
        run = bench.run(f"{name} {words}", wire, *words, replies=(first,), always=odd.sent(wire, DONE))
        out = run.ran.result["result"] if words else run.ran.out.rstrip("\n")
        return {"code": run.ran.code, "err": run.ran.err, "out": out, "asked": len(run.server.requests), "commands": sorted(run.commands)}

    def expected(name: str) -> dict[str, Any]:
        return {"code": 0, "err": "", "out": "Done.", "asked": 2, "commands": list(ODDITIES[name].ran)}

    assert side_by_side(seen, list(ODDITIES)) == {name: expected(name) for name in ODDITIES}


@pytest.mark.parametrize("wire", NAMES)
def test_an_answer_that_is_cut_is_shown_and_is_a_failure_and_none_of_its_calls_run(bench: Bench, wire: str) -> None:
    def seen(name: str) -> list[Any]:
        text = bench.run(name, wire, always=CUTS[name])
        stream = bench.run(f"{name}, stream", wire, "--output-format", "stream-json", always=CUTS[name])
        return [
            (run.ran.code, run.error.count("error: "), len(run.server.requests), run.commands, shown)
            for run, shown in ((text, text.ran.out), (stream, (stream.ran.result["result"], stream.ran.result["error"]["kind"])))
        ]

    expected = [(1, 1, 1, [], "Half an ans\n"), (1, 1, 1, [], ("Half an ans", "answer_cut"))]
    assert side_by_side(seen, list(CUTS)) == dict.fromkeys(CUTS, expected)

"""Every fault and every oddity of the table, over every wire, through the whole program in text, stream-json and json: the exit code, the one
line, how often the service was asked, what is kept of what was shown, and that no tool ever runs twice.

All cases of a wire run side by side, and what was seen of them is compared at once: a difference names its case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.faults import CUTS, ODDITIES, Fault, faults_of
from support.program import Ran, environment
from support.server import Answer, Call, Script, Server
from support.warm import Warm
from support.wires import NAMES

KEY = "sk-test-canary-0001"
RETRIES = 1
PATIENT = {"first_byte_s": 20.0, "idle_s": 20.0, "total_s": 60.0}
PATIENCE = 4
"""How much longer than a provider alone the program waits: other runs go on beside each."""
AT_ONCE = 6
TOOL_TURN = Answer("First a command.", calls=(Call("bash", {"command": "echo ran >> ran.txt"}, id="c1"),))
DONE = Answer("Done.")


@dataclass
class Run:
    """A run of the program that is over: what it wrote, what its server was asked, what its commands wrote."""

    ran: Ran
    server: Server
    folder: Path

    @property
    def error(self) -> str:
        """All of stderr but for what it says of retries."""
        return "\n".join(line for line in self.ran.err.splitlines() if not line.startswith("retry "))

    @property
    def commands(self) -> list[str]:
        path = self.folder / "ran.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def answers(self) -> list[tuple[str, bool]]:
        """Of stream-json: the text of each answer, and whether it is marked as one that failed."""
        lines = [line for line in self.ran.lines if line["type"] == "assistant"]
        return [("".join(block.get("text", "") for block in line["message"]["content"]), "error" in line) for line in lines]


@dataclass(frozen=True)
class Bench:
    program: Warm
    base: Path

    def run(self, name: str, wire: str, *words: str, replies: tuple[Script, ...] = (), always: Script, limits: Mapping[str, float] = PATIENT) -> Run:
        folder = self.base / "-".join((name, wire, *words)).replace(" ", "_")
        folder.mkdir()
        with Server(*replies, always=always) as server:
            env = environment(TEST_KEY=KEY, TEST_URL=server.url, XDG_CACHE_HOME=str(self.base / "cache"))
            patient = {name: limits.get(name, seconds / PATIENCE) * PATIENCE for name, seconds in PATIENT.items()}
            every = ("--config", str(self._config(wire, patient)), "-p", "Go", "--permission-mode", "bypass", *words)
            ran = self.program.run(*every, env=env, cwd=folder)
        assert KEY not in ran.out + ran.err
        assert "Traceback" not in ran.err
        return Run(ran, server, folder)

    def _config(self, wire: str, limits: dict[str, float]) -> Path:
        """One file for the same limits, so that it is read once."""
        path = self.base / f"{wire}-{'-'.join(map(str, limits.values()))}.hcl"
        if not path.exists():
            path.write_text(
                f'default_model = "test/m"\nproviders "test" {{\n  wire = "{wire}"\n  apiKey = env("TEST_KEY")\n  baseUrl = env("TEST_URL")\n'
                f'  models "m" {{}}\n}}\nlimits {{\n  retries = {RETRIES}\n  retry_first_s = 0.01\n'
                f"  first_byte_s = {limits['first_byte_s']}\n  idle_s = {limits['idle_s']}\n  call_s = {limits['total_s']}\n}}\n"
            )
        return path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Warm() as program:
        yield Bench(program, tmp_path_factory.mktemp("faults"))


def side_by_side(one: Callable[[str], Any], names: list[str]) -> dict[str, Any]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def slow_first(faults: dict[str, Fault]) -> list[str]:
    return sorted(faults, key=lambda name: not (faults[name].limits or faults[name].retry_after))


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


@pytest.mark.parametrize("wire", NAMES)
def test_in_text_a_fault_is_one_line_and_an_exit_code_and_no_half_answer(bench: Bench, wire: str) -> None:
    faults = faults_of(wire)

    def seen(name: str) -> dict[str, Any]:
        run = bench.run(name, wire, always=faults[name].reply, limits=faults[name].limits)
        return {"code": run.ran.code, "line": line_of(faults[name], run.error), "out": run.ran.out, "asked": len(run.server.requests)}

    def expected(name: str) -> dict[str, Any]:
        return {"code": faults[name].kind.exit_code, "line": "right", "out": "", "asked": asked(faults[name])}

    assert side_by_side(seen, slow_first(faults)) == {name: expected(name) for name in faults}


@pytest.mark.parametrize("wire", NAMES)
def test_in_stream_json_a_fault_is_the_one_result_and_nothing_shown_is_lost_and_nothing_runs_twice(bench: Bench, wire: str) -> None:
    """The fault, where it may pass, then a command, then the fault for ever."""
    faults = faults_of(wire)

    def seen(name: str) -> dict[str, Any]:
        fault = faults[name]
        replies = (fault.reply, TOOL_TURN) if fault.retryable else (TOOL_TURN,)
        run = bench.run(name, wire, "--output-format", "stream-json", replies=replies, always=fault.reply, limits=fault.limits)
        result, error, times = run.ran.result, run.ran.result["error"], [request.at for request in run.server.requests]
        answers = [(text.replace("x", ""), failed) for text, failed in run.answers]  # of a slow drip more or less comes
        return {
            "code": run.ran.code, "error": (error["kind"], error["provider"], error["status"], error["exit_code"]),
            "line": line_of(fault, f"error: {result['errors'][0]}"), "asked": len(times), "answers": answers, "commands": run.commands,
            "waited as asked": times[1] - times[0] >= (fault.retry_after or 0) or not fault.retryable,
        }  # fmt: skip

    def expected(name: str) -> dict[str, Any]:
        fault = faults[name]
        code = fault.kind.exit_code
        broken = [(fault.shown, True)] if fault.shown or name == "slow drip" else []
        return {
            "code": code, "error": (fault.kind.kind, "test", fault.status, code), "line": "right",
            "asked": 1 + asked(fault) + fault.retryable, "answers": [("First a command.", False), *broken], "commands": ["ran"],
            "waited as asked": True,
        }  # fmt: skip

    assert side_by_side(seen, slow_first(faults)) == {name: expected(name) for name in faults}


@pytest.mark.parametrize("words", [(), ("--output-format", "stream-json")], ids=["text", "stream-json"])
@pytest.mark.parametrize("wire", NAMES)
def test_however_oddly_an_answer_comes_each_call_runs_once_and_the_run_ends_well(bench: Bench, wire: str, words: tuple[str, ...]) -> None:
    def seen(name: str) -> dict[str, Any]:
        odd = ODDITIES[name]
        run = bench.run(name, wire, *words, replies=(odd.sent(wire, Answer(odd.text, calls=odd.calls, stop=odd.stop)),), always=odd.sent(wire, DONE))
        out = run.ran.result["result"] if words else run.ran.out.rstrip("\n")
        return {"code": run.ran.code, "err": run.ran.err, "out": out, "asked": len(run.server.requests), "commands": sorted(run.commands)}

    def expected(name: str) -> dict[str, Any]:
        return {"code": 0, "err": "", "out": "Done.", "asked": 2, "commands": list(ODDITIES[name].ran)}

    assert side_by_side(seen, list(ODDITIES)) == {name: expected(name) for name in ODDITIES}


@pytest.mark.parametrize("wire", NAMES)
def test_an_answer_that_is_cut_is_shown_and_is_a_failure_and_none_of_its_calls_run(bench: Bench, wire: str) -> None:
    def seen(name: str) -> list[Any]:
        text = bench.run(name, wire, always=CUTS[name])
        stream = bench.run(name, wire, "--output-format", "stream-json", always=CUTS[name])
        return [
            (run.ran.code, run.error.count("error: "), len(run.server.requests), run.commands, shown)
            for run, shown in ((text, text.ran.out), (stream, (stream.ran.result["result"], stream.ran.result["error"]["kind"])))
        ]

    expected = [(1, 1, 1, [], "Half an ans\n"), (1, 1, 1, [], ("Half an ans", "answer_cut"))]
    assert side_by_side(seen, list(CUTS)) == dict.fromkeys(CUTS, expected)

"""What can go wrong in a one-shot run, as a process of its own: the exit code, one clear line, exactly one result, no traceback, nothing left.

Faults of services are in `test_wire_faults.py`, all of them on every wire; here stands a sample of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.program import Ran, config, environment, run, start
from support.server import Answer, Call, Plain, Server, failed
from support.wires import NAMES

GOOD = Answer("The answer.")

FAULTS: dict[str, tuple[Callable[[], list[Any]], int, str, int]] = {
    # name: replies, exit code, kind of the error, requests
    "wrong key": (lambda: [failed(401, "bad key")], 41, "authentication", 1),
    "500 for ever": (lambda: [failed(500, "broken")] * 4, 75, "unavailable", 4),
    "cut streams": (lambda: [GOOD.sent(cut_after=200)] * 4, 75, "stream_broken", 4),
    "a web page": (lambda: [Plain(200, b"<html><body>Sign in</body></html>", {"content-type": "text/html"})], 1, "invalid_response", 1),
    "cut by its limit": (lambda: [Answer("Half an ans", stop="length")], 1, "answer_cut", 1),
    "filtered": (lambda: [Answer("Half", stop="content_filter")], 1, "answer_cut", 1),
}


def with_server(tmp_path: Path, replies: list[Any], *words: str, **limits: object) -> tuple[Ran, Server]:
    (tmp_path / "agent.hcl").write_text(config("URL", **limits))
    with Server(*replies) as server:
        (tmp_path / "agent.hcl").write_text(config(server.url, **limits))
        ran = run("--config", str(tmp_path / "agent.hcl"), "-p", "Hello", *words, cwd=tmp_path)
    return ran, server


FAST = {"retries": 3, "retry_first_s": 0.01, "first_byte_s": 5, "idle_s": 5}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_exit_code_and_exactly_one_result(tmp_path: Path, name: str) -> None:
    replies, code, kind, requests = FAULTS[name]
    ran, server = with_server(tmp_path, replies(), "--output-format", "stream-json", **FAST)
    result = ran.result
    assert (ran.code, result["is_error"], result["error"]["kind"], result["error"]["exit_code"]) == (code, True, kind, code)
    assert len(server.requests) == requests
    assert "Traceback" not in ran.err
    assert "sk-test-canary" not in ran.out + ran.err


@pytest.mark.parametrize("name", ["wrong key", "cut by its limit"])
def test_text_mode_says_it_in_one_line_on_stderr(tmp_path: Path, name: str) -> None:
    replies, code, _, _ = FAULTS[name]
    ran, _ = with_server(tmp_path, replies(), **FAST)
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert (ran.code, len(errors)) == (code, 1)
    assert ran.out == ("Half an ans\n" if name == "cut by its limit" else "")


def test_429_then_good_is_waited_for_as_the_service_asks(tmp_path: Path) -> None:
    ran, server = with_server(tmp_path, [failed(429, "slow down", {"retry-after": "0.2"}), GOOD], "--output-format", "json", **FAST)
    assert (ran.code, ran.result["result"], len(server.requests)) == (0, "The answer.", 2)
    assert server.requests[1].at - server.requests[0].at >= 0.2


def test_a_variable_that_is_not_set_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "agent.hcl").write_text(config("http://127.0.0.1:9/v1"))
    env = environment()
    del env["TEST_KEY"]
    ran = run("--config", "agent.hcl", "-p", "hi", "--output-format", "json", env=env, cwd=tmp_path)
    assert (ran.code, ran.result["error"]["kind"]) == (2, "config")
    assert "TEST_KEY" in ran.err
    assert "agent.hcl:3:" in ran.err


def test_an_unknown_model_exits_2_and_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "agent.hcl").write_text(config("http://127.0.0.1:9/v1"))
    ran = run("--config", "agent.hcl", "-m", "test/othr", "-p", "hi", cwd=tmp_path)
    assert ran.code == 2
    assert "test/other" in ran.err


def test_without_any_model_the_three_ways_are_named(tmp_path: Path) -> None:
    ran = run("-p", "hi", "--output-format", "json", env=environment(), cwd=tmp_path)
    assert ran.code == 2
    for way in ("OPENAI_API_KEY", "agent.hcl", "--model local"):
        assert way in ran.result["error"]["hint"]


def test_nobody_listening_is_a_transient_failure(tmp_path: Path) -> None:
    (tmp_path / "agent.hcl").write_text(config("http://127.0.0.1:9/v1", retries=0))
    ran = run("--config", "agent.hcl", "-p", "hi", "--output-format", "json", cwd=tmp_path)
    assert (ran.code, ran.result["error"]["kind"]) == (75, "unavailable")


SIGNALS = [(wire, signal.SIGINT, 130) for wire in NAMES] + [(NAMES[0], signal.SIGTERM, 143)]


@pytest.mark.parametrize(("wire", "number", "code"), SIGNALS)
def test_a_signal_in_the_middle_of_a_stream_ends_with_one_result_and_no_process(tmp_path: Path, wire: str, number: signal.Signals, code: int) -> None:
    with Server(Answer("Once upon a time there was").sent(stall_after=5)) as server:
        (tmp_path / "agent.hcl").write_text(config(server.url, wire))
        program = start("--config", "agent.hcl", "-p", "tell", "--output-format", "json", cwd=tmp_path)
        server.wait_for(1)
        program.send_signal(number)
        out, err = program.communicate(timeout=20)
        server.wait_closed(1)
    ran = Ran(program.returncode, out.decode(), err.decode())
    assert (ran.code, ran.result["is_error"]) == (code, True)
    assert "Traceback" not in ran.err


def test_a_signal_while_a_command_runs_leaves_no_process(tmp_path: Path) -> None:
    mark = f"30.{os.getpid()}"
    with Server(Answer(calls=(Call("bash", {"command": f"sleep {mark} & echo started; wait"}),))) as server:
        (tmp_path / "agent.hcl").write_text(config(server.url))
        program = start(
            "--config", "agent.hcl", "-p", "go", "--permission-mode", "bypass", "--output-format", "stream-json", "--verbose", cwd=tmp_path
        )
        server.wait_for(1)
        assert _appears(mark)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=20)
    ran = Ran(program.returncode, out.decode(), err.decode())
    assert ran.code == 130
    assert ran.result["subtype"] == "error_during_execution"
    assert not _alive(mark)
    tool_results = [block for line in ran.lines if line["type"] == "user" for block in line["message"]["content"]]
    assert [block["is_error"] for block in tool_results] == [True]


@pytest.mark.parametrize(("flag", "number", "code"), [("--config", signal.SIGTERM, 143), ("--json-schema", signal.SIGINT, 130)])
def test_a_signal_ends_the_wait_for_a_file_that_is_a_pipe(tmp_path: Path, flag: str, number: signal.Signals, code: int) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = start(flag, str(pipe), "-p", "hi", "--output-format", "json", cwd=tmp_path)
    writer = os.open(pipe, os.O_WRONLY)  # opens when the program reads
    try:
        program.send_signal(number)
        out, err = program.communicate(timeout=10)
    finally:
        os.close(writer)
    ran = Ran(program.returncode, out.decode(), err.decode())
    assert (ran.code, ran.result["error"]["exit_code"]) == (code, code)
    assert len(ran.err.splitlines()) == 1, ran.err


def _alive(mark: str) -> bool:
    every = psutil.process_iter(["name", "cmdline"])
    return any(mark in " ".join(found.info["cmdline"] or []) and "sleep" in (found.info["name"] or "") for found in every)


def _appears(mark: str) -> bool:
    import time

    until = time.monotonic() + 15
    while time.monotonic() < until:
        if _alive(mark):
            return True
        time.sleep(0.02)
    return False


def test_a_reader_that_goes_away_ends_the_run_quietly(tmp_path: Path) -> None:
    with Server(always=Answer("word " * 3000)) as server:
        (tmp_path / "agent.hcl").write_text(config(server.url))
        program = start("--config", "agent.hcl", "-p", "hi", "--output-format", "stream-json", "--include-partial-messages", cwd=tmp_path)
        assert program.stdout is not None
        program.stdout.read(10)
        program.stdout.close()
        assert program.stderr is not None
        err = program.stderr.read().decode()
        code = program.wait(timeout=20)
        program.stderr.close()
    assert code == 0
    assert "Traceback" not in err


def test_a_full_disk_fails_the_run_in_one_line(tmp_path: Path) -> None:
    """In a mount namespace, the sessions' folder is a tmpfs of 64 KB that is full already."""
    with Server(always=GOOD) as server:
        (tmp_path / "agent.hcl").write_text(config(server.url))
        data = tmp_path / "data"
        data.mkdir()
        script = (
            f"mount -t tmpfs -o size=64k none {data} && mkdir -p {data}/agentcli/sessions && "
            f"(cat /dev/zero > {data}/filler; exec {sys.executable} -m agentcli --config agent.hcl -p hi --output-format json)"
        )
        env = environment(XDG_DATA_HOME=str(data))
        probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
        if probe.returncode != 0:
            pytest.skip("needs the right to make a mount namespace")
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", script], capture_output=True, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, check=False, timeout=60
        )
    ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert (ran.code, ran.result["error"]["kind"]) == (1, "storage")
    assert "Traceback" not in ran.err
    assert len([line for line in ran.err.splitlines() if line.startswith("error: ")]) == 1

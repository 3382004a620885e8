from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from support.alive import runs, still_running

from agentcli.protocol.errors import UsageError
from agentcli.system import processes
from agentcli.system.processes import Completed, run, run_blocking, start

REPO = Path(__file__).resolve().parents[2]
FAMILY = 'sleep 1000 & echo "$! $$"; sleep 1000'
"""A child and a grandchild that tell their numbers and would run for a long time."""


def test_a_finished_program_gives_its_exit_code_and_both_streams() -> None:
    done = asyncio.run(run(["sh", "-c", "echo out; echo err >&2; exit 3"]))
    assert done == Completed(3, b"out\n", b"err\n")


def test_merged_streams_keep_the_order_in_which_they_were_written() -> None:
    script = "for n in 1 2 3; do echo out$n; echo err$n >&2; done"
    done = asyncio.run(run(["sh", "-c", script], merge_stderr=True))
    assert done == Completed(0, b"out1\nerr1\nout2\nerr2\nout3\nerr3\n", b"")


def test_a_program_ended_by_a_signal_has_a_negative_exit_code() -> None:
    assert asyncio.run(run(["sh", "-c", "kill -9 $$"])) == Completed(-9, b"", b"")


def test_stdin_is_given_whole_and_is_empty_where_none_is_given() -> None:
    data = os.urandom(500_000)
    assert asyncio.run(run(["cat"], stdin=data)) == Completed(0, data, b"")
    assert asyncio.run(run(["cat"])) == Completed(0, b"", b"")
    assert asyncio.run(run(["cat"], stdin=b"")) == Completed(0, b"", b"")


def test_a_program_that_does_not_read_its_stdin_ends_all_the_same() -> None:
    assert asyncio.run(run(["true"], stdin=b"x" * 5_000_000)) == Completed(0, b"", b"")


def test_folder_and_environment_are_those_given(tmp_path: Path) -> None:
    done = asyncio.run(run(["/bin/sh", "-c", "pwd; echo $A $HOME"], cwd=tmp_path, env={"A": "1"}))
    assert done == Completed(0, f"{tmp_path}\n1\n".encode(), b"")


def test_an_environment_that_is_not_given_is_ours_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("KEPT", "yes")
    script = ["sh", "-c", 'echo "$OPENAI_API_KEY|$KEPT|$GIT_TERMINAL_PROMPT"']
    assert asyncio.run(run(script)) == Completed(0, b"|yes|0\n", b"")
    assert run_blocking(script) == Completed(0, b"|yes|0\n", b"")


def test_a_child_has_no_terminal_and_a_group_of_its_own() -> None:
    done = asyncio.run(run(["sh", "-c", "(: </dev/tty) 2>/dev/null && echo terminal; ps -o pgid= -p $$; echo $$"]))
    group, pid = done.stdout.split()
    assert group == pid and int(group) != os.getpgrp()


@pytest.mark.parametrize(
    ("argv", "cwd", "said"),
    [
        (["no-such-program-here"], None, "cannot run 'no-such-program-here': there is no such program. Install it, or put its folder on PATH."),
        (["/no/such/program"], None, "cannot run '/no/such/program': there is no such program. Install it, or put its folder on PATH."),
        (["sh"], Path("/no/such/folder"), "cannot run 'sh' in /no/such/folder: no such folder."),
        (["/etc/passwd"], None, "cannot run '/etc/passwd': it may not be executed."),
        (["sh", "-c", "a\0b"], None, "cannot run 'sh': embedded null byte."),
        ([], None, "no program to run was named."),
    ],
)
def test_what_cannot_be_started_is_a_usage_error_that_names_it(argv: list[str], cwd: Path | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        asyncio.run(run(argv, cwd=cwd))
    with pytest.raises(UsageError) as blocking:
        run_blocking(argv, cwd=cwd)
    assert [caught.value.line(), blocking.value.line()] == [said, said]


def test_an_argument_list_that_is_too_long_is_an_error_of_ours() -> None:
    with pytest.raises(processes.AgentError, match="cannot start 'echo': Argument list too long"):
        asyncio.run(run(["echo", "x" * 10_000_000]))


def test_output_beyond_the_limit_is_dropped_and_said_to_be() -> None:
    done = asyncio.run(run(["sh", "-c", "head -c 300000 /dev/zero; echo err >&2"], max_output=1000))
    assert done == Completed(0, b"\0" * 1000, b"err\n", truncated=True)
    assert asyncio.run(run(["printf", "12345"], max_output=5)) == Completed(0, b"12345", b"")


def test_output_arrives_while_the_program_runs(tmp_path: Path) -> None:
    """The program waits for a file that is written only when its first line was seen."""
    go = tmp_path / "go"
    pieces: list[bytes] = []

    def seen(piece: bytes) -> None:
        pieces.append(piece)
        go.touch()

    script = f'echo first; until [ -e "{go}" ]; do sleep 0.01; done; echo second'
    done = asyncio.run(run(["sh", "-c", script], on_output=seen, timeout_s=20))
    assert (done, b"".join(pieces)) == (Completed(0, b"first\nsecond\n", b""), b"first\nsecond\n")


def test_an_error_of_the_listener_ends_the_program_and_comes_out() -> None:
    numbers: list[int] = []

    def broken(piece: bytes) -> None:
        numbers.extend(map(int, piece.split()))
        raise KeyError("broken listener")

    with pytest.raises(KeyError, match="broken listener"):
        asyncio.run(run(["sh", "-c", FAMILY], on_output=broken))
    assert len(numbers) == 2 and still_running(numbers) == []


def test_a_time_out_ends_the_whole_group_and_keeps_what_was_said() -> None:
    began = time.monotonic()
    done = asyncio.run(run(["sh", "-c", FAMILY], timeout_s=0.3))
    numbers = [int(word) for word in done.stdout.split()]
    assert done == Completed(None, done.stdout, b"", timed_out=True)
    assert len(numbers) == 2 and still_running(numbers) == []
    assert time.monotonic() - began < 2, "nothing of the group ignored TERM, so the grace was not to be used up"


def test_last_words_after_term_are_heard() -> None:
    done = asyncio.run(run(["bash", "-c", "trap 'echo bye; exit 7' TERM; echo hello; sleep 1000 & wait"], timeout_s=0.3))
    assert done == Completed(None, b"hello\nbye\n", b"", timed_out=True)


def test_what_ignores_term_gets_kill_after_the_grace() -> None:
    began = time.monotonic()
    done = asyncio.run(run(["bash", "-c", "trap '' TERM; sleep 1000 & echo $! $$; wait; sleep 1000"], timeout_s=0.2, grace_s=0.3))
    assert done.timed_out and still_running(map(int, done.stdout.split())) == []
    assert 0.5 <= time.monotonic() - began < 2.5


def test_a_stopped_program_ends_too() -> None:
    began = time.monotonic()
    done = asyncio.run(run(["sh", "-c", "echo $$; kill -STOP $$"], timeout_s=0.2, grace_s=30))
    assert done.timed_out and still_running([int(done.stdout)]) == []
    assert time.monotonic() - began < 5


def test_a_flood_of_output_is_stopped_by_the_time_limit() -> None:
    done = asyncio.run(run(["yes"], timeout_s=0.3, max_output=10_000))
    assert done == Completed(None, b"y\n" * 5000, b"", timed_out=True, truncated=True)


async def _begun(begin: Callable[[Callable[[bytes], None]], Awaitable[Completed]]) -> tuple[asyncio.Task[Completed], list[int]]:
    """A run of FAMILY as a task, and the numbers of its processes, once both are there."""
    heard: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(begin(lambda piece: heard.set_result([int(word) for word in piece.split()])))
    return task, await asyncio.wait_for(heard, 10)


def test_a_cancel_ends_child_and_grandchild_before_it_returns() -> None:
    async def main() -> list[int]:
        task, numbers = await _begun(lambda listen: run(["sh", "-c", FAMILY], on_output=listen))
        assert [runs(number) for number in numbers] == [True, True]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [number for number in numbers if runs(number)] == []
        return numbers

    assert len(asyncio.run(main())) == 2


def test_a_second_cancel_does_not_wait_for_the_grace() -> None:
    async def main() -> float:
        script = f"trap '' TERM; {FAMILY}"
        task, numbers = await _begun(lambda listen: run(["sh", "-c", script], on_output=listen, grace_s=60))
        task.cancel()
        await asyncio.sleep(0.05)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert still_running(numbers, 1) == []
        return time.monotonic() - began

    assert asyncio.run(main()) < 5


@pytest.mark.parametrize("steps", range(8))
def test_a_cancel_at_any_moment_of_the_start_leaves_nothing(steps: int, tmp_path: Path) -> None:
    """`steps` turns of the loop after the call: before, during and after the start of the program."""
    mark = f"mark-{os.getpid()}-{steps}"

    async def main() -> None:
        task = asyncio.create_task(run(["sh", "-c", f"sleep 1000 & sleep 1000; : {mark}"]))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    left = [process.pid for process in psutil.process_iter(["cmdline"]) if any(mark in word for word in process.info["cmdline"] or ())]
    assert still_running(left, 1) == []


def _ended_by_test(done: Completed) -> int:
    """The number that a command told of what it left in the background; ends that."""
    number = int(done.stdout.split()[0])
    assert runs(number), "what a program leaves in the background is not ours to end"
    os.kill(number, signal.SIGKILL)
    return number


@pytest.mark.parametrize("detach", ["", "setsid ", "nohup "])
def test_a_detached_child_that_holds_the_pipes_is_not_waited_for(detach: str) -> None:
    script = f"{detach}sleep 1000 & echo $!"
    began = time.monotonic()
    first = asyncio.run(run(["bash", "-c", script], timeout_s=30))
    second = run_blocking(["bash", "-c", script], timeout_s=30)
    assert time.monotonic() - began < 3
    assert [(done.exit_code, done.timed_out) for done in (first, second)] == [(0, False), (0, False)]
    _ended_by_test(first)
    _ended_by_test(second)


def test_a_detached_child_that_goes_on_writing_is_not_waited_for_either() -> None:
    began = time.monotonic()
    done = asyncio.run(run(["bash", "-c", "while :; do echo tick; sleep 0.02; done & echo $!"]))
    assert time.monotonic() - began < 4
    number = int(next(word for word in done.stdout.split() if word.isdigit()))
    assert still_running([number]) == [], "a writer whose reader has gone gets SIGPIPE"


def test_all_output_of_the_program_itself_is_there_though_a_detached_child_holds_the_pipe() -> None:
    done = asyncio.run(run(["bash", "-c", "sleep 1000 & echo $!; head -c 900000 /dev/zero"]))
    assert done.stdout.count(b"\0") == 900_000
    _ended_by_test(done)


def test_a_time_out_does_not_wait_for_a_child_that_left_the_group() -> None:
    began = time.monotonic()
    done = asyncio.run(run(["bash", "-c", "setsid sleep 1000 & echo $!; sleep 1000"], timeout_s=0.3))
    assert done.timed_out and time.monotonic() - began < 3
    _ended_by_test(done)


def test_a_hundred_programs_at_once_all_end_right() -> None:
    async def main() -> list[Completed]:
        return await asyncio.gather(*(run(["sh", "-c", f"echo {n}; exit {n}"]) for n in range(100)))

    assert asyncio.run(main()) == [Completed(n, f"{n}\n".encode(), b"") for n in range(100)]


def test_programs_run_from_loops_on_other_threads() -> None:
    async def main() -> Completed:
        return await asyncio.to_thread(lambda: asyncio.run(run(["echo", "there"])))

    assert asyncio.run(main()) == Completed(0, b"there\n", b"")


def test_no_descriptor_is_left_open_after_runs_of_every_kind() -> None:
    async def main() -> tuple[int, int]:
        counts: list[int] = []
        for _ in range(2):
            await run(["true"])
            await run(["cat"], stdin=b"x")
            await run(["sleep", "100"], timeout_s=0.05)
            child = await start(["cat"])
            await child.stop()
            await asyncio.to_thread(run_blocking, ["true"])
            with pytest.raises(UsageError):
                await run(["no-such-program-here"])
            await asyncio.sleep(0.05)
            counts.append(sum(1 for _ in Path("/dev/fd").iterdir()))
        return counts[0], counts[1]

    first, second = asyncio.run(main())
    assert first == second


def test_blocking_run_gives_what_run_gives() -> None:
    assert run_blocking(["sh", "-c", "cat; echo err >&2; exit 4"], stdin=b"in\n") == Completed(4, b"in\n", b"err\n")


def test_blocking_run_ends_the_group_on_a_time_out_and_keeps_what_was_said() -> None:
    began = time.monotonic()
    done = run_blocking(["sh", "-c", FAMILY], timeout_s=0.3)
    assert (done.exit_code, done.timed_out) == (None, True)
    numbers = [int(word) for word in done.stdout.split()]
    assert len(numbers) == 2 and still_running(numbers) == []
    assert time.monotonic() - began < 3


def test_a_started_child_speaks_by_lines_of_any_length() -> None:
    async def main() -> tuple[bytes, bytes, int | None]:
        child = await start(["cat"])
        try:
            child.stdin.write(b"short\n" + b"x" * 1_000_000 + b"\n")
            await child.stdin.drain()
            lines = await child.stdout.readline(), await child.stdout.readline()
            child.stdin.close()
            assert child.exit_code is None or child.exit_code == 0
            assert await asyncio.wait_for(child.wait(), 10) == 0
            return *lines, child.exit_code
        finally:
            await child.stop()

    assert asyncio.run(main()) == (b"short\n", b"x" * 1_000_000 + b"\n", 0)


def test_stop_ends_the_whole_group_and_a_second_stop_does_nothing() -> None:
    async def main() -> tuple[int | None, int | None]:
        child = await start(["sh", "-c", FAMILY], stdin_pipe=False, stderr="null")
        numbers = [int(word) for word in (await child.stdout.readline()).split()]
        first = await child.stop()
        assert child.pid in numbers and [number for number in numbers if runs(number)] == []
        return first, await child.stop()

    assert asyncio.run(main()) == (-15, -15)


def test_wait_returns_at_the_childs_own_end_though_a_grandchild_holds_its_pipes() -> None:
    async def main() -> int:
        child = await start(["bash", "-c", "sleep 1000 & echo $!; exit 5"])
        try:
            code = await asyncio.wait_for(child.wait(), 10)
            os.kill(int(await child.stdout.readline()), signal.SIGKILL)
            return code
        finally:
            await child.stop()

    assert asyncio.run(main()) == 5


PARENT = """
import asyncio, sys
from agentcli.system.processes import run, start
{setup}
async def main():
    {body}
asyncio.run(main())
"""


def _parent(body: str, setup: str = "") -> subprocess.Popen[bytes]:
    program = PARENT.format(body=body, setup=setup)
    return subprocess.Popen([sys.executable, "-c", program], cwd=REPO, stdout=subprocess.PIPE, start_new_session=True)


def _numbers(parent: subprocess.Popen[bytes]) -> list[int]:
    assert parent.stdout is not None
    return [int(word) for word in re.findall(rb"\d+", parent.stdout.readline())]


LISTEN = "on_output=lambda piece: print(piece.decode(), end='', flush=True)"


def test_child_and_grandchild_die_with_a_parent_that_is_killed() -> None:
    with _parent(f"await run(['sh', '-c', {FAMILY!r}], {LISTEN})") as parent:
        numbers = _numbers(parent)
        assert [runs(number) for number in numbers] == [True, True]
        parent.kill()
        assert still_running(numbers) == []


def test_a_child_that_ignores_term_dies_with_a_killed_parent_too() -> None:
    script = f"trap '' TERM; {FAMILY}"
    with _parent(f"await run(['sh', '-c', {script!r}], {LISTEN})") as parent:
        numbers = _numbers(parent)
        parent.kill()
        assert len(numbers) == 2 and still_running(numbers) == []


KILLED_BETWEEN = """
import os, signal, subprocess
began = subprocess.Popen.__init__
def killed_at_once(child, argv, **options):
    began(child, argv, **options)
    if list(argv) == ["sleep", "1000"]:
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
subprocess.Popen.__init__ = killed_at_once
"""


@pytest.mark.parametrize("start_it", ["await run(['sleep', '1000'])", "await start(['sleep', '1000'])", "run_blocking(['sleep', '1000'])"])
@pytest.mark.parametrize("first", [True, False], ids=["the-first-child", "a-later-child"])
def test_a_child_dies_though_we_are_killed_before_its_number_was_noted(start_it: str, first: bool) -> None:
    body = start_it if first else f"await run(['true']); {start_it}"
    with _parent(body, f"from agentcli.system.processes import run_blocking\n{KILLED_BETWEEN}") as parent:
        numbers = _numbers(parent)
        assert parent.wait(10) == -signal.SIGKILL
        assert len(numbers) == 1 and still_running(numbers) == []


def test_a_killed_guard_is_replaced_at_the_next_child_and_knows_the_earlier_ones() -> None:
    body = (
        "first = await start(['sleep', '1000']); print(first.pid, flush=True); "
        "await asyncio.to_thread(sys.stdin.readline); second = await start(['sleep', '1000']); print(second.pid, flush=True); await second.wait()"
    )
    program = PARENT.format(body=body, setup="")
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        first = _numbers(parent)
        guards = [child for child in psutil.Process(parent.pid).children() if "agentcli-guard" in child.cmdline()]
        assert len(guards) == 1
        guards[0].kill()
        assert still_running([guards[0].pid]) == []
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        second = _numbers(parent)
        parent.kill()
        assert len(first + second) == 2 and still_running(first + second) == []


def test_what_a_finished_program_left_behind_outlives_us_and_the_guard_does_not() -> None:
    body = (
        "child = await start(['cat']); done = await run(['bash', '-c', 'sleep 1000 & echo $!']); await child.stop(); "
        "import psutil; guards = [p.pid for p in psutil.Process().children() if 'agentcli-guard' in p.cmdline()]; "
        "print(done.stdout.decode().strip(), *guards, flush=True)"
    )
    with _parent(body) as parent:
        left, *guards = _numbers(parent)
    try:
        assert parent.returncode == 0 and len(guards) == 1 and still_running(guards) == []
        assert runs(left)
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_parent_without_children_starts_no_guard() -> None:
    with _parent("import psutil; print(len(psutil.Process().children()), flush=True)") as parent:
        assert _numbers(parent) == [0]

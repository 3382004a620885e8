from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.alive import runs, still_running
from support.toolbox import answer, call, context, refusal, text_of

from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, CommandDisplay, ToolContext, ToolMemory, ToolOutcome
from agentcli.tools import outputs
from agentcli.tools.bash import Bash, BashArgs

BASH = Bash()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def _args(**arguments: object) -> BashArgs:
    return BashArgs.model_validate(arguments)


def test_a_command_gives_its_output_and_nothing_else_when_all_is_well(folder: Path) -> None:
    outcome = call(BASH, context(folder), command="echo out; echo err >&2; echo end")
    assert outcome == ToolOutcome(
        (Text("out\nerr\nend"),),
        CommandDisplay("echo out; echo err >&2; echo end", "out\nerr\nend", 0),
        data={"exit_code": 0, "timed_out": False},
    )


def test_a_failed_command_tells_its_exit_code_after_its_output(folder: Path) -> None:
    outcome = call(BASH, context(folder), command="echo no; exit 3")
    assert outcome == ToolOutcome(
        (Text("no\n[exit code 3]"),), CommandDisplay("echo no; exit 3", "no", 3), is_error=True, data={"exit_code": 3, "timed_out": False}
    )


def test_a_command_without_output_says_so(folder: Path) -> None:
    assert [answer(BASH, context(folder), command=command) for command in ("true", "false")] == ["(no output)", "(no output)\n[exit code 1]"]


def test_a_command_ended_by_a_signal_names_it(folder: Path) -> None:
    assert answer(BASH, context(folder), command="echo a; kill -SEGV $$") == "a\n[ended by signal SIGSEGV]"


def test_it_runs_bash_in_the_agents_folder_with_the_agents_environment_and_no_input(folder: Path) -> None:
    ctx = replace(context(folder), child_env={"PATH": os.environ["PATH"], "MINE": "1"})
    script = '[[ -n $BASH_VERSION ]] && echo bash; pwd; echo "$MINE|$HOME"; cat; echo "-$#-"'
    assert answer(BASH, ctx, command=script) == f"bash\n{folder}\n1|\n-0-"


def test_where_there_is_no_bash_sh_runs_the_command(folder: Path, tmp_path: Path) -> None:
    ctx = replace(context(folder), child_env={"PATH": str(tmp_path / "nothing")})
    assert answer(BASH, ctx, command="echo plain") == "plain"


def test_a_command_of_several_lines_and_one_that_starts_with_a_dash(folder: Path) -> None:
    assert answer(BASH, context(folder), command="for n in 1 2; do\n  echo $n\ndone\ncat <<EOF\nhere\nEOF") == "1\n2\nhere"
    assert "-x: command not found" in answer(BASH, context(folder), command="-x")


def test_what_a_cd_or_a_variable_did_is_gone_in_the_next_call(folder: Path) -> None:
    ctx = context(folder)
    answer(BASH, ctx, command="cd / && export X=1")
    assert answer(BASH, ctx, command='pwd; echo "[$X]"') == f"{folder}\n[]"


def test_escape_codes_carry_no_text_and_broken_bytes_are_replaced(folder: Path) -> None:
    command = r"printf '\033[31mred\033[0m \xff \xc3\xa9\r\n\033]0;title\007x\n'"
    assert answer(BASH, context(folder), command=command) == "red � é\n␛]0;title␇x"


def test_a_character_that_arrives_in_two_pieces_is_one(folder: Path) -> None:
    assert answer(BASH, context(folder), command=r"printf '\xc3'; sleep 0.1; printf '\xa9'") == "é"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("  \n ", "bad_command", "the command is empty"),
        ("echo a\0b", "bad_command", "the command holds a NUL character, which no shell takes; write it as \\0 in printf or $'\\0'"),
        ("echo " + "x" * 100_000, "bad_command", "the command is longer than 100,000 bytes; write it to a file first and run that"),
    ],
)
def test_an_impossible_command_is_refused(command: str, code: str, said: str, folder: Path) -> None:
    assert refusal(BASH, context(folder), command=command) == (code, said)


def test_half_a_character_in_a_command_is_refused(folder: Path) -> None:
    code, said = refusal(BASH, context(folder), command="echo \udce9")
    assert code == "encoding" and said.startswith("the command holds half of a surrogate pair")


def test_the_longest_command_that_is_taken_runs(folder: Path) -> None:
    command = ": " + "x" * 99_987 + "; echo done"
    assert (len(command), answer(BASH, context(folder), command=command)) == (100_000, "done")


def test_a_folder_that_has_gone_is_a_failure_that_names_it(folder: Path) -> None:
    ctx = context(folder)
    folder.rmdir()
    assert refusal(BASH, ctx, command="pwd") == ("not_started", f"cannot run 'bash' in {folder}: no such folder.")


def test_a_time_out_ends_all_and_says_how_to_run_longer(folder: Path) -> None:
    began = time.monotonic()
    outcome = call(BASH, context(folder), command="sleep 1000 & echo $! $$; sleep 1000", timeout_s=0.4)
    assert time.monotonic() - began < 4
    numbers = [int(word) for word in text_of(outcome).splitlines()[0].split()]
    assert len(numbers) == 2 and still_running(numbers) == []
    output = " ".join(map(str, numbers))
    note = (
        "[not done after 0.4 s: ended, with all it had started. If it needs longer, give timeout_s up to 600, or run it in the background: "
        "COMMAND > FILE.log 2>&1 &]"
    )
    assert outcome == ToolOutcome(
        (Text(f"{output}\n{note}"),),
        CommandDisplay("sleep 1000 & echo $! $$; sleep 1000", output, None, True),
        is_error=True,
        data={"exit_code": None, "timed_out": True},
    )


def test_a_background_run_as_the_description_tells_it_returns_at_once_and_goes_on(folder: Path) -> None:
    began = time.monotonic()
    number = int(answer(BASH, context(folder), command="(echo up; exec sleep 1000) > server.log 2>&1 & echo $!"))
    try:
        assert time.monotonic() - began < 5 and runs(number)
        while (folder / "server.log").read_text() != "up\n":
            assert time.monotonic() - began < 5
    finally:
        os.kill(number, signal.SIGKILL)


@pytest.mark.parametrize(
    "how",
    [
        "sleep 1000 & echo $!",
        "nohup sleep 1000 & echo $!",
        "setsid sleep 1000 & echo $!",
        "(sleep 1000 & echo $!)",
        "sleep 1000 & echo $!; disown",
    ],
)
def test_a_detached_child_that_holds_the_output_is_not_waited_for(how: str, folder: Path) -> None:
    began = time.monotonic()
    number = int(answer(BASH, context(folder), command=how))
    try:
        assert time.monotonic() - began < 5 and runs(number)
    finally:
        os.kill(number, signal.SIGKILL)


def test_a_cancel_leaves_no_process_of_the_command(folder: Path) -> None:
    heard: list[str] = []

    async def main() -> list[int]:
        told = asyncio.Event()

        def show(text: str) -> None:
            heard.append(text)
            told.set()

        ctx = replace(context(folder), show=show)
        task = asyncio.create_task(BASH.run(_args(command="sleep 1000 & echo $! $$; sleep 1000"), ctx))
        await asyncio.wait_for(told.wait(), 10)
        numbers = [int(word) for word in "".join(heard).split()]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [*numbers, *(number for number in numbers if runs(number))]

    assert len(asyncio.run(main())) == 2


# --- long output ---


def test_long_output_keeps_start_and_end_and_tells_where_the_whole_is(folder: Path) -> None:
    ctx = context(folder, output_limit=2500)
    outcome = call(BASH, ctx, command="seq 1 5000; exit 1")
    saved = ctx.scratch / "output-main-1.txt"
    whole = "".join(f"{n}\n" for n in range(1, 5001))
    start, end = whole[:667], whole[-1333:]
    note = f"[{len(whole) - 2000:,} characters left out here; the whole output is in {saved}: look at parts of it with grep or read]"
    shown = f"{start.rstrip()}\n\n{note}\n\n{end.strip()}"
    assert outcome == ToolOutcome(
        (Text(f"{shown}\n[exit code 1]"),),
        CommandDisplay("seq 1 5000; exit 1", shown, 1, False, str(saved)),
        is_error=True,
        data={"exit_code": 1, "timed_out": False, "full_output": str(saved)},
    )
    assert (saved.read_text(), oct(saved.stat().st_mode & 0o777), ctx.memory.outputs) == (whole, "0o600", 1)
    assert len(text_of(outcome)) <= 2500


def test_output_that_fits_writes_no_file(folder: Path) -> None:
    ctx = context(folder, output_limit=2500)
    assert answer(BASH, ctx, command="printf '%2000s' x") == " " * 1999 + "x"
    assert (ctx.scratch.exists(), ctx.memory.outputs) == (False, 0)


def test_the_file_holds_the_very_bytes_of_the_output(folder: Path) -> None:
    ctx = context(folder, output_limit=1000)
    raw = os.urandom(200_000)
    (folder / "noise").write_bytes(raw)
    answer(BASH, ctx, command="cat noise")
    assert (ctx.scratch / "output-main-1.txt").read_bytes() == raw


def test_files_are_numbered_on_and_never_written_over(folder: Path) -> None:
    first, worker = context(folder, output_limit=1000), replace(context(folder, output_limit=1000), agent_id="main/scout-2")
    resumed = replace(first, memory=ToolMemory())
    for ctx in (first, first, worker, resumed):
        answer(BASH, ctx, command="seq 1 1000")
    names = ["output-main-1.txt", "output-main-2.txt", "output-main-3.txt", "output-main.scout-2-1.txt"]
    assert sorted(path.name for path in first.scratch.iterdir()) == names
    assert (first.memory.outputs, worker.memory.outputs, resumed.memory.outputs) == (2, 1, 3)


def test_where_the_whole_cannot_be_saved_the_result_says_why(folder: Path) -> None:
    ctx = context(folder, output_limit=1000)
    ctx.scratch.write_text("in the way")
    assert f"left out here; it could not be saved: cannot create the folder {ctx.scratch}: File exists" in answer(BASH, ctx, command="seq 1 1000")


def test_a_full_disk_leaves_the_part_that_fitted_and_says_so(folder: Path, tmp_path: Path) -> None:
    """The limit on file size (`ulimit -f`) of a process of its own stands for the disk: it needs no rights."""
    program = (
        "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from support.toolbox import answer, context; from agentcli.tools.bash import Bash;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY));"
        "print(answer(Bash(), context(Path(sys.argv[2]), output_limit=1000), command='seq 1 10000'))"
    )
    tests = Path(__file__).resolve().parents[1]
    said = answer(
        BASH,
        replace(context(folder), child_env=dict(os.environ) | {"PYTHONPATH": str(tests.parent), "P": program}),
        command=f'{sys.executable} -c "$P" {tests} {folder}',
    )
    saved = tmp_path / "scratch" / "output-main-1.txt"
    assert f"left out here; the output up to there is in {saved} (File too large)]" in said
    assert saved.stat().st_size == 4096 and said.endswith("10000")


def test_a_command_gone_wild_does_not_fill_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "FILE_LIMIT", 3 * 1024 * 1024)
    ctx = context(folder)
    said = answer(BASH, ctx, command="head -c 9000000 /dev/zero | tr '\\0' x; echo; echo end")
    saved = ctx.scratch / "output-main-1.txt"
    assert saved.stat().st_size == 3 * 1024 * 1024 and said.endswith("x\nend")
    assert f"the output up to there is in {saved} (no more than 3 MB are saved)]" in said


# --- what the person sees meanwhile ---


def _shown(folder: Path, command: str, each: Callable[[str], None] = lambda text: None) -> tuple[list[str], str]:
    pieces: list[str] = []

    def show(text: str) -> None:
        pieces.append(text)
        each(text)

    said = answer(BASH, replace(context(folder), show=show), command=command)
    return pieces, said


def test_output_is_shown_while_the_command_runs(folder: Path) -> None:
    """The command goes on only when its first line was shown."""
    pieces, said = _shown(folder, "echo first; until [ -e go ]; do sleep 0.01; done; echo second", lambda text: (folder / "go").touch())
    assert ("".join(pieces), said, pieces[0]) == ("first\nsecond\n", "first\nsecond", "first\n")


def test_a_last_line_is_shown_though_the_command_says_no_more(folder: Path) -> None:
    """Two lines at once: the second is within the pause after the first, and nothing that follows would push it out."""
    command = "echo first; sleep 0.03; echo second; until [ -e go ]; do sleep 0.01; done"
    pieces, _ = _shown(folder, command, lambda text: (folder / "go").touch() if "second" in text else None)
    assert "".join(pieces) == "first\nsecond\n"


def test_a_flood_is_shown_a_few_times_a_second_and_only_its_end(folder: Path) -> None:
    began = time.monotonic()
    pieces, _ = _shown(folder, "seq 1 2000000")
    updates = (time.monotonic() - began) / outputs.SHOW_EVERY_S + 2
    assert len(pieces) <= updates and all(len(piece) <= outputs.SHOW_AT_MOST + 2 for piece in pieces)
    assert pieces[-1].endswith("1999999\n2000000\n")


# --- arguments ---


def test_what_a_call_touches_and_how_it_is_named_for_the_person() -> None:
    plain, described = _args(command="git  status"), _args(command="rm -rf x\nls", description="look\naround")
    assert (BASH.access(plain), BASH.title(plain)) == (Access(command="git  status"), "git status")
    assert (BASH.access(described), BASH.title(described)) == (Access(command="rm -rf x\nls"), "rm -rf x ls  # look around")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"cmd": "ls"}, BashArgs(command="ls", timeout_s=120)),
        ({"command": "ls", "timeout": "30"}, BashArgs(command="ls", timeout_s=30)),
        ({"command": "ls", "timeout": 120_000}, BashArgs(command="ls", timeout_s=600)),
        ({"command": "ls", "timeout_s": None, "description": None}, BashArgs(command="ls")),
    ],
)
def test_arguments_that_models_get_wrong_in_form_are_understood(given: dict[str, object], meant: BashArgs) -> None:
    assert _args(**given) == meant


@pytest.mark.parametrize("given", [{"command": "ls", "timeout_s": 0}, {"command": "ls", "timeout_s": -1}, {"command": "ls", "cwd": "/"}, {}])
def test_arguments_that_mean_nothing_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        _args(**given)


def test_two_commands_run_at_once_without_mixing_their_output(folder: Path) -> None:
    async def main(ctx: ToolContext) -> list[ToolOutcome]:
        return await asyncio.gather(*(BASH.run(_args(command=f"for n in 1 2 3; do echo {name}; sleep 0.02; done"), ctx) for name in "ab"))

    first, second = asyncio.run(main(context(folder)))
    assert (first.content, second.content) == ((Text("a\na\na"),), (Text("b\nb\nb"),))


@pytest.mark.parametrize(
    "command", ["echo canary-123; seq 20000; echo canary-123", "seq 20000; printf canary; sleep 0.05; printf -- -123", "seq 9000; echo x"]
)
def test_the_file_of_a_whole_output_holds_no_key_also_where_it_came_in_pieces(folder: Path, command: str) -> None:
    ctx = replace(context(folder, output_limit=2_000), redact=lambda text: text.replace("canary-123", "***"))
    call(BASH, ctx, command=command)
    (file,) = ctx.scratch.iterdir()
    plain = call(BASH, replace(ctx, redact=str, memory=ToolMemory()), command=command)
    (whole,) = [path for path in ctx.scratch.iterdir() if path != file]
    assert not plain.is_error
    assert file.read_text() == whole.read_text().replace("canary-123", "***")

"""The three sinks on real streams: what reaches stdout, what stderr, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.envelopes import BIG, DOWN, SMALL, Story, answered, ended, short_run, started, submitted, troubled_run
from support.streams import Memory, terminal

from agentcli.protocol.errors import UsageError
from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    CallStarted,
    Compacted,
    Envelope,
    Failure,
    FellBack,
    Notice,
    RunStatus,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from agentcli.protocol.messages import Text, ToolResult
from agentcli.ui.printing import OutputFormat, make_sink
from agentcli.ui.progress import Verbosity

FORMATS: list[OutputFormat] = ["text", "json", "stream-json"]
INTERRUPTED = Failure("interrupted", "interrupted.", 130)


def run(
    envelopes: list[Envelope],
    output_format: OutputFormat = "text",
    *,
    failure: Failure | None = None,
    verbosity: Verbosity = "normal",
    last_message: Path | None = None,
) -> tuple[str, str, int]:
    out, err = Memory(), Memory()
    sink = make_sink(output_format, out, err, verbosity=verbosity, last_message=last_message)
    for envelope in envelopes:
        sink.feed(envelope)
    code = sink.finish(failure)
    return out.said, err.said, code


def ends(status: RunStatus, text: str, failure: Failure | None) -> list[Envelope]:
    return Story().tell(started(), submitted("x"), answered(text), ended(text, status=status, failure=failure)).envelopes


# --- text ---


def test_text_is_the_answer_and_nothing_else() -> None:
    assert run(short_run()) == ("A small project.\n", "", 0)


def test_an_answer_that_ends_its_line_gets_no_second_line_break_and_an_empty_one_none() -> None:
    assert run(ends("success", "a\nb\n", None)) == ("a\nb\n", "", 0)
    assert run(ends("success", "", None)) == ("", "", 0)


def test_a_script_gets_utf8_whatever_the_locale_and_nothing_that_a_terminal_behind_the_pipe_would_act_on() -> None:
    text = "\x1b[31mred\x1b[0m 日本 \x07 a\r\nb \udcff \u202eאב\u200d \x1b]0;title\x07 \x9b2J"
    assert run(ends("success", text, None))[0] == "red 日本 ␇ a\r\nb \ufffd \u202eאב\u200d ␛]0;title␇ \n"


def test_the_words_of_a_failed_run_are_no_answer_but_one_line_tells_the_error() -> None:
    assert run(troubled_run(), verbosity="quiet") == ("", "error: " + DOWN.line() + "\n", 75)


def test_an_answer_that_the_model_cut_off_is_given_with_the_error() -> None:
    cut = Failure("answer_cut", "the answer was cut at the model's output limit.", 1)
    assert run(ends("error", "half of", cut)) == ("half of\n", "error: the answer was cut at the model's output limit.\n", 1)


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("code", [1, 2, 41, 53, 54, 75, 124, 130, 143])
def test_the_exit_code_is_the_failures_and_stderr_has_its_one_line(output_format: OutputFormat, code: int) -> None:
    out, err, got = run([], output_format, failure=Failure("some_kind", "it\nbroke.", code, "Do this."))
    assert (err, got) == ("error: it broke. Do this.\n", code)
    assert out == "" if output_format == "text" else json.loads(out)["error"]["exit_code"] == code


# --- json ---


def test_json_is_the_one_object_that_ends_the_stream() -> None:
    out, err, code = run(troubled_run(), "json")
    golden = (Path(__file__).parent / "golden" / "troubled.jsonl").read_text().splitlines()[-1]
    assert (json.loads(out), code) == (json.loads(golden), 75)
    assert out.count("\n") == 1
    assert err.splitlines()[-1] == "error: " + DOWN.line()


def test_a_result_of_a_run_that_went_well_holds_everything_asked_for() -> None:
    story = Story().tell(started(), submitted("x"), answered('{"a":1}'), ended('{"a":1}', structured={"a": 1}, turns=1))
    out = Memory()
    sink = make_sink("json", out, Memory(), limits=lambda name: (200_000, None) if name == BIG.resolved else (None, None))
    for envelope in story.envelopes:
        sink.feed(envelope)
    assert sink.finish() == 0
    usage = {"input_tokens": 100, "output_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 50}
    result = json.loads(out.said)
    assert len(result.pop("uuid")) == 36
    assert result == {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": '{"a":1}',
        "session_id": "s-1",
        "num_turns": 1,
        "duration_ms": 700,
        "duration_api_ms": 400,
        "total_cost_usd": 0.25,
        "stop_reason": "end_turn",
        "terminal_reason": "completed",
        "usage": usage,
        "modelUsage": {
            "acme/big-1:high": {
                "inputTokens": 100,
                "outputTokens": 20,
                "cacheReadInputTokens": 50,
                "cacheCreationInputTokens": 0,
                "webSearchRequests": 0,
                "costUSD": 0.25,
                "calls": 1,
                "served": ["big-1-2026"],
                "contextWindow": 200_000,
            }
        },
        "permission_denials": [],
        "structured_output": {"a": 1},
        "api_error_status": None,
        "errors": [],
        "error": None,
        "model": {"requested": "big", "resolved": "acme/big-1:high", "served": "big-1-2026", "source": "flag"},
        "agents": [],
        "denials": [],
        "fallbacks": [],
        "seq": 4,
        "agent_id": "main",
    }


@pytest.mark.parametrize(
    ("failure", "subtype"),
    [
        (Failure("turn_limit", "x", 53), "error_max_turns"),
        (Failure("budget", "x", 54), "error_max_budget_usd"),
        (Failure("output_invalid", "x", 1), "error_max_structured_output_retries"),
        (Failure("time_limit", "x", 124), "error_during_execution"),
        (INTERRUPTED, "error_during_execution"),
    ],
)
def test_a_failures_subtype_is_one_of_the_formats_own(failure: Failure, subtype: str) -> None:
    result = json.loads(run(short_run(), "json", failure=failure)[0])
    assert (result["subtype"], result["is_error"], result["errors"]) == (subtype, True, ["x" if failure is not INTERRUPTED else "interrupted."])


@pytest.mark.parametrize("output_format", ["json", "stream-json"])
def test_a_run_that_failed_before_its_first_event_still_has_a_result(output_format: OutputFormat) -> None:
    out = Memory()
    sink = make_sink(output_format, out, Memory(), session_id="chosen")
    assert sink.finish(Failure("config", "agent.hcl:3:1: no such key.", 2)) == 2
    result = json.loads(out.said)
    assert (result["session_id"], result["num_turns"], result["total_cost_usd"], result["agents"]) == ("chosen", 0, 0.0, [])


def test_a_failed_background_worker_is_an_error_beside_the_answer() -> None:
    story = Story().tell(started(), submitted("x"))
    spawned = AgentSpawned(name="scout-1", agent="scout", model=SMALL, prompt="p", background=True)
    story.tell(spawned, AgentFinished(status="failed", model=SMALL, failure=DOWN), agent="main/scout-1")
    story.tell(answered("done"), ended("done"))
    out, _, code = run(story.envelopes, "json")
    result = json.loads(out)
    assert (result["result"], result["is_error"], result["error"]["kind"], code) == ("done", True, "worker_failed", 1)
    assert run(story.envelopes)[0] == "done\n"


def test_only_the_first_finish_counts_and_what_comes_after_is_passed_over() -> None:
    out = Memory()
    sink = make_sink("stream-json", out, Memory())
    for envelope in short_run():
        sink.feed(envelope)
    assert sink.finish(INTERRUPTED) == 130
    sink.feed(short_run()[0])
    assert sink.finish() == 130
    kinds = [json.loads(line)["type"] for line in out.said.splitlines()]
    assert kinds == ["system", "assistant", "result"]


# --- stderr ---


def test_without_a_terminal_stderr_tells_of_workers_retries_and_denials_but_not_of_each_step() -> None:
    assert run(troubled_run())[1].splitlines() == [
        "scout-1 tiny/small-2 (definition) running · Scout",
        'not permitted: scout-1: grep "def": outside the workspace. To allow it: --add-dir ..',
        "scout-1 tiny/small-2 (definition) done · 2 turns · 42 tok · price unknown · 850 ms",
        "retry 1 of 3 in 1.5 s: acme answered 429: slow down.",
        "error: acme answered 503: overloaded. Try again later, or use another model.",
    ]


def test_a_person_sees_each_step_too() -> None:
    with terminal() as screen:
        sink = make_sink("json", Memory(), screen.stream)
        for envelope in troubled_run()[:19]:
            sink.feed(envelope)
        assert screen.read().splitlines() == [
            "· read src/main.py",
            "· task scout: look",
            "scout-1 tiny/small-2 (definition) running · Scout",
            '· scout-1: grep "def"',
        ]


def test_verbose_tells_everything_and_what_it_came_to() -> None:
    lines = run(troubled_run(), verbosity="verbose")[1].splitlines()
    assert lines[:6] == [
        "session s-1 in /home/me/app on acme/big-1:high (flag), mode accept-edits",
        "call 1 to acme/big-1:high",
        "call 1 answered in 400 ms, 170 tok, served by big-1-2026",
        "· read src/main.py",
        "· task scout: look",
        "read done in 3 ms: 1 print()",
    ]
    assert lines[-1] == "2 turns · 212 tok · price unknown · 4.0 s"


def test_quiet_tells_errors_only() -> None:
    story = Story().tell(Notice(level="warning", text="w"), Notice(level="error", text="e"), *[part.event for part in troubled_run()])
    assert run(story.envelopes, verbosity="quiet")[1].splitlines() == ["error: e", "error: " + DOWN.line()]


def test_other_turns_of_a_run_have_a_line_each() -> None:
    story = Story().tell(Notice(level="warning", text="a folder is not trusted"), Notice(level="info", text="hello"))
    story.tell(FellBack(left="acme/big-1:high", model=SMALL, failure=DOWN), Compacted(summary="s", tokens_before=120_000, tokens_after=900))
    story.tell(ended("x", denials=("bash rm: denied by a rule.",)))
    assert run(story.envelopes)[1].splitlines() == [
        "warning: a folder is not trusted",
        "hello",
        "acme/big-1:high is given up (acme answered 503: overloaded.); going on with tiny/small-2",
        "history compacted from 120.0k tok to 900 tok",
        "not permitted: bash rm: denied by a rule.",
    ]


def test_lines_on_stderr_are_short_clean_and_single_also_in_a_file() -> None:
    story = Story().tell(Notice(level="info", text="a\x1b]0;evil\x07\r\nb\u202ec"), FellBack(left="x" * 500, model=SMALL, failure=DOWN))
    assert run(story.tell(ended("ok")).envelopes)[1] == "a␛]0;evil␇ b‹U+202E›c\n" + "x" * 199 + "…\n"


def test_what_says_what_to_do_is_never_cut_short() -> None:
    long = "see " + "y" * 400 + " end."
    assert run([], failure=Failure("x", long, 1))[1] == f"error: {long}\n"
    story = Story().tell(Notice(level="info", text=long), Notice(level="warning", text=long), ended("x", denials=(long,)))
    assert run(story.envelopes)[1] == f"{long}\nwarning: {long}\nnot permitted: {long}\n"


# --- a terminal as stdout ---


def test_on_a_terminal_words_appear_as_they_come_each_answer_on_its_own_line_and_none_twice() -> None:
    with terminal() as screen:
        sink = make_sink("text", screen.stream, Memory())
        story = Story().tell(started(), submitted("x"), CallStarted(call=1, model=BIG), TextDelta(text="I lo"))
        for envelope in story.envelopes:
            sink.feed(envelope)
        assert screen.read() == "I lo"
        rest = Story().tell(TextDelta(text="ok."), answered("I look."), CallStarted(call=2, model=BIG), TextDelta(text="It is"))
        rest.tell(TextDelta(text=" red."), answered("It is red.", 2), ended("It is red."))
        for envelope in rest.envelopes:
            sink.feed(envelope)
        assert sink.finish() == 0
        assert screen.read() == "ok.\nIt is red.\n"


def test_on_a_terminal_an_answer_that_was_not_streamed_is_shown_whole() -> None:
    with terminal() as screen:
        sink = make_sink("text", screen.stream, Memory())
        for envelope in ends("success", "all at once", None):
            sink.feed(envelope)
        sink.finish()
        assert screen.read() == "all at once\n"


def test_on_a_terminal_no_control_character_gets_through_also_in_pieces() -> None:
    with terminal() as screen:
        sink = make_sink("text", screen.stream, Memory())
        story = Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="a\x1b"), TextDelta(text="[2Jb\x9b"), TextDelta(text="31mc\x07"))
        story.tell(answered("whatever"), ended("whatever"))
        for envelope in story.envelopes:
            sink.feed(envelope)
        sink.finish()
        shown = screen.read()
        assert shown == "abc␇\n"


def test_on_a_terminal_half_an_escape_sequence_does_not_reach_into_the_next_answer() -> None:
    with terminal() as screen:
        sink = make_sink("text", screen.stream, Memory())
        story = Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="a\x1b"), answered("a\x1b"))
        story.tell(CallStarted(call=2, model=BIG), TextDelta(text="[2Kb\x1b["), answered("[2Kb\x1b[", 2), ended("x"))
        for envelope in story.envelopes:
            sink.feed(envelope)
        sink.finish()
        assert screen.read() == "a␛\n[2Kb␛[\n"


def test_a_terminal_says_whose_first_words_are_waited_for_until_something_comes() -> None:
    with terminal() as screen:
        sink = make_sink("text", screen.stream, screen.stream, look="mono")
        calls = Story().tell(
            CallStarted(call=1, model=BIG), TextDelta(text="I read"), ToolStarted(call_id="c", name="read", title="a.py", arguments="{}")
        )
        shown = []
        for envelope in calls.tell(CallStarted(call=2, model=BIG), CallStarted(call=3, model=SMALL)).envelopes:
            sink.feed(envelope)
            shown.append(screen.read())
        waiting = ["waiting for acme/big-1:high …", "\r\x1b[Kwaiting for tiny/small-2 …"]
        assert shown == [waiting[0], "\r\x1b[KI read", "\n· read a.py\n", *waiting]
        sink.finish(INTERRUPTED)
        assert screen.read() == "\r\x1b[Kerror: interrupted.\n"


def test_on_a_terminal_a_line_of_progress_begins_on_a_line_of_its_own() -> None:
    with terminal() as screen:
        sink = make_sink("text", screen.stream, screen.stream)
        story = Story().tell(CallStarted(call=1, model=BIG), TextDelta(text="I read"))
        story.tell(ToolStarted(call_id="c", name="read", title="a.py", arguments="{}"))
        story.tell(ToolFinished(result=ToolResult("c", "read", (Text("x"),))))
        for envelope in story.envelopes:
            sink.feed(envelope)
        sink.finish(INTERRUPTED)
        assert screen.read() == "I read\n· read a.py\nerror: interrupted.\n"


def test_stream_json_on_a_terminal_is_lines_without_control_characters_and_no_steps_between() -> None:
    with terminal() as screen:
        sink = make_sink("stream-json", screen.stream, screen.stream)
        story = Story().tell(ToolStarted(call_id="c", name="read", title="a.py", arguments="{}"), answered("\x9b31m\x1b[2J\x7f"), ended("x"))
        for envelope in story.envelopes:
            sink.feed(envelope)
        sink.finish()
        lines = screen.read().splitlines()
        assert [json.loads(line)["type"] for line in lines] == ["assistant", "result"]
        assert all(line.isprintable() for line in lines)


# --- readers that go away, disks that are full ---


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_closed_pipe_ends_quietly_with_the_runs_own_code(output_format: OutputFormat) -> None:
    read, write = os.pipe()
    err = Memory()
    with os.fdopen(write, "w") as out:
        sink = make_sink(output_format, out, err)
        os.close(read)
        for envelope in short_run():
            sink.feed(envelope)
        assert sink.finish() == 0
        assert sink.reader_gone
    assert err.said == ""


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_full_disk_under_stdout_is_an_error(output_format: OutputFormat) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    err = Memory()
    with Path("/dev/full").open("w") as out:
        sink = make_sink(output_format, out, err)
        for envelope in short_run():
            sink.feed(envelope)
        assert sink.finish() == 1
        assert sink.finish() == 1
    assert err.said == "error: cannot write to standard output: No space left on device.\n"


def test_standard_streams_that_are_closed_are_no_error_and_no_reason_to_stop() -> None:
    sink = make_sink("json", None, None)
    for envelope in short_run():
        sink.feed(envelope)
    assert not sink.reader_gone
    assert sink.finish(INTERRUPTED) == 130


def test_a_slow_reader_of_a_non_blocking_pipe_gets_everything() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    text = "y" * 1_000_000
    reader = subprocess.Popen([sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"], stdin=read, stdout=subprocess.PIPE)
    os.close(read)
    with os.fdopen(write, "w") as out:
        sink = make_sink("text", out, Memory())
        for envelope in ends("success", text, None):
            sink.feed(envelope)
        sink.finish()
    assert reader.communicate()[0] == b"1000001\n"


def test_what_others_wrote_to_the_stream_before_stays_in_front() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as out:
        out.write("before\n")
        sink = make_sink("text", out, Memory())
        for envelope in short_run():
            sink.feed(envelope)
        sink.finish()
    with os.fdopen(read) as got:
        assert got.read() == "before\nA small project.\n"


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_run_that_was_stopped_for_want_of_a_reader_ends_quietly_but_ctrl_c_is_ctrl_c(output_format: OutputFormat) -> None:
    codes = []
    for told in (None, INTERRUPTED):
        read, write = os.pipe()
        err = Memory()
        with os.fdopen(write, "w") as out:
            sink = make_sink(output_format, out, err)
            os.close(read)
            for envelope in ends("interrupted", "some", INTERRUPTED):
                sink.feed(envelope)
            codes.append((sink.finish(told), err.said))
    written_before_the_end = output_format == "stream-json"
    quiet = (0, "") if written_before_the_end or output_format == "json" else (130, "error: interrupted.\n")
    assert codes == [quiet, (130, "error: interrupted.\n")]


# --- downloads ---


@dataclass
class Fetched:
    done: int
    name: str = "qwen"
    source: str = "example.org"
    total: int = 491_400_064


def test_a_download_is_one_growing_line_on_a_terminal_and_what_follows_begins_a_new_one() -> None:
    with terminal() as screen:
        sink = make_sink("text", Memory(), screen.stream)
        for done in (0, 100_000, 250_000_000, 250_000_001):
            sink.download(Fetched(done))
        sink.feed(Envelope(1, 1.0, "s", "main", Notice(level="info", text="hello")))
        sink.download(Fetched(491_400_064))
        assert screen.read() == (
            "\rfetching qwen from example.org: 0 MB of 491 MB (0%)"
            "\rfetching qwen from example.org: 250 MB of 491 MB (50%)\nhello\n"
            "\rfetching qwen from example.org: 491 MB of 491 MB (100%)\n"
        )


def test_a_download_is_two_lines_in_a_file() -> None:
    err = Memory()
    sink = make_sink("text", Memory(), err)
    for done in (0, 100_000_000, 250_000_000, 491_400_064):
        sink.download(Fetched(done))
    assert err.said.splitlines() == [
        "fetching qwen from example.org: 0 MB of 491 MB (0%)",
        "fetching qwen from example.org: 491 MB of 491 MB (100%)",
    ]


# --- the last message ---


def test_the_last_message_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "answer.md"
    assert run(ends("success", "日本\n\x1b[1m", None), "json", last_message=path)[2] == 0
    assert path.read_bytes() == "日本\n\x1b[1m".encode()


def test_a_run_without_an_answer_leaves_no_older_one_behind(tmp_path: Path) -> None:
    path = tmp_path / "answer.md"
    path.write_text("of yesterday")
    run([], failure=INTERRUPTED, last_message=path)
    assert path.read_text() == ""


def test_what_a_failed_run_had_said_by_then_is_no_last_message(tmp_path: Path) -> None:
    path = tmp_path / "answer.md"
    assert run(ends("turn_limit", "I begin by reading.", INTERRUPTED), "json", last_message=path)[2] != 0
    assert path.read_text() == ""


def test_a_name_that_cannot_be_a_file_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        make_sink("text", None, None, last_message=tmp_path)
    assert caught.value.line() == f"--output-last-message: {tmp_path} is a folder. Name a file."
    with pytest.raises(UsageError, match="there is no folder"):
        make_sink("text", None, None, last_message=tmp_path / "no" / "answer.md")


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_last_message_that_cannot_be_written_is_an_error_of_the_run(output_format: OutputFormat) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    out, err, code = run(short_run(), output_format, last_message=Path("/dev/full"))
    assert err == "error: cannot write the last message to /dev/full: No space left on device.\n"
    assert code == 1
    if output_format == "text":
        assert out == "A small project.\n"
    else:
        result = json.loads(out.splitlines()[-1])
        assert (result["error"]["kind"], result["result"]) == ("storage", "A small project.")


# --- cost ---


def test_print_mode_imports_no_terminal_library_and_no_pydantic() -> None:
    code = (
        "import sys, agentcli.ui.printing, agentcli.ui.stdin\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'rich', 'prompt_toolkit', 'typer', 'pydantic', 'httpx'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""A task from the first word to the last, as a person gives it: files read, changed and tested, the session kept and gone on with."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from support.alive import still_running
from support.place import Place, call, said, tool_results
from support.program import start
from support.repositories import Repository
from support.server import Answer, Call, Captured, Server

CALC = b"def add(a, b):\n    return a - b\n\n\ndef twice(a):\n    return add(a, a)\n"
FIXED = CALC.replace(b"a - b", b"a + b")
TEST = b"from calc import add, twice\n\n\ndef test_add():\n    assert add(2, 3) == 5\n    assert twice(4) == 8\n"
PYTEST = "python -B -m pytest -q -p no:cacheprovider"


def repository(place: Place) -> Repository:
    found = Repository(place.folder)
    found.git("init", "--quiet", "-b", "main")
    place.file("calc.py", CALC)
    place.file("test_calc.py", TEST)
    found.commit("first")
    return found


def with_python() -> dict[str, str]:
    """A PATH whose `python` is the one that runs these tests."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_a_failing_test_is_made_to_pass_and_nothing_else_changes(place: Place) -> None:
    git = repository(place)
    place.script(
        call("bash", command=PYTEST),
        call("read", path="calc.py"),
        call("edit", path="calc.py", edits=[{"old": "return a - b", "new": "return a + b"}]),
        call("bash", command=PYTEST),
        said("The test passes now: add subtracted."),
    )
    words = ("-p", "Fix the failing test", "--permission-mode", "accept-edits", "--allowed-tools", "bash(python -B -m pytest)")
    ran = place.run(*words, "--output-format", "stream-json", **with_python())
    red, read, edited, green = tool_results(ran)
    assert (ran.code, ran.result["result"], ran.result["num_turns"]) == (0, "The test passes now: add subtracted.", 5)
    assert [one[0] for one in (red, read, edited, green)] == [True, False, False, False]
    assert "1 failed" in red[1]
    assert "1 passed" in green[1]
    assert place.files() == {"calc.py": FIXED, "test_calc.py": TEST}
    assert git.status() == [" M calc.py"]
    assert ran.result["permission_denials"] == []


def test_an_edit_keeps_every_byte_that_it_does_not_name(place: Place) -> None:
    before = b"\xef\xbb\xbffirst\r\nsecond = 1\r\n\r\nt\xc3\xa4il without end"
    path = place.file("notes.txt", before)
    path.chmod(0o755)
    place.script(
        call("read", path="notes.txt"), call("edit", path="notes.txt", edits=[{"old": "second = 1", "new": "second = 2\nthird = 3"}]), said("Done.")
    )
    ran = place.run("-p", "Change it", "--permission-mode", "accept-edits")
    assert (ran.code, ran.out) == (0, "Done.\n")
    assert path.read_bytes() == before.replace(b"second = 1", b"second = 2\r\nthird = 3")
    assert path.stat().st_mode & 0o777 == 0o755


def test_without_the_flags_nothing_is_changed_and_each_denial_is_told(place: Place) -> None:
    repository(place)
    edit = call("edit", path="calc.py", edits=[{"old": "a - b", "new": "a + b"}])
    place.script(call("read", path="calc.py"), edit, call("bash", command=PYTEST), said("I may not."))
    ran = place.run("-p", "Fix the failing test", **with_python())
    assert (ran.code, ran.out) == (0, "I may not.\n")
    assert place.files() == {"calc.py": CALC, "test_calc.py": TEST}
    assert len([line for line in ran.err.splitlines() if line.startswith("not permitted: ")]) == 2


# --- sessions ---


def chat(request: Captured) -> list[tuple[str, Any]]:
    """Role and content of a request's messages, without the system prompt; of an answer with calls their names."""
    messages = [message for message in request.body["messages"] if message["role"] != "system"]
    names = [[call["function"]["name"] for call in message.get("tool_calls", ())] for message in messages]
    return [(message["role"], called or message["content"]) for message, called in zip(messages, names, strict=True)]


def test_a_session_is_written_as_events_under_the_id_that_the_result_names(place: Place) -> None:
    place.script(call("ls", path="."), said("An empty folder."))
    ran = place.run("-p", "Look", "--output-format", "json")
    (path,) = place.sessions()
    events = [json.loads(line) for line in path.read_text().split("\n") if line]
    kinds = [event["event"]["type"] for event in events]
    assert path.stem == ran.result["session_id"]
    assert {event["session_id"] for event in events} == {path.stem}
    assert (kinds[0], kinds[-1]) == ("session_started", "run_finished")
    assert {"user_submitted", "replied", "tool_started", "tool_finished"} <= set(kinds)
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert path.stat().st_mode & 0o077 == 0


def test_continue_sends_the_whole_conversation_again(place: Place) -> None:
    place.file("a.txt", "alpha\n")
    with Server(Answer(calls=(Call("read", {"path": "a.txt"}),)), Answer("It says alpha."), Answer("Alpha, as I said.")) as server:
        first = place.ask(server, "-p", "Read a.txt", "--output-format", "json")
        second = place.ask(server, "-p", "What did it say?", "-c", "--output-format", "json")
        said_before = chat(server.requests[1])
        said_now = chat(server.requests[2])
    assert (second.code, second.result["result"], second.result["session_id"]) == (0, "Alpha, as I said.", first.result["session_id"])
    assert [role for role, _ in said_now] == ["user", "assistant", "tool", "assistant", "user"]
    assert said_now[: len(said_before)] == said_before
    assert said_now[3:] == [("assistant", "It says alpha."), ("user", "What did it say?")]
    assert "alpha" in said_now[2][1]
    assert len(place.sessions()) == 1
    assert (first.result["usage"]["input_tokens"], second.result["usage"]["input_tokens"]) == (20, 10)


def test_continue_takes_the_latest_of_this_folder_and_resume_any_by_the_beginning_of_its_id(place: Place) -> None:
    with Server(*(Answer(f"Answer {number}.") for number in range(1, 6))) as server:
        place.ask(server, "-p", "one", "--session-id", "aaa-1")
        place.ask(server, "-p", "two", "--session-id", "bbb-2")
        latest = place.ask(server, "-p", "three", "-c", "--output-format", "json")
        by_prefix = place.ask(server, "-p", "four", "--resume", "aaa", "--output-format", "json")
        elsewhere = Place(place.folder.parent / "elsewhere", place.shared)
        elsewhere.folder.mkdir()
        nothing = elsewhere.ask(server, "-p", "five", "-c")
        said = [chat(request) for request in server.requests]
    assert (latest.result["session_id"], by_prefix.result["session_id"]) == ("bbb-2", "aaa-1")
    assert said[2] == [("user", "two"), ("assistant", "Answer 2."), ("user", "three")]
    assert said[3] == [("user", "one"), ("assistant", "Answer 1."), ("user", "four")]
    assert (nothing.code, len(said)) == (2, 4)
    assert "no session in" in nothing.err


def test_a_fork_goes_on_in_a_copy_and_no_session_leaves_no_file(place: Place) -> None:
    with Server(Answer("First."), Answer("Forked."), Answer("Unkept."), Answer("Kept.")) as server:
        place.ask(server, "-p", "one", "--session-id", "origin")
        (origin,) = place.sessions()
        before = origin.read_bytes()
        fork = place.ask(server, "-p", "two", "-c", "--fork-session", "--output-format", "json")
        unkept = place.ask(server, "-p", "three", "-r", "origin", "--no-session", "--output-format", "json")
        alone = place.ask(server, "-p", "four", "--no-session")
        said = [chat(request) for request in server.requests]
    assert [ran.code for ran in (fork, unkept, alone)] == [0, 0, 0]
    assert fork.result["session_id"] not in ("origin", unkept.result["session_id"])
    assert origin.read_bytes() == before
    assert {path.stem for path in place.sessions()} == {"origin", fork.result["session_id"]}
    assert said[1] == [("user", "one"), ("assistant", "First."), ("user", "two")]
    assert said[2] == [("user", "one"), ("assistant", "First."), ("user", "three")]
    assert said[3] == [("user", "four")]


def test_a_resumed_session_keeps_its_own_model_unless_another_is_named(place: Place) -> None:
    place.script(said("Hello.", repeat=True))
    place.run("-p", "one", "-m", "demo/m2:high")
    kept = place.run("-p", "two", "-c", "--output-format", "json").result["model"]
    named = place.run("-p", "three", "-c", "-m", "fast", "--output-format", "json").result["model"]
    assert kept == {"requested": "demo/m2:high", "resolved": "demo/m2:high", "served": "m2", "source": "session"}
    assert named == {"requested": "fast", "resolved": "demo/m1", "served": "m1", "source": "flag"}


def test_what_cannot_be_gone_on_with_is_refused_in_one_line(place: Place) -> None:
    place.script(said("Hello.", repeat=True))
    place.run("-p", "one", "--session-id", "taken-1")
    for words, says in {
        ("--session-id", "taken-1"): "exists already",
        ("-r", "nothing"): "no session 'nothing'",
        ("-r", "takem-1"): "nearest: taken-1",
        ("--fork-session",): "-r ID",
        ("-c", "-r", "taken-1"): "give one of them",
        ("-r",): "needs an id",
    }.items():
        ran = place.run("-p", "two", *words)
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1), ran
        assert says in ran.err


def test_a_session_that_was_killed_in_the_middle_of_a_command_is_gone_on_with(place: Place) -> None:
    mark = place.folder / "pid"
    command = f"sleep 0.5; echo $$ > {mark}; exec sleep 60"  # half a second: who is killed between a fork and noting it down leaves the child
    with Server(Answer("I will wait.", calls=(Call("bash", {"command": command}),)), Answer("Going on.")) as server:
        program = start("--config", place.served, "-p", "Wait", "--permission-mode", "bypass", env=place.env(TEST_URL=server.url), cwd=place.folder)
        pid = _pid_in(mark)
        program.kill()
        program.communicate(timeout=20)
        ran = place.ask(server, "-p", "Go on", "-c", "--output-format", "json")
        said = chat(server.requests[1])
    assert program.returncode == -signal.SIGKILL
    assert (ran.code, ran.result["result"]) == (0, "Going on.")
    assert [role for role, _ in said] == ["user", "assistant", "tool", "user"]
    assert (said[0][1], said[1][1], said[3][1]) == ("Wait", ["bash"], "Go on")
    assert still_running([pid]) == []


def test_a_session_that_was_killed_in_the_middle_of_an_answer_is_gone_on_with(place: Place) -> None:
    with Server(Answer("Once upon a time").sent(stall_after=2), Answer("The end.")) as server:
        program = start("--config", place.served, "-p", "Tell", env=place.env(TEST_URL=server.url), cwd=place.folder)
        server.wait_for(1)
        program.kill()
        program.communicate(timeout=20)
        ran = place.ask(server, "-p", "Go on", "-c", "--output-format", "json")
        said = chat(server.requests[1])
    assert (ran.code, ran.result["result"]) == (0, "The end.")
    assert said == [("user", "Tell\n\nGo on")]


def test_an_interrupted_run_leaves_a_history_that_goes_on(place: Place) -> None:
    mark = place.folder / "pid"
    command = f"echo $$ > {mark}; exec sleep 60"
    with Server(Answer(calls=(Call("bash", {"command": command}),)), Answer("Going on.")) as server:
        program = start("--config", place.served, "-p", "Wait", "--permission-mode", "bypass", env=place.env(TEST_URL=server.url), cwd=place.folder)
        pid = _pid_in(mark)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=20)
        ran = place.ask(server, "-p", "Go on", "-c", "--output-format", "json")
        said = chat(server.requests[1])
    assert (program.returncode, ran.code, ran.result["result"]) == (130, 0, "Going on.")
    assert [role for role, _ in said] == ["user", "assistant", "tool", "user"]
    assert "interrupted" in said[2][1].lower()
    assert still_running([pid]) == []


def _pid_in(path: Path) -> int:
    """The process id that a command writes there, once it does."""
    import time

    until = time.monotonic() + 15
    while time.monotonic() < until:
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError(f"nothing was written to {path}")


def test_a_person_is_told_once_that_a_small_model_answers(place: Place) -> None:
    place.script(said('{"answer": "hello"}'), said("hello"))
    first, second = (place.run("-p", "Say hello", "-m", "demo/tiny") for _ in range(2))
    assert (first.code, first.out) == (0, "hello\n"), first.err
    assert "demo/tiny is a small model" in first.err
    assert "--model" in first.err
    assert (second.code, second.err) == (0, "")

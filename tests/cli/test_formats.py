"""What goes in by standard input and comes out by standard output, in every format: as a script meets it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from typing import Any

import pytest
from support.place import Place, call, said
from support.program import Ran, start
from support.terminal import Terminal, agentcli

ANSWER = "Grüße, 世界 \U0001f600  – done"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def bytes_of(place: Place, *words: str, shell: str = "", **env: str) -> subprocess.CompletedProcess[bytes]:
    """A run by a shell, which may close or redirect what it likes; the bytes as they come."""
    line = f'exec "$@" {shell}'
    argv = ["sh", "-c", line, "sh", *agentcli("--config", place.scripted, *words)]
    return subprocess.run(argv, env=place.env(**env), cwd=place.folder, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=30)


# --- standard output ---


def test_text_is_the_answer_alone_as_utf8_whatever_the_locale(place: Place) -> None:
    place.script(said(ANSWER))
    done = bytes_of(place, "-p", "hi", LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii", FORCE_COLOR="1", TERM="xterm-256color")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ANSWER}\n".encode(), b"")


def test_json_is_one_object_on_one_line(place: Place) -> None:
    place.script(said(ANSWER, usage={"input": 1000, "output": 500, "cache_read": 200}, served="m1-2026"))
    ran = place.run("-p", "hi", "--output-format", "json")
    (line,) = ran.out.rstrip("\n").split("\n")
    result = json.loads(line)
    assert (ran.code, ran.err) == (0, "")
    assert {name: result[name] for name in ("type", "subtype", "is_error", "result", "num_turns", "errors", "error", "agents")} == {
        "type": "result", "subtype": "success", "is_error": False, "result": ANSWER, "num_turns": 1, "errors": [], "error": None, "agents": [],
    }  # fmt: skip
    assert result["model"] == {"requested": "demo/m1", "resolved": "demo/m1", "served": "m1-2026", "source": "config"}
    assert list(result["modelUsage"]) == ["demo/m1"]
    assert (result["usage"]["output_tokens"], result["usage"]["cache_read_input_tokens"]) == (500, 200)


def test_a_price_that_is_not_known_is_null(place: Place) -> None:
    place.script(said("Hello."))
    result = place.run("-p", "hi", "-m", "demo/unpriced", "--output-format", "json").result
    assert (result["total_cost_usd"], result["modelUsage"]["demo/unpriced"]["costUSD"]) == (None, None)


def test_stream_json_tells_every_step_and_ends_with_the_result(place: Place) -> None:
    place.script({"text": "I look.", **call("ls", path=".")}, said(ANSWER))
    ran = place.run("-p", "hi", "--output-format", "stream-json")
    kinds = [(line["type"], line.get("subtype", "")) for line in ran.lines]
    assert kinds == [("system", "init"), ("assistant", ""), ("user", ""), ("assistant", ""), ("result", "success")]
    assert [line["seq"] for line in ran.lines] == sorted(line["seq"] for line in ran.lines)
    assert {line["agent_id"] for line in ran.lines} == {"main"}
    assert len({line["session_id"] for line in ran.lines}) == 1
    assert len({line["uuid"] for line in ran.lines}) == len(ran.lines)
    use, result = ran.lines[1]["message"]["content"][1], ran.lines[2]["message"]["content"][0]
    assert (use["name"], use["input"], result["tool_use_id"]) == ("ls", {"path": "."}, use["id"])


def test_partial_messages_carry_the_pieces_of_each_answer(place: Place) -> None:
    place.script(said("One two three four.", thinking="Hm."))
    ran = place.run("-p", "hi", "--output-format", "stream-json", "--include-partial-messages")
    events = [line["event"] for line in ran.lines if line["type"] == "stream_event"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [event["type"] for event in events if "content_block" not in event["type"]] == ["message_start", "message_delta", "message_stop"]
    assert "".join(delta.get("text", "") for delta in deltas) == ran.result["result"] == "One two three four."
    assert "".join(delta.get("thinking", "") for delta in deltas) == "Hm."
    assert len([delta for delta in deltas if "text" in delta]) > 1


def test_the_last_message_goes_to_a_file_as_well(place: Place) -> None:
    place.script(said(ANSWER, repeat=True))
    place.run("-p", "hi", "-o", "out.txt")
    machine = place.run("-p", "hi", "--output-last-message", "machine.txt", "--output-format", "json")
    assert place.files() == {"out.txt": ANSWER.encode(), "machine.txt": ANSWER.encode()}
    assert machine.result["result"] == ANSWER


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_a_last_message_that_can_be_no_file_is_refused_before_the_run(place: Place, output_format: str) -> None:
    place.script(said("Hello."))
    ran = place.run("-p", "hi", "-o", "nowhere/out.txt", "--output-format", output_format)
    assert (ran.code, len(ran.err.splitlines()), place.sessions()) == (2, 1, [])
    assert ran.out == "" if output_format == "text" else ran.result["error"]["kind"] == "usage"


def test_closed_standard_streams_are_no_crash(place: Place) -> None:
    place.script(said("Hello.", repeat=True))
    no_input = bytes_of(place, "-p", "hi", shell="<&-")
    no_prompt = bytes_of(place, shell="<&-")
    nothing = bytes_of(place, "-p", "hi", shell="<&- >&- 2>&-")
    assert (no_input.returncode, no_input.stdout, no_input.stderr) == (0, b"Hello.\n", b"")
    assert (no_prompt.returncode, no_prompt.stdout, no_prompt.stderr.count(b"\n")) == (2, b"", 1)
    assert b"no prompt" in no_prompt.stderr
    assert nothing.returncode == 0


COLOUR = re.compile(rb"\x1b\[[0-9;]*[1-9][0-9;]*m")


@pytest.mark.parametrize(("words", "env", "coloured"), [((), {}, True), ((), {"NO_COLOR": "1"}, False), (("--color", "never"), {}, False)])
def test_a_terminal_gets_colour_unless_it_is_unwanted_and_what_the_model_says_cannot_draw(
    place: Place, words: tuple[str, ...], env: dict[str, str], coloured: bool
) -> None:
    place.script(
        {"agent": "scout", "replies": [said("Found it.", delay_s=0.2)]},
        call("task", agent="scout", prompt="Look."),
        said("\x1b[31mred\x1b[0m \x1b]0;title\x07 plain"),
    )
    terminal = Terminal(agentcli("--config", place.scripted, "-p", "hi", *words), place.folder, place.env(**env))
    try:
        assert terminal.end() == 0
    finally:
        terminal.close()
    answer = terminal.raw[terminal.raw.rindex(b"red") :]
    assert "red" in terminal.text
    assert b"\x1b" not in answer.replace(b"\x1b[?25h", b"")
    assert bool(COLOUR.search(terminal.raw)) == coloured


# --- standard input ---


def prompts(place: Place, ran: Ran) -> list[str]:
    """What the person said in the latest session, as it was sent."""
    assert ran.code == 0, ran
    events = [json.loads(line)["event"] for line in place.sessions()[-1].read_text().split("\n") if line]
    found = [event["message"] for event in events if event["type"] == "user_submitted"]
    return ["".join(part["text"] for part in message["content"]) for message in found]


def test_what_is_piped_in_is_the_prompt_or_stands_below_it(place: Place) -> None:
    place.script(said("Hello.", repeat=True))
    whole = "line one\nline two"
    beside = "Say this\n\n<stdin>\nline one\nline two\n</stdin>"
    assert prompts(place, place.run("-p", stdin=f"{whole}\n")) == [whole]
    assert prompts(place, place.run("-p", "Say this", stdin=f"{whole}\n")) == [beside]
    assert prompts(place, place.run("-", stdin=f"{whole}\n")) == [whole]
    assert prompts(place, place.run("-p", "Say", "this", "-", stdin=f"{whole}\n")) == [beside]
    assert prompts(place, place.run("-p", "models", stdin="")) == ["models"]


def test_an_open_pipe_that_never_sends_a_byte_does_not_hang_a_run_with_a_prompt(place: Place) -> None:
    place.script(said("Hello."))
    reader, writer = os.pipe()
    began = time.monotonic()
    program = start("--config", place.scripted, "-p", "hi", env=place.env(), cwd=place.folder, stdin=reader)
    try:
        out, err = program.communicate(timeout=20)
    finally:
        os.close(writer)
        os.close(reader)
    assert (program.returncode, out) == (0, b"Hello.\n")
    assert b"nothing came in on stdin within 3 s" in err
    assert 3 <= time.monotonic() - began < 9  # 3 s, and the start of a process on a busy machine


def test_messages_as_json_lines_are_answered_one_after_the_other(place: Place) -> None:
    place.script(said("First.", when="one"), said("Second.", when="two"))
    lines = [json.dumps({"type": "user", "message": {"role": "user", "content": content}}) for content in ("one", [{"type": "text", "text": "two"}])]
    ran = place.run("-p", "--input-format", "stream-json", "--output-format", "stream-json", stdin="\n".join(lines) + "\n")
    answers = [line["message"]["content"][0]["text"] for line in ran.lines if line["type"] == "assistant"]
    assert (ran.code, answers, ran.result["result"], ran.result["num_turns"]) == (0, ["First.", "Second."], "Second.", 2)
    broken = place.run("-p", "--input-format", "stream-json", "--output-format", "stream-json", stdin="hello\n")
    assert (broken.code, broken.result["error"]["kind"], len(broken.err.splitlines())) == (2, "usage", 1)
    assert "line 1" in broken.err
    beside = place.run("-p", "hi", "--input-format", "stream-json", "--output-format", "json", stdin=lines[0])
    nothing = place.run("-p", "--input-format", "stream-json", "--output-format", "json", stdin="")
    assert [(ran.code, ran.result["error"]["kind"]) for ran in (beside, nothing)] == [(2, "usage")] * 2


def test_nothing_at_all_is_told_with_an_example(place: Place) -> None:
    ran = place.run("-p", "--output-format", "json")
    assert (ran.code, ran.result["error"]["kind"], len(ran.err.splitlines())) == (2, "usage", 1)
    assert 'agentcli -p "' in ran.err


# --- schemas ---


def test_an_answer_that_fits_the_schema_is_structured_output(place: Place) -> None:
    place.script(said('{"n": 3}', repeat=True))
    place.file("schema.json", json.dumps(SCHEMA))
    from_text = place.run("-p", "count", "--json-schema", json.dumps(SCHEMA), "--output-format", "json")
    from_file = place.run("-p", "count", "--json-schema", "schema.json", "--output-format", "stream-json")
    assert (from_text.code, from_text.result["structured_output"], from_text.result["subtype"]) == (0, {"n": 3}, "success")
    assert (from_file.code, from_file.result["structured_output"], from_file.result["result"]) == (0, {"n": 3}, '{"n": 3}')


def test_in_text_mode_and_in_the_last_message_the_object_stands_alone(place: Place) -> None:
    place.script(said('```json\n{\n  "n": 3\n}\n```', repeat=True))
    ran = place.run("-p", "count", "--json-schema", json.dumps(SCHEMA), "-o", "last.json")
    assert (ran.code, ran.out, json.loads((place.folder / "last.json").read_text())) == (0, '{"n":3}\n', {"n": 3})


def test_an_answer_that_never_fits_fails_the_run(place: Place) -> None:
    place.script(said('{"n": "three"}', repeat=True))
    ran = place.run("-p", "count", "--json-schema", json.dumps(SCHEMA), "--output-format", "json")
    assert (ran.code, ran.result["error"]["kind"], ran.result["structured_output"]) == (1, "output_invalid", None)
    assert ran.result["subtype"] == "error_max_structured_output_retries"
    assert len([line for line in ran.err.splitlines() if line.startswith("error: ")]) == 1


@pytest.mark.parametrize(
    ("schema", "answer", "says"),
    [
        ({"type": "object"}, '{"n":' * 50_000, "nested too deeply"),
        ({"$ref": "#"}, '{"n": 3}', "refers to itself"),
        ({"$ref": "{url}"}, '{"n": 3}', "nothing is fetched"),
    ],
)
def test_neither_an_answer_nor_a_schema_without_end_breaks_the_run(place: Place, schema: dict[str, str], answer: str, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.json"
        place.script(said(answer, repeat=True))
        ran = place.run("-p", "count", "--json-schema", json.dumps(schema).replace("{url}", url), "--output-format", "json")
        assert (ran.code, ran.result["error"]["kind"]) == (1, "output_invalid")
        assert says in ran.err
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ('{"type": "objekt"}', "no valid JSON schema"),
        ('{"type": ', "no JSON"),
        ("missing.json", "cannot read missing.json: No such file"),
        ("list.json", "a JSON schema is an object"),
        ("latin.json", "not UTF-8"),
        ("deep.json", "no JSON"),
        ("nested.json", "nested too deeply"),
    ],
)
def test_a_schema_that_is_none_is_refused_before_the_run(place: Place, given: str, says: str) -> None:
    place.file("list.json", "[]")
    place.file("latin.json", b'{"title": "gr\xfc\xdfe"}')
    place.file("deep.json", '{"a":' * 50_000)
    place.file("nested.json", '{"not":' * 400 + "{}" + "}" * 400)
    ran = place.run("-p", "count", "--json-schema", given, "--output-format", "json")
    assert (ran.code, ran.result["error"]["exit_code"], len(ran.err.splitlines()), place.sessions()) == (2, 2, 1, [])
    assert says in ran.err


# --- usage ---


@pytest.mark.parametrize("output_format", ["text", "json", "stream-json"])
def test_a_wrong_flag_is_one_line_and_in_json_modes_one_result(place: Place, output_format: str) -> None:
    for words, says in {
        ("--modle", "x"): "No such option: --modle (Possible options: --model). See: agentcli --help",
        ("--max-turns", "0"): "'--max-turns'",
        ("--permission-mode", "nope"): "default, accept-edits, plan, auto or bypass",
    }.items():
        ran = place.run("-p", "hi", f"--output-format={output_format}", *words)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran
        assert says in ran.err
        assert ran.out == "" if output_format == "text" else ran.result["error"]["message"] in ran.err


@pytest.mark.parametrize(("name", "code", "kind"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_signal_while_it_starts_still_ends_with_one_result(place: Place, name: str, code: int, kind: str) -> None:
    """A signal before the event loop is there: it comes while the command line's own modules are read."""
    place.file(
        "sitecustomize.py",
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'agentcli.ui.oneshot' and not done:\n"
        "            done.append(name)\n"
        f"            os.kill(os.getpid(), signal.{name})\n"
        "done = []\n"
        "sys.meta_path.insert(0, Interrupting())\n",
    )
    ran = place.run("-p", "hi", "--output-format", "json", PYTHONPATH=str(place.folder))
    assert (ran.code, ran.result["error"]["kind"]) == (code, kind)


def test_a_line_separator_inside_text_splits_no_line(place: Place) -> None:
    place.script(said("one\u2028two\u0085three\x0bfour"))
    ran = place.run("-p", "hi", "--output-format", "stream-json")
    assert ran.result["result"] == "one\u2028two\u0085three\x0bfour"

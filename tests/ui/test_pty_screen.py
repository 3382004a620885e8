"""The screen and the keyboard on a real pty: first start, resizing, completion, pastes, history, editor, plain terminals."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.terminal import (
    CTRL_C,
    CTRL_D,
    CTRL_G,
    CTRL_J,
    CTRL_R,
    DOWN,
    ENTER,
    ESC,
    PASTE_BEGIN,
    PASTE_END,
    READY,
    TAB,
    Terminal,
    agentcli,
    plain_text,
    workplace,
)
from support.tmux import Tmux, needs_tmux

Open = Callable[..., Terminal]


REST: dict[str, Any] = {"text": "All done here.", "repeat": True}


# --- the first start ---


def test_the_first_start_without_a_config_asks_once_for_a_default(tmp_path: Path, own_home: Path, terminals: list[Terminal]) -> None:
    def start(**env: str) -> Terminal:
        terminals.append(Terminal(agentcli(), tmp_path, env))
        return terminals[-1]

    first = start(OPENAI_API_KEY="sk-test-canary-0002")
    first.see("Welcome to agentcli.", "Keys found: OPENAI_API_KEY.", "› openai/", "local/", "decide later")
    first.type("local" + ENTER)
    first.see("is the default (saved in")
    first.ready()
    first.see("(settings) · mode default")
    first.type(CTRL_D)
    assert first.end() == 0
    saved = json.loads((own_home / ".config/agentcli/settings.json").read_text())
    assert saved["default_model"].startswith("local/")
    second = start()
    second.ready()
    assert "Welcome" not in second.everything
    assert "sk-test-canary" not in first.raw.decode()


@pytest.mark.parametrize("brought", [False, True], ids=["no config", "a config that is not trusted"])
def test_a_skipped_first_start_without_any_model_names_the_three_ways(tmp_path: Path, terminals: list[Terminal], brought: bool) -> None:
    if brought:
        (tmp_path / "agent.hcl").write_text('providers "theirs" { wire = "scripted" }\n')
    terminal = Terminal(agentcli(), tmp_path)
    terminals.append(terminal)
    if brought:
        terminal.see("Do you trust what is in it?", "n not now")
        terminal.type("n")
    terminal.see("No key found (looked for OPENAI_API_KEY", "decide later")
    terminal.type(ESC)
    assert terminal.end() == 2
    assert "/model NAME d" not in plain_text(terminal.raw)
    assert "no model to run on. Three ways: set a key" in plain_text(terminal.raw)


def test_a_config_that_a_folder_brings_counts_only_after_a_yes_and_a_no_is_remembered(
    tmp_path: Path, own_home: Path, terminals: list[Terminal]
) -> None:
    (own_home / ".config/agentcli").mkdir(parents=True)
    (own_home / ".config/agentcli/config.hcl").write_text(
        f'default_model = "own/m"\nproviders "own" {{ wire = "scripted"\n script = "{tmp_path}/s.json"\n models "m" {{}} }}\n'
    )
    (tmp_path / "s.json").write_text("[]")
    project = tmp_path / "brought"
    project.mkdir()
    (project / "agent.hcl").write_text('default_model = "own/theirs"\nproviders "own" { models "theirs" {} }\n')
    for answer, model in (("n", "own/m"), ("", "own/m")):
        terminal = Terminal(agentcli(), project)
        terminals.append(terminal)
        if answer:
            terminal.see("Do you trust what is in it?", "agent.hcl", "n not now")
            terminal.type(answer)
        terminal.ready()
        terminal.see(f"{model} · default")
        terminal.type(CTRL_D)
        assert terminal.end() == 0


# --- the screen ---


def test_a_resize_in_the_middle_of_a_stream_loses_nothing_and_prints_nothing_twice(session: Open) -> None:
    words = [f"word{number} " for number in range(60)]
    paragraphs = ["First paragraph, done.\n\n", *words, "\n\nLast paragraph.\n"]
    terminal = session([{"text": paragraphs, "delay_s": 0.03}], columns=100)
    terminal.enter("talk")
    terminal.see("First paragraph, done.", "word5 ")
    terminal.resize(40, 30)
    terminal.see("word15 ")
    terminal.resize(300, 30)
    terminal.see("word30 ")
    terminal.resize(80, 30)
    terminal.see("Last paragraph.")
    terminal.ready()
    everything = terminal.everything
    for text in ("> talk", "First paragraph, done.", "word0 ", "word59", "Last paragraph.", READY):
        assert everything.count(text) == 1, f"{text!r} stands {everything.count(text)} times in:\n{everything}"
    assert b"\x1b[2J" not in terminal.raw


@needs_tmux
def test_a_terminal_that_wraps_lines_anew_is_redrawn_without_remains(session: Open, tmp_path: Path, own_home: Path) -> None:
    words = [f"word{number} " + ("\n\n" if number % 20 == 19 else "") for number in range(80)]
    script = [{"text": ["A paragraph that is done.\n\n", *words], "delay_s": 0.02}, REST]
    config = workplace(tmp_path, script)
    with Tmux(" ".join(agentcli("--config", str(config))), tmp_path / "project", columns=100, rows=24) as tmux:
        tmux.see(READY)
        tmux.keys("talk", "Enter")
        tmux.see("word9 ")
        for columns, rows in ((50, 24), (300, 24), (40, 30), (200, 24), (60, 26), (110, 24)):
            tmux.run("resize-window", "-t", "0", "-x", str(columns), "-y", str(rows))
            time.sleep(0.1)  # a hand that drags an edge: faster than tmux tells of it
        tmux.see("word79", READY)
        everything = tmux.text("-J", "-S", "-")
    assert re.findall(r"word\d+", everything) == [f"word{number}" for number in range(80)], everything
    for text in ("> talk", "A paragraph that is done.", "1 turn", READY):
        assert everything.count(text) == 1, f"{text!r} stands {everything.count(text)} times in:\n{everything}"
    assert "starting" not in everything


@needs_tmux
def test_the_panel_of_one_shot_mode_is_redrawn_without_remains_and_its_rows_stay_at_the_end(tmp_path: Path, own_home: Path) -> None:
    tasks = [{"agent": "explore", "prompt": f"look at part {number}"} for number in range(5)]
    script = [
        {"when": "go", "text": "Five will look.", "calls": [{"name": "parallel_task", "arguments": {"tasks": tasks}}]},
        {"agent": "explore", "each": True, "when": "look", "replies": [{"text": "Found it.", "first_delay_s": 1.5}]},
        REST,
    ]  # fmt: skip
    config = workplace(tmp_path, script)
    command = " ".join(agentcli("--config", str(config), "-p", "go"))
    with Tmux(f"seq 30; {command}; cat", tmp_path / "project", columns=110, rows=24) as tmux:
        tmux.see("5 workers: 5 running")
        tmux.run("resize-window", "-t", "0", "-x", "60", "-y", "24")
        tmux.see("All done here.")
        lines = tmux.text("-S", "-").rstrip().split("\n")[30:]
    assert lines[:2] == ["Five will look.", "· parallel_task 5 tasks"]
    assert [line[:13] for line in lines[2:7]] == [f"✓ explore-{number}  " for number in range(1, 6)]
    assert lines[7].startswith("5 workers: 5 done")
    assert lines[8:] == ["All done here."]


def test_forty_columns_hold_a_question_a_list_and_an_answer(session: Open) -> None:
    script = [{"when": "go", "text": "I will.", "calls": [{"name": "bash", "arguments": {"command": "rm -rf " + "x" * 60}}]}, REST]
    terminal = session(script, columns=40, rows=24)
    terminal.enter("go")
    terminal.see("May it run bash?", "y once", "n no, and why")
    assert "x" * 60 in "".join(line.strip() for line in terminal.lines)
    terminal.type("y")
    terminal.see("All done here.")
    terminal.enter("/model")
    terminal.see("Model of this session", "› demo/m1")
    assert all(len(line) <= 40 for line in terminal.lines)


def test_a_command_that_does_not_fit_is_printed_whole_above_its_question(session: Open) -> None:
    command = "\n".join(f"rm -rf folder-{number}" for number in range(40))
    terminal = session([{"when": "go", "calls": [{"name": "bash", "arguments": {"command": command}}]}, REST], rows=20)
    terminal.enter("go")
    terminal.see("more lines; all of it is printed above", "y once")
    terminal.until(lambda: all(f"rm -rf folder-{number}\n" in terminal.everything for number in range(40)), "not printed whole")


def test_without_colour_no_colour_is_written(session: Open) -> None:
    terminal = session([{"text": "# Head\n\n```python\nx = 1\n```\n"}], env={"NO_COLOR": "1"})
    terminal.enter("go")
    terminal.see("Head", "x = 1")
    terminal.ready()
    codes = {code for found in re.findall(rb"\x1b\[([\d;]*)m", terminal.raw) for code in found.split(b";")}
    assert {code for code in codes if code.isdigit() and 30 <= int(code) <= 107} == set()


# --- typing ---


def test_commands_files_and_models_complete(session: Open, tmp_path: Path) -> None:
    terminal = session([REST])
    project = tmp_path / "project"
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / "src").mkdir()
    for name in ("src/parser.py", "src/other.py", "built.log", "[b]x.py", "bad\x1b[31mname.py"):
        (project / name).touch()
    (project / ".gitignore").write_text("*.log\n")
    terminal.type("/ex")
    terminal.see("/exit", "Leave. The session stays saved.", "/export")
    terminal.type(CTRL_C + "/model demo/m2:")
    terminal.see("demo/m2:low", "Model Two, low effort")
    terminal.type(DOWN + DOWN + ENTER)
    terminal.see("demo/m2:high · default")
    terminal.type("read @")
    terminal.see("src/parser.py", "[b]x.py")
    assert "built.log" not in terminal.text
    assert "name.py" not in terminal.text
    terminal.type("prs")
    terminal.see_no_more("other.py")
    terminal.type(TAB)
    terminal.see("› read @src/parser.py")


def test_a_long_paste_is_folded_and_sent_whole_and_a_picture_is_refused(session: Open) -> None:
    terminal = session([{"when": "line 119", "text": "I got all of it."}])
    terminal.type(PASTE_BEGIN + PASTE_END)
    terminal.see("Nothing in that paste is text. Pictures come as files")
    terminal.type(PASTE_BEGIN + "/tmp/a.png" + PASTE_END)
    terminal.see("› /tmp/a.png", "demo/m1 takes no pictures; /model lists others.")
    terminal.type(CTRL_C)
    terminal.type("see: " + PASTE_BEGIN + "\r".join(f"line {number}" for number in range(120)) + PASTE_END)
    terminal.see("› see: [pasted 120 lines]")
    terminal.type(ENTER)
    terminal.see("I got all of it.")


def test_several_lines_are_written_with_control_j_and_in_the_editor(session: Open, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "%s" "$(cat "$1") and more" > "$1"\n')
    editor.chmod(0o755)
    terminal = session([{"when": "one\ntwo and more", "text": "Both lines came."}], env={"EDITOR": str(editor)})
    terminal.type("one" + CTRL_J + "two")
    terminal.see("› one\n  two")
    terminal.type(CTRL_G)
    terminal.see("  two and more")
    terminal.type(ENTER)
    terminal.see("Both lines came.")


def test_the_history_is_searched_across_sessions(session: Open) -> None:
    first = session([REST])
    first.enter("the unusual sentence")
    first.see("All done here.")
    first.type(CTRL_D)
    first.end()
    second = session([REST])
    second.type(CTRL_R + "unusu")
    second.see("history: unusu", "› the unusual sentence")
    second.type(ENTER)
    second.see_no_more("history:")
    second.type(ENTER)
    second.see("> the unusual sentence", "All done here.")


def test_vi_keys_by_config(session: Open) -> None:
    terminal = session([REST], more="ui { vi_mode = true }\n")
    terminal.type("wrong words")
    terminal.see("› wrong words")
    terminal.type(ESC)
    terminal.drain(0.2)
    terminal.type("ccright ones" + ENTER)
    terminal.see("> right ones", "All done here.")


def test_sessions_are_listed_copied_taken_up_and_begun_anew(session: Open) -> None:
    terminal = session([{"text": "Answer one."}, {"text": "Answer two."}, REST], rows=50)
    terminal.enter("question one")
    terminal.see("Answer one.")
    terminal.ready()
    terminal.enter("/fork")
    terminal.see("resumed")
    terminal.enter("question two")
    terminal.see("Answer two.")
    terminal.ready()
    terminal.enter("/clear")
    terminal.until(lambda: terminal.text.count("mode default") == 3, "no new session")
    terminal.enter("/resume")
    terminal.see("Resume which session?", "question one")
    terminal.type(DOWN + ENTER)
    terminal.until(lambda: terminal.text.count("resumed") == 2, "not resumed")
    assert terminal.text.count("> question two") == 1


def test_a_session_keeps_its_title_and_its_workers_models_and_no_other_session_gets_them(session: Open) -> None:
    terminal = session([REST], rows=60)
    terminal.enter("begin")
    terminal.ready()
    for said, seen in (
        ("/rename The great plan", "This session is called: The great plan"),
        ("/model explore m2:high", "The worker explore runs on demo/m2:high"),
        ("/model subagents m2", "Workers whose definition names no model run on demo/m2 "),
    ):
        terminal.enter(said)
        terminal.see(seen)
    terminal.enter("/clear")
    terminal.until(lambda: terminal.text.count("mode default") == 2, "no new session")
    terminal.enter("/agents")
    terminal.see("explore → demo/m1 (parent)", "general → demo/m1 (parent)")
    terminal.enter("/resume")
    terminal.see("Resume which session?", "The great plan")
    terminal.type(ENTER)
    terminal.see('resumed "The great plan"')
    terminal.enter("/agents")
    terminal.see("explore → m2:high = demo/m2:high (pin)", "general → m2 = demo/m2 (subagent_model)")


def test_the_last_answer_goes_to_the_terminals_clipboard(session: Open) -> None:
    terminal = session([{"text": "Here:\n\n```py\nx = 1\n```\n"}], env={"PATH": "/nowhere", "TMUX": ""})
    terminal.enter("/copy")
    terminal.see("there is no answer yet.")
    terminal.enter("code please")
    terminal.see("x = 1")
    terminal.ready()
    terminal.enter("/copy code")
    terminal.see("Handed to the terminal for its clipboard: 5 characters.")
    assert b"\x1b]52;c;eCA9IDE=\x1b\\" in terminal.raw


def test_models_are_compared_from_within_a_session(session: Open, tmp_path: Path) -> None:
    write = {"name": "write", "arguments": {"path": "b.txt", "content": "b\n"}}
    script = [
        {"agent": "general", "model": "m1", "each": True, "replies": [{"calls": [write]}, {"text": "Written."}]},
        {"agent": "general", "model": "m2", "error": {"kind": "authentication", "message": "bad key"}},
        REST,
    ]
    terminal = session(script, "--permission-mode", "accept-edits", rows=50, columns=120)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "project", check=True)
    terminal.enter("/compare m1 m2 write b.txt")
    terminal.see("✓ general-1", "✗ general-2", "demo/m1  ok ", "demo/m2  failed", "changed b.txt (git diff HEAD...agentcli/general-1)", "bad key")
    assert not (tmp_path / "project/b.txt").exists()
    terminal.enter("/compare m1 nothing such")
    terminal.see("/compare takes two models or more; 'nothing' is none.")


@pytest.mark.parametrize(("kind", "written"), [("bell", b"\a"), ("desktop", b"\x1b]9;agentcli is done\x1b\\\a"), ("off", b"")])
def test_the_end_of_a_long_turn_is_called_out_as_configured_and_a_short_one_is_not(session: Open, kind: str, written: bytes) -> None:
    more = f'ui {{\n  notifications = "{kind}"\n  notify_after_s = 0.3\n}}\n'
    terminal = session([{"when": "long", "text": "It took a while.", "first_delay_s": 0.4}, REST], more=more)
    terminal.enter("short")
    terminal.see("All done here.")
    terminal.ready()
    assert b"\a" not in terminal.raw
    terminal.enter("long")
    terminal.see("It took a while.")
    terminal.ready()
    terminal.drain()
    assert (terminal.raw.count(b"\a"), written in terminal.raw) == (1 if written else 0, True)


# --- terminals that can do less ---


def test_a_dumb_terminal_gets_plain_lines_and_answers_questions_by_lines(session: Open) -> None:
    script = [{"when": "go", "text": "I will.", "calls": [{"name": "bash", "arguments": {"command": "rm -rf a"}}]}, REST]
    terminal = session(script, env={"TERM": "dumb"}, wait=False)
    terminal.see("mode default", "\n>")
    terminal.enter("go")
    terminal.see("May it run bash?", "Type y for once, s for this session, a for always (bash(rm -rf a)), or n and a reason.")
    terminal.enter("what")
    terminal.until(lambda: terminal.text.count("Type y for once") == 2, "the question is not repeated")
    terminal.enter("n too dangerous")
    terminal.see("Decision: refused: bash rm -rf a (too dangerous)", "All done here.")
    terminal.enter("/model")
    terminal.see("1. demo/m1, Model One", "Type a number")
    terminal.enter("2")
    terminal.see("demo/m2: for how long?", "Type s for this session")
    terminal.enter("s")
    terminal.see("model: demo/m2 (command)")
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.raw


def test_plain_lines_tell_what_takes_long_do_not_repeat_what_was_typed_and_print_the_whole_on_a_command(session: Open, tmp_path: Path) -> None:
    command = {"name": "bash", "arguments": {"command": "until [ -e go ]; do sleep 0.02; done; seq 20"}}
    script = [{"when": "count", "calls": [command]}, REST]
    terminal = session(script, "--plain", "--permission-mode", "bypass", wait=False)
    terminal.see("mode bypass", "\n>")
    terminal.enter("count")
    terminal.see("Running: bash until [ -e go ]")
    (tmp_path / "project/go").touch()
    terminal.see("… +15 earlier lines (/more)", "All done here.")
    assert terminal.text.count("count") == 1
    terminal.enter("/more")
    terminal.see("\n  7\n  8\n")
    terminal.enter("/help")
    terminal.see("/more", "while the agent works: steer it; answers a question")
    assert "Shift+Tab" not in terminal.everything


def test_plain_lines_read_out_no_question_that_is_answered_already_and_say_when_one_more_key_quits(session: Open) -> None:
    tasks = [{"agent": "general", "prompt": f"chore {number}"} for number in range(3)]
    script = [
        {"when": "do", "calls": [{"name": "parallel_task", "arguments": {"tasks": tasks}}]},
        {"agent": "general", "each": True, "replies": [{"calls": [{"name": "bash", "arguments": {"command": "rm -rf old"}}]}, {"text": "Clean."}]},
        REST,
    ]
    terminal = session(script, "--plain", wait=False)
    terminal.see("mode default", "\n>")
    terminal.enter("do")
    terminal.see("general-1 asks: bash", "\n>")
    terminal.enter("what")
    terminal.see("(2 more wait)")
    terminal.enter("s")
    terminal.see("allowed for this session to general-3", "All done here.")
    assert terminal.everything.count(" asks: bash") == 2
    terminal.type(CTRL_C)
    terminal.see("Ctrl+C again quits.")
    terminal.type(CTRL_C)
    assert terminal.end() == 0


def test_plain_lines_by_config_and_an_interrupt_there(session: Open) -> None:
    terminal = session([{"when": "hold", "text": "Thinking.\n\nMore", "hang": True}, REST], wait=False, more="ui { plain = true }\n")
    terminal.see("mode default", "\n>")
    terminal.enter("hold")
    terminal.see("Agent: Thinking.")
    terminal.type(CTRL_C)
    terminal.see("interrupted")
    terminal.enter("go on")
    terminal.see("Agent: All done here.")
    terminal.type(CTRL_D)
    terminal.end()
    after = terminal.raw.partition(b"mode default")[2]
    assert b"\x1b" not in after

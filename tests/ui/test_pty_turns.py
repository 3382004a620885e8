"""The interactive session as a person meets it, on a real pty: turns, tools, approvals, models, steering, interrupting, leaving."""

from __future__ import annotations

import json
import os
import signal
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.terminal import (
    ALT_ENTER,
    BACKSPACE,
    BUSY,
    CTRL_B,
    CTRL_C,
    CTRL_D,
    CTRL_O,
    CTRL_R,
    ENTER,
    ESC,
    RIGHT,
    SHIFT_TAB,
    Terminal,
    agentcli,
    workplace,
)

Open = Callable[..., Terminal]

HOLD: dict[str, Any] = {"when": "hold", "text": "Let me think about it", "hang": True, "repeat": True}
REST: dict[str, Any] = {"text": "All done here.", "repeat": True}
GATE = "while [ ! -e go ]; do sleep 0.02; done; rm go"
"""A command that runs until the test lets it end."""


def bash(command: str, **more: Any) -> dict[str, Any]:
    """A reply that runs a command."""
    return {"calls": [{"name": "bash", "arguments": {"command": command}}], **more}


def stored(home: Path) -> list[dict[str, Any]]:
    """The events of the only session that was saved."""
    (path,) = (home / ".local/share/agentcli/sessions").rglob("*.jsonl")
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_turn_with_a_read_an_edit_that_is_asked_for_and_an_answer_in_markdown(session: Open, tmp_path: Path) -> None:
    script = [
        {"when": "fix", "text": "I read it first.", "calls": [{"name": "read", "arguments": {"path": "main.py"}}]},
        {"when": "hello", "text": "Now the change.", "calls": [
            {"name": "edit", "arguments": {"path": "main.py", "old": "hello", "new": "good day"}},
        ]},
        {"text": "# Done\n\nIt says **good day** now:\n\n```python\nprint('good day')\n```\n"},
    ]  # fmt: skip
    terminal = session(script)
    (tmp_path / "project/main.py").write_text("print('hello')\n")
    terminal.enter("fix the greeting")
    terminal.see("May it edit main.py?", "- hello", "+ good day", "y once", "s this session")
    assert (tmp_path / "project/main.py").read_text() == "print('hello')\n"
    terminal.type("y")
    terminal.see("● edit main.py  +1 -1", "It says good day now:", "3 turns")
    terminal.ready()
    assert (tmp_path / "project/main.py").read_text() == "print('good day')\n"
    assert "**" not in terminal.text
    assert terminal.text.count("Now the change.") == 1


# --- models ---


def test_a_switch_of_the_model_is_proved_by_the_model_that_answers_next(session: Open, own_home: Path) -> None:
    terminal = session([{"model": "m1", "text": "I am the first."}, {"model": "m2", "text": "I am the second.", "served": "two-2026"}])
    terminal.enter("who are you")
    terminal.see("I am the first.")
    terminal.ready()
    terminal.enter("/model demo/m22")
    terminal.see("unknown model 'demo/m22'; nearest: demo/m2", "demo/m1 · default")
    terminal.enter("/model demo/m2:high")
    terminal.see("model: demo/m2:high (command)", "The cache is lost: the next call reads about 15 tokens anew, $0.0001.")
    terminal.enter("who are you now")
    terminal.see("I am the second.", "demo/m2:high · default")
    assert [event["model"] for event in stored(own_home) if event["type"] == "replied"] == [
        {"requested": "demo/m1", "resolved": "demo/m1", "source": "config", "served": "m1"},
        {"requested": "demo/m2:high", "resolved": "demo/m2:high", "source": "command", "served": "two-2026"},
    ]


def test_the_list_of_models_searches_sets_the_effort_and_keeps_it_for_good(session: Open, own_home: Path) -> None:
    terminal = session([REST])
    terminal.enter("/model")
    terminal.see("Model of this session", "› demo/m1", "Model One", "32.0k", "1/4")
    terminal.type("two")
    terminal.see_no_more("Model One")
    terminal.type(RIGHT + RIGHT)
    terminal.see("› demo/m2", "high")
    terminal.type(ENTER)
    terminal.see("demo/m2:high: for how long?", "d the default from now on")
    terminal.type("d")
    terminal.see("Saved as the default in", "demo/m2:high · default")
    assert json.loads((own_home / ".config/agentcli/settings.json").read_text()) == {"default_model": "demo/m2:high"}
    terminal.enter("/model")
    terminal.see("Model of this session", "› demo/m2", "high")
    terminal.type(ENTER)
    terminal.see("demo/m2:high: for how long?")
    terminal.type("s")
    terminal.see("The session runs on demo/m2:high already.")


# --- while it works ---


def test_what_is_typed_while_it_works_steers_the_turn_or_waits_for_its_end(session: Open, tmp_path: Path) -> None:
    script = [
        bash(GATE, when="begin", text="On it."), {"when": "turn left", "text": "Left it is."},
        bash(GATE, when="once more", text="Again."), {"when": "and then", "text": "That too."}, {"text": "The first is done."},
    ]  # fmt: skip
    terminal = session(script, "--permission-mode", "bypass", rows=40)
    terminal.enter("begin")
    terminal.see("running bash", BUSY)
    terminal.enter("turn left")
    terminal.see("next: turn left")
    (tmp_path / "project/go").touch()
    terminal.see("> turn left", "Left it is.")
    terminal.ready()
    assert "next: turn left" not in terminal.text
    terminal.enter("once more")
    terminal.see("Again.", "running bash")
    terminal.type("and then" + ALT_ENTER)
    terminal.see("then: and then")
    (tmp_path / "project/go").touch()
    terminal.see("That too.")
    order = [terminal.everything.index(text) for text in ("The first is done.", "> and then", "That too.")]
    assert order == sorted(order)


def test_escape_gives_queued_text_back_then_interrupts_and_a_switch_says_when_it_takes_effect(session: Open) -> None:
    terminal = session([HOLD, REST])
    terminal.enter("hold")
    terminal.see("Let me think about it")
    terminal.enter("/model demo/m2")
    terminal.see("It takes effect at the next model call of this turn.", "demo/m2 · default")
    terminal.enter("first thought")
    terminal.see("next: first thought")
    terminal.type(ESC)
    terminal.see("› first thought")
    assert "answering" in terminal.text
    terminal.type(ESC)
    terminal.see("■ interrupted", "⋯ cut off by an interrupt", "› first thought")
    terminal.type(ENTER)
    terminal.see("> first thought", "All done here.")
    terminal.ready()
    terminal.enter("hold")
    terminal.see(BUSY)
    terminal.type(ESC)
    took = terminal.ready()
    assert took < 1.0, f"{took:.2f} s until the prompt was back"


def test_a_shell_line_is_shown_folded_interruptible_and_told_to_the_model_and_shift_tab_changes_the_mode(session: Open) -> None:
    terminal = session([{"when": "what was it", "text": "A number, I guess."}], rows=70)
    terminal.enter("!seq 30; echo done")
    terminal.see("● ! seq 30", "… +26 earlier lines (Ctrl+O)", "done")
    assert "    17" not in terminal.text
    terminal.type(CTRL_O)
    terminal.see("    17", "    30")
    terminal.enter("!sleep 100")
    terminal.see("! sleep 100  0s")
    terminal.type(ESC)
    terminal.see("ended before it was done")
    for mode in ("accept-edits", "plan", "auto", "default"):
        terminal.type(SHIFT_TAB)
        terminal.see(f"demo/m1 · {mode}")
    terminal.enter("what was it")
    terminal.see("A number, I guess.")


def test_control_b_sends_the_running_command_to_the_background_and_the_turn_goes_on(session: Open, tmp_path: Path) -> None:
    script = [
        bash(GATE + "; echo built", when="build"), {"when": "sent this to the background", "text": "It builds; I go on."},
        {"when": "how far", "text": "Not there yet."}, {"when": "Done in the background", "text": "Now it is built."},
    ]  # fmt: skip
    terminal = session(script, "--permission-mode", "bypass")
    terminal.type("ab" + CTRL_B + "c")
    terminal.see("› acb")
    terminal.type(CTRL_C)
    terminal.enter("build")
    terminal.see("running bash", "Ctrl+B background")
    terminal.type(CTRL_B)
    terminal.see("goes on in the background", "It builds; I go on.", "in the background  ", "running bash in the background")
    terminal.enter("how far")
    terminal.see("Not there yet.")
    (tmp_path / "project/go").touch()
    terminal.see("← Done in the background: bash", "Now it is built.")
    terminal.ready()
    assert "in the background  " not in terminal.text


def test_control_b_sends_running_workers_to_the_background_and_their_report_comes_later(session: Open, tmp_path: Path) -> None:
    script = [
        {"when": "look", "calls": [{"name": "task", "arguments": {"agent": "general", "prompt": "look around"}}]},
        {"agent": "general", "each": True, "replies": [bash(GATE), {"text": "Two lines long."}]},
        {"when": "sent this to the background", "text": "I go on."}, {"when": "Two lines long", "text": "It has two lines."},
    ]  # fmt: skip
    terminal = session(script, "--permission-mode", "bypass")
    terminal.enter("look")
    terminal.see("general-1", "running", "Ctrl+B background")
    terminal.type(CTRL_B)
    terminal.see("goes on in the background", "I go on.", "general-1", "waiting for 1 worker")
    (tmp_path / "project/go").touch()
    terminal.see("← Done in the background: task general", "✓ general-1", "It has two lines.")
    terminal.ready()


# --- approvals ---


def test_approvals_of_workers_queue_name_their_worker_and_one_word_answers_all_of_a_kind(session: Open, tmp_path: Path) -> None:
    tasks = [{"agent": "general", "prompt": f"chore {number}"} for number in range(3)]
    script = [
        {"when": "do chores", "text": "Three.", "calls": [{"name": "parallel_task", "arguments": {"tasks": tasks}}]},
        {"agent": "general", "each": True, "when": "chore", "replies": [bash("rm -rf old && echo x >> done"), {"text": "Clean."}]},
        REST,
    ]
    terminal = session(script)
    terminal.enter("do chores")
    terminal.see("general-1 asks: bash   (2 more wait)", "rm -rf old && echo x >> done", "why", "y once")
    terminal.type("n")
    terminal.see("no, because:")
    terminal.type("not that folder" + ENTER)
    terminal.see("general-2 asks: bash   (1 more waits)", "y once")
    terminal.type("s")
    terminal.see("✗ refused for general-1: bash", "(not that folder)")
    terminal.see("allowed for this session to general-2", "allowed for this session to general-3")
    terminal.see("All done here.")
    assert (tmp_path / "project/done").read_text() == "x\nx\n"


def test_an_allowed_rule_is_shown_before_it_is_saved_and_asks_no_more(session: Open, own_home: Path) -> None:
    script = [bash("rm -rf a", when="once"), {"text": "First."}, bash("rm -rf a", when="again"), {"text": "Second."}]
    terminal = session(script)
    terminal.enter("once")
    terminal.see("a always: bash(rm -rf a)")
    terminal.type("a")
    terminal.see("Always allow this in this folder?", "rule     bash(rm -rf a)", "saved in ~/.config/agentcli/settings.json", "Enter save and allow")
    assert not (own_home / ".config/agentcli/settings.json").exists()
    terminal.type(ENTER)
    terminal.see("✓ always allowed: bash(rm -rf a)", "First.")
    terminal.ready()
    terminal.enter("again")
    terminal.see("Second.")
    later = session(script)
    later.enter("once")
    later.see("First.")


def test_a_rule_that_cannot_be_saved_still_holds_for_the_session(session: Open, own_home: Path) -> None:
    terminal = session([bash("rm -rf a", when="once"), {"text": "First."}, bash("rm -rf a", when="again"), {"text": "Second."}])
    (own_home / ".config/agentcli/settings.json").mkdir(parents=True)
    terminal.enter("once")
    terminal.see("a always")
    terminal.type("a")
    terminal.see("Enter save and allow")
    terminal.type(ENTER)
    terminal.see("allowed, but not saved for later:", "First.")
    terminal.ready()
    terminal.enter("again")
    terminal.see("Second.")


@pytest.mark.parametrize("sentence", ["/agents", "stop doing that", "yet another thought"])
def test_no_letter_of_a_sentence_answers_a_question_that_was_there_before_it(session: Open, sentence: str) -> None:
    terminal = session([bash("rm -rf a", when="begin"), REST])
    terminal.enter("begin")
    terminal.see("y once")
    terminal.type(sentence)
    terminal.see(f"› {sentence}", "May it run bash?")
    terminal.see("y once")
    assert "allowed" not in terminal.everything


@pytest.mark.parametrize(("word", "seen"), [("yes", "✓ allowed once"), ("y", "✓ allowed once"), ("no", "✗ refused")])
def test_a_question_takes_an_answer_written_as_a_word(session: Open, word: str, seen: str) -> None:
    terminal = session([bash("rm -rf a", when="begin"), REST])
    terminal.enter("begin")
    terminal.see("y once")
    terminal.enter(word)
    terminal.see(seen, "All done here.")


def test_no_letter_of_a_sentence_answers_a_question_that_comes_while_it_is_typed(session: Open) -> None:
    terminal = session([bash("rm -rf a", when="begin", first_delay_s=0.4), REST])
    terminal.enter("begin")
    terminal.see(BUSY)
    for letter in "yes always say so":
        terminal.type(letter)
        terminal.pump(0.05)
    terminal.see("May it run bash?", "› yes always say so")
    assert "allowed" not in terminal.text


def test_beside_an_open_question_the_prompt_is_edited_sent_queued_and_cleared_after_a_pause_too(session: Open) -> None:
    terminal = session([bash("rm -rf x", when="go"), REST])
    terminal.enter("go")
    terminal.see("n no, and why · Esc no", "Type to steer")
    for typed, keys, seen in (("hello", BACKSPACE + ENTER, "next: hell\n"), ("later", ALT_ENTER, "then: later"), ("third", CTRL_C, "Type to steer")):
        terminal.type(typed)
        terminal.see(f"› {typed}", "pause typing to answer")
        terminal.see_no_more("pause typing to answer")
        terminal.type(keys)
        terminal.see(seen, "Esc no")
    terminal.type(CTRL_R + "go")
    terminal.see("history: go", "pause typing to answer")
    terminal.type(ESC)
    terminal.see_no_more("history:")
    terminal.type(CTRL_C)
    terminal.see("Type to steer", "Esc no")
    terminal.type(ESC)
    terminal.see("✗ refused: bash rm -rf x", "> hell", "> later")
    assert "interrupted" not in terminal.text


# --- workers ---


def test_a_worker_that_failed_runs_again_on_another_model(session: Open) -> None:
    script = [
        {"when": "ask", "calls": [{"name": "task", "arguments": {"agent": "explore", "prompt": "look there"}}]},
        {"agent": "explore", "model": "m1", "error": {"kind": "authentication", "message": "bad key"}},
        {"agent": "explore", "model": "m2", "text": "Here it is."},
        {"when": "A background worker has ended", "text": "The worker found it."},
        {"text": "It failed."},
    ]
    terminal = session(script)
    terminal.enter("ask")
    terminal.see("✗ explore-1", "It failed.")
    terminal.ready()
    terminal.enter("/agents retry explore-1 demo/m2")
    terminal.see("explore-1 runs again as explore-2", "demo/m2 (pin)", "1 worker: 1 done")
    terminal.enter("/agents show explore-2")
    terminal.see("resolved: demo/m2", "Here it is.")
    terminal.enter("news")
    terminal.see("←", "The worker found it.")


def test_a_worker_of_before_a_resume_is_told_of_and_cannot_run_again(session: Open) -> None:
    script = [{"when": "look", "calls": [{"name": "task", "arguments": {"agent": "explore", "prompt": "find it"}}]}, REST]
    first = session(script)
    first.enter("look")
    first.see("✓ explore-1", "2 turns")
    first.type(CTRL_D)
    assert first.end() == 0
    second = session(script, "-c")
    second.enter("/agents retry explore-1")
    second.see("✗ explore-1 ran before this session was resumed. Ask for its task anew")
    second.enter("/agents show explore-1")
    second.see("task      find it")


# --- sessions ---


def test_a_copy_and_a_new_session_keep_the_mode_and_a_copy_prints_nothing_again(session: Open, own_home: Path) -> None:
    terminal = session([REST])
    terminal.enter("hello")
    terminal.see("All done here.", "1 turn")
    terminal.type(SHIFT_TAB + SHIFT_TAB)
    terminal.see("· plan ·")
    terminal.enter("/fork")
    terminal.see("· mode plan", "This is a copy now. To go back to the session itself: /resume ")
    assert terminal.everything.count("All done here.") == 1
    terminal.enter("/export ~/copy.md")
    terminal.see("Written to ")
    assert "All done here." in (own_home / "copy.md").read_text()
    terminal.enter("/clear")
    terminal.see("agentcli 0", "demo/m1 (flag) · mode plan")


# --- leaving ---


def echoes_and_edits(terminal: Terminal) -> tuple[bool, bool]:
    """The terminal's own modes."""
    flags = termios.tcgetattr(terminal.child.child_fd)[3]
    return bool(flags & termios.ECHO), bool(flags & termios.ICANON)


def restored(terminal: Terminal) -> bool:
    """Whether the last that was written ends bracketed pastes and shows the cursor."""
    return b"\x1b[?2004l" in terminal.raw[-300:] and b"\x1b[?25l" not in terminal.raw.rpartition(b"\x1b[?25h")[2]


def test_control_c_clears_then_warns_then_quits_and_leaves_the_terminal_as_it_was(session: Open) -> None:
    terminal = session([REST])
    assert echoes_and_edits(terminal) == (False, False)
    terminal.type("half a tho")
    terminal.see("› half a tho")
    terminal.type(CTRL_C)
    terminal.ready()
    terminal.type(CTRL_C)
    terminal.see("Ctrl+C again quits")
    terminal.type(CTRL_C)
    assert terminal.end() == 0
    assert restored(terminal)


def test_two_control_c_at_once_end_a_turn_with_workers_and_the_session(session: Open, own_home: Path) -> None:
    tasks = [{"agent": "explore", "prompt": f"look {number}"} for number in range(8)]
    script = [
        {"when": "go", "calls": [{"name": "parallel_task", "arguments": {"tasks": tasks}}]},
        {"agent": "explore", "each": True, "when": "look", "replies": [{"text": "looking", "hang": True}]},
    ]
    terminal = session(script)
    terminal.enter("go")
    terminal.see("8 running")
    terminal.type(CTRL_C + CTRL_C)
    assert terminal.end() == 0
    assert [event["type"] for event in stored(own_home)].count("agent_finished") == 8


@pytest.mark.parametrize("word", ["exit", "quit"])
def test_a_word_that_leaves_a_shell_leaves_and_a_question_mark_helps(session: Open, word: str) -> None:
    terminal = session([REST])
    terminal.enter("?")
    terminal.see("/help [COMMAND]", "Shift+Tab")
    terminal.enter(word)
    assert terminal.end() == 0


def test_control_d_on_an_empty_line_quits_and_an_empty_session_leaves_no_file(session: Open, own_home: Path) -> None:
    terminal = session([REST])
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert list((own_home / ".local/share/agentcli/sessions").rglob("*.jsonl")) == []


def test_a_signal_ends_a_running_turn_in_order(session: Open, own_home: Path) -> None:
    terminal = session([HOLD])
    terminal.enter("hold")
    terminal.see("Let me think about it")
    os.kill(terminal.child.pid, signal.SIGTERM)
    assert terminal.end() == 143
    assert restored(terminal)
    assert stored(own_home)[-1]["type"] == "run_finished"


def test_a_killed_session_is_taken_up_again_and_the_shell_gets_its_terminal_back(tmp_path: Path, terminals: list[Terminal], session: Open) -> None:
    config = workplace(tmp_path, [HOLD, {"when": "and now", "text": "Where were we?"}])
    shell = Terminal(["bash", "--norc", "-i"], tmp_path / "project", {"PS1": "sh> "})
    terminals.append(shell)
    shell.see("sh>")
    shell.enter(f"{' '.join(agentcli('--config', str(config)))}; stty -a | tr ';' '\\n'")
    shell.ready()
    shell.enter("hold")
    shell.see("Let me think about it")
    (child,) = Path(f"/proc/{shell.child.pid}/task/{shell.child.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    shell.see("sh>", " icanon", " echo ")
    terminal = session([], "-c")
    terminal.see("resumed", "> hold")
    terminal.enter("and now")
    terminal.see("Where were we?")

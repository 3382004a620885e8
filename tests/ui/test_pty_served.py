"""One interactive session against a loopback server, on a real pty: what a person does is proved by the requests that the server gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.alive import still_running
from support.server import Answer, Call, Captured, Server
from support.terminal import BUSY, CTRL_C, ENTER, ESC, PASTE_BEGIN, PASTE_END, READY, Terminal, agentcli, served

BACK_S = 1.0
"""Until the prompt is back after an interrupt. The aim is 300 ms on an idle machine; other tests run beside this one."""
GATE = "while [ ! -e go ]; do sleep 0.02; done; rm go"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as opened:
        yield opened


@pytest.fixture
def terminal(server: Server, tmp_path: Path) -> Iterator[Terminal]:
    config = served(tmp_path, server.url)
    opened = Terminal(agentcli("--config", str(config), "--permission-mode", "bypass"), tmp_path / "project", rows=40)
    opened.ready()
    yield opened
    opened.close()


def bash(command: str, text: str = "") -> Answer:
    return Answer(text, calls=(Call("bash", {"command": command}),))


def said(request: Captured) -> list[tuple[str, Any]]:
    """Roles and texts of a request's messages, without the system prompt."""
    return [(message["role"], message.get("content")) for message in request.body["messages"] if message["role"] != "system"]


def test_models_steering_and_interrupts_reach_the_server(server: Server, terminal: Terminal, tmp_path: Path) -> None:
    project = tmp_path / "project"

    # A switch takes effect with the very next request, the effort too.
    server.reply(Answer("I am the first."), Answer("I am the other."))
    terminal.enter("who are you")
    terminal.see("I am the first.")
    terminal.ready()
    terminal.enter("/model other:high")
    terminal.see("model: test/other:high (command)")
    terminal.enter("and now")
    terminal.see("I am the other.")
    terminal.ready()
    assert [(request.body["model"], request.body.get("reasoning_effort")) for request in server.requests] == [("m", None), ("other", "high")]

    # What is typed in the middle of a turn reaches the model with the result of the call under way; so does a switch made then.
    server.reply(bash(GATE, "On it."), Answer("Left it is."))
    terminal.enter("begin")
    terminal.see("running bash", BUSY)
    terminal.enter("turn left")
    terminal.see("next: turn left")
    terminal.enter("/model m")
    terminal.see("It takes effect at the next model call of this turn.")
    (project / "go").touch()
    terminal.see("> turn left", "Left it is.")
    terminal.ready()
    assert len(server.requests) == 4
    assert server.requests[2].body["model"] == "other"
    assert server.requests[3].body["model"] == "m"
    assert [role for role, _ in said(server.requests[3])[-3:]] == ["assistant", "tool", "user"]
    assert said(server.requests[3])[-1] == ("user", "turn left")

    # An interrupt in the middle of a stream: the prompt is back, the server is left, and the next request holds what had come.
    left = server.closed
    server.reply(Answer("It begins so and ").sent(stall_after=4), Answer("That was short."))
    terminal.enter("tell me all")
    terminal.see("It begins so")
    terminal.type(ESC)
    took = terminal.ready()
    assert took < BACK_S, f"{took:.2f} s until the prompt was back"
    terminal.see("■ interrupted", "⋯ cut off by an interrupt")
    server.wait_closed(left + 1)
    terminal.enter("go on then")
    terminal.see("That was short.")
    terminal.ready()
    assert said(server.requests[-1])[-2][0] == "assistant"
    assert "It begins so" in said(server.requests[-1])[-2][1]
    assert "go on then" in said(server.requests[-1])[-1][1]

    # An interrupt in the middle of a command, and of one of the person's own: no process is left.
    server.reply(bash("echo $$ > pid; sleep 300 & wait"), Answer("A sleep, stopped."))
    terminal.enter("run it")
    ends_at(terminal, CTRL_C, "■ interrupted", project / "pid")
    terminal.enter("!echo $$ > pid; sleep 100 & wait")
    ends_at(terminal, ESC, "ended before it was done", project / "pid")
    terminal.enter("what was that")
    terminal.see("A sleep, stopped.")
    assert "sleep 100" in str(said(server.requests[-1]))


def ends_at(terminal: Terminal, key: str, told: str, file: Path) -> None:
    """The command that wrote its process id into the file ends at this key, with all that it started, and the prompt is back."""
    terminal.until(lambda: file.exists() and file.read_text().endswith("\n"), "no command runs")
    pid = int(file.read_text())
    terminal.until(lambda: children_of(pid) != [], "it starts nothing")
    family = [pid, *children_of(pid)]
    file.unlink()
    before = terminal.text.count(told)
    terminal.type(key)
    took = terminal.until(lambda: terminal.text.count(told) > before and READY in terminal.text, "it does not end")
    assert took < BACK_S, f"{took:.2f} s until the prompt was back"
    assert still_running(family) == []


def children_of(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def test_a_dropped_picture_goes_with_its_message_to_a_model_that_sees(server: Server, tmp_path: Path) -> None:
    config = served(tmp_path, server.url)
    config.write_text(config.read_text().replace('models "m" {', 'models "m" {\n    image_input = true', 1))
    (tmp_path / "project/a shot.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    server.reply(Answer("A shot."))
    opened = Terminal(agentcli("--config", str(config)), tmp_path / "project")
    try:
        opened.ready()
        opened.type("what is " + PASTE_BEGIN + f"'{tmp_path}/project/a shot.png'" + PASTE_END)
        opened.see("› what is [picture a shot.png]")
        opened.type(ENTER)
        opened.see("> what is [picture a shot.png] [1 image]", "A shot.")
    finally:
        opened.close()
    ((_, content),) = said(server.requests[0])
    assert [part["type"] for part in content] == ["text", "image_url"]
    assert content[1]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgpyZXN0"

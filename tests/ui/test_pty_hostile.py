"""Control, escape, bidi and invisible characters from every place they may come from, through the whole program onto a real pty.

The places: what the model writes, output of a tool, content and names of files, names of tools that a model calls, what a question shows, bodies of
HTTP errors; in the session and in print mode.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.server import Answer, Call, Captured, Server, failed
from support.terminal import CTRL_O, ENTER, READY, Terminal, agentcli, served

OURS = re.compile(r"\x1b\[(?:\?(?:25|7|2004|2026|1)[hl]|\d*[ABCDJK]|[\d;]*m)")
"""What the screen writes itself."""
MARKUP = ["[bold]loud[/bold]", "[/].py", "[link=http://x]y", ":smile:", "%s {0}"]


@dataclass(frozen=True)
class Case:
    id: str
    input: str
    sequence: str
    kind: str

    @property
    def text(self) -> str:
        """Named, so that it is found again."""
        return f"{self.id} {self.input}"

    @property
    def file_name(self) -> bytes:
        """As the name of a file; empty where no file can have it."""
        name = self.text.replace("/", "_").encode("utf-8", "surrogatepass")
        return b"" if len(name) > 255 or {0, 10} & set(name) else name


@pytest.fixture
def cases(shared: Path) -> list[Case]:
    found = [json.loads(line) for line in (shared / "cases/ansi_cases.jsonl").read_text(encoding="utf-8").split("\n") if line.strip()]
    return [Case(case["id"], case["input"].replace("|SPLIT|", "").rstrip("\n"), case["sequence"], case["class"]) for case in found]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as opened:
        yield opened


def harmless(raw: bytes, cases: list[Case]) -> None:
    """Nothing was written that a terminal acts on, but what the screen writes itself; and none of that stands where a case had it."""
    written = raw.decode("utf-8")
    left = OURS.sub("", written)
    assert {char for char in left if ord(char) < 32 or 0x7F <= ord(char) < 0xA0} <= {"\r", "\n", "\b"}
    for case in cases:
        if re.search("[\x00-\x1f\x7f-\x9f]", case.sequence):
            assert f"before{case.sequence}" not in written, case.id
            assert f"{case.sequence}after" not in written, case.id
        elif case.kind in ("bidi", "unicode") and len(case.sequence) < 20:
            assert case.sequence not in written, case.id


def readable(shown: str, cases: list[Case]) -> None:
    """What stands before and after each sequence can be read, in this order."""
    for case in cases:
        end = "" if "\n" in case.input else ".*after"
        assert re.search(rf"{case.id} before{end}", shown) is not None, f"{case.id} is not to be read in:\n{shown}"


def cut(text: str) -> tuple[str, ...]:
    return tuple(text[at : at + 7] for at in range(0, len(text), 7))


def test_no_place_of_a_session_lets_a_control_character_through(server: Server, cases: list[Case], tmp_path: Path, terminals: list[Terminal]) -> None:
    one_line = [case for case in cases if "\n" not in case.input]
    texts = [case for case in cases if not set(case.input) & {"\0", "\ud800"}]
    names = [case for case in cases if case.file_name]
    config = served(tmp_path, server.url)
    project = tmp_path / "project"
    (project / "hostile.txt").write_text("\n".join(case.text for case in texts))
    (project / "hostile.bin").write_bytes("\n".join(case.text for case in cases).encode("utf-8", "surrogatepass"))
    (project / "names").mkdir()
    (project / "[").mkdir()
    (project / "[" / "].py").touch()
    for case in names:
        Path(os.fsdecode(os.fsencode(project / "names") + b"/" + case.file_name)).touch()
    terminal = Terminal(agentcli("--config", str(config)), project, columns=220, rows=60)
    terminals.append(terminal)
    terminal.ready()

    turns = itertools.count(1)

    def since(question: str) -> str:
        _, found, rest = terminal.everything.rpartition(f"> {question}\n")
        return rest if found else ""

    def turn(answer: Answer, unfolded: str = "") -> str:
        """A question, its answer, and what is folded of it until the case `unfolded` is there; gives what was printed for it."""
        question = f"question {next(turns)}"
        server.reply(answer, Answer("That is all."))
        terminal.enter(question)
        terminal.until(lambda: READY in terminal.text and "That is all." in since(question), "the turn does not end")
        if unfolded:
            terminal.type(CTRL_O)
            terminal.until(lambda: f"{unfolded} before" in since(question).rpartition("That is all.")[2], "nothing unfolds")
        return since(question)

    model = turn(Answer(cut("\n\n".join([*(case.text for case in cases), *MARKUP])), calls=(Call("read", {"path": "[/].py"}),)))
    readable(model, cases)
    assert all(f"\n{text}\n" in model for text in MARKUP)
    assert "● read [/].py\n" in model
    readable(turn(Answer(calls=(Call("read", {"path": "hostile.txt"}),)), texts[-1].id), texts)
    readable(turn(Answer(calls=(Call("bash", {"command": "cat hostile.bin"}),)), cases[-1].id), cases)
    readable(turn(Answer(calls=(Call("glob", {"pattern": "names/*"}),)), names[-1].id), names)
    readable(turn(Answer(calls=tuple(Call(case.text, {}, id=case.id) for case in one_line))), one_line)

    asked = [case for case in texts if case in one_line]
    command = "\n".join(f"rm -rf {case.text}" for case in asked)
    server.reply(Answer(calls=(Call("bash", {"command": command}),)), Answer("Refused, then."))
    terminal.enter("remove it")
    terminal.see("y once")
    terminal.until(lambda: asked[-1].id in since("remove it"), "the question is not whole")
    readable(since("remove it"), asked)
    terminal.type("n" + ENTER)
    terminal.see("Refused, then.")

    for case in one_line[::6]:
        server.reply(failed(400, case.text))
        terminal.enter(f"fail {case.id}")
        terminal.until(lambda case=case: READY in terminal.text and "turn" in since(f"fail {case.id}"), case.id)
        readable(since(f"fail {case.id}"), [case])
    harmless(terminal.raw, cases)


@pytest.mark.parametrize("words", [(), ("--verbose",), ("--output-format", "stream-json")], ids=["text", "verbose", "stream-json"])
def test_print_mode_on_a_terminal_lets_none_through(
    words: tuple[str, ...], server: Server, cases: list[Case], tmp_path: Path, terminals: list[Terminal]
) -> None:
    def answer(request: Captured) -> Answer:
        if len(request.body["messages"]) > 3:
            return Answer(cut("\n\n".join(case.text for case in cases)))
        calls = [Call(case.text, {}, id=case.id) for case in cases if "\n" not in case.input]
        return Answer("I look.", calls=(*calls, Call("read", {"path": "hostile.txt"}), Call("bash", {"command": "cat hostile.txt"})))

    server.reply(answer, answer)
    config = served(tmp_path, server.url)
    (tmp_path / "project/hostile.txt").write_bytes("\n".join(case.text for case in cases).encode("utf-8", "surrogatepass"))
    terminal = Terminal(agentcli("--config", str(config), "-p", *words, "show me"), tmp_path / "project", columns=220, rows=60)
    terminals.append(terminal)
    assert terminal.end() == 0
    harmless(terminal.raw, [case for case in cases if case.kind != "unicode" or "stream-json" not in words])
    if "stream-json" not in words:
        readable(terminal.everything, cases)


def test_no_error_of_a_server_lets_any_through_in_print_mode(server: Server, cases: list[Case], tmp_path: Path, terminals: list[Terminal]) -> None:
    config = served(tmp_path, server.url)
    for case in (cases[3], cases[30]):
        server.reply(failed(400, case.text))
        terminal = Terminal(agentcli("--config", str(config), "-p", "x"), tmp_path / "project", columns=220)
        terminals.append(terminal)
        assert terminal.end() == 1
        harmless(terminal.raw, cases)
        readable(terminal.everything, [case])

"""What the interactive session costs: time to the prompt (at most 400 ms or 1.5 times the import of prompt_toolkit and rich), CPU of 5,000 tokens against
print mode (at most twice), a key's echo beside 32 workers (at most 50 ms at p99), how soon the prompt is back after an interrupt (300 ms).

Run it by hand on an idle machine: python tests/benchmarks/terminal_costs.py [--python PATH]
`--python` names the interpreter of an installed copy: one without the development tools starts sooner. What 60 updates of a panel write is a test:
tests/ui/test_screen_writes.py.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.terminal import BUSY, CTRL_C, CTRL_D, ESC, Terminal, workplace

TOKENS = 5_000
WORKERS = 32
KEYS = 200
RUNS = 5
LONG, SHORT = "talk", "greet"


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    read.add_argument("--python", default=sys.executable)
    sys.executable = read.parse_args().python
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody's program is compiled anew at each start
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environ = {"HOME": folder, "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "", "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}
        os.environ.update(environ)
        start(place(home / "start", [{"text": "hi"}]))
        stream(place(home / "stream", []))
        typing(place(home / "typing", crowd()))
        interrupts(place(home / "interrupts", held()))


def place(folder: Path, script: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    return workplace(folder, script)


def story() -> list[str]:
    """Tokens as they come: paragraphs, a list and a piece of code, again and again."""
    text = "A sentence of some words, with **stress** and `code` in it. " * 4 + "\n\n- one\n- two\n\n```python\ndef f(x):\n    return x\n```\n\n"
    words = text.split(" ")
    return [f"{words[number % len(words)]} " for number in range(TOKENS)]


def crowd() -> list[dict[str, Any]]:
    tasks = [{"agent": "explore", "prompt": f"look {number}"} for number in range(WORKERS)]
    steps = [{"text": ["looking "] * 20, "delay_s": 0.05, "calls": [{"name": "ls", "arguments": {}}]} for _ in range(200)]
    return [
        {"when": "go", "calls": [{"name": "parallel_task", "arguments": {"tasks": tasks}}]},
        {"agent": "explore", "each": True, "when": "look", "replies": steps},
        {"text": "ok", "repeat": True},
    ]


def agentcli(*words: str) -> list[str]:
    return [sys.executable, "-m", "agentcli", *words]


def start(config: Path) -> None:
    """Prompt to be seen after the start, and what importing the two libraries costs here; in turn, so that a drift of the machine falls on both."""
    libraries, prompts, ready = [], [], []
    for _ in range(RUNS + 1):
        libraries.append(timed([sys.executable, "-c", "import prompt_toolkit, rich.console"]))
        began = time.monotonic()
        terminal = Terminal(agentcli(), config.parent / "project", {"AGENTCLI_CONFIG": str(config)})
        terminal.see("› ")
        prompts.append(time.monotonic() - began)
        terminal.see("demo/m1 · default")
        ready.append(time.monotonic() - began)
        terminal.type(CTRL_D)
        terminal.end()
        terminal.close()
    print(f"prompt after {ms(prompts[1:])}, session open after {ms(ready[1:])}; importing prompt_toolkit and rich {ms(libraries[1:])}; ", end="")
    print(f"ratio {ratio(prompts[1:], libraries[1:])}")


def stream(config: Path) -> None:
    """User and system time of both, for the same answer of a service as fast as it can be taken; and of that, what the tokens cost."""
    rows = []
    with service() as port:
        config.write_text(
            f'default_model = "bench/m"\nproviders "bench" {{\n  apiKey = "sk-bench-0001"\n  baseUrl = "http://127.0.0.1:{port}/v1"\n  models "m" {{}}\n}}\n'
        )
        for _ in range(RUNS + 1):
            printed, short = (cpu_of([*agentcli("--config", str(config), "-p", prompt)], config) for prompt in (LONG, SHORT))
            rows.append((printed, printed - short, *cpu_interactive(config)))
    printed, tokens, shown, shown_tokens = zip(*rows[1:], strict=True)
    print(f"{TOKENS} tokens, CPU of the whole program: print mode {ms(printed)}, interactive {ms(shown)}; ratio {ratio(shown, printed)}")
    print(f"{TOKENS} tokens, CPU without the start: print mode {ms(tokens)}, interactive {ms(shown_tokens)}")


@contextmanager
def service() -> Iterator[int]:
    """A model service in a process of its own; gives its port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def serve(pipe: Connection) -> None:
    answers = {LONG: events(story()), SHORT: events(["hi"])}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            messages = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"]
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in answers[LONG if LONG in messages[-1]["content"] else SHORT]:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()


def events(words: list[str]) -> list[bytes]:
    deltas = [({"content": word}, None) for word in words] + [({}, "stop")]
    chunks = [{"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    chunks.append({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": TOKENS}})
    return [*(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks), b"data: [DONE]\n\n"]


def cpu_of(argv: list[str], config: Path) -> float:
    before = os.times()
    subprocess.run(argv, cwd=config.parent / "project", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, stdin=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def cpu_interactive(config: Path) -> tuple[float, float]:
    """Of the whole program, and of the turn alone."""
    terminal = Terminal(agentcli("--config", str(config)), config.parent / "project")
    terminal.ready()
    begun = spent(terminal.child.pid)
    terminal.enter(LONG)
    terminal.see("1 turn", seconds=120)
    used = spent(terminal.child.pid)
    terminal.close()
    return used, used - begun


def typing(config: Path) -> None:
    """From a key to its echo, while all workers stream."""
    terminal = Terminal(agentcli("--config", str(config), "--max-parallel", str(WORKERS)), config.parent / "project", columns=120, rows=40)
    terminal.ready()
    terminal.enter("go")
    terminal.see(f"{WORKERS} running", seconds=30)
    took = []
    for number in range(KEYS):
        letter = "abcdefghij"[number % 10]
        typed = terminal.text.count("›")
        assert typed
        wanted = letter.encode()
        began, before = time.monotonic(), len(terminal.raw)
        terminal.type(letter)
        while wanted not in terminal.raw[before:]:
            terminal.pump(0.001)
        took.append(time.monotonic() - began)
        terminal.drain(0.02)
    terminal.close()
    took.sort()
    print(f"a key's echo beside {WORKERS} workers: median {took[KEYS // 2] * 1e3:.0f} ms, p99 {took[int(KEYS * 0.99) - 1] * 1e3:.0f} ms")


def held() -> list[dict[str, Any]]:
    """A stream and a command that never end by themselves."""
    command = {"calls": [{"name": "bash", "arguments": {"command": "echo > runs; sleep 300"}}]}
    return [{"when": "tell", "text": "It begins so", "hang": True, "repeat": True}, {"when": "run", **command, "repeat": True}]


def interrupts(config: Path) -> None:
    """From the key to the empty prompt of an idle session. Esc takes 150 ms to tell from the start of another key."""
    terminal = Terminal(agentcli("--config", str(config), "--permission-mode", "bypass"), config.parent / "project")
    terminal.ready()
    runs = config.parent / "project/runs"
    for name, key in (("Esc", ESC), ("Ctrl+C", CTRL_C)):
        for what, begun in (("tell", lambda: "It begins so" in terminal.text and BUSY in terminal.text), ("run", runs.exists)):
            took = []
            for _ in range(10):
                terminal.enter(f"{what} me")
                terminal.until(begun, "it does not begin")
                terminal.type(key)
                took.append(terminal.ready())
                runs.unlink(missing_ok=True)
                time.sleep(2.1 if key == CTRL_C else 0.1)  # a second Ctrl+C would quit
            print(f"{name} in the middle of a {'stream' if what == 'tell' else 'command'}: prompt back after {ms(took)}")
    terminal.close()


def timed(argv: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(argv, check=True)
    return time.monotonic() - began


def spent(pid: int) -> float:
    """User and system seconds of a process, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    pairs = [one / other for one, other in zip(ours, theirs, strict=True)]
    return f"{statistics.median(pairs):.2f} (median of pairs; {min(ours) / min(theirs):.2f} of the minima)"


def ms(values: Sequence[float]) -> str:
    return f"{statistics.median(values) * 1e3:.0f} ms (median; {min(values) * 1e3:.0f} to {max(values) * 1e3:.0f})"


if __name__ == "__main__":
    main()

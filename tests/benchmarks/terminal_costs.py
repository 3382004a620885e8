"""What the interactive session costs: time to the prompt, CPU of a long stream against print mode, typing latency beside 32 workers, how soon the prompt is
back after an interrupt.

Run it by hand on an idle machine: python tests/benchmarks/terminal_costs.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.terminal import BUSY, CTRL_C, CTRL_D, ESC, Terminal, agentcli, workplace

TOKENS = 5_000
WORKERS = 32
KEYS = 200


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environ = {"HOME": folder, "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "", "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}
        os.environ.update(environ)
        start(place(home / "start", [{"text": "hi"}]))
        stream(place(home / "stream", [{"when": "talk", "text": story(), "repeat": True}]))
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


def start(config: Path) -> None:
    """Prompt to be seen after the start, and what importing the two libraries costs here."""
    libraries = [timed([sys.executable, "-c", "import prompt_toolkit, rich.console"]) for _ in range(5)]
    prompts, ready = [], []
    for _ in range(5):
        began = time.monotonic()
        terminal = Terminal(agentcli(), config.parent / "project", {"AGENTCLI_CONFIG": str(config)})
        terminal.see("› ")
        prompts.append(time.monotonic() - began)
        terminal.see("demo/m1 · default")
        ready.append(time.monotonic() - began)
        terminal.type(CTRL_D)
        terminal.end()
        terminal.close()
    print(f"prompt after {ms(prompts)}, session open after {ms(ready)}; importing prompt_toolkit and rich {ms(libraries)}")


def stream(config: Path) -> None:
    """User and system time of both, for the same answer as fast as it comes."""
    costs = {"print mode": cpu_of([*agentcli("--config", str(config), "-p", "talk")], config), "interactive": cpu_interactive(config)}
    print(f"{TOKENS} tokens: " + ", ".join(f"{name} {seconds:.2f} s CPU" for name, seconds in costs.items()))


def cpu_of(argv: list[str], config: Path) -> float:
    before = os.times()
    subprocess.run(argv, cwd=config.parent / "project", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, stdin=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def cpu_interactive(config: Path) -> float:
    terminal = Terminal(agentcli("--config", str(config)), config.parent / "project")
    terminal.ready()
    terminal.enter("talk")
    terminal.see("1 turn", seconds=120)
    used = spent(terminal.child.pid)
    terminal.close()
    return used


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


def ms(values: list[float]) -> str:
    return f"{statistics.median(values) * 1e3:.0f} ms (median; {min(values) * 1e3:.0f} to {max(values) * 1e3:.0f})"


if __name__ == "__main__":
    main()

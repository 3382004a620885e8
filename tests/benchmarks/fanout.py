"""How fast many workers are: 32 in a program of its own, and 1,000 in one session beside the same requests on bare httpx.

    python tests/benchmarks/fanout.py [--workers 1000] [--latency 0.5] [--runs 5] [--only program|session]

The service is a process of its own on 127.0.0.1, which answers after `latency` seconds. Printed, medians of all runs:

    program   32 workers through `agentcli -p`: from the last byte of the answer that asks for them to the first byte of the parent's next
              request, as a multiple of the latency (at most 1.25), and how many were open at once (32)
    session   `workers` through one session with max_parallel as large: wall time, beside the same request bodies on bare httpx clients of 32
              requests each, in the same run (at most 1.5 times), and memory a worker (at most 1 MB)
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

FAN = 32
MOST_GAP = 1.25
MOST_RATIO = 1.5
MOST_MB = 1.0
TELL = b"GET /log"


# --- the service, in a process of its own ---


class Service(asyncio.Protocol):
    """One connection. Answers by what the request's text holds, and notes when things happened."""

    log: dict[str, Any]
    latency = 0.5
    fan = FAN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        log, now = self.log, time.monotonic()
        if head.startswith(TELL.lower()):
            said = json.dumps(log).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
            log.update(begun=0.0, next=0.0, peak=0, open=0, count=0)
        elif b"FAN-OUT" in body and b'"tool_call_id"' not in body:
            tasks = [{"agent": "explore", "prompt": f"worker {number}"} for number in range(self.fan)]
            self.stream(_calls("parallel_task", {"tasks": tasks}))
            log["begun"] = time.monotonic()
        elif b"FAN-OUT" in body:
            log["next"] = now
            self.stream(_text("done"))
        else:
            log["open"] += 1
            log["count"] += 1
            log["peak"] = max(log["peak"], log["open"])
            log["body"] = log.get("body") or body.decode()
            asyncio.get_running_loop().call_later(self.latency, self.reply)

    def reply(self) -> None:
        self.log["open"] -= 1
        self.stream(_text("found nothing"))

    def stream(self, events: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self.transport.write(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(events), events))


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _text(text: str) -> bytes:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}\n\n'
    return _event({"role": "assistant", "content": text}) + _event({}, "stop") + usage + b"data: [DONE]\n\n"


def _calls(name: str, arguments: dict[str, Any]) -> bytes:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return _event({"tool_calls": [call]}) + _event({}, "tool_calls") + b"data: [DONE]\n\n"


def serve(pipe: Connection, latency: float) -> None:
    """The service's process: says its port, then serves until it is ended."""

    async def main() -> None:
        Service.log = {"begun": 0.0, "next": 0.0, "peak": 0, "open": 0, "count": 0}
        Service.latency = latency
        server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def read_log(port: int) -> dict[str, Any]:
    import httpx

    with httpx.Client(trust_env=False) as client:
        log: dict[str, Any] = client.get(f"http://127.0.0.1:{port}/log").json()
    return log


def config(port: int) -> str:
    return (
        f'default_model = "bench/m"\nproviders "bench" {{\n  apiKey = "sk-bench-0001"\n  baseUrl = "http://127.0.0.1:{port}/v1"\n'
        '  models "m" { cost = { input = 1.0, output = 2.0 } }\n}\n'
    )


# --- 32 through the program ---


def program(port: int, folder: Path) -> tuple[float, int]:
    """Seconds from the fan-out's answer to the parent's next request, and how many workers were open at once."""
    (folder / "bench.hcl").write_text(config(port))
    words = ["-p", "FAN-OUT", "--config", str(folder / "bench.hcl"), "--max-parallel", str(FAN), "-q"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run([sys.executable, "-m", "agentcli", *words], env=environ, cwd=folder, capture_output=True, text=True, check=False)
    log = read_log(port)
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr
    return log["next"] - log["begun"], log["peak"]


# --- many through one session, and bare ---


async def session(port: int, folder: Path, workers: int, *, save: bool) -> tuple[float, float]:
    """Seconds for all workers, and MB each at the peak."""
    from agentcli.agents.patterns import parallel
    from agentcli.agents.tree import Task
    from agentcli.sdk.agent import AsyncAgent

    async with await AsyncAgent.create(config(port) + f"limits {{ max_agents = {workers} }}\n") as agent:
        opened = agent.session(folder, max_parallel=workers, save=save)
        tree = opened.tree
        await opened.work(lambda: parallel(tree, tree.main, [Task("explore", "warm up")]))
        gc.collect()
        before = resident()
        highest = before
        tasks = [Task("explore", f"worker {number}") for number in range(workers)]

        async def watch() -> None:
            nonlocal highest
            while True:
                highest = max(highest, resident())
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        began = time.monotonic()
        ended = await opened.work(lambda: parallel(tree, tree.main, tasks))
        took = time.monotonic() - began
        highest = max(highest, resident())
        watching.cancel()
    assert all(one.ok for one in ended), next(one.failure for one in ended if not one.ok)
    return took, (highest - before) / workers


def resident() -> float:
    """MB of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def bare(port: int, body: bytes, requests: int) -> float:
    """Seconds for the same requests on httpx clients of 32 each, their answers read to the end."""
    import httpx

    url, headers = f"http://127.0.0.1:{port}/v1/chat/completions", {"content-type": "application/json", "authorization": "Bearer sk-bench-0001"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
    clients = [httpx.AsyncClient(verify=False, trust_env=False, timeout=None, limits=limits) for _ in range(-(-requests // 32))]

    async def one(number: int) -> None:
        async with clients[number // 32].stream("POST", url, content=body, headers=headers) as response:
            async for _ in response.aiter_raw():
                pass

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(requests)))
    took = time.monotonic() - began
    for client in clients:
        await client.aclose()
    return took


def isolated(function: Callable[..., Any], *args: Any) -> Any:
    """Runs a coroutine function in a process of its own, so that no run profits from the one before."""
    out, into = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_in_child, args=(into, function, args))
    process.start()
    into.close()
    try:
        return out.recv()
    finally:
        process.join()


def _in_child(into: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    into.send(asyncio.run(function(*args)))


async def _session(port: int, folder: Path, workers: int, save: bool) -> tuple[float, float]:
    return await session(port, folder, workers, save=save)


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    read.add_argument("--workers", type=int, default=1000)
    read.add_argument("--latency", type=float, default=0.5)
    read.add_argument("--runs", type=int, default=5)
    read.add_argument("--only", choices=["program", "session"])
    read.add_argument("--save", action="store_true", help="keep session files, as the program does")
    given = read.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, given.latency), daemon=True)
    process.start()
    port = ours.recv()
    try:
        with tempfile.TemporaryDirectory() as place:
            os.environ.update(HOME=place, XDG_CACHE_HOME=f"{place}/cache", XDG_DATA_HOME=f"{place}/data", XDG_STATE_HOME=f"{place}/state")
            if given.only != "session":
                _program(port, Path(place), given)
            if given.only != "program":
                _many(port, Path(place), given)
    finally:
        process.terminate()
        process.join()


def _program(port: int, folder: Path, given: argparse.Namespace) -> None:
    runs = [program(port, folder) for _ in range(given.runs + 1)][1:]
    gap = statistics.median(seconds for seconds, _ in runs)
    print(f"program  {FAN} workers x {given.latency * 1000:.0f} ms: ", end="")
    print(f"gap {gap * 1000:.0f} ms = {gap / given.latency:.2f} x (at most {MOST_GAP}); ", end="")
    print(f"open at once {min(peak for _, peak in runs)} of {FAN}; runs {', '.join(f'{seconds * 1000:.0f}' for seconds, _ in runs)}")


def _many(port: int, folder: Path, given: argparse.Namespace) -> None:
    rows = []
    for _ in range(given.runs + 1):
        read_log(port)
        took, memory = isolated(_session, port, folder, given.workers, given.save)
        log = read_log(port)
        rows.append((took, isolated(bare, port, log["body"].encode(), given.workers), memory, log["peak"]))
    rows = rows[1:]
    took, alone, memory, peak = (statistics.median(row[column] for row in rows) for column in range(4))
    ratio = statistics.median(row[0] / row[1] for row in rows)
    print(f"session  {given.workers} workers: {took:.2f} s, bare httpx {alone:.2f} s, ratio {ratio:.2f} (at most {MOST_RATIO}); ", end="")
    print(f"{memory * 1000:.0f} KB a worker (at most {MOST_MB * 1000:.0f}); open at once {peak:.0f}; ", end="")
    print(f"runs {', '.join(f'{row[0]:.2f}/{row[1]:.2f}' for row in rows)}")


if __name__ == "__main__":
    main()

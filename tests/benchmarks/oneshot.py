"""What a one-shot run costs, against peers on one fake model server, as ratios of medians (and of minima) in one run.

    uv run python tests/benchmarks/oneshot.py [-n RUNS] [--home DIR] [--peers codex,claude-code] [--bin AGENTCLI]

Needs the timing kit (`perf/` of the folder named by AGENTCLI_SHARED, or of `../shared` beside the checkout) and the peers it installs
(`perf/install.sh floor codex claude`, BENCH_HOME set to the same folder as --home). Everything stays on the loopback of a network namespace of its own.

Figures: first request (ms from the start of the process to the first model request), wall of the whole run, ms per extra tool turn, ms from the
request to the process's exit for 5,000 streamed tokens, ms from the answer that asks for 32 workers of 500 ms to the parent's next request, memory of
the largest process (MB). A ratio below 1 is faster or smaller than the peer. Before them, `--version` (at most twice a bare interpreter) and
`import agentcli` (at most 30 ms over one). `--bin` names the program of an installed copy, without the development tools, whose interpreter is beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

FLOOR = "py-httpx"
FIGURES = (("hello", "ttfr", "first request"), ("hello", "wall", "whole run"), ("turns:20", "turn", "per tool turn"),
           ("stream:5000", "strm", "5,000 tokens"), ("fanout:32:500", "fan", "32 workers"), ("hello", "rss", "memory"))  # fmt: skip
STARTS = 15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("BENCH_HOME", "run")))
    parser.add_argument("--peers", default="codex,claude-code")
    parser.add_argument("--bin", type=Path, default=shutil.which("agentcli") or Path(sys.executable).with_name("agentcli"))
    asked = parser.parse_args()
    starts(Path(asked.bin))
    shared = Path(os.environ.get("AGENTCLI_SHARED") or Path(__file__).resolve().parents[3] / "shared")
    peers = ["agentcli", *(peer for peer in asked.peers.split(",") if peer), FLOOR]
    found = measure(shared / "perf", asked.home.resolve(), peers, asked.n, asked.bin)
    for scenario, figure, name in FIGURES:
        own = found["agentcli", scenario].get(figure, [])
        ratios = [f"{compared(own, other)} x {peer}" for peer in peers[1:] if own and (other := found[peer, scenario].get(figure))]
        print(f"{name:15} {statistics.median(own or [0]):8.1f}   {'   '.join(ratios)}")
    return 0


def compared(ours: list[float], theirs: list[float]) -> str:
    """The ratio of the medians, and of the minima, which a crowded machine disturbs less."""
    return f"{statistics.median(ours) / statistics.median(theirs):.2f} ({min(ours) / min(theirs):.2f})"


def starts(program: Path) -> None:
    """`--version` and `import agentcli`, each in turn with a bare interpreter."""
    python = str(program.with_name("python"))
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    rows = []
    for _ in range(STARTS + 1):
        argvs = ([python, "-c", "pass"], [str(program), "--version"], [python, "-c", "import agentcli"])
        rows.append([spent(argv, environ) for argv in argvs])
    bare, version, imported = (list(column) for column in zip(*rows[1:], strict=True))
    print(f"--version       {statistics.median(version):8.1f}   {compared(version, bare)} x a bare interpreter")
    over = statistics.median(one - other for one, other in zip(imported, bare, strict=True))
    print(f"import agentcli {over:8.1f}   over a bare interpreter ({min(imported) - min(bare):.1f} of the minima)")


def spent(argv: list[str], environ: dict[str, str]) -> float:
    """Milliseconds from start to end."""
    began = time.monotonic()
    subprocess.run(argv, env=environ, cwd="/", stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - began) * 1000


def measure(kit: Path, home: Path, peers: list[str], runs: int, program: Path) -> dict[tuple[str, str], dict[str, list[float]]]:
    """All values by peer and scenario. The kit is copied, for it writes beside itself."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "perf"
        shutil.copytree(kit, place)
        out = Path(folder) / "out.jsonl"
        env = {**os.environ, "BENCH_HOME": str(home), "AGENTCLI_BIN": str(program)}
        scenarios = list(dict.fromkeys(scenario for scenario, _, _ in FIGURES))
        subprocess.run(["bash", str(place / "run_peer.sh"), "-n", str(runs), "--json", str(out), ",".join(peers), *scenarios], env=env, check=True)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["i"] >= 0:
            for figure, value in row.items():
                if isinstance(value, int | float):
                    found[row["peer"], row["sc"]][figure].append(value)
    return found


if __name__ == "__main__":
    sys.exit(main())

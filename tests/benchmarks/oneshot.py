"""What a one-shot run costs, against peers on one fake model server, as ratios of medians in one run.

    uv run python tests/benchmarks/oneshot.py [-n RUNS] [--home DIR] [--peers codex,claude-code]

Needs the timing kit (`perf/` of the folder named by AGENTCLI_SHARED, or of `../shared` beside the checkout) and the peers it installs
(`perf/install.sh floor codex claude`, BENCH_HOME set to the same folder as --home). Everything stays on the loopback of a network namespace of its own.

Figures: first request (ms from the start of the process to the first model request), wall of the whole run, ms per extra tool turn, ms from the
request to the process's exit for 5,000 streamed tokens, memory of the largest process (MB). A ratio below 1 is faster or smaller than the peer.
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
from collections import defaultdict
from pathlib import Path

FLOOR = "py-httpx"
FIGURES = (("hello", "ttfr", "first request"), ("hello", "wall", "whole run"), ("turns:20", "turn", "per tool turn"),
           ("stream:5000", "strm", "5,000 tokens"), ("hello", "rss", "memory"))  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("BENCH_HOME", "run")))
    parser.add_argument("--peers", default="codex")
    asked = parser.parse_args()
    shared = Path(os.environ.get("AGENTCLI_SHARED") or Path(__file__).resolve().parents[3] / "shared")
    peers = ["agentcli", *(peer for peer in asked.peers.split(",") if peer), FLOOR]
    medians = measure(shared / "perf", asked.home.resolve(), peers, asked.n)
    for scenario, figure, name in FIGURES:
        own = medians["agentcli", scenario].get(figure)
        ratios = [f"{own / other:.2f} x {peer}" for peer in peers[1:] if own and (other := medians[peer, scenario].get(figure))]
        print(f"{name:15} {own or float('nan'):8.1f}   {'   '.join(ratios)}")
    return 0


def measure(kit: Path, home: Path, peers: list[str], runs: int) -> dict[tuple[str, str], dict[str, float]]:
    """Medians by peer and scenario. The kit is copied, for it writes beside itself."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "perf"
        shutil.copytree(kit, place)
        out = Path(folder) / "out.jsonl"
        env = {**os.environ, "BENCH_HOME": str(home), "AGENTCLI_BIN": shutil.which("agentcli") or str(Path(sys.executable).with_name("agentcli"))}
        scenarios = list(dict.fromkeys(scenario for scenario, _, _ in FIGURES))
        subprocess.run(["bash", str(place / "run_peer.sh"), "-n", str(runs), "--json", str(out), ",".join(peers), *scenarios], env=env, check=True)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["i"] >= 0:
            for figure, value in row.items():
                if isinstance(value, int | float):
                    found[row["peer"], row["sc"]][figure].append(value)
    return defaultdict(dict, {key: {figure: statistics.median(values) for figure, values in row.items()} for key, row in found.items()})


if __name__ == "__main__":
    sys.exit(main())

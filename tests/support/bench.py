"""Many runs of the whole program on any wire, each against a server of its own in a folder of its own, several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .program import Ran, environment
from .server import Script, Server
from .warm import Warm

KEY = "sk-test-canary-0001"
RETRIES = 1
AT_ONCE = 16
"""Most of them wait."""


@dataclass
class Run:
    """A run that is over: what the program wrote, what its server was asked, what its commands wrote."""

    ran: Ran
    server: Server
    folder: Path

    @property
    def error(self) -> str:
        """All of stderr but for what it says of retries."""
        return "\n".join(line for line in self.ran.err.splitlines() if not line.startswith("retry "))

    @property
    def commands(self) -> list[str]:
        """The lines that commands added to `ran.txt`."""
        path = self.folder / "ran.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def answers(self) -> list[tuple[str, bool]]:
        """Of stream-json: the text of each answer, and whether it is marked as one that failed."""
        lines = [line for line in self.ran.lines if line["type"] == "assistant"]
        return [("".join(block.get("text", "") for block in line["message"]["content"]), "error" in line) for line in lines]


@dataclass(frozen=True)
class Bench:
    """`base` holds the folders of all runs, their configs and the cache of these."""

    program: Warm
    base: Path

    def run(
        self, name: str, wire: str, *words: str, always: Script, replies: Iterable[Script] = (), limits: Mapping[str, float] | None = None
    ) -> Run:
        """Asks `Go` over a wire, all commands allowed. `name`: of its folder, also one that an earlier run was in. `limits`: as in a config."""
        folder, config = self.base / f"{wire} {name}".replace(":", ""), self.config(wire, limits)
        folder.mkdir(exist_ok=True)
        with Server(*replies, always=always) as server:
            env = environment(TEST_KEY=KEY, TEST_URL=server.url, XDG_CACHE_HOME=str(self.base / "cache"))
            ran = self.program.run("--config", str(config), "-p", "Go", "--permission-mode", "bypass", *words, env=env, cwd=folder)
        assert KEY not in ran.out + ran.err
        assert "Traceback" not in ran.err
        return Run(ran, server, folder)

    def config(self, wire: str, limits: Mapping[str, float] | None = None) -> Path:
        """A provider `test` on this wire, its key in TEST_KEY and its address in TEST_URL. One file for the same limits, so that it is read once."""
        limits = limits or {}
        path = self.base / f"{'-'.join([wire, *(f'{name}-{value}' for name, value in limits.items())])}.hcl"
        if not path.exists():
            unfinished = path.with_suffix(f".{id(limits)}")
            unfinished.write_text(_config(wire, {"retries": RETRIES, "retry_first_s": 0.01, **limits}))
            unfinished.replace(path)
        return path


def _config(wire: str, limits: Mapping[str, float]) -> str:
    models = "".join(f'  models "{name}" {{ effort = ["low", "high"] }}\n' for name in ("m", "other"))
    lines = "".join(f"  {name} = {value}\n" for name, value in limits.items())
    return (
        f'default_model = "test/m"\nproviders "test" {{\n  wire = "{wire}"\n  apiKey = env("TEST_KEY")\n  baseUrl = env("TEST_URL")\n'
        f"{models}}}\nlimits {{\n{lines}}}\n"
    )


def side_by_side(one: Callable[[str], Any], names: Iterable[str]) -> dict[str, Any]:
    """What `one` gives for each name; several at once, begun in their order."""
    names = list(names)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))

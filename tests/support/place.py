"""The whole program in a working folder of its own. Its two configs (a scripted model, the loopback server) are the same for all tests, so that
they are parsed once and every run but the first starts as a person's usual run does: from the parsed-config cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .program import Ran, environment, run
from .server import Server

SCRIPTED = """
default_model = "demo/m1"
providers "demo" {
  wire   = "scripted"
  script = "script.json"
  models "m1" {
    name = "Model One"
    cost = { input = 1.0, output = 2.0 }
  }
  models "m2" {
    name   = "Model Two"
    cost   = { input = 10.0, output = 20.0 }
    effort = ["low", "high"]
  }
  models "unpriced" {}
  models "tiny" { profile = "small" }
}
aliases { fast = "demo/m1" }
agents "scout" {
  description   = "Looks around."
  model         = "demo/m2"
  tools         = ["read", "ls"]
  system_prompt = "You are the scout of this test."
}
"""

SERVED = """
default_model = "test/m"
providers "test" {
  apiKey  = env("TEST_KEY")
  baseUrl = env("TEST_URL")
  models "m" {
    cost   = { input = 1.0, output = 2.0 }
    effort = ["low", "high"]
  }
  models "other" { cost = { input = 1.0, output = 2.0 } }
}
limits {
  retries       = 1
  retry_first_s = 0.01
}
"""


@dataclass(frozen=True)
class Place:
    """`folder` is the working folder of every run, `shared` holds the configs and the parsed-config cache of all tests."""

    folder: Path
    shared: Path

    def script(self, *replies: Mapping[str, Any]) -> None:
        """What the scripted model says, from the first reply again in each run."""
        (self.shared / "script.json").write_text(json.dumps(replies))

    def env(self, **more: str) -> dict[str, str]:
        return {**environment(XDG_CACHE_HOME=str(self.shared / "cache")), **more}

    def run(self, *words: str, stdin: str | None = None, cwd: Path | None = None, **more: str) -> Ran:
        """With the scripted model."""
        return run("--config", self.scripted, *words, stdin=stdin, env=self.env(**more), cwd=cwd or self.folder)

    def ask(self, server: Server, *words: str, stdin: str | None = None, **more: str) -> Ran:
        """With the server's model."""
        return run("--config", self.served, *words, stdin=stdin, env=self.env(TEST_URL=server.url, **more), cwd=self.folder)

    @property
    def scripted(self) -> str:
        return str(self.shared / "scripted.hcl")

    @property
    def served(self) -> str:
        return str(self.shared / "served.hcl")

    def file(self, name: str, data: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def files(self) -> dict[str, bytes]:
        """Every file of the working folder, byte for byte, without git's own."""
        every = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and ".git" not in path.parts)
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in every}

    def sessions(self) -> list[Path]:
        """The session files, oldest first."""
        root = Path(self.env()["XDG_DATA_HOME"]) / "agentcli" / "sessions"
        return sorted(root.rglob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A reply of the scripted model that is one tool call."""
    return {"calls": [{"name": name, "arguments": arguments}]}


def said(text: str, **more: Any) -> dict[str, Any]:
    """A reply of the scripted model that is text."""
    return {"text": text, **more}


def tool_results(ran: Ran) -> list[tuple[bool, str]]:
    """Of a stream-json run, in order: whether each tool call failed, and what it brought."""
    users = [line["message"]["content"] for line in ran.lines if line["type"] == "user"]
    blocks = [block for content in users if isinstance(content, list) for block in content if block["type"] == "tool_result"]
    return [(block["is_error"], str(block["content"])) for block in blocks]

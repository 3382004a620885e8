"""A person's folders and a project, and `Sources` that look there: what tests of config work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agentcli.config.load import Config, Sources, load


@dataclass
class Desk:
    """Where one test's config lies. `load(**changes)` loads with changed `Sources`."""

    home: Path
    user: Path
    data: Path
    cache: Path
    project: Path
    environ: dict[str, str] = field(default_factory=dict)

    def sources(self, **changes: Any) -> Sources:
        environ = {"HOME": str(self.home), **self.environ}
        return replace(Sources(self.project, environ, self.user, self.data, self.cache), **changes)

    def load(self, **changes: Any) -> Config:
        return load(self.sources(**changes))

    def text(self, text: str, **environ: str) -> Config:
        """A config given as text, as `Agent.create` does."""
        return load(self.sources(text=text, environ={"HOME": str(self.home), **environ}))

    def write(self, path: str, text: str | bytes) -> Path:
        """A file of the project."""
        return put(self.project / path, text)

    def write_user(self, text: str | bytes) -> Path:
        return put(self.user / "config.hcl", text)


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path

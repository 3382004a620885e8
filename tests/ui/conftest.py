"""Terminals of the tests of this room: each is ended, whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.terminal import Terminal, agentcli, workplace


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """What is put in here is closed at the end."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.fixture
def session(tmp_path: Path, terminals: list[Terminal]) -> Callable[..., Terminal]:
    """Opens an interactive session on a scripted model and waits for its prompt."""

    def open_session(
        script: Sequence[Mapping[str, Any]], *words: str, env: Mapping[str, str] | None = None, wait: bool = True, more: str = "", **size: int
    ) -> Terminal:
        config = tmp_path / "agent.hcl"
        if not config.exists():
            workplace(tmp_path, script)
            config.write_text(config.read_text() + more)
        terminal = Terminal(agentcli("--config", str(config), *words), tmp_path / "project", env, **size)
        terminals.append(terminal)
        if wait:
            terminal.ready()
        return terminal

    return open_session

"""Which workers a session knows: built-in ones, the person's and the project's files, config blocks, and what the options add."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentcli.config.load import Config

from agentcli.agents.roster import Roster

if TYPE_CHECKING:
    from agentcli.sdk.options import SessionOptions


def roster_of(config: Config, options: SessionOptions, cwd: Path) -> Roster:
    """All definitions, the nearer winning."""
    return Roster(())

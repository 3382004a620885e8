"""Where the real weights are, for the tests marked `local`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentcli.providers import weights

WEIGHTS = os.environ.get("AGENTCLI_WEIGHTS", "")
"""Read at import: each test's own environment has no such variable."""


@pytest.fixture
def real_weights(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Gives a catalogue model's file and makes its folder known to the test; skips where it is not there."""

    def found(name: str) -> Path:
        path = weights.located(name, Path(WEIGHTS)) if WEIGHTS else None
        if path is None:
            pytest.skip(f"needs the local model: agentcli local pull {weights.named(name).name}; then set AGENTCLI_WEIGHTS to its folder")
        monkeypatch.setenv("AGENTCLI_WEIGHTS", WEIGHTS)
        return path

    return found

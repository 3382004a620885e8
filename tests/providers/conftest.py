"""Where the real weights are, for the tests marked `local`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.weights import FOLDER, file_of, missing


@pytest.fixture
def real_weights(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Gives a catalogue model's file and makes its folder known to the test; skips where it is not there."""

    def found(name: str) -> Path:
        if reason := missing(name):
            pytest.skip(reason)
        monkeypatch.setenv("AGENTCLI_WEIGHTS", str(FOLDER))
        return file_of(name)

    return found

"""Where the person who runs the tests keeps the real local models, and how a test that needs them is marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentcli.providers import weights
from agentcli.system import folders

FOLDER = folders.weights()
"""Looked up at import, while the tests are collected: each test has a home of its own."""
SMALL, LARGE = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"


def file_of(name: str) -> Path:
    """Where a model's weights are, or would be."""
    return FOLDER / weights.named(name).file


def missing(*names: str) -> str:
    """What to do where one of the models is not here, whole; "" where all are."""
    return "; ".join(f"needs the local model: agentcli local pull {name}" for name in names if weights.located(name, FOLDER) is None)


def needs(*names: str) -> list[pytest.MarkDecorator]:
    """The marks of a module that runs real models."""
    reason = missing(*names)
    return [pytest.mark.local, pytest.mark.skipif(bool(reason), reason=reason)]

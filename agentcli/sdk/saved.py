"""What a face keeps for the person between sessions: saved choices, the history of what was typed, what was asked once. Small files, no output."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agentcli.protocol.errors import StorageError
from agentcli.system import environment, folders

HISTORY = "history"
ASKED = "asked"
"""A folder of empty files, one for each thing that is asked once."""


def settings_file() -> Path:
    """Where choices are saved: default models, rules that always hold."""
    from agentcli.config import settings

    return folders.config() / settings.FILE


def shown_path(path: Path) -> str:
    """A path as a person reads it, their home being `~`."""
    home = Path(environment.get("HOME") or "/nowhere")
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def save_default_model(name: str | None) -> Path:
    """Makes a model the person's default from now on, None forgets it; gives the file. Raises ConfigError and StorageError."""
    from agentcli.config import settings

    settings.save_default_model(folders.config(), name)
    return settings_file()


def save_subagent_model(name: str | None) -> Path:
    """The same for workers whose definition names no model."""
    from agentcli.config import settings

    settings.save_subagent_model(folders.config(), name)
    return settings_file()


def history_file() -> Path | None:
    """Where typed lines are kept, for the person alone; None where nothing can be written there."""
    try:
        path = folders.ensure(folders.state()) / HISTORY
        path.touch(mode=0o600)
    except (OSError, StorageError):
        return None
    return path


def was_asked(what: str) -> bool:
    """Whether a thing that is asked only once was asked already."""
    return (folders.state() / ASKED / what).exists()


def remember_asked(what: str) -> None:
    """It is not asked again. Where that cannot be kept, it is."""
    try:
        (folders.ensure(folders.state() / ASKED) / what).touch(mode=0o600)
    except (OSError, StorageError):
        return


def mark_of(path: Path) -> str:
    """A short name for a path, fit for `was_asked`."""
    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def variable(name: str) -> str:
    """One variable of the environment, "" where it is not set."""
    return environment.get(name)

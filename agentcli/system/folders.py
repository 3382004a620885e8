"""Where agentcli keeps things of the person: config, data, cache, state. Asking for a folder does not create it; `ensure` does.

platformdirs decides, except on Linux, where its rule is short and its import is not (15 to 25 ms of every start, measured with 4.14).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from agentcli.protocol.errors import StorageError
from agentcli.system import environment

APP = "agentcli"
XDG_DEFAULTS = {"config": ".config", "data": ".local/share", "cache": ".cache", "state": ".local/state"}

Kind = Literal["config", "data", "cache", "state"]


def config() -> Path:
    return _user_folder("config")


def data() -> Path:
    return _user_folder("data")


def cache() -> Path:
    return _user_folder("cache")


def state() -> Path:
    return _user_folder("state")


def sessions() -> Path:
    """Session files."""
    return data() / "sessions"


def weights() -> Path:
    """Weights of local models: `AGENTCLI_WEIGHTS`, else a folder of the cache."""
    named = environment.get("AGENTCLI_WEIGHTS")
    return Path(os.path.expanduser(named)).absolute() if named else cache() / "weights"  # noqa: PTH111 a ~ of nobody is left as it is


def ensure(path: Path) -> Path:
    """Creates a folder, and those above it that are missing, for the person alone (0700); returns it. One that exists stays as it is.

    Raises StorageError where it cannot be created or is no folder.
    """
    try:
        for missing in reversed([folder for folder in (path, *path.parents) if not folder.is_dir()]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(f"cannot create the folder {path}: {reason} ({error.filename or path}).") from error
    return path


def _user_folder(kind: Kind) -> Path:
    platform: str = sys.platform
    if platform == "linux":
        return _xdg(kind)
    from platformdirs import PlatformDirs

    return Path(getattr(PlatformDirs(APP, appauthor=False), f"user_{kind}_path"))


def _xdg(kind: Kind) -> Path:
    """The XDG base directory rule: the variable where it is an absolute path, else the default below the home."""
    named = Path(environment.get(f"XDG_{kind.upper()}_HOME"))
    base = named if named.is_absolute() else _home() / XDG_DEFAULTS[kind]
    return base / APP


def _home() -> Path:
    """HOME where it is an absolute path, else what the system says of this user."""
    named = Path(environment.get("HOME"))
    if named.is_absolute():
        return named
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise StorageError("this user has no home folder.", hint="Set HOME to an absolute path.") from error

"""What the person saved from inside a session: default models and rules, in `settings.json` beside their config. Always whole, never half."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from agentcli.config.files import LARGEST, real_path, replace_file
from agentcli.config.layer import Layer, Leaf
from agentcli.config.tree import Problem
from agentcli.protocol.errors import ConfigError

FILE = "settings.json"
Effect = Literal["allow", "ask", "deny"]
_REMEDY = "Correct it, or remove the file to start afresh."


class _Rules(Struct, frozen=True):
    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class _Folder(Struct, frozen=True):
    permissions: _Rules = _Rules()


class _Settings(Struct, frozen=True):
    default_model: str | None = None
    subagent_model: str | None = None
    permissions: _Rules = _Rules()
    folders: dict[str, _Folder] = field(default_factory=dict)


def read_settings(user_dir: Path, cwd: Path) -> Layer | Problem | None:
    """What was saved, as a layer; rules saved for a folder count in it and below. None where nothing was saved."""
    path = user_dir / FILE
    try:
        settings = msgspec.convert(_raw(path), _Settings)
    except ConfigError as error:
        return Problem(error.message.removeprefix(f"{error.file}: "), str(path), hint=error.hint)
    except msgspec.ValidationError as error:
        return Problem(f"this is not what agentcli saves there ({error}).", str(path), hint=_REMEDY)
    leaves = (*_models(settings), *_leaves(settings.permissions))
    here = real_path(cwd)
    for folder, saved in settings.folders.items():
        if here.is_relative_to(folder):
            leaves = (*leaves, *_leaves(saved.permissions))
    return Layer("settings", str(path), str(user_dir), leaves) if leaves else None


def save_default_model(user_dir: Path, model: str | None) -> None:
    """Makes a model the person's default; None forgets it. Raises `ConfigError` (a broken file) and `StorageError`."""
    _save_key(user_dir, "default_model", model)


def save_subagent_model(user_dir: Path, model: str | None) -> None:
    """Makes a model the default of workers; None forgets it. Raises `ConfigError` and `StorageError`."""
    _save_key(user_dir, "subagent_model", model)


def save_rule(user_dir: Path, effect: Effect, rule: str, folder: Path | None = None) -> None:
    """Adds a permission rule, for one folder and all below it, or for all where `folder` is None. Raises `ConfigError` and `StorageError`."""
    raw = _checked(user_dir)
    holder = raw if folder is None else raw.setdefault("folders", {}).setdefault(str(real_path(folder)), {})
    rules = holder.setdefault("permissions", {}).setdefault(effect, [])
    if rule not in rules:
        rules.append(rule)
        _write(user_dir, raw)


def _save_key(user_dir: Path, key: str, value: str | None) -> None:
    raw = _checked(user_dir)
    if value is None:
        raw.pop(key, None)
    else:
        raw[key] = value
    _write(user_dir, raw)


def _checked(user_dir: Path) -> dict[str, Any]:
    """The file as it is, with keys that only a newer version knows. Raises `ConfigError` where it is broken: it is not overwritten then."""
    path = user_dir / FILE
    raw = _raw(path)
    try:
        msgspec.convert(raw, _Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"this is not what agentcli saves there ({error}).", file=str(path), hint=_REMEDY) from None
    return raw


def _raw(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST)
        return msgspec.json.decode(data, type=dict[str, Any])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"this cannot be read ({(error.strerror or '').lower()}).", file=str(path), hint=_REMEDY) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not the JSON that agentcli saves there ({error}).", file=str(path), hint=_REMEDY) from None


def _write(user_dir: Path, raw: dict[str, Any]) -> None:
    replace_file(user_dir / FILE, msgspec.json.format(msgspec.json.encode(raw)) + b"\n")


def _models(settings: _Settings) -> tuple[Leaf, ...]:
    named = (("default_model", settings.default_model), ("subagent_model", settings.subagent_model))
    return tuple(Leaf((key,), value) for key, value in named if value)


def _leaves(rules: _Rules) -> tuple[Leaf, ...]:
    by_effect = (("allow", rules.allow), ("ask", rules.ask), ("deny", rules.deny))
    return tuple(Leaf(("permissions", effect, rule), rule) for effect, listed in by_effect for rule in listed)

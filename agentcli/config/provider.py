"""A `providers` block to what providers and engine work with. Only here variables of the environment are read, and only when asked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from agentcli.config.layer import Held, KeyPath, Merged
from agentcli.protocol.errors import ConfigError
from agentcli.protocol.models import FULL, SMALL, Cost, ModelSpec, ProviderSpec, Quirks, Wire, usual_wire
from agentcli.protocol.secrets import Secret

_SECRET_HEADER = re.compile(r"key|token|secret|password|auth|cookie", re.IGNORECASE)
_LOCAL_WIRES = ("local", "scripted")


class ProviderBlock:
    """One provider of the merged config: `held` maps a path inside the block, `("models", "gpt", "name")`, to its leaf."""

    def __init__(self, name: str, held: Merged) -> None:
        self.name = name
        self.held = held

    @property
    def own_address(self) -> bool:
        """Whether it says where it is: then it need not be the service that its name suggests."""
        return ("base_url",) in self.held

    @property
    def wire(self) -> Wire:
        return cast("Wire", self._value(("wire",), usual_wire(self.name, self.own_address)))

    def spec(self, environ: Mapping[str, str]) -> ProviderSpec:
        """Where the service is and how to speak to it.

        Raises:
            ConfigError: a variable is not set and has no default, or what it holds cannot be used; names it, file, line and column.
        """
        wire = self.wire
        url = self._url(environ)
        key = self._secret(("api_key",), environ)
        names = [path[1] for path in self.held if path[0] == "headers"]
        headers = {name: secret.reveal() for name in names if (secret := self._secret(("headers", name), environ)) is not None}
        remote = self._value(("remote",), wire not in _LOCAL_WIRES and not _is_loopback(url))
        limit = self._value(("max_concurrent",), None)
        held = self.held.get(("script",))
        script = _path(self._text(held, environ), held, environ) if held else ""
        return ProviderSpec(self.name, wire, url, key, headers, max_concurrent=limit, quirks=self._quirks({}), remote=remote, script=script)

    def secrets(self, environ: Mapping[str, str]) -> list[Secret]:
        """Its key, and the headers that are one by their name, where their variables are set."""
        paths = [path for path in self.held if path == ("api_key",) or (path[0] == "headers" and _SECRET_HEADER.search(path[-1]))]
        found: list[Secret] = []
        for path in paths:
            with contextlib.suppress(ConfigError):
                secret = self._secret(path, environ)
                found += [secret] if secret is not None else []
        return found

    def models(self, environ: Mapping[str, str]) -> tuple[ModelSpec, ...]:
        """The declared models, in the order of declaration. Reads no variable but HOME, for a `path` that starts with `~`."""
        by_id: dict[str, Merged] = {}
        for path, held in self.held.items():
            if path[0] == "models":
                by_id.setdefault(path[1], {})[path[2:]] = held
        return tuple(self._model(model, held, environ) for model, held in by_id.items())

    def closed(self) -> bool:
        """Whether models are declared: then no other can be used here."""
        return any(path[0] == "models" for path in self.held)

    def missing(self, environ: Mapping[str, str]) -> list[ConfigError]:
        """What `spec` would raise, one for each variable that is not set and has no default."""
        wanted = [held for held in self.held.values() if held.leaf.env is not None and held.leaf.secret is None]
        return [unset(f'{_key(held)} of provider "{self.name}"', held) for held in wanted if held.leaf.env and held.leaf.env.value(environ) is None]

    def _model(self, model: str, held: Merged, environ: Mapping[str, str]) -> ModelSpec:
        said = _below(held, ())
        limit, cost, quirks = (_below(held, (part,)) for part in ("limit", "cost", "quirks"))
        wire = said.get("wire", self.wire)
        profile = said.get("profile", "small" if wire == "local" else "full")
        path = held.get(("path",))
        return ModelSpec(
            provider=self.name,
            id=model,
            wire=wire,
            name=said.get("name", ""),
            tool_call=said.get("tool_call", True),
            image_input=said.get("image_input", False),
            effort=tuple(said.get("effort", ())),
            default_effort=said.get("default_effort", ""),
            context=limit.get("context"),
            output=limit.get("output"),
            cost=Cost(**cost) if cost else None,
            quirks=self._quirks(quirks) if quirks else None,
            profile=SMALL if profile == "small" else FULL,
            path=_path(str(path.leaf.value), path, environ) if path else "",
            sent_as=said.get("sent_as", ""),
        )

    def _quirks(self, own: dict[str, Any]) -> Quirks:
        """The provider's, with what a model says itself laid over."""
        return msgspec.convert({**_below(self.held, ("quirks",)), **own}, Quirks)

    def _value(self, path: KeyPath, default: Any) -> Any:
        held = self.held.get(path)
        return default if held is None else held.leaf.value

    def _url(self, environ: Mapping[str, str]) -> str:
        held = self.held.get(("base_url",))
        if held is None:
            return ""
        url = self._text(held, environ).strip().rstrip("/")
        if not _is_url(url):
            raise self._unusable(held, "an address that starts with http:// or https://")
        return url

    def _secret(self, path: KeyPath, environ: Mapping[str, str]) -> Secret | None:
        held = self.held.get(path)
        if held is None:
            return None
        text = self._text(held, environ).strip()
        if not text or not text.isascii() or not text.isprintable():
            raise self._unusable(held, "one line of plain ASCII text")
        return Secret(text)

    def _text(self, held: Held, environ: Mapping[str, str]) -> str:
        leaf = held.leaf
        if leaf.env is None:
            return leaf.secret.reveal() if leaf.secret is not None else str(leaf.value)
        value = leaf.env.value(environ)
        if value is None and leaf.secret is not None:
            return leaf.secret.reveal()
        if value is None:
            raise unset(f'{_key(held)} of provider "{self.name}"', held)
        return value

    def _unusable(self, held: Held, wanted: str) -> ConfigError:
        leaf = held.leaf
        source = f"the variable {' or '.join(leaf.env.names)}" if leaf.env else "the text"
        return held.error(f'{_key(held)} of provider "{self.name}" must be {wanted}, and {source} is not.', "Correct it.")


def unset(what: str, held: Held) -> ConfigError:
    """The error of a variable that is needed and not set."""
    names = held.leaf.env.names if held.leaf.env else ("",)
    secret = held.leaf.path[2:3] in (("api_key",), ("headers",))
    hint = "Set it, or use another provider." if secret else f'Set it, or write a default there: env("{names[-1]}", "…").'
    return held.error(f"{what} needs the variable {' or '.join(names)}, which is not set.", hint)


def _below(held: Merged, at: KeyPath) -> dict[str, Any]:
    """The plain values right under a path; marks of blocks are none."""
    return {path[-1]: one.leaf.value for path, one in held.items() if path and path[:-1] == at and one.leaf.value is not None}


def _path(text: str, held: Held, environ: Mapping[str, str]) -> str:
    """A file that a config names: `~` is the home, a relative one starts at the config's folder."""
    home = environ.get("HOME", "")
    return home + text[1:] if home and text.startswith("~/") else str(Path(held.layer.base) / text)


def _key(held: Held) -> str:
    """The key of a provider's leaf as it is read: `headers.X-Team`."""
    return ".".join(held.leaf.path[2:])


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and text.isprintable() and " " not in text
    except ValueError:
        return False


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    numeric = host.replace(".", "").isdigit()
    return host in ("localhost", "::1") or host.endswith(".localhost") or (numeric and host.startswith("127."))

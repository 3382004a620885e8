"""One source of settings as a flat list of leaves, each with its key path and its place. What is cached, merged and shown."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from agentcli.config.literals import decoded
from agentcli.config.tree import Env, Problem, shown
from agentcli.protocol.errors import ConfigError
from agentcli.protocol.secrets import Secret

LayerName = Literal["user", "settings", "project", "explicit", "text", "environment"]
KeyPath = tuple[str, ...]


class Leaf(Struct, frozen=True, array_like=True):
    """One setting. `path` is `("providers", "openai", "api_key")`; a rule of `permissions` stands as the last part of its own path.

    `value` is plain data; None for a block's own mark (`("agents", "scout")`) and where `env` or `secret` holds it. `span` are the offsets of
    a secret's literal in the file: what is written to the cache instead of the secret.
    """

    path: KeyPath
    value: Any
    row: int = 0
    column: int = 0
    env: Env | None = None
    span: tuple[int, int] | None = None
    secret: Secret | None = None

    def sealed(self) -> Leaf:
        """Without the secret, fit to be written."""
        return self if self.secret is None else replace(self, secret=None)

    def opened(self, text: str) -> Leaf:
        """With the secret again, read from the text that it came from."""
        if self.span is None:
            return self
        start, end = self.span
        return replace(self, secret=Secret(decoded(text[start:end])))


class Layer(Struct, frozen=True):
    """The settings of one source, `file` as a person knows it. `base` is the folder that its relative paths start from."""

    name: LayerName
    file: str
    base: str
    leaves: tuple[Leaf, ...]
    trusted: bool = True


class Held(Struct, frozen=True):
    """A leaf and the layer that it was taken from."""

    leaf: Leaf
    layer: Layer

    @property
    def place(self) -> str:
        """`file:line`, or the file alone where there are no lines."""
        file = shown(self.layer.file, 400)
        return f"{file}:{self.leaf.row}" if self.leaf.row else file

    @property
    def exact_place(self) -> str:
        """`file:line:column`, or the file alone likewise."""
        return f"{self.place}:{self.leaf.column}" if self.leaf.row else self.place

    def error(self, message: str, hint: str) -> ConfigError:
        """That something is wrong with this setting."""
        return Problem(message, self.layer.file, self.leaf.row, self.leaf.column, hint).error()


Merged = dict[KeyPath, Held]

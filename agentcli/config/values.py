"""What a loaded config says, in small frozen shapes with the place of each. No reading and no merging here."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from agentcli.config.layer import Held, LayerName
from agentcli.protocol.events import PermissionMode
from agentcli.protocol.models import Link


class Setting(Struct, frozen=True):
    """A value, which link of the model chain it is, the layer it came from, and where it stands (`file:line`, or a variable's name)."""

    value: str
    link: Link
    layer: LayerName
    place: str


class Rule(NamedTuple):
    """A permission rule as written, and where: `file:line:column`, or the file alone where there are no lines."""

    text: str
    place: str


class ModelName(NamedTuple):
    """The name of a model, the key that it is the value of (`default_model`, `aliases.fast`), and where it stands."""

    key: str
    name: str
    held: Held


class Permissions(Struct, frozen=True):
    """Rules of all layers together. `mode` None: none was set."""

    mode: PermissionMode | None = None
    allow: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()


class Limits(Struct, frozen=True):
    """Limits over the whole tree of agents; None: none. Times in seconds, money in USD, `max_model_price` USD per million tokens.

    `max_agents` counts all workers ever started; `first_byte_s`, `idle_s` and `call_s` are of one model call, `retries` after its first try,
    waiting `retry_first_s`, doubled each time up to `retry_most_s`; `wait_most_s` is the longest wait a service may ask for. A provider that fails
    `breaker_failures` times in a row (0: any number) is left alone for `breaker_pause_s`. `compact_at` is the share of a model's context at which
    the history is compacted (0: only where the service says that it is too long).
    """

    max_turns: int | None = None
    max_parallel: int = 8
    max_depth: int = 2
    max_agents: int | None = None
    max_budget_usd: float | None = None
    max_tokens: int | None = None
    timeout_s: float | None = None
    max_model_price: float | None = None
    first_byte_s: float | None = None
    idle_s: float | None = None
    call_s: float | None = None
    retries: int = 3
    retry_first_s: float | None = None
    retry_most_s: float | None = None
    wait_most_s: float | None = None
    breaker_failures: int | None = None
    breaker_pause_s: float | None = None
    compact_at: float | None = None


class Ui(Struct, frozen=True):
    vi_mode: bool = False
    notifications: Literal["off", "bell", "desktop"] = "off"
    notify_after_s: float = 20.0
    """A person has looked away by then: only the end of a turn that took longer is called out."""
    plain: bool = False


class AgentBlock(Struct, frozen=True):
    """An `agents` block. None and "": not said. `place` is `file:line`."""

    name: str
    description: str = ""
    system_prompt: str = ""
    model: str = ""
    model_locked: bool = False
    fallback_models: tuple[str, ...] = ()
    effort: str = ""
    tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] = ()
    can_delegate: bool = False
    max_turns: int | None = None
    max_steps: int | None = None
    permission_mode: PermissionMode | None = None
    isolation: str = ""
    timeout_s: float | None = None
    max_cost_usd: float | None = None
    place: str = ""


class Shown(NamedTuple):
    """One line of `agentcli config show`: the value as it may be seen (secrets as stars, `env("X")` as written)."""

    key: str
    value: str
    layer: LayerName
    place: str

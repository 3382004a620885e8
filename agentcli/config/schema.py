"""What a config file may say: the keys, their types and bounds. Pydantic only judges here; the values go on as leaves.

Keys may be written in camelCase or snake_case. No lookups and no merging: one file at a time.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agentcli.config.tree import Env
from agentcli.protocol.models import Wire
from agentcli.protocol.names import permission_mode


def _plain_text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("must be one line without control characters")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or value != value.strip():
        raise ValueError("must be an address that starts with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password (put it in headers)")
    return value


def _mode(value: str) -> str:
    if permission_mode(value) is None:
        raise ValueError("must be one of default, accept-edits, plan, auto, bypass")
    return value


def _rule(value: str) -> str:
    tool, bracket, rest = value.partition("(")
    whole = bool(tool) and tool == "".join(tool.split()) and ")" not in tool
    if not whole or (bracket and (not rest.endswith(")") or rest == ")")):
        raise ValueError("must be a rule: tool or tool(pattern)")
    return value


def _level(value: str) -> str:
    if not value or any(char in ":/" or char.isspace() for char in value):
        raise ValueError("must be a word without spaces, : and /")
    return value


def _or_env(stand_in: str) -> BeforeValidator:
    return BeforeValidator(lambda value: stand_in if isinstance(value, Env) else value)


Line = Annotated[str, AfterValidator(_plain_text)]
LineOrEnv = Annotated[str, AfterValidator(_plain_text), _or_env("x")]
UrlOrEnv = Annotated[str, AfterValidator(_url), _or_env("http://x")]
Level = Annotated[str, AfterValidator(_level)]
Mode = Annotated[str, AfterValidator(_mode)]
Rule = Annotated[str, AfterValidator(_plain_text), AfterValidator(_rule)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]


WORD = re.compile(r"[^\s/\x00-\x1f\x7f]+")
"""A name that stands before a `/` or alone: a provider's, an alias, a header's."""


class Part(BaseModel):
    """Base of all blocks. Where a block has a label, `names` is what it may be, `rule` the same in words, and `label` the key that may
    stand inside in its place. `other_names` are keys that mean a field, `secrets` fields never to be shown.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    label: ClassVar[str] = ""
    names: ClassVar[re.Pattern[str]] = WORD
    rule: ClassVar[str] = "A name has no spaces, no / and no control characters."
    other_names: ClassVar[dict[str, str]] = {}
    secrets: ClassVar[frozenset[str]] = frozenset()


class CostPart(Part):
    input: Amount
    output: Amount
    cache_read: Amount = 0
    cache_write: Amount = 0


class LimitPart(Part):
    context: Count = 1
    output: Count = 1


class QuirksPart(Part):
    """The fields of `protocol.models.Quirks`."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    system_role: Literal["system", "developer"] = "system"
    effort_field: Line = "x"
    reasoning_fields: list[Line] = []
    echo_reasoning: bool = False
    parallel_tool_calls: bool = True
    tool_schema: Literal["full", "flat"] = "full"
    call_ids: Literal["any", "nine", "none"] = "any"
    effort_as: Literal["level", "budget"] = "level"
    bound_thinking: bool = False
    reasoning_summary: Literal["", "auto", "concise", "detailed"] = "auto"
    phases: bool = False
    call_signature: Line = "x"
    json_schema: Literal["always", "without_tools", "never"] = "always"
    extra_body: dict[str, Any] = {}


class ModelPart(Part):
    label: ClassVar[str] = "id"
    names: ClassVar[re.Pattern[str]] = re.compile(r"\S(?:[^\x00-\x1f\x7f]*\S)?")
    rule: ClassVar[str] = "A model's id has no spaces at its ends and no control characters."
    other_names: ClassVar[dict[str, str]] = {"attachment": "image_input", "id": "sent_as"}

    name: Line = "x"
    sent_as: Line = "x"
    wire: Wire = "openai-chat"
    tool_call: bool = True
    image_input: bool = False
    effort: list[Level] = []
    default_effort: Level = "x"
    limit: LimitPart = LimitPart()
    cost: CostPart = CostPart(input=0, output=0)
    quirks: QuirksPart = QuirksPart()
    profile: Literal["full", "small"] = "full"
    path: Line = "x"

    @model_validator(mode="after")
    def _default_is_a_level(self) -> ModelPart:
        if "default_effort" in self.model_fields_set and self.effort and self.default_effort not in self.effort:
            raise ValueError("names a default_effort that is not in its effort list")
        return self


class ProviderPart(Part):
    label: ClassVar[str] = "name"
    secrets: ClassVar[frozenset[str]] = frozenset({"api_key", "headers"})

    api_key: LineOrEnv = "x"
    base_url: UrlOrEnv = "http://x"
    wire: Wire = "openai-chat"
    max_concurrent: Count = 1
    headers: dict[str, LineOrEnv] = {}
    quirks: QuirksPart = QuirksPart()
    script: LineOrEnv = "x"
    remote: bool = True
    models: dict[str, ModelPart] = {}


class AgentPart(Part):
    label: ClassVar[str] = "name"
    names: ClassVar[re.Pattern[str]] = re.compile(r"\w[\w .-]{0,63}")
    rule: ClassVar[str] = "A name is 1 to 64 letters, digits, _, -, . or spaces, and starts with a letter or digit."
    other_names: ClassVar[dict[str, str]] = {"prompt": "system_prompt", "timeout": "timeout_s", "workspace": "isolation"}

    description: str = ""
    system_prompt: str = ""
    model: Line = "x"
    model_locked: bool = False
    fallback_models: list[Line] = []
    effort: Level = "x"
    tools: list[Line] = []
    disallowed_tools: list[Line] = []
    can_delegate: bool = False
    max_turns: Count = 1
    max_steps: Count = 1
    permission_mode: Mode = "default"
    isolation: Line = "x"
    timeout_s: Seconds = 1
    max_cost_usd: Amount = 0


class PermissionsPart(Part):
    other_names: ClassVar[dict[str, str]] = {"permission_mode": "mode"}

    mode: Mode = "default"
    allow: list[Rule] = []
    ask: list[Rule] = []
    deny: list[Rule] = []


class LimitsPart(Part):
    other_names: ClassVar[dict[str, str]] = {"timeout": "timeout_s"}

    max_turns: Count = 1
    max_parallel: Count = 1
    max_depth: Annotated[int, Field(ge=0)] = 0
    max_agents: Annotated[int, Field(ge=0)] = 0
    max_budget_usd: Amount = 0
    max_tokens: Count = 1
    timeout_s: Seconds = 1
    max_model_price: Amount = 0
    first_byte_s: Seconds = 1
    idle_s: Seconds = 1
    call_s: Seconds = 1
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    retry_first_s: Seconds = 1
    retry_most_s: Seconds = 1
    wait_most_s: Seconds = 1
    breaker_failures: Annotated[int, Field(ge=0)] = 0
    breaker_pause_s: Seconds = 1
    compact_at: Annotated[float, Field(ge=0, le=1)] = 0


class UiPart(Part):
    vi_mode: bool = False
    notifications: Literal["off", "bell", "desktop"] = "off"
    notify_after_s: Seconds = 1
    plain: bool = False


class Root(Part):
    """A whole file."""

    default_model: LineOrEnv = "x"
    subagent_model: LineOrEnv = "x"
    allowed_models: list[Line] = []
    system_prompt_append: str = ""
    providers: dict[str, ProviderPart] = {}
    aliases: dict[str, Line] = {}
    agents: dict[str, AgentPart] = {}
    permissions: PermissionsPart = PermissionsPart()
    limits: LimitsPart = LimitsPart()
    ui: UiPart = UiPart()

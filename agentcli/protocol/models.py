"""Which model, what it can do, what it used and what that cost. Data that config, providers, engine and faces share."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from agentcli.protocol.secrets import Secret

Wire = Literal["openai-chat", "openai-responses", "anthropic", "gemini", "local", "scripted"]

Link = Literal[
    "parent", "subagent_model", "definition", "call", "pin",
    "default", "config", "environment", "settings", "flag", "command", "option", "session", "fallback",
]  # fmt: skip
"""Which link of the chain decided a model. The first five are a worker's; the others a session's:
`default` a preset, `config` default_model, `environment` AGENTCLI_MODEL, `settings` the person's saved default, `flag` --model,
`command` /model, `option` the library's model option, `session` a resumed session's own, `fallback` a hop after failure."""


class ModelRef(Struct, frozen=True):
    """`provider/id[:effort]`, fully resolved. `str()` gives that text back."""

    provider: str
    id: str
    effort: str = ""

    def __str__(self) -> str:
        name = f"{self.provider}/{self.id}"
        return f"{name}:{self.effort}" if self.effort else name


class Tier(Struct, frozen=True, omit_defaults=True):
    """The prices of a whole call whose prompt has more than `above` tokens. USD per million tokens, as in `Cost`."""

    above: int
    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None


class Cost(Struct, frozen=True, omit_defaults=True):
    """USD per million tokens. A cache price of None: cached tokens cost what input costs. `tiers`, lowest first, are for longer prompts."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    tiers: tuple[Tier, ...] = ()

    def for_prompt(self, tokens: int) -> Cost | Tier:
        """The prices of a call whose prompt has so many tokens."""
        return next((tier for tier in reversed(self.tiers) if tokens > tier.above), self)


FREE = Cost(0.0, 0.0)
"""What runs on one's own machine."""


class Quirks(Struct, frozen=True, omit_defaults=True):
    """How a compatible service differs from its wire. Data of a provider or a model, never an `if` on a URL."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    """Whether `stream_options.include_usage` may be sent."""
    system_role: Literal["system", "developer"] = "system"
    effort_field: str = "reasoning_effort"
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning")
    """Where a delta carries thinking, first match wins."""
    echo_reasoning: bool = False
    """Whether earlier thinking is sent back in the first of `reasoning_fields`."""
    parallel_tool_calls: bool | None = None
    tool_schema: Literal["full", "flat"] = "full"
    """`flat`: `$ref`s inlined, `anyOf` with null reduced, for services that refuse them."""
    call_ids: Literal["any", "nine", "none"] = "any"
    """`nine`: ids of tool calls must be nine letters or digits (Mistral). `none`: they are not sent (Gemini's wire only)."""
    effort_as: Literal["level", "budget"] = "level"
    """`budget`: a level goes out as a number of thinking tokens, for models without levels (Claude before 4.6, Gemini before 3)."""
    bound_thinking: bool = False
    """Whether thinking that is sent back is refused once anything before it has changed; the service is then asked to drop it (Claude)."""
    reasoning_summary: Literal["", "auto", "concise", "detailed"] = "auto"
    """Which summary of its reasoning a model is asked for (OpenAI Responses); "" for none."""
    phases: bool = False
    """Whether earlier answers are marked as commentary or final (OpenAI Responses, GPT-5.3 Codex and later)."""
    call_signature: str = ""
    """What stands in for the signature of a call that another model made, where one is demanded (Gemini 3 and later)."""
    json_schema: Literal["always", "without_tools", "never"] = "always"
    """When an answer may be constrained to a JSON schema; otherwise the prompt alone asks for it."""
    extra_body: dict[str, object] = field(default_factory=dict)
    """Merged into each request body; an object is added to the object of its name."""


def usual_wire(provider: str, own_address: bool) -> Wire:
    """The wire of a provider whose block names none, by its name. OpenAI's own service speaks Responses; what answers at an address of one's
    own (`own_address`) and calls itself `openai` is some compatible server."""
    if provider == "openai":
        return "openai-chat" if own_address else "openai-responses"
    known: dict[str, Wire] = {"anthropic": "anthropic", "google": "gemini", "gemini": "gemini", "azure": "openai-responses"}
    return known.get(provider, "openai-chat")


class Profile(Struct, frozen=True, omit_defaults=True):
    """How a model is treated by the engine.

    `small`: a short prompt, few tools with short descriptions, each step constrained to one object (a tool call or an answer).
    """

    name: Literal["full", "small"] = "full"
    tools: tuple[str, ...] = ()
    """Names of the tools offered; empty: all."""


FULL = Profile()
SMALL = Profile("small", ("read", "ls", "glob", "grep", "bash", "write", "edit", "task"))
"""What models of the local wire get unless their block says otherwise."""


class ModelSpec(Struct, frozen=True, omit_defaults=True):
    """One model as declared or preset. `context` and `output` are tokens, None where unknown; `effort` its levels, lowest first."""

    provider: str
    id: str
    wire: Wire = "openai-chat"
    name: str = ""
    tool_call: bool = True
    image_input: bool = False
    effort: tuple[str, ...] = ()
    default_effort: str = ""
    context: int | None = None
    output: int | None = None
    cost: Cost | None = None
    quirks: Quirks | None = None
    profile: Profile = FULL
    path: str = ""
    """Weights of a local model: a file, or "" for one of the catalogue."""
    sent_as: str = ""
    """What goes to the service as the model's id, where it differs from `id`."""

    def ref(self, effort: str = "") -> ModelRef:
        return ModelRef(self.provider, self.id, effort or self.default_effort)


class ProviderSpec(Struct, frozen=True, omit_defaults=True):
    """Where a service is and how to speak to it. The key is a `Secret`: it prints as stars and does not serialise."""

    name: str
    wire: Wire = "openai-chat"
    base_url: str = ""
    api_key: Secret | None = None
    headers: dict[str, str] = field(default_factory=dict)
    key_header: str = ""
    """The header in which the bare key goes; "": as the wire has it."""
    max_concurrent: int | None = None
    quirks: Quirks = Quirks()
    remote: bool = True
    """Whether what is sent leaves this machine."""
    script: str = ""
    """A scripted provider's file of answers."""


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens. `input` counts what was neither read from nor written to a cache; `reasoning` is a part of `output`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
        )

    @property
    def prompt(self) -> int:
        """All tokens sent."""
        return self.input + self.cache_read + self.cache_write

    @property
    def total(self) -> int:
        """All tokens, in and out."""
        return self.prompt + self.output

    def priced(self, cost: Cost | None) -> float | None:
        """USD of one call, or None where the price is unknown and something was used."""
        if cost is None:
            return None if self.total else 0.0
        price = cost.for_prompt(self.prompt)
        read = price.input if price.cache_read is None else price.cache_read
        write = price.input if price.cache_write is None else price.cache_write
        parts = (self.input, price.input), (self.output, price.output), (self.cache_read, read), (self.cache_write, write)
        return sum(tokens * price for tokens, price in parts) / 1_000_000


class ModelUse(Struct, frozen=True, omit_defaults=True):
    """Proof of a model call: what the deciding link said, what it resolved to, what the service says it served, and which link."""

    requested: str
    resolved: str
    source: Link
    served: str | None = None


def added_cost(left: float | None, right: float | None) -> float | None:
    """The sum of two costs; unknown if either is."""
    return None if left is None or right is None else left + right

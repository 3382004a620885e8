"""What a program may ask of a session, checked: a wrong field is named with the nearest right one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agentcli.protocol.errors import UnknownOption, UsageError
from agentcli.protocol.events import ApprovalAsked, Decision, PermissionMode
from agentcli.protocol.names import nearest
from agentcli.protocol.tools import Tool

OnApproval = Callable[[ApprovalAsked], Decision | bool | Awaitable[Decision | bool]]


class _Open(BaseModel):
    """Fields by keyword, by attribute afterwards, in snake_case or camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        validate_assignment=True,
        extra="forbid",
        arbitrary_types_allowed=True,
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _as_usage(type(self), error) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name not in type(self).model_fields:
            raise _unknown(type(self), name)
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            raise _as_usage(type(self), error) from None


class WorkerAgentSpec(_Open):
    """A worker as a program defines it. Without `model` it inherits; without `tools` it may do what its parent may, minus delegation."""

    name: str
    description: str = ""
    model: str | None = None
    system_prompt: str | None = None
    tools: list[str] | None = None
    disallowed_tools: list[str] = Field(default_factory=list)
    effort: str | None = None
    model_locked: bool = False
    max_turns: int | None = Field(default=None, ge=1)
    permission_mode: PermissionMode | None = None
    isolation: str | None = None
    timeout_s: float | None = Field(default=None, gt=0)
    fallback_models: list[str] = Field(default_factory=list)
    max_cost_usd: float | None = Field(default=None, ge=0)


class SessionOptions(_Open):
    """How a session runs. Times in seconds, money in USD; None: as configured.

    `workers` pins models: worker name to model. `output_schema` is a JSON schema or a pydantic model. `on_approval` decides about what the rules
    would ask a person; without it, edits inside the workspace are allowed and the rest of what would ask is denied and listed in the result.
    """

    model: str | None = None
    subagent_model: str | None = None
    workers: dict[str, str] = Field(default_factory=dict)
    worker_agents: list[WorkerAgentSpec] = Field(default_factory=list)
    agent: str | None = None
    effort: str | None = None
    fallback_models: list[str] = Field(default_factory=list)
    permission_mode: PermissionMode | None = None
    allowed_tools: list[str] = Field(default_factory=list)
    disallowed_tools: list[str] = Field(default_factory=list)
    tools: list[str] | None = None
    agents_json: str | None = None
    """Definitions as of `--agents`."""
    own_tools: list[Tool[Any]] = Field(default_factory=list)
    add_dirs: list[Path] = Field(default_factory=list)
    max_turns: int | None = Field(default=None, ge=1)
    max_budget_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0)
    max_parallel: int | None = Field(default=None, ge=1)
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    output_schema: dict[str, Any] | type[BaseModel] | None = None
    session_id: str | None = None
    resume: str | None = None
    continue_latest: bool = False
    fork: bool = False
    save: bool = True
    on_approval: OnApproval | None = None


def read_options(options: SessionOptions | Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> SessionOptions:
    """Options from an object, a dict (snake_case or camelCase), or keywords; keywords win.

    Raises:
        UnknownOption: a field that does not exist, with the nearest that does.
        UsageError: a value of the wrong kind, naming field and kind.
    """
    if isinstance(options, SessionOptions):
        base = {name: getattr(options, name) for name in options.model_fields_set}
    elif options is None or isinstance(options, Mapping):
        base = dict(options or {})
    else:
        raise UsageError(f"options must be SessionOptions or a dict, not {type(options).__name__}.")
    return SessionOptions(**{**base, **keywords})


def _as_usage(kind: type[BaseModel], error: ValidationError) -> UsageError:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return _unknown(kind, str(first["loc"][-1]))
    return UsageError(f"option '{field}' of {kind.__name__}: {first['msg']} (got {type(first['input']).__name__}).")


def _unknown(kind: type[BaseModel], name: str) -> UnknownOption:
    near = nearest(name, tuple(kind.model_fields), 1)
    hint = f"Did you mean '{near[0]}'?" if near else f"It takes: {', '.join(kind.model_fields)}."
    return UnknownOption(f"{kind.__name__} has no option '{name}'.", hint=hint)

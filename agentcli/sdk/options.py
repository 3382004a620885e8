"""What a program may ask of a session, checked: a wrong field is named with the nearest right one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from agentcli.protocol.errors import UnknownOption, UsageError
from agentcli.protocol.events import PermissionMode
from agentcli.protocol.names import nearest, permission_mode
from agentcli.protocol.tools import Tool
from agentcli.sdk.wanted import OnApproval

OutputSchema = dict[str, Any] | type[BaseModel]
"""A JSON schema; or a pydantic model, of which `structured` is then an instance."""

Mode = Annotated[PermissionMode, BeforeValidator(lambda value: permission_mode(value) or value if isinstance(value, str) else value)]
"""Claude Code's spellings are understood."""


class _Open(BaseModel):
    """Fields by keyword, by attribute afterwards, in snake_case or camelCase; the first ones by position too."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        validate_assignment=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        defer_build=True,
        loc_by_alias=False,
    )

    def __init__(self, *values: Any, **fields: Any) -> None:
        if len(values) > len(type(self).model_fields):
            raise UsageError(f"{type(self).__name__} takes at most {len(type(self).model_fields)} values, not {len(values)}.")
        try:
            super().__init__(**dict(zip(type(self).model_fields, values, strict=False)), **fields)
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
    permission_mode: Mode | None = None
    isolation: str | None = None
    timeout_s: float | None = Field(default=None, gt=0)
    fallback_models: list[str] = Field(default_factory=list)
    max_cost_usd: float | None = Field(default=None, ge=0)


class TaskSpec(_Open):
    """One piece of work for one worker. `workspace` is inherit, branch, share or a path; `timeout_s` seconds of running; `max_steps` rounds of tools.

    In a pipeline's stage the prompt may hold `{item}` and `{previous}` (the text of the stage before).
    """

    agent: str
    prompt: str = Field(min_length=1)
    description: str = ""
    model: str | None = None
    workspace: str | Path | None = None
    max_steps: int | None = Field(default=None, ge=1)
    output_schema: OutputSchema | None = None
    timeout_s: float | None = Field(default=None, gt=0)
    label: str = ""
    """Who it is in panels and results, and a name that a pin may go by; its definition's name where empty."""


class TaskKeywords(TypedDict, total=False):
    """What `task` takes by keyword: the fields of `TaskSpec`."""

    description: str
    model: str | None
    workspace: str | Path | None
    max_steps: int | None
    output_schema: OutputSchema | None
    timeout_s: float | None
    label: str


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
    permission_mode: Mode | None = None
    allowed_tools: list[str] = Field(default_factory=list)
    disallowed_tools: list[str] = Field(default_factory=list)
    tools: list[str] | None = None
    agents_json: str | None = None
    """Definitions as of `--agents`."""
    own_tools: list[Tool[Any]] = Field(default_factory=list)
    """Tools of the program (see `agentcli.tool`); a plain typed function is made one."""
    add_dirs: list[Path] = Field(default_factory=list)
    max_turns: int | None = Field(default=None, ge=1)
    max_budget_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0)
    max_parallel: int | None = Field(default=None, ge=1)
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    output_schema: OutputSchema | None = None
    session_id: str | None = None
    resume: str | None = None
    continue_latest: bool = False
    fork: bool = False
    save: bool = True
    on_approval: OnApproval | None = None

    @field_validator("own_tools", mode="before")
    @classmethod
    def _as_tools(cls, given: Any) -> Any:
        from agentcli.sdk.own_tools import as_tool

        return [as_tool(one) for one in given] if isinstance(given, list | tuple) else given


def read_options(options: SessionOptions | Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> SessionOptions:
    """Options from an object, a dict (snake_case or camelCase), or keywords; keywords win.

    Raises:
        UnknownOption: a field that does not exist, with the nearest that does.
        UsageError: a value of the wrong kind, naming field and kind.
    """
    if isinstance(options, SessionOptions):
        if not keywords:
            return options
        base = {name: getattr(options, name) for name in SessionOptions.model_fields}
    elif options is None or isinstance(options, Mapping):
        base = _by_name(SessionOptions, options or {})
    else:
        raise UsageError(f"options must be SessionOptions or a dict, not {type(options).__name__}.")
    return SessionOptions(**{**base, **_by_name(SessionOptions, keywords)})


def read_task(given: str | TaskSpec | Mapping[str, Any], prompt: str | None = None, keywords: Mapping[str, Any] | None = None) -> TaskSpec:
    """A task from a worker's name and a prompt, or from a spec; what is said beside a spec wins.

    Raises:
        UnknownOption, UsageError: as `read_options`.
    """
    said = {key: value for key, value in {"prompt": prompt, **(keywords or {})}.items() if value is not None}
    if isinstance(given, str):
        base: dict[str, Any] = {"agent": given}
    elif isinstance(given, TaskSpec):
        base = {name: getattr(given, name) for name in TaskSpec.model_fields}
    elif isinstance(given, Mapping):
        base = _by_name(TaskSpec, given)
    else:
        raise UsageError(f"a task is a worker's name and a prompt, a TaskSpec or a dict, not {type(given).__name__}.")
    return TaskSpec(**{**base, **_by_name(TaskSpec, said)})


def _by_name(kind: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys in snake_case, so that two spellings of one field meet."""
    if all(key in kind.model_fields for key in values):
        return dict(values)
    spelled = {to_camel(name): name for name in kind.model_fields}
    return {spelled.get(key, key): value for key, value in values.items()}


def _as_usage(kind: type[BaseModel], error: ValidationError) -> UsageError:
    found = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])  # a misspelt field is missing as well
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return _unknown(kind, str(first["loc"][-1]))
    if first["type"] == "missing":
        return UsageError(f"{kind.__name__} needs '{field}'.")
    return UsageError(f"option '{field}' of {kind.__name__}: {first['msg']} (got {type(first['input']).__name__}).")


def _unknown(kind: type[BaseModel], name: str) -> UnknownOption:
    near = nearest(name, tuple(kind.model_fields), 1)
    hint = f"Did you mean '{near[0]}'?" if near else f"It takes: {', '.join(kind.model_fields)}."
    return UnknownOption(f"{kind.__name__} has no option '{name}'.", hint=hint)

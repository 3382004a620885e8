"""What a program may ask of a session, checked: a wrong field is named with the nearest right one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, dataclass_transform

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from agentcli.protocol.errors import UnknownOption, UsageError
from agentcli.protocol.events import PermissionMode
from agentcli.protocol.names import nearest, permission_mode
from agentcli.protocol.tools import Tool
from agentcli.sdk.schemas import as_schema
from agentcli.sdk.wanted import OnApproval

OutputSchema = dict[str, Any] | type[BaseModel]
"""A JSON schema; or a pydantic model, of which `structured` is then an instance."""

Mode = Annotated[PermissionMode, BeforeValidator(lambda value: permission_mode(value) or value if isinstance(value, str) else value)]
"""Claude Code's spellings are understood."""

Schema = Annotated[OutputSchema, BeforeValidator(as_schema)]
ALIKE = 0.6
"""From which likeness on (0 to 1) a known option may be what was meant."""


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass

    @dataclass_transform(kw_only_default=False, field_specifiers=(Field,))
    class _ByPosition(ModelMetaclass):
        """For type checkers, which pydantic's own metaclass tells that fields are taken by keyword only."""
else:
    _ByPosition = type(BaseModel)


class _Open(BaseModel, metaclass=_ByPosition):
    """Fields by keyword, by attribute afterwards, in snake_case or camelCase; the first ones by position too."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        validate_assignment=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        loc_by_alias=False,
    )

    if not TYPE_CHECKING:  # type checkers are to see the fields

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

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """For `help`, the same as type checkers see."""
        cls.__signature__ = Signature(
            [
                Parameter(
                    name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if field.is_required() else field.get_default(call_default_factory=True),
                    annotation=cls.__annotations__[name],
                )
                for name, field in cls.model_fields.items()
            ]
        )


class WorkerAgentSpec(_Open):
    """A worker as a program defines it. Fields by keyword, or by attribute afterwards.

        WorkerAgentSpec(name="scout", description="Reads files and reports findings.", model="fast", tools=["read", "grep"])

    Attributes:
        name: what tasks call it; of a known worker's name, what is said here is laid over that definition.
        description: what the delegating model reads of it.
        model: `provider/id`, `provider/id:effort`, an alias, a human name, or `inherit`; None: that of its parent.
        model_locked: whether a task that names another model is refused.
        effort: a level of the model's.
        fallback_models: tried in order while its model stays unavailable.
        system_prompt: in place of the built-in one.
        tools: names of the tools it has, `*` in them allowed; None: what its parent may do, minus delegation.
        disallowed_tools: names of tools it has not.
        can_delegate: whether it may start workers of its own.
        permission_mode: counts where it is stricter than its parent's.
        isolation: `inherit`, `branch`, `share`, or a folder; where it works.
        max_turns: most model calls. max_steps: most rounds of tools.
        timeout_s: most seconds of running. max_cost_usd: most USD.
    """

    name: str = ""
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
    max_steps: int | None = Field(default=None, ge=1)
    can_delegate: bool = False


class TaskSpec(_Open):
    """One piece of work for one worker.

        TaskSpec(agent="scout", prompt="List every public function in src/.", model="fast", timeout_s=120)

    Attributes:
        agent: the worker's name.
        prompt: all that it is told. In a pipeline's stage it may hold `{item}` and `{previous}` (the text of the stage before).
        description: a few words for panels.
        model: goes before the definition's; `inherit`: that of the session.
        workspace: `inherit`, `branch`, `share`, or a folder; where it works.
        max_steps: most rounds of tools.
        output_schema: a pydantic model or a JSON schema that its answer must fit; the result's `structured` is that answer.
        timeout_s: most seconds of running.
        label: who it is in panels and results, and a name that a pin may go by; its definition's name where empty.
    """

    agent: str
    prompt: str = Field(min_length=1)
    description: str = ""
    model: str | None = None
    workspace: str | Path | None = None
    max_steps: int | None = Field(default=None, ge=1)
    output_schema: Schema | None = None
    timeout_s: float | None = Field(default=None, gt=0)
    label: str = ""


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
    """How a session runs. Fields by keyword, or by attribute afterwards; what is left out is as the config says.

        options = SessionOptions(model="openai/gpt-5:high", max_budget_usd=2.0)
        options.worker_agents = [WorkerAgentSpec(name="scout", description="Reads files.", model="fast")]

    Attributes:
        model: `provider/id`, `provider/id:effort`, an alias or a human name; None: the config's default.
        effort: a level of the model's. fallback_models: tried in order while the model stays unavailable.
        worker_agents: workers of this session, each a `WorkerAgentSpec` or a dict.
        subagent_model: model of workers whose definition names none. workers: pins, worker name to model, which outrank all else.
        agent: the worker whose definition the session itself runs as. agents_json: definitions as of `--agents`.
        permission_mode: default, accept-edits (where neither this nor the config names one), plan, auto or bypass.
        allowed_tools, disallowed_tools: rules such as `bash(git log)`, `edit(src/**)`, `weather`; disallowed wins.
        tools: names of the only tools there are; None: all. own_tools: functions of the program (see `agentcli.tool`).
        on_approval: asked where the rules would ask a person, with an `ApprovalAsked`; answers True, False, "once", "session", "always" or
            "deny"; sync (in a thread of its own, it may wait) or async. None: what would ask is denied and listed in the result.
        add_dirs: more folders to work in.
        max_turns: most model calls. max_tokens: most tokens. max_budget_usd: most USD. timeout_s: most seconds of a run. All over the whole tree
            of agents. max_parallel: most workers at once.
        system_prompt: in place of the built-in one. append_system_prompt: added to it.
        output_schema: a pydantic model or a JSON schema that every answer must fit.
        save: whether the session is kept on disk. session_id: its id, one of its own where None. resume: the id, or its beginning, of a saved
            session to go on with; continue_latest: the latest of the folder; fork: go on in a copy.
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
    own_tools: list[Tool[Any] | Callable[..., Any]] = Field(default_factory=list)
    add_dirs: list[Path] = Field(default_factory=list)
    max_turns: int | None = Field(default=None, ge=1)
    max_budget_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0)
    max_parallel: int | None = Field(default=None, ge=1)
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    output_schema: Schema | None = None
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

    @field_validator("worker_agents", mode="before")
    @classmethod
    def _as_list(cls, given: Any) -> Any:
        if isinstance(given, WorkerAgentSpec | Mapping):
            raise UsageError("option 'worker_agents' of SessionOptions takes a list of WorkerAgentSpec.", hint="Put the one into [ ].")
        return given


class ResumeKeywords(TypedDict, total=False):
    """What `resume_session` takes by keyword: the fields of `SessionOptions` that do not say which session it is."""

    model: str | None
    subagent_model: str | None
    workers: dict[str, str]
    worker_agents: Sequence[WorkerAgentSpec | Mapping[str, Any]]
    agent: str | None
    effort: str | None
    fallback_models: Sequence[str]
    permission_mode: str | None
    allowed_tools: Sequence[str]
    disallowed_tools: Sequence[str]
    tools: Sequence[str] | None
    agents_json: str | None
    own_tools: Sequence[Tool[Any] | Callable[..., Any]]
    add_dirs: Sequence[str | Path]
    max_turns: int | None
    max_budget_usd: float | None
    max_tokens: int | None
    timeout_s: float | None
    max_parallel: int | None
    system_prompt: str | None
    append_system_prompt: str | None
    output_schema: OutputSchema | None
    fork: bool
    save: bool
    on_approval: OnApproval | None


class SessionKeywords(ResumeKeywords, total=False):
    """What `session` takes by keyword: the fields of `SessionOptions`."""

    session_id: str | None
    resume: str | None
    continue_latest: bool


def read_options(options: SessionOptions | Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> SessionOptions:
    """Options from an object, a dict (snake_case or camelCase), or keywords; keywords win.

    Raises:
        UnknownOption: a field that does not exist, with the nearest that does.
        UsageError: a value of the wrong kind, naming field and kind.
    """
    if isinstance(options, SessionOptions):  # read anew: what was appended to its lists was never checked
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
    return {spelled.get(key, str(key)): value for key, value in values.items()}


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
    near = nearest(name, tuple(kind.model_fields), 1, ALIKE)
    hint = f"Did you mean '{near[0]}'?" if near else f"It takes: {', '.join(kind.model_fields)}."
    return UnknownOption(f"{kind.__name__} has no option '{name}'.", hint=hint)

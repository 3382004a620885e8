"""The keys of a worker's definition as people and programs write them, checked and turned into a `WorkerSpec`.

Markdown files, `--agents`, config blocks and the library's specs all pass here. Claude Code's spellings are understood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat, PositiveInt, ValidationError

from agentcli.agents.arguments import Schema
from agentcli.agents.spec import SELF, Source, WorkerSpec
from agentcli.protocol.events import PermissionMode
from agentcli.protocol.names import nearest, permission_mode

_TOOLS = {
    "Read": "read", "NotebookRead": "read", "Grep": "grep", "Bash": "bash", "Edit": "edit", "MultiEdit": "edit", "Write": "write",
    "Glob": "glob", "LS": "ls", "WebFetch": "web_fetch", "TodoWrite": "todo", "TodoRead": "todo", "Task": "task", "Agent": "task",
}  # fmt: skip
_WORKSPACES = {"worktree": "branch", "none": "inherit"}
_SYNONYMS = {"prompt": "system_prompt", "timeout": "timeout_s", "isolation": "workspace"}
_SILENT = frozenset({"color"})
_ELSEWHERE = frozenset({"skills", "memory", "hooks", "mcp_servers", "background", "initial_prompt"})
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NAME = r"^\w([\w .-]{0,62}[\w.-])?$"
_RESERVED = frozenset({"main", "subagents"})


def our_tool(name: str) -> str:
    """A tool's name as it is called here: Claude Code's names are translated, others stay."""
    return _TOOLS.get(name, name)


def _words(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in re.split(r",(?![^(]*\))", value)]
    if isinstance(value, (list, tuple)):
        return tuple(part for part in value if part != "")
    return value


def _tool_names(value: object) -> object:
    words = _words(value)
    if isinstance(words, tuple):
        return tuple(dict.fromkeys(our_tool(word) if isinstance(word, str) else word for word in words))
    return words


def _mode(value: object) -> object:
    """Claude Code's `dontAsk` refuses what it would ask; here whether a person is asked is the session's matter, so it is `default`."""
    if not isinstance(value, str):
        return value
    return "default" if value == "dontAsk" else permission_mode(value) or value


def _workspace(value: object) -> object:
    return _WORKSPACES.get(value, value) if isinstance(value, str) else value


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|)\s*", value)
    return float(match[1]) * _UNITS[match[2]] if match else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
ToolNames = Annotated[tuple[str, ...], BeforeValidator(_tool_names)]


class Definition(BaseModel):
    """What may be written about a worker. `timeout_s` is seconds, or text such as `90s` or `5m`; `max_cost_usd` USD."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, coerce_numbers_to_str=True)

    name: str = Field(pattern=_NAME)
    description: str = ""
    system_prompt: str = ""
    model: str = ""
    model_locked: bool = False
    effort: str = ""
    tools: ToolNames | None = None
    disallowed_tools: ToolNames = ()
    can_delegate: bool = False
    max_turns: PositiveInt | None = None
    max_steps: PositiveInt | None = None
    permission_mode: Annotated[PermissionMode | None, BeforeValidator(_mode)] = None
    workspace: Annotated[str, BeforeValidator(_workspace)] = ""
    timeout_s: Annotated[float | None, BeforeValidator(_seconds), Field(gt=0)] = None
    fallback_models: Words = ()
    max_cost_usd: NonNegativeFloat | None = None
    output_schema: Schema | None = None
    locked: bool = False


class Problem(Struct, frozen=True):
    """Something wrong with one key: `key` as it was written, "" for the whole."""

    key: str
    text: str


class BadDefinition(ValueError):
    """A definition that cannot be used. Converted by whoever read it, who knows file and line."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def read_definition(data: Mapping[str, object], source: Source, place: str = "") -> tuple[WorkerSpec, tuple[Problem, ...]]:
    """A spec, and what was left aside: keys that mean nothing here, rules in a list of tools. A null is an omitted key.

    Raises:
        BadDefinition: a value of the wrong kind, a name that cannot be one.
    """
    fields, written, problems = _sort_keys(data)
    try:
        checked = Definition.model_validate(fields)
    except ValidationError as error:
        raise BadDefinition(_first_problem(error, written)) from None
    _refuse_reserved(checked.name, source)
    said = {name: getattr(checked, name) for name in checked.model_fields_set}
    for key, plain in (("tools", _without_rules), ("disallowed_tools", _whole_tools)):
        if said.get(key):
            said[key], notes = plain(said[key])
            problems += [Problem(written[key], text) for text in notes]
    if "*" in (said.get("tools") or ()):
        said["tools"] = None
    return WorkerSpec(**said, source=source, place=place), tuple(problems)


def from_attributes(thing: object, source: Source, place: str = "") -> WorkerSpec:
    """A spec from an object with plain attributes: a config's `agents` block, a program's `WorkerAgentSpec`. None is an omitted one.

    Raises:
        BadDefinition: as `read_definition`.
    """
    wanted = {*Definition.model_fields, *_SYNONYMS}
    data = {name: getattr(thing, name, None) for name in sorted(wanted)}
    spec, _ = read_definition({name: value for name, value in data.items() if value not in (None, "")}, source, place)
    return spec


def _sort_keys(data: Mapping[str, object]) -> tuple[dict[str, object], dict[str, str], list[Problem]]:
    """Values by field, the key that each field was written as, and keys that no field has."""
    fields: dict[str, object] = {}
    written: dict[str, str] = {}
    problems: list[Problem] = []
    for key, value in data.items():
        plain = _snake(key)
        name = _SYNONYMS.get(plain, plain)
        if name in Definition.model_fields:
            if name in written:
                problems.append(Problem(key, f"'{key}' says again what '{written[name]}' says; the first counts."))
            elif value is not None:
                fields[name], written[name] = value, key
        elif plain not in _SILENT:
            problems.append(Problem(key, _unknown_key(key, plain)))
    return fields, written, problems


def _unknown_key(key: str, plain: str) -> str:
    if plain in _ELSEWHERE:
        return f"'{key}' has no effect here."
    known = (*Definition.model_fields, *_SYNONYMS)
    near = nearest(plain, known, 1, cutoff=0.6)
    return f"unknown key '{key}'; did you mean '{near[0]}'?" if near else f"unknown key '{key}'; known: {', '.join(known)}."


def _first_problem(error: ValidationError, written: Mapping[str, str]) -> Problem:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    key = written.get(name, name)
    if name == "name" and first["type"] != "missing":
        return Problem(key, _NAME_RULE)
    if name == "name":
        return Problem(key, "a name is missing.")
    return Problem(key, f"'{key}': {first['msg'][:1].lower()}{first['msg'][1:]}.")


def check_name(name: str, source: Source) -> None:
    """Raises BadDefinition where a worker cannot be called that."""
    if re.fullmatch(_NAME, name) is None:
        raise BadDefinition(Problem("name", _NAME_RULE))
    _refuse_reserved(name, source)


_NAME_RULE = "a name is 1 to 64 letters, digits, '_', '-', '.' or spaces, and starts with a letter or digit."


def _refuse_reserved(name: str, source: Source) -> None:
    if name.lower() in _RESERVED or (name.lower() == SELF and source != "builtin"):
        raise BadDefinition(Problem("name", f"the name '{name}' is taken by agentcli itself; choose another."))


def _without_rules(names: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """A rule (`Bash(git status)`) would grant more than it says if its name were taken for it, so it is left out."""
    notes = [f"'{name}' is a rule, not a tool: left out. Rules belong into the config's permissions." for name in names if "(" in name]
    return tuple(name for name in names if "(" not in name), notes


def _whole_tools(names: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """A rule that disallows a part cannot be kept here, so the whole tool is disallowed: less, never more, than was meant."""
    notes = [f"'{name}' is a rule: the whole tool is disallowed. Rules belong into the config's permissions." for name in names if "(" in name]
    return tuple(dict.fromkeys(our_tool(name.partition("(")[0]) for name in names)), notes


def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").lower()

"""A program's own tools: a typed function becomes a `Tool`, its schema from the signature, its descriptions from the docstring.

It passes the same permission gate as every tool: what it touches is not known, so it is asked about, unless it says which of its parameters
name files (`reads`, `writes`), or its name stands among the `allowed_tools`.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, get_args, get_origin, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from agentcli.protocol.errors import UsageError
from agentcli.protocol.tools import Access, Tool, ToolContext, ToolOutcome, said
from agentcli.sdk.threads import call_either, in_thread

P = ParamSpec("P")
R = TypeVar("R")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECTION = re.compile(r"^(args|arguments|parameters|returns?|raises|yields?|examples?|notes?|note|attributes):\s*$", re.IGNORECASE)
_GOOGLE = re.compile(r"^(\s*)\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r"^\s*:param\s+(?:[^:]+\s)?(\w+)\s*:\s*(.*)$")


class FunctionTool(Tool[Any], Generic[P, R]):
    """A function as a tool. It can still be called as the function it is."""

    def __init__(self, function: Callable[P, R], name: str, description: str, args: type[BaseModel], access: Callable[[Any], Access]) -> None:
        self.function = function
        self.name = name
        self.description = description
        self.args = args  # type: ignore[misc]  # each function has a schema of its own
        self.__doc__ = function.__doc__
        self._access = access
        self._context = next((name for name, hint in _hints(function).items() if _is_context(hint)), "")

    def __call__(self, *args: P.args, **keywords: P.kwargs) -> R:
        return self.function(*args, **keywords)

    def access(self, args: BaseModel) -> Access:
        return self._access(args)

    def title(self, args: BaseModel) -> str:
        return ", ".join(f"{name}={_short(getattr(args, name))}" for name in type(args).model_fields)

    async def run(self, args: BaseModel, ctx: ToolContext) -> ToolOutcome:
        """Calls it; a function that is not async runs in a thread of its own, so it may block. What it raises is told to the model."""
        given = {name: getattr(args, name) for name in type(args).model_fields}
        if self._context:
            given[self._context] = ctx
        return _outcome(await _gathered(await call_either(self.function, **given)))


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *, name: str = "", description: str = "", reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None, /, *, name: str = "", description: str = "", reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Makes a typed function a tool for `SessionOptions(own_tools=[…])`.

        @tool
        def weather(city: str, days: int = 1) -> str:
            \"\"\"Tells the weather.

            Args:
                city: The city's name.
                days: How many days ahead.
            \"\"\"

    `name` and `description` stand in for the function's own. `reads` and `writes` list the parameters that name files or folders, which the
    permission rules then judge. A parameter of type `ToolContext` is not the model's: it is given the call's context. The function gives text, a
    `ToolOutcome`, or anything that JSON can tell (models, dataclasses, enums, dates, iterators too); it raises `ToolError` for what the model should
    mend. It may be async. A bound method, a partial or an object that can be called will do as well.

    Raises:
        UsageError: a parameter has no type, or is none that a model could give; there is no description; the name is none that a service takes.
    """
    if function is None:
        return lambda given: _make(given, name, description, reads, writes)
    return _make(function, name, description, reads, writes)


def as_tool(given: object) -> Tool[Any]:
    """A tool as it is; of a function one is made. Raises UsageError: it is neither, or no tool can be made of it."""
    if isinstance(given, Tool):
        return given
    if isinstance(given, type) or not callable(given):
        raise UsageError(f"own_tools takes tools and functions, not {given!r:.60}.")
    return _make(given, "", "", (), ())


def _make(function: Callable[P, R], name: str, description: str, reads: Sequence[str], writes: Sequence[str]) -> FunctionTool[P, R]:
    if isinstance(function, type) or not callable(function):
        raise UsageError(f"a tool is made of a function, not of {function!r}.")
    name = name or getattr(_whole(function), "__name__", "")
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"'{name}' cannot be a tool's name.", hint='Give one of letters, digits, _ and -: @tool(name="…").')
    about, told = read_docstring(inspect.getdoc(_plain(function)) or "")
    args = _args_model(function, name, told)
    reads, writes = ((names,) if isinstance(names, str) else names for names in (reads, writes))
    for listed in (*reads, *writes):
        if listed not in args.model_fields:
            raise UsageError(f"tool '{name}' has no parameter '{listed}'; it has: {', '.join(args.model_fields) or 'none'}.")
    if not (description or about):
        raise UsageError(f"tool '{name}' has no description.", hint="Give the function a docstring: the model reads it.")

    def access(given: Any) -> Access:
        return Access(reads=_paths(given, reads), writes=_paths(given, writes))

    return FunctionTool(function, name, description or about, args, access)


def _args_model(function: Callable[..., Any], name: str, told: dict[str, str]) -> type[BaseModel]:
    hints = _hints(function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        _check_parameter(parameter, name, hints)
        hint = hints[parameter.name]
        if not _is_context(hint):
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (_described(hint, told.get(parameter.name, "")), default)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*shadows an attribute")  # `json`, `copy`, `schema` are good names for a parameter
            args = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid", protected_namespaces=()), **fields)
        args.model_json_schema()
    except PydanticUserError as error:
        raise UsageError(f"tool '{name}': its parameters cannot be described to a model: {str(error).splitlines()[0]}") from error
    return args


def _check_parameter(parameter: inspect.Parameter, name: str, hints: dict[str, Any]) -> None:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise UsageError(f"tool '{name}': a model gives arguments by name, so '{parameter}' cannot be one.")
    if parameter.name.startswith("_"):
        raise UsageError(f"tool '{name}': the parameter '{parameter.name}' begins with an underscore, which no argument of a model may.")
    if parameter.name not in hints:
        hint = "Of a method make one with tool(object.method)." if parameter.name in ("self", "cls") else f"Write {parameter.name}: str, for example."
        raise UsageError(f"tool '{name}': the parameter '{parameter.name}' has no type.", hint=hint)


def _described(hint: Any, text: str) -> Any:
    """A description in the annotation itself goes before the docstring's."""
    own = [part for part in get_args(hint)[1:] if isinstance(part, FieldInfo) and part.description] if get_origin(hint) is Annotated else []
    return hint if own or not text else Annotated[hint, Field(description=text)]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(_plain(function), include_extras=True)
    except (NameError, TypeError) as error:
        raise UsageError(f"the types of '{getattr(function, '__name__', function)}' cannot be read: {error}.") from error


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a partial calls in the end; any other function itself."""
    return _whole(function.func) if isinstance(function, partial) else function


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that has annotations and docstring: of an object that can be called its `__call__`."""
    whole = _whole(function)
    return whole if inspect.isroutine(whole) else type(whole).__call__


def _is_context(hint: object) -> bool:
    return hint is ToolContext or ToolContext in get_args(hint)


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What a function is for, and what each parameter is, from `Args:` sections or `:param x:` lines."""
    about: list[str] = []
    told: dict[str, str] = {}
    section, current, indent = "", "", 0
    for line in text.splitlines():
        heading, sphinx = _SECTION.match(line), _SPHINX.match(line)
        if sphinx:
            section, current, indent = "args", sphinx[1], 0
            told[current] = sphinx[2].strip()
        elif heading:
            section, current, indent = heading[1].lower(), "", 0
        elif not section:
            about.append(line)
        elif section.startswith(("arg", "param")) and line.strip():
            found = _GOOGLE.match(line)
            if found and (not indent or len(found[1]) <= indent) and found[1]:
                current, indent = found[2], len(found[1])
                told[current] = found[3].strip()
            elif current and not line.strip().startswith(":"):
                told[current] = f"{told[current]} {line.strip()}".strip()
    return "\n".join(about).strip(), told


def _paths(args: Any, names: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        value = getattr(args, name)
        found += [str(one) for one in value] if isinstance(value, list | tuple | set) else [] if value is None else [str(value)]
    return tuple(found)


async def _gathered(value: Any) -> Any:
    """What an iterator gives, as a list; its body is the program's own code and may block."""
    match value:
        case AsyncIterator():
            return [each async for each in value]
        case Iterator():
            return await in_thread(lambda: list(value))
        case _:
            return value


def _outcome(value: object) -> ToolOutcome:
    match value:
        case ToolOutcome():
            return value
        case None:
            return said("Done.")
        case str():
            return said(value)
        case bytes():
            return said(value.decode("utf-8", "replace"))
        case _:
            return said(json.dumps(to_jsonable_python(value, fallback=str, bytes_mode="base64"), ensure_ascii=False))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

"""What a tool is, what it says it would touch, and how it answers. The base of every tool; no tool lives here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from agentcli.protocol.messages import Image, Text

if TYPE_CHECKING:
    from pydantic import BaseModel

Args = TypeVar("Args", bound="BaseModel")


class Access(Struct, frozen=True, omit_defaults=True):
    """What a call would touch, as its arguments name it: paths may be relative to the agent's folder, nothing is looked up.

    `reads` and `writes` are files or folders (a folder stands for all below it); `command` a shell command, whose own reads and
    writes only the shell analysis knows; `url` a page; `agent` and `model` a delegation; `mcp` a server's tool.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    command: str = ""
    url: str = ""
    agent: str = ""
    model: str = ""
    mcp: str = ""
    own: bool = False
    """Touches only agentcli's own state (a todo list, say)."""


class TextDisplay(Struct, frozen=True, tag="text"):
    text: str


class DiffDisplay(Struct, frozen=True, tag="diff"):
    """A change of one file, as a unified diff; `created` where there was none before."""

    path: str
    diff: str
    created: bool = False


class CommandDisplay(Struct, frozen=True, tag="command", omit_defaults=True):
    """What a shell command did. `exit_code` None: it was ended (`timed_out` or interrupted)."""

    command: str
    output: str
    exit_code: int | None = None
    timed_out: bool = False
    full_output: str = ""
    """The file that holds the whole output, where it was cut."""


class TodoItem(Struct, frozen=True):
    text: str
    status: Literal["pending", "in_progress", "completed"]


class TodoDisplay(Struct, frozen=True, tag="todo"):
    items: tuple[TodoItem, ...]


Display = TextDisplay | DiffDisplay | CommandDisplay | TodoDisplay


class ToolOutcome(Struct, frozen=True, omit_defaults=True):
    """Speaks to two listeners: `content` to the model, `display` to the person (None: the content will do)."""

    content: tuple[Text | Image, ...]
    display: Display | None = None
    is_error: bool = False
    data: dict[str, object] | None = None
    """Facts for scripts, in plain JSON types."""


def said(text: str, display: Display | None = None) -> ToolOutcome:
    """An outcome of one text."""
    return ToolOutcome((Text(text),), display)


class FileStamp(Struct, frozen=True):
    """A file as it was when last read or written by this agent."""

    mtime_ns: int
    size: int
    digest: str


class ToolMemory(Struct):
    """What one agent's tools remember between calls. Engines own it; a forked or resumed agent starts with an empty one."""

    seen: dict[Path, FileStamp] = field(default_factory=dict)
    todos: tuple[TodoItem, ...] = ()
    outputs: int = 0
    """How many full outputs were written to `scratch`, to number the next."""


class ToolContext(Struct, frozen=True):
    """All that a running tool may use. It never asks permission, never emits events, never sees settings.

    `cwd` is the agent's folder, absolute and real; `roots` every folder it works in (`cwd` first). `scratch` is a folder of the session for
    full outputs. `child_env` is the environment for processes, keys removed. `show(text)` streams output to the person while the call runs.
    `output_limit` is how many characters of one result the model gets at most. `denied` are gitignore-like globs from the roots (or, with a
    leading slash, the file system's) of files that may not be read: what looks through folders leaves them out. `redact(text)` takes the
    providers' keys out of what is written to a file of the session.
    """

    agent_id: str
    call_id: str
    cwd: Path
    roots: tuple[Path, ...]
    scratch: Path
    memory: ToolMemory
    child_env: Mapping[str, str]
    show: Callable[[str], None]
    output_limit: int = 30_000
    denied: tuple[str, ...] = ()
    redact: Callable[[str], str] = str


class Tool(ABC, Generic[Args]):
    """One thing a model can do. Stateless: what must be remembered lives in `ToolContext.memory`."""

    name: str
    description: str
    short: str = ""
    """One line for small models; the first sentence of `description` where empty."""
    args: ClassVar[type[Any]]
    """The pydantic model of the arguments."""

    def schema(self) -> dict[str, object]:
        """JSON schema of the arguments, as the model sees it."""
        return tidy_schema(inline_refs(self.args.model_json_schema()))

    @abstractmethod
    def access(self, args: Args) -> Access:
        """What this call would touch. Pure."""

    @abstractmethod
    async def run(self, args: Args, ctx: ToolContext) -> ToolOutcome:
        """Does it. Raises `ToolError` for an expected failure."""

    def at_once(self, args: Args, ctx: ToolContext) -> ToolOutcome | None:
        """What `run` would bring, where that is to be had without waiting for anything; None: it is not, and `run` is called. Raises as `run`."""
        return None

    def title(self, args: Args) -> str:
        """One line for the person, without the tool's name: `src/main.py`, `git status`."""
        return ""


class Told(Struct, frozen=True):
    """All that a model is told of a tool."""

    name: str
    description: str
    short: str
    schema: dict[str, object]


class Deferred(Tool[Any]):
    """A tool of which only what models are told is here. Its module, and pydantic with it, is imported at its first call: a run that
    is waiting for its first answer has better things to do before it has asked."""

    def __init__(self, told: Told, load: Callable[[], Tool[Any]]) -> None:
        self.name, self.description, self.short = told.name, told.description, told.short
        self._schema = told.schema
        self._load = load
        self._tool: Tool[Any] | None = None

    @property
    def real(self) -> Tool[Any]:
        self._tool = self._tool or self._load()
        return self._tool

    @property
    def args(self) -> type[Any]:  # type: ignore[override]
        return self.real.args

    def schema(self) -> dict[str, object]:
        return self._schema

    def access(self, args: Any) -> Access:
        return self.real.access(args)

    def title(self, args: Any) -> str:
        return self.real.title(args)

    def at_once(self, args: Any, ctx: ToolContext) -> ToolOutcome | None:
        return self.real.at_once(args, ctx)

    async def run(self, args: Any, ctx: ToolContext) -> ToolOutcome:
        return await self.real.run(args, ctx)


def read_manifest(data: bytes) -> tuple[Told, ...]:
    """What a package ships of its tools, so that none need be imported to be offered."""
    return msgspec.json.decode(data, type=tuple[Told, ...])


def manifest_of(tools: Iterable[Tool[Any]]) -> bytes:
    """The manifest of real tools, as it is shipped."""
    told = [Told(tool.name, tool.description, tool.short, tool.schema()) for tool in tools]
    return msgspec.json.format(msgspec.json.encode(told)) + b"\n"


def tidy_schema(schema: dict[str, Any]) -> dict[str, object]:
    """A pydantic schema without what no model needs: titles, and defaults of null."""
    out: dict[str, object] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value is None:
            continue
        if key in ("properties", "$defs", "definitions"):
            out[key] = {name: tidy_schema(part) for name, part in value.items()}
        elif isinstance(value, dict):
            out[key] = tidy_schema(value)
        elif isinstance(value, list):
            out[key] = [tidy_schema(part) if isinstance(part, dict) else part for part in value]
        else:
            out[key] = value
    return out


def inline_refs(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with every `$ref` to its own `$defs` written out, for some services refuse them; of a recursive one only that at its top is."""
    defs = schema.get("$defs")
    if not defs:
        return schema
    try:
        inlined: dict[str, Any] = _inlined({key: value for key, value in schema.items() if key != "$defs"}, defs, ())
    except RecursionError:
        name, beside = _referred(schema)
        return defs[name] | beside if name in defs else schema
    return inlined


def _inlined(value: Any, defs: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_inlined(item, defs, inside) for item in value]
    if not isinstance(value, dict):
        return value
    name, beside = _referred(value)
    if name in inside:
        raise RecursionError(f"{name} holds itself")
    if name not in defs:
        return {key: _inlined(item, defs, inside) for key, item in value.items()}
    merged: dict[str, Any] = _inlined(defs[name] | beside, defs, (*inside, name))
    return merged


def _referred(schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The definition that a schema refers to, "" where to none, and what else it says."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return name, {key: item for key, item in schema.items() if key != "$ref"}

"""The tool calls of one answer: prepare, permit, run, finish. Calls that do not conflict run together; each ends in exactly one result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct, field

from agentcli.engine.beside import Beside
from agentcli.engine.gate import Asked, Gate
from agentcli.engine.history import INTERRUPTED, interrupted
from agentcli.engine.stream import Emit
from agentcli.protocol.errors import AgentError, ToolError
from agentcli.protocol.events import ToolFinished, ToolOutput, ToolStarted
from agentcli.protocol.messages import Text, ToolCall, ToolResult
from agentcli.protocol.names import nearest
from agentcli.protocol.tools import Access, CommandDisplay, Tool, ToolContext, ToolMemory, ToolOutcome
from agentcli.safety.paths import inside, resolve
from agentcli.safety.rules import denied_globs

T = TypeVar("T")


class Place(Struct, frozen=True):
    """Where an agent's tools work: all of `ToolContext` but what belongs to one call."""

    agent_id: str
    cwd: Path
    roots: tuple[Path, ...]
    scratch: Path
    child_env: Mapping[str, str]
    output_limit: int = 30_000
    redact: Callable[[str], str] = str
    """Takes the providers' keys out of what tools bring."""


HALF = "Your answer reached its output limit before this call was whole. Nothing was done; send it again, shorter or in several calls."

KEPT = 4_000
"""Characters that stay of what an interrupted call had printed."""


class _Ready(Struct, frozen=True):
    """A call that may run: known, its arguments valid."""

    call: ToolCall
    tool: Tool[Any]
    args: Any
    access: Access


class Calls(Struct):
    """Runs the calls of an agent's answers."""

    tools: Mapping[str, Tool[Any]]
    gate: Gate
    place: Place
    memory: ToolMemory
    emit: Emit
    beside: Beside = field(default_factory=Beside)
    finished: dict[str, ToolResult] = field(default_factory=dict)
    """By the id of the call; of the answer that runs."""
    _shown: dict[str, str] = field(default_factory=dict)
    """The end of what running calls printed so far."""

    async def run(self, calls: Sequence[ToolCall], *, cut: bool = False) -> tuple[ToolResult, ...]:
        """All results, in the order of the calls. When cancelled, each call left has an "interrupted" result (see `finished`).

        `cut`: their answer ended at its output limit, so that the last of them may be half.
        """
        self.finished = {}
        ready: list[_Ready] = []
        for call in calls:
            prepared = self._prepare(call, may_be_half=cut and call is calls[-1])
            if isinstance(prepared, _Ready):
                ready.append(prepared)
                self._announce(prepared)
            else:
                self._finish(call, redacted(prepared, self.place.redact), 0.0)
        try:
            await self._run_all(ready)
        finally:
            for call in calls:
                if call.id not in self.finished:
                    self._interrupted(call, next((one for one in ready if one.call is call), None))
            self._shown.clear()
        return tuple(self.finished[call.id] for call in calls)

    def _prepare(self, call: ToolCall, *, may_be_half: bool) -> _Ready | ToolOutcome:
        tool = self.tools.get(call.name)
        if tool is None:
            near = ", ".join(nearest(call.name, tuple(self.tools))) or "none"
            return _failed(f"There is no tool '{call.name}'. Nearest: {near}.")
        if may_be_half and not call.arguments:
            return _failed(HALF)
        try:
            raw = msgspec.json.decode(call.arguments or "{}")
        except (msgspec.DecodeError, RecursionError) as error:
            wrong = f"The arguments of {call.name} are not valid JSON ({error}). Nothing was done; send the call again."
            return _failed(HALF if may_be_half else wrong)
        try:
            args = read_args(tool, raw)
            return _Ready(call, tool, args, tool.access(args))
        except ToolError as error:
            return _failed(error.message)

    def _announce(self, ready: _Ready) -> None:
        title = ready.tool.title(ready.args)
        self.emit(ToolStarted(call_id=ready.call.id, name=ready.call.name, title=title, arguments=ready.call.arguments))

    async def _run_all(self, ready: Sequence[_Ready]) -> None:
        if len(ready) == 1:
            await self._run_one(ready[0])
            return
        done = [asyncio.Event() for _ in ready]
        async with asyncio.TaskGroup() as group:
            for index, item in enumerate(ready):
                before = [done[j] for j in range(index) if conflict(ready[j], item, self.place.cwd)]
                group.create_task(self._in_turn(item, before, done[index]))

    async def _in_turn(self, item: _Ready, before: Sequence[asyncio.Event], done: asyncio.Event) -> None:
        try:
            for event in before:
                await event.wait()
            await self._run_one(item)
        finally:
            done.set()

    async def _run_one(self, item: _Ready) -> None:
        began = time.monotonic()
        passage = await self.gate.pass_through(self._asked(item), self.emit)
        if not passage.allowed:
            self._finish(item.call, _failed(self.place.redact(passage.reason)), began, denied=True)
            return
        outcome = self._at_once(item)
        if outcome is None:
            what = f"{item.call.name} {item.tool.title(item.args)}".rstrip()
            outcome = await self.beside.run(item.call.id, what, self._outcome(item))
        self._finish(item.call, outcome, began)

    def _at_once(self, item: _Ready) -> ToolOutcome | None:
        """As `_outcome`, where there is nothing to wait for: a task for it would cost more than many a call."""
        try:
            outcome = item.tool.at_once(item.args, self._context(item.call))
        except Exception as error:  # noqa: BLE001 - see below
            outcome = _failure(item.call, error)
        return outcome and redacted(outcome, self.place.redact)

    async def _outcome(self, item: _Ready) -> ToolOutcome:
        """What came of a permitted call, without the keys that stood in it. Never raises for one that fails."""
        try:
            outcome = await item.tool.run(item.args, self._context(item.call))
        except Exception as error:  # noqa: BLE001 - a tool call is one of the three places: a bug in a tool must not end the run
            outcome = _failure(item.call, error)
        return redacted(outcome, self.place.redact)

    def _asked(self, item: _Ready) -> Asked:
        detail = item.access.command or item.access.url or item.call.arguments
        return Asked(item.call.id, item.call.name, item.tool.title(item.args), detail, item.access)

    def _context(self, call: ToolCall) -> ToolContext:
        place = self.place

        def show(text: str) -> None:
            text = place.redact(text)
            self._shown[call.id] = (self._shown.get(call.id, "") + text)[-KEPT:]
            self.emit(ToolOutput(call_id=call.id, text=text))

        return ToolContext(
            agent_id=place.agent_id,
            call_id=call.id,
            cwd=place.cwd,
            roots=place.roots,
            scratch=place.scratch,
            memory=self.memory,
            child_env=place.child_env,
            show=show,
            output_limit=place.output_limit,
            denied=denied_globs(self.gate.policy),
            redact=place.redact,
        )

    def _finish(self, call: ToolCall, outcome: ToolOutcome, began: float, *, denied: bool = False) -> None:
        content = outcome.content or (Text("(no output)"),)
        result = ToolResult(call.id, call.name, content, is_error=outcome.is_error)
        self._settle(result, began, outcome, denied=denied)

    def _interrupted(self, call: ToolCall, ready: _Ready | None) -> None:
        """A call that was cut off: what it had printed by then stays, for the model and the person."""
        shown = self._shown.get(call.id, "").strip("\n")
        if ready is None or not shown:
            return self._settle(interrupted(call), 0.0)
        content = (Text(f"{INTERRUPTED} The end of its output so far:\n{shown}"),)
        display = CommandDisplay(ready.access.command, shown) if ready.access.command else None
        result = ToolResult(call.id, call.name, content, is_error=True)
        return self._settle(result, 0.0, ToolOutcome(content, display, is_error=True))

    def _settle(self, result: ToolResult, began: float, outcome: ToolOutcome | None = None, *, denied: bool = False) -> None:
        self.finished[result.call_id] = result
        self.emit(
            ToolFinished(
                result=result,
                display=outcome.display if outcome else None,
                duration_ms=round((time.monotonic() - began) * 1000) if began else 0,
                denied=denied,
                data=outcome.data if outcome else None,
            )
        )


def read_args(tool: Tool[Any], raw: object) -> Any:
    """The checked arguments of a call. Raises ToolError with what is wrong, field by field, for the model to mend."""
    from pydantic import ValidationError

    if not isinstance(raw, dict):
        raise ToolError(f"The arguments of {tool.name} must be one JSON object.")
    try:
        return tool.args.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, part['loc'])) or 'arguments'}: {part['msg']}" for part in error.errors()[:5])
        raise ToolError(f"Wrong arguments for {tool.name}: {wrong}. Nothing was done; send the call again.") from error


def conflict(one: _Ready, other: _Ready, cwd: Path) -> bool:
    """Whether two calls must run one after the other: one may change what the other touches."""
    return access_conflict(absolute(one.access, cwd), absolute(other.access, cwd))


def access_conflict(one: Access, other: Access) -> bool:
    """Delegation never conflicts; a shell command conflicts with whatever touches files; two writers of one place do."""
    if one.agent or other.agent or (one.own != other.own):
        return False
    if one.own and other.own:
        return True
    if one.command or other.command:
        return bool(_touches_files(one) and _touches_files(other))
    return _overlap(one.writes, other.writes) or _overlap(one.writes, other.reads) or _overlap(one.reads, other.writes)


def _touches_files(access: Access) -> bool:
    return bool(access.command or access.reads or access.writes)


def absolute(access: Access, cwd: Path) -> Access:
    """The access with its paths made absolute and real."""
    if not access.reads and not access.writes:
        return access
    reads = tuple(str(resolve(cwd, path)) for path in access.reads)
    writes = tuple(str(resolve(cwd, path)) for path in access.writes)
    return msgspec.structs.replace(access, reads=reads, writes=writes)


def _overlap(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    return any(inside(Path(a), (Path(b),)) or inside(Path(b), (Path(a),)) for a in left for b in right)


def redacted(value: T, redact: Callable[[str], str]) -> T:
    """Plain data and structs with each of their texts passed through `redact`; the same object where nothing can change."""
    return value if redact is str else cast(T, _redacted(value, redact))


def _redacted(value: object, redact: Callable[[str], str]) -> object:
    match value:
        case str():
            return redact(value)
        case list() | tuple():
            return type(value)(_redacted(part, redact) for part in value)
        case dict():
            return {key: _redacted(part, redact) for key, part in value.items()}
        case msgspec.Struct():
            return msgspec.structs.replace(value, **{name: _redacted(getattr(value, name), redact) for name in value.__struct_fields__})
        case _:
            return value


def _failure(call: ToolCall, error: Exception) -> ToolOutcome:
    match error:
        case ToolError():
            return _failed(error.message)
        case AgentError():
            return _failed(error.line())
        case _:
            return _failed(f"{call.name} failed inside: {type(error).__name__}: {error}")


def _failed(text: str) -> ToolOutcome:
    return ToolOutcome((Text(text),), is_error=True)


__all__ = ["Calls", "Place", "absolute", "access_conflict", "conflict", "read_args", "redacted"]

"""A pipeline's stages as a program writes them: a task for a worker, or a function that makes the next task or the next value. Nothing is run here
but such functions."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from agentcli.agents.patterns import filled
from agentcli.protocol.errors import AgentError, UsageError
from agentcli.protocol.events import Failure
from agentcli.sdk.options import TaskSpec, read_task
from agentcli.sdk.threads import caught
from agentcli.sdk.work import several

Stage = TaskSpec | Mapping[str, Any] | Callable[..., Any]
"""A `TaskSpec`, or the same as a dict, whose prompt may hold `{item}` and `{previous}`; or a function, sync or async, of the value so far (the item
itself at first) and, where it takes two, of the item. It gives a task, a value for the next stage, or None to end this item."""

Work = TaskSpec | Callable[[Any, Any], Awaitable[Any]]


class StageFailed(Struct, frozen=True):
    """A function of the program raised."""

    failure: Failure


def read_stages(stages: Iterable[Any]) -> list[Work]:
    """Raises UsageError, UnknownOption: one of them is none."""
    given = several(stages, "pipeline", "stages")
    if not given:
        raise UsageError("a pipeline needs at least one stage.")
    return [_read_stage(stage, number) for number, stage in enumerate(given, start=1)]


def _read_stage(stage: object, number: int) -> Work:
    if isinstance(stage, TaskSpec | Mapping):
        return read_task(stage)
    if not callable(stage):
        raise UsageError(f"stage {number} of a pipeline is a task or a function, not {type(stage).__name__}.")
    return _called(stage, number)


def _called(function: Callable[..., Any], number: int) -> Callable[[Any, Any], Awaitable[Any]]:
    how = _takes_item(function)

    async def call(previous: Any, item: Any) -> Any:
        arguments, named = ((previous, item), {}) if how == "second" else ((previous,), {"item": item} if how == "named" else {})
        made = await caught(function, *arguments, **named)
        if isinstance(made, BaseException):
            return StageFailed(_told(made, number))
        try:
            return as_task(made)
        except AgentError as error:
            return StageFailed(_told(error, number))

    return call


def as_task(made: Any) -> Any:
    """What a function gave: a dict with an agent and a prompt is a task, anything else a value."""
    if isinstance(made, Mapping) and "agent" in made and "prompt" in made:
        return read_task(made)
    return made


def _told(error: BaseException, number: int) -> Failure:
    kind, hint = (error.kind, error.hint) if isinstance(error, AgentError) else ("stage", "")
    return Failure(kind, f"stage {number} failed: {type(error).__name__}: {error}", 1, hint)


def _takes_item(function: Callable[..., Any]) -> str:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [one for one in parameters.values() if one.kind in positional and one.default is inspect.Parameter.empty]
    if len(needed) > 1:
        return "second"
    return "named" if "item" in parameters and needed and needed[0].name != "item" else ""


def fill(task: TaskSpec, item: Any, previous: Any) -> TaskSpec:
    """The stage's task for one item; at the first stage `{previous}` is empty."""
    return task.model_copy(update={"prompt": filled(task.prompt, str(item), "" if previous is None else str(previous))})

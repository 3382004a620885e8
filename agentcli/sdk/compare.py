"""The same prompt on several models at once, each in a clone of its own, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from agentcli.agents.override import REMOTE_RULE
from agentcli.agents.patterns import parallel
from agentcli.agents.tree import Ended, Task
from agentcli.protocol.errors import UsageError
from agentcli.protocol.events import Envelope
from agentcli.providers.registry import Catalogue
from agentcli.sdk.agent import AsyncAgent
from agentcli.sdk.session import AsyncSession


class Compared(Struct, frozen=True):
    """What one model made of the prompt. `cost_usd` None: its price is unknown; `diff` is against the folder as it was."""

    model: str
    served: tuple[str, ...]
    ok: bool
    answer: str
    error: str
    files: tuple[str, ...]
    diff: str
    branch: str
    turns: int
    tokens: int
    cost_usd: float | None
    duration_ms: int


async def compare(
    agent: AsyncAgent,
    cwd: Path,
    prompt: str,
    models: Sequence[str],
    options: Mapping[str, Any],
    listen: Callable[[Envelope], None] | None = None,
    opened: Callable[[AsyncSession], None] | None = None,
) -> list[Compared]:
    """Runs `prompt` on each model, side by side; results in the order of the models. `timeout_s` of the options is for each of them.

    Whoever names a remote model beside a local one has agreed to it.

    Raises:
        UsageError: no prompt, or fewer than two models. UnknownModel: nobody has one of them; nothing has run then.
    """
    _check(agent.services.catalogue, prompt, models)
    given = dict(options)
    allowed = [*given.pop("allowed_tools", ()), REMOTE_RULE]
    session = agent.session(cwd, {**given, "model": models[0], "save": False, "allowed_tools": allowed})
    if listen is not None:
        session.listen(listen)
    if opened is not None:
        opened(session)
    return await compare_in(session, prompt, models)


async def compare_in(session: AsyncSession, prompt: str, models: Sequence[str]) -> list[Compared]:
    """The same in an open session, beside its conversation: its rules hold, and its person is asked. Raises as `compare`."""
    _check(session.kit.catalogue, prompt, models)
    tasks = [Task("general", prompt, model=name, workspace="branch", label=name) for name in models]
    ended = await session.work(lambda: parallel(session.tree, session.tree.main, tasks))
    return [_compared(session, one) for one in ended]


def _check(catalogue: Catalogue, prompt: str, models: Sequence[str]) -> None:
    if not prompt.strip():
        raise UsageError("compare needs a prompt.", hint='For example: agentcli compare -m A -m B "…"')
    if len(models) < 2:
        raise UsageError("compare takes two models or more.", hint='For example: agentcli compare -m A -m B "…"')
    for name in models:
        catalogue.resolve(name)


def _compared(session: AsyncSession, ended: Ended) -> Compared:
    changes = session.tree.desk.changes.get(ended.worker_id)
    return Compared(
        model=ended.use.resolved or ended.use.requested,
        served=ended.served,
        ok=ended.ok,
        answer=ended.text,
        error=ended.failure.line() if ended.failure else "",
        files=tuple(change.path for change in changes.files) if changes else (),
        diff=changes.diff if changes else "",
        branch=ended.branch,
        turns=ended.turns,
        tokens=ended.usage.total,
        cost_usd=ended.cost_usd,
        duration_ms=ended.duration_ms,
    )

"""Every way to start the worker `scout` with the prompt `work`, its model named in the call or not; others that run beside it are `other`.

`agents` are the definitions that they take. Each way gives what was asked of the models for `scout`, and what its parent was told.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agentcli.protocol.errors import AgentError
from agentcli.sdk.options import WorkerAgentSpec
from agentcli.sdk.session import AsyncSession

from .crew import STRONG, Asked, Told, all_texts, calling, delegate
from .server import Server

Way = Callable[[AsyncSession, Server, "str | None"], Awaitable["Done"]]


@dataclass
class Done:
    """What one way brought: the worker's requests, and the text that reached the parent."""

    asked: list[Asked]
    text: str


def named(model: str | None, key: str = "model") -> dict[str, Any]:
    return {} if model is None else {key: model}


async def by_task(session: AsyncSession, server: Server, model: str | None) -> Done:
    return _done(await delegate(session, server, ("task", {"agent": "scout", "prompt": "work", **named(model)})))


async def by_first_of_parallel(session: AsyncSession, server: Server, model: str | None) -> Done:
    entry = {"agent": "scout", "prompt": "work", **named(model)}
    return _done(await delegate(session, server, ("parallel_task", {"tasks": [entry, {"agent": "other", "prompt": "else"}]})))


async def by_last_of_parallel(session: AsyncSession, server: Server, model: str | None) -> Done:
    entry = {"agent": "scout", "prompt": "work", **named(model)}
    return _done(await delegate(session, server, ("parallel_task", {"tasks": [{"agent": "other", "prompt": "else"}, entry]})))


async def by_first_stage(session: AsyncSession, server: Server, model: str | None) -> Done:
    stages = [{"agent": "scout", "prompt": "work", **named(model)}, {"agent": "other", "prompt": "then {previous}"}]
    return _done(await delegate(session, server, ("pipeline", {"stages": stages})))


async def by_last_stage(session: AsyncSession, server: Server, model: str | None) -> Done:
    stages = [{"agent": "other", "prompt": "first {item}"}, {"agent": "scout", "prompt": "work {previous}", **named(model)}]
    return _done(await delegate(session, server, ("pipeline", {"items": ["x"], "stages": stages})))


async def by_lead(session: AsyncSession, server: Server, model: str | None) -> Done:
    return await _by_role(session, server, model, "lead", "Goal:")


async def by_team_worker(session: AsyncSession, server: Server, model: str | None) -> Done:
    return await _by_role(session, server, model, "worker", "Task ")


async def by_reviewer(session: AsyncSession, server: Server, model: str | None) -> Done:
    return await _by_role(session, server, model, "reviewer", "Review one task")


async def _by_role(session: AsyncSession, server: Server, model: str | None, role: str, prompt: str) -> Done:
    members = {f"{one}_agent": "scout" if one == role else "other" for one in ("lead", "worker", "reviewer")}
    told = await delegate(session, server, ("run_team", {"goal": "all of it", **members, **named(model, f"{role}_model")}))
    return _done(told, prompt)


async def by_invoke(session: AsyncSession, server: Server, model: str | None) -> Done:
    one = {"TypeName": "scout", "Role": "looks around", "Prompt": "work", **named(model, "Model")}
    return _done(await delegate(session, server, ("invoke_subagent", {"Subagents": [{**one, "Prompt": "else", "TypeName": "other"}, one]})))


async def by_flat_invoke(session: AsyncSession, server: Server, model: str | None) -> Done:
    one = {"TypeName": "scout", "Role": "looks around", "Prompt": "work", **named(model, "Model")}
    return _done(await delegate(session, server, ("invoke_subagent", one)))


async def by_background(session: AsyncSession, server: Server, model: str | None) -> Done:
    before = len(server.requests)
    await session.send(calling(("task", {"agent": "scout", "prompt": "work", "background": True, **named(model)})))
    requests = server.requests[before:]
    return Done(Told([], requests).of("work"), all_texts(requests))


async def by_program(session: AsyncSession, server: Server, model: str | None) -> Done:
    before = len(server.requests)
    try:
        result = await session.task("scout", "work", model=model)
    except AgentError as error:
        return Done(Told([], server.requests[before:]).of("work"), error.line())
    use, note = result.model, session.tree.find("scout-1").note
    proof = f"requested: {use.requested}; resolved: {use.resolved}; served: {use.served}; source: {use.source} {note}" if use else ""
    return Done(Told([], server.requests[before:]).of("work"), proof)


async def by_nested(session: AsyncSession, server: Server, model: str | None) -> Done:
    """Through a worker in between, which runs on what the session runs on."""
    inner = calling(("task", {"agent": "scout", "prompt": "work", **named(model)}))
    told = await delegate(session, server, ("task", {"agent": "chief", "prompt": inner, "model": STRONG}))
    return Done(told.of("work"), all_texts(told.requests))


def _done(told: Told, prompt: str = "work") -> Done:
    return Done(told.of(prompt), "\n".join(told.results))


WAYS: tuple[Way, ...] = (
    by_task, by_first_of_parallel, by_last_of_parallel, by_first_stage, by_last_stage, by_lead, by_team_worker, by_reviewer, by_invoke,
    by_flat_invoke, by_background, by_program, by_nested,
)  # fmt: skip

FEW_WAYS: tuple[Way, ...] = (by_task, by_last_of_parallel, by_last_stage, by_team_worker, by_invoke, by_program)
"""One of each kind."""


def agents(**scout: Any) -> dict[str, Any]:
    """Options of a session with the workers that the ways take; `scout` are fields of that definition."""
    return {
        "worker_agents": [
            WorkerAgentSpec(**{"name": "scout", "description": "Looks.", "tools": ["read"], **scout}),
            WorkerAgentSpec(name="other", description="Else.", tools=["read"], model="alpha/cheap"),
            WorkerAgentSpec(name="lead", description="Leads."),
        ],
        "agents_json": json.dumps({"chief": {"description": "Leads.", "can_delegate": True}}),
    }

"""What an interactive face does with a session beside sending messages: telling, taking back, rules for all, a worker's task once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.library import scripted

from agentcli import AsyncSession, UsageError
from agentcli.protocol.commands import Inject
from agentcli.protocol.events import AgentFinished, AgentSpawned, UserSubmitted
from agentcli.protocol.messages import UserMessage, user_text
from agentcli.sdk.context import ContextPart, context_parts
from agentcli.sdk.retry import retry

Play = Callable[..., Any]


def users(session: AsyncSession) -> list[tuple[str, str]]:
    return [(message.origin, message.text()) for message in session.history if isinstance(message, UserMessage)]


def test_what_an_idle_session_is_told_is_known_from_the_next_message_on_and_stored(play: Play) -> None:
    async def scene(session: AsyncSession) -> Any:
        told: list[UserSubmitted] = []
        session.listen(lambda envelope: told.append(envelope.event) if isinstance(envelope.event, UserSubmitted) else None)
        session.tell(user_text("$ ls\na.txt", "system"))
        before = users(session)
        await session.send("what is there?")
        return before, users(session), [(event.message.text(), event.run) for event in told]

    assert play(scripted(["a.txt"]), scene) == (
        [("system", "$ ls\na.txt")],
        [("system", "$ ls\na.txt"), ("person", "what is there?")],
        [("$ ls\na.txt", ""), ("what is there?", "run-1")],
    )


def test_undelivered_messages_of_a_person_are_taken_back_and_others_stay(play: Play) -> None:
    async def scene(session: AsyncSession) -> Any:
        session.command(Inject(user_text("mine", "injected")))
        session.command(Inject(user_text("a report", "worker")))
        back = session.take_back()
        await session.send("go")
        return back, session.take_back(), users(session)

    assert play(scripted(["ok", "ok", "ok"]), scene) == (
        (user_text("mine", "injected"),), (), [("person", "go"), ("worker", "a report")],
    )  # fmt: skip


def test_a_rule_holds_for_every_agent_of_the_session_and_a_wrong_one_for_none(play: Play) -> None:
    async def scene(session: AsyncSession) -> Any:
        await session.send("start")
        session.add_rule("allow", "bash(git push), edit(docs/**)")
        with pytest.raises(UsageError):
            session.add_rule("deny", "bash(")
        nodes = list(session.tree.main.walk())
        return len(nodes), [[rule.text for rule in node.gate.policy.allow] for node in nodes], [rule.text for rule in session.kit.policy.allow]

    script = [{"when": "start", "calls": [{"name": "task", "arguments": {"agent": "explore", "prompt": "look"}}]}, "found", "done"]
    rules = ["bash(git push)", "edit(docs/**)"]
    assert play(scripted(script), scene) == (2, [rules, rules], rules)


def test_a_worker_that_is_over_runs_again_on_another_model_and_its_report_reaches_the_parent(play: Play) -> None:
    async def scene(session: AsyncSession) -> Any:
        seen: list[Any] = []
        session.listen(lambda envelope: seen.append((envelope.agent_id, envelope.event)))
        await session.send("start")
        with pytest.raises(UsageError, match="the main agent is no worker"):
            await retry(session, "main")
        again = await retry(session, "explore-1", "demo/m2")
        assert session.kit.pins == {}
        await session.tree.wait(again)
        await session.send("and?")
        spawned = [(agent_id, event.model.resolved, event.model.source) for agent_id, event in seen if isinstance(event, AgentSpawned)]
        ended = [(agent_id, event.status, event.text) for agent_id, event in seen if isinstance(event, AgentFinished)]
        return again, spawned, ended, [origin for origin, text in users(session) if "found it" in text]

    script = [
        {"when": "start", "calls": [{"name": "task", "arguments": {"agent": "explore", "prompt": "look"}}]},
        {"agent": "explore", "model": "m1", "error": {"kind": "authentication"}},
        {"agent": "explore", "model": "m2", "text": "found it"},
        {"text": "noted", "repeat": True},
    ]
    assert play(scripted(script), scene) == (
        "main/explore-2",
        [("main/explore-1", "demo/m1", "parent"), ("main/explore-2", "demo/m2", "pin")],
        [("main/explore-1", "failed", ""), ("main/explore-2", "completed", "found it")],
        ["worker"],
    )


def test_a_worker_that_still_runs_is_not_started_again(play: Play) -> None:
    async def scene(session: AsyncSession) -> None:
        started = asyncio.Event()
        session.listen(lambda envelope: started.set() if isinstance(envelope.event, AgentSpawned) else None)
        turn = asyncio.create_task(session.drive("start"))
        await started.wait()
        with pytest.raises(UsageError, match="main/explore-1 is still (queued|running)"):
            await retry(session, "explore-1")
        await session.cancel()
        await turn

    script = [{"when": "start", "calls": [{"name": "task", "arguments": {"agent": "explore", "prompt": "look"}}]}, {"hang": True}]
    play(scripted(script), scene)


def test_the_context_is_told_in_parts_that_grow_with_what_is_said(play: Play) -> None:
    async def scene(session: AsyncSession) -> Any:
        before = context_parts(session)
        await session.send("x" * 4_000)
        return before, context_parts(session)

    before, after = play(scripted(["y" * 400]), scene)
    assert [part.name for part in before] == ["system prompt", before[1].name, "your messages", "answers and calls", "tool results"]
    assert before[2:] == [ContextPart("your messages", 0), ContextPart("answers and calls", 0), ContextPart("tool results", 0)]
    assert after[:2] == before[:2]
    assert after[2:] == [ContextPart("your messages", 1_001), ContextPart("answers and calls", 101), ContextPart("tool results", 0)]

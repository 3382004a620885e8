"""`on_approval`: asked where the rules would ask, in every form, and what becomes of one that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.library import scripted

from agentcli import AgentError, ApprovalAsked, AsyncSession, Result, UsageError
from agentcli.sdk.result import in_options

Play = Callable[..., Any]


def write(path: str) -> dict[str, Any]:
    return {"calls": [{"name": "write", "arguments": {"path": path, "content": "x"}}]}


TWICE = [write("../one.txt"), write("../one.txt"), "done"]


async def go(session: AsyncSession) -> Result:
    return await session.send("go")


@pytest.mark.parametrize(
    ("answers", "asked", "written"), [([True, True], 2, True), (["once", "once"], 2, True), (["session"], 1, True), ([False, "deny"], 2, False)]
)
def test_each_answer_counts_as_long_as_it_says(play: Play, answers: list[Any], asked: int, written: bool) -> None:
    left, questions = list(answers), list[ApprovalAsked]()

    def decide(question: ApprovalAsked) -> Any:
        questions.append(question)
        return left.pop(0)

    result = play(scripted(TWICE), go, on_approval=decide, permission_mode="default")
    assert (len(questions), Path("../one.txt").exists(), len(result.denials)) == (asked, written, 0 if written else 1)
    assert questions[0].tool == "write" and "one.txt" in questions[0].title


def test_an_async_callback_is_awaited_on_the_loop_and_another_may_block_in_a_thread(play: Play) -> None:
    where: list[str] = []

    async def awaited(question: ApprovalAsked) -> bool:
        where.append(threading.current_thread().name)
        return True

    def blocking(question: ApprovalAsked) -> bool:
        where.append("main" if threading.current_thread() is threading.main_thread() else "another")
        return True

    for decide in (awaited, blocking):
        play(scripted([write("../x"), "done"]), go, on_approval=decide)
    assert where == ["MainThread", "another"]


def test_a_callback_that_raises_refuses_and_its_error_ends_the_run(play: Play) -> None:
    def broken(question: ApprovalAsked) -> bool:
        raise ValueError("no such person")

    with pytest.raises(AgentError) as caught:
        play(scripted([write("../x"), "done"]), go, on_approval=broken)
    assert caught.value.line() == "on_approval failed: ValueError: no such person. What it was asked about was refused."
    assert not Path("../x").exists()
    assert isinstance(caught.value.__cause__, ValueError) and isinstance(caught.value.result, Result)


@pytest.mark.parametrize("wrong", [None, "yes", 1, []])
def test_an_answer_that_is_none_refuses_and_says_what_it_may_be(play: Play, wrong: object) -> None:
    with pytest.raises(UsageError, match="on_approval gave") as caught:
        play(scripted([write("../x"), "done"]), go, on_approval=lambda question: wrong)
    assert "True, False" in caught.value.hint and not Path("../x").exists()


def test_workers_questions_come_to_the_same_callback(play: Play) -> None:
    asked: list[str] = []

    def decide(question: ApprovalAsked) -> bool:
        asked.append(question.title)
        return True

    async def scene(session: AsyncSession) -> list[bool]:
        return [result.ok for result in await session.parallel([{"agent": "general", "prompt": name} for name in ("a", "b")])]

    steps = [{"when": name, **write(f"../{name}.txt")} for name in ("a", "b")] + ["done", "done"]
    assert play(scripted(steps), scene, on_approval=decide) == [True, True]
    assert len(asked) == 2 and Path("../a.txt").exists() and Path("../b.txt").exists()


def test_a_session_closes_while_its_callback_still_waits(play: Play) -> None:
    release, there = threading.Event(), threading.Event()

    def slow(question: ApprovalAsked) -> bool:
        there.set()
        release.wait(20)
        return True

    async def scene(session: AsyncSession) -> None:
        import asyncio

        running = asyncio.create_task(session.send("go"))
        await asyncio.to_thread(there.wait, 10)
        await session.close()
        assert isinstance(running.exception(), AgentError)

    try:
        play(scripted([write("../x"), "done"]), scene, on_approval=slow)
        assert not Path("../x").exists()
    finally:
        release.set()


@pytest.mark.parametrize(
    ("denial", "for_programs"),
    [
        (
            "bash x: no. To allow it: --allowed-tools 'bash(x),bash(say it'\\''s)'",
            """bash x: no. To allow it: allowed_tools=["bash(x)", "bash(say it's)"]""",
        ),
        ("edit a: no. To allow it: --permission-mode accept-edits", 'edit a: no. To allow it: permission_mode="accept-edits"'),
        ("bash echo ' To allow it: '\"': never.", "bash echo ' To allow it: '\"': never."),
        ("bash x: never.", "bash x: never."),
    ],
)
def test_a_program_is_told_the_option_for_the_flag(denial: str, for_programs: str) -> None:
    assert in_options(denial) == for_programs

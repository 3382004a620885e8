"""Calls that a person sends to the background: the run goes on at once, the result comes later, nothing is left when the run ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.loops import Stage, stage

from agentcli.protocol.errors import UsageError
from agentcli.protocol.events import ToolFinished, UserSubmitted
from agentcli.protocol.messages import user_text
from agentcli.tools.bash import Bash


def command(text: str) -> dict[str, object]:
    return {"calls": [{"name": "bash", "arguments": {"command": text}}]}


def told(acted: Stage) -> list[str]:
    return [event.message.text() for event in acted.of(UserSubmitted)]


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.01)


def test_a_command_let_go_answers_at_once_and_its_result_comes_as_a_message(tmp_path: Path) -> None:
    asyncio.run(_let_go(tmp_path))


async def _let_go(tmp_path: Path) -> None:
    steps = [
        command("touch began; until [ -e go ]; do sleep 0.02; done; echo built"),
        {"when": "sent this to the background", "text": "I go on."},
        "It is built.",
    ]
    acted = stage(tmp_path, steps, tools=(Bash(),))
    run = asyncio.create_task(acted.loop.run(user_text("build")))
    with pytest.raises(UsageError, match="nothing runs that could go on in the background"):
        acted.loop.let_go()
    await until((tmp_path / "began").exists)
    acted.loop.let_go()
    await until(lambda: len(acted.provider.requests) == 2)
    (finished,) = acted.of(ToolFinished)
    assert (finished.data, finished.result.is_error) == ({"background": True}, False)
    (tmp_path / "go").touch()
    outcome = await run
    late = acted.of(UserSubmitted)[-1]
    assert (late.call_id, late.message.origin) == (finished.result.call_id, "worker")
    assert late.message.text() == "Done in the background: bash touch began; until [ -e go ]; do sleep 0.02; done; echo built\nbuilt"
    assert (outcome.status, outcome.text, len(acted.of(ToolFinished))) == ("success", "It is built.", 1)


@pytest.mark.parametrize("ending", ["interrupt", "failure"])
def test_what_was_let_go_ends_with_the_run_and_the_model_is_told(tmp_path: Path, ending: str) -> None:
    asyncio.run(_end_with_the_run(tmp_path, ending))


async def _end_with_the_run(tmp_path: Path, ending: str) -> None:
    last: dict[str, object] = {"hang": True} if ending == "interrupt" else {"error": {"kind": "request_rejected"}}
    acted = stage(tmp_path, [command("echo $$ > pid; sleep 300"), last, "later"], tools=(Bash(),))
    run = asyncio.create_task(acted.loop.run(user_text("serve")))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    acted.loop.let_go()
    await until(lambda: len(acted.provider.requests) == 2)
    if ending == "interrupt":
        run.cancel()
    await asyncio.wait((run,))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert told(acted)[-1] == "Ended with the run before it was done: bash echo $$ > pid; sleep 300"
    outcome = await acted.loop.run(user_text("and now?"))
    assert (outcome.status, outcome.text) == ("success", "later")

"""What a program may ask of a session and of a worker, in every spelling, and what it is told where it errs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.library import scripted

from agentcli import AsyncSession, SessionOptions, TaskSpec, UnknownOption, UsageError, WorkerAgentSpec
from agentcli.protocol.tools import Tool
from agentcli.sdk.options import read_options, read_task
from agentcli.sdk.own_tools import tool
from agentcli.sdk.wanted import Wanted

Play = Callable[..., Any]


def test_options_are_an_object_a_dict_in_either_spelling_or_keywords_and_mean_the_same() -> None:
    asked = SessionOptions()
    asked.max_turns = 3
    asked.worker_agents = [WorkerAgentSpec(name="scout", description="d", model="m")]
    camel = {"maxTurns": 3, "workerAgents": [{"name": "scout", "description": "d", "model": "m"}]}
    snake = {"max_turns": 3, "worker_agents": [{"name": "scout", "description": "d", "model": "m"}]}
    assert asked == read_options(camel, {}) == read_options(snake, {}) == read_options(None, snake) == read_options(asked, {})


def test_keywords_win_over_an_object_and_over_a_dict_whatever_the_spelling() -> None:
    appended = SessionOptions(model="a")
    appended.worker_agents.append(WorkerAgentSpec("scout"))
    joined = read_options(appended, {"model": "b"})
    assert (joined.model, [worker.name for worker in joined.worker_agents], appended.model) == ("b", ["scout"], "a")
    assert read_options({"maxTurns": 1}, {"max_turns": 2}).max_turns == 2
    assert read_options({"max_turns": 1}, {"maxTurns": 2}).max_turns == 2


def test_a_worker_takes_its_fields_by_position_keyword_and_attribute() -> None:
    worker = WorkerAgentSpec("scout", "Reads.", model="fast")
    worker.max_turns = 4
    assert worker == WorkerAgentSpec(name="scout", description="Reads.", model="fast", max_turns=4)


@pytest.mark.parametrize(
    ("make", "named", "near"),
    [
        (lambda: SessionOptions(modle="x"), "SessionOptions has no option 'modle'", "model"),
        (lambda: setattr(SessionOptions(), "max_turn", 3), "SessionOptions has no option 'max_turn'", "max_turns"),
        (lambda: read_options({"permissionMod": "plan"}, {}), "'permissionMod'", "permission_mode"),
        (lambda: read_options({"workerAgents": [{"name": "x", "modle": "y"}]}, {}), "WorkerAgentSpec has no option 'modle'", "model"),
        (lambda: WorkerAgentSpec(name="x", descripton="y"), "WorkerAgentSpec has no option 'descripton'", "description"),
        (lambda: read_task("scout", "x", {"workspce": "branch"}), "TaskSpec has no option 'workspce'", "workspace"),
    ],
)
def test_an_unknown_option_is_named_with_the_nearest_that_there_is(make: Callable[[], Any], named: str, near: str) -> None:
    with pytest.raises(UnknownOption) as caught:
        make()
    assert named in caught.value.message and f"'{near}'" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SessionOptions(max_turns=0), "option 'max_turns' of SessionOptions"),
        (lambda: SessionOptions(permission_mode="never"), "option 'permission_mode' of SessionOptions"),
        (lambda: setattr(SessionOptions(), "timeout_s", -1), "option 'timeout_s' of SessionOptions"),
        (lambda: WorkerAgentSpec(description="x"), "WorkerAgentSpec needs 'name'"),
        (lambda: WorkerAgentSpec(*range(40)), "at most"),
        (lambda: read_options(3, {}), "must be SessionOptions or a dict, not int"),  # type: ignore[arg-type]
        (lambda: read_task(3), "a task is a worker's name and a prompt"),  # type: ignore[arg-type]
        (lambda: read_task("scout", ""), "option 'prompt' of TaskSpec"),
        (lambda: SessionOptions(own_tools=[3]), "option 'own_tools"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_option(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        make()


def test_permission_modes_are_understood_in_claude_codes_spelling_too() -> None:
    assert read_options({"permissionMode": "acceptEdits"}, {}).permission_mode == "accept-edits"


def test_every_option_reaches_the_session() -> None:
    assert set(SessionOptions.model_fields) == set(Wanted.__struct_fields__)


def test_a_plain_function_among_the_own_tools_is_made_one() -> None:
    def weather(city: str) -> str:
        """Tells the weather."""
        return city

    made = SessionOptions(own_tools=[weather]).own_tools  # type: ignore[list-item]
    assert [isinstance(one, Tool) and one.name for one in made] == ["weather"]


def test_what_is_said_beside_a_task_wins_over_its_spec() -> None:
    spec = TaskSpec(agent="scout", prompt="a", model="x", workspace=Path("sub"))
    assert read_task(spec, "b", {"model": "y"}) == TaskSpec(agent="scout", prompt="b", model="y", workspace=Path("sub"))
    assert read_task({"agent": "scout", "prompt": "a", "timeoutS": 3}, None, {"timeout_s": 4}).timeout_s == 4
    assert spec.model == "x"


def test_an_own_tool_may_not_take_the_name_of_another(play: Play) -> None:
    @tool
    def read(path: str) -> str:
        """Reads."""
        return path

    async def scene(session: AsyncSession) -> None:
        raise AssertionError("the session was opened")

    with pytest.raises(UsageError, match="two tools are called 'read'"):
        play(scripted([]), scene, own_tools=[read])


def test_camel_case_workers_of_the_seeds_work_as_options(play: Play) -> None:
    async def scene(session: AsyncSession) -> list[str]:
        result = await session.task("scout", "go")
        assert result.model is not None
        return [result.model.resolved, result.model.source]

    options = {"model": "demo/m1", "workerAgents": [{"name": "scout", "description": "Reads files.", "model": "demo/m2"}]}
    assert play(scripted(["found"]), scene, **options) == ["demo/m2", "definition"]

"""What a program may ask of a session and of a worker, in every spelling, and what it is told where it errs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.library import scripted

from agentcli import AsyncSession, SessionOptions, TaskSpec, UnknownOption, UsageError, WorkerAgentSpec
from agentcli.protocol.tools import Tool
from agentcli.sdk.options import SessionKeywords, TaskKeywords, read_options, read_task
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
        (lambda: TaskSpec(agent="x"), "TaskSpec needs 'prompt'"),
        (lambda: SessionOptions(worker_agents=WorkerAgentSpec("x")), "'worker_agents' of SessionOptions takes a list"),
        (lambda: read_options({"workerAgents": {"name": "x"}}, {}), "'worker_agents' of SessionOptions takes a list"),
        (lambda: SessionOptions(output_schema=int), "output_schema is a pydantic model (the class) or a JSON schema (a dict), not <class 'int'>"),
        (lambda: TaskSpec("x", "y", output_schema={"type": "objekt"}), "output_schema: no valid JSON schema: 'objekt'"),
        (lambda: WorkerAgentSpec(*range(40)), "at most"),
        (lambda: read_options(3, {}), "must be SessionOptions or a dict, not int"),  # type: ignore[arg-type]
        (lambda: read_task(3), "a task is a worker's name and a prompt"),  # type: ignore[arg-type]
        (lambda: read_task("scout", ""), "option 'prompt' of TaskSpec"),
        (lambda: SessionOptions(own_tools=[3]), "own_tools takes tools and functions, not 3"),
        (lambda: SessionOptions(own_tools=[dict]), "own_tools takes tools and functions, not <class 'dict'>"),
        (lambda: SessionOptions(own_tools=len), "option 'own_tools' of SessionOptions"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_option(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


def test_permission_modes_are_understood_in_claude_codes_spelling_too() -> None:
    assert read_options({"permissionMode": "acceptEdits"}, {}).permission_mode == "accept-edits"


def test_a_worker_may_get_all_its_fields_as_attributes(play: Play) -> None:
    worker = WorkerAgentSpec()
    worker.name, worker.description, worker.model = "scout", "Reads.", "demo/m2"

    async def scene(session: AsyncSession) -> Any:
        return (await session.task("scout", "go")).model

    assert play(scripted(["found"]), scene, worker_agents=[worker]).resolved == "demo/m2"


def test_what_resembles_no_option_is_told_all_there_are() -> None:
    with pytest.raises(UnknownOption) as caught:
        read_task({"agent": "scout", "prompt": "x", "background": True})
    assert caught.value.hint.startswith("It takes: agent, prompt, description, model")
    with pytest.raises(UnknownOption, match="SessionOptions has no option '5'"):
        read_options({"model": "x", 5: "y"}, {})


def test_every_option_reaches_the_session_and_is_a_keyword_that_type_checkers_know() -> None:
    assert set(SessionOptions.model_fields) == set(Wanted.__struct_fields__) == set(SessionKeywords.__annotations__)
    assert set(TaskSpec.model_fields) == {"agent", "prompt", *TaskKeywords.__annotations__}


@pytest.mark.parametrize("kind", [SessionOptions, TaskSpec, WorkerAgentSpec])
def test_help_tells_every_field(kind: type[SessionOptions]) -> None:
    fields = list(kind.model_fields)
    assert list(inspect.signature(kind).parameters) == fields
    assert [name for name in fields if re.search(rf"\b{name}\b", inspect.getdoc(kind) or "") is None] == []


def test_what_was_appended_to_options_is_checked_when_they_are_used() -> None:
    asked = SessionOptions()
    asked.worker_agents.append({"name": "scout", "descripton": "x"})  # type: ignore[arg-type]
    with pytest.raises(UnknownOption, match="WorkerAgentSpec has no option 'descripton'"):
        read_options(asked, {})
    asked.worker_agents[0] = {"name": "scout", "description": "x"}  # type: ignore[call-overload]
    assert read_options(asked, {}).worker_agents == [WorkerAgentSpec("scout", "x")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"worker_agents": [WorkerAgentSpec("scout", tools=["raed"])]}, "worker 'scout': no tool 'raed'; nearest: read"),
        ({"agents_json": '{"scout": {"description": "x", "tools": ["raed"]}}'}, "worker 'scout': no tool 'raed'; nearest: read"),
        ({"worker_agents": [WorkerAgentSpec("scout"), WorkerAgentSpec("scout")]}, "two workers are called 'scout'"),
        ({"worker_agents": [WorkerAgentSpec(description="x")]}, "a name is missing"),
        ({"add_dirs": ["nowhere"]}, "no such folder to work in as well"),
        ({"tools": ["raed"]}, "no tool 'raed'; nearest: read"),
    ],
)
def test_what_cannot_be_is_told_when_the_session_is_opened(play: Play, options: dict[str, Any], said: str) -> None:
    async def scene(session: AsyncSession) -> None:
        raise AssertionError("the session was opened")

    with pytest.raises(UsageError, match=said):
        play(scripted([]), scene, **options)


def test_a_worker_may_list_tools_by_claude_codes_names_by_pattern_and_the_programs_own(play: Play) -> None:
    @tool
    def weather(city: str) -> str:
        """Tells the weather."""
        return city

    async def scene(session: AsyncSession) -> None:
        assert session.tree.roster.get("scout").tools == ("read", "web_*", "weather", "task")

    play(scripted([]), scene, own_tools=[weather], worker_agents=[WorkerAgentSpec("scout", tools=["Read", "web_*", "weather", "task"])])


def test_a_plain_function_among_the_own_tools_is_made_one() -> None:
    def weather(city: str) -> str:
        """Tells the weather."""
        return city

    made = SessionOptions(own_tools=[weather]).own_tools
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

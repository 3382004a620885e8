from __future__ import annotations

import pytest

from agentcli.agents.spec import DELEGATION_TOOLS, WorkerSpec, clone_of, laid_over, select_tools, stricter, unknown_tools
from agentcli.protocol.events import PermissionMode

FILES = ("read", "grep", "edit", "write", "bash")
ALL = (*FILES, "mcp__git__log", *DELEGATION_TOOLS)


def worker(**fields: object) -> WorkerSpec:
    return WorkerSpec(**{"name": "scout", "source": "config", **fields})  # type: ignore[arg-type]


def test_a_worker_with_only_a_name_gets_what_its_parent_may_minus_delegation() -> None:
    assert select_tools(worker(), ALL, ALL) == (*FILES, "mcp__git__log")
    assert select_tools(worker(), ("read", "task"), ALL) == ("read",)


def test_delegation_comes_only_with_a_definition_that_says_so() -> None:
    assert select_tools(worker(can_delegate=True), ("read", *DELEGATION_TOOLS), ALL) == ("read", *DELEGATION_TOOLS)
    assert select_tools(worker(tools=("read", "task")), ALL, ALL) == ("read", "task")
    assert select_tools(worker(tools=("*",)), ALL, ALL) == (*FILES, "mcp__git__log")


def test_a_persons_definition_may_list_more_than_the_parent_has_and_a_models_may_not() -> None:
    listed = worker(tools=("read", "edit"))
    assert select_tools(listed, ("task",), ALL) == ("read", "edit")
    made = worker(tools=("read", "edit", "task"), source="runtime", can_delegate=True)
    assert select_tools(made, ("read",), ALL) == ("read",)


def test_disallowed_tools_go_last_and_both_lists_take_patterns() -> None:
    assert select_tools(worker(disallowed_tools=("edit", "mcp__*")), ALL, ALL) == ("read", "grep", "write", "bash")
    assert select_tools(worker(tools=("mcp__*", "read"), disallowed_tools=("read",)), ALL, ALL) == ("mcp__git__log",)
    assert select_tools(worker(can_delegate=True, disallowed_tools=("*_*",)), ALL, ALL) == (*FILES, "task", "pipeline")
    assert select_tools(worker(tools=()), ALL, ALL) == ()


def test_names_that_no_tool_has_are_known() -> None:
    assert unknown_tools(worker(tools=("read", "WebSearch", "x*"), disallowed_tools=("nope", "edit")), ALL) == ("WebSearch", "nope")
    assert unknown_tools(worker(), ALL) == ()


@pytest.mark.parametrize(
    ("own", "parent", "mode"),
    [
        (None, "auto", "auto"),
        ("plan", "bypass", "plan"),
        ("bypass", "default", "default"),
        ("accept-edits", "plan", "plan"),
        ("default", "accept-edits", "default"),
    ],
)
def test_a_definition_may_only_make_its_mode_stricter(own: PermissionMode | None, parent: PermissionMode, mode: PermissionMode) -> None:
    assert stricter(own, parent) == mode


def test_laying_one_over_another_changes_only_what_it_says() -> None:
    base = worker(description="Finds.", system_prompt="You find.", tools=("read",), timeout_s=5.0, source="builtin")
    top = worker(model="fast", tools=(), place="agent.hcl:3")
    assert laid_over(base, top) == worker(description="Finds.", system_prompt="You find.", tools=(), timeout_s=5.0, model="fast", place="agent.hcl:3")


def test_a_clone_has_its_parents_prompt_tools_and_mode_under_its_own_name() -> None:
    parent = worker(name="planner", system_prompt="You plan.", tools=("read",), permission_mode="plan", model="fast", max_turns=3)
    clone = WorkerSpec(name="self", description="A clone.", model="inherit", can_delegate=True, source="builtin")
    assert clone_of(parent, clone) == WorkerSpec(
        name="self",
        description="A clone.",
        model="inherit",
        system_prompt="You plan.",
        tools=("read",),
        permission_mode="plan",
        source="builtin",
    )


def test_where_a_definition_is_from_is_said_by_file_agent_or_kind() -> None:
    assert [worker(place="a.md:1").origin, worker(source="sdk").origin, worker(source="runtime", defined_by="main").origin] == [
        "a.md:1",
        "sdk",
        "runtime (main)",
    ]

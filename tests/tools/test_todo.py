"""The list of steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from support.toolbox import call, context

from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, TodoDisplay, TodoItem, ToolOutcome
from agentcli.tools.todo import Todo

TODO = Todo()


def test_each_call_replaces_the_whole_list(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    first = (TodoItem("look", "completed"), TodoItem("change", "in_progress"), TodoItem("test", "pending"))
    items = [{"text": item.text, "status": item.status} for item in first]
    outcome = call(TODO, ctx, items=items)
    assert outcome == ToolOutcome((Text("The list is now:\n[x] look\n[>] change\n[ ] test"),), TodoDisplay(first))
    assert ctx.memory.todos == first
    assert call(TODO, ctx, items=[]) == ToolOutcome((Text("The list is empty now."),), TodoDisplay(()))
    assert ctx.memory.todos == ()


@pytest.mark.parametrize(
    "arguments",
    [
        {"items": [{"text": "a", "status": "done"}, {"text": "b"}]},
        {"todos": [{"content": "a", "status": "completed"}, {"content": "b", "status": "pending"}]},
        {"items": [{"task": "a", "status": "Complete"}, "b"]},
        {"items": '[{"text": "a", "status": "completed"}, {"text": "b", "status": "todo"}]'},
    ],
)
def test_forms_that_models_write_mean_the_same(arguments: dict[str, object]) -> None:
    expected = {"items": [{"text": "a", "status": "completed"}, {"text": "b", "status": "pending"}]}
    assert TODO.args.model_validate(arguments).model_dump() == expected


@pytest.mark.parametrize("items", [[{"text": ""}], [{"text": "a", "status": "perhaps"}], [{"status": "pending"}], [{"text": "x"}] * 101])
def test_a_list_that_makes_no_sense_is_refused(items: list[object]) -> None:
    with pytest.raises(ValidationError):
        TODO.args.model_validate({"items": items})


def test_it_touches_only_what_is_its_own_and_tells_how_far_it_is() -> None:
    args = TODO.args.model_validate({"items": [{"text": "a", "status": "completed"}, {"text": "b"}]})
    assert TODO.access(args) == Access(own=True)
    assert TODO.title(args) == "1 of 2 done"

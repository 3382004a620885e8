"""The `todo` tool: the agent's own list of steps, the whole list at each call. It touches nothing else."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from agentcli.protocol.tools import Access, TodoDisplay, TodoItem, Tool, ToolContext, ToolOutcome, said
from agentcli.tools.arguments import Arguments, listed

Status = Literal["pending", "in_progress", "completed"]
MARKS: dict[Status, str] = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}
MEANT: dict[str, Status] = {
    "todo": "pending", "open": "pending", "not_started": "pending",
    "active": "in_progress", "doing": "in_progress", "started": "in_progress", "inprogress": "in_progress",
    "done": "completed", "complete": "completed", "finished": "completed", "closed": "completed",
}  # fmt: skip


class Item(Arguments):
    text: str = Field(
        min_length=1, max_length=1000, validation_alias=AliasChoices("text", "content", "task", "title"), description="What is to be done."
    )
    status: Status = Field("pending", description="Where it stands.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data

    @field_validator("status", mode="before")
    @classmethod
    def _meant(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        word = value.strip().lower().replace("-", "_").replace(" ", "_")
        return MEANT.get(word, word)


class TodoArgs(Arguments):
    items: list[Item] = Field(
        max_length=100,
        validation_alias=AliasChoices("items", "todos", "tasks"),
        description="The whole list, in order. An empty list clears it.",
    )

    @field_validator("items", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return listed(value)


class Todo(Tool[TodoArgs]):
    name = "todo"
    description = (
        "Keeps a list of steps for a task of several steps, shown to the person. Give the whole list at each call: it replaces the one "
        "before. Have one item in_progress at a time and mark it completed as soon as it is. Not needed for a task of one or two steps."
    )
    short = "Keep a list of steps."
    args = TodoArgs

    def access(self, args: TodoArgs) -> Access:
        return Access(own=True)

    def title(self, args: TodoArgs) -> str:
        done = sum(item.status == "completed" for item in args.items)
        return f"{done} of {len(args.items)} done"

    async def run(self, args: TodoArgs, ctx: ToolContext) -> ToolOutcome:
        items = tuple(TodoItem(item.text, item.status) for item in args.items)
        ctx.memory.todos = items
        lines = [f"{MARKS[item.status]} {item.text}" for item in items]
        return said("\n".join(["The list is now:", *lines]) if lines else "The list is empty now.", TodoDisplay(items))

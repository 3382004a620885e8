"""The `edit` tool: exact replacements in one file, all or none. Every byte that an edit does not name stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, field_validator, model_validator

from agentcli.protocol.errors import ToolError
from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, DiffDisplay, Tool, ToolContext, ToolOutcome
from agentcli.tools import diffs, files, texts
from agentcli.tools.arguments import PATH_NAMES, Arguments, listed
from agentcli.tools.replacing import Swap, refuse_empty, replaced
from agentcli.tools.write import written

OLD_NAMES = ("old", "old_string", "old_str", "old_text", "oldText", "oldString", "search")
NEW_NAMES = ("new", "new_string", "new_str", "new_text", "newText", "newString", "replace")
ALL_NAMES = ("replace_all", "replaceAll", "all")


class Replacement(Arguments):
    old: str = Field(
        validation_alias=AliasChoices(*OLD_NAMES),
        description="Text to replace, exactly as in the file with its indentation, in one place only. Empty: create the file.",
    )
    new: str = Field(validation_alias=AliasChoices(*NEW_NAMES), description="Text to put in its place.")
    replace_all: bool = Field(
        False, validation_alias=AliasChoices(*ALL_NAMES), description="Replace every occurrence instead of requiring exactly one."
    )


class EditArgs(Arguments):
    path: str = Field(validation_alias=PATH_NAMES, description="The file, absolute or relative to the working folder.")
    edits: list[Replacement] = Field(min_length=1, description="The replacements, made in order, each on the result of the one before.")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        """Takes `old` and `new` beside `path` for the one edit they are."""
        flat = (*OLD_NAMES, *NEW_NAMES, *ALL_NAMES)
        if not isinstance(data, dict) or data.get("edits") or not any(name in data for name in flat):
            return data
        outer = {key: value for key, value in data.items() if key not in flat and key != "edits"}
        return outer | {"edits": [{key: data[key] for key in data if key in flat}]}

    @field_validator("edits", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return listed(value)


class Edit(Tool[EditArgs]):
    name = "edit"
    description = (
        "Replaces text in a file that was read before. Each old text must stand in the file exactly, white space included, and only once, "
        "unless replace_all is set; take enough lines to make it unique. Leave out the line numbers of read. "
        "Several edits of one file go in one call: all are made, or none."
    )
    short = "Replace exact text in a file."
    args = EditArgs

    def access(self, args: EditArgs) -> Access:
        return Access(reads=(args.path,), writes=(args.path,))

    def title(self, args: EditArgs) -> str:
        return args.path if len(args.edits) == 1 else f"{args.path} ({len(args.edits)} edits)"

    async def run(self, args: EditArgs, ctx: ToolContext) -> ToolOutcome:
        edits = tuple(Swap(edit.old, edit.new, edit.replace_all) for edit in args.edits)
        return await files.finished(_edit, args.path, edits, ctx)


def _edit(shown: str, edits: tuple[Swap, ...], ctx: ToolContext) -> ToolOutcome:
    for edit in edits:
        refuse_empty(edit, shown)
        texts.refuse_surrogates(edit.old + edit.new, "an edit")
    path = files.located(ctx, shown)
    found = files.status(path, shown)
    if found is not None:
        files.refuse_irregular(found.st_mode, shown)
        return _edit_existing(shown, edits, ctx, path)
    if edits[0].old:
        raise files.missing(path, shown)
    text, _ = replaced("", edits, shown)
    return written(ctx, path, files.create(path, text.encode(), shown), shown, "", text, created=True)


def _edit_existing(shown: str, edits: tuple[Swap, ...], ctx: ToolContext, path: Path) -> ToolOutcome:
    raw, found = files.contents(path, shown)
    if raw and not edits[0].old:
        raise ToolError(f"{shown} exists and is not empty; give the text to replace, or use write", code="exists")
    if raw:
        files.require_seen(ctx, path, shown, found, files.digest_of(raw))
    document = texts.document(raw)
    if document is None:
        raise ToolError(f"{shown} is no text file; use bash with a program for this kind", code="binary")
    before = document.text
    after, places = replaced(before, edits, shown)
    if after == before:
        raise ToolError(f"{shown}: the edits together change nothing", code="no_change")
    ctx.memory.seen[path] = files.replace(path, document.encode(after), shown, found)
    change = diffs.change(shown, before, after)
    said = f"Edited {shown}: {places} {'place' if places == 1 else 'places'} replaced, {change.added} lines added, {change.removed} removed."
    facts: dict[str, object] = {"path": files.plain_name(str(path)), "places": places, "added": change.added, "removed": change.removed}
    return ToolOutcome((Text(said),), DiffDisplay(shown, change.diff), data=facts)

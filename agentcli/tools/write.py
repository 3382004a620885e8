"""The `write` tool: a whole file, new or rewritten. A rewrite keeps what the content does not say: mode, owner, link, encoding, line ends."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import AliasChoices, Field

from agentcli.protocol.errors import ToolError
from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, DiffDisplay, FileStamp, Tool, ToolContext, ToolOutcome
from agentcli.tools import diffs, files, texts
from agentcli.tools.arguments import PATH_NAMES, Arguments
from agentcli.tools.replacing import refuse_placeholder


class WriteArgs(Arguments):
    path: str = Field(validation_alias=PATH_NAMES, description="The file, absolute or relative to the working folder.")
    content: str = Field(validation_alias=AliasChoices("content", "contents", "text", "file_text"), description="The whole new content of the file.")


class Write(Tool[WriteArgs]):
    name = "write"
    description = (
        "Writes a whole file: creates it, with missing folders, or replaces all its content. An existing file must have been read first. "
        "For a change of a part use edit."
    )
    short = "Create a file or replace its whole content."
    args = WriteArgs

    def access(self, args: WriteArgs) -> Access:
        return Access(writes=(args.path,))

    def title(self, args: WriteArgs) -> str:
        return args.path

    async def run(self, args: WriteArgs, ctx: ToolContext) -> ToolOutcome:
        return await files.finished(_write, args, ctx)


def _write(args: WriteArgs, ctx: ToolContext) -> ToolOutcome:
    texts.refuse_surrogates(args.content, "content")
    if args.path.endswith("/"):
        raise ToolError(f"{args.path} names a folder; give the path of a file", code="not_a_file")
    path = files.located(ctx, args.path)
    found = files.status(path, args.path)
    if found is None:
        stamp = files.create(path, args.content.encode(), args.path)
        return written(ctx, path, stamp, args.path, "", args.content, created=True)
    files.refuse_irregular(found.st_mode, args.path)
    return _rewrite(args, ctx, path, found)


def _rewrite(args: WriteArgs, ctx: ToolContext, path: Path, found: os.stat_result) -> ToolOutcome:
    old = _old_document(args.path, ctx, path, found)
    before = old.text if old else ""
    refuse_placeholder(before, args.content, args.path)
    text = _like(args.content.removeprefix("\ufeff") if old and old.encoding.mark else args.content, before)
    data = old.encode(text) if old else text.encode()
    stamp = files.replace(path, data, args.path, found)
    return written(ctx, path, stamp, args.path, before, text, created=False)


def _old_document(shown: str, ctx: ToolContext, path: Path, found: os.stat_result) -> texts.Document | None:
    """What is there now, after the check that the agent knows it; None for what is empty or too large to keep anything of."""
    if found.st_size == 0:
        return None
    if found.st_size > files.WHOLE_LIMIT:
        files.require_seen(ctx, path, shown, found, "")
        return None
    raw, read = files.contents(path, shown)
    if (document := texts.document(raw)) is None:
        raise ToolError(f"{shown} exists and is no text file; if it is to be replaced, remove it with bash first", code="binary")
    files.require_seen(ctx, path, shown, read, files.digest_of(raw))
    return document


def _like(content: str, before: str) -> str:
    """The content with the old file's line end where that is one and not LF, and the content itself writes LF only."""
    end = texts.line_end(before)
    return content.replace("\n", end) if end in ("\r\n", "\r") and "\r" not in content else content


def written(ctx: ToolContext, path: Path, stamp: FileStamp, shown: str, before: str, after: str, *, created: bool) -> ToolOutcome:
    """The outcome of a file that was written, which the agent knows from now on."""
    ctx.memory.seen[path] = stamp
    change = diffs.change(shown, before, after, created=created)
    verb = "Created" if created else "Wrote"
    text = f"{verb} {shown}: {_count(after)}, {files.human_size(stamp.size)}."
    facts: dict[str, object] = {"path": files.plain_name(str(path)), "added": change.added, "removed": change.removed}
    return ToolOutcome((Text(text),), DiffDisplay(shown, change.diff, created), data=facts)


def _count(text: str) -> str:
    lines = text.count("\n") + (bool(text) and not text.endswith("\n"))
    return "1 line" if lines == 1 else f"{lines} lines"

"""The `glob` tool: files below a folder whose paths match a pattern, newest first. Ignored and hidden files stay out unless named."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from pydantic import AliasChoices, Field

from agentcli.protocol.errors import ToolError
from agentcli.protocol.tools import Access, Tool, ToolContext, ToolOutcome, said
from agentcli.tools import files, globs, ripgrep
from agentcli.tools.arguments import FOLDER_NAMES, Arguments

SHOWN = 200
"""Files shown."""


class GlobArgs(Arguments):
    pattern: str = Field(
        min_length=1,
        validation_alias=AliasChoices("pattern", "glob", "glob_pattern"),
        description="Pattern such as **/*.py, src/*.{ts,tsx} or test_*; without a slash it matches names at any depth.",
    )
    path: str = Field(".", validation_alias=FOLDER_NAMES, description="Folder to search, absolute or relative to the working folder.")


class Glob(Tool[GlobArgs]):
    name = "glob"
    description = (
        "Finds files by name pattern, newest first. Files ignored by .gitignore are left out, hidden ones too unless the pattern names "
        f"them with their dot. At most {SHOWN} are shown. Finds files, not folders."
    )
    short = "Find files by name pattern."
    args = GlobArgs

    def access(self, args: GlobArgs) -> Access:
        return Access(reads=(_start(args)[0],))

    def title(self, args: GlobArgs) -> str:
        return args.pattern if args.path in (".", "") else f"{args.pattern} in {args.path}"

    async def run(self, args: GlobArgs, ctx: ToolContext) -> ToolOutcome:
        start, rest = _start(args)
        path = files.located(ctx, start)
        found = files.status(path, start)
        if found is None:
            raise files.missing(path, start)
        if not stat.S_ISDIR(found.st_mode):
            raise ToolError(f"{start} is not a folder", code="not_a_folder")
        pattern = globs.parsed(rest, anywhere="/" not in _text(args))
        listed = await ripgrep.search(ctx, path, ["--files", "./"], names=pattern.names, hidden=pattern.hidden)
        return await asyncio.to_thread(_outcome, args, ctx, path, start, pattern, listed)


def _text(args: GlobArgs) -> str:
    return args.pattern.strip().removeprefix("./") or "*"


def _start(args: GlobArgs) -> tuple[str, str]:
    """The folder where the search starts, as the arguments name it, and the pattern below it."""
    folder, rest = globs.split(_text(args))
    given = "" if args.path == "." else args.path
    return (os.path.join(given, folder) if folder else given or "."), rest or "**"  # noqa: PTH118


def _outcome(args: GlobArgs, ctx: ToolContext, path: Path, start: str, pattern: globs.Glob, listed: ripgrep.Found) -> ToolOutcome:
    names = [ripgrep.relative(raw) for raw in listed.output.split(b"\0")[:-1]]
    found = [name for name in names if pattern.matches(name) and (pattern.hidden or not ripgrep.is_hidden(name))]
    if not found:
        where = "" if args.path in (".", "") else f" in {args.path}"
        return said(f"No file matches {args.pattern!r}{where} [{listed.note or 'ignored and hidden files are not looked at'}]")
    found.sort(key=lambda name: (-_modified(path, name), name))
    lines, size = [], 300
    for name in found[:SHOWN]:
        line = ripgrep.shown("" if start == "." else start, name)
        size += len(line) + 1
        if size > ctx.output_limit:
            break
        lines.append(line)
    if len(found) > len(lines):
        left = len(found) - len(lines)
        lines.append(f"[{left} more {'file' if left == 1 else 'files'}; narrow the pattern]")
    return said("\n".join([*lines, *([f"[{listed.note}]"] if listed.note else [])]))


def _modified(folder: Path, name: str) -> int:
    try:
        return (folder / name).lstat().st_mtime_ns
    except OSError:
        return 0

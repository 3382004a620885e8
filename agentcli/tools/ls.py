"""The `ls` tool: what one folder holds. It looks at names and sizes only and never below."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from pydantic import Field

from agentcli.protocol.errors import ToolError
from agentcli.protocol.tools import Access, Tool, ToolContext, ToolOutcome, said
from agentcli.tools import files
from agentcli.tools.arguments import FOLDER_NAMES, Arguments

SHOWN = 500
"""Entries shown."""
LOOKED_AT = 100_000
"""Entries looked at in a folder that has more."""
HEAVY = {
    ".git": "git's own data",
    ".hg": "Mercurial's own data",
    ".svn": "Subversion's own data",
    "node_modules": "installed packages",
    "bower_components": "installed packages",
    "site-packages": "installed packages",
    "vendor": "bundled packages",
    ".venv": "virtual environment",
    "venv": "virtual environment",
    "__pycache__": "compiled Python",
    ".tox": "test environments",
    ".nox": "test environments",
    ".mypy_cache": "cache",
    ".pytest_cache": "cache",
    ".ruff_cache": "cache",
    ".cache": "cache",
    ".gradle": "build data",
    "target": "build output",
    "build": "build output",
    "dist": "build output",
    ".next": "build output",
}


class LsArgs(Arguments):
    path: str = Field(".", validation_alias=FOLDER_NAMES, description="The folder, absolute or relative to the working folder.")
    all: bool = Field(False, description="Also list hidden entries, whose names start with a dot.")


class Ls(Tool[LsArgs]):
    name = "ls"
    description = (
        "Lists one folder: folders first, with a slash, then files with their size. Ignored files are listed too, hidden ones only with all. "
        f"At most {SHOWN} entries. To find files below it use glob."
    )
    short = "List a folder."
    args = LsArgs

    def access(self, args: LsArgs) -> Access:
        return Access(reads=(args.path or ".",))

    def title(self, args: LsArgs) -> str:
        return args.path

    async def run(self, args: LsArgs, ctx: ToolContext) -> ToolOutcome:
        return await asyncio.to_thread(_list, args, ctx)


def _list(args: LsArgs, ctx: ToolContext) -> ToolOutcome:
    given = args.path or "."
    path = files.located(ctx, given)
    found = files.status(path, given)
    if found is None:
        raise files.missing(path, given)
    if not stat.S_ISDIR(found.st_mode):
        raise ToolError(f"{given} is not a folder; use read for a file", code="not_a_folder")
    names, more = _names(path, given)
    shown = names if args.all else [name for name in names if not name.startswith(".")]
    lines = [_line(path, name) for name in shown[:SHOWN]]
    return said(_bounded(lines, len(shown), len(names) - len(shown), more, ctx.output_limit))


def _names(path: Path, shown: str) -> tuple[list[str], bool]:
    """Names, folders (and links to them) first, and whether the folder has more than were looked at."""
    with files.refused(shown), os.scandir(path) as entries:
        found = [(not _is_folder(entry), entry.name.casefold(), entry.name) for _, entry in zip(range(LOOKED_AT), entries, strict=False)]
        return [name for *_, name in sorted(found)], next(entries, None) is not None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _line(folder: Path, name: str) -> str:
    entry, plain = folder / name, files.plain_name(name)
    try:
        link = f" -> {files.plain_name(str(entry.readlink()))}" if entry.is_symlink() else ""
        mode, size = (found := entry.stat()).st_mode, found.st_size
    except OSError as error:
        return f"{plain}\t({'a link that leads nowhere' if entry.is_symlink() else error.strerror})"
    if stat.S_ISDIR(mode):
        return f"{plain}/{link}" + (f"\t({HEAVY[name]})" if name in HEAVY else "")
    if stat.S_ISREG(mode):
        return f"{plain}{link}\t{files.human_size(size)}"
    return f"{plain}{link}\t({next((text for test, text in files.SPECIAL if test(mode)), 'a special file')})"


def _bounded(lines: list[str], total: int, hidden: int, more: bool, limit: int) -> str:
    """The lines that fit, and what does not, in words. `more`: there are entries that were not looked at."""
    kept: list[str] = []
    size = 200  # room for the notes
    for line in lines:
        size += len(line) + 1
        if size > limit:
            break
        kept.append(line)
    left = total - len(kept)
    if not total:
        kept.append("[nothing but hidden entries]" if hidden else "[the folder is empty]")
    if left or more:
        kept.append(f"[{left}{' or more' if more else ''} further entries; find them with glob]")
    if hidden:
        kept.append(f"[{hidden} hidden {'entry' if hidden == 1 else 'entries'}; all=true lists them]")
    return "\n".join(kept)

"""Finding and running ripgrep for `glob` and `grep`: one call below one folder, ignore files respected, bytes out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from agentcli.protocol.errors import ToolError, UsageError
from agentcli.protocol.tools import ToolContext
from agentcli.safety.paths import FOLDS_CASE
from agentcli.system import processes
from agentcli.tools import files, globs

TIME_LIMIT_S = 30.0
OUTPUT_LIMIT = 16_000_000
"""Bytes of output looked at."""

COMMON = ("--no-config", "--no-require-git", "--no-messages", "--color=never", "--null")


class Found(Struct, frozen=True):
    """What ripgrep printed. `note` says, in words for the model, why that is not all; "" where it is."""

    output: bytes
    note: str = ""


async def search(ctx: ToolContext, folder: Path, words: Sequence[str], *, names: Sequence[str] = (), hidden: bool = False) -> Found:
    """Runs ripgrep in a folder; paths come out as `./…`. That nothing matches is no error. `names`: only files of these name patterns.

    They go as a file type: ripgrep's own `--glob` would bring ignored files back. A type brings hidden ones back: see `is_hidden`. What
    `ctx.denied` names stays out, whatever else is asked for: of ripgrep's globs the last one holds.

    Raises:
        ToolError: `no_ripgrep`; `bad_pattern`, with ripgrep's own words, where it refuses the pattern or the type.
    """
    argv = [binary(ctx.child_env.get("PATH", "")), *COMMON]
    for name in names:
        argv += ["--type-add", f"wanted:{name}"]
    argv += ["--type", "wanted"] if names else []
    argv += ["--hidden", "--glob", "!.git"] if hidden else []
    argv += [word for glob in globs.below(ctx.denied, folder, ctx.roots) for word in ("--iglob" if FOLDS_CASE else "--glob", f"!{glob}")]
    try:
        done = await processes.run([*argv, *words], cwd=folder, env=ctx.child_env, timeout_s=TIME_LIMIT_S, max_output=OUTPUT_LIMIT)
    except UsageError as error:
        raise ToolError(f"ripgrep cannot be run: {error.message}", code="no_ripgrep") from error
    complaint = done.stderr.decode("utf-8", "replace").strip()
    if done.exit_code not in (0, 1, None) and complaint:
        raise ToolError(complaint.removeprefix("rg: "), code="bad_pattern")
    if done.timed_out:
        return Found(done.stdout, f"stopped after {TIME_LIMIT_S:.0f} s, so this is not all: search a smaller folder")
    return Found(done.stdout, "too much to look at all of it: narrow the search" if done.truncated else "")


async def file_names(folder: Path, env: Mapping[str, str], *, timeout_s: float) -> tuple[str, ...]:
    """All files below a folder that no ignore file names, as relative paths, also hidden ones (but not `.git`); what it got where the time is over.

    Raises:
        ToolError: `no_ripgrep`. UsageError: no such folder.
    """
    argv = [binary(env.get("PATH", "")), *COMMON, "--hidden", "--glob", "!.git", "--files", "./"]
    done = await processes.run(argv, cwd=folder, env=env, timeout_s=timeout_s, max_output=OUTPUT_LIMIT)
    return tuple(relative(raw) for raw in done.stdout.split(b"\0")[:-1])


def binary(search_path: str) -> str:
    """The program of the `ripgrep` package, which lies beside this interpreter, else the one on the PATH. Raises ToolError `no_ripgrep`."""
    import sysconfig

    name = "rg.exe" if os.name == "nt" else "rg"
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        if os.access(candidate := Path(folder, name), os.X_OK):
            return str(candidate)
    import shutil

    if found := shutil.which("rg", path=search_path):
        return found
    raise ToolError("ripgrep (rg) was not found: install it, or 'pip install ripgrep==14.1.0'", code="no_ripgrep")


def is_hidden(path: str) -> bool:
    """Whether any part of a relative path starts with a dot."""
    return path.startswith(".") or "/." in path


def relative(raw: bytes) -> str:
    """A path as ripgrep prints it, without its `./`; bytes that are no UTF-8 survive as lone surrogates."""
    return os.fsdecode(raw.removeprefix(b"./"))


def shown(folder: str, path: str) -> str:
    """A found path as the model may name it again: below the folder as the model named that."""
    joined = os.path.normpath(os.path.join(folder, path)) if folder else path  # noqa: PTH118
    return files.plain_name(joined)

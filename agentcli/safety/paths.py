"""The boundary of a workspace by real path: what a path as written leads to, and whether that is inside. Reads the file system, changes nothing."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from agentcli.protocol.errors import ToolError

FOLDS_CASE = sys.platform in ("darwin", "win32")
"""Whether names that differ in case usually are one file here."""


def resolve(cwd: Path, text: str) -> Path:
    """Where `text` leads from `cwd`: `~` expanded, links followed; what does not exist goes by its nearest existing parent.

    Raises:
        ToolError: the text cannot be a path (it holds a NUL byte, say).
    """
    try:
        return Path(os.path.realpath(_joined(cwd, text)))
    except (ValueError, OSError) as error:
        raise ToolError(f"{text[:200]!r} cannot be a path: {error}", code="bad_path") from error


def written(cwd: Path, text: str) -> Path:
    """`text` as an absolute path without `.` and `..`, links not followed."""
    return Path(os.path.normpath(_joined(cwd, text)))


def inside(path: Path, roots: Iterable[Path]) -> bool:
    """Whether `path` is one of `roots` or below one. All are taken as they are: real paths, as `resolve` gives them."""
    parts = _parts(path)
    return any(parts[: len(top)] == top for top in map(_parts, roots))


def relative(path: Path, root: Path) -> str | None:
    """`path` from `root` with `/` between its parts ("" for the root itself); None where it is not inside."""
    if not inside(path, (root,)):
        return None
    return "/".join(path.parts[len(root.parts) :])


def fold(text: str) -> str:
    """A path's text for comparing: where the system folds case and accents' spelling, folded."""
    return unicodedata.normalize("NFC", text).casefold() if FOLDS_CASE else text


def _parts(path: Path) -> tuple[str, ...]:
    return Path(fold(os.fspath(path))).parts if FOLDS_CASE else path.parts


def _joined(cwd: Path, text: str) -> str:
    return os.path.join(cwd, os.path.expanduser(text) if text.startswith("~") else text)  # noqa: PTH111, PTH118

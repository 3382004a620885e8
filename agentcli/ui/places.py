"""Folders that the command line names, made real before anything is done with them."""

from __future__ import annotations

from pathlib import Path

from agentcli.protocol.errors import UsageError


def folder_of(path: Path | None, flag: str = "--cwd") -> Path:
    """The real path of a folder that `flag` names; of the working folder where it names none.

    Raises:
        UsageError: there is no such folder.
    """
    try:
        folder = (path or Path()).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        if path is None:
            raise UsageError("the working folder does not exist any more.", hint="Change to another one, or name it with -C.") from error
        raise UsageError(f"{flag}: there is no way to {path}: {getattr(error, 'strerror', None) or error}.") from error
    if not folder.is_dir():
        raise UsageError(f"{flag}: {'this is no folder' if folder.exists() else 'no such folder'}: {folder}.")
    return folder

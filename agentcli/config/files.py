"""Config files on disk: where they are looked for, how their bytes become text, and how a file of ours is replaced whole."""

from __future__ import annotations

import errno
import os
import stat
from hashlib import sha256
from itertools import count
from pathlib import Path

from msgspec import Struct

from agentcli.config.tree import Problem, place, shown
from agentcli.protocol.errors import StorageError
from agentcli.system import folders

PROJECT_FILES = (".agentcli/config.hcl", "agent.acl", "agent.hcl")
"""What is looked for in each folder, the last one the nearest."""
USER_FILE = "config.hcl"
LARGEST = 1_000_000
"""Bytes of a config file; one of a hundred models has 20,000."""
TEXT_NAME = "config text"
"""What messages call a config that was given as text."""

_BOM = "\ufeff"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


class ConfigText(Struct, frozen=True):
    """A config as it was read: `name` is its path (or `TEXT_NAME`), `base` the folder of its relative paths, `digest` of the text."""

    name: str
    base: str
    text: str
    digest: str


def project_files(cwd: Path) -> list[Path]:
    """The config files of a folder and of all above it, farthest first. Real paths; nothing is read yet."""
    real = real_path(cwd)
    found = [folder / name for folder in reversed((real, *real.parents)) for name in PROJECT_FILES]
    return [path for path in found if is_there(path)]


def real_path(path: Path) -> Path:
    """Absolute and without symlinks, as far as that goes: a loop, which `Path.resolve` raises for, stays as it is."""
    return Path(os.path.realpath(path))


def is_there(path: Path) -> bool:
    """Whether a path names something, also something that cannot be read. A folder that may not be entered hides what is in it."""
    try:
        path.stat()
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
    except ValueError:
        return False
    return True


def folder_of(file: Path) -> Path:
    """The folder that a project's config file speaks for."""
    return file.parent.parent if file.parent.name == ".agentcli" else file.parent


def given_text(text: str, cwd: Path) -> ConfigText | Problem:
    """A config given as text."""
    clean = text.removeprefix(_BOM)
    try:
        data = clean.encode()
    except UnicodeEncodeError as error:
        row, column = place(clean, error.start)
        return Problem("half a character stands here (a lone surrogate).", TEXT_NAME, row, column, "Decode the text as UTF-8.")
    return ConfigText(TEXT_NAME, str(cwd), clean, sha256(data).hexdigest())


def read_config(path: Path) -> ConfigText | Problem:
    """The text of a file, or why there is none."""
    name = str(path)
    try:
        data = _bytes(path)
    except (OSError, ValueError) as error:
        return Problem(f"{_reason(error)}.", name, hint=_advice(error))
    if data is None:
        return Problem(f"this is larger than {LARGEST:,} bytes.", name, hint="Is it the right file?")
    try:
        text = data.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        return _not_utf8(data, error.start, name)
    return ConfigText(name, str(path.parent), text, sha256(data).hexdigest())


def _bytes(path: Path) -> bytes | None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode) and path.name in ("agent.hcl", "agent.acl", USER_FILE):
        raise OSError(errno.EINVAL, "this is no regular file")  # a pipe there would block every start
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    return None if len(data) > LARGEST else data


def _reason(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "this is a directory, and a config file should be here"
        case PermissionError():
            return "this file may not be read"
        case OSError():
            return f"this file cannot be read ({(error.strerror or type(error).__name__).lower()})"
        case _:
            return "this is no path"


def _advice(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "Check the path (--config, AGENTCLI_CONFIG)."
        case IsADirectoryError():
            return "Name the file inside it, or move it away."
        case PermissionError():
            return "Give yourself read permission (chmod u+r)."
        case _:
            return "Name another file with --config."


def _not_utf8(data: bytes, start: int, name: str) -> Problem:
    if data.startswith(_WIDE_BOMS):
        return Problem("this file is UTF-16, not UTF-8.", name, 1, 1, "Save it as UTF-8.")
    before = data[:start].decode().removeprefix(_BOM)
    row, column = place(before, len(before))
    return Problem("this file is not UTF-8 from here on.", name, row, column, "Save it as UTF-8.")


def replace_file(path: Path, data: bytes) -> None:
    """Puts a whole new file in a path's place, readable for the person alone; a symlink there stays one. Never half a file.

    Raises:
        StorageError: it cannot be written.
    """
    real = real_path(path)
    folders.ensure(real.parent)
    temporary = None
    try:
        temporary, descriptor = _fresh(real)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(real)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise StorageError(f"{shown(str(path), 400)} cannot be written: {error.strerror or type(error).__name__}.") from error


def _fresh(path: Path) -> tuple[Path, int]:
    for number in count():
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{number}")
        try:
            return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
    raise AssertionError

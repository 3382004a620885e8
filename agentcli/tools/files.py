"""Files as the tools see them: finding one by the name a model gave, opening only regular ones, stamps that tell a change, and
saving so that the old file survives a failure. Errors of the system become `ToolError` here. No tool lives here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from agentcli.protocol.errors import ToolError
from agentcli.protocol.tools import FileStamp, ToolContext
from agentcli.tools.texts import SURROGATE

P = ParamSpec("P")
R = TypeVar("R")

WHOLE_LIMIT = 64 * 1024 * 1024
"""Bytes up to which a file is digested when read, and may be edited. Beyond it a change shows by time and size only."""

SMALL = 64 * 1024
"""Bytes up to which a file that is in memory is read where one stands: handing it to a thread takes longer (0.3 ms) than reading it."""
SMALL_FOLDER = 16 * 1024
"""Bytes of a folder itself, some hundred names, up to which it is looked through where one stands for names like a missing one."""

CODES = {
    errno.ENOENT: "no_file",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EFBIG: "disk_full",
    errno.EISDIR: "not_a_file",
    errno.ENOTDIR: "no_file",
    errno.ENAMETOOLONG: "bad_path",
    errno.ELOOP: "bad_path",
}
IN_PLACE = frozenset((errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EROFS, errno.ENOTSUP))
"""Failures of the temporary file's way (a folder that takes no new file, a mount point) after which the file itself may still be writable."""

SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)
SHOWN_BYTE = re.compile(r"\\x(0[1-9a-f]|1[0-9a-f]|7f|[89a-f][0-9a-f])")
"""A byte as `plain_name` writes it: never a separator, a dot or any other printable character, so no other path hides in one."""


# --- names ---


def plain_name(name: str) -> str:
    """A file name fit for a line of text: control characters and bytes that are no UTF-8 as `\\xe9`. `located` takes that back."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", text)


def located(ctx: ToolContext, path: str) -> Path:
    """The real path (links followed) of what a model named, relative to the agent's folder. It need not exist.

    Raises:
        ToolError: `bad_path`, for an empty path, one with a NUL or half a character, and one that starts with `~`.
    """
    if not path.strip() or "\0" in path or SURROGATE.search(path):
        raise ToolError("the path is empty, or holds a NUL or half a character; give the path of a file or folder", code="bad_path")
    joined = os.path.join(ctx.cwd, path)  # noqa: PTH118 (the system, not Path, knows what .. behind a link is)
    given = Path(os.path.realpath(joined))
    if path.split("/")[0] == "~" and not _exists(given):
        raise ToolError(f"{path}: ~ is not expanded here; give the absolute path", code="bad_path")
    if not SHOWN_BYTE.search(path) or _exists(given):
        return given
    decoded = Path(os.path.realpath(_with_bytes(joined)))
    # A link behind an escaped name would lead where the permission rules, which judge the name as given, did not look.
    return decoded if str(decoded) == _with_bytes(str(given)) else given


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _with_bytes(path: str) -> str:
    """A path with `\\xe9` and the like turned into the bytes they stand for."""
    encoded = path.encode("utf-8", "surrogateescape")
    raw = re.sub(SHOWN_BYTE.pattern.encode(), lambda match: bytes([int(match[1], 16)]), encoded)
    return os.fsdecode(raw)


def human_size(size: int) -> str:
    """`812 B`, `12.3 kB`, `4.1 MB`: powers of 1000."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


# --- failures ---


@contextlib.contextmanager
def refused(shown: str) -> Iterator[None]:
    """Turns a failure of the system into a `ToolError` that names the file."""
    try:
        yield
    except OSError as error:
        raise tool_error(error, shown) from error


def tool_error(error: OSError, shown: str) -> ToolError:
    code = CODES.get(error.errno or 0, "failed")
    return ToolError(f"{shown}: {error.strerror or error}", code=code)


def missing(path: Path, shown: str) -> ToolError:
    """The error for a path with nothing at it, with the nearest names in its folder."""
    folder = path.parent
    with refused(shown):
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
    name = path.relative_to(folder).parts[0] if path != folder else path.name
    near = _nearest(name, folder)
    hint = f" Near it: {', '.join(near)}" if near else " Use glob or ls to find it."
    if folder != path.parent:
        return ToolError(f"{shown} does not exist: there is no '{plain_name(name)}' in {plain_name(str(folder))}.{hint}", code="no_file")
    return ToolError(f"{shown} does not exist.{hint}", code="no_file")


def _nearest(name: str, folder: Path) -> list[str]:
    import difflib  # failures only

    try:
        with os.scandir(folder) as entries:
            names = [entry.name for _, entry in zip(range(5000), entries, strict=False)]
    except OSError:
        return []
    folded = {found.casefold(): found for found in sorted(names)}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    stem = name.casefold().partition(".")[0]
    same = [folded[key] for key in folded if stem and key.partition(".")[0] == stem and key not in close]
    return [plain_name(found) for found in ([folded[key] for key in close] + same)[:3]]


# --- opening ---


def status(path: Path, shown: str) -> os.stat_result | None:
    """What is at a path, links followed; None for nothing."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            return None
        raise tool_error(error, shown) from error


def refuse_irregular(mode: int, shown: str) -> None:
    """Raises `ToolError` (`not_a_file`) for a folder, a pipe, a device or a socket: opening one could wait for ever."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise ToolError(f"{shown} is a folder; list it with ls", code="not_a_file")
    kind = next((name for test, name in SPECIAL if test(mode)), "a special file")
    raise ToolError(f"{shown} is {kind}, not a regular file", code="not_a_file")


@contextlib.contextmanager
def opened(path: Path, shown: str) -> Iterator[int]:
    """A file descriptor for reading a regular file, closed at the end.

    Raises:
        ToolError: `no_file`, `not_a_file`, `denied` and the other codes of `CODES`.
    """
    found = status(path, shown)
    if found is None:
        raise missing(path, shown)
    refuse_irregular(found.st_mode, shown)
    with refused(shown):
        # Non-blocking: between the look and the opening a pipe may have taken the file's place.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            refuse_irregular(os.fstat(fd).st_mode, shown)
            yield fd
        finally:
            os.close(fd)


def contents(path: Path, shown: str) -> tuple[bytes, os.stat_result]:
    """A whole regular file and its state at that time.

    Raises:
        ToolError: as `opened`; `too_large` above `WHOLE_LIMIT`.
    """
    with opened(path, shown) as fd:
        found = os.fstat(fd)
        if found.st_size > WHOLE_LIMIT:
            raise ToolError(f"{shown} has {human_size(found.st_size)}, too large to edit here; use bash (sed, a script)", code="too_large")
        data = bytearray()
        while len(data) <= WHOLE_LIMIT and (part := os.read(fd, 1 << 20)):
            data += part
        return bytes(data), found


def at_hand(path: Path) -> bool:
    """Whether reading a file is done at once, waiting for no disk and no network: it is small and in memory, or it is missing. Never raises."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return _is_small_folder(path.parent)
    except OSError:
        return False
    # What /proc makes up has no size.
    return stat.S_ISREG(found.st_mode) and 0 < found.st_size <= SMALL and _in_memory(path, found.st_size)


def _is_small_folder(path: Path) -> bool:
    try:
        return path.stat().st_size <= SMALL_FOLDER
    except OSError:
        return False


def _in_memory(path: Path, size: int) -> bool:
    no_wait = getattr(os, "RWF_NOWAIT", None)
    if no_wait is None:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            return os.preadv(fd, [bytearray(size)], 0, no_wait) == size
        finally:
            os.close(fd)
    except OSError:
        return False


# --- stamps ---


def stamp(found: os.stat_result, digest: str) -> FileStamp:
    return FileStamp(found.st_mtime_ns, found.st_size, digest)


def digest_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def require_seen(ctx: ToolContext, path: Path, shown: str, found: os.stat_result, digest: str) -> None:
    """Raises `ToolError`: `unread` where the agent never read the file, `changed_on_disk` where it changed since."""
    seen = ctx.memory.seen.get(path)
    if seen is None:
        raise ToolError(f"{shown} has not been read in this session; read it first, then change it", code="unread")
    now = stamp(found, digest)
    same = seen.digest == now.digest if seen.digest and digest else (seen.mtime_ns, seen.size) == (now.mtime_ns, now.size)
    if not same:
        raise ToolError(f"{shown} changed on disk since it was read; read it again before changing it", code="changed_on_disk")


# --- saving ---


def refuse_read_only(path: Path, shown: str, found: os.stat_result) -> None:
    """Raises `ToolError` (`denied`) for a file that may not be written: renaming over it would work, and would break a promise."""
    if found.st_mode & 0o222 == 0 or not os.access(path, os.W_OK):
        raise ToolError(f"{shown} is read-only (mode {stat.S_IMODE(found.st_mode):04o}); nothing was written", code="denied")


def create(path: Path, data: bytes, shown: str) -> FileStamp:
    """Writes a new file, with the folders above it. A failure leaves no half file.

    Raises:
        ToolError: `exists` where a file appeared meanwhile, and the codes of `CODES`.
    """
    with refused(shown):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except (FileExistsError, NotADirectoryError) as error:
            raise ToolError(f"{shown}: {plain_name(str(error.filename))} is in the way", code="exists") from error
        with contextlib.ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            _written(fd, data)
            undo.pop_all()
        return stamp(path.stat(), digest_of(data))


def replace(path: Path, data: bytes, shown: str, old: os.stat_result) -> FileStamp:
    """Writes over an existing regular file (`path` is real, `old` its state when it was looked at), keeping mode, owner and attributes.

    A temporary file beside it takes its place at once; where that cannot be (several hard links, a folder that takes no new file, an
    owner or attribute that would be lost) it is written in place, growing first, so that a full disk leaves the old bytes.

    Raises:
        ToolError: `changed_on_disk` where it changed since `old`, `denied`, `disk_full` and the other codes of `CODES`.
    """
    refuse_read_only(path, shown, old)
    with refused(shown):
        now = path.stat()
        if (now.st_mtime_ns, now.st_size, now.st_ino) != (old.st_mtime_ns, old.st_size, old.st_ino):
            raise ToolError(f"{shown} is being changed by another program; read it again", code="changed_on_disk")
        if now.st_nlink > 1 or not _swapped(path, data, now):
            _overwritten(path, data)
        return stamp(path.stat(), digest_of(data))


def _swapped(path: Path, data: bytes, old: os.stat_result) -> bool:
    """Whether a temporary file took the old one's place; False where it cannot, with nothing changed."""
    temporary = path.with_name(f".agentcli-{secrets.token_hex(6)}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in IN_PLACE:
            return False
        raise
    try:
        if not _attributes_kept(path, fd, old):
            os.close(fd)
            return False
        _written(fd, data)
        temporary.replace(path)
        return True
    except OSError as error:
        if error.errno in IN_PLACE:
            return False
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _attributes_kept(path: Path, fd: int, old: os.stat_result) -> bool:
    """Whether the new file could be given the old one's owner, mode and extended attributes (access lists are among them)."""
    new = os.fstat(fd)
    try:
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
            os.fchown(fd, old.st_uid, old.st_gid)
        os.fchmod(fd, stat.S_IMODE(old.st_mode))
        return not hasattr(os, "listxattr") or _extended_kept(path, fd)
    except OSError:
        return False


def _extended_kept(path: Path, fd: int) -> bool:
    """Sets only what differs: a label that the new file already has may not be set by everyone."""
    try:
        names, has = os.listxattr(path), os.listxattr(fd)
    except OSError as error:
        return error.errno == errno.ENOTSUP
    for name in names:
        value = os.getxattr(path, name)
        if name not in has or os.getxattr(fd, name) != value:
            os.setxattr(fd, name, value)
    return True


def _written(fd: int, data: bytes) -> None:
    """Writes all and closes; a disk may report that it is full only then."""
    try:
        _put(fd, data, 0)
    finally:
        os.close(fd)


def _put(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count


def _overwritten(path: Path, data: bytes) -> None:
    """Writes over a file in place: what makes it longer first, for there a full disk shows while the old bytes are still whole."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        size = os.fstat(fd).st_size
        old = os.pread(fd, min(size, len(data)), 0)
        try:
            _put(fd, data[size:], size)
            _put(fd, data[:size], 0)
        except OSError:
            with contextlib.suppress(OSError):
                _put(fd, old, 0)
                os.ftruncate(fd, size)
            raise
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)


# --- threads ---


async def finished(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs blocking work in a thread and waits for its end also when cancelled, so that no file changes after its call is over."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise

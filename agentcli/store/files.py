"""One session's file while it is written: append-only lines, a lock against a second writer, and the repair of a torn last line.

Durable events only; nothing is ever rewritten but a line that a crash left half written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agentcli.protocol.errors import SessionError, SessionNotFound, StorageError
from agentcli.protocol.events import Envelope, decode
from agentcli.protocol.jsonline import json_line

SUFFIX = ".jsonl"
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
NO_LOCKS_HERE = {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
"""What `flock` says on a file system without locks; such a session is written unguarded."""


class SessionFile:
    """A session open for appending. One process at a time; the lock goes with `close()` or with the process.

    Each `append` is one write of one whole line, so that a crash loses at most the event it interrupted. After the first failed write
    the file takes no more events: a session with a hole would be worse than one that ends early.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.session_id = path.name.removesuffix(SUFFIX)
        self._descriptor = descriptor
        self._closed = False
        self._failed = False

    @classmethod
    def create(cls, folder: Path, session_id: str) -> SessionFile:
        """Starts a session's file in a project's folder, made where it is missing. An empty one is removed again at `close()`.

        Raises:
            SessionError: the id is no plain name, or such a session exists.
            StorageError: the file cannot be made.
        """
        path = folder / f"{checked_id(session_id)}{SUFFIX}"
        with storage_errors(path):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                hint = f"Go on with it by --resume {session_id}, or choose another --session-id."
                raise SessionError(f"a session '{session_id}' exists already: {path}.", hint=hint) from None
        return cls._locked(path, descriptor)

    @classmethod
    def open(cls, path: Path) -> SessionFile:
        """Opens a session's file to go on with it; a torn last line is cut away first.

        Raises:
            SessionNotFound: no such file.
            SessionError: another process has it open.
            StorageError: the file cannot be opened for writing.
        """
        with storage_errors(path):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                raise SessionNotFound(f"no session file {path}.", hint="List them with: agentcli sessions") from None
        file = cls._locked(path, descriptor)
        try:
            file._repair()
        except BaseException:
            file.close()
            raise
        return file

    @classmethod
    def _locked(cls, path: Path, descriptor: int) -> SessionFile:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            name = path.name.removesuffix(SUFFIX)
            hint = f"Close it there first, or go on in a copy: --resume {name} --fork-session (a program: fork=True)"
            raise SessionError(f"session '{name}' is open already, here or in another process.", hint=hint) from None
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                os.close(descriptor)
                raise storage_error(path, error) from error
        return cls(path, descriptor)

    def append(self, envelope: Envelope) -> None:
        """Writes a durable event as one line; a delta is passed over, and so is everything after a failed write.

        Raises:
            StorageError: the line could not be written; raised once.
        """
        if self._closed or self._failed or not envelope.event.durable:
            return
        self._write(json_line(envelope) + b"\n")

    def sync(self) -> None:
        """Makes what was written survive a power cut; takes milliseconds, meant for the end of a turn.

        Raises:
            StorageError: raised once.
        """
        if self._closed or self._failed:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._failed = True
            raise storage_error(self.path, error) from error

    def close(self) -> None:
        """Lets the lock go. A session that never got an event leaves no file."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            if os.fstat(self._descriptor).st_size == 0:
                self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def __enter__(self) -> SessionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError as error:
            self._failed = True
            self._take_back(done)
            raise storage_error(self.path, error) from error

    def _take_back(self, count: int) -> None:
        """Cuts off the half line that a full disk left, so that the file stays readable as it is."""
        if count:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - count)

    def _repair(self) -> None:
        with storage_errors(self.path):
            data = self.path.read_bytes()
            start = data.rfind(b"\n") + 1
            if start == len(data):
                return
            if is_envelope(data[start:]):
                self._write(b"\n")
            else:
                os.ftruncate(self._descriptor, start)


def new_session_id() -> str:
    return str(uuid.uuid4())


def checked_id(session_id: str) -> str:
    """The id, if it is fit for a file's name.

    Raises:
        SessionError: it is not.
    """
    if SAFE_ID.fullmatch(session_id):
        return session_id
    shown = session_id if len(session_id) <= 40 else f"{session_id[:40]}…"
    raise SessionError(f"'{shown}' is no session id.", hint="Use letters, digits, dots, dashes and underscores, at most 128.")


def is_envelope(line: bytes) -> bool:
    try:
        decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


@contextlib.contextmanager
def storage_errors(path: Path, doing: str = "write") -> Iterator[None]:
    """Turns what the system says about a file into a StorageError; errors of ours pass."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error, doing) from error


def storage_error(path: Path, error: OSError, doing: str = "write") -> StorageError:
    why = error.strerror or str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            hint = "Free some space, or run without a session file: --no-session"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            hint = "Check who owns it and its mode, or run without a session file: --no-session"
        case _:
            hint = "Run without a session file: --no-session"
    return StorageError(f"cannot {doing} the session file {path}: {why}.", hint=hint)

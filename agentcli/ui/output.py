"""Where print mode's bytes go: standard output or error, as UTF-8 whatever the locale, and quiet about a reader that went away."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path
from typing import TextIO

from agentcli.protocol.errors import StorageError, UsageError
from agentcli.protocol.text import utf8


class Output:
    """One stream; None, a closed one, takes everything and keeps nothing. Writing never raises: `gone` says that the reader went away,
    `fault` why else nothing arrives.

    Bytes go straight to the descriptor where there is one, so that nothing is left in a buffer to fail at exit.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor = descriptor_of(stream)
        self.terminal = is_terminal(stream)
        self.gone = False
        self.fault: OSError | None = None

    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal below the stream; 80 and 24 where there is none to ask."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                columns, lines = os.get_terminal_size(self._descriptor)
                return columns or 80, lines or 24
        return 80, 24

    def text(self, text: str) -> None:
        self.write(utf8(text).encode())

    def write(self, data: bytes) -> None:
        if self._stream is None or self.gone or self.fault is not None:
            return
        try:
            if self._descriptor is None:
                self._buffered(data)
            else:
                write_all(self._descriptor, data)
        except (BrokenPipeError, ConnectionResetError, ValueError):
            self.gone = True
        except OSError as error:
            self.fault = error

    def _buffered(self, data: bytes) -> None:
        stream = self._stream
        assert stream is not None
        binary = getattr(stream, "buffer", None)
        if binary is None:
            stream.write(data.decode())
        else:
            stream.flush()
            binary.write(data)
        stream.flush()


class LastMessage:
    """The file of `--output-last-message`. Looked at before the run, for after it is a bad time to learn of a wrong name."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where no such file can be."""
        if path.is_dir():
            raise UsageError(f"--output-last-message: {path} is a folder.", hint="Name a file.")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"--output-last-message: there is no folder {path.absolute().parent}.", hint="Make it first.")
        self.path = path

    def write(self, text: str) -> None:
        """The answer as it is, as UTF-8; "" where there is none, so that no older answer stays.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            self.path.write_bytes(utf8(text).encode())
        except OSError as error:
            raise StorageError(f"cannot write the last message to {self.path}: {error.strerror or error}.") from error


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def descriptor_of(stream: TextIO | None) -> int | None:
    """The descriptor below a stream, None where there is none (a test's own). What the stream holds back is written first."""
    if stream is None:
        return None
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """Writes everything, also where another process made the descriptor non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])

"""What a session writes of itself as it happens: each envelope is a line of its file. A file that fails once is not written to again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentcli.protocol.errors import AgentError, StorageError, UsageError
from agentcli.protocol.events import Envelope, Notice
from agentcli.sdk.bus import Bus
from agentcli.sdk.parts import MAIN
from agentcli.store.files import SessionFile


class Record:
    """`file` None: nothing is kept. `stop` ends what runs: a conversation that cannot be kept is not silently gone on with."""

    def __init__(self, file: SessionFile | None, bus: Bus, stop: Callable[[AgentError], None]) -> None:
        self._file = file
        self._bus = bus
        self._stop = stop
        self._broken: StorageError | None = None
        if file is not None:
            bus.listen(self._write)

    def check(self) -> None:
        """Raises StorageError where an earlier line could not be written."""
        if self._broken is not None:
            raise self._broken

    def save(self) -> Path:
        """Makes sure that all so far survives a power cut; gives the file. Raises UsageError: there is none. StorageError: it cannot be written."""
        if self._file is None:
            raise UsageError("the session was opened with save=False; nothing of it is kept.", hint="Open one with save=True.")
        self.check()
        self._file.sync()
        return self._file.path

    def sync(self) -> None:
        """The same after a run, where a failure is told and not raised."""
        if self._file is not None and self._broken is None:
            try:
                self._file.sync()
            except StorageError as error:
                self._broken = error
                self._bus.publish(MAIN, Notice(level="error", text=error.line()))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, envelope: Envelope) -> None:
        assert self._file is not None
        try:
            self._file.append(envelope)
        except StorageError as error:
            self._broken = error
            self._stop(error)

"""The session as plain lines: for a screen reader (`--plain`), a terminal that cannot move its cursor (TERM=dumb), a line printer. No escape codes.

The terminal edits the line; what is finished is printed as it comes; a question is answered by the next line.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
from typing import TYPE_CHECKING, Any

from agentcli.protocol.text import clean, one_line
from agentcli.ui.drawing import Drawing
from agentcli.ui.lines import plain
from agentcli.ui.output import Output
from agentcli.ui.stdin import descriptor_of

if TYPE_CHECKING:
    from agentcli.ui.face import Overlay
    from agentcli.ui.repl import Repl

WIDTH = 80
"""Where the terminal does not tell."""
PIECE = 65_536
PROMPT_S = 0.1
"""The prompt waits this long, so that an answer that comes at once stands above it."""
LONG_S = 1.5
"""What runs longer than this is told of; the rest is told when it has ended."""


class PlainFace:
    """The face of a `Repl` that only writes lines and reads lines."""

    echoes = True

    def __init__(self, repl: Repl) -> None:
        self.repl = repl
        self._drawing = Drawing("plain")
        self._out = Output(sys.stdout)
        self._over = asyncio.Event()
        self.shown = asyncio.Event()
        self._failed: BaseException | None = None
        self._asked: Overlay | None = None
        self._warned = False
        self._prompted = False
        self._due: asyncio.TimerHandle | None = None
        self._known: set[str] = set()
        self._typed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    async def run(self) -> None:
        loop, descriptor = asyncio.get_running_loop(), descriptor_of(sys.stdin)
        if descriptor is not None:
            loop.add_reader(descriptor, self._read, descriptor)
        self.shown.set()
        try:
            self.changed()
            await self._over.wait()
        finally:
            if descriptor is not None:
                loop.remove_reader(descriptor)
            if self._due is not None:
                self._due.cancel()
        self._print()
        self._out.text("\n" if self._prompted else "")
        if self._failed is not None:
            raise self._failed

    def changed(self) -> None:
        self._print()
        # Not at once: one word may answer several questions, of which the others are then never read out.
        asyncio.get_running_loop().call_soon(self._ask)
        self._warn()
        self._watch()

    def _ask(self) -> None:
        overlay = self.repl.overlay
        if overlay is not None and overlay is not self._asked:
            self._line(*_spoken(overlay))
        self._asked = overlay
        if self._due is None and not self._prompted:
            self._due = asyncio.get_running_loop().call_later(PROMPT_S, self._prompt)

    def _warn(self) -> None:
        """What one more Ctrl+C does, once."""
        armed = self.repl.quit_armed and not self.repl.busy
        if armed and not self._warned:
            self._line("Ctrl+C again quits.")
        self._warned = armed

    def _prompt(self) -> None:
        self._due = None
        if not self._prompted and (self.repl.overlay is not None or not self.repl.busy) and not self.repl.opening:
            self._out.text("> ")
            self._prompted = True

    def _watch(self) -> None:
        """Somebody who hears lines only must not wonder whether anything goes on."""
        for name in self._running().keys() - self._known:
            self._known.add(name)
            asyncio.get_running_loop().call_later(LONG_S, self._tell_running, name)

    def _tell_running(self, name: str) -> None:
        what = self._running().get(name)
        if what is not None and not self._over.is_set():
            self._line(one_line(f"Running: {what}", self._width()))

    def _running(self) -> dict[str, str]:
        """Calls and workers under way, by their ids; those that wait for an answer are told by their question."""
        state = self.repl.state
        asked = {one.call_id for one in state.approvals}
        calls = {f"{call.call_id} {call.since}": f"{call.name} {call.title}" for call in state.running.values() if call.call_id not in asked}
        facts = [worker.facts() for worker in state.crew.current if not worker.over]
        return calls | {one.id: f"{one.name} on {one.model.resolved} ({one.model.source})" for one in facts if one.state == "running"}

    def leave(self, error: BaseException | None = None) -> None:
        self._failed = self._failed or error
        self._over.set()

    def give_back(self, text: str) -> None:
        self._line("Not sent:", *clean(text).split("\n"))
        self.changed()

    def copy(self, text: str) -> bool:
        return False

    def ring(self, text: str) -> None:
        from agentcli.ui.notify import signal_for

        self._out.text(signal_for(self.repl.agent.config.ui.notifications, text).rpartition("\\")[2])

    def _print(self) -> None:
        printed = self.repl.take_out()
        if printed:
            self._line(*self._drawing.printed(printed, self._width()))

    def _line(self, *lines: str) -> None:
        lead = "\n" if self._prompted else ""
        self._prompted = False
        self._out.text(lead + "".join(f"{line}\n" for line in lines))

    def _width(self) -> int:
        try:
            return os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH
        except (OSError, ValueError):
            return WIDTH

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, PIECE)
        except OSError:
            data = b""
        if not data:
            return self.leave()
        self._typed += self._decoder.decode(data)
        *lines, self._typed = self._typed.split("\n")
        for line in lines:
            self._take(line)
        return None

    def _take(self, line: str) -> None:
        self._ask()
        self._prompted = False
        overlay: Any = self.repl.overlay
        if overlay is None:
            self.repl.enter(line)
        elif not overlay.answered_by(line.strip()):
            self._line(*_spoken(overlay))
        self.changed()


def _spoken(overlay: Any) -> list[str]:
    """A question in words."""
    return [plain(line).rstrip() for line in overlay.spoken()]

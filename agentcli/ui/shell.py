"""`!cmd`: a command of the person's own in their shell. Its output is shown, and goes to the model with the next message."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from agentcli.protocol.text import Cleaner
from agentcli.protocol.tools import CommandDisplay
from agentcli.ui.folding import folds
from agentcli.ui.items import ToolRun

if TYPE_CHECKING:
    from agentcli.sdk.programs import ShellEnd
    from agentcli.ui.repl import Repl

TAIL = 4_000
"""Characters of running output that are kept for the screen."""
TOLD = 8_000
"""Characters of the output that the model is told, head and tail."""


class ShellRun:
    """One command while it runs. `output` is the clean tail of what it said so far."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.output = ""
        self.since = time.time()
        self._cleaner = Cleaner()
        self._task: asyncio.Task[ShellEnd] | None = None

    async def run(self, repl: Repl) -> None:
        """Runs it and prints how it ended. Raises UsageError where the shell cannot be started."""
        from agentcli.sdk.programs import run_shell

        began = time.monotonic()

        def heard(text: str) -> None:
            self.output = (self.output + self._cleaner.feed(text))[-TAIL:]
            repl.face.changed()

        repl.face.changed()
        task = self._task = asyncio.create_task(run_shell(self.line, repl.cwd, heard, repl.agent.config.key_variables))
        try:
            await asyncio.wait((task,))
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled():
            return self._print(repl, self.output, None, began)
        end = task.result()
        return self._print(repl, end.output, end.exit_code, began)

    def stop(self) -> None:
        """Ends it and all that it started."""
        if self._task is not None:
            self._task.cancel()

    def _print(self, repl: Repl, output: str, code: int | None, began: float) -> None:
        text = output.rstrip("\n")
        took = round((time.monotonic() - began) * 1000)
        run = ToolRun("!", self.line, text, CommandDisplay(self.line, text, code), is_error=code != 0, duration_ms=took)
        repl.out.append(run)
        repl.tell_quietly(_told(self.line, text, code))
        if folds(run):
            repl.state.folded = run


def _told(line: str, output: str, code: int | None) -> str:
    how = "was interrupted" if code is None else f"exit code {code}"
    shown = output if len(output) <= TOLD else f"{output[: TOLD // 2]}\n[… {len(output) - TOLD} characters left out …]\n{output[-TOLD // 2 :]}"
    return f"The person ran this in their shell ({how}):\n$ {line}\n{shown}"

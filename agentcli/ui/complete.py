"""Completion in the prompt: slash commands and their words, files after @. What fits is decided here, how it looks is prompt_toolkit's."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from agentcli.protocol.text import clean, one_line
from agentcli.ui.fuzzy import ranked, with_folders

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

FRESH_S = 5.0
"""How long a list of the project's files is good for."""
HELP_WIDTH = 70
_FILE = re.compile(r"(?:^|(?<=[\s(\[{,;:'\"`]))@([^\s'\"`]*)$")


class PromptCompleter(Completer):
    """Asks the session for what there is: models and workers may change while it runs."""

    def __init__(self, repl: Repl) -> None:
        self._repl = repl
        self._names: list[str] = []
        self._read_at = -FRESH_S

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Everything that needs no waiting."""
        text = document.text_before_cursor
        if text.startswith("/") and "\n" not in text:
            yield from self._command(text)

    async def get_completions_async(self, document: Document, complete_event: CompleteEvent) -> AsyncGenerator[Completion, None]:
        for completion in self.get_completions(document, complete_event):
            yield completion
        found = _FILE.search(document.text_before_cursor)
        if found is None:
            return
        for name in ranked(found[1], await self._files()):
            text = f'@"{name}"' if " " in name else f"@{name}"
            yield Completion(text, start_position=-len(found[0]), display=one_line(name, 100))

    async def _files(self) -> list[str]:
        now = time.monotonic()
        if now - self._read_at >= FRESH_S:
            from agentcli.sdk.files import project_files

            self._read_at = now
            files = await project_files(self._repl.cwd)
            # A name that cannot be shown as it is must not get into the prompt.
            self._names = with_folders([name for name in files if clean(name, keep_newlines=False) == name])
        return self._names

    def _command(self, text: str) -> Iterable[Completion]:
        name, space, rest = text[1:].partition(" ")
        if not space:
            yield from self._names_of_commands(name)
            return
        command = self._repl.commands.find(self._repl, name)
        if command is None or command.complete is None or not self._repl.opened.is_set():
            return
        *before, word = rest.split(" ")
        options = dict(command.complete(self._repl, [part for part in before if part]))
        for option in ranked(word, list(options)) if word else options:
            yield Completion(option, start_position=-len(word), display=one_line(option, 60), display_meta=one_line(options[option], HELP_WIDTH))

    def _names_of_commands(self, typed: str) -> Iterable[Completion]:
        helps = {one.name: one.summary for one in self._repl.commands.listed(self._repl)}
        begin = [name for name in helps if name.startswith(typed.casefold())]
        for name in begin or ranked(typed, list(helps)):
            yield Completion(f"/{name}", start_position=-len(typed) - 1, display=f"/{name}", display_meta=one_line(helps[name], HELP_WIDTH))

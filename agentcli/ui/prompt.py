"""The prompt: a buffer of several lines with history and completion, and the window that shows it. Keys are in `keys`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.layout.containers import ConditionalContainer, Window
from prompt_toolkit.layout.controls import BufferControl
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import (
    HighlightIncrementalSearchProcessor,
    HighlightSelectionProcessor,
    Processor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.widgets import SearchToolbar

from agentcli.protocol.errors import AgentError
from agentcli.sdk.saved import history_file
from agentcli.ui.complete import PromptCompleter

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

MOST_LINES = 10
"""Rows of the prompt before it scrolls."""
MARGIN = 2
"""Cells before the text of each of its rows."""
MENU_ROWS = 8
IDLE = ("/ commands · @ files · ! shell", "/ for commands")
BUSY = ("Enter steers · Alt+Enter queues · Esc interrupts", "Enter steers · Esc interrupts", "Esc interrupts")
"""What an empty prompt says, shorter where the terminal is narrower."""
QUEUED = ("Enter steers · Alt+Enter queues · Esc takes the queued text back", "Enter steers · Esc takes it back", "Esc takes it back")
"""While something waits for delivery."""
ASKED = ("Type to steer · Alt+Enter queues · Ctrl+C interrupts", "Type to steer · Ctrl+C interrupts", "Ctrl+C interrupts")
"""While a question of the agent is open, which has Esc for itself."""
SHELL = ("Esc ends the command · type on for the agent", "Esc ends the command")
"""While a command of the person's own runs."""
RUNNING = f"{BUSY[0]} · Ctrl+B background"
"""While a command or a worker runs."""


class Hint(Processor):
    """Words in an empty prompt."""

    def __init__(self, texts: Callable[[], Sequence[str]]) -> None:
        self._texts = texts

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        if transformation_input.document.text or transformation_input.lineno:
            return Transformation(transformation_input.fragments)
        room = transformation_input.width - 4
        return Transformation([("class:dim", next((text for text in self._texts() if len(text) <= room), ""))])


class Prompt:
    """The buffer, and the parts of the layout that belong to it."""

    def __init__(self, repl: Repl, visible: Condition, marker: Callable[[], StyleAndTextTuples]) -> None:
        self._repl = repl
        self.buffer = Buffer(
            completer=PromptCompleter(repl),
            complete_while_typing=True,
            history=_history(),
            multiline=True,
            name="prompt",
        )
        self.search = SearchToolbar(ignore_case=True, backward_search_prompt="history: ", forward_search_prompt="history: ")
        self.control = BufferControl(
            self.buffer,
            input_processors=[Hint(self._hint), HighlightIncrementalSearchProcessor(), HighlightSelectionProcessor()],
            search_buffer_control=self.search.control,
            preview_search=True,
        )
        self.window = Window(
            self.control,
            height=Dimension(min=1, max=MOST_LINES),
            dont_extend_height=True,
            wrap_lines=True,
            get_line_prefix=lambda line, wrap: marker() if not line and not wrap else [("", " " * MARGIN)],
        )
        self.container = ConditionalContainer(self.window, visible)
        self.menu = ConditionalContainer(CompletionsMenu(max_height=MENU_ROWS, scroll_offset=1), visible & has_completions)

    def _hint(self) -> Sequence[str]:
        if not self._repl.busy:
            return IDLE if self._repl.shell is None else SHELL
        if self._repl.overlay is not None:
            return ASKED
        if self._repl.state.queued:
            return QUEUED
        return (RUNNING, *BUSY) if self._repl.can_let_go else BUSY

    @property
    def text(self) -> str:
        return self.buffer.text

    def set(self, text: str) -> None:
        self.buffer.document = Document(text, len(text))

    def give_back(self, text: str) -> None:
        """Puts text before what stands there."""
        self.set(f"{text}\n{self.text}" if self.text and text else text or self.text)

    def take(self) -> str:
        """The text, which leaves the prompt and enters the history as it will be sent."""
        text = self.text
        full = self._repl.pastes.expand(text).strip()
        if full and self.buffer.history.get_strings()[-1:] != [full]:
            self.buffer.history.append_string(full)
        self.buffer.reset()
        return text

    def insert_paste(self, data: str) -> str:
        """Puts pasted text in; gives why it does not, or what should be known, "" else."""
        from agentcli.ui import paste

        reason = paste.refusal(data)
        if reason:
            return reason
        text = paste.normal(data)
        if not paste.is_picture_path(text):
            self.buffer.insert_text(self._repl.pastes.fold(text))
            return ""
        mark, why_not = _picture(self._repl, text)
        self.buffer.insert_text(mark or text)
        return why_not


def _picture(repl: Repl, dropped: str) -> tuple[str, str]:
    """The mark of a picture whose path was pasted, or "" and why it is not sent."""
    from agentcli.sdk.pictures import dropped_path, read_picture

    if not repl.opened.is_set():
        return "", "The session is not open yet."
    spec = repl.session.tree.main.model.active.spec
    if not spec.image_input:
        return "", f"{spec.provider}/{spec.id} takes no pictures; /model lists others."
    try:
        return repl.pastes.show(read_picture(dropped_path(dropped, repl.cwd))), ""
    except AgentError as error:
        return "", error.line()


def _history() -> History:
    path = history_file()
    return FileHistory(str(path)) if path is not None else InMemoryHistory()

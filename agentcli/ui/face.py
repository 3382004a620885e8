"""What the interactive session needs of whoever shows it: the screen of prompt_toolkit, or plain lines. No terminal is known here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from agentcli.ui.items import Item
from agentcli.ui.lines import Line

if TYPE_CHECKING:
    from agentcli.ui.render import Painter


class Start(Struct, frozen=True):
    """What the command line asks of an interactive session. `options` are those of a session; `prompt` is its first message."""

    prompt: str = ""
    cwd: Path = field(default_factory=Path.cwd)
    config: Path | None = None
    bare: bool = False
    trust: bool = False
    plain: bool = False
    color: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)


class PlainWanted(Exception):
    """The config asks for plain lines (`ui { plain = true }`), which is known only once it is read."""


class Told(Struct, frozen=True):
    """Lines that agentcli itself says: the answer of a slash command, say."""

    lines: tuple[Line, ...]
    close: bool = False
    """Whether they belong to what stands above, without an empty line between."""


class Drawn(Struct, frozen=True):
    """Something that is drawn by its own function when the width is known: given the painter and the cells there are."""

    draw: Callable[[Painter, int], list[str]]


class Whole(Struct, frozen=True):
    """The last folded result, to be printed whole."""

    item: Item


Printed = Item | Told | Drawn | Whole


class Overlay(Protocol):
    """Something that takes the keys for a while: a list to pick from, a question."""

    blocks_prompt: bool
    """Whether the prompt is hidden meanwhile."""

    @property
    def answered(self) -> bool:
        """It has its answer, and takes no more keys, also while nobody has acted on that yet."""

    def reads(self, letter: str) -> bool:
        """Whether a letter means something to it; others go to the prompt, where that is shown."""

    def takes(self, key: str) -> bool:
        """Whether a key that is no letter, or a pasted text (`text`), means something to it; others go to the prompt too."""

    def hasty(self, letter: str) -> bool:
        """Whether a letter does what cannot be taken back, and so is taken only where no other follows at once: it may begin a sentence."""

    def press(self, key: str, text: str = "") -> None: ...

    def lines(self, width: int, height: int, *, has_keys: bool = True) -> list[Line]:
        """At most `height` lines of at most `width` cells. `has_keys`: whether a key would reach it now; keys are not named before."""

    def spoken(self) -> list[Line]:
        """The same in words, for a face of plain lines."""

    def answered_by(self, line: str) -> bool:
        """Takes a typed line there; False where it did not do."""


class Face(Protocol):
    """Shows a `Repl` and brings it what the person types."""

    echoes: bool
    """Whether what is typed stays to be seen, so that it need not be printed."""
    shown: asyncio.Event
    """Set when the prompt is there: what takes long begins after that."""

    async def run(self) -> None:
        """Until `leave`. Modes of the terminal are as before when it returns or raises."""

    def changed(self) -> None:
        """Something is to be shown: finished items, or the state of what goes on."""

    def leave(self, error: BaseException | None = None) -> None:
        """Ends `run`, which raises the error if there is one. What is finished is printed before."""

    def give_back(self, text: str) -> None:
        """Puts text into the prompt, before what stands there."""

    def copy(self, text: str) -> bool:
        """Asks the terminal to put text into the clipboard; False where it has no way to."""

    def ring(self, text: str) -> None:
        """Calls the person: a bell, or a notification with the text, as configured."""

"""Keys while a question is open: which of them answer it, and which begin a sentence of somebody who has something else to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentcli.ui.floor import Floor
from agentcli.ui.paste import normal

if TYPE_CHECKING:
    from agentcli.ui.face import Overlay
    from agentcli.ui.repl import Repl

HELD_S = 0.25
"""A letter that answers a question for good waits this long: where another follows, somebody is writing a sentence."""


class Answering:
    """Takes each key that goes to a question or list. `insert` puts text into the prompt, `answered` shows what an answer changed."""

    def __init__(self, repl: Repl, floor: Floor, insert: Callable[[str], None], answered: Callable[[], None]) -> None:
        self._repl = repl
        self._floor = floor
        self._insert = insert
        self._answered = answered
        self._held: tuple[Overlay, str, asyncio.TimerHandle] | None = None

    def press(self, key: str, text: str) -> None:
        """One key: its name, and its text where it has one."""
        overlay = self._repl.overlay
        if overlay is None or not self._floor.has_keys(overlay):
            return
        if key == "c-o":
            self._repl.unfold()
        elif overlay.blocks_prompt:
            self._answer(overlay, key, text)
        elif key == "c-c":
            self._repl.interrupt()
        elif key == "s-tab":
            self._repl.next_mode()
        else:
            self._beside_prompt(overlay, key, text)

    def _beside_prompt(self, overlay: Overlay, key: str, text: str) -> None:
        """A letter that says nothing to the question, or that another follows at once, is written into the prompt."""
        held = self._let_go(overlay)
        if key == "enter" and held:
            self._answer(overlay, "text", held)
        elif key != "text":
            self._answer(overlay, key, text)
        elif held or not overlay.reads(text):
            self._insert(held + normal(text))
        elif overlay.hasty(text):
            self._held = (overlay, text, asyncio.get_running_loop().call_later(HELD_S, self._answer_held))
        else:
            self._answer(overlay, key, text)

    def _let_go(self, overlay: Overlay) -> str:
        """The letter that waited, if it was for this question."""
        held, self._held = self._held, None
        if held is None:
            return ""
        held[2].cancel()
        return held[1] if held[0] is overlay else ""

    def _answer_held(self) -> None:
        held, self._held = self._held, None
        if held is not None and self._repl.overlay is held[0]:
            self._answer(held[0], "text", held[1])

    def _answer(self, overlay: Overlay, key: str, text: str) -> None:
        self._floor.answered()
        overlay.press(key, text)
        self._answered()

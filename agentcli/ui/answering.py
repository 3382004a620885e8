"""Keys while a question is open: which of them answer it, and which are for the prompt: somebody has something else to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agentcli.ui.floor import Floor

if TYPE_CHECKING:
    from agentcli.ui.face import Overlay
    from agentcli.ui.repl import Repl

HELD_S = 0.25
"""A letter that answers a question for good waits this long: where another follows, somebody is writing a sentence."""
HELD_IN_A_SENTENCE_S = 1.0
"""And this long where a sentence is begun already: a slow typist goes on with it."""
ALT_S = 0.05
"""Alt and a key come as Esc and the key in one piece; an Esc alone is followed by nothing."""


class Press(Struct, frozen=True):
    """One key: its name, its text where it has one, and what the screen knows it by."""

    key: str
    text: str = ""
    raw: Any = None


class Answering:
    """Takes each key that goes to a question or list. `pass_on` gives keys to the prompt, `typed` tells what stands there, `answered` shows what an
    answer changed."""

    def __init__(
        self,
        repl: Repl,
        floor: Floor,
        pass_on: Callable[..., None],
        typed: Callable[[], str],
        answered: Callable[[], None],
    ) -> None:
        self._repl = repl
        self._floor = floor
        self._pass_on = pass_on
        self._typed = typed
        self._answered = answered
        self._held: tuple[Overlay, Press, asyncio.TimerHandle] | None = None

    def press(self, press: Press) -> None:
        overlay = self._repl.overlay
        if overlay is None or not self._floor.has_keys(overlay):
            return
        if press.key == "c-o":
            self._repl.unfold()
        elif overlay.blocks_prompt:
            self._answer(overlay, press)
        elif press.key == "s-tab":
            self._repl.next_mode()
        else:
            self._beside_prompt(overlay, press)

    def _beside_prompt(self, overlay: Overlay, press: Press) -> None:
        """What says nothing to the question, and a letter that another follows at once, is for the prompt."""
        held = self._let_go(overlay)
        if held is not None and held.key == "escape":
            self._give_up(held, press)
        elif held is not None and press.key == "enter":
            self._answer(overlay, held)
        elif press.key == "escape":
            self._hold(overlay, press, ALT_S)
        elif press.key == "text" and len(press.text) == 1:
            self._letter(overlay, press, held)
        elif overlay.takes(press.key):
            self._answer(overlay, press)
        else:
            self._give_up(held, press)

    def _letter(self, overlay: Overlay, press: Press, held: Press | None) -> None:
        if held is not None or not overlay.reads(press.text):
            self._give_up(held, press)
        elif overlay.hasty(press.text):
            self._hold(overlay, press, HELD_IN_A_SENTENCE_S if self._typed() else HELD_S)
        else:
            self._answer(overlay, press)

    def _give_up(self, held: Press | None, press: Press) -> None:
        """To the prompt: the key, after the one that waited."""
        self._pass_on(*([] if held is None else [held.raw]), press.raw)

    def _hold(self, overlay: Overlay, press: Press, seconds: float) -> None:
        self._held = (overlay, press, asyncio.get_running_loop().call_later(seconds, self._answer_held))

    def _let_go(self, overlay: Overlay) -> Press | None:
        """The key that waited, if it was for this question."""
        held, self._held = self._held, None
        if held is None:
            return None
        held[2].cancel()
        return held[1] if held[0] is overlay else None

    def _answer_held(self) -> None:
        held, self._held = self._held, None
        if held is not None and self._repl.overlay is held[0]:
            self._answer(held[0], held[1])

    def _answer(self, overlay: Overlay, press: Press) -> None:
        self._floor.answered()
        overlay.press(press.key, press.text)
        self._answered()

"""Who has the keys: the prompt, or a question that came up. No letter may answer what its writer has not read yet. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcli.ui.face import Overlay

TYPING_S = 0.6
"""A question that comes while somebody types gets no key before they pause this long."""
READ_S = 0.4
"""And none before it has been there this long."""


class Floor:
    """Told of what is typed and answered; asked before each key. `searching`: whether the history is searched, which a question lets end first.
    Times are of the monotonic clock."""

    def __init__(self, searching: Callable[[], bool]) -> None:
        self._searching = searching
        self._typed_at = 0.0
        self._answered_at = 0.0
        self._asked: tuple[Overlay | None, float] = (None, 0.0)

    def typed(self) -> None:
        self._typed_at = time.monotonic()

    def sent(self) -> None:
        """What was typed is gone: a question that follows is read with a clear mind."""
        self._typed_at = 0.0

    def answered(self) -> None:
        self._answered_at = time.monotonic()

    def has_keys(self, overlay: Overlay | None) -> bool:
        """Whether keys go to the question or list."""
        if overlay is None:
            self._asked = (None, 0.0)
            return False
        now = time.monotonic()
        if self._asked[0] is not overlay:
            self._asked = (overlay, now)
        return overlay.blocks_prompt or (not self._searching() and now - self._typed_at > TYPING_S and now - self._asked[1] > READ_S)

    def takes_keys(self, overlay: Overlay | None) -> bool:
        """As `has_keys`, and also where a question has just followed another one: who answers fast means no prompt."""
        just_answered = self._answered_at > self._typed_at and time.monotonic() - self._answered_at <= TYPING_S
        return self.has_keys(overlay) or (overlay is not None and just_answered)

"""The session's one bus and one sequence: every event of every agent passes here, in order, to all who listen."""

from __future__ import annotations

import time
from collections.abc import Callable

from agentcli.protocol.events import AnyEvent, Envelope

Listener = Callable[[Envelope], None]


class Bus:
    """Listeners are called at once, in the order they came; one must neither block nor raise."""

    def __init__(self, session_id: str, seq: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.session_id = session_id
        self.seq = seq
        self._clock = clock
        self._listeners: tuple[Listener, ...] = ()

    def publish(self, agent_id: str, event: AnyEvent) -> None:
        self.seq += 1
        envelope = Envelope(self.seq, self._clock(), self.session_id, agent_id, event)
        for listener in self._listeners:
            listener(envelope)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Adds a listener; the returned function takes it away again."""
        self._listeners = (*self._listeners, listener)

        def leave() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return leave

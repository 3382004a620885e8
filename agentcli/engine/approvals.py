"""Questions to a person and their answers: a request id to a future. Knows no terminal and no rule."""

from __future__ import annotations

import asyncio

from msgspec import Struct, field

from agentcli.protocol.commands import Answer
from agentcli.protocol.errors import UsageError


class Approvals(Struct):
    """Open questions of a session, over its whole tree of agents."""

    _open: dict[str, asyncio.Future[Answer]] = field(default_factory=dict)
    _count: int = 0

    def open(self) -> tuple[str, asyncio.Future[Answer]]:
        """A new question: its id and the future of its answer."""
        self._count += 1
        request_id = f"ask-{self._count}"
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[request_id] = future
        return request_id, future

    def answer(self, answer: Answer) -> None:
        """Raises UsageError where nothing of that id is open."""
        future = self._open.pop(answer.request_id, None)
        if future is None:
            raise UsageError(f"nothing to answer under '{answer.request_id}'; open: {', '.join(self._open) or 'none'}.")
        if not future.done():
            future.set_result(answer)

    def drop(self, request_id: str) -> None:
        """Forgets a question whose asker is gone."""
        self._open.pop(request_id, None)

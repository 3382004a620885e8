"""How many workers run at once. A worker that waits for workers of its own lends its slot to them, so that no tree can lock itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from agentcli.agents.tree import Node


class Slots:
    """A pool of `most` slots, first come first served."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    @asynccontextmanager
    async def hold(self, node: Node) -> AsyncGenerator[None, None]:
        """Waits for a slot and holds it; it is freed after every kind of end."""
        await self._take(node)
        try:
            yield
        finally:
            self._give(node)

    @asynccontextmanager
    async def lend(self, node: Node) -> AsyncGenerator[None, None]:
        """While `node` waits for its workers, its slot is theirs; calls may overlap."""
        node.waiting_for_workers += 1
        self._give(node)
        try:
            yield
        except asyncio.CancelledError:
            node.waiting_for_workers -= 1
            raise  # a cancelled node needs no slot any more, and must not wait for one
        except BaseException:
            await self._back(node)
            raise
        await self._back(node)

    async def _back(self, node: Node) -> None:
        node.waiting_for_workers -= 1
        if node.waiting_for_workers == 0:
            await self._take(node)

    async def _take(self, node: Node) -> None:
        if node.parent is None:
            return
        async with node.in_line:
            # While it waited, another call of the node got a slot, or began to wait for workers, which may need this one.
            if _needs_none(node):
                return
            await self._free.acquire()
            if _needs_none(node):
                self._free.release()
                return
            node.holds_slot = True

    def _give(self, node: Node) -> None:
        if node.holds_slot:
            node.holds_slot = False
            self._free.release()


def _needs_none(node: Node) -> bool:
    return node.holds_slot or node.waiting_for_workers > 0

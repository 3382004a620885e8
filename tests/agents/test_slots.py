"""The pool of slots alone: what waits for workers of its own lends its slot, overlapping waits lose none, and none is held by what waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from agentcli.agents.slots import Slots


def node(worker: bool = True) -> Any:
    """What the pool looks at of a node."""
    return SimpleNamespace(parent=object() if worker else None, holds_slot=False, waiting_for_workers=0, in_line=asyncio.Lock())


@dataclass
class Pool:
    """A pool and what is left of it."""

    slots: Slots

    async def free(self, most: int) -> int:
        """How many of `most` can be had at once."""
        takers = [node() for _ in range(most)]
        took = [one for one in takers if await self._takes(one)]
        for one in took:
            self.slots._give(one)
        return len(took)

    async def _takes(self, one: Any) -> bool:
        try:
            async with asyncio.timeout(0.01):
                await self.slots._take(one)
        except TimeoutError:
            return False
        return True


async def test_a_slot_is_free_again_however_its_holder_ends() -> None:
    pool = Pool(Slots(2))
    ends: list[type[BaseException]] = [ValueError, asyncio.CancelledError, KeyError]
    for end in ends:
        try:
            async with pool.slots.hold(node()):
                raise end
        except BaseException as error:  # noqa: BLE001
            assert isinstance(error, end)
    assert await pool.free(3) == 2


async def test_one_that_is_cancelled_while_it_waits_in_line_takes_nothing() -> None:
    pool = Pool(Slots(1))
    async with pool.slots.hold(node()):
        waiting = asyncio.create_task(pool.slots._take(node()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert await pool.free(2) == 1


async def test_a_parent_lends_its_slot_and_has_it_back_afterwards() -> None:
    pool, parent = Pool(Slots(1)), node()
    async with pool.slots.hold(parent):
        async with pool.slots.lend(parent), pool.slots.hold(node()):
            assert not parent.holds_slot
        assert parent.holds_slot
    assert await pool.free(2) == 1


async def test_overlapping_waits_of_one_parent_neither_lose_a_slot_nor_take_two() -> None:
    """One call of the parent has its results and waits in line for the slot; another comes and goes meanwhile."""
    pool, parent, other = Pool(Slots(1)), node(), node()
    async with pool.slots.hold(parent):
        first, second = pool.slots.lend(parent), pool.slots.lend(parent)
        await first.__aenter__()
        await pool.slots._take(other)
        leaving = [asyncio.create_task(first.__aexit__(None, None, None))]
        await asyncio.sleep(0)
        await second.__aenter__()
        leaving.append(asyncio.create_task(second.__aexit__(None, None, None)))
        await asyncio.sleep(0)
        pool.slots._give(other)
        await asyncio.wait(leaving)
        assert parent.holds_slot
    assert await pool.free(2) == 1


async def test_a_slot_that_comes_while_another_call_waits_for_workers_goes_to_those() -> None:
    """With one slot, nothing would ever move again if the parent held it while a second call of it waits for a worker."""
    pool, parent, other, child = Pool(Slots(1)), node(), node(), node()
    async with pool.slots.hold(parent):
        first, second = pool.slots.lend(parent), pool.slots.lend(parent)
        await first.__aenter__()
        await pool.slots._take(other)
        leaving = asyncio.create_task(first.__aexit__(None, None, None))
        await asyncio.sleep(0)
        await second.__aenter__()
        pool.slots._give(other)
        await leaving
        async with asyncio.timeout(5), pool.slots.hold(child):
            assert not parent.holds_slot
        await second.__aexit__(None, None, None)
        assert parent.holds_slot
    assert await pool.free(2) == 1

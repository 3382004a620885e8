from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agentcli import AsyncAgent, AsyncSession

Scene = Callable[[AsyncSession], Coroutine[Any, Any, Any]]


def play(agent: AsyncAgent, scene: Scene, **options: Any) -> Any:
    async def whole() -> Any:
        async with agent, agent.session(".", **options) as session:
            return await scene(session)

    return asyncio.run(whole())


@pytest.fixture(name="play")
def playing() -> Callable[..., Any]:
    """`play(agent, scene, **options)` runs a scene in one session, whose agent is closed then."""
    return play

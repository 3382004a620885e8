"""A provider that is asked no more than so many things at once; the rest wait their turn, before any of their time limits begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentcli.providers.base import ModelRequest, Provider, StreamPart


class Limited:
    """`inner`, with at most `most` calls under way."""

    def __init__(self, inner: Provider, most: int) -> None:
        self._inner = inner
        self._free = asyncio.Semaphore(most)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        async with self._free, aclosing(self._inner.stream(request)) as parts:
            async for part in parts:
                yield part

    async def aclose(self) -> None:
        await self._inner.aclose()

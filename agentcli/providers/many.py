"""A service that speaks several wires, each of its models one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from agentcli.protocol.models import Wire
from agentcli.providers.base import Listing, ModelRequest, Provider, StreamPart


class ManyWires:
    """`by_wire`, each asked for the models of its wire; `own` for a model of none of them."""

    def __init__(self, by_wire: Mapping[Wire, Provider], own: Wire) -> None:
        self.by_wire = by_wire
        self._own = own

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        provider = self.by_wire.get(request.model.wire) or self.by_wire[self._own]
        async with aclosing(provider.stream(request)) as parts:
            async for part in parts:
                yield part

    async def list_models(self, limit_s: float) -> tuple[str, ...]:
        """What the service says over its own wire. Raises only ProviderError."""
        own = self.by_wire[self._own]
        return await own.list_models(limit_s) if isinstance(own, Listing) else ()

    async def aclose(self) -> None:
        for provider in self.by_wire.values():
            await provider.aclose()

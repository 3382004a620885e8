"""Asks a provider and keeps what it said: for tests of providers, where parts and errors are both results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from agentcli.protocol.errors import ProviderError
from agentcli.protocol.messages import AssistantMessage, user_text
from agentcli.protocol.models import ModelSpec, ProviderSpec, Wire
from agentcli.protocol.secrets import Secret
from agentcli.providers.base import Merge, ModelRequest, Provider, StreamPart
from agentcli.providers.registry import connect

KEY = "sk-canary-0123456789"


@dataclass
class Said:
    """The parts that came, and the error that ended them."""

    parts: list[StreamPart]
    error: ProviderError | None
    wire: Wire = "openai-chat"

    @property
    def message(self) -> AssistantMessage:
        merge = Merge(self.wire)
        for part in self.parts:
            merge.feed(part)
        return merge.message()


def request(text: str = "hi", **fields: Any) -> ModelRequest:
    return ModelRequest(**{"model": ModelSpec("test", "m1"), "messages": (user_text(text),), **fields})


def spec_for(url: str, **fields: Any) -> ProviderSpec:
    return ProviderSpec(**{"name": "test", "base_url": url, "api_key": Secret(KEY), **fields})


async def collect(provider: Provider, asked: ModelRequest) -> Said:
    parts: list[StreamPart] = []
    try:
        async with aclosing(provider.stream(asked)) as stream:
            async for part in stream:
                parts.append(part)  # noqa: PERF401 - what came before an error is kept
    except ProviderError as error:
        return Said(parts, error, asked.model.wire)
    return Said(parts, None, asked.model.wire)


def with_provider(spec: ProviderSpec, use: Callable[[Any], Awaitable[Any]]) -> Any:
    """Runs `use(provider)` in a loop of its own and closes the provider."""

    async def main() -> Any:
        provider = connect(spec)
        try:
            return await use(provider)
        finally:
            await provider.aclose()

    return asyncio.run(main())


def ask(url: str, asked: ModelRequest | None = None, **fields: Any) -> Said:
    """One question to the service at `url`. `wire` says over which."""
    asked = asked or request()
    if wire := fields.get("wire"):
        asked = replace(asked, model=replace(asked.model, wire=wire))
    question = asked
    said: Said = with_provider(spec_for(url, **fields), lambda provider: collect(provider, question))
    return said

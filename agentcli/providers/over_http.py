"""What all providers over HTTP share: the request, the key in its header, the events of the answer, the list of models. No wire's JSON here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Struct

from agentcli.protocol.errors import InvalidResponse, StreamBroken, Unavailable
from agentcli.protocol.models import ProviderSpec, Quirks
from agentcli.providers.answering import Answering, finish
from agentcli.providers.base import ModelRequest, StreamPart
from agentcli.providers.clients import Clients
from agentcli.providers.failures import Source, not_this_wire
from agentcli.providers.http import Outgoing, fetch, host_of, stream_sse
from agentcli.providers.presets import key_hint
from agentcli.providers.sse import SSEvent
from agentcli.providers.translate import encode
from agentcli.providers.watch import Limits

AFTER_STOP_S = 2.0
"""An answer that gave its finish reason is whole; usage is awaited this long, for some services then leave the connection open."""

State = TypeVar("State", bound=Answering)


class _Ids(Struct):
    data: list[dict[str, Any]] | None = None
    models: list[dict[str, Any]] | None = None


class OverHttp(ABC, Generic[State]):
    """A service over HTTP. `clients` are shared with other providers; without them it makes and closes its own."""

    key_header: ClassVar[tuple[str, str]] = ("authorization", "Bearer ")
    """The header that carries the key, and what stands before the key in it."""

    def __init__(self, spec: ProviderSpec, clients: Clients | None = None) -> None:
        """Raises ConfigError where the provider's address is missing or none."""
        self.spec = spec
        self._clients = clients or Clients()
        self._owns_clients = clients is None
        key = self._key()
        self._source = Source(spec.name, host_of(spec), (key, *spec.headers.values()), key_hint(spec.name, sent=bool(key)))

    # --- what a wire says ---

    @abstractmethod
    def begin(self, request: ModelRequest) -> State:
        """The state of an answer that has said nothing yet."""

    @abstractmethod
    def body(self, request: ModelRequest) -> dict[str, Any]: ...

    @abstractmethod
    def url(self, request: ModelRequest) -> str: ...

    @abstractmethod
    def parts(self, event: SSEvent, state: State) -> list[StreamPart]:
        """What one event brings. Raises ProviderError."""

    def models_url(self) -> str:
        return self.at("/models")

    def headers(self, body: dict[str, Any] | None) -> dict[str, str]:
        """All headers of a request, the declared ones winning; `body` None: a question that has none."""
        name, before = (self.spec.key_header, "") if self.spec.key_header else self.key_header
        key = self._key()
        own = {name: f"{before}{key}"} if key else {}
        return {**own, **{name.lower(): value for name, value in self.spec.headers.items()}}

    # --- what all do ---

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        """The answer's parts, the `StopPart` last.

        Raises:
            ProviderError: nothing else.
        """
        state = self.begin(request)
        async with aclosing(self.exchange(request, self.body(request), state)) as parts:
            async for part in parts:
                yield part
        for part in finish(state):
            yield part

    async def exchange(self, request: ModelRequest, body: dict[str, Any], state: State) -> AsyncGenerator[StreamPart, None]:
        """One request and the parts of its answer, without the last: whether it is whole is for `finish` to say."""
        limits = Limits(request.first_byte_s, request.idle_s, request.total_s)
        call = Outgoing(self._source, self.url(request), self.headers(body), encode(body), limits)
        try:
            async with aclosing(stream_sse(self._clients, call)) as batches:
                async for batch in batches:
                    for event in batch:
                        for part in self.parts(event, state):
                            yield part
                    if state.is_over:
                        limits.idle_s = AFTER_STOP_S
        except (Unavailable, StreamBroken, InvalidResponse):
            if not state.is_over:
                raise

    async def list_models(self, limit_s: float = 60.0) -> tuple[str, ...]:
        """The ids that the service says it serves, in its order, within so many seconds.

        Raises:
            ProviderError: nothing else.
        """
        call = Outgoing(self._source, self.models_url(), self.headers(None), None, Limits(limit_s, limit_s, limit_s))
        try:
            found = msgspec.json.decode(await fetch(self._clients, call), type=_Ids)
        except ValueError:
            raise not_this_wire(self._source, "with no list of models") from None
        names = (entry.get("id") or entry.get("name") for entry in found.data or found.models or ())
        return tuple(name.removeprefix("models/") for name in names if isinstance(name, str))

    async def aclose(self) -> None:
        if self._owns_clients:
            await self._clients.aclose()

    def quirks(self, request: ModelRequest) -> Quirks:
        return request.model.quirks or self.spec.quirks

    def at(self, path: str, *endings: str, query: str = "") -> str:
        """The base URL without one of `endings`, then a path; the base's own query is kept (`?api-version=…`)."""
        base, _, own = self.spec.base_url.partition("?")
        base = base.rstrip("/")
        for ending in endings:
            base = base.removesuffix(ending)
        both = "&".join(part for part in (own, query) if part)
        return f"{base}{path}{'?' if both else ''}{both}"

    def _key(self) -> str:
        return self.spec.api_key.reveal().strip() if self.spec.api_key else ""

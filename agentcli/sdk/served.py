"""Models that only a service itself knows: behind an address of one's own its list is asked, once, and what it says joins the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from agentcli.protocol.errors import AgentError, InvalidResponse, ProviderError, RequestRejected, UsageError
from agentcli.providers.base import Listing
from agentcli.providers.clients import Clients
from agentcli.providers.http import host_of
from agentcli.providers.registry import connect

if TYPE_CHECKING:
    from agentcli.providers.base import Provider
    from agentcli.sdk.models import Services

ASK_S = 10.0
"""How long a service may take to say what it has."""
SHOWN = 10
NAMING = ("model", "resume", "continue_latest", "agent")
"""Options of a session that may name its model."""
T = TypeVar("T")


async def ask_all(services: Services, limit_s: float = ASK_S) -> dict[str, ProviderError]:
    """Asks each service that was not asked yet, all at once. Gives back what failed; that may be asked again."""
    failed: dict[str, ProviderError] = {}

    async def one(name: str) -> None:
        try:
            services.serves(name, await ids_of(services.connect(name), limit_s))
        except ProviderError as error:
            failed[name] = error

    await asyncio.gather(*(one(name) for name in services.unlisted if name not in services.served))
    return failed


def ask_now(services: Services) -> bool:
    """Asks each service that was not asked yet, and waits. Whether any told something."""
    before = len(services.served)
    for name in services.unlisted:
        if name not in services.served:
            with suppress(AgentError):
                services.serves(name, _apart(partial(_asked_alone, services, name)))
    return len(services.served) > before


async def ask_default(services: Services, options: Mapping[str, Any]) -> None:
    """Where only a service can say what a session with these options runs on, asks it, so that opening the session need not wait.

    Raises:
        ProviderError: it cannot be asked. UsageError: it does not say.
    """
    if services.undecided and not any(options.get(name) for name in NAMING):
        name = services.unlisted[0]
        services.serves(name, await _asked(services, name, services.connect(name)))


def default_of(services: Services) -> str:
    """The one model that the first such service has. Waits for its answer where it was not asked yet.

    Raises:
        UsageError: it has several, or none; lists them. ProviderError: it cannot be asked.
    """
    name = services.unlisted[0]
    if name not in services.served:
        services.serves(name, _apart(partial(_asked_alone, services, name)))
    ids = services.served[name]
    if len(ids) == 1:
        return f"{name}/{ids[0]}"
    listed = ", ".join(f"{name}/{model}" for model in ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
    what = f"has several models: {listed}" if ids else "lists no models"
    raise UsageError(f"{_where(services, name)} {what}.", hint=_name_one(name, ids[0] if ids else "ID"))


async def ids_of(provider: Provider, limit_s: float) -> tuple[str, ...]:
    """The ids that a service says it has. Raises ProviderError; RequestRejected also where its wire has no such list."""
    if not isinstance(provider, Listing):
        raise RequestRejected("this provider has no list of models.")
    return tuple(dict.fromkeys(await provider.list_models(limit_s)))


async def _asked(services: Services, name: str, provider: Provider) -> tuple[str, ...]:
    try:
        return await ids_of(provider, ASK_S)
    except (RequestRejected, InvalidResponse) as error:
        raise UsageError(f"{_where(services, name)} does not say which models it has: {error.message}", hint=_name_one(name, "ID")) from error


async def _asked_alone(services: Services, name: str) -> tuple[str, ...]:
    clients = Clients()
    try:
        return await _asked(services, name, connect(services.spec(name), clients))
    finally:
        await clients.aclose()


def _apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs it on an event loop of its own and waits for it, also from within one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def _where(services: Services, name: str) -> str:
    """The provider and its host; what else stands in its address may be secret."""
    return f"{name} at {host_of(services.spec(name))}"


def _name_one(provider: str, model: str) -> str:
    return f"Name one with --model {provider}/{model}, or in AGENTCLI_MODEL."

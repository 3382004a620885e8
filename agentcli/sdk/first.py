"""What a person without any config could begin with: services whose key is set, and the local models. Plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentcli.providers.presets import own_servers, presets_from, services
from agentcli.sdk.overview import weights_rows

if TYPE_CHECKING:
    from agentcli.sdk.agent import AsyncAgent


class FirstModel(Struct, frozen=True):
    """A model to begin with. `size` in bytes, of weights still to be fetched from `source`; 0 where nothing is."""

    model: str
    why: str
    size: int = 0
    source: str = ""


def first_models(agent: AsyncAgent) -> list[FirstModel]:
    """The default of each service whose key variable is set (all of one at an address of one's own that was asked), then the local models."""
    keys = {service.name: service.key for service in services()}
    found = []
    for preset in presets_from(agent.environ):
        name = preset.provider.name
        ids = (preset.default,) if preset.default else agent.services.served.get(name, ())
        found += [FirstModel(f"{name}/{model}", f"{keys.get(name, 'its key')} is set") for model in ids]
    for row in weights_rows():
        found.append(FirstModel(f"local/{row.name}", "runs here without a key", *((0, "") if row.path else (row.size, row.source))))
    return found


def more_models() -> str:
    """What to do where there are no models but the local ones, as the end of a sentence."""
    keys, servers = key_variables(), ", ".join(f"{server.name}/NAME" for server in own_servers())
    return (
        f"set one such as {', '.join(keys[:3])} ({len(keys) - 3} more services are known), write an agent.hcl,"
        f" or name a model of a server on this machine with --model: {servers}."
    )


def key_variables() -> list[str]:
    """The variables that are looked for."""
    return [service.key for service in services() if service.key]

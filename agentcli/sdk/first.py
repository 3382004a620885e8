"""What a person without any config could begin with: services whose key is set, and the local models. Plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentcli.providers.presets import presets_from, services
from agentcli.sdk.overview import weights_rows

if TYPE_CHECKING:
    from agentcli.sdk.agent import AsyncAgent


class FirstModel(Struct, frozen=True):
    """A model to begin with. `size` in bytes, of weights still to be fetched; 0 where nothing is."""

    model: str
    why: str
    size: int = 0


def first_models(agent: AsyncAgent) -> list[FirstModel]:
    """The default of each service whose key variable is set, then the local models that can be had."""
    keys = {service.name: service.key for service in services()}
    found = [
        FirstModel(f"{preset.provider.name}/{preset.default}", f"{keys.get(preset.provider.name, 'its key')} is set")
        for preset in presets_from(agent.environ)
        if preset.default
    ]
    for row in weights_rows():
        why = "on this machine already" if row.path else f"on this machine, needs no key; fetched once from {row.source}"
        found.append(FirstModel(f"local/{row.name}", why, 0 if row.path else row.size))
    return found


def key_variables() -> list[str]:
    """The variables that are looked for."""
    return [service.key for service in services() if service.key]

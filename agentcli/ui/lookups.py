"""What faces ask the catalogue of a session: what tokens cost on a model, and how much it takes. By the model's resolved name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcli.protocol.errors import AgentError

if TYPE_CHECKING:
    from agentcli.protocol.models import Usage
    from agentcli.sdk.session import AsyncSession
    from agentcli.ui.result import Limits
    from agentcli.ui.workers import Price


def price_in(session: AsyncSession) -> Price:
    """USD of tokens on a model; None where its price is unknown."""
    kit = session.kit

    def price(model: str, usage: Usage) -> float | None:
        try:
            return usage.priced(kit.price(kit.catalogue.resolve(model).spec))
        except AgentError:
            return None

    return price


def limits_in(session: AsyncSession) -> Limits:
    """A model's limits of context and output in tokens; None where unknown."""
    kit = session.kit

    def limits(model: str) -> tuple[int | None, int | None]:
        try:
            spec = kit.catalogue.resolve(model).spec
        except AgentError:
            return None, None
        return kit.context(spec), spec.output

    return limits

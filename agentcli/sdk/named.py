"""Names of models and workers that a person or a program gave at the start: each must exist before anything runs; an error says where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentcli.agents.spec import INHERIT, ROLES
from agentcli.config.tree import Problem
from agentcli.protocol.errors import UnknownModel, UsageError
from agentcli.protocol.names import nearest
from agentcli.providers.registry import Resolved

if TYPE_CHECKING:
    from agentcli.agents.kit import Kit
    from agentcli.agents.roster import Roster
    from agentcli.config.values import ModelName
    from agentcli.protocol.models import Link
    from agentcli.sdk.models import Services
    from agentcli.sdk.wanted import Wanted

A_SLIP = 0.75
"""A name so like one that there is (0 to 1) was meant to be that one."""
NAMERS = ("define_subagent", "invoke_subagent", "parallel_task", "task")
"""Tools that give workers names and labels of their own at run time, which a pin may go by."""


def first_model(services: Services, name: str, link: Link) -> Resolved:
    """The model that a session starts on. Raises UnknownModel."""
    config = services.config
    match link:
        case "environment":
            place = "AGENTCLI_MODEL"
        case "config" | "settings" if config.default_model is not None:
            place = f"{config.default_model.place}: default_model"
        case _:
            place = ""
    return _resolved(services, name, place)


def check_models(services: Services, options: Wanted, link: Link) -> tuple[Resolved, ...]:
    """What is said of workers' models and of models to fall back to; gives the latter. Raises UnknownModel."""
    flags, own = link == "flag", services.config.subagent_model
    for worker, model in options.workers.items():
        _check(services, model, f"--worker {worker}" if flags else f"workers['{worker}']")
    if options.subagent_model:
        _check(services, options.subagent_model, "--subagent-model" if flags else "subagent_model")
    elif own is not None:
        _check(services, own.value, f"{own.place}: subagent_model")
    return tuple(_resolved(services, name, "--fallback-model" if flags else "fallback_models") for name in options.fallback_models)


def misnamed(services: Services, *, strict: bool) -> tuple[Problem, ...]:
    """The names in the config that no model has. Nothing is asked: a name that only a service itself may know is a warning, as is one whose
    service lacks its key, which with `strict` is an error."""
    return tuple(problem for said in services.config.model_names if (problem := _misnamed(services, said, strict)))


def _misnamed(services: Services, said: ModelName, strict: bool) -> Problem | None:
    if not said.name.strip() or (said.name.strip().lower() == INHERIT and not said.key.startswith("aliases.")):
        return None
    try:
        services.catalogue.resolve(said.name)
    except UnknownModel as error:
        told = services.with_way(error).placed(said.key)
        sure = strict if services.lacking_key(error) else not services.unlisted
        leaf, file = said.held.leaf, said.held.layer.file
        return Problem(told.message, file, leaf.row, leaf.column, told.hint, "error" if sure else "warning")
    return None


def check_pins(kit: Kit, roster: Roster, offered: Iterable[str]) -> list[str]:
    """A word about each pin for a worker that there is not: it may still be defined at run time.

    Raises:
        UsageError: it cannot be, or the name is a slip.
    """
    names = (*roster.names(), *ROLES)
    known = {name.casefold() for name in names}
    later = any(tool in NAMERS for tool in offered)
    notices = []
    for name, model in kit.pins.items():
        if name.casefold() in known:
            continue
        near = ", ".join(nearest(name, names))
        if not later or nearest(name, names, 1, A_SLIP):
            raise UsageError(f"no worker is called '{name}'; nearest: {near}.", hint="List them with: agentcli agents")
        notices.append(f"no worker is called '{name}' (nearest: {near}); its model {model} holds for one defined later.")
    return notices


def _check(services: Services, name: str, place: str) -> None:
    if name.strip() and name.strip().lower() != INHERIT:
        _resolved(services, name, place)


def _resolved(services: Services, name: str, place: str) -> Resolved:
    try:
        return services.resolve(name)
    except UnknownModel as error:
        raise error.placed(place) from None

"""Permission rules as a config, a flag or a program wrote them, read; what is wrong with one of a config is told with its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentcli.config.tree import Problem
from agentcli.config.values import Permissions
from agentcli.config.values import Rule as Written
from agentcli.protocol.errors import ConfigError
from agentcli.safety.rules import Rule, parse_rule


def rules_of(given: Iterable[Written], more: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The rules of a config, and `more` of flags or options. Raises ConfigError."""
    return (*map(_read, given), *map(parse_rule, more))


def bad_rules(given: Permissions) -> tuple[Problem, ...]:
    """Every rule of a config that no run would start with."""
    found = []
    for rule in (*given.allow, *given.ask, *given.deny):
        try:
            parse_rule(rule.text)
        except ConfigError as error:
            found.append(Problem(error.message, rule.place, hint=error.hint))
    return tuple(found)


def _read(written: Written) -> Rule:
    try:
        return parse_rule(written.text)
    except ConfigError as error:
        raise ConfigError(error.message, file=written.place, hint=error.hint) from None

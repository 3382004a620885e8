"""Which models there are and what a name stands for; and which class speaks which wire. Nothing is reached here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from agentcli.protocol.errors import ConfigError, UnknownModel
from agentcli.protocol.models import ModelRef, ModelSpec, ProviderSpec, Wire
from agentcli.protocol.names import nearest
from agentcli.providers.base import Provider
from agentcli.providers.clients import Clients
from agentcli.providers.presets import filled

WIRES: Mapping[str, tuple[str, str]] = {
    "openai-chat": ("openai_chat", "OpenAIChat"),
    "openai-responses": ("openai_responses", "OpenAIResponses"),
    "anthropic": ("anthropic", "Anthropic"),
    "gemini": ("gemini", "Gemini"),
    "scripted": ("scripted", "ScriptedProvider"),
    "local": ("local", "LocalProvider"),
}
"""Wire to module and class; a module is imported when its wire is first used."""
THINKING = "thinking"
"""What some write behind a human name, `Claude Sonnet 4.6 (Thinking)`: the model as it is, where it has levels of effort."""
LEVELS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
"""What efforts are usually called: no part of an id."""
OVER_HTTP = frozenset({"openai-chat", "openai-responses", "anthropic", "gemini"})
"""The wires whose class takes shared clients."""


def connect(spec: ProviderSpec, clients: Clients | None = None, wires: Iterable[Wire] = ()) -> Provider:
    """A provider for the service. It closes `clients` only where it made them itself. `wires` are those of its models: where they are not all
    the service's own, each request goes over its model's.

    Raises:
        ConfigError: the wire is not there, an address is missing, or a script cannot be read.
    """
    if others := sorted({*wires} - {spec.wire}):
        from agentcli.providers.many import ManyWires

        return ManyWires({wire: connect(replace(spec, wire=wire), clients) for wire in (spec.wire, *others)}, spec.wire)
    if spec.wire not in WIRES:
        raise ConfigError(
            f"provider '{spec.name}': wire '{spec.wire}' is not available.",
            hint=f"Set wire to one of: {', '.join(WIRES)}.",
        )
    module, name = WIRES[spec.wire]
    kind: Any = getattr(import_module(f"agentcli.providers.{module}"), name)
    if spec.wire in OVER_HTTP:
        return cast(Provider, kind(filled(spec), clients))
    return cast(Provider, kind(spec))


class Resolved(NamedTuple):
    """What a name stands for: the model, and the reference that names it fully, effort included."""

    spec: ModelSpec
    ref: ModelRef


class Catalogue:
    """All models that can be named. Of two models with one reference the first stands.

    `open_providers` are those whose services know more models than are listed: any id is taken there (a mapping gives their wires,
    `openai-chat` where it does not).
    """

    def __init__(
        self,
        models: Iterable[ModelSpec],
        *,
        aliases: Mapping[str, str] | None = None,
        open_providers: Iterable[str] | Mapping[str, Wire] = (),
    ) -> None:
        self._models: dict[tuple[str, str], ModelSpec] = {}
        self.add(models)
        self._aliases = {name.casefold(): target for name, target in (aliases or {}).items()}
        self._open: dict[str, Wire] = dict(open_providers) if isinstance(open_providers, Mapping) else dict.fromkeys(open_providers, "openai-chat")
        self.aliases: Mapping[str, str] = dict(aliases or {})

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        return tuple(self._models.values())

    def add(self, models: Iterable[ModelSpec]) -> None:
        """Models that became known later; those that were known stay as they are."""
        for spec in models:
            self._models.setdefault((spec.provider, spec.id), spec)

    def matching(self, query: str) -> tuple[ModelSpec, ...]:
        """The models whose provider, id or human name holds every word of the query; case does not matter."""
        words = query.casefold().split()
        return tuple(spec for spec in self.models if all(word in f"{spec.provider}/{spec.id} {spec.name}".casefold() for word in words))

    def resolve(self, name: str) -> Resolved:
        """What a person, a config or a model calls a model: `provider/id`, `provider/id:effort`, an alias, a human name, or an id
        that only one provider has. An alias may carry `:effort`, a human name ` (Effort)`; `local` is the first local model.

        Raises:
            UnknownModel: there is none, or there are several; names the nearest, or the several.
        """
        return self._resolve(name.strip(), name, ())

    def _resolve(self, name: str, asked: str, through: tuple[str, ...]) -> Resolved:
        if not name:
            raise UnknownModel(asked, hint="A model's name is empty. List what can be used with: agentcli models")
        found = (
            self._by_alias(name, asked, through)
            or self._by_reference(name, asked)
            or self._by_human_name(name, asked)
            or self._by_bare_id(name, asked)
            or self._local(name)
            or self._undeclared(name)
        )
        if found is None:
            raise UnknownModel(asked, self._nearest(name))
        return found

    def _by_alias(self, name: str, asked: str, through: tuple[str, ...]) -> Resolved | None:
        folded = name.casefold()
        base, _, effort = folded.rpartition(":")
        if folded in self._aliases:
            base, effort = folded, ""
        elif base not in self._aliases:
            return None
        if base in through:
            raise UnknownModel(asked, hint=f"The aliases go round in a circle: {' > '.join((*through, base))}.")
        said = self._aliases[base].strip()
        try:
            target = self._resolve(said, said, (*through, base))
        except UnknownModel as error:
            raise error.through(asked) from None
        return _with_effort(target.spec, effort, asked) if effort else target

    def _by_reference(self, name: str, asked: str) -> Resolved | None:
        provider, slash, rest = name.partition("/")
        if not slash:
            return None
        if (spec := self._models.get((provider, rest))) is not None:
            return Resolved(spec, spec.ref())
        base, colon, effort = rest.rpartition(":")
        spec = self._models.get((provider, base)) if colon else None
        if spec is None or (provider in self._open and not _has_level(spec, effort) and effort not in LEVELS):
            return None  # an open provider may well have a model of that id: `vendor/model:free`
        return _with_effort(spec, effort, asked)

    def _by_human_name(self, name: str, asked: str) -> Resolved | None:
        folded = name.casefold()
        if exact := self._called(folded):
            return _only([Resolved(spec, spec.ref()) for spec in exact], asked)
        base, effort = _split_effort(folded)
        called = self._called(base) if effort else []
        if effort == THINKING:
            with_level = [Resolved(spec, spec.ref()) for spec in called if spec.effort]
        else:
            with_level = [Resolved(spec, spec.ref(level)) for spec in called for level in spec.effort if level.casefold() == effort]
        if called and not with_level and folded.endswith(")"):
            raise _no_level(called[0], asked)
        return _only(with_level, asked) if with_level else None

    def _called(self, folded: str) -> list[ModelSpec]:
        """The models of a human name, in lower case; else those whose name says besides that they think."""
        names = [(spec, spec.name.casefold()) for spec in self.models if spec.name]
        return [spec for spec, name in names if name == folded] or [spec for spec, name in names if name == f"{folded} ({THINKING})"]

    def _by_bare_id(self, name: str, asked: str) -> Resolved | None:
        exact = [spec for spec in self.models if spec.id == name]
        if exact:
            return _only([Resolved(spec, spec.ref()) for spec in exact], asked)
        base, _, effort = name.rpartition(":")
        with_level = [Resolved(spec, spec.ref(effort)) for spec in self.models if spec.id == base and effort in spec.effort]
        return _only(with_level, asked) if with_level else None

    def _local(self, name: str) -> Resolved | None:
        if name.casefold() != "local":
            return None
        spec = next((spec for spec in self.models if spec.wire == "local"), None)
        return Resolved(spec, spec.ref()) if spec else None

    def _undeclared(self, name: str) -> Resolved | None:
        provider, _, rest = name.partition("/")
        if provider not in self._open or not rest:
            return None
        spec = ModelSpec(provider, rest, self._open[provider])
        return Resolved(spec, spec.ref())

    def _nearest(self, name: str) -> tuple[str, ...]:
        """Three different models (or aliases), each found by whichever of its names is the most alike."""
        shown = {alias: alias for alias in self.aliases}
        for spec in self.models:
            reference = f"{spec.provider}/{spec.id}"
            shown |= {reference: reference} | ({spec.name: reference} if spec.name else {})
        return tuple(dict.fromkeys(shown[found] for found in nearest(name, shown, len(shown))))[:3]


def _with_effort(spec: ModelSpec, effort: str, asked: str) -> Resolved:
    """The model at one of its levels; the level's case does not matter.

    Raises:
        UnknownModel: it has no such level.
    """
    level = next((known for known in spec.effort if known.casefold() == effort.casefold()), None)
    if level is None:
        raise _no_level(spec, asked)
    return Resolved(spec, spec.ref(level))


def _no_level(spec: ModelSpec, asked: str) -> UnknownModel:
    """The model is there, the level is not: the levels are named, all of them."""
    name = f"{spec.provider}/{spec.id}"
    levels = tuple(f"{name}:{known}" for known in spec.effort)
    return UnknownModel(asked, levels or (name,), hint="" if levels else f"{name} has no effort levels.")


def _has_level(spec: ModelSpec, effort: str) -> bool:
    return any(known.casefold() == effort.casefold() for known in spec.effort)


def _split_effort(name: str) -> tuple[str, str]:
    """`gemini 3.5 flash (low)` or `gemini 3.5 flash:low` as its two halves."""
    if name.endswith(")") and "(" in name:
        base, _, effort = name[:-1].rpartition("(")
        return base.strip(), effort.strip()
    base, _, effort = name.rpartition(":")
    return base.strip(), effort.strip()


def _only(found: list[Resolved], asked: str) -> Resolved:
    if len(found) == 1:
        return found[0]
    raise UnknownModel(asked, tuple(str(one.ref) for one in found), hint="Several providers have it: name one of them.")

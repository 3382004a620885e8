"""Layers to one set of settings: the nearer wins per key, rules add up, and what is not trusted may only restrict. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from agentcli.config.files import LARGEST
from agentcli.config.layer import Held, KeyPath, Layer, Leaf, Merged
from agentcli.config.provider import ProviderBlock
from agentcli.config.tree import Env, shown
from agentcli.config.values import AgentBlock, Limits, ModelName, Permissions, Rule, Shown, Ui
from agentcli.protocol.names import permission_mode

LOWERED = frozenset(("max_turns", "max_parallel", "max_depth", "max_agents", "max_budget_usd", "max_tokens", "timeout_s", "max_model_price"))
"""Limits that an untrusted config may lower. Not those of one model call: a folder could make every call fail with them."""
_HIDDEN = re.compile(r"key|token|secret|password|auth", re.IGNORECASE)


def merged(layers: Sequence[Layer]) -> tuple[Merged, tuple[Layer, ...]]:
    """All settings, and the untrusted layers of which something waits. `layers` come farthest first."""
    settings: Merged = {}
    for layer in layers:
        if layer.trusted:
            settings.update({leaf.path: Held(leaf, layer) for leaf in layer.leaves})
    waiting = tuple(layer for layer in layers if not layer.trusted and _restrict(settings, layer))
    return settings, waiting


def _restrict(settings: Merged, layer: Layer) -> bool:
    """Takes what restricts from an untrusted layer; says whether something was left."""
    waits = False
    for leaf in layer.leaves:
        match leaf.path:
            case ("permissions", "ask" | "deny", _):
                settings.setdefault(leaf.path, Held(leaf, layer))
            case ("limits", key) if key in LOWERED:
                held = settings.get(leaf.path)
                current = held.leaf.value if held else getattr(Limits(), key)
                if current is None or leaf.value < current:
                    settings[leaf.path] = Held(leaf, layer)
                waits = waits or (current is not None and leaf.value > current)
            case ("permissions" | "limits",):
                continue
            case _:
                waits = True
    return waits


def providers(settings: Merged) -> dict[str, ProviderBlock]:
    return {name: ProviderBlock(name, below(settings, ("providers", name))) for name in _labels(settings, "providers")}


def key_variables(layers: Iterable[Layer]) -> frozenset[str]:
    """The variables that trusted layers take keys and headers from, also where a nearer layer overrides them."""
    leaves = [leaf for layer in layers if layer.trusted for leaf in layer.leaves if leaf.env is not None]
    return frozenset(name for leaf in leaves if _is_secret(leaf.path) and leaf.env for name in leaf.env.names)


def _is_secret(path: KeyPath) -> bool:
    return len(path) > 2 and path[0] == "providers" and path[2] in ("api_key", "headers")


def agents(settings: Merged) -> tuple[AgentBlock, ...]:
    blocks = []
    for name in _labels(settings, "agents"):
        said = {path[0]: held.leaf.value for path, held in below(settings, ("agents", name)).items() if path}
        mode = permission_mode(said.pop("permission_mode", ""))
        lists = {key: tuple(value) for key, value in said.items() if isinstance(value, list)}
        place = settings[("agents", name)].place
        blocks.append(AgentBlock(name, **{**said, **lists}, permission_mode=mode, place=place))
    return tuple(blocks)


def permissions(settings: Merged) -> Permissions:
    mode = settings.get(("permissions", "mode"))

    def rules(effect: str) -> tuple[Rule, ...]:
        return tuple(Rule(path[0], held.exact_place) for path, held in below(settings, ("permissions", effect)).items())

    return Permissions(permission_mode(mode.leaf.value) if mode else None, rules("allow"), rules("ask"), rules("deny"))


def limits(settings: Merged) -> Limits:
    return Limits(**_values(settings, "limits"))


def ui(settings: Merged) -> Ui:
    return Ui(**_values(settings, "ui"))


def aliases(settings: Merged) -> dict[str, str]:
    return _values(settings, "aliases")


def model_names(settings: Merged, environ: Mapping[str, str]) -> tuple[ModelName, ...]:
    """Every name of a model that stands in the settings."""
    found = []
    for path, held in settings.items():
        match path:
            case ("default_model" | "subagent_model",) | ("aliases", _) | ("agents", _, "model" | "fallback_models"):
                value = held.leaf.env.value(environ) if held.leaf.env else held.leaf.value
                key = ".".join(map(_key, path))
                found += [ModelName(key, name, held) for name in (value if isinstance(value, list) else [value]) if name]
    return tuple(found)


def below(settings: Merged, prefix: KeyPath) -> Merged:
    """The settings under a path, with what is left of theirs; a block's own mark is left out."""
    size = len(prefix)
    return {path[size:]: held for path, held in settings.items() if path[:size] == prefix and len(path) > size}


def _labels(settings: Merged, kind: str) -> list[str]:
    return list(dict.fromkeys(path[1] for path in settings if path[0] == kind and len(path) > 1))


def _values(settings: Merged, kind: str) -> dict[str, Any]:
    return {path[0]: held.leaf.value for path, held in below(settings, (kind,)).items()}


# --- for `config show` ---


def shown_values(settings: Merged) -> tuple[Shown, ...]:
    """Every setting in force, in the order of the layers, with nothing in it that must not be seen."""
    inner = {path[:size] for path in settings for size in range(1, len(path))}
    lines = []
    for path, held in settings.items():
        if path in inner:
            continue
        key = path[:2] if path[0] == "permissions" else path
        value = shown(_value(held.leaf), LARGEST)
        lines.append(Shown(".".join(_key(part) for part in key), value, held.layer.name, held.place))
    return tuple(lines)


def _key(part: str) -> str:
    return f'"{shown(part)}"' if "." in part or " " in part else shown(part)


def _value(leaf: Leaf) -> str:
    if leaf.env is not None:
        return leaf.env.written() if leaf.secret is None else Env(leaf.env.names, "***").written()
    if leaf.secret is not None:
        return "***"
    return "{ }" if leaf.value is None else msgspec.json.encode(_masked(leaf.value)).decode()


def _masked(value: Any) -> Any:
    """Plain data of a person's own making (`extra_body`) without what its key calls a secret."""
    match value:
        case dict():
            return {key: "***" if _HIDDEN.search(key) and isinstance(part, str) else _masked(part) for key, part in value.items()}
        case list():
            return [_masked(part) for part in value]
        case _:
            return value

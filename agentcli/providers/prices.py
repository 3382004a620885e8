"""What a model costs and how much it takes, where no config says so: data that the `genai-prices` package ships. Nothing is ever fetched.

The package takes 0.4 s to load and changes only when it is upgraded, so what was looked up today is kept in the person's cache.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from agentcli.protocol.models import Cost, Tier
from agentcli.providers.clients import is_own_machine

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

LIBRARY = "genai_prices"
FILE = "prices.json"
KINDS = ("input", "output", "cache_read", "cache_write")


class Known(Struct, frozen=True, omit_defaults=True):
    """What is known of a model; `context` in tokens."""

    cost: Cost | None = None
    context: int | None = None


UNKNOWN = Known()


class _Kept(Struct):
    """What was looked up, with the state of the package and the day (prices may begin on a day) for which it holds."""

    stamp: str
    models: dict[str, Known] = field(default_factory=dict)


class Prices:
    """Look-ups of one agent. `cache`: the folder where they are kept, None: nowhere. Safe to use from threads."""

    def __init__(self, cache: Path | None) -> None:
        self._file = None if cache is None else cache / FILE
        self._kept: _Kept | None = None

    def known(self, model: str, url: str) -> Known:
        """What the service at an address asks for a model by its own id. Unknown for services that the package does not know."""
        if not url or is_own_machine(url):
            return UNKNOWN
        kept, url = self._today(), _bare(url)
        name = f"{url} {model}"
        if name not in kept.models:
            found, lasts = look_up(model, url, datetime.datetime.now(datetime.UTC))
            if not lasts:
                return found
            kept.models[name] = found
            self._keep(kept)
        return kept.models[name]

    def at_hand(self, model: str, url: str) -> bool:
        """Whether `known` answers without a look-up."""
        return not url or is_own_machine(url) or f"{_bare(url)} {model}" in self._today().models

    def _today(self) -> _Kept:
        stamp = f"{datetime.datetime.now(datetime.UTC).date()} {_stamp()}"
        if self._kept is None:
            self._kept = self._recall()
        if self._kept is None or self._kept.stamp != stamp:
            self._kept = _Kept(stamp)
        return self._kept

    def _recall(self) -> _Kept | None:
        if self._file is None:
            return None
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _keep(self, kept: _Kept) -> None:
        """A cache that cannot be written costs time at the next start, nothing else."""
        if self._file is None:
            return
        fresh = self._file.with_name(f".{FILE}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode(kept))
            fresh.replace(self._file)


def _bare(url: str) -> str:
    """An address without what may be secret in it."""
    where = urlsplit(url)
    return f"{where.scheme}://{where.hostname}{where.path}"


def look_up(model: str, url: str, at: datetime.datetime) -> tuple[Known, bool]:
    """What the package says of a model at a time, and whether that holds all day (some services charge by the hour)."""
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return UNKNOWN, False
    try:
        _, info = get_snapshot().find_provider_model(model, None, None, url)
    except LookupError:
        return UNKNOWN, True
    return Known(_cost(info.get_prices(at)), info.context_window), _lasts(info)


def _lasts(info: ModelInfo) -> bool:
    return not isinstance(info.prices, list) or not any(hasattr(price.constraint, "start_time") for price in info.prices)


def _cost(prices: ModelPrice) -> Cost | None:
    """None where not both input and output have a price."""
    base = _at(prices, 0)
    if base is None:
        return None
    starts = {tier.start for kind in KINDS for tier in getattr(_price(prices, kind), "tiers", ())}
    tiers = tuple(Tier(start, **at) for start in sorted(starts) if (at := _at(prices, start + 1)) is not None)
    return Cost(**base, tiers=tiers)


def _at(prices: ModelPrice, tokens: int) -> dict[str, Any] | None:
    """USD per million tokens of a call whose prompt has so many."""
    found: dict[str, float] = {}
    for kind in KINDS:
        price = _price(prices, kind)
        passed = [tier.price for tier in getattr(price, "tiers", ()) if tokens > tier.start]
        if price is not None:
            found[kind] = float(passed[-1] if passed else getattr(price, "base", price))
    return found if "input" in found and "output" in found else None


def _price(prices: ModelPrice, kind: str) -> Any:
    return getattr(prices, f"{kind}_mtok")


@cache
def _stamp() -> str:
    """Changes when the package is upgraded; found without loading it, once a process."""
    spec = find_spec(LIBRARY)
    if spec is None or spec.origin is None:
        return "none"
    with contextlib.suppress(OSError):
        return str(Path(spec.origin).with_name("data.py").stat().st_mtime_ns)
    return "?"

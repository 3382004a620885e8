"""What the doctor finds: one line a finding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

State = Literal["ok", "note", "bad"]


class Finding(Struct, frozen=True):
    """`fix`: what to do, "" where nothing need be done. `usable`: thanks to what was found a model can be used."""

    area: str
    state: State
    text: str
    fix: str = ""
    usable: bool = False


def is_usable(findings: Iterable[Finding]) -> bool:
    """Whether some model can be used, and no mistake in the config stands in the way."""
    found = list(findings)
    return any(one.usable for one in found) and not any(one.area == "config" and one.state == "bad" for one in found)

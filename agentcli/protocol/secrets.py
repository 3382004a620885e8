"""What must not be seen: a value that prints as stars and that no encoder of ours writes, and the base of records that hold such things."""

from __future__ import annotations

from msgspec import Struct


class Unshown(Struct, frozen=True):
    """A record that prints as its bare name, for some of what it holds must not be seen."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Secret:
    """Holds a key. Only `reveal()` gives it; `str`, `repr` and format give stars; comparison works, ordering does not."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

"""A value that must not be seen. It prints as stars, and no encoder of ours writes it."""

from __future__ import annotations


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

"""Puts the pieces of parallel tool calls together, whatever a service makes of `index` and `id`. No wire's JSON here.

Services that call themselves compatible leave `index` out, send 0 for every call, repeat ids and names in each piece, make up a new id for each
piece, or send a call whole, twice. The rules below were collected from their users' reports.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
from msgspec import Struct, field

from agentcli.providers.base import CallPart


def fresh_id() -> str:
    return f"call_{os.urandom(6).hex()}"


class _Call(Struct):
    number: int
    wire_id: str
    name: str = ""
    id: str = ""
    text: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, arguments: str) -> None:
        self.text.append(arguments)
        self.size += len(arguments)

    def is_whole(self) -> bool:
        """Whether the arguments so far are a JSON object, so that no further piece can belong to them."""
        if not self.text or not self.text[-1].rstrip().endswith("}"):
            return False
        try:
            return isinstance(msgspec.json.decode("".join(self.text)), dict)
        except (ValueError, RecursionError):
            return False

    def is_said_again(self, arguments: str) -> bool:
        return len(arguments) == self.size and arguments == "".join(self.text) and self.is_whole()


class CallPieces(Struct):
    """The tool calls of one answer. A call is given out from the piece on that names it; what came before its name is held until then."""

    new_id: Callable[[], str] = fresh_id
    _calls: list[_Call] = field(default_factory=list)
    _by_index: dict[int, _Call] = field(default_factory=dict)
    _by_id: dict[str, _Call] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def nameless(self) -> bool:
        """Whether some call was never named."""
        return any(not call.name and call.text for call in self._calls)

    def feed(self, index: int | None, wire_id: str, name: str, arguments: str, opaque: str = "") -> list[CallPart]:
        call = self._find(index, wire_id, name, arguments) or self._open(wire_id)
        if index is not None:
            self._by_index[index] = call
        if wire_id:
            self._by_id.setdefault(wire_id, call)
            call.wire_id = call.wire_id or wire_id
        if arguments and call.is_said_again(arguments):
            return []
        if arguments:
            call.add(arguments)
        if call.name:
            return [CallPart(call.number, "", "", arguments, opaque)] if arguments or opaque else []
        if not name:
            return []
        call.name = name
        call.id = self._unique(call.wire_id)
        return [CallPart(call.number, call.id, name, "".join(call.text), opaque)]

    def _find(self, index: int | None, wire_id: str, name: str, arguments: str) -> _Call | None:
        """The call that a piece belongs to; None: it begins one."""
        here = self._by_index.get(index) if index is not None else None
        if here is not None and (not wire_id or not here.wire_id or wire_id == here.wire_id):
            begins = name and here.name and arguments and not (wire_id and wire_id == here.wire_id) and here.is_whole()
            return None if begins else here
        known = self._by_id.get(wire_id)
        if known is not None and (here is not None or index is None or not name):
            return known
        if here is not None:
            return None if name and here.name else here
        last = self._calls[-1] if self._calls else None
        if last is not None and not wire_id and (not name or (index is None and not last.name)):
            return last
        return None

    def _open(self, wire_id: str) -> _Call:
        call = _Call(len(self._calls), wire_id)
        self._calls.append(call)
        return call

    def _unique(self, wire_id: str) -> str:
        taken = {call.id for call in self._calls}
        return wire_id if wire_id and wire_id not in taken else self.new_id()

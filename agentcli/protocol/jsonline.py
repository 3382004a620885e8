"""One value as one line of JSON, whatever text is in it. Session files and scripts read such lines."""

from __future__ import annotations

import re

import msgspec

from agentcli.protocol.text import utf8

_BREAKS_LINES = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What some readers take for a line break (U+0085, U+2028, U+2029) or a terminal for a command (C1, bidi). JSON has them only in
strings, where an escape means the same."""


def json_line(value: object) -> bytes:
    """UTF-8 JSON without a line break of any kind. A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        line = msgspec.json.encode(value)
    except UnicodeEncodeError:
        line = msgspec.json.encode(_without_surrogates(msgspec.to_builtins(value)))
    if line.isascii() and b"\x7f" not in line:
        return line
    return _BREAKS_LINES.sub(_escaped, line.decode()).encode()


def _without_surrogates(value: object) -> object:
    """The same plain data; halves of a pair that stand together are joined, lone ones replaced."""
    match value:
        case str():
            return utf8(value)
        case dict():
            return {_without_surrogates(key): _without_surrogates(part) for key, part in value.items()}
        case list() | tuple():
            return [_without_surrogates(part) for part in value]
        case _:
            return value


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"

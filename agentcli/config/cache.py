"""Parsed config, kept in the person's cache so that an unchanged file needs neither `hcl2` nor pydantic (0.2 to 0.3 s a start).

An entry is for one text: it holds the digest of the bytes that it came from, so a changed file misses whatever its times say. Secrets written in
a file are kept as offsets into it. Whatever is wrong with an entry, or with the cache, is the same as no entry.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from agentcli.config.files import TEXT_NAME, ConfigText, replace_file
from agentcli.config.layer import Leaf
from agentcli.config.literals import BadLiteral
from agentcli.protocol.errors import StorageError
from agentcli.version import __version__

_CHECK = 32
_MAKERS = ("hcl.py", "layer.py", "literals.py", "reading.py", "schema.py", "tree.py")


class _Entry(Struct, frozen=True, array_like=True):
    stamp: str
    digest: str
    leaves: tuple[Leaf, ...]


def recall(cache_dir: Path, source: ConfigText) -> tuple[Leaf, ...] | None:
    """The leaves of this very text, or None."""
    try:
        data = _file(cache_dir, source).read_bytes()
        if sha256(data[_CHECK:]).digest() != data[:_CHECK]:
            return None
        entry = msgspec.msgpack.decode(data[_CHECK:], type=_Entry)
        if entry.stamp != _stamp() or entry.digest != source.digest:
            return None
        return tuple(leaf.opened(source.text) for leaf in entry.leaves)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, BadLiteral):
        return None


def keep(cache_dir: Path, source: ConfigText, leaves: tuple[Leaf, ...]) -> None:
    """Writes an entry. A cache that cannot be written costs time at the next start, nothing else."""
    entry = _Entry(_stamp(), source.digest, tuple(leaf.sealed() for leaf in leaves))
    try:
        data = msgspec.msgpack.encode(entry)
        replace_file(_file(cache_dir, source), sha256(data).digest() + data)
    except (OSError, StorageError):
        return


def _file(cache_dir: Path, source: ConfigText) -> Path:
    """One file a config path; texts without a path share 256, so that they do not pile up."""
    name = f"text-{source.digest[:2]}" if source.name == TEXT_NAME else sha256(os.fsencode(source.name)).hexdigest()[:32]
    return cache_dir / "config" / f"{name}.msgpack"


def _stamp() -> str:
    """Changes with the version and with the code that makes the leaves (a checkout's code changes without a version)."""
    here = Path(__file__).parent
    try:
        return ":".join((__version__, *(str((here / name).stat().st_mtime_ns) for name in _MAKERS)))
    except OSError:
        return __version__

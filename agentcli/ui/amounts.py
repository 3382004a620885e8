"""Tokens, money and time in few characters, as people read them."""

from __future__ import annotations


def tokens(count: int) -> str:
    """`950 tok`, `12.4k tok`, `1.2M tok`."""
    if count < 1000:
        return f"{count} tok"
    if count < 999_950:
        return f"{count / 1000:.1f}k tok"
    return f"{count / 1_000_000:.1f}M tok"


def money(usd: float | None) -> str:
    """`$1.20`, `$0.004`, `$0`; an unknown price is said to be unknown, never 0."""
    if usd is None:
        return "price unknown"
    if usd == 0:
        return "$0"
    if usd >= 1:
        return f"${usd:.2f}"
    return f"${usd:.4f}".rstrip("0") if usd >= 0.0001 else "<$0.0001"


def duration(milliseconds: int) -> str:
    """`120 ms`, `8.2 s`, `3 min 5 s`."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def clock(seconds: float) -> str:
    """Whole seconds in a column: `8s`, `3m05s`, `1h02m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def megabytes(size: int) -> str:
    """`491 MB`, of a million bytes each."""
    return f"{size / 1_000_000:.0f} MB"


def count(number: int, word: str) -> str:
    """`1 turn`, `2 turns`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

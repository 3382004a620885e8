"""Rows in columns, for what slash commands say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agentcli.protocol.text import clean
from agentcli.ui.lines import LEAD, Line, columns, padded

WIDEST = 44


def table(head: Sequence[str], rows: Sequence[Sequence[str]], widest: int = WIDEST) -> list[Line]:
    """A head and rows, each column as wide as its widest cell up to `widest`; the last one wraps under its own start."""
    widths = columns([head, *rows], widest)
    out: list[Line] = [_row(head, widths, "dim")] if any(head) else []
    return [*out, *(_row(row, widths, "") for row in rows)]


def _row(row: Sequence[str], widths: Sequence[int], style: str) -> Line:
    *cells, last = row
    lead = "".join(f"{padded(cell, width)}  " for cell, width in zip(cells, widths, strict=False))
    return [(LEAD, lead), (style, clean(last, keep_newlines=False))]

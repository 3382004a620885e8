"""`/compact` as a person meets it: what it says while it works and after, how it is called off, and what is typed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.terminal import BUSY, ESC, Terminal

Open = Callable[..., Terminal]


def test_compact_says_what_it_does_can_be_called_off_and_what_is_typed_meanwhile_comes_after(session: Open, tmp_path: Path) -> None:
    script: list[dict[str, Any]] = [
        {"when": "<conversation>", "text": "Half a summ", "hang": True},
        {"when": "<conversation>", "text": "They talked.", "first_delay_s": 0.4},
        {"when": "last words", "text": "I go on."},
        {"text": "Long answer. " * 40, "repeat": True},
    ]
    terminal = session(script)
    terminal.enter("/compact")
    terminal.see("nothing was said yet, so there is nothing to compact.")
    for text in ("first", "second", "third"):
        terminal.enter(text)
        terminal.see(f"> {text}", "1 turn")
        terminal.ready()
    terminal.enter("/compact")
    terminal.see("compacting the history", BUSY)
    terminal.type(ESC)
    terminal.see("interrupted.")
    terminal.ready()
    terminal.enter("/compact the plan")
    terminal.see("compacting the history")
    terminal.enter("last words")
    terminal.see("history compacted from", "> last words", "I go on.")
    terminal.ready()
    assert "Half a summ" not in terminal.everything
    assert "They talked." not in terminal.everything

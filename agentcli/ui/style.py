"""What the style names of prompts, menus and questions look like: the terminal's own sixteen colours, no backgrounds."""

from __future__ import annotations

from prompt_toolkit.styles import Style

NAMES = {
    "dim": "dim", "bold": "bold", "key": "ansicyan", "title": "bold", "warn": "ansiyellow", "bad": "ansired", "good": "ansigreen",
    "chosen": "bold ansicyan", "typed": "", "cursor": "reverse", "marker": "bold ansicyan", "marker.plan": "bold ansiyellow",
    "marker.bypass": "bold ansired", "marker.busy": "dim",
    "completion-menu": "noinherit", "completion-menu.completion": "noinherit", "completion-menu.completion.current": "noinherit bold ansicyan",
    "completion-menu.meta.completion": "noinherit dim", "completion-menu.meta.completion.current": "noinherit ansicyan",
    "scrollbar.background": "noinherit", "scrollbar.button": "noinherit dim", "search-toolbar": "noinherit",
}  # fmt: skip


def style() -> Style:
    return Style.from_dict(NAMES)

"""How the terminal may be written to: in colour, without colour, or in plain words for a screen reader. No rich here."""

from __future__ import annotations

from typing import Literal

from agentcli.sdk.terminal import Terminal

Look = Literal["colour", "mono", "plain"]
"""`colour`: the terminal's own sixteen colours. `mono`: the same marks and lines without any escape code. `plain`: words in place of marks,
no drawn lines, nothing that spins."""


def look_of(terminal: Terminal, colour: str = "auto", *, plain: bool = False) -> Look:
    """The look for a terminal; `colour` is the word of `--color`: auto, always or never."""
    if plain or terminal.term in ("", "dumb"):
        return "plain"
    if colour == "always":
        return "colour"
    return "mono" if colour == "never" or terminal.no_color else "colour"

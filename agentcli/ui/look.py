"""How the terminal may be written to: in colour, without colour, or in plain words for a screen reader. No rich here."""

from __future__ import annotations

from typing import Literal

from agentcli.sdk.saved import variable
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


def reflows(facts: Terminal) -> bool:
    """Whether it wraps its lines anew when it gets narrower. Most do; xterm, the Linux console and GNU screen cut."""
    if variable("XTERM_VERSION") or facts.term.startswith(("linux", "vt")):
        return False
    return not (facts.term.startswith("screen") and variable("STY"))

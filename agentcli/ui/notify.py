"""How a person who looked away is called: what is written to the terminal for it."""

from __future__ import annotations

from agentcli.protocol.text import one_line

BELL = "\a"


def signal_for(kind: str, text: str) -> str:
    """`bell`: the bell; `desktop`: a notification by OSC 9, which kitty, WezTerm, iTerm2 and foot show, and the bell; `off`: nothing."""
    match kind:
        case "bell":
            return BELL
        case "desktop":
            return f"\x1b]9;{one_line(text, 120)}\x1b\\{BELL}"
        case _:
            return ""

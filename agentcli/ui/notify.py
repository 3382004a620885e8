"""What is written to the terminal beside the screen: a call for a person who looked away, a text for the clipboard."""

from __future__ import annotations

import base64

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


def copied(text: str) -> str:
    """OSC 52: the terminal, also one at the far end of an ssh connection, puts the text into its clipboard. Not all do."""
    return f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode()}\x1b\\"

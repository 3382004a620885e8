"""How names that a person or a model wrote are matched: the nearest known ones, and the spellings of a permission mode. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcli.protocol.events import PermissionMode


def nearest(word: str, known: Iterable[str], count: int = 3, cutoff: float = 0.0) -> tuple[str, ...]:
    """Up to `count` of the known names, best first; case does not matter. Only those at least `cutoff` alike (0 to 1).

    A name `provider/id` is compared whole and by its id alone, so that `gpt4o` finds `openai/gpt-4o`.
    """
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(word.casefold())

    def likeness(name: str) -> float:
        folded = name.casefold()
        best = 0.0
        for form in {folded, folded.partition("/")[2] or folded}:
            matcher.set_seq1(form)
            best = max(best, matcher.ratio())
        return best

    scored = sorted((-likeness(name), name) for name in dict.fromkeys(known))
    return tuple(name for score, name in scored if -score >= cutoff)[:count]


def permission_mode(text: str) -> PermissionMode | None:
    """The mode that a spelling names, Claude Code's included (`acceptEdits`, `bypassPermissions`); None where it names none."""
    match text.strip().casefold().replace("_", "").replace("-", ""):
        case "default":
            return "default"
        case "acceptedits":
            return "accept-edits"
        case "plan":
            return "plan"
        case "auto":
            return "auto"
        case "bypass" | "bypasspermissions":
            return "bypass"
        case _:
            return None

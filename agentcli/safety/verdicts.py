"""How several verdicts become one. No rule and no path is looked at here."""

from __future__ import annotations

from collections.abc import Iterable

from agentcli.safety.files import ALLOWED, allow_flag
from agentcli.safety.policy import Verdict


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict for all: a deny if there is one, else everything that is asked, else allow."""
    asked: list[Verdict] = []
    last = ALLOWED
    for verdict in verdicts:
        if verdict.decision == "deny":
            return verdict
        if verdict.decision == "ask":
            asked.append(verdict)
        else:
            last = verdict
    if not asked:
        return last
    reasons = tuple(dict.fromkeys(verdict.reason for verdict in asked))
    rules = tuple(dict.fromkeys(verdict.rule for verdict in asked))
    rule = "" if "" in rules else ", ".join(rules)
    more = f" And {len(reasons) - 1} more such point{'s' * (len(reasons) > 2)}." if len(reasons) > 1 else ""
    suggestions = {verdict.suggestion for verdict in asked}
    suggestion = "" if "" in suggestions else suggestions.pop() if len(suggestions) == 1 else allow_flag(rule)
    touches = tuple(dict.fromkeys(touch for verdict in asked for touch in verdict.touches))
    return Verdict("ask", reasons[0] + more, rule, suggestion, touches)

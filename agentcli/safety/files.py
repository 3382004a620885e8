"""May a file be read or changed? By real path against the workspace, the rules and the mode; used for file tools and shell commands alike."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from agentcli.safety.paths import inside, relative, resolve, written
from agentcli.safety.patterns import CHANGES, READS, Place, Rule
from agentcli.safety.policy import Policy, Verdict

Kind = Literal["read", "change"]

ALLOWED = Verdict("allow", "")
BYPASS = "--permission-mode bypass"
CLONE = "this worker works in a clone of its own"

_GUARDED = re.compile(
    r"(?:.*/)?(?:"
    r"\.git|\.agentcli|\.claude|\.agents|\.husky|\.ssh|\.gnupg|\.config/(?:agentcli|git|fish)|"
    r"agent\.(?:hcl|acl)|\.mcp\.json|\.envrc|\.gitconfig|\.netrc|\.pypirc|\.npmrc|\.vscode/(?:settings|tasks|launch)\.json|"
    r"\.(?:bashrc|bash_profile|bash_login|bash_logout|bash_aliases|profile|zshrc|zshenv|zprofile|zlogin|zlogout|kshrc|cshrc|tcshrc|inputrc)"
    r")(?:/.*)?",
    re.IGNORECASE | re.DOTALL,
)
"""What decides how programs behave later: git's own folder, agents' settings, start files of shells. Folders with all below them."""
_GITS = re.compile(r"(?:.*/)?\.git(?:/.*)?", re.IGNORECASE | re.DOTALL)
_FILE_TOOLS = READS | CHANGES
WORKSPACE = "workspace"
"""The name under which it is judged whether a worker may work in a folder. Nothing is read or changed by that yet."""
_PROCESSES = Path("/proc")
"""What is written so means another file in each process."""


def place(cwd: Path, text: str) -> Place:
    """Raises `ToolError` where the text can be no path."""
    return Place(written(cwd, text), resolve(cwd, text))


def judge_path(policy: Policy, tool: str, where: Place, kind: Kind, *, covered: bool = False) -> Verdict:
    """One file. `covered`: something else already permits the deed itself, so that only where it happens counts."""
    rules = _Rules(policy, tool, kind)
    shown = display(policy, where)
    touches = (f"{'reads' if kind == 'read' else 'changes'} {shown}",)
    found = rules.first(policy.deny, where, forbid=True)
    if found is not None:
        return Verdict("deny", f"the rule {found.text} forbids {shown}.", found.text, "", touches)
    bound = confined_path(policy, where) if kind == "change" or tool == WORKSPACE else None
    if bound is not None and (bound.decision == "deny" or policy.mode == "bypass"):
        return bound
    if policy.mode == "bypass":
        return ALLOWED
    if kind == "change" and policy.mode == "plan":
        return Verdict("deny", "plan mode changes nothing.", "", "--permission-mode accept-edits", touches)
    found = rules.first(policy.ask, where, forbid=True)
    if found is not None:
        return Verdict("ask", f"the rule {found.text} asks about {shown}.", "", BYPASS, touches)
    if kind == "change" and guarded(policy, where):
        return Verdict("ask", f"{shown} decides how git, a shell or an agent behaves; changing it is always asked.", "", BYPASS, touches)
    named = rules.first(policy.allow, where, forbid=False)
    if named is not None:
        return Verdict("allow", "", named.text)
    if kind == "change" and _shared(where.real):
        rule = path_rule("edit", str(where.real))
        reason = f"{shown} has other names (hard links), maybe outside the workspace; changing it is asked."
        return Verdict("ask", reason, rule, allow_flag(rule), touches)
    if inside(where.real, policy.roots) and not inside(where.written, (_PROCESSES,)):
        return _inside(policy, tool, where, kind, covered=covered, touches=touches)
    if kind == "read" and tool != WORKSPACE and inside(where.real, policy.read_roots):
        return ALLOWED
    rule = "" if _too_much(policy, where) else path_rule(tool if tool == WORKSPACE else "read" if kind == "read" else "edit", str(where.real))
    doing = "working in" if tool == WORKSPACE else "reading" if kind == "read" else "changing"
    return Verdict("ask", f"{shown} is outside the workspace; {doing} it is asked.", rule, allow_flag(rule), touches)


def confined_path(policy: Policy, where: Place) -> Verdict | None:
    """Why an agent that is confined to a clone may not change a file, or is asked; None where that it is confined says nothing."""
    if not policy.confined:
        return None
    shown = display(policy, where)
    touches = (f"changes {shown}",)
    if not inside(where.real, policy.roots) or inside(where.written, (_PROCESSES,)):
        return Verdict("deny", f"{shown} is outside of {policy.cwd}, and {CLONE}.", "", "", touches)
    if any(_GITS.fullmatch(name) for name in _names(policy, where)):
        return Verdict("ask", f"{shown} decides where git writes, and {CLONE}.", "", "", touches)
    return None


def _shared(path: Path) -> bool:
    """Whether a file has more than one name: package managers link what they install to what all projects share."""
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def _names(policy: Policy, where: Place) -> Iterator[str]:
    """A path from each root that it is in, else as it is; as written and where it really leads."""
    for path in (where.written, where.real):
        yield from [name for root in policy.roots if (name := relative(path, root)) is not None] or [str(path)]


def _inside(policy: Policy, tool: str, where: Place, kind: Kind, *, covered: bool, touches: tuple[str, ...]) -> Verdict:
    bare = next((rule for rule in policy.allow if rule.names(tool) or (kind == "change" and tool not in _FILE_TOOLS and _changes_bare(rule))), None)
    if covered or kind == "read" or bare is not None or policy.mode in ("accept-edits", "auto"):
        return Verdict("allow", "", bare.text if bare else "")
    name = relative(where.real, policy.cwd)
    rule = path_rule("edit", f"./{name}" if name is not None else str(where.real))
    return Verdict("ask", f"changing {display(policy, where)} is asked in this mode.", rule, "--permission-mode accept-edits", touches)


def _too_much(policy: Policy, where: Place) -> bool:
    """Whether a rule for this path, and so for all below it, would be more than anybody means to allow by one answer."""
    tops = (*policy.roots, Path(os.path.expanduser("~")))  # noqa: PTH111 never raises
    return any(inside(top, (where.real,)) for top in tops) or inside(where.written, (_PROCESSES,))


def guarded(policy: Policy, where: Place) -> bool:
    """Whether a file decides how programs behave later."""
    return any(_GUARDED.fullmatch(name) for name in _names(policy, where))


def display(policy: Policy, where: Place) -> str:
    """A path for a person: short inside the workspace, and where a link leads."""
    shown = next((name for root in policy.roots if (name := relative(where.written, root)) is not None), None)
    text = str(where.written) if shown is None else shown or "."
    if where.real == where.written or (shown is not None and inside(where.real, policy.roots)):
        return text
    return f"{text} (really {where.real})"


def path_rule(tool: str, path: str) -> str:
    """The rule that names exactly this path; "" where no rule can."""
    if "\n" in path or "(" in path or ")" in path:
        return ""
    escaped = re.sub(r"([*?\[\\])", r"\\\1", path)
    return f"{tool}({escaped})"


def allow_flag(rules: str) -> str:
    """The flag that adds these rules, quoted for a shell."""
    if not rules:
        return BYPASS
    quoted = rules.replace("'", "'\\''")
    return f"--allowed-tools '{quoted}'"


def _changes_bare(rule: Rule) -> bool:
    return any(rule.names(tool) for tool in CHANGES)


class _Rules:
    """The rules that speak of reading or changing files with one tool."""

    def __init__(self, policy: Policy, tool: str, kind: Kind) -> None:
        self.roots = policy.roots
        self.tool = tool
        self.kind = kind

    def first(self, rules: Iterable[Rule], where: Place, *, forbid: bool) -> Rule | None:
        side: Literal["allow", "forbid"] = "forbid" if forbid else "allow"
        for rule in rules:
            if rule.path is not None and self.speaks(rule, forbid) and rule.path.matches(where, self.roots, side):
                return rule
            if forbid and self.tool not in _FILE_TOOLS and self.bare(rule):
                return rule
        return None

    def speaks(self, rule: Rule, forbid: bool) -> bool:
        if self.tool == WORKSPACE and not forbid:
            return rule.tool == WORKSPACE  # that a folder may be read does not mean that somebody may work in it
        if self.kind == "read":
            return rule.tool in ("read", self.tool)
        return rule.tool in CHANGES or (forbid and rule.tool == "read" and self.tool == "edit")

    def bare(self, rule: Rule) -> bool:
        """A bare rule for the file tools holds for what a shell command does with files too."""
        return rule.names("read") if self.kind == "read" else _changes_bare(rule)

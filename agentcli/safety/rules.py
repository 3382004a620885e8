"""The decision on a tool's call: allow, ask or deny, and why. Nothing is asked or run here; only where paths lead is looked up.

A deny outranks an ask, an ask an allow, whatever layer a rule comes from. The pieces that a caller needs are offered from here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from agentcli.protocol.errors import ToolError
from agentcli.protocol.tools import Access
from agentcli.safety.files import ALLOWED, BYPASS, CLONE, Kind, allow_flag, judge_path, place
from agentcli.safety.patterns import Rule, parse_rule, parse_rules, split_rules
from agentcli.safety.policy import Policy, Verdict
from agentcli.safety.verdicts import strictest

__all__ = ["Policy", "Rule", "Verdict", "denied_globs", "judge", "parse_rule", "parse_rules", "split_rules"]


def judge(policy: Policy, tool_name: str, access: Access) -> Verdict:
    """What `policy`, and every policy that it is bound by, says of a call. Never raises.

    The file system is read for links and patterns. The first command judged imports the shell grammar (30 ms); from then on a usual one
    costs about 0.3 ms.
    """
    try:
        return strictest((_alone(policy, tool_name, access), *(judge(outer, tool_name, access) for outer in policy.within)))
    except ToolError as error:
        return Verdict("deny", f"{error.message}.")


def denied_globs(policy: Policy) -> tuple[str, ...]:
    """Patterns of files that may not be read, as gitignore-like globs from the workspace, for tools that look through folders."""
    found: list[str] = []
    for rule in policy.deny:
        if rule.path is not None and rule.tool == "read":
            found += _glob(rule, policy)
    for outer in policy.within:
        found += denied_globs(outer)
    return tuple(dict.fromkeys(found))


def _alone(policy: Policy, tool: str, access: Access) -> Verdict:
    denied = next((rule for rule in policy.deny if _bare(rule, tool, access)), None)
    if denied is not None:
        return Verdict("deny", f"the rule {denied.text} forbids this tool.", denied.text)
    if access.own:
        return ALLOWED
    points = tuple(_points(policy, tool, access))
    asked = next((rule for rule in policy.ask if _bare(rule, tool, access)), None)
    if asked is not None and policy.mode != "bypass":
        points += (Verdict("ask", f"the rule {asked.text} asks about this tool.", "", BYPASS),)
    return strictest(points)


def _bare(rule: Rule, tool: str, access: Access) -> bool:
    return rule.names(tool) or (bool(access.agent) and rule.names("task"))


def _points(policy: Policy, tool: str, access: Access) -> Iterator[Verdict]:
    """One verdict for each thing that a call would touch."""
    yield from _files(policy, tool, access.reads, "read")
    yield from _files(policy, tool, access.writes, "change")
    if access.command:
        from agentcli.safety.commands import judge_command

        yield judge_command(policy, tool, access.command)
    elif tool == "bash":
        yield Verdict("deny", "the command is empty.")
    if access.url:
        yield _url(policy, tool, access.url)
    if access.agent or access.model:
        yield from _worker(policy, tool, access)
    if access.mcp or not (access.reads or access.writes or access.command or access.url or access.agent or access.model):
        yield _unknown(policy, tool)


def _files(policy: Policy, tool: str, paths: Iterable[str], kind: Kind) -> Iterator[Verdict]:
    for text in paths:
        yield judge_path(policy, tool, place(policy.cwd, text), kind)


def _url(policy: Policy, tool: str, url: str) -> Verdict:
    host = _host(url)
    touches = (f"fetches {url}",)
    denied = _named(policy.deny, host)
    if denied is not None:
        return Verdict("deny", f"the rule {denied.text} forbids {host}.", denied.text, "", touches)
    if policy.mode == "bypass":
        return ALLOWED
    asked = _named(policy.ask, host)
    if asked is not None:
        return Verdict("ask", f"the rule {asked.text} asks about {host}.", "", BYPASS, touches)
    allowed = _named(policy.allow, host) or next((rule for rule in policy.allow if rule.names(tool)), None)
    if allowed is not None and (host or allowed.kind == "tool"):
        return Verdict("allow", "", allowed.text)
    rule = f"web_fetch(domain:{host})" if host else ""
    return Verdict("ask", f"fetching from {host or 'this address'} is asked.", rule, allow_flag(rule), touches)


def _named(rules: Iterable[Rule], host: str) -> Rule | None:
    return next((rule for rule in rules if rule.kind == "host" and (host == rule.pattern or host.endswith(f".{rule.pattern}"))), None)


def _host(url: str) -> str:
    """The host of an address; "" where parsers may differ on what it is."""
    from urllib.parse import urlsplit

    if "\\" in url or not url.isprintable() or " " in url.strip():
        return ""
    try:
        parts = urlsplit(url.strip() if "://" in url else f"https://{url.strip()}")
        name = parts.hostname or ""
        return name.encode("idna").decode("ascii").rstrip(".").lower() if name and not name.isascii() else name.rstrip(".")
    except ValueError:
        return ""


def _worker(policy: Policy, tool: str, access: Access) -> Iterator[Verdict]:
    """Starting a worker asks nothing by itself; what it does is judged as its parent's doing would be."""
    named = [("agent", name.strip()) for name in access.agent.split(",") if name.strip()]
    if access.model:
        named.append(("model", access.model))
    for kind, name in named:
        denied = _globbed(policy.deny, kind, name)
        if denied is not None:
            yield Verdict("deny", f"the rule {denied.text} forbids the {kind} {name}.", denied.text)
        asked = _globbed(policy.ask, kind, name)
        if policy.mode == "bypass":
            yield ALLOWED
        elif asked is not None:
            yield Verdict("ask", f"the rule {asked.text} asks about the {kind} {name}.", "", BYPASS, (f"{kind} {name}",))
        elif tool == "model" and _globbed(policy.allow, kind, name) is None and not any(rule.names(tool) for rule in policy.allow):
            rule = f"model({name})"
            yield Verdict("ask", f"sending this session's work to a {name} model is asked.", rule, allow_flag(rule), (f"{kind} {name}",))
        else:
            yield ALLOWED


def _globbed(rules: Iterable[Rule], kind: str, name: str) -> Rule | None:
    return next((rule for rule in rules if rule.kind == kind and rule.glob is not None and rule.glob.fullmatch(name)), None)


def _unknown(policy: Policy, tool: str) -> Verdict:
    """A tool that does not say what it touches: of a server, of a program that uses the library."""
    if policy.mode == "bypass" and not policy.confined:
        return ALLOWED
    allowed = next((rule for rule in policy.allow if rule.names(tool)), None)
    if allowed is not None and policy.mode != "plan":
        return Verdict("allow", "", allowed.text)
    rule = "" if policy.mode == "plan" else tool
    flag = "--permission-mode default" if policy.mode == "plan" else allow_flag(rule)
    why = f", and {CLONE}" if policy.confined else ""
    return Verdict("ask", f"what {tool} touches is not known{why}.", rule, flag, (f"calls {tool}",))


def _glob(rule: Rule, policy: Policy) -> Iterator[str]:
    pattern = rule.pattern
    if pattern.startswith("~"):
        pattern = os.path.expanduser(pattern)  # noqa: PTH111
    if pattern.startswith("./"):
        anchored = pattern[1:]
    elif pattern.startswith("/") or ("/" in pattern.rstrip("/") and not pattern.startswith("**/")):
        anchored = f"/{pattern.lstrip('/')}"
    else:
        yield pattern
        return
    yield anchored
    for root in policy.roots:
        if anchored.startswith(f"{root}/"):
            yield anchored[len(str(root)) :]
        yield from _behind_links(anchored, root)
    yield from _behind_links(anchored, Path("/"))


def _behind_links(pattern: str, base: Path) -> Iterator[str]:
    """The same files by the real path of the folders that a pattern names, where links lead elsewhere."""
    parts = [part for part in pattern.split("/") if part]
    wild = next((at for at, part in enumerate(parts) if re.search(r"[*?\[\\]", part)), len(parts))
    named = base.joinpath(*parts[:wild])
    real = Path(os.path.realpath(named))
    if real != named:
        yield "/".join([re.sub(r"([*?\[\\])", r"\\\1", str(real)), *parts[wild:]])

"""May a shell command run? Every simple command that it would run is judged by itself, with the files that it names and the shell opens
for it; the strictest answer holds for the whole. What cannot be told before it runs is asked.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentcli.protocol.errors import ConfigError
from agentcli.safety.confinement import confine
from agentcli.safety.files import BYPASS, Kind, allow_flag, judge_path
from agentcli.safety.findings import Redirect, Script, Simple
from agentcli.safety.gits import git_plain, git_reach
from agentcli.safety.paths import inside
from agentcli.safety.patterns import Match, Place, Rule, Side, parse_rules
from agentcli.safety.policy import Policy, Verdict
from agentcli.safety.programs import INTERPRETERS, PRINTERS, SAFE_COMMANDS, use_of
from agentcli.safety.repositories import runs_programs
from agentcli.safety.scene import Scene
from agentcli.safety.shell import analyse
from agentcli.safety.use import Use, dangerous_variable, harmless_variable
from agentcli.safety.verdicts import strictest
from agentcli.safety.words import SYSTEM_FOLDERS, Word, program_name, word
from agentcli.safety.wrappers import PRIVILEGED

_MOST_LOOKED_AT = 5_000
"""Files of a folder that is read whole, looked at for one that a rule denies. 5,000 cost about 10 ms."""
_LISTING = (PRINTERS - {"[["}) | {"printf"}
"""Commands of which a pattern prints the names in a folder, and nothing else looks at them."""
_PARTS = 2
_LED_BY_PARTS = frozenset((
    "git", "npm", "pnpm", "yarn", "bun", "cargo", "go", "uv", "pip", "pip3", "poetry", "docker", "kubectl", "gh", "make", "just", "bundle",
    "dotnet", "composer", "terraform", "mix", "gradle", "./gradlew", "mvn",
))  # fmt: skip
"""Programs whose first argument says what they do: "always" is offered for that much."""
_TOOLS = frozenset(("pytest", "ruff", "mypy", "black", "flake8", "pylint", "tsc", "eslint", "prettier", "jest", "vitest", "ctest", "tox", "nox"))
"""Programs of which "always" is offered whole: they check or test the project."""


def judge_command(policy: Policy, tool: str, command: str) -> Verdict:
    """The verdict of `policy` alone on one shell command. Reads the file system for links and patterns. Raises
    `ToolError` where a word cannot be the path it is used as."""
    if not command.strip():
        return Verdict("deny", "the command is empty.")
    script = analyse(command)
    return _Judge(policy, tool, command, script).verdict()


class _Judge:
    def __init__(self, policy: Policy, tool: str, command: str, script: Script) -> None:
        self.policy = policy
        self.tool = tool
        self.command = command
        self.script = script
        self.scene = Scene(policy.cwd, script)
        self.maybe: list[Rule] = []
        """Rules that forbid and may match once it is known what runs."""

    def verdict(self) -> Verdict:
        denied = self.denied()
        if denied is not None:
            return denied
        bounds = tuple(confine(self.policy, self.scene, self.command)) if self.policy.confined else ()
        if self.policy.mode == "bypass":
            return strictest(bounds)
        if not self.script.parsed:
            return strictest((*bounds, self.unparsed()))
        return strictest((*bounds, *self.points()))

    def points(self) -> Iterator[Verdict]:
        for rule in self.maybe:
            yield Verdict("ask", f"it may do what the rule {rule.text} forbids; that is known only when it runs.", "", BYPASS)
        if not self.everything():
            for reason in self.script.unclear:
                yield Verdict("ask", f"{reason}.", "", BYPASS)
        for simple in self.script.commands:
            yield from self.simple(simple)

    # --- rules that forbid ---

    def denied(self) -> Verdict | None:
        for rule in self.policy.deny:
            match = self.forbids(rule)
            if match == "yes":
                return Verdict("deny", f"the rule {rule.text} forbids this command.", rule.text)
            if match == "maybe":
                self.maybe.append(rule)
        return None

    def forbids(self, rule: Rule) -> Match:
        if rule.command is not None:
            found = {_matches(rule, simple, "forbid") for simple in self.script.commands}
            if not self.script.parsed and _mentions(self.command, rule.command.words[0]):
                return "yes"
        elif rule.path is not None or rule.kind == "tool":
            found = {self.forbids_files(rule, simple) for simple in self.script.commands}
        else:
            return "no"
        return "yes" if "yes" in found else "maybe" if "maybe" in found else "no"

    def forbids_files(self, rule: Rule, simple: Simple) -> Match:
        alone = Policy("bypass", self.policy.roots, deny=(rule,))
        for redirect in simple.redirects:
            opened = self.scene.places(redirect.path, simple, guess=True) or ()
            if any(judge_path(alone, "bash", where, _kind(redirect)).decision == "deny" for where in opened):
                return "yes"
        if not simple.words:
            return "no"
        use = use_of(simple.words)
        if rule.path is not None:
            named = [] if program_name(simple.words[0]) in PRINTERS - {"test", "[", "[["} else simple.words[1:]
            if any(rule.path.matches(where, self.policy.roots, "forbid") for one in named for where in self.named(one, simple)):
                return "yes"
        for words, kind in ((use.reads, "read"), (use.writes, "change")):
            for one in words:
                for where in self.scene.places(one, simple, guess=True) or ():
                    if judge_path(alone, "bash", where, "read" if kind == "read" else "change").decision == "deny":
                        return "yes"
        return "maybe" if use.deep and rule.path is not None and rule.tool == "read" and self.holds(rule, use, simple) else "no"

    def named(self, one: Word, simple: Simple) -> Iterator[Place]:
        """Every file that a word may mean: whole, behind `=`, `@` or `:`, glued to an option."""
        text = one.text
        if text is None:
            return
        texts = {text, text.rpartition("=")[2], text.rpartition("@")[2], *text.split(":")}
        if text.startswith("-") and not text.startswith("--"):
            texts.add(text[2:])
        for part in sorted(texts - {"", "-"}):
            if not (part.startswith("-") and part == text):
                yield from self.scene.places(Word(part, part, part, one.glob), simple, guess=True) or ()

    def holds(self, rule: Rule, use: Use, simple: Simple) -> bool:
        """Whether a folder that is read whole holds a file that the rule forbids; also true where there is too much to look at."""
        left = _MOST_LOOKED_AT
        for one in use.reads or (word("."),):
            for where in self.scene.places(one, simple, guess=True) or ():
                for folder, folders, files in os.walk(where.real):
                    if use.deep == "visible":
                        folders[:] = [name for name in folders if not name.startswith(".")]
                        files = [name for name in files if not name.startswith(".")]
                    left -= len(files) + 1
                    if left < 0:
                        return True
                    paths = (Path(folder, name) for name in (*files, *folders))
                    if rule.path is not None and any(rule.path.matches(Place(path, path), self.policy.roots, "forbid") for path in paths):
                        return True
        return False

    # --- one command ---

    def simple(self, simple: Simple) -> Iterator[Verdict]:
        for redirect in simple.redirects:
            yield from self.file(redirect.path, simple, _kind(redirect), covered=False)
        if not simple.words:
            yield from self.assignments(simple, None)
            return
        use = self.scene.use(simple)
        name = program_name(simple.words[0])
        asks = next((rule for rule in self.policy.ask if rule.command and _matches(rule, simple, "forbid") != "no"), None)
        if asks is not None:
            yield Verdict("ask", f"the rule {asks.text} asks about this command.", "", BYPASS)
        if self.policy.mode == "plan" and use.changes:
            yield Verdict("deny", f"plan mode changes nothing, and {name} does.", "", "--permission-mode default")
        if name in PRIVILEGED:
            yield Verdict("ask", f"{name} runs with other privileges; that is always asked.", "", BYPASS, (f"runs {_shown(simple)}",))
        if simple.wraps or name in PRIVILEGED:
            yield from self.assignments(simple, None)
            return
        yield from self.program(simple, use)

    def program(self, simple: Simple, use: Use) -> Iterator[Verdict]:
        rule = self.allowing(simple, use)
        yield from self.assignments(simple, rule)
        if simple.unclear and not self.everything():
            yield Verdict("ask", f"{simple.unclear}.", "", BYPASS, (f"runs {_shown(simple)}",))
            return
        planted = self.planted(simple) if self.everything() is None else ""
        if planted:
            yield Verdict("ask", f"{planted}.", "", BYPASS, (f"runs {_shown(simple)}",))
        by_mode = "" if rule is not None else self.by_mode(simple, use)
        if rule is None and by_mode == "":
            yield self.asked(simple, use)
        if self.removes_root(simple, use):
            yield Verdict("ask", "it deletes the whole workspace, or a folder that holds it.", "", BYPASS)
        for one in use.reads:
            yield from self.file(one, simple, "read", covered=True)
        if program_name(simple.words[0]) in _LISTING:
            for one in simple.words[1:]:
                if one.glob and "/" in one.start:
                    yield from self.file(word(one.start.rpartition("/")[0] or "/"), simple, "read", covered=True)
        if use.follows:
            yield from self.linked(simple, use)
        for one in use.writes:
            yield from self.file(one, simple, "change", covered=True)
        if by_mode == "auto" and not use.files:
            for one in simple.words:
                if one.text is not None and re.match(r"(?:-[\w-]*=?)?(?:/|~|\.\./|\.\.$)", one.text) and not one.text.startswith(SYSTEM_FOLDERS):
                    yield from self.file(word(one.text.partition("=")[2] or one.text), simple, "read", covered=True)

    def allowing(self, simple: Simple, use: Use) -> Rule | None:
        """The rule that allows this command, its options included."""
        bare = self.everything()
        if bare is not None:
            return bare
        if self.policy.mode == "plan" and not use.safe:
            return None
        for rule in self.policy.allow:
            if rule.command is None or _matches(rule, simple, "allow") != "yes":
                continue
            if not use.runs or len(rule.command.words) >= len(simple.words):
                return rule
        return None

    def everything(self) -> Rule | None:
        """The rule that allows any command, where the mode lets it."""
        if self.policy.mode == "plan":
            return None
        return next((rule for rule in self.policy.allow if rule.names(self.tool)), None)

    @property
    def safe_commands(self) -> frozenset[str]:
        return SAFE_COMMANDS if self.policy.safe_commands is None else self.policy.safe_commands

    def by_mode(self, simple: Simple, use: Use) -> str:
        """Why the mode lets it run without asking; "" where it does not."""
        name = program_name(simple.words[0])
        if name in self.safe_commands and use.safe and not self.strange_repository(name, simple) and not self.other_programs(name, simple):
            return "safe"
        if self.policy.mode == "accept-edits" and name == "mkdir" and not use.runs:
            return "accept-edits"
        if self.policy.mode == "auto" and not use.danger and not use.network and not (use.removes and _sweeps(use)):
            return "auto"
        return ""

    def strange_repository(self, name: str, simple: Simple) -> bool:
        """Git obeys the settings of the repository it stands in, and a folder within the workspace may be another one's."""
        folders = self.scene.places(word("."), simple) or (Place(Path(), Path()),)
        return name == "git" and not all(where.real in self.policy.roots for where in folders)

    def planted(self, simple: Simple) -> str:
        """Why git may obey settings that the agent itself could have written, which no rule for a git command means to allow: those of
        any repository but the one in the workspace's own `.git`, which is guarded.
        """
        if program_name(simple.words[0]) != "git":
            return ""
        folders = self.scene.places(word(git_reach(simple.words).folder or "."), simple)
        if folders is None:
            return "which repository git works in is known only when it runs"
        for where in folders:
            if where.real in self.policy.roots and (where.real / ".git").exists():
                continue
            if not self.scene.steady(simple, besides="git"):
                return "git works where this command may make a repository with settings of its own"
            if found := runs_programs(where.real):
                return f"git may run a program here, as {found}"
        return ""

    def other_programs(self, name: str, simple: Simple) -> str:
        """Why git would run programs of the repository's choice."""
        folders = (self.scene.places(word("."), simple) or ()) if name == "git" else ()
        found = next(filter(None, (runs_programs(where.real) for where in folders)), "")
        return f"git may run a program here, as {found}" if found else ""

    def asked(self, simple: Simple, use: Use) -> Verdict:
        shown = _shown(simple)
        rule = _always(simple, use)
        why = use.danger or use.runs or ("it uses the network" if use.network else "")
        why = why or (self.other_programs(program_name(simple.words[0]), simple) if use.safe else "")
        if self.policy.mode == "plan":
            return Verdict("ask", f"plan mode changes nothing, and it is not known that {shown} only reads.", "", "--permission-mode default")
        reason = f"{shown} is asked: {why}." if why else f"no rule allows {shown}."
        return Verdict("ask", reason, rule, allow_flag(rule), (f"runs {shown}",))

    def assignments(self, simple: Simple, rule: Rule | None) -> Iterator[Verdict]:
        granted = rule.command.assigned if rule is not None and rule.command is not None else ()
        for one in simple.assignments:
            told = one.name if one.value.text is None else f"{one.name}={one.value.text}"
            harmless = not dangerous_variable(one.name) if self.policy.mode == "auto" else harmless_variable(one.name)
            if not harmless and told not in granted and self.everything() is None:
                yield Verdict("ask", f"it sets {one.name}, which can change what programs do.", "", BYPASS, (f"sets {told}",))

    # --- files ---

    def file(self, one: Word, simple: Simple, kind: Kind, *, covered: bool) -> Iterator[Verdict]:
        places = self.scene.places(one, simple)
        if places is None:
            doing = "reads" if kind == "read" else "changes"
            yield Verdict("ask", f"which file it {doing} is known only when it runs.", "", BYPASS, (f"{doing} {one.raw or 'a file'}",))
            return
        for where in places:
            yield judge_path(self.policy, self.tool, where, kind, covered=covered)

    def linked(self, simple: Simple, use: Use) -> Iterator[Verdict]:
        """What a command that goes through links reads by those below its folders, and below the folders that they lead to."""
        places = [where for one in use.reads or (word("."),) for where in self.scene.places(one, simple) or ()]
        pending, seen, left = [where.real for where in places], set[Path](), _MOST_LOOKED_AT
        while pending:
            top = pending.pop()
            if inside(top, seen):
                continue
            seen.add(top)
            for folder, folders, files in os.walk(top):
                left -= len(files) + 1
                if left < 0:
                    yield Verdict("ask", "which files it reads through links is known only when it runs.", "", BYPASS)
                    return
                for path in (Path(folder, name) for name in (*folders, *files)):
                    if path.is_symlink():
                        where = Place(path, path.resolve())
                        yield judge_path(self.policy, self.tool, where, "read", covered=True)
                        pending += [where.real] if inside(where.real, self.policy.roots) else []

    def removes_root(self, simple: Simple, use: Use) -> bool:
        if not use.removes:
            return False
        for one in use.writes:
            whole = word(posixpath.dirname(one.text) or ".") if one.text is not None and one.glob and posixpath.basename(one.text) == "*" else one
            for where in self.scene.places(whole, simple) or ():
                if any(inside(root, (where.real,)) for root in self.policy.roots):
                    return True
        return False

    def unparsed(self) -> Verdict:
        everything = self.everything()
        hidden = [rule for rule in self.policy.deny if rule.kind in ("command", "path") or rule.names("read") or rule.names("edit")]
        if everything is not None and not hidden:
            return Verdict("allow", "", everything.text)
        return Verdict("ask", f"what this command does is not understood: {self.script.problem}.", "", BYPASS)


def _kind(redirect: Redirect) -> Kind:
    return "read" if redirect.kind == "read" else "change"


def _views(simple: Simple) -> Iterator[Sequence[Word]]:
    if simple.words:
        yield simple.words
        if program_name(simple.words[0]) == "git":
            yield git_plain(simple.words)


def _matches(rule: Rule, simple: Simple, side: Side) -> Match:
    """Whether a command rule matches: the command itself, or its wrapper where the rule spells both."""
    if rule.command is None:
        return "no"
    found: set[Match] = {rule.command.matches(view, side) for view in _views(simple)}
    if side == "allow" and simple.outer and simple.offset and len(rule.command.words) > simple.offset:
        found.add(rule.command.matches(simple.outer, side))
    return "yes" if "yes" in found else "maybe" if "maybe" in found else "no"


def _mentions(command: str, program: str) -> bool:
    """Whether a text that is not understood may name a program, quotes and escapes aside."""
    plain = re.sub(r"['\"\\]", "", command)
    return program == "*" or re.search(rf"(?<![\w.-]){re.escape(program.replace('*', ''))}(?![\w-])", plain) is not None


def _sweeps(use: Use) -> bool:
    """Whether a deletion goes by a pattern or a name that is not known."""
    return any(one.text is None or one.glob for one in use.writes)


def _shown(simple: Simple) -> str:
    """A command for a person, in one line."""
    text = " ".join(one.raw for one in simple.words)
    text = " ".join(text.split())
    return f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'"


def _always(simple: Simple, use: Use) -> str:
    """The rule that would allow this command for good; "" where none could."""
    texts: list[str] = []
    for one in simple.words:
        if one.text is None or one.glob:
            break
        texts.append(one.text)
    whole = len(texts) == len(simple.words)
    name = program_name(simple.words[0])
    if (use.runs and not whole) or (len(simple.words) == 1 and name in INTERPRETERS):
        return ""
    if not use.runs and name in _TOOLS:
        texts = texts[:1]
    elif not use.runs and name in _LED_BY_PARTS and len(texts) > 1 and not texts[1].startswith("-"):
        texts = texts[: _PARTS + (texts[1] in ("run", "exec", "run-script", "compose", "pip"))]
    elif not whole:
        return ""
    rule = f"bash({' '.join(shlex.quote(text) for text in texts)})"
    return rule if _reads_back(rule) else ""


def _reads_back(rule: str) -> bool:
    try:
        return "\n" not in rule and len(parse_rules(rule)) == 1
    except ConfigError:
        return False

"""What holds a worker to a clone of its own, whatever its mode and whatever rules allow: a shell command that is known to write elsewhere is
denied, one of which that cannot be told without a sandbox is asked. Reading is no matter of this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from agentcli.safety.files import CLONE, confined_path
from agentcli.safety.findings import Redirect, Simple
from agentcli.safety.gits import Reach, git_reach
from agentcli.safety.paths import inside
from agentcli.safety.patterns import Place
from agentcli.safety.policy import Policy, Verdict
from agentcli.safety.scene import STREAMS, Scene
from agentcli.safety.use import Use, dangerous_variable, has_option, known
from agentcli.safety.words import UNKNOWN, Word, program_name, word
from agentcli.safety.wrappers import PRIVILEGED

_CHANGERS = frozenset((
    "touch", "mkdir", "rmdir", "rm", "unlink", "shred", "truncate", "tee", "chmod", "chown", "chgrp", "cp", "mv", "ln", "install", "dd", "sed",
    "gsed", "find", "sort", "uniq", "xxd",
))  # fmt: skip
"""Programs that change files and of which all files are known."""
_INTO_FOLDERS = frozenset(("cp", "mv", "ln", "install"))
_SETTERS = frozenset(("export", "local", "declare", "typeset", "readonly"))
_PLACED = re.compile(r"GIT_(?:DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|OBJECT_DIRECTORY|TRACE\w*)|TMPDIR|HOME")
"""Variables that say where programs write."""
_MOST_LINKS_SOUGHT = 5_000
"""Files of a folder looked at for links; more count as if there were some."""
_GIT_PATTERN = re.compile(r"[*?\[:\\]")
"""What makes more of a path than a path, to git."""
_CROOKED = re.compile(r"\b(?:while|until|for|function|trap|eval|coproc)\b|[()|&]")
"""In a text without these, commands run in the order in which they are written."""


def confine(policy: Policy, scene: Scene, command: str) -> Iterator[Verdict]:
    """What stands against a command in a clone: nothing, where all that it writes is known and lies there."""
    if not scene.script.parsed:
        yield _asked(f"what this command does is not understood ({scene.script.problem})")
        return
    for reason in scene.script.unclear:
        yield _asked(reason)
    steps = [_Step(policy, scene, simple) for simple in scene.script.commands]
    for step in steps:
        yield from step.verdicts()
    if _shifts_before_writing(steps, command):
        yield _asked("it may change where paths lead and writes after that; run the two as commands of their own")


def _asked(why: str, touches: tuple[str, ...] = ()) -> Verdict:
    return Verdict("ask", f"{why}; {CLONE}, which nothing but a sandbox could hold it to.", "", "", touches)


def _shifts_before_writing(steps: Sequence[_Step], command: str) -> bool:
    """Links and moved folders make that a path does not lead where it leads now, when this is judged."""
    plain = command.replace("&&", " ").replace("||", " ")
    ordered = _CROOKED.search(plain) is None
    for at, step in enumerate(steps):
        if not step.shifts():
            continue
        if any(other.writes() for other in steps[at + 1 :]):
            return True
        if not ordered and (step.climbs() or any(other.writes() for other in steps[:at])):
            return True
    return False


class _Step(Struct, frozen=True, dict=True):
    """One simple command of the script."""

    policy: Policy
    scene: Scene
    simple: Simple

    @cached_property
    def name(self) -> str:
        return program_name(self.simple.words[0]) if self.simple.words else ""

    @cached_property
    def use(self) -> Use:
        return self.scene.use(self.simple)

    def asked(self, why: str) -> Verdict:
        text = " ".join(" ".join(one.raw for one in self.simple.words).split())
        shown = f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'" if text else "the command"
        return _asked(why.format(shown), (f"runs {shown}",))

    def verdicts(self) -> Iterator[Verdict]:
        for redirect in self.simple.redirects:
            if redirect.kind == "write":
                yield from self.written(_opened(redirect))
        yield from self.settings()
        if not self.simple.words:
            return
        if self.simple.unclear:
            yield _asked(self.simple.unclear)
        elif self.name in PRIVILEGED:
            yield self.asked("{} runs with other privileges")
        elif not self.simple.wraps:
            yield from self.git(git_reach(self.simple.words)) if self.name == "git" else self.program()

    def program(self) -> Iterator[Verdict]:
        use = self.use
        for one in dict.fromkeys((*use.writes, *self.glued(), *(use.reads if self.links() else ()))):
            yield from self.written(one)
        if self.name in _INTO_FOLDERS:
            yield from self.landed()
        if use.safe:
            return
        finds = self.name == "find" and use.changes
        changes = self.name in _CHANGERS and use.files and (finds or not use.runs)
        sets = self.name in _SETTERS or self.name in ("read", "set", "printf", "date")
        if not changes and not (sets and use.files and not use.danger):
            yield self.asked("what {} writes is not known")
        elif self.odd():
            yield self.asked("what {} changes is known only when it runs")

    def links(self) -> bool:
        """Whether it makes files that are what it only seems to copy."""
        return self.name == "ln" or (self.name == "cp" and has_option(self.simple.words[1:], "ls", ("--link", "--symbolic-link")))

    def odd(self) -> bool:
        """Options and patterns by which a program that is known may write elsewhere than its words say."""
        args = self.simple.words[1:]
        if self.name in ("sed", "gsed"):
            return any("/" in (one.text or "/") for one in args if one.start.startswith("-"))
        if self.name == "find":
            return any(known(one) in ("-L", "-follow", "-H") for one in args)
        if self.name in ("chmod", "chown", "chgrp") and has_option(args, "LH", ("--dereference",)):
            return True
        return any(one.glob and not one.start for one in args) and not self.scene.steady(self.simple)

    def written(self, one: Word) -> Iterator[Verdict]:
        places = self.scene.places(one, self.simple)
        if places is None:
            yield self.asked("which file {} changes is known only when it runs")
            return
        for where in places:
            bound = confined_path(self.policy, where)
            if bound is not None:
                yield bound

    def glued(self) -> Iterator[Word]:
        """What may be a folder, glued to an option: `-tout`, `--target-directory=out`."""
        if self.name not in _INTO_FOLDERS:
            return
        for one in self.simple.words[1:]:
            text = known(one) or ""
            if text.startswith("--"):
                yield word(text.partition("=")[2])
            elif text.startswith("-"):
                yield from (word(text[at:]) for at in range(2, min(len(text), 200)) if text[at - 1] == "t")

    def landed(self) -> Iterator[Verdict]:
        """Files that are copied into a folder fall on what is there under their names, links included."""
        steady = self.scene.steady(self.simple)
        for one in self.use.writes:
            folders = [where.real for where in self.scene.places(one, self.simple) or () if where.real.is_dir()]
            for folder in folders:
                for source in self.use.reads:
                    files = self.scene.places(source, self.simple) if steady or not source.glob else None
                    fallen = [folder] if files is None or self.spreads(source) else [folder / file.written.name for file in files]
                    if any(_holds_link(path, self.policy) if path.is_dir() else not self.holds(path) for path in fallen):
                        yield self.asked("{} copies onto links that lead out of the clone")

    def spreads(self, source: Word) -> bool:
        """Whether a copy puts its files in folders, not under its own name, so that all that is there counts."""
        text = source.text or ""
        return text.endswith("/.") or text in (".", "..") or has_option(self.simple.words[1:], "T", ("--parents", "--no-target-directory"))

    def holds(self, path: Path) -> bool:
        return inside(Path(os.path.realpath(path)), self.policy.roots)

    # --- variables ---

    def settings(self) -> Iterator[Verdict]:
        given = [(one.name, one.value) for one in self.simple.assignments]
        if self.name in _SETTERS:
            for one in self.simple.words[1:]:
                name, equals, value = (one.text if one.text is not None else one.start).partition("=")
                given.append((name, word(value) if one.text is not None and equals else UNKNOWN))
            if has_option(self.simple.words[1:], "n"):
                yield self.asked("{} gives a variable another name")
        for name, aimed in given:
            if _PLACED.fullmatch(name) and aimed.text:
                yield from self.written(aimed)
            if dangerous_variable(name) or _PLACED.fullmatch(name):
                yield _asked(f"it sets {name}, which can change where programs write", (f"sets {name}",))

    # --- git ---

    def git(self, reach: Reach) -> Iterator[Verdict]:
        folders = self.scene.places(word(reach.folder or "."), self.simple)
        if not reach.reads:
            for one in (*([] if folders is None else [word(reach.folder or ".")]), *reach.elsewhere, *self.targets(reach)):
                yield from self.written(one)
        if reach.removes and any(_holds_link(path, self.policy) for path in self.removed(reach)):
            yield self.asked("{} goes through links that lead out of the clone")
        strange = any(inside(where.real, self.policy.roots) and not _is_own(where.real, self.policy) for where in folders or ())
        if strange:
            yield self.asked("{} works in a repository whose settings are not known")
        if reach.reads:
            return
        if not reach.contained or folders is None:
            yield self.asked("where {} writes is not known")

    def targets(self, reach: Reach) -> Iterator[Word]:
        for one in reach.targets:
            text = one.text
            yield word(os.path.join(reach.folder, text)) if text and reach.folder and not text.startswith("~") else one  # noqa: PTH118

    def removed(self, reach: Reach) -> Iterator[Path]:
        """The folders that `git rm` goes through; a pattern of git's own may mean any."""
        for one in self.targets(reach):
            places = None if _GIT_PATTERN.search(one.text or "*") else self.scene.places(one, self.simple)
            yield from self.policy.roots if places is None else (where.real for where in places if where.real.is_dir())

    # --- what it does to others ---

    def writes(self) -> bool:
        opened = any(redirect.kind == "write" and not STREAMS.fullmatch(redirect.path.text or "") for redirect in self.simple.redirects)
        if opened or not self.simple.words or self.simple.wraps:
            return opened
        if self.name == "git":
            return not git_reach(self.simple.words).reads
        return bool(self.use.writes) or self.use.changes

    def shifts(self) -> bool:
        """Whether links or folders may be somewhere else after it."""
        if not self.simple.words or self.simple.wraps:
            return False
        if self.name == "git":
            return git_reach(self.simple.words).shifts
        if self.links():
            return True
        if self.name == "mv":
            return any(where.written.is_symlink() or not where.written.is_file() for where in self.sources())
        return self.name == "cp" and any(_holds_link(where.written, None) for where in self.sources())

    def climbs(self) -> bool:
        return any(".." in (one.text or "..") for one in self.simple.words)

    def sources(self) -> Iterator[Place]:
        """What is moved or copied."""
        into = has_option(self.simple.words[1:], "t", ("--target-directory",))
        for one in self.use.reads[:-1] if self.name == "mv" and not into else self.use.reads:
            yield from self.scene.places(one, self.simple) or ()


def _opened(redirect: Redirect) -> Word:
    """To the shell `-` is a file like any other."""
    return word("./-") if redirect.path.text == "-" else redirect.path


def _holds_link(path: Path, policy: Policy | None) -> bool:
    """Whether a file or folder is or holds a link: with a policy one that leads out of its folders, else any, or a `.git`, which may lead too."""
    left = _MOST_LINKS_SOUGHT
    pending = [path]
    while pending:
        one = pending.pop()
        left -= 1
        if left < 0:
            return True
        if policy is None and one.name.casefold() == ".git":
            return True
        if one.is_symlink():
            if policy is None or not inside(Path(os.path.realpath(one)), policy.roots):
                return True
        elif one.is_dir():
            pending += _listed(one)
    return False


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_own(folder: Path, policy: Policy) -> bool:
    """Whether git, in this folder, obeys the clone's own repository or an ordinary one inside it, whose settings only git itself has written.

    A `.git` that is a file or a link, a bare repository, and a copied one may say that their files are elsewhere. Above the roots only a
    clone's own counts, known by the objects that it borrows.
    """
    found = _repository(folder)
    if found is None:
        return True
    if found.name != ".git" or found.is_symlink() or not found.is_dir():
        return False
    if found == _repository(policy.cwd):
        return inside(found, policy.roots) or (found / "objects" / "info" / "alternates").is_file()
    return inside(found, policy.roots) and "worktree" not in _text(found / "config").lower()


def _text(path: Path) -> str:
    """What a file says; of one that cannot be read, the worst."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return "worktree"


def _repository(folder: Path) -> Path | None:
    """The git directory that git finds from a folder."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place / ".git"):
            return place / ".git"
        if all((place / name).exists() for name in ("HEAD", "objects", "refs")):
            return place
    return None

"""A worker in a clone of its own is judged by the clone's roots: its own files as its parent's would be, everything else not at all,
whatever the mode and the rules."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.crew import calling, config, delegate, opened
from support.repositories import LINES, Repository
from support.server import Server

from agentcli.agents.workspace import Workspace, open_workspace
from agentcli.protocol.events import PermissionMode, ToolFinished
from agentcli.protocol.tools import Access
from agentcli.safety.rules import Policy, Verdict, judge, parse_rules

ESCAPES = (
    "git -C {parent} commit --quiet --allow-empty -m x",
    "git -C ../../../../project checkout -- app.txt",
    "git --git-dir={parent}/.git --work-tree={parent} checkout -- .",
    "GIT_DIR={parent}/.git git commit --allow-empty -m x",
    "export GIT_DIR={parent}/.git; git commit --allow-empty -m x",
    "env GIT_WORK_TREE={parent} git checkout -- .",
    "GIT_INDEX_FILE={parent}/.git/index git add made.txt",
    "echo x > {parent}/app.txt",
    "echo x >> ../../../../project/app.txt",
    "echo x > out/app.txt",
    "echo x | tee {parent}/app.txt",
    "sed -i s/1/2/ {parent}/app.txt",
    "cp made.txt out/",
    "mv made.txt {parent}/",
    "cd {parent} && rm app.txt",
    "cd out && touch new.txt",
    "ln -s {parent}/app.txt link && echo x > link",
    "rm -rf {control}",
    "git worktree add ../elsewhere",
    "git push {parent} HEAD:main",
    "bash -c 'echo x > {parent}/app.txt'",
    "cp -tout made.txt",
    "cp --target-directory=out made.txt",
    "ln out/app.txt hard",
    "cd {parent} && echo x > -",
    "cd lib/../out && echo x > app.txt",
    "for f in a b; do echo x > out/$f; done",
    "find out/ -delete",
    "sed -i.bak s/1/2/ out/app.txt",
    "dd if=made.txt of=out/app.txt",
    "git diff --output={parent}/x",
    "git clone . {parent}/copy",
    "git init {parent}/other",
    "git archive -o ../../x.tar HEAD",
    "xargs touch made.txt {parent}/x < made.txt",
    "echo x > /tmp/of-nobody",
    "exec 3> {parent}/app.txt",
    "echo $(echo x > {parent}/app.txt)",
    "cat made.txt | tee >(cat > out/app.txt)",
    "touch ~/x",
    "cd {parent} && find -delete",
    "cp -l {parent}/app.txt hard && echo x > hard",
    "cp -s {parent}/app.txt soft",
    "ln -s .. up",
    "touch out/../x",
    "rm -rf ./*/",
    "for d in out; do touch $d/x; done",
    "f() { touch out/x; }; f",
    "trap 'touch out/x' EXIT",
    "(cd out; touch x)",
    "cd lib 2>/dev/null || cd {parent}; touch x",
    "git apply --directory=../.. made.txt",
    "git init --separate-git-dir=out/g .",
    "git mv app.txt out/moved.txt",
    "git mv -f app.txt out/",
    "git rm -f out/app.txt",
    "git rm -rf out",
)
NOT_JUDGED = (
    "$(echo git) -C {parent} reset",
    "python3 -c 'open(\"{parent}/app.txt\", \"w\")'",
    "make", "pytest -q", "npm test", "./run.sh", "bash run.sh", "source run.sh", "echo x | bash", "sudo ls", "patch -p1 < made.txt", "tar xf a.tar",
    "rm $x", "echo x > $x", 'eval "$x"', "x=out; echo y > $x/app.txt", "ls | xargs rm", "find . -exec rm {} +", "find -L . -delete",
    "echo $((x))", "echo x |", "sed -n '1w out/x' app.txt", "sed -i.out/* s/1/2/ app.txt", "awk 'BEGIN{{print > \"x\"}}'",
    "git push", "git push origin main", "git config core.worktree {parent}", "git -c core.worktree={parent} checkout .", "git frobnicate",
    "git rebase -x make main", "git submodule update --init", "git apply --unsafe-paths made.txt", "git worktree add inner", "git clone . inner",
    "git -C $x commit -m x", "cd $x && git commit -m x", "cd bare && git checkout .", "git -C bare status", "cd pointed && git checkout .",
    "PATH=. ls", "export GIT_EDITOR=x; git commit", "declare -n r=GIT_DIR; r=.git; git commit", "HOME=lib; touch x",
    "echo x >> .git/config", "rm -rf .git", "echo x > lib/.git", "cp -r bare lib/.git",
    "git rm -rf .", "git rm '*.txt'", "git rm :/", "git -C lib rm -r .", "git rm --pathspec-from-file=x",
    "cp -P out o && echo x > o/app.txt", "mv lib o && echo x > o/x", "git apply made.txt && echo x > link", "ln -s lib a && echo x > a/b",
    "while true; do echo x > a; ln -s lib a; done", "touch -- -tout; cp [!o]*",
    "cp made.txt lib", "cp -r lib/. links", "cp -r {parent} copy && cd copy && git checkout .",
    "mkdir -p a/b/c && cd a/b/c && mv ../../b ../../../d && touch ../../../x", "cd -P out/..; touch x", "env -C out touch x", "time -o out/x ls",
)  # fmt: skip
"""What these write is known only when they run, or could be only if nothing happened in between. They may be asked, never simply run."""
UNDERSTOOD = (
    "ls -la", "git status", "git log --oneline", "git diff main", "git -C lib log", "cat app.txt", "cat {parent}/app.txt", "git -C {parent} log",
    "grep -rn x lib | head", "find . -name '*.txt'", "cd lib && ls",
    "echo x > new.txt", "cat <<'E' > new.txt\nx\nE\n", "cat > new.txt <<E\nx\nE\n", "sed -i s/1/2/ app.txt", "touch a b", "rm app.txt", "rm -rf lib",
    "mkdir -p a/b && cp made.txt a/b/ && mv made.txt a/b/z", "cp -r lib lib2", "mv lib lib2", "chmod +x app.txt", "ln -s lib alias",
    "git add -A && git commit -m 'see ../x and /etc'", "git checkout -b f && echo x > f.txt", "git stash", "git reset --hard HEAD",
    "git -C lib add .", "cd lib && git add . && git commit -m x", "git mv app.txt b.txt", "git rm -r --cached app.txt", "git rm app.txt", "git merge main", "git clean -fd",
    "for f in *.txt; do sed -i s/a/b/ $f; done", "find . -name '*.pyc' -delete", "head -3 app.txt | sort -u > s.txt", "x=1; echo $x",
    "export LANG=C; echo x 2>/dev/null | tee a", "[ -f app.txt ] && rm app.txt || touch app.txt", "timeout 5 touch x", "bash -c 'touch x'",
)  # fmt: skip
MODES: tuple[PermissionMode, ...] = ("default", "accept-edits", "auto", "plan", "bypass")
EVERYTHING = "bash, edit, write, read, bash(git), bash(python3), bash(make), edit(/**), edit(//**), write(/**), read(/**)"


@dataclass
class Confined:
    """A worker's clone, in which what could lead out of it lies about."""

    repository: Repository
    workspace: Workspace

    def policy(self, mode: PermissionMode, allow: str = EVERYTHING) -> Policy:
        """The policy of a worker whose parent works in the repository itself."""
        return Policy(mode, (self.repository.path,), parse_rules(allow)).confined_to(self.workspace.roots)

    def command(self, mode: PermissionMode, text: str, allow: str = EVERYTHING) -> Verdict:
        assert self.workspace.folder is not None
        places = {"{parent}": str(self.repository.path), "{control}": str(self.workspace.folder / "control"), "{{": "{", "}}": "}"}
        for name, value in places.items():
            text = text.replace(name, value)
        return judge(self.policy(mode, allow), "bash", Access(command=text))


@pytest.fixture
def confined(repository: Repository, scratch: Path) -> Confined:
    workspace = asyncio.run(open_workspace("branch", repository.path, scratch, "main/scout-1", (repository.path,)))
    clone = workspace.path
    (clone / "out").symlink_to(repository.path)
    (clone / "lib" / "made.txt").symlink_to(repository.path / "app.txt")
    (clone / "links").mkdir()
    (clone / "links" / "made.txt").symlink_to(repository.path / "app.txt")
    (clone / "made.txt").write_text("made\n")
    for name in ("objects", "refs"):
        (clone / "bare" / name).mkdir(parents=True)
    (clone / "bare" / "HEAD").write_text("ref: refs/heads/main\n")
    (clone / "pointed").mkdir()
    (clone / "pointed" / ".git").write_text(f"gitdir: {repository.path}/.git\n")
    return Confined(repository, workspace)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_known_to_write_outside_of_the_clone_is_denied_in_every_mode_whatever_is_allowed(confined: Confined, mode: PermissionMode) -> None:
    passed = {command: verdict for command in ESCAPES if (verdict := confined.command(mode, command)).decision != "deny"}
    assert passed == {}
    if mode == "bypass":
        assert all("this worker works in a clone of its own" in confined.command(mode, command).reason for command in ESCAPES)


@pytest.mark.parametrize("mode", MODES)
def test_a_command_that_cannot_be_judged_without_a_sandbox_is_asked_in_every_mode(confined: Confined, mode: PermissionMode) -> None:
    decided = {command: confined.command(mode, command).decision for command in NOT_JUDGED}
    assert {command: decision for command, decision in decided.items() if decision == "allow" or (mode != "plan" and decision != "ask")} == {}
    if mode == "bypass":
        asked = confined.command(mode, "make")
        assert asked == Verdict(
            "ask",
            "what 'make' writes is not known; this worker works in a clone of its own, which nothing but a sandbox could hold it to.",
            "",
            "",
            ("runs 'make'",),
        )


def test_what_is_understood_and_stays_in_the_clone_runs_as_mode_and_rules_say(confined: Confined) -> None:
    decided = {command: confined.command("bypass", command) for command in UNDERSTOOD}
    assert {command: verdict for command, verdict in decided.items() if verdict.decision != "allow"} == {}
    for command in ("git status", "git diff main", "cat app.txt"):
        assert confined.command("default", command, "read").decision == "allow"
    assert confined.command("default", "touch x", "read").decision == "ask"


@pytest.mark.parametrize("mode", MODES)
def test_file_tools_write_in_the_clone_and_nowhere_else(confined: Confined, mode: PermissionMode) -> None:
    policy, workspace = confined.policy(mode), confined.workspace
    assert workspace.folder is not None
    for path in (confined.repository.path / "app.txt", "../../../../project/app.txt", "out/app.txt", "out/new/x", "../x", "~/x", "/proc/self/cwd/x",
                 workspace.folder / "control/0/config", workspace.folder / "workspace.json"):  # fmt: skip
        assert judge(policy, "edit", Access(writes=(str(path),))).decision == "deny", path
    if mode != "plan":
        for path in ("made.txt", str(workspace.path / "lib/tool.txt"), "new/deep/x"):
            assert judge(policy, "write", Access(writes=(path,))).decision == "allow", path
        for path in (".git/config", ".git", "lib/.GIT/x"):
            assert judge(policy, "write", Access(writes=(path,))).decision == "ask", path
    assert judge(policy, "read", Access(reads=("app.txt",))).decision == "allow"


def test_a_tool_that_does_not_say_what_it_touches_needs_a_rule_even_in_bypass(confined: Confined) -> None:
    for allow, decision in (("bash", "ask"), ("mcp__files", "allow")):
        assert judge(confined.policy("bypass", allow), "mcp__files__write", Access(mcp="files")).decision == decision


def test_a_worker_of_the_worker_is_confined_too_and_may_work_nowhere_else(confined: Confined, tmp_path: Path) -> None:
    policy = confined.policy("bypass").restricted("auto")
    moved = policy.with_roots((confined.workspace.path / "lib",)).with_mode("bypass")
    assert judge(moved, "write", Access(writes=("x",))).decision == "allow"
    assert judge(moved, "write", Access(writes=("../x",))).decision == "deny"
    assert judge(moved, "workspace", Access(reads=(str(confined.repository.path),))).decision == "deny"
    assert judge(policy, "workspace", Access(reads=("lib",))).decision == "allow"
    inner = policy.confined_to((tmp_path / "inner",))
    assert judge(inner, "write", Access(writes=(str(confined.workspace.path / "x"),))).decision == "deny"


def test_the_parents_own_policy_would_have_let_them_pass(confined: Confined) -> None:
    parents = Policy("accept-edits", (confined.repository.path,))
    assert judge(parents, "edit", Access(writes=(str(confined.repository.path / "app.txt"),))).decision == "allow"
    assert judge(parents.with_mode("bypass"), "bash", Access(command="make")).decision == "allow"


async def test_a_worker_with_a_branch_cannot_leave_it_by_a_shell_though_everything_is_allowed(service: Server, repository: Repository) -> None:
    tries = (
        f"echo x > {repository.path}/app.txt",
        f"git -C {repository.path} commit --quiet --allow-empty -m x",
        f'python3 -c \'open("{repository.path}/app.txt", "w")\'',
        "echo inside > made.txt",
    )
    prompt = calling(*(("bash", {"command": command}) for command in tries))
    before = repository.git("rev-parse", "HEAD")
    options = {"permission_mode": "bypass", "allowed_tools": ["bash"]}
    async with opened(config(service.url), repository.path, **options) as (session, seen):
        await delegate(session, service, ("task", {"agent": "general", "prompt": prompt, "workspace": "branch"}))
    inside = sorted((event.result for event in seen.of(ToolFinished, "main/general-1")), key=lambda result: result.call_id)
    assert [result.is_error for result in inside] == [True, True, True, False]
    assert all("works in a clone of its own" in str(result.content) for result in inside[:3])
    assert (repository.git("rev-parse", "HEAD"), repository.status(), repository.read("app.txt")) == (before, [], LINES)
    assert repository.git("show", "agentcli/general-1:made.txt") == "inside"

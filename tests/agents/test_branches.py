"""Workers with a workspace of their own, through the tools, on real repositories: separate branches and diffs, the parent's folder untouched,
and nothing lost however a worker ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from support.crew import all_texts, calling, config, delegate, hcl, obey_but, opened
from support.program import start
from support.repositories import LINES, Repository, new_repository
from support.server import Answer, Call, Captured, Reply, Server, Silence, failed

from agentcli.protocol.events import AgentFinished, Notice


def branch(prompt: str, **more: Any) -> dict[str, Any]:
    return {"agent": "general", "prompt": prompt, "workspace": "branch", **more}


def edit(old: str, new: str, path: str = "app.txt") -> tuple[tuple[str, dict[str, Any]], ...]:
    """The calls of a worker that changes a line."""
    return ("read", {"path": path}), ("edit", {"path": path, "old": old, "new": new})


def edits(old: str, new: str, path: str = "app.txt") -> str:
    return calling(*edit(old, new, path))


def writes(path: str, content: str) -> str:
    return calling(("write", {"path": path, "content": content}))


def branches_of(seen: Any) -> dict[str, str]:
    return {agent: event.branch for agent, event in seen.by(AgentFinished).items()}


async def test_workers_that_edit_one_file_at_once_hand_back_branches_and_diffs(service: Server, repository: Repository) -> None:
    tasks = [branch(edits("line 3\n", "first\n")), branch(edits("line 3\n", "second\n"))]
    async with opened(config(service.url), repository.path) as (session, seen):
        told = await delegate(session, service, ("parallel_task", {"tasks": tasks}))
    assert branches_of(seen) == {"main/general-1": "agentcli/general-1", "main/general-2": "agentcli/general-2"}
    assert repository.git("show", "agentcli/general-1:app.txt").splitlines()[2] == "first"
    assert repository.git("show", "agentcli/general-2:app.txt").splitlines()[2] == "second"
    for word in ("changes: 1 file, kept on branch agentcli/general-1", "-line 3\n+first", "kept on branch agentcli/general-2", "+second"):
        assert word in told.results[0]
    assert (repository.status(), repository.read("app.txt"), repository.git("branch", "--show-current")) == ([], LINES, "main")


async def test_what_the_parent_had_uncommitted_is_there_for_the_worker_and_is_not_its_work(service: Server, repository: Repository) -> None:
    repository.write("app.txt", LINES.replace("line 1\n", "dirty 1\n"))
    repository.write("staged.txt", "staged\n")
    repository.git("add", "staged.txt")
    repository.write("new.txt", "untracked\n")
    before = repository.status()
    async with opened(config(service.url), repository.path) as (session, seen):
        prompt = calling(*edit("untracked", "seen", "new.txt"), *edit("line 30", "last", "app.txt"), *edit("staged", "seen too", "staged.txt"))
        told = await delegate(session, service, ("task", branch(prompt)))
    assert [event.status for event in seen.of(AgentFinished)] == ["completed"]
    assert (repository.status(), repository.read("new.txt")) == (before, "untracked\n")
    diff = told.results[0].partition("diff --git")[2]
    assert all(word in diff for word in ("+seen", "+last", "+seen too"))
    assert "-dirty 1" not in diff and "+dirty 1" not in diff
    assert repository.git("show", "agentcli/general-1:app.txt").startswith("dirty 1\n")


async def test_a_detached_head_stays_detached(service: Server, repository: Repository) -> None:
    repository.write("app.txt", "second\n")
    repository.commit("second")
    repository.git("checkout", "--quiet", "--detach", "HEAD~1")
    head = repository.git("rev-parse", "HEAD")
    async with opened(config(service.url), repository.path) as (session, _):
        await delegate(session, service, ("task", branch(edits("line 3\n", "third\n"))))
    assert repository.git("show", "agentcli/general-1:app.txt").splitlines()[2] == "third"
    assert (repository.git("rev-parse", "HEAD"), repository.git("branch", "--show-current"), repository.status()) == (head, "", [])


async def test_work_in_a_submodule_is_kept_too(service: Server, repository: Repository, tmp_path: Path) -> None:
    library = new_repository(tmp_path / "library")
    repository.git("submodule", "add", "--quiet", str(library.path), "vendor")
    repository.commit("with a submodule")
    async with opened(config(service.url), repository.path) as (session, seen):
        prompt = calling(*edit("line 3\n", "inner\n", "vendor/app.txt"), ("write", {"path": "outer.txt", "content": "outer\n"}))
        await delegate(session, service, ("task", branch(prompt)))
    vendor = Repository(repository.path / "vendor")
    name = branches_of(seen)["main/general-1"]
    assert repository.git("show", f"{name}:outer.txt") == "outer"
    assert vendor.git("show", f"{name}:app.txt").splitlines()[2] == "inner"
    assert (repository.status(), vendor.read("app.txt")) == ([], LINES)


async def test_a_folder_that_is_no_repository_gets_a_copy_and_its_work_comes_as_a_patch(service: Server, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "app.txt").write_text(LINES)
    async with opened(config(service.url), folder) as (session, _):
        told = await delegate(session, service, ("task", branch(edits("line 3\n", "third\n"))))
    patch = Path(told.results[0].partition("patch: ")[2].splitlines()[0])
    assert "+third" in patch.read_text()
    assert ((folder / "app.txt").read_text(), sorted(path.name for path in folder.iterdir())) == (LINES, ["app.txt"])


async def test_share_is_one_clone_for_all_that_ask_for_it(service: Server, repository: Repository) -> None:
    stages = [
        {"agent": "general", "prompt": writes("made.txt", "by one\n"), "workspace": "share"},
        {"agent": "general", "prompt": edits("by one", "by two", "made.txt"), "workspace": "share"},
    ]
    async with opened(config(service.url), repository.path) as (session, seen):
        await delegate(session, service, ("pipeline", {"stages": stages}))
    assert set(branches_of(seen).values()) == {"agentcli/general-1"}
    assert repository.git("show", "agentcli/general-1:made.txt") == "by two"
    assert repository.status() == []


async def test_a_worker_of_a_worker_may_have_a_branch_in_its_parents_clone(service: Server, repository: Repository) -> None:
    chief = json.dumps({"chief": {"description": "Leads.", "can_delegate": True}})
    inner = calling(("task", branch(edits("line 3\n", "inner\n"))), ("write", {"path": "own.txt", "content": "own\n"}))
    async with opened(config(service.url), repository.path, agents_json=chief) as (session, seen):
        told = await delegate(session, service, ("task", {**branch(inner), "agent": "chief"}))
    assert branches_of(seen) == {"main/chief-1/general-1": "agentcli/general-1", "main/chief-1": "agentcli/chief-1"}
    assert repository.git("show", "agentcli/chief-1:own.txt") == "own"
    # The inner branch was the outer worker's to merge; it did not, and it is there all the same.
    assert repository.git("show", "agentcli/chief-1.agentcli-general-1:app.txt").splitlines()[2] == "inner"
    assert "more branches: agentcli/chief-1.agentcli-general-1" in told.results[0]
    assert repository.status() == []


# --- a folder as a workspace ---


async def test_a_folder_inside_is_taken_and_one_outside_needs_a_person(service: Server, repository: Repository, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    asked: list[str] = []

    def decide(question: Any) -> bool:
        asked.append(question.reason)
        return True

    task = {"agent": "general", "prompt": writes("made.txt", "x\n")}
    async with opened(config(service.url), repository.path) as (session, _):
        inside = await delegate(session, service, ("task", {**task, "workspace": "lib"}))
        refused = await delegate(session, service, ("task", {**task, "workspace": str(outside)}))
        missing = await delegate(session, service, ("task", {**task, "workspace": "nowhere"}))
    assert ("[OK]" in inside.results[0], repository.read("lib/made.txt")) == (True, "x\n")
    assert "outside the workspace. Nobody can be asked here." in refused.results[0]
    assert "the workspace 'nowhere' is no folder that exists" in missing.results[0]
    assert list(outside.iterdir()) == []
    async with opened(config(service.url), repository.path, on_approval=decide) as (session, _):
        await delegate(session, service, ("task", {**task, "workspace": "../outside"}))
    assert asked == [f"The worker 'general-1' would work in {outside}, outside the workspace."]
    assert (outside / "made.txt").read_text() == "x\n"


async def test_the_config_of_another_folder_is_not_picked_up(service: Server, repository: Repository) -> None:
    repository.write("lib/agent.hcl", 'default_model = "beta/qwen3:8b"\n')
    async with opened(config(service.url), repository.path) as (session, _):
        told = await delegate(session, service, ("task", {"agent": "general", "prompt": "work", "workspace": "lib"}))
    assert [one.on for one in told.of("work")] == ["alpha/strong:low"]


# --- workers that end in the middle ---


class HalfDone:
    """A worker that writes a file and is then stopped by whatever comes."""

    def __init__(self, then: Reply) -> None:
        self.then = then

    def __call__(self, request: Captured) -> Reply:
        if any(message["role"] == "tool" for message in request.body["messages"]):
            return self.then
        return Answer(calls=(Call("write", {"path": "made.txt", "content": "half done\n"}),))


@pytest.mark.parametrize(("then", "more"), [(Silence(), {"timeout_s": 1.0}), (failed(400, "no"), {})], ids=["timed out", "failed"])
async def test_what_a_worker_did_before_it_failed_is_on_its_branch(repository: Repository, then: Reply, more: dict[str, Any]) -> None:
    with Server(always=obey_but(work=HalfDone(then))) as server:
        async with opened(hcl(server.url), repository.path) as (session, seen):
            told = await delegate(session, server, ("task", branch("work", **more)))
    assert [event.status for event in seen.of(AgentFinished)] == ["failed"]
    assert repository.git("show", "agentcli/general-1:made.txt") == "half done"
    assert "kept on branch agentcli/general-1" in told.results[0]
    assert repository.status() == []


@pytest.mark.parametrize("resumed", [(), ("-c",)], ids=["another session", "the same one, resumed"])
def test_what_a_worker_of_a_killed_program_did_is_saved_by_the_next_session(repository: Repository, own_home: Path, resumed: tuple[str, ...]) -> None:
    with Server(always=obey_but(work=HalfDone(Silence()))) as server:
        (repository.path.parent / "a.hcl").write_text(hcl(server.url))
        words = ("--config", str(repository.path.parent / "a.hcl"), "--permission-mode", "accept-edits", "-q")
        process = start("-p", calling(("task", branch("work"))), *words, cwd=repository.path)
        try:
            server.wait_for(3)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            process.stderr.close()
        assert repository.branches() == ["main"]
        after = start("-p", "hello", *resumed, *words, cwd=repository.path)
        out, _ = after.communicate(timeout=30)
    assert (after.returncode, out) == (0, b"did hello\n")
    assert repository.git("show", "agentcli/general-1:made.txt") == "half done"
    assert list(own_home.glob(".cache/agentcli/scratch/*")) == []


async def test_the_clones_of_a_session_that_still_runs_are_left_alone(service: Server, repository: Repository) -> None:
    async with opened(config(service.url), repository.path) as (first, _):
        await delegate(first, service, ("task", branch(writes("made.txt", "x\n"))))
        clone = next(iter(first.tree.desk.open.values()))
        async with opened(config(service.url), repository.path) as (second, seen):
            await second.send("hello")
        assert seen.of(Notice) == []
        assert (clone.path / "made.txt").exists()
    assert not clone.path.exists()


async def test_work_that_cannot_be_saved_on_a_branch_is_named_and_stays(service: Server, repository: Repository) -> None:
    """Here the parent's repository is gone when the worker is done."""

    def work(request: Captured) -> Reply:
        if any(message["role"] == "tool" for message in request.body["messages"]):
            (repository.path / ".git").rename(repository.path / "moved")
            return Answer("done")
        return Answer(calls=(Call("write", {"path": "made.txt", "content": "kept\n"}),))

    with Server(always=obey_but(work=work)) as server:
        async with opened(hcl(server.url), repository.path) as (session, seen):
            told = await delegate(session, server, ("task", branch("work")))
            workspace = session.tree.desk.open["main/general-1"]
    (ended,) = seen.of(AgentFinished)
    assert (ended.status, ended.text) == ("failed", "done")
    assert f"could not be saved on a branch and are still in {workspace.path}" in told.results[0]
    assert (workspace.path / "made.txt").read_text() == "kept\n"


# --- a clone is closed off ---

ESCAPES = {
    "git -C": "git -C {parent} commit --allow-empty -m escaped",
    "GIT_DIR": "GIT_DIR={parent}/.git git commit --allow-empty -m escaped",
    "a redirection": "echo escaped > {parent}/app.txt",
    "a link": "ln -s {parent} out && echo escaped > out/app.txt",
    "another program": 'python3 -c \'open("{parent}/app.txt", "w").write("escaped")\'',
}


@pytest.mark.parametrize("mode", ["accept-edits", "bypass"])
async def test_no_escape_from_a_clone_succeeds_where_nobody_can_be_asked(service: Server, repository: Repository, mode: str) -> None:
    head = repository.git("rev-parse", "HEAD")
    calls = [("bash", {"command": command.format(parent=repository.path)}) for command in ESCAPES.values()]
    calls.append(("write", {"path": str(repository.path / "app.txt"), "content": "escaped\n"}))
    async with opened(config(service.url), repository.path, permission_mode=mode) as (session, seen):
        told = await delegate(session, service, ("task", branch(calling(*calls))))
    assert (repository.status(), repository.read("app.txt"), repository.git("rev-parse", "HEAD")) == ([], LINES, head)
    assert all_texts(told.requests).count("Not permitted: ") == len(calls)
    assert seen.by(AgentFinished)["main/general-1"].status == "completed"


async def test_work_in_the_clone_itself_goes_on_as_in_the_parents_folder(service: Server, repository: Repository) -> None:
    calls = [("bash", {"command": "git add app.txt && git commit --quiet -m 'in the clone'"}), ("bash", {"command": "git log --oneline"})]
    prompt = calling(*edit("line 3\n", "third\n"), *calls)
    async with opened(config(service.url), repository.path, allowed_tools=["bash(git add)", "bash(git commit)"]) as (session, _):
        told = await delegate(session, service, ("task", branch(prompt)))
    assert "in the clone" in all_texts(told.requests)
    assert repository.git("show", "agentcli/general-1:app.txt").splitlines()[2] == "third"
    assert repository.status() == []


async def test_a_child_of_a_confined_worker_is_confined_too(service: Server, repository: Repository) -> None:
    chief = json.dumps({"chief": {"description": "Leads.", "can_delegate": True}})
    inner = calling(("task", {"agent": "general", "prompt": writes(str(repository.path / "app.txt"), "escaped\n")}))
    async with opened(config(service.url), repository.path, agents_json=chief, permission_mode="bypass") as (session, _):
        told = await delegate(session, service, ("task", {**branch(inner), "agent": "chief"}))
    assert (repository.status(), "Not permitted: " in all_texts(told.requests)) == ([], True)

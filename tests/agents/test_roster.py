from __future__ import annotations

import pytest

from agentcli.agents.files import load_builtin
from agentcli.agents.roster import Roster, read_agents_flag
from agentcli.agents.spec import Source, WorkerSpec
from agentcli.protocol.errors import UnknownAgent, UsageError


def worker(name: str = "scout", source: Source = "config", **fields: object) -> WorkerSpec:
    return WorkerSpec(**{"name": name, "source": source, **fields})  # type: ignore[arg-type]


def test_the_nearer_definition_of_a_name_counts_whatever_order_they_came_in() -> None:
    order: list[Source] = ["builtin", "user", "config", "project", "flag", "sdk"]
    for many in range(1, len(order) + 1):
        specs = [worker(source=source, system_prompt=source) for source in order[:many]]
        assert Roster(reversed(specs)).get("scout") == specs[-1]
    later = [worker(source="project", model="root"), worker(source="project", model="nearer")]
    assert Roster(later).get("scout").model == "nearer"


def test_a_block_without_a_prompt_changes_only_what_it_says_of_a_known_worker() -> None:
    explore = next(spec for spec in load_builtin() if spec.name == "explore")
    changed = Roster([*load_builtin(), worker("explore", model="fast", place="agent.hcl:2")]).get("explore")
    assert (changed.model, changed.origin, changed.tools, changed.system_prompt) == (
        "fast",
        "agent.hcl:2",
        explore.tools,
        explore.system_prompt,
    )
    own = worker("explore", model="fast", system_prompt="Mine.")
    assert Roster([*load_builtin(), own]).get("explore") == own
    file = worker("explore", "project", model="fast")
    assert Roster([*load_builtin(), file]).get("explore") == file


def test_a_locked_definition_is_not_replaced_from_nearer() -> None:
    locked = worker(source="user", locked=True, place="/home/agents/scout.md:1")
    roster = Roster([locked, worker(source="project", place="/repo/scout.md:1")])
    assert roster.get("scout") == locked
    assert roster.warnings == ("/repo/scout.md:1: the worker 'scout' is locked by /home/agents/scout.md:1; not replaced.",)


def test_an_unknown_name_names_the_known_ones_nearest_first() -> None:
    roster = Roster([worker("scout"), worker("planner"), worker("explore")])
    with pytest.raises(UnknownAgent) as failure:
        roster.get("explorer")
    assert failure.value.known[0] == "explore"
    assert sorted(failure.value.known) == ["explore", "planner", "scout"]
    assert roster.get("Scout") == worker("scout")
    assert Roster([worker("scout"), worker("Scout")]).find("SCOUT") is None
    assert [spec.name for spec in roster.list()] == ["explore", "planner", "scout"]


def test_a_name_defined_at_run_time_may_be_redefined_by_the_agent_that_defined_it() -> None:
    roster = Roster(load_builtin())
    placed = roster.define(worker("helper", "config", model="fast", place="x:1"), "main")
    assert placed == worker("helper", "runtime", model="fast", defined_by="main")
    assert roster.define(worker("Helper", model="other"), "main") == roster.get("helper")
    assert [spec.name for spec in roster.list() if spec.source == "runtime"] == ["Helper"]
    assert roster.get("helper").model == "other"
    with pytest.raises(UsageError, match="'Helper' is defined by agent main and cannot be redefined"):
        roster.define(worker("helper"), "main/scout-1")


@pytest.mark.parametrize("source", ["builtin", "user", "config", "project", "flag", "sdk"])
def test_a_name_that_a_person_or_program_defined_may_not_be_redefined_at_run_time(source: Source) -> None:
    roster = Roster([worker(source=source)])
    with pytest.raises(UsageError, match="'scout' is defined by"):
        roster.define(worker("SCOUT"), "main")
    assert roster.get("scout").source == source


@pytest.mark.parametrize("name", ["", "a/b", "a=b", " x", "x ", "self", "main", "subagents", "x" * 65, "\u202eabc", "a\nb"])
def test_a_name_that_cannot_be_one_is_refused_at_run_time(name: str) -> None:
    with pytest.raises(UsageError):
        Roster().define(worker(name), "main")


def test_the_agents_flag_takes_claude_codes_shape() -> None:
    text = """{"scout": {"description": "Finds.", "prompt": "You find.", "tools": ["Read", "Grep"], "model": "haiku", "maxTurns": 3},
        "plain": {"description": "Does."}}"""
    assert read_agents_flag(text) == (
        worker("scout", "flag", description="Finds.", system_prompt="You find.", tools=("read", "grep"), model="haiku", max_turns=3),
        worker("plain", "flag", description="Does."),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "--agents is no JSON"),
        ("[]", "must be an object of name to definition"),
        ('{"scout": "x"}', "must be an object of name to definition"),
        ('{"scout": {"promt": "x"}}', "'scout': unknown key 'promt'; did you mean 'prompt'?"),
        ('{"scout": {"maxTurns": -1}}', "'scout': 'maxTurns': input should be greater than 0"),
        ('{"self": {}}', "the name 'self' is taken"),
        ('{"": {}}', "a name is 1 to 64 letters"),
    ],
)
def test_a_wrong_agents_flag_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as failure:
        read_agents_flag(text)
    assert problem in failure.value.message

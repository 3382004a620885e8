"""Fan-outs: eight workers on eight models of four services at once, results in the order of the request, failures that stay their own."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from support.crew import Asked, asked, calling, config, delegate, names, opened
from support.server import Answer, Call, Captured, Reply, Server, failed
from support.ways import agents

from agentcli.protocol.events import AgentFinished, AgentSpawned, ToolFinished

SLOWEST_S = 0.8
PROVIDERS = ("one", "two", "three", "four")


def service(request: Captured) -> Reply:
    """Answers after the seconds that the prompt names; `fails` fails."""
    prompt = asked(request).prompt
    if request.body["messages"][-1]["role"] == "tool":
        return Answer("I have the results.")
    if prompt.startswith("CALL "):
        return Answer(calls=tuple(Call(one["name"], one["arguments"], id=f"c{index}") for index, one in enumerate(json.loads(prompt[5:]))))
    if "fails" in prompt:
        return failed(400, "this service is broken")
    return Answer(f"did {prompt}").sent(first_delay_s=float(prompt.split()[-1]))


def eight(servers: list[Server]) -> str:
    blocks = [
        f'providers "{name}" {{\n  apiKey = "sk-key-of-{name}"\n  baseUrl = "{server.origin}/{name}/v1"\n'
        f'  models "{name}-a" {{ }}\n  models "{name}-b" {{ }}\n}}\n'
        for name, server in zip(PROVIDERS, servers, strict=True)
    ]
    return 'default_model = "one/one-a"\n' + "".join(blocks) + "limits { retries = 0 }\n"


async def test_eight_workers_on_eight_models_of_four_services_run_at_once(tmp_path: Path) -> None:
    models = [f"{name}/{name}-{letter}" for letter in "ab" for name in PROVIDERS]
    # The first is the slowest, the third fails: order and results must not care.
    prompts = ["work 0.8", "work 0.1", "fails 0", "work 0.4", "work 0", "work 0.6", "work 0.2", "work 0.05"]
    tasks = [{"agent": "explore", "prompt": prompt, "model": model} for prompt, model in zip(prompts, models, strict=True)]
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(always=service)) for _ in PROVIDERS]
        async with opened(eight(servers), tmp_path) as (session, seen):
            await session.send(calling(("parallel_task", {"tasks": tasks})))
        requests = [[asked(one) for one in server.requests if not asked(one).prompt.startswith("CALL")] for server in servers]
    for name, got in zip(PROVIDERS, requests, strict=True):
        expected = [Asked(name, f"sk-key-of-{name}", model.partition("/")[2], "", prompt) for model, prompt in zip(models, prompts, strict=True)]
        assert sorted(got, key=str) == sorted((one for one in expected if one.model.startswith(name)), key=str)
    (told,) = seen.of(ToolFinished, "main")
    heads = [line.partition(" The service")[0] for line in told.result.text().splitlines() if line.startswith(("--- ", "did", "error", "7 of 8"))]
    assert heads == ["7 of 8 tasks succeeded."] + [
        line
        for number, (model, prompt) in enumerate(zip(models, prompts, strict=True), start=1)
        for line in (
            [f"--- Task {number} (explore · {model}) [ERR] ---", "error: three answered 400: this service is broken."]
            if "fails" in prompt
            else [f"--- Task {number} (explore · {model}) [OK] ---", f"did {prompt}"]
        )
    ]
    assert told.duration_ms / 1000 <= 1.5 * SLOWEST_S


async def test_many_calls_of_one_answer_run_together_and_each_has_its_own_result(tmp_path: Path) -> None:
    with Server(always=service) as server:
        servers = [server] * 4
        async with opened(eight(servers), tmp_path) as (session, _):
            calls = [("task", {"agent": "explore", "prompt": f"work 0.{number}"}) for number in (3, 1, 2)]
            told = await delegate(session, server, *calls)
        assert server.peak == 3
    assert [result.splitlines()[-1] for result in told.results] == ["did work 0.3", "did work 0.1", "did work 0.2"]


async def test_min_success_decides_whether_the_call_failed(service: Server, tmp_path: Path) -> None:
    tasks = [{"agent": "explore", "prompt": "a"}, {"agent": "explore", "prompt": "b", "model": "nope"}]
    marks = []
    for least in ({}, {"min_success": 2}, {"min_success": 0}):
        async with opened(config(service.url), tmp_path) as (session, seen):
            await delegate(session, service, ("parallel_task", {"tasks": tasks, **least}))
            marks += [event.result.is_error for event in seen.of(ToolFinished, "main")]
    assert marks == [False, True, False]


async def test_an_empty_answer_is_asked_for_once_more_and_then_is_a_failure(tmp_path: Path) -> None:
    def silent(request: Captured) -> Reply:
        prompt = asked(request).prompt
        if prompt.startswith("late") and "You ended without a word" in prompt:
            return Answer("at last")
        return Answer("") if prompt.startswith(("never", "late")) else service(request)

    with Server(always=silent) as server:
        async with opened(eight([server] * 4), tmp_path) as (session, seen):
            tasks = [{"agent": "explore", "prompt": prompt} for prompt in ("never", "late", "work 0")]
            told = await delegate(session, server, ("parallel_task", {"tasks": tasks}))
    ended = seen.by(AgentFinished)
    assert [ended[f"main/explore-{number}"].status for number in (1, 2, 3)] == ["failed", "completed", "completed"]
    assert "error: the model ended with an empty answer." in told.results[0]
    assert "\nat last\n" in told.results[0]


async def test_a_long_report_is_cut_head_and_tail_with_the_way_to_the_whole(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))

    def long(request: Captured) -> Reply:
        return Answer((text,)) if asked(request).prompt == "long" else service(request)

    with Server(always=long) as server:
        async with opened(eight([server] * 4), tmp_path) as (session, _):
            told = await delegate(session, server, ("task", {"agent": "explore", "prompt": "long"}))
            (result,) = told.results
            whole = Path(result.partition("the whole text is in ")[2].partition(")")[0])
            assert whole.read_text() == text
            # The parent may read it without being asked: it lies in the session's own folder.
            assert whole.parent in session.tree.main.gate.policy.read_roots
    assert len(result) < 40_000
    assert result.splitlines()[2] == "line 0"
    assert result.splitlines()[-1] == "line 19999"


async def test_a_worker_answers_by_the_schema_that_the_call_asks_for(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}

    def fitting(request: Captured) -> Reply:
        if asked(request).prompt != "count":
            return service(request)
        return Answer('{"count": 3}') if len(request.body["messages"]) > 2 else Answer('{"count": "three"}')

    with Server(always=fitting) as server:
        async with opened(eight([server] * 4), tmp_path) as (session, seen):
            await delegate(session, server, ("task", {"agent": "explore", "prompt": "count", "output_schema": schema}))
    assert seen.by(AgentFinished)["main/explore-1"].structured == {"count": 3}
    (told,) = seen.of(ToolFinished, "main")
    assert told.data["agents"][0]["structured"] == {"count": 3}


async def test_a_schema_that_is_none_is_told_to_the_model_before_any_worker_starts(service: Server, tmp_path: Path) -> None:
    task = {"agent": "explore", "prompt": "count", "output_schema": {"type": "objekt"}}
    async with opened(eight([service] * 4), tmp_path) as (session, seen):
        await delegate(session, service, ("task", task))
    (told,) = seen.of(ToolFinished, "main")
    assert told.result.is_error
    assert "output_schema: " in told.result.text()
    assert "this is no valid JSON schema: 'objekt' is not valid" in told.result.text()
    assert seen.of(AgentSpawned) == []


async def test_a_definition_of_only_a_name_gets_what_its_parent_may_do_minus_delegation(service: Server, tmp_path: Path) -> None:
    async with opened(config(service.url), tmp_path, **agents()) as (session, seen):
        await delegate(session, service, ("task", {"agent": "lead", "prompt": "work"}))
        parent = session.tree.main.tool_names
    (spawned,) = seen.of(AgentSpawned)
    assert set(parent) - set(spawned.tools) == {
        "task", "parallel_task", "pipeline", "run_team", "define_subagent", "invoke_subagent", "send_message", "manage_subagents",
    }  # fmt: skip


async def test_steps_bound_a_workers_rounds_of_tools(tmp_path: Path) -> None:
    """After the last it is told to report; one that calls a tool all the same gets none, and what it said counts."""

    def dig(request: Captured) -> Reply:
        prompt, last = asked(request).prompt, request.body["messages"][-1]
        if not prompt.startswith("dig"):
            return service(request)
        if prompt == "dig and tell" and last["role"] == "user" and "last round of tools" in last["content"]:
            return Answer("found it")
        return Answer("so far", calls=(Call("ls", {"path": "."}, id=f"c{len(request.body['messages'])}"),))

    with Server(always=dig) as server:
        async with opened(eight([server] * 4), tmp_path) as (session, seen):
            tasks = [{"agent": "explore", "prompt": prompt, "max_steps": 2} for prompt in ("dig", "dig and tell")]
            await delegate(session, server, ("parallel_task", {"tasks": tasks}))
    deaf, obedient = (seen.by(AgentFinished)[f"main/explore-{number}"] for number in (1, 2))
    assert (deaf.status, deaf.turns, deaf.text, deaf.failure.kind) == ("failed", 3, "so far", "turn_limit")
    assert deaf.failure.line() == "the limit of 2 rounds of tools is reached. Raise max_steps of the call."
    assert (obedient.status, obedient.turns, obedient.text) == ("completed", 3, "found it")
    assert [len(seen.of(ToolFinished, f"main/explore-{number}")) for number in (1, 2)] == [2, 2]


async def test_workers_of_a_resumed_session_have_ids_that_its_earlier_ones_had_not(service: Server, tmp_path: Path) -> None:
    """A report kept whole is found under its worker's id, and the session's file tells workers apart by it."""
    twice = {"tasks": [{"agent": "explore", "prompt": "work"}] * 2}
    async with opened(config(service.url), tmp_path, save=True) as (first, seen):
        await delegate(first, service, ("parallel_task", twice))
    async with opened(config(service.url), tmp_path, save=True, resume=first.id) as (second, later):
        await delegate(second, service, ("parallel_task", twice))
    ids = [names(one.envelopes, AgentSpawned) for one in (seen, later)]
    assert ids == [["main/explore-1", "main/explore-2"], ["main/explore-3", "main/explore-4"]]

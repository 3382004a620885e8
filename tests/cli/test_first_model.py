"""What runs where no config names a model: keys of the environment, a service at an address of one's own, nothing at all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.place import Place, said
from support.program import Ran, run
from support.server import Answer, Failed, Plain, Server
from support.terminal import Terminal, agentcli

from agentcli import Agent, AsyncAgent
from agentcli.protocol.errors import AgentError, UnknownModel, UsageError
from agentcli.protocol.models import Usage
from agentcli.sdk.agent import Origin


def ran(place: Place, *words: str, url: str = "", **more: str) -> Ran:
    own = {"OPENAI_API_KEY": "sk-test-canary-key", "OPENAI_BASE_URL": url} if url else {}
    return run(*words, env=place.env(**own, **more), cwd=place.folder)


@pytest.fixture
def own_key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-canary-key")
    return "sk-test-canary-key"


# --- an address of one's own ---


def test_the_one_model_that_a_service_has_runs(place: Place) -> None:
    with Server(always=Answer("Hello."), models=("vendor/only:free",)) as server:
        end = ran(place, "-p", "hi", "--output-format", "json", url=server.url)
        assert [request.path for request in server.requests] == ["/v1/models", "/v1/chat/completions"]
        assert server.requests[1].body["model"] == "vendor/only:free"
    assert (end.code, end.result["result"]) == (0, "Hello.")
    assert list(end.result["modelUsage"]) == ["openai/vendor/only:free"]
    assert end.result["total_cost_usd"] is None


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (("a", "b"), "has several models: openai/a, openai/b. Name one with --model openai/a, or in AGENTCLI_MODEL."),
        (tuple(f"m{n}" for n in range(12)), "openai/m9 and 2 more."),
    ],
)
def test_of_several_models_the_error_lists_them(place: Place, models: tuple[str, ...], says: str) -> None:
    with Server(models=models) as server:
        end = ran(place, "-p", "hi", url=server.url.replace("://", "://me:url-canary@"))
    assert (end.code, end.out, end.err.count("\n")) == (2, "", 1)
    assert says in end.err
    assert "canary" not in end.err


@pytest.mark.parametrize(
    ("words", "more"), [((), {"AGENTCLI_MODEL": "openai/b"}), ((), {"AGENTCLI_MODEL": "b"}), (("-m", "openai/b"), {}), (("-m", "b"), {})]
)
def test_a_name_decides_also_a_bare_one_that_only_the_service_knows(place: Place, words: tuple[str, ...], more: dict[str, str]) -> None:
    with Server(always=Answer("Hello."), models=("a", "b")) as server:
        end = ran(place, "-p", "hi", *words, url=server.url, **more)
        assert server.requests[-1].body["model"] == "b"
        asked = len(server.requests)
    assert (end.code, end.out) == (0, "Hello.\n")
    bare = "b" in (*words, *more.values())
    assert asked == (2 if bare else 1)


def test_a_name_that_also_the_service_does_not_know_is_unknown(place: Place) -> None:
    with Server(models=("gpt-large", "gpt-small")) as server:
        end = ran(place, "-p", "hi", "-m", "gpt-lagre", url=server.url)
    assert (end.code, end.out) == (2, "")
    assert "unknown model 'gpt-lagre'; nearest: openai/gpt-large, openai/gpt-small" in end.err


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        (Failed(401, "no such key"), 41, "Check the key: OPENAI_API_KEY"),
        (Failed(404, "nothing here"), 2, "does not say which models it has"),
        (Plain(200, b"<html>", {"content-type": "text/html"}), 2, "Name one with --model openai/ID"),
        (Plain(200, {"data": []}), 2, "lists no models"),
        (Failed(503, "later"), 75, "503"),
    ],
)
def test_a_service_that_does_not_tell_is_asked_once_and_its_error_says_what_to_do(
    reply: Plain | Failed, code: int, says: str, own_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(always=reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with Agent.create("limits { retries = 0 }") as agent, pytest.raises(AgentError) as caught:
            agent.session(".")
        assert len(server.requests) == 1
    assert caught.value.exit_code == code
    assert says in caught.value.line()
    assert own_key not in caught.value.line()


def test_the_terminal_session_asks_too(place: Place) -> None:
    with Server(always=Answer("Hello there."), models=("only",)) as server:
        env = place.env(OPENAI_API_KEY="sk-test-canary-key", OPENAI_BASE_URL=server.url)
        config = Path(env["XDG_CONFIG_HOME"]) / "agentcli"
        config.mkdir(parents=True)
        (config / "config.hcl").write_text('ui { notifications = "off" }\n')  # not the first start
        terminal = Terminal(agentcli(), place.folder, env)
        try:
            terminal.see("openai/only")
            terminal.enter("hi")
            terminal.see("Hello there.")
        finally:
            terminal.close()


def test_the_library_asks_too_from_within_a_loop_and_without_one(own_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(always=Answer("Hello."), models=("only",)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)

        async def main() -> str:
            async with await AsyncAgent.create("limits { retries = 0 }") as agent, agent.session(".") as session:
                return (await session.send("hi")).text

        assert asyncio.run(main()) == "Hello."
        with Agent.create("limits { retries = 0 }") as agent, agent.session(".") as session:
            assert session.send("hi").model.resolved == "openai/only"


def test_models_lists_what_the_service_has_and_says_where_it_cannot(place: Place) -> None:
    with Server(models=("one", "two")) as server:
        rows = json.loads(ran(place, "models", "--json", url=server.url).out)
    assert [(row["id"], row["wire"], row["key_present"]) for row in rows][:2] == [
        ("openai/one", "openai-chat", True),
        ("openai/two", "openai-chat", True),
    ]
    gone = ran(place, "models", url="http://127.0.0.1:9/v1")
    assert (gone.code, "openai: what it has is not known" in gone.out) == (0, True)


# --- servers of one's own machine, and what things cost ---


def test_a_server_of_ones_own_needs_only_to_be_named_and_costs_nothing(place: Place) -> None:
    with Server(always=Answer("Hello.")) as server:
        host = server.origin.removeprefix("http://")
        end = ran(place, "-p", "hi", "-m", "ollama/qwen3:8b", "--max-budget-usd", "1", "--output-format", "json", OLLAMA_HOST=host)
        (asked,) = server.requests
    assert (end.code, end.result["result"], end.result["total_cost_usd"]) == (0, "Hello.", 0)
    assert (asked.path, asked.body["model"], "authorization" in asked.headers) == ("/v1/chat/completions", "qwen3:8b", False)


def test_a_run_costs_what_the_package_knows_of_the_service(place: Place) -> None:
    """The service is reached through a proxy, which stands for it: the only way to be at its address without leaving this machine."""
    usage = Usage(input=1_000, output=2_000, cache_read=3_000)
    with Server(always=Answer("Hello.", usage=usage)) as proxy:
        azure = {"AZURE_OPENAI_API_KEY": "azure-canary", "AZURE_OPENAI_ENDPOINT": "http://mine.openai.azure.com"}
        more = {**azure, "HTTP_PROXY": proxy.origin, "NO_PROXY": ""}
        end = ran(place, "-p", "hi", "-m", "azure/gpt-4o", "--max-budget-usd", "1", "--output-format", "json", **more)
        refused = ran(place, "-p", "hi", "-m", "azure/my-deployment", "--max-budget-usd", "1", **more)
        (asked,) = proxy.requests
    assert asked.path == "http://mine.openai.azure.com/openai/v1/responses"
    assert (end.code, end.result["result"]) == (0, "Hello.")
    assert end.result["total_cost_usd"] == pytest.approx((1_000 * 2.5 + 2_000 * 10 + 3_000 * 1.25) / 1e6)
    used = end.result["modelUsage"]["azure/gpt-4o"]
    assert (used["costUSD"], used["contextWindow"]) == (end.result["total_cost_usd"], 128_000)
    assert (refused.code, refused.out) == (2, "")
    assert "the price of azure/my-deployment is unknown" in refused.err


# --- nothing at all ---


def test_with_nothing_each_way_to_a_model_is_told(place: Place) -> None:
    for words in (("-p", "hi"), ("-p", "hi", "--output-format", "json")):
        end = ran(place, *words)
        assert end.code == 2
        assert all(way in end.out + end.err for way in ("OPENAI_API_KEY", "agent.hcl", "--model local"))
    listed = ran(place, "models")
    assert (listed.code, listed.err) == (0, "")
    assert all(way in listed.out for way in ("OPENAI_API_KEY", "agent.hcl", "ollama/NAME"))


def test_workers_are_listed_without_a_model_and_say_why_theirs_is_unknown(place: Place) -> None:
    place.file("agent.hcl", 'agents "scout" {\n  description = "Looks."\n  model = "local"\n}\n')
    rows = {row["name"]: row for row in json.loads(ran(place, "agents", "--json", "--config", "agent.hcl").out)}
    assert (rows["explore"]["model"], rows["explore"]["waits"], "Three ways" in rows["explore"]["problem"]) == (None, True, True)
    assert rows["scout"]["model"]["resolved"] == "local/qwen2.5-coder-0.5b"
    text = ran(place, "agents", "--config", "agent.hcl")
    assert (text.code, text.err) == (0, "")
    assert "explore  unknown (parent)" in text.out
    assert "Three ways" in text.out.splitlines()[-1]


# --- names that do not exist ---


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": {"exploer": "local"}}, "no worker is called 'exploer'; nearest: explore, "),
        ({"workers": {"explore": "lcoal"}}, "--worker explore: unknown model 'lcoal'; nearest: "),
        ({"workers": {"translator": "local"}, "tools": ["read"]}, "no worker is called 'translator'; nearest: "),
        ({"fallback_models": ["demo/m2", "demo/m9"]}, "--fallback-model: unknown model 'demo/m9'; nearest: demo/m1, demo/m2, "),
        ({"subagent_model": "demo/m9"}, "--subagent-model: unknown model 'demo/m9'; nearest: demo/m1, demo/m2, "),
        ({"model": "demo/m9"}, "unknown model 'demo/m9'; nearest: demo/m1, demo/m2, "),
    ],
)
def test_a_name_that_does_not_exist_ends_with_2_the_nearest_three_and_where_it_stands(place: Place, options: dict[str, Any], says: str) -> None:
    place.script(said("never"))
    agent = AsyncAgent.layered(place.folder, explicit=Path(place.scripted), origin=Origin(link="flag"))
    with pytest.raises(UsageError) as caught:
        agent.session(place.folder, **options)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(says)
    near = caught.value.message.partition("nearest: ")[2].removesuffix(".").split(", ")
    assert len(near) == len(set(near)) == 3


def test_a_default_that_does_not_exist_is_named_with_its_line(place: Place) -> None:
    place.file("agent.hcl", 'aliases { fast = "local" }\ndefault_model = "gtp"\nsubagent_model = "lcoal"\n')
    end = ran(place, "-p", "hi", "--config", "agent.hcl")
    assert (end.code, f"{place.folder}/agent.hcl:2: default_model: unknown model 'gtp'" in end.err) == (2, True)
    agent = AsyncAgent.layered(place.folder, explicit=place.folder / "agent.hcl", origin=Origin(link="flag"))
    with pytest.raises(UnknownModel, match=r"agent\.hcl:3: subagent_model: unknown model 'lcoal'"):
        agent.session(place.folder, model="local")
    end = ran(place, "-p", "hi", AGENTCLI_MODEL="lcoal")
    assert (end.code, "AGENTCLI_MODEL: unknown model 'lcoal'" in end.err) == (2, True)


def test_the_library_says_the_same_in_its_own_words(place: Place) -> None:
    place.script(said("never"))
    with Agent.create(Path(place.scripted)) as agent:
        with pytest.raises(UsageError, match="no worker is called 'scuot'; nearest: scout"):
            agent.session(".", workers={"scuot": "demo/m1"})
        with pytest.raises(UnknownModel, match=r"workers\['scout'\]: unknown model 'demo/m9'"):
            agent.session(".", workers={"scout": "demo/m9"})
        with pytest.raises(UnknownModel, match="fallback_models: unknown model 'demo/m9'"):
            agent.session(".", fallback_models=["demo/m9"])


def test_a_model_of_a_service_whose_key_is_not_set_says_which_to_set() -> None:
    with Agent.create("limits { retries = 0 }") as agent, pytest.raises(UnknownModel) as caught:
        agent.session(".", model="mistral/mistral-medium-latest")
    assert caught.value.line().endswith("mistral can be used once MISTRAL_API_KEY is set.")

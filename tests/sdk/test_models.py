"""Which models an agent can reach, and over which wire, from its config and the keys in the environment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.asking import collect, request
from support.desk import Desk
from support.server import Answer, Server
from support.wires import PATHS

from agentcli import AsyncAgent
from agentcli.config.load import Config
from agentcli.protocol.errors import ModelRefused
from agentcli.protocol.models import Cost, ModelSpec
from agentcli.providers.presets import known_models
from agentcli.sdk.models import Services


def config(folder: Path, text: str, **environ: str) -> Config:
    base = folder.resolve()
    return Desk(base, base / "config", base / "data", base / "cache", base).text(text, **environ)


def services(folder: Path, text: str = "", **environ: str) -> Services:
    return Services(config(folder, text, **environ), environ)


def remote(found: Services) -> list[tuple[str, str]]:
    return [(f"{spec.provider}/{spec.id}", spec.wire) for spec in found.catalogue.models if spec.wire != "local"]


@pytest.mark.parametrize(
    ("key", "default", "wire"),
    [
        ("OPENAI_API_KEY", "openai/gpt-6.1-sol", "openai-responses"),
        ("ANTHROPIC_API_KEY", "anthropic/claude-sonnet-5-5", "anthropic"),
        ("GEMINI_API_KEY", "google/gemini-3.8-flash", "gemini"),
    ],
)
def test_a_key_alone_gives_a_service_its_models_and_its_wire(tmp_path: Path, key: str, default: str, wire: str) -> None:
    found = services(tmp_path, **{key: "sk-test-key"})
    name, link = found.starting_model(None, "default", "")
    assert (name, link) == (default, "default")
    assert found.catalogue.resolve(name).spec.wire == wire
    undeclared = found.catalogue.resolve(f"{default.partition('/')[0]}/brand-new")
    assert undeclared.spec.wire == wire


def test_a_block_with_a_known_name_and_nothing_else_is_that_service(tmp_path: Path) -> None:
    found = services(tmp_path, 'providers "anthropic" { apiKey = env("MINE") }', MINE="sk-test-key")
    assert found.catalogue.models[: len(known_models("anthropic"))] == known_models("anthropic")
    assert found.spec("anthropic").wire == "anthropic"


@pytest.mark.parametrize(
    ("block", "wire"),
    [
        ('providers "openai" { models "m" {} }', "openai-responses"),
        ('providers "openai" { baseUrl = "https://a.example/v1"  models "m" {} }', "openai-chat"),
        ('providers "openai" { baseUrl = env("URL")  models "m" {} }', "openai-chat"),
        ('providers "openai" { wire = "openai-chat"  models "m" {} }', "openai-chat"),
        ('providers "anthropic" { baseUrl = "https://a.example"  models "m" {} }', "anthropic"),
        ('providers "google" { models "m" {} }', "gemini"),
        ('providers "mine" { baseUrl = "https://a.example/v1"  models "m" {} }', "openai-chat"),
        ('providers "mine" { baseUrl = "https://a.example/v1"  models "m" { wire = "anthropic" } }', "anthropic"),
    ],
)
def test_the_wire_of_a_declared_model(tmp_path: Path, block: str, wire: str) -> None:
    assert [spec_wire for _, spec_wire in remote(services(tmp_path, block))] == [wire]


def test_what_is_known_of_a_model_fills_in_what_its_block_leaves_out(tmp_path: Path) -> None:
    text = 'providers "anthropic" { models "claude-haiku-4-5" { cost = { input = 9, output = 9 } } }'
    found = services(tmp_path, text).catalogue.resolve("anthropic/claude-haiku-4-5").spec
    (known,) = (model for model in known_models("anthropic") if model.id == "claude-haiku-4-5")
    assert (found.cost, found.context, found.effort, found.quirks) == (Cost(9, 9), 200_000, known.effort, known.quirks)


def test_nothing_is_taken_as_known_of_what_answers_elsewhere_or_speaks_otherwise(tmp_path: Path) -> None:
    elsewhere = services(tmp_path, 'providers "openai" { baseUrl = "https://a.example/v1"  models "gpt-4o" {} }')
    assert elsewhere.catalogue.resolve("openai/gpt-4o").spec == ModelSpec("openai", "gpt-4o")
    assert remote(services(tmp_path, 'providers "openai" { wire = "openai-chat" }')) == []


def test_a_provider_whose_models_speak_different_wires_asks_each_over_its_own(tmp_path: Path) -> None:
    async def main(url: str) -> list[str]:
        text = f"""providers "mine" {{
          baseUrl = "{url}"  apiKey = "sk-test-key-of-mine"
          models "m1" {{ wire = "openai-responses" }}
          models "m2" {{ wire = "anthropic" }}
          models "m3" {{}}
        }}"""
        found = services(tmp_path, text)
        said = []
        for spec in found.catalogue.models[:3]:
            answer = await collect(found.connect("mine"), request(model=spec))
            said.append(answer.message.text())
        await found.aclose()
        return said

    with Server(always=lambda asked: Answer(asked.path)) as server:
        assert asyncio.run(main(server.url)) == [PATHS["openai-responses"], PATHS["anthropic"], PATHS["openai-chat"]]


# --- prices ---


def test_what_config_says_of_a_price_wins_and_the_package_fills_in(tmp_path: Path) -> None:
    text = """providers "anthropic" {
      models "claude-haiku-4-5" { cost = { input = 9, output = 9 } }
      models "claude-sonnet-4-6" {}
      models "unheard-of" {}
    }"""
    found = services(tmp_path, text)
    price = {spec.id: found.price(spec) for spec in found.catalogue.models}
    assert price["claude-haiku-4-5"] == Cost(9, 9)
    assert price["claude-sonnet-4-6"] == found._prices.known("claude-sonnet-4-6", "https://api.anthropic.com").cost is not None
    assert price["unheard-of"] is None
    assert price["qwen2.5-coder-0.5b"] == Cost(0, 0)


@pytest.mark.parametrize(
    ("name", "environ", "cost"),
    [
        ("ollama/qwen3:8b", {}, Cost(0, 0)),
        ("vllm/Qwen/Qwen3-8B", {"VLLM_BASE_URL": "http://localhost:9/v1"}, Cost(0, 0)),
        ("ollama/qwen3:8b", {"OLLAMA_HOST": "box.example"}, None),
        ("openai/gpt-4o", {"OPENAI_API_KEY": "sk-test-key", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, None),
        ("groq/no-such-model", {"GROQ_API_KEY": "sk-test-key"}, None),
    ],
)
def test_only_what_is_known_to_be_free_costs_nothing(tmp_path: Path, name: str, environ: dict[str, str], cost: Cost | None) -> None:
    found = services(tmp_path, **environ)
    assert found.price(found.catalogue.resolve(name).spec) == cost


def test_a_context_that_nobody_declared_is_looked_up_too(tmp_path: Path) -> None:
    found = services(tmp_path, OPENAI_API_KEY="sk-test-key")
    assert found.context(found.catalogue.resolve("openai/gpt-5.4").spec) == 1_050_000
    assert found.context(found.catalogue.resolve("openai/unheard-of").spec) is None


def test_servers_of_ones_own_machine_need_only_be_named(tmp_path: Path) -> None:
    found = services(tmp_path)
    assert found.catalogue.resolve("ollama/llama3.2").spec == ModelSpec("ollama", "llama3.2")
    assert found.spec("ollama").base_url == "http://127.0.0.1:11434/v1"
    assert (found.key_state("ollama"), found.is_remote("ollama")) == ((None, ""), False)
    own = services(tmp_path, 'providers "ollama" { baseUrl = "http://127.0.0.1:9/v1"  models "m" {} }')
    assert own.spec("ollama").base_url == "http://127.0.0.1:9/v1"


def test_azure_gets_its_key_in_a_header_of_its_own(tmp_path: Path) -> None:
    async def main(root: str) -> None:
        text = f"""providers "azure" {{
          baseUrl = "{root}/openai/deployments/mine?api-version=2024-10-21"  wire = "openai-chat"
          headers {{ api-key = env("MY_AZURE") }}
          models "mine" {{}}
        }}"""
        preset = services(tmp_path, AZURE_OPENAI_API_KEY="azure-test-key", AZURE_OPENAI_ENDPOINT=root)
        for found in (preset, services(tmp_path, text, MY_AZURE="azure-test-key")):
            await collect(found.connect("azure"), request(model=found.catalogue.resolve("azure/mine").spec))
            await found.aclose()

    with Server(always=lambda asked: Answer(asked.path)) as server:
        asyncio.run(main(server.url.removesuffix("/v1")))
        assert [one.headers.get("api-key") for one in server.requests] == ["azure-test-key"] * 2
        assert not any("authorization" in one.headers for one in server.requests)
        paths = [one.path for one in server.requests]
    assert paths == ["/openai/v1/responses", "/openai/deployments/mine/chat/completions?api-version=2024-10-21"]


def test_a_budget_in_usd_is_refused_for_a_model_whose_price_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked of the service; a price that the package knows is one."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-key")

    async def main() -> None:
        async with AsyncAgent.layered(Path.cwd()) as agent:
            for refused in (
                {"model": "anthropic/unheard-of"},
                {"model": "anthropic/claude-sonnet-5-5", "fallback_models": ["anthropic/unheard-of"]},
            ):
                with pytest.raises(ModelRefused, match="the price of anthropic/unheard-of is unknown"):
                    agent.session(".", max_budget_usd=1.0, **refused)
            session = agent.session(".", max_budget_usd=1.0, model="anthropic/claude-sonnet-5-5")
            with pytest.raises(ModelRefused):
                session.use_model("anthropic/unheard-of")

    asyncio.run(main())

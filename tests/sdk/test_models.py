"""Which models an agent can reach, and over which wire, from its config and the keys in the environment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.asking import collect, request
from support.desk import Desk
from support.server import Answer, Server
from support.wires import PATHS

from agentcli.config.load import Config
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

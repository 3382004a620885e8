"""What a name stands for."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.asking import collect, request, spec_for
from support.server import Answer, Server

from agentcli.protocol.errors import ConfigError, UnknownModel
from agentcli.protocol.models import ModelSpec, ProviderSpec, Quirks, Wire
from agentcli.providers.openai_chat import OpenAIChat
from agentcli.providers.registry import WIRES, Catalogue, connect
from agentcli.providers.scripted import ScriptedProvider

GOOGLE = Quirks(call_signature="skip_thought_signature_validator")
MODELS = (
    ModelSpec("openai", "gpt-4o", name="GPT-4o"),
    ModelSpec("openai", "gpt-4o-mini", name="GPT-4o mini"),
    ModelSpec("openai", "gpt-5", name="GPT-5", effort=("low", "High"), default_effort="low"),
    ModelSpec("ollama", "qwen3:8b"),
    ModelSpec("ollama", "qwen3"),
    ModelSpec("router", "vendor/model:free"),
    ModelSpec("router", "vendor/model", effort=("low", "high")),
    ModelSpec("router", "gpt-4o", name="GPT-4o (Router)"),
    ModelSpec("google", "gemini-3.5-flash", name="Gemini 3.5 Flash", effort=("low", "medium", "high")),
    ModelSpec("anthropic", "claude-sonnet-4.6", name="Claude Sonnet 4.6 (Thinking)", effort=("low",)),
    ModelSpec("local", "qwen2.5-coder-0.5b", wire="local"),
    ModelSpec("local", "qwen2.5-coder-1.5b", wire="local"),
)
ALIASES = {
    "fast": "openai/gpt-4o-mini",
    "Deep": "openai/gpt-5",
    "deepest": "openai/gpt-5:High",
    "chained": "deep",
    "human": "gemini 3.5 flash",
    "a": "b",
    "b": "a",
}
CATALOGUE = Catalogue(MODELS, aliases=ALIASES, open_providers=["router", "new"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("  openai/gpt-4o ", "openai/gpt-4o"),
        ("openai/gpt-5", "openai/gpt-5:low"),
        ("openai/gpt-5:High", "openai/gpt-5:High"),
        ("openai/gpt-5:high", "openai/gpt-5:High"),
        ("ollama/qwen3:8b", "ollama/qwen3:8b"),
        ("ollama/qwen3", "ollama/qwen3"),
        ("router/vendor/model:free", "router/vendor/model:free"),
        ("router/vendor/model:high", "router/vendor/model:high"),
        ("router/vendor/model", "router/vendor/model"),
        ("router/other/thing:v2", "router/other/thing:v2"),
        ("router/vendor/model:beta", "router/vendor/model:beta"),
        ("new/anything:else", "new/anything:else"),
        ("fast", "openai/gpt-4o-mini"),
        ("FAST", "openai/gpt-4o-mini"),
        ("deep", "openai/gpt-5:low"),
        ("deep:high", "openai/gpt-5:High"),
        ("deepest", "openai/gpt-5:High"),
        ("deepest:low", "openai/gpt-5:low"),
        ("chained", "openai/gpt-5:low"),
        ("human", "google/gemini-3.5-flash"),
        ("human:low", "google/gemini-3.5-flash:low"),
        ("GPT-4o mini", "openai/gpt-4o-mini"),
        ("gpt-4O MINI", "openai/gpt-4o-mini"),
        ("Gemini 3.5 Flash", "google/gemini-3.5-flash"),
        ("Gemini 3.5 Flash (Low)", "google/gemini-3.5-flash:low"),
        ("gemini 3.5 flash (medium)", "google/gemini-3.5-flash:medium"),
        ("Gemini 3.5 Flash:high", "google/gemini-3.5-flash:high"),
        ("Claude Sonnet 4.6 (Thinking)", "anthropic/claude-sonnet-4.6"),
        ("Claude Sonnet 4.6 (Thinking) (Low)", "anthropic/claude-sonnet-4.6:low"),
        ("claude sonnet 4.6", "anthropic/claude-sonnet-4.6"),
        ("Claude Sonnet 4.6 (Low)", "anthropic/claude-sonnet-4.6:low"),
        ("Gemini 3.5 Flash (Thinking)", "google/gemini-3.5-flash"),
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("gpt-5:High", "openai/gpt-5:High"),
        ("qwen3:8b", "ollama/qwen3:8b"),
        ("vendor/model:free", "router/vendor/model:free"),
        ("vendor/model:high", "router/vendor/model:high"),
        ("local", "local/qwen2.5-coder-0.5b"),
        ("Local", "local/qwen2.5-coder-0.5b"),
    ],
)
def test_a_name_stands_for_one_model_at_one_effort(name: str, expected: str) -> None:
    found = CATALOGUE.resolve(name)
    assert str(found.ref) == expected
    assert (found.spec.provider, found.spec.id) == (found.ref.provider, found.ref.id)


@pytest.mark.parametrize(
    ("name", "nearest", "says"),
    [
        ("openai/gpt-4", ("openai/gpt-4o",), "agentcli models"),
        ("gpt4o-mini", ("openai/gpt-4o-mini",), "agentcli models"),
        ("nobody/anything", (), "agentcli models"),
        ("openai/gpt-5:ultra", ("openai/gpt-5:low", "openai/gpt-5:High"), "agentcli models"),
        ("ollama/qwen3:high", ("ollama/qwen3",), "no effort levels"),
        ("fast:low", ("openai/gpt-4o-mini",), "no effort levels"),
        ("GPT-4o (Ultra)", ("openai/gpt-4o",), "openai/gpt-4o has no effort levels"),
        ("GPT-4o (Thinking)", ("openai/gpt-4o",), "no effort levels"),
        ("Gemini 3.5 Flash (Max)", ("google/gemini-3.5-flash:low", "google/gemini-3.5-flash:medium"), "agentcli models"),
        ("router/vendor/model:medium", ("router/vendor/model:low", "router/vendor/model:high"), "agentcli models"),
        ("", (), "empty"),
        ("   ", (), "empty"),
        ("a", (), "circle: a > b"),
        ("new/", (), "agentcli models"),
        ("/gpt-4o", (), "agentcli models"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_names(name: str, nearest: tuple[str, ...], says: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        CATALOGUE.resolve(name)
    assert caught.value.exit_code == 2
    assert set(nearest) <= set(caught.value.nearest)
    assert len(caught.value.nearest) <= 3
    assert says in caught.value.line()


def test_an_id_that_several_providers_have_lists_them() -> None:
    plain = Catalogue([ModelSpec("a", "gpt-4o"), ModelSpec("b", "gpt-4o"), ModelSpec("c", "other")])
    with pytest.raises(UnknownModel) as caught:
        plain.resolve("gpt-4o")
    assert caught.value.nearest == ("a/gpt-4o", "b/gpt-4o")
    assert "Several providers have it" in caught.value.line()


def test_a_human_name_of_two_providers_lists_them_too() -> None:
    twice = Catalogue([ModelSpec("a", "x", name="Same"), ModelSpec("b", "y", name="same")])
    with pytest.raises(UnknownModel) as caught:
        twice.resolve("SAME")
    assert caught.value.nearest == ("a/x", "b/y")


@pytest.mark.parametrize("asked", ["quick", "quicker", "quick:low"])
def test_an_alias_for_nothing_is_an_error_that_names_what_was_asked_and_what_the_alias_stands_for(asked: str) -> None:
    with pytest.raises(UnknownModel, match=rf"unknown model '{asked}' \(an alias of 'openai/gone'\); nearest: "):
        Catalogue(MODELS, aliases={"quick": "openai/gone", "quicker": "quick"}).resolve(asked)


def test_an_alias_wins_over_a_bare_id_and_a_declared_alias_named_local_over_the_embedded_model() -> None:
    own = Catalogue(MODELS, aliases={"gpt-5": "openai/gpt-4o", "local": "ollama/qwen3"})
    assert str(own.resolve("gpt-5").ref) == "openai/gpt-4o"
    assert str(own.resolve("local").ref) == "ollama/qwen3"


def test_of_two_models_with_one_reference_the_first_stands() -> None:
    own = ModelSpec("openai", "gpt-4o", context=5)
    assert Catalogue([own, *MODELS]).resolve("openai/gpt-4o").spec is own


def test_an_undeclared_model_of_an_open_provider_speaks_that_providers_wire() -> None:
    assert CATALOGUE.resolve("new/x").spec == ModelSpec("new", "x")
    assert Catalogue([], open_providers={"demo": "scripted"}).resolve("demo/x").spec == ModelSpec("demo", "x", "scripted")


def test_without_models_local_is_unknown() -> None:
    with pytest.raises(UnknownModel):
        Catalogue([]).resolve("local")


def test_models_are_found_by_words_of_provider_id_and_name() -> None:
    assert [spec.id for spec in CATALOGUE.matching("OPENAI mini")] == ["gpt-4o-mini"]
    assert CATALOGUE.matching("") == MODELS
    assert CATALOGUE.matching("flash gemini") == (MODELS[8],)
    assert CATALOGUE.matching("nothing") == ()


# --- connecting ---


def test_every_wire_in_the_table_has_its_class() -> None:
    for module, name in WIRES.values():
        assert hasattr(import_module(f"agentcli.providers.{module}"), name)


def test_a_wire_connects_to_its_class(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text("[]")
    assert isinstance(connect(ProviderSpec("x", base_url="http://127.0.0.1:1/v1")), OpenAIChat)
    assert isinstance(connect(ProviderSpec("x", wire="scripted", script=str(script))), ScriptedProvider)


@pytest.mark.parametrize("wire", ["openai-chat", "openai-responses", "anthropic", "gemini"])
def test_each_wire_over_http_connects_to_the_class_of_its_row(wire: Wire) -> None:
    assert type(connect(ProviderSpec("x", wire, "http://127.0.0.1:1"))).__name__ == WIRES[wire][1]


@pytest.mark.parametrize(
    ("spec", "url", "quirks"),
    [
        (ProviderSpec("mistral"), "https://api.mistral.ai/v1", Quirks(stream_usage=False, call_ids="nine")),
        (ProviderSpec("anthropic", "anthropic"), "https://api.anthropic.com", Quirks(bound_thinking=True)),
        (ProviderSpec("google", "gemini"), "https://generativelanguage.googleapis.com/v1beta", GOOGLE),
        (ProviderSpec("openai", "openai-responses"), "https://api.openai.com/v1", Quirks()),
        (ProviderSpec("openai"), "https://api.openai.com/v1", Quirks(max_tokens_field="max_completion_tokens")),
        (ProviderSpec("anthropic", "anthropic", quirks=Quirks(phases=True)), "https://api.anthropic.com", Quirks(phases=True)),
    ],
)
def test_a_provider_with_a_known_name_needs_no_address(spec: ProviderSpec, url: str, quirks: Quirks) -> None:
    provider: Any = connect(spec)
    assert (provider.spec.base_url, provider.spec.quirks) == (url, quirks)


def test_a_known_name_with_another_wire_than_its_services_needs_an_address() -> None:
    with pytest.raises(ConfigError, match="provider 'google' has no address"):
        connect(ProviderSpec("google"))


def test_each_model_of_a_service_of_many_wires_is_asked_over_its_own() -> None:
    async def main(url: str) -> list[str]:
        provider = connect(spec_for(url), wires=["openai-responses", "anthropic", "openai-chat"])
        texts = []
        for wire in ("anthropic", "openai-responses", "openai-chat", "gemini"):
            found = await collect(provider, request(model=ModelSpec("test", "m1", wire)))
            assert found.error is None
            texts.append(found.message.text())
        await provider.aclose()
        return texts

    with Server(always=lambda request: Answer(request.path)) as server:
        assert asyncio.run(main(server.url)) == ["/v1/messages", "/v1/responses", "/v1/chat/completions", "/v1/chat/completions"]


def test_a_service_of_one_wire_is_that_wires_class() -> None:
    assert isinstance(connect(spec_for("http://127.0.0.1:1"), wires=["openai-chat"]), OpenAIChat)


def test_a_provider_with_an_unknown_name_does() -> None:
    with pytest.raises(ConfigError, match="provider 'mine' has no address"):
        connect(ProviderSpec("mine"))


def test_a_wire_that_is_not_there_says_which_are() -> None:
    with pytest.raises(ConfigError, match="wire 'telepathy' is not available") as caught:
        connect(ProviderSpec("x", wire="telepathy"))  # type: ignore[arg-type]
    assert "openai-chat" in caught.value.hint

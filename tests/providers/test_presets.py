"""Which services are ready with which variables set, and that the key goes nowhere but into its secret."""

from __future__ import annotations

import msgspec
import pytest

from agentcli.protocol.models import Cost, ModelSpec, ProviderSpec, Quirks
from agentcli.protocol.secrets import Secret
from agentcli.providers.presets import (
    Service,
    filled,
    is_own_server,
    key_hint,
    known_models,
    own_servers,
    presets_from,
    servers_from,
    services,
    with_known,
)
from agentcli.providers.registry import Catalogue

KEY = "sk-canary-0123456789"


def test_without_a_key_nothing_is_ready() -> None:
    assert presets_from({}) == []
    assert presets_from({"OPENAI_API_KEY": "  ", "PATH": "/bin"}) == []


@pytest.mark.parametrize("service", [service for service in services() if not service.address], ids=lambda service: service.name)
def test_a_key_in_the_usual_variable_is_enough(service: Service) -> None:
    (preset,) = presets_from({service.key: f" {KEY}\n"})
    assert preset.provider.api_key == Secret(KEY)
    assert preset.provider.base_url.startswith("https://")
    assert preset.provider.remote
    assert preset.default in [model.id for model in preset.models]
    assert {model.provider for model in preset.models} == {preset.provider.name}
    assert all(model.wire == preset.provider.wire and model.context and model.name for model in preset.models)
    assert all(not model.default_effort or model.default_effort in model.effort for model in preset.models)


def test_several_keys_make_several_services_in_the_order_of_preference() -> None:
    ready = presets_from({"XAI_API_KEY": KEY, "OPENAI_API_KEY": KEY, "GROQ_API_KEY": KEY})
    assert [preset.provider.name for preset in ready] == ["openai", "groq", "xai"]


@pytest.mark.parametrize(
    ("key", "name", "wire"),
    [
        ("OPENAI_API_KEY", "openai", "openai-responses"), ("ANTHROPIC_API_KEY", "anthropic", "anthropic"), ("GEMINI_API_KEY", "google", "gemini"),
        ("GOOGLE_API_KEY", "google", "gemini"), ("GROQ_API_KEY", "groq", "openai-chat"),
    ],
)  # fmt: skip
def test_each_service_speaks_its_own_wire(key: str, name: str, wire: str) -> None:
    (preset,) = presets_from({key: KEY})
    assert (preset.provider.name, preset.provider.wire) == (name, wire)


def test_of_two_variables_for_one_service_the_first_counts() -> None:
    (preset,) = presets_from({"GOOGLE_API_KEY": "other", "GEMINI_API_KEY": KEY})
    assert preset.provider.api_key == Secret(KEY)


def test_azure_is_ready_with_its_address_and_knows_no_models() -> None:
    assert presets_from({"AZURE_OPENAI_API_KEY": KEY}) == []
    (preset,) = presets_from({"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/"})
    spec = ProviderSpec("azure", "openai-responses", "https://mine.openai.azure.com/openai/v1", Secret(KEY), key_header="api-key")
    assert preset == (spec, (), "", False)


@pytest.mark.parametrize(("key", "wire"), [("OPENAI", "openai-chat"), ("ANTHROPIC", "anthropic"), ("GEMINI", "gemini")])
def test_at_an_address_of_ones_own_openai_is_taken_for_a_compatible_server(key: str, wire: str) -> None:
    (preset,) = presets_from({f"{key}_API_KEY": KEY, f"{key}_BASE_URL": "https://proxy.example"})
    assert (preset.provider.wire, preset.models) == (wire, ())


def test_a_declared_model_gets_what_is_known_of_it_and_keeps_what_it_says() -> None:
    known = next(model for model in known_models("anthropic") if model.id == "claude-haiku-4-5")
    declared = ModelSpec("anthropic", "claude-haiku-4-5", "anthropic", name="Mine", context=50_000, cost=Cost(9, 9))
    assert with_known(declared) == msgspec.structs.replace(declared, effort=known.effort, output=known.output, quirks=known.quirks)
    renamed = ModelSpec("anthropic", "small", "anthropic", sent_as="claude-haiku-4-5")
    assert with_known(renamed).context == known.context
    assert with_known(ModelSpec("anthropic", "new")) == ModelSpec("anthropic", "new")
    over_chat = with_known(ModelSpec("openai", "gpt-6-astra"))
    assert (over_chat.quirks, over_chat.context) == (None, 1_050_000)
    scripted = ModelSpec("openai", "gpt-6-astra", "scripted")
    assert with_known(scripted) == scripted


def test_behind_an_address_of_ones_own_the_service_says_what_it_has() -> None:
    (preset,) = presets_from({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"})
    spec = ProviderSpec("openai", base_url="http://127.0.0.1:9/v1", api_key=Secret(KEY), remote=False)
    assert preset == (spec, (), "", True)


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://api.openai.com/v1/"])
def test_the_usual_address_said_explicitly_changes_nothing(url: str) -> None:
    assert presets_from({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url}) == presets_from({"OPENAI_API_KEY": KEY})


def test_a_remote_address_of_ones_own_is_remote() -> None:
    (preset,) = presets_from({"GROQ_API_KEY": KEY, "GROQ_BASE_URL": "https://proxy.example/groq"})
    assert (preset.provider.base_url, preset.provider.remote) == ("https://proxy.example/groq", True)


def test_the_key_shows_in_no_text_of_a_preset() -> None:
    ready = presets_from({service.key: KEY for service in services()})
    assert KEY not in repr(ready) + str(ready)
    with pytest.raises(TypeError):
        msgspec.json.encode(ready[0].provider)


def test_every_preset_model_can_be_named_in_each_way() -> None:
    ready = presets_from({service.key: KEY for service in services()})
    catalogue = Catalogue([model for preset in ready for model in preset.models])
    for model in catalogue.models:
        assert catalogue.resolve(f"{model.provider}/{model.id}").spec is model
        assert catalogue.resolve(model.name).spec is model


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("Claude Sonnet 4.6 (Thinking)", "anthropic/claude-sonnet-4-6"),
        ("Claude Sonnet 4.6", "anthropic/claude-sonnet-4-6"),
        ("claude sonnet 5.5 (thinking)", "anthropic/claude-sonnet-5-5"),
        ("Gemini 3.5 Flash (Low)", "google/gemini-3.5-flash:low"),
        ("GPT-6.1 Sol (XHigh)", "openai/gpt-6.1-sol:xhigh"),
        ("fireworks/accounts/fireworks/models/glm-5p2", "fireworks/accounts/fireworks/models/glm-5p2"),
        ("groq/openai/gpt-oss-120b:low", "groq/openai/gpt-oss-120b:low"),
        ("openrouter/vendor/model:free", "openrouter/vendor/model:free"),
    ],
)
def test_names_that_people_use(name: str, reference: str) -> None:
    ready = presets_from({service.key: KEY for service in services()})
    catalogue = Catalogue(
        [model for preset in ready for model in preset.models], open_providers={preset.provider.name: preset.provider.wire for preset in ready}
    )
    assert str(catalogue.resolve(name).ref) == reference


def test_servers_of_ones_own_machine_are_known_by_name_and_never_taken_by_themselves() -> None:
    names = {server.name for server in own_servers()}
    assert names == {"ollama", "vllm", "lmstudio", "llama.cpp"}
    for name in names:
        spec = filled(ProviderSpec(name))
        assert spec.base_url.startswith("http://127.0.0.1:")
        assert not spec.remote
    assert not names & {preset.provider.name for preset in presets_from({service.key: KEY for service in services()})}


@pytest.mark.parametrize(
    ("environ", "url", "remote"),
    [
        ({}, "http://127.0.0.1:11434/v1", False),
        ({"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434/v1", False),
        ({"OLLAMA_HOST": ":9999"}, "http://127.0.0.1:9999/v1", False),
        ({"OLLAMA_HOST": "box:1234"}, "http://box:1234/v1", True),
        ({"OLLAMA_HOST": "https://box.example"}, "https://box.example:11434/v1", True),
        ({"OLLAMA_HOST": "box", "OLLAMA_BASE_URL": "http://[::1]:5/v1/"}, "http://[::1]:5/v1", False),
    ],
)
def test_a_server_of_ones_own_is_where_its_variable_says(environ: dict[str, str], url: str, remote: bool) -> None:
    spec = servers_from(environ)["ollama"]
    assert (spec.base_url, spec.remote, spec.api_key) == (url, remote, None)
    assert is_own_server(spec) is not remote


def test_a_server_of_ones_own_may_have_a_key_and_needs_none() -> None:
    assert servers_from({"VLLM_API_KEY": KEY})["vllm"].api_key == Secret(KEY)
    assert servers_from({"LLAMA_CPP_BASE_URL": "http://localhost:1/v1"})["llama.cpp"] == ProviderSpec(
        "llama.cpp", base_url="http://localhost:1/v1", remote=False
    )


def test_a_declared_provider_gets_what_is_known_and_keeps_what_it_says() -> None:
    assert filled(ProviderSpec("anthropic", wire="anthropic")).quirks.bound_thinking
    assert filled(ProviderSpec("openai")).quirks.max_tokens_field == "max_completion_tokens"
    own = Quirks(stream_usage=False)
    assert filled(ProviderSpec("openai", quirks=own)).quirks == own
    elsewhere = ProviderSpec("openai", base_url="https://proxy.example/v1")
    assert filled(elsewhere) == elsewhere
    assert filled(ProviderSpec("unknown")) == ProviderSpec("unknown")
    scripted = ProviderSpec("openai", wire="scripted", script="x.json")
    assert filled(scripted) == scripted


def test_the_hint_for_a_key_names_its_variable() -> None:
    assert "GEMINI_API_KEY or GOOGLE_API_KEY" in key_hint("google", sent=False)
    assert key_hint("groq", sent=True) == 'Check the key: GROQ_API_KEY, or apiKey in providers "groq" of the config.'
    assert key_hint("mine", sent=False) == 'No key was sent: set apiKey in providers "mine" of the config.'

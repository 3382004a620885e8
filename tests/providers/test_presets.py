"""Which services are ready with which variables set, and that the key goes nowhere but into its secret."""

from __future__ import annotations

import msgspec
import pytest

from agentcli.protocol.models import ProviderSpec, Quirks
from agentcli.protocol.secrets import Secret
from agentcli.providers.presets import filled, key_hint, own_servers, presets_from, services
from agentcli.providers.registry import Catalogue

KEY = "sk-canary-0123456789"


def test_without_a_key_nothing_is_ready() -> None:
    assert presets_from({}) == []
    assert presets_from({"OPENAI_API_KEY": "  ", "PATH": "/bin"}) == []


@pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
def test_a_key_in_the_usual_variable_is_enough(service: object) -> None:
    (preset,) = presets_from({service.key: f" {KEY}\n"})  # type: ignore[attr-defined]
    assert preset.provider.api_key == Secret(KEY)
    assert preset.provider.base_url.startswith("https://")
    assert preset.provider.remote
    assert preset.default in [model.id for model in preset.models]
    assert {model.provider for model in preset.models} == {preset.provider.name}
    assert all(model.wire == "openai-chat" and model.context and model.name for model in preset.models)
    assert all(not model.default_effort or model.default_effort in model.effort for model in preset.models)


def test_several_keys_make_several_services_in_the_order_of_preference() -> None:
    ready = presets_from({"XAI_API_KEY": KEY, "OPENAI_API_KEY": KEY, "GROQ_API_KEY": KEY})
    assert [preset.provider.name for preset in ready] == ["openai", "groq", "xai"]


def test_behind_an_address_of_ones_own_the_service_says_what_it_has() -> None:
    (preset,) = presets_from({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"})
    spec = ProviderSpec("openai", base_url="http://127.0.0.1:9/v1", api_key=Secret(KEY), remote=False)
    assert preset == (spec, (), "")


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


def test_servers_of_ones_own_machine_are_known_by_name_and_never_taken_by_themselves() -> None:
    names = {server.name for server in own_servers()}
    assert names == {"ollama", "vllm", "lmstudio", "llama.cpp"}
    for name in names:
        spec = filled(ProviderSpec(name))
        assert spec.base_url.startswith("http://127.0.0.1:")
        assert not spec.remote
    assert not names & {preset.provider.name for preset in presets_from({service.key: KEY for service in services()})}


def test_a_declared_provider_gets_what_is_known_and_keeps_what_it_says() -> None:
    assert filled(ProviderSpec("openai")).quirks.max_tokens_field == "max_completion_tokens"
    own = Quirks(stream_usage=False)
    assert filled(ProviderSpec("openai", quirks=own)).quirks == own
    elsewhere = ProviderSpec("openai", base_url="https://proxy.example/v1")
    assert filled(elsewhere) == elsewhere
    assert filled(ProviderSpec("unknown")) == ProviderSpec("unknown")
    scripted = ProviderSpec("openai", wire="scripted", script="x.json")
    assert filled(scripted) == scripted


def test_the_hint_for_a_key_names_its_variable() -> None:
    assert key_hint("groq", sent=True) == 'Check the key: GROQ_API_KEY, or apiKey in providers "groq" of the config.'
    assert key_hint("mine", sent=False) == 'No key was sent: set apiKey in providers "mine" of the config.'

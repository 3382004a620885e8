"""A provider block worked out: variables read only when the provider is needed, values judged, nothing shown that is secret."""

from __future__ import annotations

import pytest
from support.desk import Desk

from agentcli.protocol.errors import ConfigError
from agentcli.protocol.models import ModelSpec, ProviderSpec, Quirks
from agentcli.protocol.secrets import Secret

TWO = """providers "one" {
  apiKey  = env("ONE_KEY")
  baseUrl = env("ONE_URL", "https://one.example/v1/")
  models "a" {}
}
providers "two" {
  headers {
    X-Key = env("TWO_KEY")
    X-App = "agentcli"
  }
}
"""


def test_a_machine_with_one_key_can_use_one_provider(desk: Desk) -> None:
    config = desk.text(TWO, ONE_KEY=" k1\n")
    assert config.provider("one") == ProviderSpec("one", base_url="https://one.example/v1", api_key=Secret("k1"))
    with pytest.raises(ConfigError) as caught:
        config.provider("two")
    says = 'headers.X-Key of provider "two" needs the variable TWO_KEY, which is not set. Set it, or use another provider.'
    assert caught.value.line() == f"config text:8:5: {says}"
    assert (caught.value.file, caught.value.row, caught.value.column) == ("config text", 8, 5)


def test_an_empty_variable_counts_as_not_set(desk: Desk) -> None:
    config = desk.text(TWO, ONE_KEY="", ONE_URL="")
    with pytest.raises(ConfigError, match="ONE_KEY, which is not set"):
        config.provider("one")
    assert desk.text(TWO, ONE_KEY="k", ONE_URL="").provider("one").base_url == "https://one.example/v1"


def test_models_never_need_a_variable(desk: Desk) -> None:
    config = desk.text(TWO)
    assert config.models("one") == (ModelSpec("one", "a"),)
    assert (config.closed("one"), config.closed("two"), config.models("two")) == (True, False, ())


def test_headers_take_variables_and_text(desk: Desk) -> None:
    spec = desk.text(TWO, TWO_KEY="k2").provider("two")
    assert spec == ProviderSpec("two", headers={"X-Key": "k2", "X-App": "agentcli"})


def test_the_first_variable_that_is_set_counts(desk: Desk) -> None:
    text = 'providers "a" { api_key = env("A", env("B", "none")) }'
    keys = [desk.text(text, **environ).provider("a").api_key for environ in ({"A": "1", "B": "2"}, {"B": "2"}, {})]
    assert keys == [Secret("1"), Secret("2"), Secret("none")]
    assert desk.text(text).key_variables == {"A", "B"}


def test_an_unknown_provider_names_the_nearest(desk: Desk) -> None:
    with pytest.raises(ConfigError) as caught:
        desk.text(TWO).provider("won")
    assert caught.value.line() == 'there is no provider "won" in the config. Nearest: one, two.'


@pytest.mark.parametrize(("name", "value"), [("ONE_KEY", "a\x1bb"), ("ONE_KEY", "schlüssel"), ("ONE_KEY", "two\nlines"), ("ONE_KEY", "  ")])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(desk: Desk, name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        desk.text(TWO, **{name: value}).provider("one")
    says = f'api_key of provider "one" must be one line of plain ASCII text, and the variable {name} is not. Correct it.'
    assert caught.value.line() == f"config text:2:3: {says}"


@pytest.mark.parametrize("url", ["one.example", "ftp://one.example", "http:///path", "http://one:port", "http://one two", "javascript:x"])
def test_an_address_from_a_variable_is_judged_and_not_shown(desk: Desk, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        desk.text(TWO, ONE_KEY="k", ONE_URL=url).provider("one")
    assert "must be an address" in caught.value.line()
    assert url not in caught.value.line()


@pytest.mark.parametrize(
    ("block", "remote"),
    [
        ("", True),
        ('base_url = "https://api.example/v1"', True),
        ('base_url = "http://localhost:8080/v1"', False),
        ('base_url = "http://127.8.9.1/"', False),
        ('base_url = "http://[::1]:80/v1"', False),
        ('base_url = "http://127.evil.example/"', True),
        ('base_url = "http://localhost.evil.example/"', True),
        ('base_url = "http://app.localhost/"', False),
        ('base_url = "http://127.0.0.1/"\n remote = true', True),
        ('base_url = "http://gpu.lan/v1"\n remote = false', False),
        ('wire = "scripted"', False),
        ('wire = "local"', False),
    ],
)
def test_what_stays_on_this_machine_is_not_remote(desk: Desk, block: str, remote: bool) -> None:
    assert desk.text(f'providers "a" {{ {block} }}').provider("a").remote is remote


def test_a_model_s_quirks_are_laid_over_its_provider_s(desk: Desk) -> None:
    config = desk.text(
        'providers "a" {\n quirks { max_tokens_field = "max_completion_tokens"\n reasoning_fields = ["thoughts"] }\n'
        ' models "plain" {}\n models "odd" { quirks { stream_usage = false\n extra_body = { seed = 7, deep = { a = [1, null] } } } }\n}'
    )
    base = Quirks(max_tokens_field="max_completion_tokens", reasoning_fields=("thoughts",))
    odd = Quirks("max_completion_tokens", stream_usage=False, reasoning_fields=("thoughts",), extra_body={"seed": 7, "deep": {"a": [1, None]}})
    assert config.provider("a").quirks == base
    assert config.models("a") == (ModelSpec("a", "plain"), ModelSpec("a", "odd", quirks=odd))


def test_a_scripted_provider_names_its_file_from_the_config_s_folder(desk: Desk) -> None:
    spec = desk.text('providers "s" { wire = "scripted"\n script = env("SCRIPT", "answers.json") }').provider("s")
    assert spec == ProviderSpec("s", "scripted", remote=False, script=f"{desk.project}/answers.json")

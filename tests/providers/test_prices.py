"""What models cost where no config says it: from the package's own data, without a request, kept for the day."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path

import genai_prices
import pytest

from agentcli.protocol.models import Cost, Tier, Usage
from agentcli.providers.presets import Service, services
from agentcli.providers.prices import FILE, UNKNOWN, Prices, look_up

OPENAI = "https://api.openai.com/v1"
NOON = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)


def test_the_default_of_every_service_has_a_price_and_a_context() -> None:
    prices = Prices(None)
    for service in services():
        if service.default:
            known = prices.known(service.default, service.url)
            assert known.cost is not None and 0 < known.cost.input < known.cost.output, service.name


def test_prices_are_looked_up_by_the_address_not_by_the_name() -> None:
    prices = Prices(None)
    assert prices.known("gpt-4o", OPENAI).cost == Cost(2.5, 10.0, 1.25)
    assert prices.known("gpt-4o", "https://proxy.example/v1") == UNKNOWN
    assert prices.known("gpt-4o", "http://127.0.0.1:8080/v1") == UNKNOWN
    assert prices.known("gpt-4o", "") == UNKNOWN
    assert prices.known("no-such-model", OPENAI) == UNKNOWN


def test_what_was_looked_up_is_at_hand_and_what_needs_no_look_up_always_is(tmp_path: Path) -> None:
    prices = Prices(tmp_path)
    assert not prices.at_hand("gpt-4o", OPENAI)
    prices.known("gpt-4o", OPENAI)
    assert prices.at_hand("gpt-4o", OPENAI) and Prices(tmp_path).at_hand("gpt-4o", OPENAI)
    assert Prices(None).at_hand("gpt-4o", "http://127.0.0.1:8080/v1") and not Prices(None).at_hand("gpt-4o", OPENAI)


def test_a_price_that_begins_on_a_day_does_so() -> None:
    google = "https://generativelanguage.googleapis.com/v1beta"
    before, _ = look_up("gemini-4-argon", google, NOON)
    after, _ = look_up("gemini-4-argon", google, datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC))
    assert before.cost == Cost(2.0, 10.0, 0.1)
    assert after.cost == Cost(4.0, 20.0, 0.2)


def test_a_price_by_the_hour_is_not_kept_for_the_day(tmp_path: Path) -> None:
    url = "https://api.deepseek.com/v1"
    noon, lasts = look_up("deepseek-flash", url, NOON)
    night, _ = look_up("deepseek-flash", url, NOON.replace(hour=2))
    assert noon.cost and night.cost and noon.cost != night.cost
    assert not lasts
    Prices(tmp_path).known("deepseek-flash", url)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("service", [service for service in services() if service.models], ids=lambda service: service.name)
def test_a_call_costs_what_the_package_itself_makes_of_it(service: Service) -> None:
    """Short and long prompts (some services charge a whole long call at another price), with and without a cache."""
    for model in service.models:
        cost = look_up(model.id, service.url, NOON)[0].cost
        assert cost is not None, model.id
        for usage in (Usage(input=1_000, output=500), Usage(100_000, 500, cache_read=50_000, cache_write=1_000), Usage(300_000, 10, 300_000)):
            said = genai_prices.calc_price(
                genai_prices.Usage(
                    input_tokens=usage.prompt,
                    cache_read_tokens=usage.cache_read,
                    cache_write_tokens=usage.cache_write,
                    output_tokens=usage.output,
                ),
                model.id,
                provider_api_url=service.url,
                genai_request_timestamp=NOON,
            )
            assert usage.priced(cost) == pytest.approx(float(said.total_price)), model.id


def test_a_tier_begins_above_its_mark_and_holds_for_the_whole_call() -> None:
    cost = Cost(2.0, 10.0, 0.1, 2.5, (Tier(1_000, 4.0, 15.0, 0.2), Tier(9_000, 8.0, 30.0)))
    assert Usage(input=500, cache_read=500, output=10).priced(cost) == pytest.approx((500 * 2 + 500 * 0.1 + 10 * 10) / 1e6)
    assert Usage(input=501, cache_read=500, output=10).priced(cost) == pytest.approx((501 * 4 + 500 * 0.2 + 10 * 15) / 1e6)
    assert Usage(input=501, cache_write=500).priced(cost) == pytest.approx(1_001 * 4 / 1e6)
    assert Usage(input=1, cache_read=9_000).priced(cost) == pytest.approx(9_001 * 8 / 1e6)
    assert Usage(input=1).priced(None) is None


def test_what_was_looked_up_is_read_again_without_loading_the_package(tmp_path: Path) -> None:
    known = Prices(tmp_path).known("gpt-4o", f"https://user:secret@{OPENAI.removeprefix('https://')}?token=canary")
    again = (
        "import sys; from pathlib import Path; from agentcli.providers.prices import Prices\n"
        f"known = Prices(Path({str(tmp_path)!r})).known('gpt-4o', {OPENAI!r})\n"
        "print(known.cost.input, known.context, 'genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=True)
    assert known.cost is not None
    assert done.stdout.split() == [str(known.cost.input), str(known.context), "False"]
    kept = (tmp_path / FILE).read_text()
    assert "canary" not in kept and "secret" not in kept


@pytest.mark.parametrize("kept", [b"", b"{", b"\xff\xfe", b'{"stamp": "yesterday", "models": {"https://api.openai.com/v1 gpt-4o": {}}}'])
def test_a_cache_that_is_broken_or_of_another_day_is_none(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / FILE).write_bytes(kept)
    assert Prices(tmp_path).known("gpt-4o", OPENAI).cost == Cost(2.5, 10.0, 1.25)
    assert "yesterday" not in json.loads((tmp_path / FILE).read_bytes())["stamp"]


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert Prices(tmp_path / "file").known("gpt-4o", OPENAI).cost == Cost(2.5, 10.0, 1.25)

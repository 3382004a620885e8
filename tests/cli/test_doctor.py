"""`agentcli doctor`: what works and what does not, each with what to do; no key is shown, no token spent unless asked for."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from support.place import Place, said
from support.program import run
from support.server import Answer, Failed, Plain, Server, Silence
from support.terminal import Terminal, agentcli

from agentcli import AsyncAgent
from agentcli.protocol.models import Usage
from agentcli.sdk import doctor
from agentcli.sdk.findings import Finding, is_usable

KEY = "sk-doctor-canary-0001"
NOBODY = "http://127.0.0.1:1/v1"
"""No service is there."""
ELSEWHERE = {f"{name}_BASE_URL": NOBODY for name in ("OLLAMA", "VLLM", "LMSTUDIO", "LLAMA_CPP")}
"""Whatever servers the machine of the tests runs are left alone."""


def config(**urls: str) -> str:
    """Providers by name, each at its address with one model `m`; the first has the default."""
    blocks = [f'providers "{name}" {{\n  baseUrl = "{url}"\n  apiKey = env("DOCTOR_KEY")\n  models "m" {{}}\n}}\n' for name, url in urls.items()]
    return f'default_model = "{next(iter(urls))}/m"\n' + "".join(blocks)


def checked(place: Place, *words: str, **env: str) -> tuple[int, dict[str, list[dict[str, Any]]], str]:
    """The exit code, the checks by area, and all that was printed."""
    ran = run("doctor", "--json", *words, env=place.env(**ELSEWHERE, **env), cwd=place.folder)
    assert ran.err == ""
    found = json.loads(ran.out)
    assert found["usable"] == (ran.code == 0)
    by_area: dict[str, list[dict[str, Any]]] = {}
    for one in found["checks"]:
        by_area.setdefault(one["area"], []).append(one)
    return ran.code, by_area, ran.out


def examined(folder: Path, text: str, *, test: bool = False) -> list[Finding]:
    async def main() -> list[Finding]:
        async with await AsyncAgent.create(text) as agent:
            return await doctor.examine(agent, folder, test=test)

    return asyncio.run(main())


def of(findings: list[Finding], area: str) -> list[Finding]:
    return [one for one in findings if one.area == area]


def test_where_all_is_well_a_model_can_be_used_and_nothing_was_spent(place: Place) -> None:
    with Server(models=("m", "n")) as server:
        place.file("agent.hcl", config(mine=server.url))
        code, areas, out = checked(place, "--config", "agent.hcl", DOCTOR_KEY=KEY)
        assert [(one.method, one.path) for one in server.requests] == [("GET", "/v1/models")]
    assert code == 0
    assert set(areas) == {"agentcli", "config", "trust", "model", "mine", "local", "git", "ripgrep", "sandbox", "folders", "terminal"}
    (mine,) = areas["mine"]
    assert (mine["state"], "key present, reachable" in mine["text"], "lists 2 models" in mine["text"]) == ("ok", True, True)
    assert areas["model"][0]["text"] == "mine/m (config)"
    assert [areas[area][0]["state"] for area in ("config", "git", "ripgrep", "folders")] == ["ok"] * 4
    assert KEY not in out


def test_with_nothing_at_all_each_line_says_what_to_do(place: Place) -> None:
    ran = run("doctor", env=place.env(**ELSEWHERE, AGENTCLI_WEIGHTS=str(place.folder / "none")), cwd=place.folder)
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("✓ agentcli")
    assert any(line.startswith("✗ model") and line.endswith("no model to run on.") for line in lines)
    assert any("Three ways" in line for line in lines) and any("agentcli local pull" in line for line in lines)
    assert lines[-1] == "No model can be used here: see the lines above."


def test_a_mistake_in_the_config_is_told_with_its_line(place: Place) -> None:
    place.file("agent.hcl", 'default_model = "local"\nprovider "x" {}\n')
    code, areas, _ = checked(place, "--config", "agent.hcl")
    assert code == 1
    (wrong,) = areas["config"]
    assert (wrong["state"], f"{place.folder}/agent.hcl:2:1" in wrong["text"], wrong["fix"]) == ("bad", True, 'Did you mean "providers"?')
    assert "git" in areas


def test_a_variable_that_is_not_set_and_a_folder_that_is_not_trusted_are_told(place: Place) -> None:
    place.file("given.hcl", config(mine=NOBODY))
    _, areas, _ = checked(place, "--config", "given.hcl")
    assert ("DOCTOR_KEY" in areas["config"][0]["text"], areas["mine"][0]["state"]) == (True, "bad")
    place.file("agent.hcl", config(mine=NOBODY))
    _, areas, _ = checked(place)
    (trust,) = areas["trust"]
    assert (trust["state"], "agentcli config trust" in trust["fix"]) == ("note", True)
    assert "mine" not in areas


@pytest.mark.parametrize(
    ("reply", "state", "says", "fix"),
    [
        (Failed(401, "bad key"), "bad", "refused", "Check the key"),
        (Failed(404, "nothing here"), "ok", "gives no list of models", ""),
        (Plain(200, b"<html>", {"content-type": "text/html"}), "ok", "gives no list of models", ""),
        (Failed(503, "later"), "bad", "503", ""),
    ],
)
def test_a_service_that_does_not_list_its_models(
    reply: Any, state: str, says: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTOR_KEY", KEY)
    with Server(always=reply) as server:
        (mine,) = of(examined(tmp_path, config(mine=server.url)), "mine")
        assert len(server.requests) == 1
    assert (mine.state, says in mine.text, fix in mine.fix) == (state, True, True)
    assert KEY not in mine.text + mine.fix


def test_services_that_say_nothing_are_waited_for_together_and_not_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_KEY", KEY)
    monkeypatch.setattr(doctor, "REACH_S", 0.5)
    with Server(always=Silence()) as one, Server(always=Silence()) as two, Server(models=("m",)) as good:
        began = time.monotonic()
        found = examined(tmp_path, config(one=one.url, two=two.url, good=good.url))
        took = time.monotonic() - began
    assert [of(found, name)[0].state for name in ("one", "two", "good")] == ["bad", "bad", "ok"]
    assert took < 5
    assert is_usable(found)


def test_a_test_asks_each_service_one_short_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_KEY", KEY)
    with (
        Server(Answer("ok", usage=Usage(5, 1)), models=("m",)) as good,
        Server(Answer("o", stop="length"), models=("m",)) as short,
        Server(Failed(429, "no credit left"), models=("m",)) as poor,
    ):
        found = examined(tmp_path, config(good=good.url, short=short.url, poor=poor.url), test=True)
        for server in (good, short, poor):
            listing, question = server.requests
            assert (listing.method, question.method, question.body["model"], question.body["max_tokens"]) == ("GET", "POST", "m", 16)
    assert [[one.state for one in of(found, name)] for name in ("good", "short", "poor")] == [["ok", "ok"], ["ok", "ok"], ["ok", "bad"]]
    assert "no credit left" in of(found, "poor")[1].text
    assert [one.area for one in found if one.usable and one.area != "local"] == ["good", "short"]


def test_a_server_of_this_machine_is_found_where_it_runs_and_not_mentioned_where_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(models=("llama3.2:latest",)) as server:
        for name, url in (ELSEWHERE | {"OLLAMA_BASE_URL": server.url}).items():
            monkeypatch.setenv(name, url)
        found = examined(tmp_path, "limits { retries = 0 }")
    (ollama,) = of(found, "ollama")
    assert (ollama.state, ollama.usable, ollama.text) == ("ok", True, "runs on this machine, has 1 models: --model ollama/llama3.2:latest")
    assert not any(of(found, name) for name in ("vllm", "lmstudio", "llama.cpp"))


@pytest.mark.parametrize(("models", "state", "says"), [(("only",), "ok", "openai/only (default)"), (("a", "b"), "bad", "openai/a, openai/b")])
def test_at_an_address_of_ones_own_the_model_is_what_the_service_has(
    models: tuple[str, ...], state: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(models=models) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        (model,) = of(examined(tmp_path, "limits { retries = 0 }"), "model")
        assert len(server.requests) == 1
    assert (model.state, says in model.text) == (state, True)


def test_proxies_are_named_without_their_passwords_and_lost_certificates_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:proxy-canary@proxy.example:3128")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    proxy, certificate = of(examined(tmp_path, "limits { retries = 0 }"), "network")
    assert proxy.text == "requests go through a proxy: HTTPS_PROXY proxy.example"
    assert (certificate.state, certificate.fix) == ("bad", "Correct SSL_CERT_FILE, or unset it.")


def test_programs_that_are_not_there_are_told_with_what_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (git,) = of(examined(tmp_path, "limits { retries = 0 }"), "git")
    assert (git.state, git.fix) == ("bad", "Install git: workers' own clones (workspace branch) and /diff need it.")


def test_the_command_in_a_session_says_the_same(place: Place) -> None:
    place.script(said("never"))
    terminal = Terminal(agentcli("--config", place.scripted), place.folder, place.env(**ELSEWHERE), columns=100, rows=50)
    try:
        terminal.ready()
        terminal.enter("/doctor")
        terminal.see("✓ agentcli", "✓ ripgrep", "✓ terminal", "TERM xterm-256color, 100 x 50, colour")
        terminal.enter("/doctor nonsense")
        terminal.see("/doctor takes nothing, or the word test.")
    finally:
        terminal.close()

"""The key of each provider is in one header of its own requests, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from typing import Any

import pytest
from support.asking import collect, request, spec_for, with_provider
from support.server import Answer, Captured, Hangup, Plain, Reply, Server, Silence, failed, redirect
from support.wires import KEY_HEADER, NAMES

from agentcli.protocol.models import ModelSpec
from agentcli.protocol.secrets import Secret
from agentcli.providers.base import ModelRequest
from agentcli.providers.clients import Clients
from agentcli.providers.http import Outgoing
from agentcli.providers.registry import connect

KEYS = {wire: f"canary-{wire}-7f3a9c" for wire in NAMES}


def asked(wire: str) -> ModelRequest:
    return request(model=ModelSpec(wire, "m1", wire), first_byte_s=0.3)  # type: ignore[arg-type]


def spec(wire: str, url: str) -> Any:
    return spec_for(url, name=wire, wire=wire, api_key=Secret(KEYS[wire]))


def places(sent: Captured, key: str) -> list[str]:
    """Where in a request a key is."""
    found = [f"header {name}" for name, value in sent.headers.items() if key in value or key in name]
    return found + ["path"] * (key in sent.path) + ["body"] * (key.encode() in sent.raw)


def test_each_key_reaches_its_own_service_in_its_header_and_no_other_service() -> None:
    async def main(urls: dict[str, str]) -> None:
        clients = Clients()
        for wire, url in urls.items():
            provider: Any = connect(spec(wire, url), clients)
            assert (await collect(provider, asked(wire))).error is None
            await provider.list_models()
        await clients.aclose()

    with ExitStack() as stack:
        servers = {wire: stack.enter_context(Server(Answer("ok"), models=("a",))) for wire in NAMES}
        asyncio.run(main({wire: server.url for wire, server in servers.items()}))
    for wire, server in servers.items():
        assert len(server.requests) == 2
        for sent in server.requests:
            assert {other: places(sent, key) for other, key in KEYS.items()} == {
                other: [f"header {KEY_HEADER[wire]}"] if other == wire else [] for other in NAMES
            }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("wire", NAMES)
def test_a_redirect_to_another_host_or_path_is_not_followed(wire: str, status: int) -> None:
    with Server() as elsewhere, Server(redirect(f"{elsewhere.url}/chat/completions", status)) as server:
        found = with_provider(spec(wire, server.url), lambda provider: collect(provider, asked(wire)))
    assert elsewhere.connections == 0
    assert len(server.requests) == 1
    assert found.error is not None
    assert f"{status}: a redirect to 127.0.0.1:" in found.error.line()


def echoes(key: str) -> dict[str, Reply]:
    return {
        "an error that says it": failed(401, f"the key {key} is wrong"),
        "an error that says it in parts of a line": failed(400, f"Bearer {key}&x={key}{key}"),
        "an error object inside": Answer("a").sent(insert={1: b'event: error\ndata: {"message":"' + key.encode() + b'"}\n\n'}),
        "a stop reason": Answer("a", stop=key),
        "a page": Plain(200, f"<title>{key}</title>", {"content-type": "text/html"}),
        "garbage": Plain(200, f"data: {{{key}\n\n", {"content-type": "text/event-stream"}),
        "text": Plain(200, key),
        "a redirect": redirect(f"https://{key}.example/{key}"),
        "nothing": Hangup(),
        "silence": Silence(),
    }


@pytest.mark.parametrize("echo", echoes("x"))
@pytest.mark.parametrize("wire", NAMES)
def test_whatever_a_service_answers_its_key_is_in_no_part_and_no_error(wire: str, echo: str) -> None:
    with Server(echoes(KEYS[wire])[echo]) as server:
        found = with_provider(spec(wire, server.url), lambda provider: collect(provider, asked(wire)))
    said: list[Any] = [found.parts]
    error: BaseException | None = found.error
    while error is not None:
        said += [str(error), repr(error), vars(error)]
        error = error.__cause__
    if found.error is not None:
        said.append(found.error.line())
    assert KEYS[wire] not in repr(said)


@pytest.mark.parametrize("wire", NAMES)
def test_the_logs_of_the_libraries_below_do_not_tell_the_key(wire: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(Answer("ok"), failed(401)) as server:
        for _ in range(2):
            with_provider(spec(wire, server.url), lambda provider: collect(provider, asked(wire)))
    assert "HTTP Request" in caplog.text
    assert KEYS[wire] not in caplog.text


@pytest.mark.parametrize("wire", NAMES)
def test_no_text_of_a_provider_or_its_request_shows_the_key(wire: str) -> None:
    provider: Any = connect(spec(wire, "http://127.0.0.1:1/v1"))
    body = provider.body(asked(wire))
    call = Outgoing(provider._source, provider.url(asked(wire)), provider.headers(body))
    assert KEYS[wire] not in repr([provider, provider.spec, call, provider.begin(asked(wire)), body, call.url])
    assert KEYS[wire] in call.headers[KEY_HEADER[wire]]

"""The shared HTTP clients: how many, kept alive, through which proxy, trusting whom; and that httpx is loaded late and without its command line."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.asking import KEY, Said, ask, collect, request, spec_for, with_provider
from support.server import Answer, Server, failed, redirect
from support.tunnel import Tunnel
from support.wires import NAMES

from agentcli.protocol.errors import RequestRejected, Unavailable
from agentcli.protocol.models import ModelSpec
from agentcli.providers.clients import Clients
from agentcli.providers.openai_chat import OpenAIChat


def test_a_client_serves_about_32_requests_at_once_and_the_next_gets_another() -> None:
    async def main() -> list[int]:
        clients = Clients()
        with ExitStack() as stack:
            leased = [stack.enter_context(clients.lease("https://api.example.com/v1")) for _ in range(70)]
        with clients.lease("https://api.example.com/v1") as again:
            assert again is leased[0]
        counts = [sum(one is other for one in leased) for other in dict.fromkeys(leased)]
        assert len({client._transport._pool._ssl_context for client in leased}) == 1  # type: ignore[attr-defined]
        await clients.aclose()
        return counts

    assert asyncio.run(main()) == [32, 32, 6]


@pytest.mark.parametrize("wire", NAMES)
def test_a_connection_is_kept_alive_between_calls_also_after_an_error(wire: str) -> None:
    async def use(provider: Any) -> list[str]:
        return [(await collect(provider, request(model=ModelSpec("test", "m1", wire)))).message.text() for _ in range(4)]  # type: ignore[arg-type]

    with Server(Answer("a"), failed(429), Answer("b"), Answer("c").sent(whole=True)) as server:
        assert with_provider(spec_for(server.url, wire=wire), use) == ["a", "", "b", "c"]
    assert server.connections == 1


def test_a_kept_connection_that_the_service_closed_meanwhile_does_no_harm() -> None:
    async def use(provider: Any) -> list[str]:
        first = await collect(provider, request())
        await asyncio.to_thread(server.wait_closed, 1)
        return [first.message.text(), (await collect(provider, request())).message.text()]

    with Server(Answer("a").sent(hang_up=True), Answer("b")) as server:
        assert with_provider(spec_for(server.url), use) == ["a", "b"]
    assert server.connections == 2


def test_three_hundred_requests_at_once_share_a_few_clients() -> None:
    async def main(url: str) -> list[Said]:
        clients = Clients()
        provider = OpenAIChat(spec_for(url), clients)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(collect(provider, request())) for _ in range(300)]
            return [task.result() for task in tasks]
        finally:
            await provider.aclose()
            with clients.lease(url) as client:
                assert not client.is_closed
            await clients.aclose()

    with Server(always=Answer("ok").sent(first_delay_s=0.2)) as server:
        found = asyncio.run(main(server.url))
    assert {said.message.text() for said in found} == {"ok"}
    assert server.peak > 100


def test_a_redirect_is_not_followed_and_the_key_reaches_no_other_host() -> None:
    with Server(always=Answer("stolen")) as other, Server(redirect(f"{other.url}/chat/completions?key=1", 302)) as server:
        found = ask(server.url)
    assert isinstance(found.error, RequestRejected)
    assert f"a redirect to {other.origin.removeprefix('http://')}, which is not followed" in found.error.message
    assert other.requests == []


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    with Server(Answer("through the proxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        found = ask("http://model.invalid/v1")
    assert found.message.text() == "through the proxy"
    assert proxy.requests[0].path == "http://model.invalid/v1/chat/completions"


def test_no_proxy_is_asked_for_this_machines_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Server(Answer("direct")) as server:
        assert ask(server.url).message.text() == "direct"


def test_no_proxy_names_hosts_that_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "model.invalid")
    with Server(Answer("proxied")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        assert isinstance(ask("http://model.invalid/v1").error, Unavailable)
    assert proxy.requests == []


@pytest.mark.parametrize(("name", "value"), [("HTTP_PROXY", "gopher://127.0.0.1:1"), ("ALL_PROXY", "socks5://127.0.0.1:1")])
def test_a_proxy_that_cannot_be_used_is_told(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv(name, value)
    found = ask("http://model.invalid/v1")
    assert isinstance(found.error, Unavailable)
    assert not found.error.retryable
    assert "ALL_PROXY" in found.error.hint


def test_a_certificate_file_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    found = ask("https://model.invalid/v1")
    assert isinstance(found.error, Unavailable)
    assert not found.error.retryable
    assert "SSL_CERT_FILE" in found.error.hint


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1 and model.invalid, and a server's context that shows it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:model.invalid"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", names]
    subprocess.run([*made, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def test_a_certificate_that_is_not_trusted_ends_the_call_and_a_ca_of_ones_own_opens_it(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate
    with Server(Answer("over TLS"), tls=context) as server:
        refused = ask(server.url).error
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        trusted = ask(server.url)
    assert isinstance(refused, Unavailable)
    assert not refused.retryable
    assert "its certificate is not trusted" in refused.message
    assert "SSL_CERT_FILE" in refused.hint
    assert trusted.message.text() == "over TLS"
    assert len(server.requests) == 1


@pytest.mark.parametrize("wire", NAMES)
def test_through_the_tunnel_of_a_proxy_and_a_ca_of_ones_own_the_proxy_sees_the_host_and_nothing_else(
    certificate: tuple[Path, ssl.SSLContext], wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with Server(Answer("inside"), tls=context) as server, Tunnel(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:word@127.0.0.1:{proxy.port}")
        found = ask("https://model.invalid/v1", wire=wire)
    assert (found.error, found.message.text(), len(server.requests)) == (None, "inside", 1)
    ((line, *headers),) = proxy.heads
    assert line == "CONNECT model.invalid:443 HTTP/1.1"
    assert f"proxy-authorization: Basic {b64encode(b'me:word').decode()}" in [header.replace("Proxy-A", "proxy-a") for header in headers]
    assert KEY not in repr(proxy.heads)


@pytest.mark.parametrize(("status", "says"), [(407, "407"), (502, "502")])
def test_a_proxy_that_opens_no_tunnel_is_told_with_its_status(status: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    with Tunnel(0, refuses=status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        found = ask("https://model.invalid/v1")
    assert isinstance(found.error, Unavailable)
    assert says in found.error.message
    assert found.error.retryable == (status != 407)
    assert ("user:password@host" if status == 407 else "proxy variables") in found.error.hint


def run(code: str, *args: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_neither_the_wire_nor_connecting_loads_httpx() -> None:
    code = """
import sys
from agentcli.protocol.models import ProviderSpec
from agentcli.providers.registry import connect
connect(ProviderSpec("test", base_url="http://127.0.0.1:1/v1"))
print(sorted({"httpx", "httpcore", "anyio", "rich", "pydantic"} & set(sys.modules)))
"""
    assert run(code) == "[]"


def test_a_request_loads_httpx_without_its_command_line() -> None:
    code = """
import asyncio, sys
from agentcli.protocol.messages import user_text
from agentcli.protocol.models import ModelSpec, ProviderSpec
from agentcli.providers.base import ModelRequest
from agentcli.providers.registry import connect
async def main():
    provider = connect(ProviderSpec("test", base_url=sys.argv[1]))
    async for part in provider.stream(ModelRequest(model=ModelSpec("test", "m1"), messages=(user_text("hi"),))):
        pass
    await provider.aclose()
asyncio.run(main())
print("httpx" in sys.modules, sorted({"httpx._main", "rich", "click", "pygments", "pydantic"} & set(sys.modules)))
"""
    with Server(Answer("ok")) as server:
        assert run(code, server.url) == "True []"


def test_the_key_shows_in_no_representation_of_what_was_made() -> None:
    provider = OpenAIChat(spec_for("http://127.0.0.1:1/v1"))
    assert KEY not in repr(vars(provider))

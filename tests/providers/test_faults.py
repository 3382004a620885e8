"""Every way a service may fail, over real HTTP: which error, whether it may be tried again, what the one line says, and what was already shown."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
from contextlib import aclosing
from typing import Any

import pytest
from support.asking import KEY, Said, ask, collect, request, spec_for, with_provider
from support.faults import FAULTS, HELLO, Fault
from support.server import Answer, Plain, Server, Silence, failed
from support.wires import BY_NAME, NAMES, captured

from agentcli.protocol.errors import (
    AuthenticationFailed,
    ConfigError,
    ProviderError,
    RequestRejected,
    Unavailable,
)
from agentcli.protocol.messages import Text
from agentcli.protocol.secrets import Secret
from agentcli.providers.base import ModelRequest, TextPart
from agentcli.providers.openai_chat import OpenAIChat
from agentcli.providers.registry import connect


@pytest.mark.parametrize(("wire", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_the_error_it_should_be_after_exactly_one_request(wire: str, fault: Fault) -> None:
    with Server(fault.reply) as server:
        found = ask(server.url, request(**fault.limits), wire=wire)
    error = found.error
    assert error is not None
    assert (type(error), error.retryable, error.status, error.retry_after) == (fault.kind, fault.retryable, fault.status, fault.retry_after)
    assert fault.says in error.line()
    assert error.provider == "test"
    assert "\n" not in error.line()
    assert KEY not in error.line()
    assert error.hint
    assert len(server.requests) == 1
    assert found.message.calls() == ()
    assert shown(found).startswith(fault.shown) if fault.kind is Unavailable else shown(found) == fault.shown


def shown(found: Said) -> str:
    return "".join(part.text for part in found.parts if isinstance(part, TextPart))


@pytest.mark.parametrize("ending", ["stalls", "resets"])
@pytest.mark.parametrize("wire", NAMES)
def test_an_answer_that_gave_its_finish_reason_is_whole_whatever_comes_after(wire: str, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentcli.providers.over_http.AFTER_STOP_S", 0.1)
    answer = Answer(("a", "b", "c"), usage=None)
    events = BY_NAME[wire].events(answer, captured(wire))
    how: dict[str, Any] = {"stall_after": len(events)}
    if ending == "resets":
        how = {"cut_after": sum(map(len, events)), "ending": "reset", "done": False}
    with Server(answer.sent(**how)) as server:
        found = ask(server.url, wire=wire)
    assert found.error is None
    assert (found.message.content, found.message.stop) == ((Text("abc"),), "end")


@pytest.mark.parametrize("echo", ["you sent {}", "{}{}", "Bearer {}", "key={}&x"])
def test_a_key_that_the_service_says_back_is_not_shown(echo: str) -> None:
    with Server(failed(401, echo.replace("{}", KEY))) as server:
        found = ask(server.url)
    assert found.error is not None
    assert KEY not in repr(found.error) + found.error.line() + str(vars(found.error))
    assert "***" in found.error.message


def test_secret_headers_are_not_shown_either() -> None:
    with Server(failed(400, "bad header value hush-hush-hush")) as server:
        found = ask(server.url, headers={"X-Api-Token": "hush-hush-hush"})
    assert found.error is not None
    assert "hush" not in found.error.line()


def test_a_services_long_and_hostile_words_become_one_short_harmless_line() -> None:
    with Server(failed(400, "a\x1b[31m\n\u202eb " + "x" * 5000)) as server:
        found = ask(server.url)
    assert found.error is not None
    assert len(found.error.message) < 350
    assert not set("\x1b\n\u202e") & set(found.error.line())


@pytest.mark.parametrize("key", ["sk-\u00e9\u00e9\u00e9", "sk-a\nb: c", "sk-\x00"])
def test_a_key_that_no_header_may_hold_is_named_not_quoted(key: str) -> None:
    with Server() as server:
        found = ask(server.url, api_key=Secret(key))
    assert isinstance(found.error, RequestRejected)
    assert "'authorization'" in found.error.message
    assert "sk-" not in found.error.line()
    assert server.requests == []


@pytest.mark.parametrize("name", ["X Team", "X:Team", "", "Ünicode"])
def test_a_header_name_that_cannot_be_sent_is_told_before_anything_is_sent(name: str) -> None:
    with Server() as server:
        found = ask(server.url, headers={name: "blue"})
    assert isinstance(found.error, RequestRejected)
    assert "no header may have" in found.error.message
    assert server.requests == []


def test_white_space_around_a_key_does_no_harm() -> None:
    with Server(Answer("ok")) as server:
        assert ask(server.url, api_key=Secret(f" {KEY}\n")).error is None
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_absent_key_is_told_apart_from_a_wrong_one() -> None:
    with Server(failed(401), failed(401)) as server:
        assert "No key was sent: set OPENAI_API_KEY" in ask(server.url, name="openai", api_key=None).error.line()
        assert "Check the key: OPENAI_API_KEY" in ask(server.url, name="openai").error.line()


@pytest.mark.parametrize(
    ("url", "kind", "says"),
    [
        ("http://127.0.0.1:1/v1", Unavailable, "cannot connect to 127.0.0.1:1: "),
        ("http://nowhere.invalid/v1", Unavailable, "cannot connect to nowhere.invalid: "),
        ("https://127.0.0.1:1/v1", Unavailable, "cannot connect to 127.0.0.1:1: "),
        ("http://a..b/v1", Unavailable, "cannot connect to a..b: "),
        ("http://-ä-/v1", RequestRejected, "no URL of a service"),
        ("http://example.invalid/\x01", RequestRejected, "no URL of a service"),
    ],
)
def test_an_address_where_nobody_is(url: str, kind: type[ProviderError], says: str) -> None:
    found = ask(url)
    assert type(found.error) is kind
    assert says in found.error.line()
    assert len(found.error.line()) < 400


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/v1", "nonsense", "http://[::1", "http://127.0.0.1:99999/v1", "http:///v1"])
def test_what_is_no_address_is_an_error_of_the_config_that_does_not_quote_it(url: str) -> None:
    with pytest.raises(ConfigError, match="address") as caught:
        connect(spec_for(url))
    assert "baseUrl" in caught.value.hint


NOT_HTTP = {
    b"SSH-2.0-OpenSSH_9.6\r\n\r\n": "something that is not HTTP",
    b"\x15\x03\x01\x00\x02\x02F": "something that is not HTTP",
    b"HTTP/2 200\r\n\r\n": "something that is not HTTP",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nabc": "something that is not HTTP",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc": "not HTTP",
    b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n": "something that is not HTTP",
    b"HTTP/1.1 307 X\r\nlocation: http://[::1\r\ncontent-length: 0\r\n\r\n": "not HTTP",
    b"HTTP/1.1 307 X\r\nlocation: \xff\xfe\r\ncontent-length: 0\r\n\r\n": "answered 307: a redirect",
    b"HTTP/1.1 204 No\r\n\r\n": "an empty body",
    b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n": "answered 999: Odd",
    b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\ndata: {}\n\n": "stopped before it was complete",
    b"HTTP/1.0 200 OK\r\n\r\ndata: {}\n\n": "stopped before it was complete",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n": "answered 429: No",
}


@pytest.mark.parametrize(("raw", "says"), NOT_HTTP.items(), ids=lambda value: repr(value)[:60])
def test_what_is_hardly_http_or_none_is_told(raw: bytes, says: str) -> None:
    async def main() -> Said:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            provider = OpenAIChat(spec_for(f"http://127.0.0.1:{port}"))
            try:
                return await collect(provider, request())
            finally:
                await provider.aclose()

    found = asyncio.run(main())
    assert found.error is not None
    assert says in found.error.line()
    assert found.error.hint


@pytest.mark.parametrize("wire", NAMES)
@pytest.mark.parametrize("whole", [True, False])
def test_white_space_that_keeps_the_connection_alive_before_an_answer_is_no_part_of_it(wire: str, whole: bool) -> None:
    events = b"".join([*BY_NAME[wire].events(HELLO, captured(wire)), BY_NAME[wire].end_mark()])
    text = json.dumps(BY_NAME[wire].document(HELLO, captured(wire))).encode() if whole else events
    with Server(Plain(200, b"\xef\xbb\xbf" + b" \r\n" * 100_000 + text)) as server:
        found = ask(server.url, wire=wire)
    assert (found.error, found.message.text()) == (None, "hello there you")


def packed(status: int, data: bytes, encoding: str = "gzip") -> Plain:
    return Plain(status, data, {"content-encoding": encoding, "content-type": "text/event-stream"})


@pytest.mark.parametrize("wire", NAMES)
def test_an_answer_that_is_packed_unasked_is_unpacked(wire: str) -> None:
    stream = b"".join([*BY_NAME[wire].events(HELLO, captured(wire)), BY_NAME[wire].end_mark()])
    error = gzip.compress(json.dumps(BY_NAME[wire].error(failed(401, "wrong key"))).encode())
    with Server(packed(200, gzip.compress(stream)), packed(401, error)) as server:
        good, bad = ask(server.url, wire=wire), ask(server.url, wire=wire)
    assert (good.error, good.message.text()) == (None, "hello there you")
    assert isinstance(bad.error, AuthenticationFailed)
    assert "401: wrong key" in bad.error.message


@pytest.mark.parametrize(
    ("status", "data", "encoding", "says"),
    [
        (200, b"no gzip at all", "gzip", "a body that cannot be unpacked"),
        (200, gzip.compress(b"data: {}\n\n" * 99)[:40], "gzip", "stopped before it was complete"),
        (200, b"\x8b\x08\x00", "br", "is no event stream"),
        (500, b"no gzip at all", "gzip", "answered 500: Internal Server Error"),
    ],
)
def test_what_cannot_be_unpacked_is_told(status: int, data: bytes, encoding: str, says: str) -> None:
    with Server(packed(status, data, encoding)) as server:
        found = ask(server.url)
    assert found.error is not None
    assert says in found.error.line()


# --- being stopped ---


def test_a_cancel_is_honoured_at_once_and_is_no_error_of_the_provider() -> None:
    async def use(provider: Any) -> list[str]:
        seen: list[str] = []
        text = asyncio.Event()

        async def read() -> None:
            async with aclosing(provider.stream(request())) as stream:
                async for part in stream:
                    seen.append(type(part).__name__)
                    if isinstance(part, TextPart):
                        text.set()

        task = asyncio.create_task(read())
        await text.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return seen

    with Server(HELLO.sent(stall_after=2)) as server:
        assert with_provider(spec_for(server.url), use) == ["ServedPart", "TextPart"]


def test_a_cancel_while_the_first_byte_is_awaited() -> None:
    async def use(provider: Any) -> None:
        task = asyncio.create_task(collect(provider, request()))
        await asyncio.to_thread(server.wait_for, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Server(Silence()) as server:
        with_provider(spec_for(server.url), use)


def test_leaving_a_stream_early_closes_it_and_the_next_call_works() -> None:
    async def use(provider: Any) -> Said:
        async with aclosing(provider.stream(request())) as stream:
            async for part in stream:
                if isinstance(part, TextPart):
                    break
        found: Said = await collect(provider, request())
        return found

    with Server(HELLO.sent(stall_after=2), Answer("again")) as server:
        assert with_provider(spec_for(server.url), use).message.text() == "again"


def test_time_that_the_reader_takes_is_not_the_services() -> None:
    async def use(provider: Any) -> Said:
        found = Said([], None)
        async with aclosing(provider.stream(asked)) as stream:
            async for part in stream:
                await asyncio.sleep(0.15)
                found.parts.append(part)
        return found

    asked: ModelRequest = request(idle_s=0.1, first_byte_s=2.0)
    with Server(HELLO) as server:
        assert with_provider(spec_for(server.url), use).message.text() == "hello there you"


def test_a_gate_holds_an_answer_back_and_the_limit_of_another_call_is_its_own() -> None:
    gate = threading.Event()

    async def use(provider: Any) -> list[str]:
        slow = asyncio.create_task(collect(provider, request("slow")))
        await asyncio.to_thread(server.wait_for, 1)
        quick = await collect(provider, request("quick", first_byte_s=0.2))
        gate.set()
        return [type(quick.error).__name__, (await slow).message.text()]

    with Server(Answer("late").sent(gate=gate), Silence()) as server:
        assert with_provider(spec_for(server.url), use) == ["Unavailable", "late"]

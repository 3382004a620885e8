"""Every way a service may fail, over real HTTP: which error, whether it may be tried again, what the one line says, and what was already shown."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest
from support.asking import KEY, Said, ask, collect, request, spec_for, with_provider
from support.server import Answer, Call, Hangup, Plain, Reply, Server, Silence, failed, redirect
from support.wires import BY_NAME, NAMES, captured, events_until

from agentcli.protocol.errors import (
    AuthenticationFailed,
    ConfigError,
    ContextOverflow,
    InvalidResponse,
    ProviderError,
    RateLimited,
    RequestRejected,
    StreamBroken,
    Unavailable,
)
from agentcli.protocol.messages import Text
from agentcli.protocol.secrets import Secret
from agentcli.providers.base import ModelRequest, TextPart
from agentcli.providers.openai_chat import OpenAIChat
from agentcli.providers.registry import connect

HELLO = Answer(("hello ", "there ", "you"))
SHORT = {"first_byte_s": 0.3, "idle_s": 0.3, "total_s": 5.0}


@dataclass
class Fault:
    reply: Reply
    kind: type[ProviderError]
    says: str
    retryable: bool
    status: int | None = None
    retry_after: float | None = None
    limits: dict[str, float] = field(default_factory=dict)
    shown: str = ""


def body(data: bytes, kind: str = "text/event-stream") -> Plain:
    return Plain(200, data, {"content-type": kind})


NO_PIECE = {
    "openai-chat": "no chunk of a chat completion", "openai-responses": "no event of a response",
    "anthropic": "no event of a message", "gemini": "no chunk of generated content",
}  # fmt: skip
NO_DOCUMENT = {
    "openai-chat": "no chat completion", "openai-responses": "no response", "anthropic": "no message", "gemini": "no generated content",
}  # fmt: skip

ALWAYS = {
    "400": Fault(failed(400, "bad field"), RequestRejected, "test answered 400: bad field.", False, 400),
    "401": Fault(failed(401, "wrong key"), AuthenticationFailed, "test answered 401: wrong key.", False, 401),
    "402": Fault(failed(402, "pay"), RequestRejected, "test answered 402: pay.", False, 402),
    "403": Fault(failed(403, "not yours"), AuthenticationFailed, "test answered 403: not yours.", False, 403),
    "404": Fault(failed(404, "no such model"), RequestRejected, "test answered 404: no such model.", False, 404),
    "408": Fault(failed(408, "late"), Unavailable, "test answered 408: late.", True, 408),
    "413": Fault(failed(413, "too big"), RequestRejected, "test answered 413: too big.", False, 413),
    "422": Fault(failed(422, "odd"), RequestRejected, "test answered 422: odd.", False, 422),
    "context overflow by code": Fault(failed(400, "too long", code="context_length_exceeded"), ContextOverflow, "too long", False, 400),
    "context overflow by words": Fault(failed(400, "maximum context length is 8192 tokens"), ContextOverflow, "8192 tokens", False, 400),
    "context overflow as llama.cpp says it": Fault(
        failed(400, "the request exceeds the available context size, try increasing it"), ContextOverflow, "context size", False, 400
    ),
    "429": Fault(failed(429, "slow down"), RateLimited, "test answered 429: slow down.", True, 429),
    "429 in seconds": Fault(failed(429, "wait", {"retry-after": "7"}), RateLimited, "wait", True, 429, 7.0),
    "429 in milliseconds": Fault(failed(429, "wait", {"retry-after-ms": "1500", "retry-after": "9"}), RateLimited, "wait", True, 429, 1.5),
    "429 with a date": Fault(
        failed(429, "wait", {"retry-after": formatdate(1_000_060, usegmt=True), "date": formatdate(1_000_000, usegmt=True)}),
        RateLimited, "wait", True, 429, 60.0,
    ),
    "429 with an absurd wait": Fault(failed(429, "wait", {"retry-after": "99999999999"}), RateLimited, "365 days", False, 429, 31_536_000.0),
    "429 with nonsense": Fault(failed(429, "wait", {"retry-after": "soon"}), RateLimited, "wait", True, 429),
    "429 for good": Fault(failed(429, "no credit", code="insufficient_quota"), RateLimited, "billing", False, 429),
    "500": Fault(failed(500, "oops"), Unavailable, "test answered 500: oops.", True, 500),
    "502 with HTML": Fault(
        Plain(502, b"<html><head><title>502 Bad Gateway</title></head></html>", {"content-type": "text/html"}),
        Unavailable, "test answered 502: a web page, '502 Bad Gateway'.", True, 502,
    ),
    "503 with a wait": Fault(failed(503, "restarting", {"retry-after": "2"}), Unavailable, "restarting", True, 503, 2.0),
    "529": Fault(failed(529, "overloaded"), Unavailable, "overloaded", True, 529),
    "500 without a body": Fault(Plain(500), Unavailable, "test answered 500: Internal Server Error.", True, 500),
    "500 whose body never ends": Fault(
        Plain(500, b"half", stall=True), Unavailable, "test answered 500: half.", True, 500, limits={"total_s": 0.5}
    ),
    "redirect to another host": Fault(
        redirect("https://user:secret@elsewhere.example/v1?key=1"), RequestRejected, "a redirect to elsewhere.example, which is not", False, 307
    ),
    "redirect within": Fault(redirect("/v2/chat"), RequestRejected, "another path of the same host", False, 307),
    "HTML with 200": Fault(body(b"<!doctype html><title>Log in</title>", "text/html"), InvalidResponse, "a web page, 'Log in'", False, 200),
    "HTML called a stream": Fault(body(b"\n <html><title>Hi</title>"), InvalidResponse, "a web page, 'Hi'", False, 200),
    "empty body": Fault(body(b""), InvalidResponse, "empty body", True, 200),
    "plain text": Fault(body(b"Service is fine.", "text/plain"), InvalidResponse, "no event stream: 'Service is fine.'", False, 200),
    "JSON that is an error": Fault(Plain(200, {"error": {"message": "busy", "code": 503}}), Unavailable, "an error 503: busy", True, 503),
    "only comments": Fault(body(b": processing\n\n: processing\n\n"), StreamBroken, "stopped before it was complete", True),
    "no finish reason": Fault(Answer("hello", finish=False), StreamBroken, "stopped before it was complete", True, shown="hello"),
    "no finish reason and no end mark": Fault(
        Answer("hello", finish=False).sent(done=False), StreamBroken, "stopped before it was complete", True, shown="hello"
    ),
    "hang up without an answer": Fault(Hangup(), Unavailable, "closed the connection without an answer", True),
    "silence": Fault(Silence(), Unavailable, "no answer within 0.3 s", True, limits=SHORT),
    "stall before the first event": Fault(HELLO.sent(stall_after=0), Unavailable, "no answer within 0.3 s", True, limits=SHORT),
    "slow drip": Fault(
        Answer("x" * 400).sent(chunk=1, delay_s=0.05), Unavailable, "took longer than 0.4 s", False, limits={"total_s": 0.4, "idle_s": 0.3}
    ),
}  # fmt: skip
"""Faults that look the same on every wire."""


def in_the_middle(wire: str) -> dict[str, Fault]:
    """Faults in the middle of an answer, after its first words."""
    begun = events_until(wire, HELLO, "hello ")
    cut, place = sum(map(len, begun)) + 7, len(begun)
    start, end = b"".join(begun), BY_NAME[wire].end_mark() or b"data: [DONE]\n\n"
    stopped = "stopped before it was complete"
    return {
        "garbage JSON": Fault(
            body(start + b"data: {oops\n\n" + begun[-1]), InvalidResponse, f"{NO_PIECE[wire]}: {{oops", False, 200, shown="hello "
        ),
        "JSON that is no answer": Fault(
            Plain(200, {"hello": 1}), InvalidResponse, f'{NO_DOCUMENT[wire]}: {{"hello": 1}}', False, 200
        ),
        "broken JSON": Fault(body(b'{"choices": [', "application/json"), InvalidResponse, NO_PIECE[wire], False, 200),
        "only the end": Fault(body(end), StreamBroken, stopped, True),
        "cut in the middle, with a proper end": Fault(HELLO.sent(cut_after=cut), StreamBroken, stopped, True, shown="hello "),
        "cut in the middle, closed": Fault(HELLO.sent(cut_after=cut, ending="close"), StreamBroken, stopped, True, shown="hello "),
        "cut in the middle, reset": Fault(HELLO.sent(cut_after=cut, ending="reset"), StreamBroken, stopped, True, shown="hello "),
        "an error object inside": Fault(
            HELLO.sent(insert={place: BY_NAME[wire].broke("overloaded")}),
            Unavailable, ": overloaded.", True, 503 if wire == "gemini" else None, shown="hello ",
        ),
        "an error event inside": Fault(
            HELLO.sent(insert={place: b'event: error\ndata: {"message":"no more","code":429}\n\n'}),
            RateLimited, "test reported an error 429: no more.", True, 429, shown="hello ",
        ),
        "stall in the middle": Fault(
            HELLO.sent(stall_after=place), Unavailable, "nothing came for 0.3 s", True, limits=SHORT, shown="hello "
        ),
    }  # fmt: skip


FAULTS = {f"{wire}: {name}": (wire, fault) for wire in NAMES for name, fault in {**ALWAYS, **in_the_middle(wire)}.items()}


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


@pytest.mark.parametrize("wire", NAMES)
def test_half_a_call_of_a_cut_answer_is_no_call(wire: str) -> None:
    answer = Answer("I will.", calls=(Call("bash", {"command": "rm -rf build"}),))
    begun = sum(map(len, events_until(wire, answer, "l.")))
    with Server(answer.sent(cut_after=begun + 400, ending="reset")) as server:
        found = ask(server.url, wire=wire)
    assert isinstance(found.error, StreamBroken)
    assert found.message.calls() == ()
    assert found.message.text() == "I will."


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


def test_something_that_is_not_http_is_not_this_wire() -> None:
    async def main() -> Said:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
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
    assert isinstance(found.error, InvalidResponse)
    assert "not HTTP" in found.error.message


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

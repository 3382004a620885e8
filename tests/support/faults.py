"""Every way a service may fail, and every odd way it may answer all the same: one table for all wires. `LISTED` and `ODDITIES` are for the
whole program in every output format, `FAULTS` for the providers alone, with more ways to word the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from agentcli.protocol.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidResponse,
    ProviderError,
    RateLimited,
    RequestRejected,
    StreamBroken,
    Unavailable,
)

from .server import Answer, Call, Captured, Hangup, Plain, Reply, Script, Silence, failed, redirect
from .wires import BY_NAME, NAMES, events_until, in_lines, interleaved

HELLO = Answer(("hello ", "there ", "you"))
NO_START = {"first_byte_s": 0.3, "idle_s": 5.0, "total_s": 10.0}
NO_MORE = {"first_byte_s": 5.0, "idle_s": 0.3, "total_s": 10.0}


@dataclass
class Fault:
    """`says`: in the one line. `limits`: those of the call, in seconds. `shown`: the words that were shown by then."""

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
STOPPED = "stopped before it was complete"
DATE = {"retry-after": formatdate(1_000_001, usegmt=True), "date": formatdate(1_000_000, usegmt=True)}

ALWAYS = {
    "400": Fault(failed(400, "bad field"), RequestRejected, "test answered 400: bad field.", False, 400),
    "401": Fault(failed(401, "wrong key"), AuthenticationFailed, "test answered 401: wrong key.", False, 401),
    "403": Fault(failed(403, "not yours"), AuthenticationFailed, "test answered 403: not yours.", False, 403),
    "404": Fault(failed(404, "no such model"), RequestRejected, "test answered 404: no such model.", False, 404),
    "413": Fault(failed(413, "too big"), ContextOverflow, "test answered 413: too big.", False, 413),
    "422": Fault(failed(422, "odd"), RequestRejected, "test answered 422: odd.", False, 422),
    "context overflow by words": Fault(failed(400, "maximum context length is 8192 tokens"), ContextOverflow, "8192 tokens", False, 400),
    "429 in seconds": Fault(failed(429, "wait", {"retry-after": "1"}), RateLimited, "wait", True, 429, 1.0),
    "429 in milliseconds": Fault(failed(429, "wait", {"retry-after-ms": "150", "retry-after": "9"}), RateLimited, "wait", True, 429, 0.15),
    "429 with a date": Fault(failed(429, "wait", DATE), RateLimited, "wait", True, 429, 1.0),
    "429 with an absurd wait": Fault(failed(429, "wait", {"retry-after": "99999999999"}), RateLimited, "365 days", False, 429, 31_536_000.0),
    "500": Fault(failed(500, "oops"), Unavailable, "test answered 500: oops.", True, 500),
    "502 with HTML": Fault(
        Plain(502, b"<html><head><title>502 Bad Gateway</title></head></html>", {"content-type": "text/html"}),
        Unavailable, "test answered 502: a web page, '502 Bad Gateway'.", True, 502,
    ),
    "503 with a wait": Fault(failed(503, "restarting", {"retry-after": "0.1"}), Unavailable, "restarting", True, 503, 0.1),
    "529": Fault(failed(529, "overloaded"), Unavailable, "overloaded", True, 529),
    "redirect to another host": Fault(
        redirect("https://user:secret@elsewhere.example/v1?key=1"), RequestRejected, "a redirect to elsewhere.example, which is not", False, 307
    ),
    "HTML with 200": Fault(body(b"<!doctype html><title>Log in</title>", "text/html"), InvalidResponse, "a web page, 'Log in'", False, 200),
    "empty body": Fault(body(b""), InvalidResponse, "empty body", True, 200),
    "no finish reason": Fault(Answer("hello", finish=False), StreamBroken, STOPPED, True, shown="hello"),
    "hang up without an answer": Fault(Hangup(), Unavailable, "closed the connection without an answer", True),
    "reset without an answer": Fault(Hangup(reset=True), Unavailable, "closed the connection without an answer", True),
    "silence": Fault(Silence(), Unavailable, "no answer within", True, limits=NO_START),
    "slow drip": Fault(
        Answer("x" * 400).sent(chunk=1, delay_s=0.05), Unavailable, "took longer than", False, limits={"total_s": 0.4, "idle_s": 0.3}
    ),
}  # fmt: skip
"""Faults that look the same on every wire."""

WORDINGS = {
    "402": Fault(failed(402, "pay"), RequestRejected, "test answered 402: pay.", False, 402),
    "408": Fault(failed(408, "late"), Unavailable, "test answered 408: late.", True, 408),
    "context overflow by code": Fault(failed(400, "too long", code="context_length_exceeded"), ContextOverflow, "too long", False, 400),
    "context overflow as llama.cpp says it": Fault(
        failed(400, "the request exceeds the available context size, try increasing it"), ContextOverflow, "context size", False, 400
    ),
    "429": Fault(failed(429, "slow down"), RateLimited, "test answered 429: slow down.", True, 429),
    "429 with nonsense": Fault(failed(429, "wait", {"retry-after": "soon"}), RateLimited, "wait", True, 429),
    "429 for good": Fault(failed(429, "no credit", code="insufficient_quota"), RateLimited, "billing", False, 429),
    "500 without a body": Fault(Plain(500), Unavailable, "test answered 500: Internal Server Error.", True, 500),
    "500 whose body never ends": Fault(
        Plain(500, b"half", stall=True), Unavailable, "test answered 500: half.", True, 500, limits={"total_s": 0.5}
    ),
    "redirect within": Fault(redirect("/v2/chat"), RequestRejected, "another path of the same host", False, 307),
    "HTML called a stream": Fault(body(b"\n <html><title>Hi</title>"), InvalidResponse, "a web page, 'Hi'", False, 200),
    "plain text": Fault(body(b"Service is fine.", "text/plain"), InvalidResponse, "no event stream: 'Service is fine.'", False, 200),
    "JSON that is an error": Fault(Plain(200, {"error": {"message": "busy", "code": 503}}), Unavailable, "an error 503: busy", True, 503),
    "only comments": Fault(body(b": processing\n\n: processing\n\n"), StreamBroken, STOPPED, True),
    "no finish reason and no end mark": Fault(Answer("hello", finish=False).sent(done=False), StreamBroken, STOPPED, True, shown="hello"),
    "reset before the first event": Fault(HELLO.sent(cut_after=0, ending="reset"), Unavailable, "closed the connection without an answer", True),
    "stall before the first event": Fault(HELLO.sent(stall_after=0), Unavailable, "no answer within", True, limits=NO_START),
}  # fmt: skip
"""More ways of the same, which differ in how the service words it."""


def in_the_middle(wire: str) -> dict[str, Fault]:
    """Faults in the middle of an answer, after its first words."""
    begun = events_until(wire, HELLO, "hello ")
    cut, place = sum(map(len, begun)) + 7, len(begun)
    return {
        "garbage JSON": Fault(
            body(b"".join(begun) + b"data: {oops\n\n" + begun[-1]), InvalidResponse, f"{NO_PIECE[wire]}: {{oops", False, 200, shown="hello "
        ),
        "cut in the middle, with a proper end": Fault(HELLO.sent(cut_after=cut), StreamBroken, STOPPED, True, shown="hello "),
        "cut in the middle, closed": Fault(HELLO.sent(cut_after=cut, ending="close"), StreamBroken, STOPPED, True, shown="hello "),
        "cut in the middle, reset": Fault(HELLO.sent(cut_after=cut, ending="reset"), StreamBroken, STOPPED, True, shown="hello "),
        "cut in a call": Fault(_half_a_call(wire), StreamBroken, STOPPED, True, shown="I will."),
        "an error object inside": Fault(
            HELLO.sent(insert={place: BY_NAME[wire].broke("overloaded")}),
            Unavailable, ": overloaded.", True, 503 if wire == "gemini" else None, shown="hello ",
        ),
        "stall in the middle": Fault(
            HELLO.sent(stall_after=place), Unavailable, "nothing came for", True, limits=NO_MORE, shown="hello "
        ),
    }  # fmt: skip


def _half_a_call(wire: str) -> Answer:
    answer = Answer("I will.", calls=(Call("bash", {"command": "echo half >> ran.txt; " + ": " * 200}),))
    begun = sum(map(len, events_until(wire, answer, "l.")))
    return answer.sent(cut_after=begun + 400, ending="reset")


def worded_by(wire: str) -> dict[str, Fault]:
    place, end = len(events_until(wire, HELLO, "hello ")), BY_NAME[wire].end_mark() or b"data: [DONE]\n\n"
    return {
        "JSON that is no answer": Fault(
            Plain(200, {"hello": 1}), InvalidResponse, f'{NO_DOCUMENT[wire]}: {{"hello": 1}}', False, 200
        ),
        "broken JSON": Fault(body(b'{"choices": [', "application/json"), InvalidResponse, NO_PIECE[wire], False, 200),
        "only the end": Fault(body(end), StreamBroken, STOPPED, True),
        "an error event inside": Fault(
            HELLO.sent(insert={place: b'event: error\ndata: {"message":"no more","code":429}\n\n'}),
            RateLimited, "test reported an error 429: no more.", True, 429, shown="hello ",
        ),
    }  # fmt: skip


LISTED = {f"{wire}: {name}": (wire, fault) for wire in NAMES for name, fault in {**ALWAYS, **in_the_middle(wire)}.items()}
FAULTS = {**LISTED, **{f"{wire}: {name}": (wire, fault) for wire in NAMES for name, fault in {**WORDINGS, **worded_by(wire)}.items()}}


# --- odd, and no fault ---


@dataclass
class Oddity:
    """How an answer goes out. `calls`: that of the first answer; `ran`: the lines that they write when each runs once and no other."""

    sent: Callable[[str, Answer], Script]
    calls: tuple[Call, ...] = (Call("bash", {"command": "echo Ünïcödé 😀 >> ran.txt"}, id="c1"),)
    ran: tuple[str, ...] = ("Ünïcödé 😀",)
    text: tuple[str, ...] = ("Looking.",)
    stop: str = ""


def _by(**how: Any) -> Callable[[str, Answer], Script]:
    return lambda wire, answer: answer.sent(**how)


def _as_stream(stream: Callable[[list[bytes]], bytes]) -> Callable[[str, Answer], Script]:
    return lambda wire, answer: lambda request: body(stream(BY_NAME[wire].events(answer, request)))


def _whole_then(ending: str) -> Callable[[str, Answer], Script]:
    """With its finish reason, and without a proper end."""

    def sent(wire: str, answer: Answer) -> Script:
        def reply(request: Captured) -> Answer:
            return answer.sent(cut_after=sum(map(len, BY_NAME[wire].events(answer, request))), ending=ending, done=False)

        return reply

    return sent


STRANGE = b'event: telepathy\ndata: {"type":"telepathy.delta","index":3,"delta":{"type":"new"},"candidates":[],"choices":[],"more":[1]}\n\n'
STRANGERS = dict.fromkeys(range(0, 12, 3), STRANGE)
"""Events that nobody knows, by their places."""
TWO = (Call("bash", {"command": "echo one >> ran.txt"}, id="c1"), Call("bash", {"command": "echo two >> ran.txt"}, id="c2"))
NO_JSON = Call("bash", '{"command": "echo half >> ran.txt')
SAME_ID = tuple(Call(call.name, call.arguments, id="same") for call in TWO)

ODDITIES = {
    "in chunks of 1 byte": Oddity(_by(chunk=1)),
    "CRLF": Oddity(_by(newline=b"\r\n", chunk=5)),
    "BOM": Oddity(_by(bom=True, chunk=2)),
    "comments, id and retry lines": Oddity(_by(noise=True)),
    "empty lines": Oddity(_by(insert=dict.fromkeys((3, 4, 5), b"\n"))),
    "unknown events": Oddity(_by(insert=STRANGERS)),
    "data in many lines": Oddity(_as_stream(in_lines)),
    "a line of 1 MB": Oddity(_by(), text=("x" * 1_000_000,)),
    "JSON where a stream was asked for": Oddity(_by(whole=True)),
    "a finish reason, then closed": Oddity(_whole_then("close")),
    "a finish reason, then reset": Oddity(_whole_then("reset")),
    "two calls of one id": Oddity(_by(), SAME_ID, ("one", "two")),
    "interleaved calls": Oddity(_as_stream(interleaved), TWO, ("one", "two")),
    "arguments that are no JSON": Oddity(_by(), (NO_JSON,), ()),
    "a call cut at the output limit": Oddity(_by(), (TWO[0], NO_JSON), ("one",), stop="length"),
}

CUTS = {
    "at the output limit": Answer("Half an ans", stop="length"),
    "by a filter": Answer("Half an ans", stop="content_filter"),
    "by a filter, after a call": Answer("Half an ans", calls=TWO, stop="content_filter"),
    "by a refusal": Answer(refusal="Half an ans"),
}
"""Answers that end by themselves and are not whole."""

"""From what a service said to the class and the words of an error: the shapes of bodies, the ways to say how long to wait, what is never shown."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcli.protocol.errors import AuthenticationFailed, ContextOverflow, ProviderError, RateLimited, RequestRejected, Unavailable
from agentcli.providers.failures import LONGEST_TEXT, Said, Source, from_answer, from_object, retry_after, said_in

SOURCE = Source("test", "api.example.com", ("sk-0123456789",), "Check the key.")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "m", "type": "T", "code": "C"}}, Said("m", "t c")),
        ({"error": {"message": "m", "code": 429, "status": "RESOURCE_EXHAUSTED"}}, Said("m", "429 resource_exhausted", 429)),
        ([{"error": {"message": "m", "code": 400}}], Said("m", "400", 400)),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, Said("m", "overloaded_error")),
        ({"error": "m"}, Said("m")),
        ({"message": "m", "type": "t"}, Said("m", "t")),
        ({"object": "error", "message": {"detail": [{"msg": "extra", "loc": ["body", "x"]}]}, "code": "1"}, Said("body.x: extra", "1")),
        ({"detail": "m"}, Said("m")),
        ({"detail": [{"msg": "missing", "loc": ["body", 0, "y"]}, "z"]}, Said("body.0.y: missing; z")),
        ({"errors": [{"message": "a"}, {"message": "b"}]}, Said("a; b")),
        ({"error": {"message": "Provider error", "code": 502, "metadata": {"raw": "why"}}}, Said("Provider error (why)", "502", 502)),
        ({}, Said()),
        ([], Said()),
        ({"error": None}, Said()),
        ({"error": {"message": None}}, Said()),
    ],
)
def test_every_shape_of_an_error_body_gives_its_message(body: Any, expected: Said) -> None:
    assert said_in(json.dumps(body).encode()) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"plain words", "plain words"),
        (b"", ""),
        (b"{broken", "{broken"),
        (b"[" * 50_000, "[" * 50_000),
        (b"<html><TITLE lang=en>\n Bad\n gateway </TITLE>", "a web page, 'Bad\n gateway'"),
        (b"<html>", "a web page"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
    ids=["words", "nothing", "broken", "deep", "page", "page without title", "no UTF-8"],
)
def test_a_body_that_is_no_json_is_said_as_it_is(body: bytes, message: str) -> None:
    assert said_in(body).message == message


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, 31_536_000.0),
        ({"retry-after": "1e400"}, 31_536_000.0),
        ({"retry-after": ""}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:27:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:29:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
    ids=str,
)
def test_how_long_a_service_asks_to_wait(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers) == expected


def test_a_date_without_the_services_own_clock_is_read_against_ours() -> None:
    wait = retry_after({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert wait is not None
    assert 95 < wait <= 100


@pytest.mark.parametrize(("seconds", "retryable", "says"), [(3600, True, "max_concurrent"), (3601, False, "61 min"), (260_000, False, "4 days")])
def test_a_wait_of_more_than_an_hour_is_not_waited_for(seconds: int, retryable: bool, says: str) -> None:
    error = from_answer(SOURCE, 429, {"retry-after": str(seconds)}, b"")
    assert (type(error), error.retryable, error.retry_after) == (RateLimited, retryable, float(seconds))
    assert says in error.hint


def test_the_line_names_provider_status_words_and_next_step() -> None:
    error = from_answer(SOURCE, 401, {}, b'{"error":{"message":"Incorrect API key provided: sk-0123456789"}}')
    assert error.line() == "test answered 401: Incorrect API key provided: ***. Check the key."


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        "prompt is too long: 201000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Please reduce the length of the messages or completion.",
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        "Input is too long for requested model.",
        "Your input exceeds the context window of this model.",
        "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease input length or `max_tokens` and try again",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "The number of tokens to keep from the initial prompt is greater than the context length.",
        "Invalid request: Your request exceeded model token limit: 262144",
        "Range of input length should be [1, 98304]",
        "prompt token count of 140000 exceeds the limit of 128000",
    ],
)
def test_a_conversation_that_no_longer_fits_is_known_by_the_words_of_many_services(words: str) -> None:
    assert type(from_answer(SOURCE, 400, {}, json.dumps({"error": {"message": words}}).encode())) is ContextOverflow


def test_a_rate_limit_that_speaks_of_tokens_is_no_overflow() -> None:
    said = "Rate limit reached: too many tokens per minute. See https://example.com/account/billing."
    error = from_answer(SOURCE, 429, {}, json.dumps({"error": {"message": said}}).encode())
    assert (type(error), error.retryable) == (RateLimited, True)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"message": "Please try again in 1.5s."}, 1.5),
        ({"message": "Please try again in 20ms. Visit the page."}, 0.02),
        ({"message": "Please try again in 20 years"}, None),
        ({"message": "try again in 1e9s"}, None),
        ({"message": "x", "details": [{"retryDelay": "7s"}]}, 7.0),
        ({"message": "x", "details": [{"retryDelay": "soon"}]}, None),
        ({"message": "x", "details": {"retryDelay": "7s"}}, None),
        ({"message": "x", "details": [1, {"retryDelay": 7}]}, None),
    ],
    ids=str,
)
def test_the_wait_that_only_the_words_of_an_error_ask_for(error: dict[str, Any], wait: float | None) -> None:
    body = json.dumps({"error": {**error, "code": 429}}).encode()
    assert from_answer(SOURCE, 429, {}, body).retry_after == wait
    assert from_object(SOURCE, {**error, "code": 429}).retry_after == wait
    assert from_answer(SOURCE, 429, {"retry-after": "3"}, body).retry_after == 3.0


def test_a_wrong_key_that_is_called_a_bad_request_is_a_wrong_key() -> None:
    error = from_answer(SOURCE, 400, {}, b'{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}')
    assert (type(error), error.status, error.hint) == (AuthenticationFailed, 400, "Check the key.")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("context_length_exceeded", ContextOverflow), ("billing_error", RequestRejected), ("insufficient_quota", RateLimited)],
)
def test_an_error_object_without_a_status_is_told_by_its_code(kind: str, expected: type[ProviderError]) -> None:
    error = from_object(SOURCE, {"code": kind, "message": "no"})
    assert (type(error), error.retryable) == (expected, False)


def test_an_unknown_error_inside_a_stream_may_pass() -> None:
    assert type(from_object(SOURCE, {"weird": True})) is Unavailable


KEYS = st.sampled_from(["error", "message", "code", "type", "detail", "status", "metadata", "raw", "msg", "loc", "errors"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.integers(400, 599))
def test_whatever_a_service_says_becomes_one_bounded_line_without_the_key(error: Any, status: int) -> None:
    spoken = json.dumps([error, "sk-0123456789"]).encode()
    for made in (from_answer(SOURCE, status, {}, json.dumps(error).encode()), from_answer(SOURCE, status, {}, spoken), from_object(SOURCE, error)):
        assert isinstance(made, ProviderError)
        assert "\n" not in made.line()
        assert len(made.message) < LONGEST_TEXT + 100
        assert "sk-0123456789" not in made.line()

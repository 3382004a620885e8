"""From what a service answered to one of our errors: its class, the one line a person reads, what to do next. No HTTP client, no wire here.

Every error text from outside passes `Source.tidy`: the key is taken out before the text is cut, control characters are made harmless.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

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
from agentcli.protocol.secrets import Unshown
from agentcli.protocol.text import clean

LONGEST_TEXT = 300
"""Characters of a service's own words that a person is shown."""
LONGEST_WAIT_S = 3600.0
"""A service that asks for a longer wait than this is not tried again: no run waits an hour for one answer."""
MOST_READ = 64 * 1024
SHORTEST_SECRET = 6

OVERFLOW = (
    r"context[_ ]length|context[_ ]window|context size|maximum context|prompt is too long|too many (?:input )?tokens|input is too long"
    r"|exceed context limit|input token count|reduce the length of the (?:messages|prompt)"
    r"|exceed(?:s|ed)? the (?:model'?s )?maximum (?:number of )?(?:input )?tokens|maximum prompt length|model token limit|token limit exceeded"
    r"|range of input length should be|token count of \d+ exceeds the limit"
)
WRONG_KEY = r"api_key_invalid|api key not valid|api key expired"
"""Google answers a wrong key with 400."""
SPENT = r"insufficient_quota|billing_hard_limit|credit balance is too low|insufficient balance"
WORDS: tuple[tuple[str, int], ...] = (
    (r"context_length|context_window", 400),
    (r"rate.?limit|too_many_requests|resource_exhausted|quota|throttl", 429),
    (r"billing|payment", 402),
    (r"overloaded|unavailable|server_error|internal|timeout|api_error|upstream", 503),
    (r"authentication|permission|api_key|unauthori|forbidden", 401),
    (r"invalid|not_found|bad_request|too_large|unsupported|unprocessable", 400),
)
"""What an error object without a status means, by its own type and code. First match wins."""


class Source(Unshown, frozen=True):
    """Whom an error comes from. `secrets` never appear in a text; `key_hint` says where the key is set."""

    provider: str
    host: str = ""
    secrets: tuple[str, ...] = ()
    key_hint: str = ""

    def tidy(self, text: str) -> str:
        """Foreign text as part of one line: without secrets, control characters and line breaks, at most `LONGEST_TEXT` characters."""
        text = text[:MOST_READ]
        for secret in self.secrets:
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "***").replace(_in_url(secret), "***")
        line = " ".join(clean(text).split())
        return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1].rstrip() + "…"


def _in_url(secret: str) -> str:
    from urllib.parse import quote

    return quote(secret, safe="")


class Said(Struct, frozen=True):
    """What a service said of its failure: its words, and its type and code as one lower-case text."""

    message: str = ""
    kind: str = ""
    status: int | None = None
    wait: float | None = None
    """Seconds that its words, not its headers, ask to wait."""


def from_answer(source: Source, status: int, headers: Mapping[str, str], body: bytes, reason: str = "") -> ProviderError:
    """The error for an answer whose status is no success."""
    if 300 <= status < 400:
        return redirected(source, status, headers.get("location", ""))
    said = said_in(body)
    wait = retry_after(headers)
    if wait is None:
        wait = said.wait
    words = source.tidy(said.message) or source.tidy(reason) or "no reason given"
    return _error(source, status, said, f"{source.provider} answered {status}: {words}", wait)


def from_object(source: Source, error: object, status: int | None = None) -> ProviderError:
    """The error for an error object inside a stream, or in a body whose status claimed success."""
    said = said_of(error)
    words = source.tidy(said.message) or "no reason given"
    found = said.status or status
    return _error(source, found, said, f"{source.provider} reported an error{f' {found}' if found else ''}: {words}", said.wait)


def redirected(source: Source, status: int, location: str) -> ProviderError:
    """A redirect is refused, not followed: the key must reach no host but its provider's. Of the target only the host is named."""
    match = re.match(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#@]*@)?([^/?#]+)", location, re.IGNORECASE)
    target = source.tidy(match[1]) if match else "another path of the same host"
    return RequestRejected(
        f"{source.provider} answered {status}: a redirect to {target}, which is not followed.",
        provider=source.provider,
        status=status,
        hint="Set the provider's baseUrl to the address that really answers.",
    )


def not_this_wire(source: Source, what: str, status: int | None = 200, *, retryable: bool = False) -> ProviderError:
    """The error for a success that is not what was asked for."""
    return InvalidResponse(
        f"{source.provider} answered {what}.",
        provider=source.provider,
        status=status,
        retryable=retryable,
        hint="Check that the provider's baseUrl and wire fit the service.",
    )


def broken(source: Source) -> StreamBroken:
    """The answer stopped without saying that it is whole."""
    return StreamBroken(f"{source.provider}: the answer stopped before it was complete.", provider=source.provider, hint="Try again.")


def broke_off(source: Source, word: str) -> StreamBroken:
    """The service itself says that it could not finish, and how it calls that."""
    text = f"{source.provider}: the service broke off the answer ({source.tidy(word)})."
    return StreamBroken(text, provider=source.provider, hint="Try again.")


def _error(source: Source, status: int | None, said: Said, message: str, wait: float | None) -> ProviderError:
    known = status if status is not None and status >= 400 else _status_by_words(said.kind)
    kind, hint = _class_and_hint(source, known, said)
    too_long = wait is not None and wait > LONGEST_WAIT_S
    spent = kind is RateLimited and _speaks_of(SPENT, said)
    if spent:
        hint = "The account's quota or credit is used up: see the service's billing page, or use another model."
    elif too_long:
        hint = f"It asks to wait {span(wait or 0)}: use another model until then."
    return kind(
        sentence(message),
        provider=source.provider,
        status=status,
        retryable=False if spent or too_long else None,
        retry_after=wait,
        hint=hint,
    )


def _class_and_hint(source: Source, status: int, said: Said) -> tuple[type[ProviderError], str]:
    if status == 413 or (status in (400, 422, 500) and _speaks_of(OVERFLOW, said)):
        return ContextOverflow, "Compact the conversation, start a new one, or use a model with a larger context."
    if status == 400 and _speaks_of(WRONG_KEY, said):
        status = 401
    match status:
        case 401 | 403:
            return AuthenticationFailed, source.key_hint or f"Check the apiKey of provider '{source.provider}': agentcli config show"
        case 429:
            return RateLimited, "Try again later, or lower max_concurrent of this provider."
        case 402:
            return RequestRejected, "The service wants payment: see its billing page, or use another model."
        case 404:
            return RequestRejected, "Check the model's id and the provider's baseUrl: agentcli models"
        case 408 | 409 | 425:
            return Unavailable, "Try again."
        case _ if status >= 500:
            return Unavailable, "The service has trouble: try again later, or use another model."
        case _:
            return RequestRejected, "The service does not accept this request: check the model's options and quirks in the config."


def _status_by_words(kind: str) -> int:
    return next((status for pattern, status in WORDS if re.search(pattern, kind)), 503)


def _speaks_of(pattern: str, said: Said) -> bool:
    return re.search(pattern, f"{said.kind} {said.message}", re.IGNORECASE) is not None


def said_in(body: bytes) -> Said:
    """What an error's body says, in any of the shapes services use."""
    text = body.decode("utf-8", "replace").strip()
    if text.startswith(("{", "[")):
        try:
            return said_of(msgspec.json.decode(text))
        except (ValueError, RecursionError):
            return Said(text)
    if text.startswith("<"):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        return Said(f"a web page, '{title[1].strip()}'" if title else "a web page")
    return Said(text)


def said_of(error: object) -> Said:
    """The message, type and code of a decoded error."""
    if isinstance(error, list):
        return said_of(error[0]) if error else Said()
    if not isinstance(error, dict):
        return Said(error if isinstance(error, str) else "")
    inner = error.get("error")
    if isinstance(inner, dict | list):
        return said_of(inner)
    kind = " ".join(str(error[key]) for key in ("type", "code", "status") if error.get(key)).lower()
    return Said(_message(error), kind, _status(error), _wait(error))


def _message(error: dict[str, Any]) -> str:
    raw = error["metadata"].get("raw") if isinstance(error.get("metadata"), dict) else None
    own = next((found for key in ("message", "error", "detail", "msg", "errors") if (found := _text(error.get(key)))), "")
    return f"{own} ({raw})" if isinstance(raw, str) and raw else own


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case list():
            return "; ".join(text for item in value if (text := _text(item)))
        case {"msg": str(text), "loc": list(place)}:
            return f"{'.'.join(map(str, place))}: {text}"
        case dict():
            return _message(value)
        case _:
            return ""


def _status(error: dict[str, Any]) -> int | None:
    for key in ("status", "code", "status_code"):
        value = error.get(key)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value) if len(value) == 3 else 0
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _wait(error: dict[str, Any]) -> float | None:
    """Seconds from Google's `RetryInfo`, or from OpenAI's sentence "Please try again in 1.2s" (or 120ms)."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            wait = _number(delay.removesuffix("s"))
            return None if wait is None else _bounded(wait)
    found = re.search(r"try again in (\d{1,9}(?:\.\d{1,9})?)(ms|s)\b", str(error.get("message") or "")[:MOST_READ])
    if found is None:
        return None
    return _bounded(float(found[1]) / (1000 if found[2] == "ms" else 1))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service asks to wait, from `retry-after-ms`, or `retry-after` in seconds or as a date; None where it does not say.

    A date is read against the answer's own `date` where it has one, so that a wrong clock here does no harm. Never below 0, at most a year.
    """
    if (wait := _number(headers.get("retry-after-ms", ""))) is not None:
        return _bounded(wait / 1000)
    value = headers.get("retry-after", "").strip()
    if (wait := _number(value)) is not None:
        return _bounded(wait)
    until, now = _instant(value), _instant(headers.get("date", ""))
    if until is None:
        return None
    return _bounded(until - (now if now is not None else time.time()))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _instant(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # 10 ms that only an answer with such a header is worth

    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), 31_536_000.0)


def span(seconds: float) -> str:
    """`9 s`, `12 min`, `3 hours`, `365 days`: the next whole one."""
    for size, word, most in ((1, "s", 120), (60, "min", 120), (3600, "hours", 48)):
        if seconds <= size * most:
            return f"{math.ceil(seconds / size)} {word}"
    return f"{math.ceil(seconds / 86_400)} days"


def sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."

"""Keys taken out of text before it is shown, logged or stored: the ones known here by value, others by their usual shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from agentcli.protocol.secrets import Secret

STARS = "***"
SHORTEST = 6
"""Characters a known value must have: shorter ones are words of ordinary text too."""

NO_WORD = 20
"""Characters from which a value is no ordinary word; with a digit in it, half of them."""

_HINT = re.compile(
    r"sk-|[ps]k_(?:live|test)|AKIA|ASIA|gh[pousr]_|github_pat_|xox|glpat-|AIza|hf_|npm_|pypi-|eyJ|earer|asic |PRIVATE KEY|(?i:api[-_]?key)|://"
)
"""What a text must hold for one of the shapes to be there: one cheap look at most texts."""


@cache
def _shapes() -> re.Pattern[str]:
    """Made when the first text hints at one: making it takes as long as the rest of this module."""
    return re.compile(
        r"(?P<whole>"
        r"\bsk-(?:ant-|proj-|or-|svcacct-)?[A-Za-z0-9_-]{16,}"
        r"|\b[prs]k_(?:live|test)_[A-Za-z0-9]{16,}"
        r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
        r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}"
        r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bglpat-[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}"
        r"|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}"
        r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
        r")"
        r"|(?P<before>\b[Bb]earer\s+|\b[Bb]asic\s+)(?=[^\s\d=]{0,200}[\d=])[A-Za-z0-9._~+/=-]{8,}"
        r"|(?P<named>(?i:\bx-api-key|\bapi[-_]?key)[\"']?\s*[:=]\s*[\"']?)[A-Za-z0-9._~+/-]{12,}"
        r"|(?P<login>://[^/\s:@]{1,64}:)[^/\s@]{3,}(?=@)",
        re.DOTALL,
    )


class Redactor:
    """Replaces secrets in text by stars. Cheap where there are none: one search of the text for each of two patterns."""

    __slots__ = ("_known",)

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        self._known = _pattern(value for value in _values(secrets) if len(value.strip()) >= SHORTEST)

    def __call__(self, text: str) -> str:
        """`text` without the known values and without what looks like a key."""
        if self._known is not None:
            text = self._known.sub(STARS, text)
        return _shapes().sub(_starred, text) if _HINT.search(text) else text

    def __repr__(self) -> str:
        return "Redactor()"


def known_out(secrets: Iterable[Secret | str]) -> Callable[[str], str]:
    """Takes these values out of what tools bring, and nothing else: files hold texts that only look like a key. A value that may be an
    ordinary word, as placeholders for keys are (`ollama`), stays.
    """
    pattern = _pattern(value for value in _values(secrets) if _is_no_word(value.strip()))
    return str if pattern is None else lambda text: pattern.sub(STARS, text)


def _is_no_word(value: str) -> bool:
    return len(value) >= NO_WORD or (len(value) >= NO_WORD // 2 and re.search(r"\d", value) is not None)


def _values(secrets: Iterable[Secret | str]) -> set[str]:
    return {one.reveal() if isinstance(one, Secret) else one for one in secrets}


def _pattern(values: Iterable[str]) -> re.Pattern[str] | None:
    told = {form for value in values for form in (value, value.strip(), *_encoded(value.strip()))}
    longest_first = sorted(told, key=lambda value: (-len(value), value))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _starred(match: re.Match[str]) -> str:
    kept = match["before"] or match["named"] or match["login"] or ""
    return kept + STARS


def _encoded(value: str) -> tuple[str, ...]:
    """The value as it may stand in a URL or in JSON."""
    from urllib.parse import quote

    import msgspec

    plain = msgspec.json.encode(value).decode()[1:-1]
    return quote(value, safe=""), plain, plain.replace("/", "\\/")

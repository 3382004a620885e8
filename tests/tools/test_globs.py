"""Glob patterns, by themselves: what they match, and that what narrows ripgrep's search never excludes a match."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agentcli.protocol.errors import ToolError
from agentcli.tools.globs import below, filtering, parsed, split


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.py", ["a.py", ".py"], ["a.pyc", "src/a.py", "a/py"]),
        ("**/*.py", ["a.py", "src/a.py", "a/b/c.py"], ["a.txt"]),
        ("src/**", ["src/a", "src/a/b"], ["src", "x/src/a"]),
        ("src/**/test_*.py", ["src/test_a.py", "src/a/b/test_.py"], ["src/a/atest_b.py", "test_a.py"]),
        ("src/", ["src/a/b"], ["src"]),
        ("a?c", ["abc", "a.c"], ["ac", "a/c"]),
        ("*.{ts,tsx}", ["a.ts", "a.tsx"], ["a.tsxx", "a.t"]),
        ("{src,test}/{a,b{1,2}}.c", ["src/a.c", "test/b2.c"], ["src/b.c", "src/{a,b}.c"]),
        ("{a.py,sub/b.py}", ["a.py", "sub/b.py"], ["b.py"]),
        ("[+--]", [",", "-"], [".", "a"]),
        ("[--a]", ["-", "A", "a"], [",", "b"]),
        ("[a-c].txt", ["a.txt", "c.txt", "[a-c].txt"], ["d.txt", "-.txt"]),
        ("[!a].txt", ["b.txt", "[!a].txt"], ["a.txt", "/.txt"]),
        ("app/[slug]/page.tsx", ["app/[slug]/page.tsx", "app/s/page.tsx"], ["app/x/page.tsx"]),
        ("[z-a]", ["[z-a]"], ["z"]),
        ("[]a]x", ["]x", "ax"], ["x"]),
        ("[^", ["[^"], ["^"]),
        ("a{b", ["a{b"], ["ab"]),
        (r"\*\{x", ["*{x"], ["ab{x"]),
        ("a+(b).c$", ["a+(b).c$"], ["aab.c"]),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("caf\udce9*", ["caf\udce9.txt"], ["cafe"]),
    ],
)
def test_a_pattern_matches_whole_paths(pattern: str, matching: list[str], others: list[str]) -> None:
    test = parsed(pattern, anywhere=False).matches
    assert [path for path in matching if not test(path)] == []
    assert [path for path in others if test(path)] == []


def test_a_pattern_that_may_match_anywhere_does() -> None:
    test = parsed("*.py", anywhere=True).matches
    assert [test(path) for path in ("a.py", "x/y/a.py", "a.py/b")] == [True, True, False]


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("*.py", ("", "*.py")),
        ("src/*.py", ("src", "*.py")),
        ("a/b/c.py", ("a/b", "c.py")),
        ("/etc/*", ("/etc", "*")),
        ("/*", ("/", "*")),
        ("a/{b,c}/d", ("a", "{b,c}/d")),
        ("../x/**/y", ("../x", "**/y")),
    ],
)
def test_leading_plain_folders_are_where_a_search_starts(pattern: str, parts: tuple[str, str]) -> None:
    assert split(pattern) == parts


def test_filters_of_grep_exclude_with_a_mark_and_understand_the_searched_folder_in_front() -> None:
    assert [filtering("!*.py").matches(path) for path in ("a.py", "x/a.py", "a.c")] == [False, False, True]
    assert [filtering("src/*.py", "src").matches(path) for path in ("a.py", "src/a.py", "a/a.py")] == [True, True, False]
    assert [filtering("/a.py").matches(path) for path in ("a.py", "x/a.py")] == [True, False]


@pytest.mark.parametrize("pattern", ["", "a\0b", "*/../x", "**/..", "{a,b}" * 9])
def test_patterns_that_make_no_sense_are_refused(pattern: str) -> None:
    with pytest.raises(ToolError) as refused:
        parsed(pattern, anywhere=False)
    assert refused.value.code == "bad_pattern"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.{py,pyi}", ("*.py", "*.pyi")),
        ("src/*", ()),
        ("a/**", ()),
        ("{*.py,*}", ()),
        ("x/[ab].py", ("*.py",)),
        ("[slug].tsx", ("*.tsx",)),
        ("a:b.c", ()),
    ],
)
def test_the_last_names_narrow_a_search_where_they_say_anything(pattern: str, names: tuple[str, ...]) -> None:
    assert parsed(pattern, anywhere=False).names == names


@settings(max_examples=200, deadline=None)
@given(some.text("ab*?[]{},/.!^-\\", min_size=1, max_size=12), some.text("ab[]{},/.!^-", max_size=8))
def test_no_pattern_breaks_the_translation(pattern: str, path: str) -> None:
    try:
        parsed(pattern, anywhere=True).matches(path)
    except ToolError as refused:
        assert refused.code == "bad_pattern"


@pytest.mark.parametrize(
    ("denied", "folder", "expected"),
    [
        (".env*", "/w/a", (".env*",)),
        ("secrets/", "/w/a", ("secrets",)),
        ("**/x", "/w/a", ("**/x",)),
        ("a{b,c}", "/w", ("a[{]b,c[}]",)),
        ("/secrets/**", "/w", ("/secrets/**",)),
        ("/secrets/**", "/w/secrets/a", ("/**",)),
        ("/secrets/**", "/w/other", ()),
        ("/secrets", "/w/secrets/a", ("/**",)),
        ("/src/*/key", "/w/src/a", ("/key",)),
        ("/src/*/key", "/w/src/a/b", ()),
        ("/src/**/key", "/w/src/a", ("/**/key",)),
        ("/in/x", "/", ("/w/in/x", "/in/x")),
        ("/etc/key", "/etc", ("/key",)),
        ("/", "/w/a", ("/**",)),
    ],
)
def test_what_is_denied_from_the_workspace_is_named_from_the_searched_folder(denied: str, folder: str, expected: tuple[str, ...]) -> None:
    assert below((denied,), Path(folder), (Path("/w"),)) == expected

"""HCL text to nodes: what is read, what is refused and where, and that text is never evaluated."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import hcl2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentcli.config.hcl import parse
from agentcli.config.tree import Block, Entry, Env, Items, Scalar, Table


def value_of(text: str) -> object:
    """The one value of `a = …`, without positions."""
    table, problems = parse(f"a = {text}\n", "f")
    assert problems == []
    node = table.entries[0].node
    if isinstance(node, Items):
        return [item.value for item in node.items if isinstance(item, Scalar)]
    return node.value if isinstance(node, Scalar) else node


def complaint(text: str) -> str:
    """The first problem, as a person reads it."""
    _, problems = parse(text, "f")
    return problems[0].line() if problems else ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"x"', "x"),
        ('""', ""),
        ("5", 5),
        ("-5", -5),
        ("-55", -55),
        ("- 1.5", -1.5),
        ("1e3", 1000.0),
        ("(true)", True),
        ("null", None),
        ('["a", 2, ]', ["a", 2]),
        ("[\n  1,\n  2,\n]", [1, 2]),
        (r'"tab\t quote\" back\\ é \u00e9 \U0001F600\n"', 'tab\t quote" back\\ é é 😀\n'),
        ('"$5 and 100% and $${HOME} and %%{x}"', "$5 and 100% and ${HOME} and %{x}"),
        ("<<EOT\n one\n  two $${x}\nEOT", " one\n  two ${x}\n"),
        ("<<-EOT\n    one\n\n      two\n    EOT", "one\n\n  two\n"),
        ("<<EOT\r\none\r\nEOT", "one\n"),
        ("<<EOT\nEOT", ""),
        ('env("X")', Env(("X",))),
        ('env("X", "d")', Env(("X",), "d")),
        ('env("X", env("Y", "d"))', Env(("X", "Y"), "d")),
    ],
)
def test_values_mean_what_hcl_says(text: str, value: object) -> None:
    assert value_of(text) == value


def test_blocks_objects_and_positions() -> None:
    text = '# head\nproviders "openai" plain {\n  a = { "b c" = 1, d: true\n    e = "x" }\n}\n'
    table, problems = parse(text, "f")
    at = text.index('"x"')
    numbers = Entry("b c", 3, 9, Scalar(1, 3, 17)), Entry("d", 3, 20, Scalar(True, 3, 23))
    inner = Table((*numbers, Entry("e", 4, 5, Scalar("x", 4, 9, at, at + 3))), (), 3, 7)
    assert problems == []
    assert table == Table((), (Block("providers", ("openai", "plain"), Table((Entry("a", 3, 3, inner),), (), 2, 1), 2, 1),), 1, 1)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("a = ", "1:4", "a value is missing"),
        ("a = 'x'", "1:5", "straight double quotes"),
        ("a = “x”", "1:5", "straight double quotes"),
        ('a = "x\nb = "y"\n', "1:5", "never closed on its line"),
        ('a = "x\n\ny"', "1:5", "never closed on its line"),
        ("a {\n  b = 1\n", "1:3", '"{" is opened here and never closed'),
        ("a = [1, 2\n", "1:5", '"[" is opened here and never closed'),
        ("a {\n b = [1\n}", "3:1", '"[" of 2:6 is still open'),
        ("a = 1\n}", "2:1", "closes nothing"),
        ("/* a", "1:1", "comment is never closed"),
        ("a = <<EOT\nx\n", "1:5", "heredoc is never closed"),
        ("a: 3", "1:2", 'written with "="'),
        ("a { b = 1, c = 2 }", "1:10", "no comma was expected"),
        ("a = 1;", "1:6", 'no ";" is needed'),
        ('"a" = 1', "1:1", "without quotes"),
        ("a b\n\n", "1:4", "not finished"),
        ("a = @", "1:5", 'unexpected "@"'),
        ("a = \x00", "1:5", "U+0000"),
        ('a = "x" "y"', "1:9", "unexpected quote"),
        ("a = 1\na = 2", "2:1", '"a" is set twice; the first is at 1:1'),
        ("a = { x = 1, y = 2, x = 3 }", "1:21", '"x" is set twice; the first is at 1:7'),
        ("a = fast", "1:5", "bare word"),
        ("a = Yes", "1:5", "Did you mean true?"),
        ("a = 1 + 2", "1:5", "no operators"),
        ("a = x.y", "1:5", "no operators"),
        ("a = [for x in y : x]", "1:5", "no operators"),
        ('a = file("x")', "1:5", "no function file()"),
        ('a = env("A B")', "1:5", "the name of a variable"),
        ("a = env()", "1:5", "the name of a variable"),
        ('a = env("A", 3)', "1:5", "the name of a variable"),
        ('a = env("A", "b", "c")', "1:5", "the name of a variable"),
        (r'a = "C:\models"', "1:8", "unknown escape"),
        (r'a = "\ud800"', "1:6", "no character"),
        ("a = " + "9" * 5000, "1:5", "too large"),
        ("a = 1e999", "1:5", "too large"),
        ('a = -"x"', "1:5", "no number"),
        ("a = {(b) = 1}", "1:6", "a key must be a word"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, place: str, says: str) -> None:
    line = complaint(text)
    assert line.startswith(f"f:{place}: ")
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize("text", ['a = "${env("HOME")}"', 'a = "x ${HOME} y"', 'a = "%{ if x }"', 'a = <<E\n${env("HOME")}\nE', 'a = "${"'])
def test_text_that_asks_for_evaluation_is_refused_and_says_how_to_write_it(text: str) -> None:
    line = complaint(text)
    assert "text is never evaluated" in line
    assert 'env("NAME") without quotes' in line


def test_a_variable_in_env_differs_from_the_text_that_spells_it() -> None:
    assert value_of('env("X")') == Env(("X",))
    assert value_of('"$${env(\\"X\\")}"') == '${env("X")}'
    assert value_of('"env(\\"X\\")"') == 'env("X")'


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a{" * 300 + "}" * 300, "a = " + "(" * 900 + "1" + ")" * 900])
def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack(text: str) -> None:
    assert "nested too deep" in complaint(text)


def test_positions_count_characters_and_lines_of_crlf_files_the_same() -> None:
    lf, crlf = "é = 1\n", '# é\r\nlimits {\r\n  a = "éé" }\r\nb = oops\r\n'
    assert complaint(lf).startswith("f:1:1: ")
    assert complaint(crlf).startswith("f:4:5: ")


def test_a_comment_or_an_empty_file_is_an_empty_table() -> None:
    for text in ("", "\n\n", "# only\n// this\n/* and\nthis */"):
        assert parse(text, "f") == (Table(), [])


PLAIN = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(PLAIN)
@settings(max_examples=150, deadline=None)
def test_any_text_written_as_a_literal_comes_back_the_same(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    literal = escaped.replace("${", "$${").replace("%{", "%%{")
    if "$$${" in literal or "%%%{" in literal:
        return  # HCL itself cannot say these two marks one after the other without an escape
    table, problems = parse(f'a = "{literal}"', "f")
    closed = all("}" in part for mark in ("$${", "%%{") for part in literal.split(mark)[1:])
    assert not closed or (problems == [] and table.entries[0].node.value == text)  # type: ignore[union-attr]


@given(st.text(alphabet="ab\"'\\\n\r{}[]()=:,.#/*<>-E$%1 \t\ufeff\x00é", max_size=60))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_text_makes_anything_but_nodes_or_problems_with_a_place(text: str) -> None:
    _, problems = parse(text, "f")
    lines = text.count("\n") + 1
    assert all(1 <= problem.row <= lines and problem.column >= 1 and problem.message for problem in problems)


def test_building_the_grammar_anew_where_the_package_cannot_be_written_prints_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "site/hcl2"
    shutil.copytree(Path(hcl2.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", ".lark_cache.bin"))
    (copy / ".lark_cache.bin").mkdir()  # neither readable nor writable as a file, for root too
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import hcl2; assert hcl2.__file__.startswith(sys.argv[1])\n"
        "from agentcli.config.hcl import parse\n"
        "table, problems = parse('a = 1', 'f'); assert table.entries[0].node.value == 1"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "site")], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

"""Finding files by name, with the real ripgrep."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.toolbox import answer, context, refusal

from agentcli.protocol.tools import Access
from agentcli.tools.glob import Glob

GLOB = Glob()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small project; every file is one second older than the one before it in this list."""
    names = (
        "src/main.py", "src/deep/util.py", "src/app.ts", "tests/test_main.py", "README.md", "generated.py", "out.log",
        "node_modules/lib/index.js", ".github/workflows/ci.yml", ".env", "src/.hidden.py", ".git/config",
    )  # fmt: skip
    for age, name in enumerate(names):
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    (tmp_path / "work/.gitignore").write_text("generated.py\n*.log\nnode_modules/\n")
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"pattern": "**/*.py"}, ["src/main.py", "src/deep/util.py", "tests/test_main.py"]),
        ({"pattern": "*.py"}, ["src/main.py", "src/deep/util.py", "tests/test_main.py"]),
        ({"pattern": "./src/*.py"}, ["src/main.py"]),
        ({"pattern": "*.{ts,md}"}, ["src/app.ts", "README.md"]),
        ({"pattern": "*", "path": "src"}, ["src/main.py", "src/deep/util.py", "src/app.ts"]),
        ({"pattern": "**", "dir_path": "src/deep/"}, ["src/deep/util.py"]),
        ({"pattern": ".github/**"}, [".github/workflows/ci.yml"]),
        ({"pattern": "**/.hidden*"}, ["src/.hidden.py"]),
        ({"pattern": ".env"}, [".env"]),
        ({"pattern": "node_modules/**/*.js"}, ["node_modules/lib/index.js"]),
        ({"pattern": "src/main.py"}, ["src/main.py"]),
        ({"pattern": "../work/src/*.py"}, ["../work/src/main.py"]),
    ],
)
def test_files_come_newest_first_without_ignored_and_hidden_ones_unless_named(arguments: dict[str, object], found: list[str], tree: Path) -> None:
    assert answer(GLOB, context(tree), **arguments).split("\n") == found


def test_ties_in_time_are_settled_by_name_and_an_absolute_folder_gives_absolute_paths(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    assert answer(GLOB, context(tmp_path), pattern=f"{tmp_path}/*") == "\n".join(f"{tmp_path}/{name}" for name in "abc")


def test_no_match_says_what_was_not_looked_at(tree: Path) -> None:
    ctx = context(tree)
    assert answer(GLOB, ctx, pattern="*.rs") == "No file matches '*.rs' [ignored and hidden files are not looked at]"
    assert answer(GLOB, ctx, pattern="*.rs", path="src").startswith("No file matches '*.rs' in src [")


def test_many_files_are_bounded_in_number_and_size(tmp_path: Path) -> None:
    for number in range(450):
        (tmp_path / f"a-rather-long-name-{number:04}").touch()
    lines = answer(GLOB, context(tmp_path), pattern="*").split("\n")
    assert (len(lines), lines[-1]) == (201, "[250 more files; narrow the pattern]")
    short = answer(GLOB, context(tmp_path, output_limit=1000), pattern="*")
    assert len(short) <= 1000
    assert short.endswith(" more files; narrow the pattern]")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes file names that are no UTF-8")
def test_a_name_that_is_no_utf8_survives(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.txt")).touch()
    assert answer(GLOB, context(tmp_path), pattern="*.txt") == "caf\\xe9\\x0a.txt"


def test_what_cannot_be_searched_is_refused(tree: Path) -> None:
    ctx = context(tree)
    assert refusal(GLOB, ctx, pattern="*", path="nowhere")[0] == "no_file"
    assert refusal(GLOB, ctx, pattern="*", path="README.md") == ("not_a_folder", "README.md is not a folder")
    assert refusal(GLOB, ctx, pattern="srcs/*.py") == (
        "no_file",
        "srcs does not exist. Near it: src",
    )
    assert refusal(GLOB, ctx, pattern="*/../../x")[0] == "bad_pattern"


def test_access_names_the_folder_that_the_pattern_leads_to() -> None:
    reads = [
        GLOB.access(GLOB.args.model_validate(given)).reads[0]
        for given in (
            {"pattern": "*.py"},
            {"pattern": "*.py", "path": "src"},
            {"pattern": "../../etc/*"},
            {"pattern": "/etc/**", "path": "src"},
            {"pattern": "a/../../b/*", "path": "src"},
        )
    ]
    assert reads == [".", "src", "../../etc", "/etc", "src/a/../../b"]
    assert GLOB.access(GLOB.args.model_validate({"pattern": "x"})) == Access(reads=(".",))


def test_files_that_may_not_be_read_are_not_listed(tree: Path) -> None:
    ctx = replace(context(tree), denied=(".env*", "/src/deep/**"))
    assert answer(GLOB, ctx, pattern=".env").startswith("No file matches")
    assert answer(GLOB, ctx, pattern="**/*.py") == "src/main.py\ntests/test_main.py"
    assert answer(GLOB, ctx, pattern="src/deep/*.py").startswith("No file matches")

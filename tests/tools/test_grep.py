"""Searching contents, with the real ripgrep."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.toolbox import answer, context, refusal

from agentcli.protocol.tools import Access
from agentcli.tools.grep import Grep

GREP = Grep()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    contents = {
        "src/a.py": "import os\n\n\ndef main():\n    print('needle')\n    return 1\n\n\ndef other():\n    needle = 2\n",
        "src/b.ts": "const needle = 1\n",
        "lib/c.py": "NEEDLE\n",
        ".hidden/d.py": "needle\n",
        ".e.py": "needle\n",
        "ignored.py": "needle\n",
        "data.bin": "needle\0",
        ".gitignore": "ignored.py\n",
    }
    for name, text in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"pattern": "needle"}, "src/a.py\n5:    print('needle')\n10:    needle = 2\n\nsrc/b.ts\n1:const needle = 1"),
        ({"pattern": "needle", "ignore_case": True, "output": "files"}, "lib/c.py\nsrc/a.py\nsrc/b.ts"),
        ({"pattern": "needle", "output_mode": "files_with_matches"}, "src/a.py\nsrc/b.ts"),
        ({"pattern": "needle", "output": "count"}, "src/a.py: 2\nsrc/b.ts: 1"),
        ({"pattern": "needle", "glob": "*.ts"}, "src/b.ts\n1:const needle = 1"),
        ({"pattern": "needle", "include": "src/*.{ts,js}"}, "src/b.ts\n1:const needle = 1"),
        ({"pattern": "needle", "glob": "!*.py"}, "src/b.ts\n1:const needle = 1"),
        ({"pattern": "needle", "type": "ts"}, "src/b.ts\n1:const needle = 1"),
        ({"pattern": "needle", "type": "py", "glob": "lib/**", "-i": True}, "lib/c.py\n1:NEEDLE"),
        ({"pattern": "needle", "glob": ".hidden/**"}, ".hidden/d.py\n1:needle"),
        ({"pattern": "needle", "glob": ".*.py"}, ".e.py\n1:needle"),
        ({"pattern": "needle", "path": "src", "glob": "src/*.ts"}, "src/b.ts\n1:const needle = 1"),
        ({"pattern": "needle", "path": "src/b.ts"}, "src/b.ts\n1:const needle = 1"),
        ({"pattern": "needle", "path": "ignored.py"}, "ignored.py\n1:needle"),
        ({"pattern": "needle", "path": "src/../src", "output": "files"}, "src/a.py\nsrc/b.ts"),
        ({"pattern": r"main\(\):\n\s+print", "path": "src"}, "src/a.py\n4:def main():\n5:    print('needle')"),
        ({"pattern": "def main.*?return", "multiline": True, "path": "src"}, "src/a.py\n4:def main():\n5:    print('needle')\n6:    return 1"),
        ({"pattern": "needle", "context": "1", "glob": "*.py"},
         "src/a.py\n4-def main():\n5:    print('needle')\n6-    return 1\n--\n9-def other():\n10:    needle = 2"),
        ({"pattern": "needle", "limit": 1},
         "src/a.py\n5:    print('needle')\n[2 more matching lines in 2 files; narrow the search or raise limit]"),
        ({"pattern": "needle", "limit": 1, "output": "files"}, "src/a.py\n[1 more file; narrow the search or raise limit]"),
        ({"pattern": "zzz"}, "No match for 'zzz'"),
        ({"pattern": "zzz", "path": "src"}, "No match for 'zzz' in src"),
        ({"pattern": "-needle"}, "No match for '-needle'"),
        ({"pattern": "needle", "path": "data.bin"}, "No match for 'needle' in data.bin [the file is binary: what matches in it is not all shown]"),
    ],
)  # fmt: skip
def test_a_search_finds_what_is_there_and_says_what_it_left_out(arguments: dict[str, object], expected: str, tree: Path) -> None:
    assert answer(GREP, context(tree), **arguments) == expected


def test_patterns_with_a_leading_dash_and_settings_of_the_person_do_no_harm(tree: Path) -> None:
    (tree / "options.txt").write_text("--files\n-e x\n")
    config = tree / "ripgreprc"
    config.write_text("--files-with-matches\n")
    ctx = context(tree)
    ctx = replace(ctx, child_env={**ctx.child_env, "RIPGREP_CONFIG_PATH": str(config)})
    assert answer(GREP, ctx, pattern="--files", path="options.txt") == "options.txt\n1:--files"
    assert answer(GREP, ctx, pattern="-e", path="options.txt") == "options.txt\n2:-e x"


def test_line_ends_encodings_and_binary_tails(tmp_path: Path) -> None:
    (tmp_path / "crlf.txt").write_bytes(b"one needle\r\nneedle two\r\n")
    (tmp_path / "late.txt").write_bytes(b"needle\n" + b"x" * 100_000 + b"\n\0\nneedle\n")
    (tmp_path / "latin.txt").write_bytes("needle é\n".encode("latin-1"))
    (tmp_path / "long.txt").write_text("needle " + "y" * 10_000 + "\n")
    (tmp_path / "wide.txt").write_bytes("\ufeffneedle é\r\n".encode("utf-16-le"))
    expected = [
        "crlf.txt", "1:one needle", "2:needle two", "",
        "late.txt", "1:needle", "",
        "latin.txt", "1:needle \ufffd", "",
        "wide.txt", "1:needle é",
    ]  # fmt: skip
    assert answer(GREP, context(tmp_path), pattern="needle$|^needle", glob="!long.txt").split("\n") == expected
    long = answer(GREP, context(tmp_path), pattern="needle", path="long.txt").split("\n")[1]
    assert long == "1:needle " + "y" * 493 + " [... omitted end of long line]"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes file names that are no UTF-8")
def test_file_names_of_any_bytes_survive(tmp_path: Path) -> None:
    for name in (b"caf\xe9.py", b"two\nlines.py", b"a: WARNING: b.py", b"--"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x\nneedle\nx\n")
    expected = ["--", "a: WARNING: b.py", "caf\\xe9.py", "two\\x0alines.py"]
    ctx = context(tmp_path)
    assert answer(GREP, ctx, pattern="needle", output="files").split("\n") == expected
    assert answer(GREP, ctx, pattern="needle", output="count").split("\n") == [f"{name}: 1" for name in expected]
    shown = answer(GREP, ctx, pattern="needle", context=1)
    assert shown == "\n\n".join(f"{name}\n1-x\n2:needle\n3-x" for name in expected)


def test_output_is_bounded_in_size_and_counts_what_is_left(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"f{number:02}").write_text("needle\n" * 20)
    shown = answer(GREP, context(tmp_path, output_limit=1500), pattern="needle", limit=5000)
    matches = sum(line.endswith("needle") for line in shown.split("\n"))
    assert len(shown) <= 1500
    assert matches > 50
    assert f"[{1000 - matches} more matching lines in " in shown


def test_a_search_ripgrep_refuses_says_why(tree: Path) -> None:
    ctx = context(tree)
    code, message = refusal(GREP, ctx, pattern="(")
    assert (code, message.splitlines()[0], message.splitlines()[-1]) == ("bad_pattern", "regex parse error:", "error: unclosed group")
    assert refusal(GREP, ctx, pattern="x", type="nonesuch") == ("bad_pattern", "unrecognized file type: nonesuch")
    assert refusal(GREP, ctx, pattern="x", path="nowhere")[0] == "no_file"
    os.mkfifo(tree / "pipe")
    assert refusal(GREP, ctx, pattern="x", path="pipe")[0] == "not_a_file"


def test_without_the_package_the_program_on_the_path_serves_and_without_both_the_error_says_how_to_get_it(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "no-scripts"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    ctx = replace(context(tree), child_env={"PATH": str(folder)})
    assert refusal(GREP, ctx, pattern="x") == ("no_ripgrep", "ripgrep (rg) was not found: install it, or 'pip install ripgrep==14.1.0'")
    script = folder / "rg"
    script.write_text("#!/bin/sh\nprintf './src/a.py\\0'\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert answer(GREP, ctx, pattern="x", output="files") == "src/a.py"


def test_access_and_title_are_pure() -> None:
    given = GREP.args.model_validate({"pattern": "a b", "path": "../x", "glob": "*.py"})
    assert GREP.access(given) == Access(reads=("../x",))
    assert GREP.title(given) == '"a b" in ../x (*.py)'
    assert GREP.title(GREP.args.model_validate({"pattern": "a"})) == '"a"'


@pytest.mark.parametrize(
    ("denied", "arguments"),
    [
        (".env*", {}),
        (".env*", {"glob": ".env"}),
        (".env*", {"glob": "**/.env*"}),
        (".env*", {"path": "sub", "glob": ".env"}),
        ("/sub/.env", {"path": "sub", "glob": ".env"}),
        ("/sub/**", {"glob": "sub/.env"}),
        ("sub", {"glob": ".env", "output": "files"}),
        (".e[mn]v", {"glob": ".env", "output": "count"}),
    ],
)
def test_files_that_may_not_be_read_are_not_searched_whatever_is_asked_for(tmp_path: Path, denied: str, arguments: dict[str, str]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".env").write_text("KEY=needle\n")
    ctx = replace(context(tmp_path), denied=(denied,))
    assert answer(GREP, ctx, pattern="needle", **arguments).startswith("No match for")
    assert not answer(GREP, context(tmp_path), pattern="needle", path="sub", glob=".env").startswith("No match for")

"""Editing: what may be replaced, that no byte beside it changes, and what a refusal tells the model. The cases of shared/ are apart."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import ValidationError
from support.toolbox import answer, call, context, refusal

from agentcli.protocol.errors import ToolError
from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, DiffDisplay, ToolContext, ToolOutcome
from agentcli.tools.edit import Edit
from agentcli.tools.read import Read
from agentcli.tools.replacing import Swap, replaced

EDIT, READ = Edit(), Read()


def known(tmp_path: Path, content: bytes) -> tuple[Path, ToolContext]:
    """A file `f` that the agent has read, in a folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    path = folder / "f"
    path.write_bytes(content)
    ctx = context(folder)
    call(READ, ctx, path="f")
    return path, ctx


def test_an_edit_says_what_it_did_and_shows_a_diff(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"a = 1\nb = 2\nc = 3\n")
    outcome = call(EDIT, ctx, path="f", edits=[{"old": "b = 2\n", "new": "b = 20\nbb = 22\n"}])
    assert outcome == ToolOutcome(
        (Text("Edited f: 1 place replaced, 2 lines added, 1 removed."),),
        DiffDisplay("f", "--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@\n a = 1\n-b = 2\n+b = 20\n+bb = 22\n c = 3\n"),
        data={"path": str(path.resolve()), "places": 1, "added": 2, "removed": 1},
    )
    assert path.read_bytes() == b"a = 1\nb = 20\nbb = 22\nc = 3\n"


def test_edits_follow_one_another_and_all_are_made_or_none(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"one two\n")
    call(EDIT, ctx, path="f", edits=[{"old": "one", "new": "two"}, {"old": "two", "new": "2", "replace_all": True}])
    assert path.read_bytes() == b"2 2\n"
    code, message = refusal(EDIT, ctx, path="f", edits=[{"old": "2\n", "new": "3\n"}, {"old": "nowhere", "new": ""}])
    assert (code, message) == (
        "not_found",
        "edit 2 of 2 in f (nothing was changed): the old text was not found. Nothing like it is there; read the file again.",
    )
    assert path.read_bytes() == b"2 2\n"
    assert refusal(EDIT, ctx, path="f", edits=[{"old": "2 2", "new": "x"}, {"old": "x", "new": "2 2"}])[0] == "no_change"


def test_a_file_must_have_been_read_and_be_as_it_was(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"a\n")
    assert refusal(EDIT, context(path.parent), path="f", old="a", new="b")[0] == "unread"
    path.write_bytes(b"a\nmore\n")
    assert refusal(EDIT, ctx, path="f", old="a", new="b") == (
        "changed_on_disk",
        "f changed on disk since it was read; read it again before changing it",
    )
    call(READ, ctx, path="f")
    call(EDIT, ctx, path="f", old="a", new="b")
    call(EDIT, ctx, path="f", old="b", new="c")
    assert path.read_bytes() == b"c\nmore\n"


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\r\nb\r\nc\r\n", "a\nb\n", "x\ny\nz\n", b"x\r\ny\r\nz\r\nc\r\n"),
        (b"a\r\nb\r\nc", "b", "b\nb2", b"a\r\nb\r\nb2\r\nc"),
        (b"a\r\nb\r\n", "a\r\nb", "x\r\ny", b"x\r\ny\r\n"),
        (b"a\nb\n", "a\r\nb\r\n", "x\r\ny\r\n", b"x\ny\n"),
        (b"a\rb\rc", "a\nb", "x\ny", b"x\ry\rc"),
        (b"a\r\nb\nc\r\nd\n", "b\nc", "b\nX", b"a\r\nb\nX\r\nd\n"),
        (b"a\r\nb\nc\r\nd\n", "a\nb\nc\n", "a\nb\nnew\nc\n", b"a\r\nb\nnew\nc\r\nd\n"),
        (b"a\r\nfoo", "\nfoo", "\nbar", b"a\r\nbar"),
        (b"a\r\nfoo\r\n", "foo\n", "", b"a\r\n"),
        (b"a\nb\n", "a\n", "a\r\n", b"a\r\nb\n"),
        (b"a\r\nb\n", "a\r\n", "a\n", b"a\nb\n"),
        (b"x\ry\nz\n", "x\ry", "q", b"q\nz\n"),
        (b"\xef\xbb\xbfa\r\n", "a", "é", b"\xef\xbb\xbf\xc3\xa9\r\n"),
        ("\ufeffa\r\nb".encode("utf-16-be"), "a\nb", "é\nb", "\ufeffé\r\nb".encode("utf-16-be")),
        ("// Größe der Tür, fünf Füße\nx = 1\n".encode("cp1252"), "x = 1", "x = 'ß'", "// Größe der Tür, fünf Füße\nx = 'ß'\n".encode("cp1252")),
        (b"bad \xff\xfe\xc3 byte\nx = 1\n", "x = 1", "x = 2", b"bad \xff\xfe\xc3 byte\nx = 2\n"),
        (b"a\r\r\nb\nc\n", "a\r\r\nb", "x\r\r\nb", b"x\r\r\nb\nc\n"),
        (b"a\r\r\nb\n", "b\n", "b\nc\n", b"a\r\r\nb\nc\n"),
        (b"tail", "tail", "tail\n", b"tail\n"),
        (b"a\n\n\nb\n", "a\n\n\nb", "a\nb", b"a\nb\n"),
        ("e\u0301 \u00e9\n".encode(), "\u00e9", "E", "e\u0301 E\n".encode()),
    ],
)
def test_line_ends_and_encodings_stay_as_they_are_where_the_edit_does_not_name_them(
    before: bytes, old: str, new: str, after: bytes, tmp_path: Path
) -> None:
    path, ctx = known(tmp_path, before)
    call(EDIT, ctx, path="f", old=old, new=new)
    assert path.read_bytes() == after


ENDS = some.sampled_from(["\n", "\r\n"])
WORDS = some.text(some.characters(codec="utf-8", exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]), max_size=12)
ENCODED = some.sampled_from([("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")])


@settings(max_examples=120, deadline=None)
@given(some.lists(some.tuples(WORDS, ENDS), min_size=1, max_size=8), some.data(), ENCODED)
def test_whatever_lines_an_edit_repeats_or_does_not_name_keep_every_byte(
    lines: list[tuple[str, str]], data: some.DataObject, encoded: tuple[str, bytes]
) -> None:
    numbered = [(f"{index}:{word}", end) for index, (word, end) in enumerate(lines)]
    if data.draw(some.booleans()):
        numbered[-1] = (numbered[-1][0], "")
    first = data.draw(some.integers(0, len(numbered) - 1))
    last = data.draw(some.integers(first, len(numbered) - 1))
    changed = data.draw(some.integers(first, last))
    named = numbered[first : last + 1]
    old = "\n".join(line for line, _ in named)
    new = "\n".join("changed" if index == changed else line for index, (line, _) in enumerate(named, first))
    encoding, mark = encoded
    want = "".join(("changed" if index == changed else line) + end for index, (line, end) in enumerate(numbered))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / "f"
        path.write_bytes(mark + "".join(line + end for line, end in numbered).encode(encoding))
        ctx = context(path.parent)
        try:
            call(READ, ctx, path="f")
        except ToolError as refused:  # a NUL among the words makes it a binary
            assert refused.code == "binary"
            return
        call(EDIT, ctx, path="f", old=old, new=new)
        assert path.read_bytes() == mark + want.encode(encoding)


@settings(max_examples=120, deadline=None)
@given(some.binary(max_size=60), some.binary(max_size=60), WORDS)
def test_bytes_that_are_no_text_of_any_kind_survive_around_an_edit(head: bytes, tail: bytes, word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / "f"
        before = head + b"\n<<the place>>\n" + tail
        path.write_bytes(before)
        ctx = context(path.parent)
        try:
            call(READ, ctx, path="f")
            call(EDIT, ctx, path="f", old="<<the place>>", new=f"<{word}>")
        except ToolError as refused:
            assert refused.code in ("binary", "image", "encoding", "not_found")
            assert path.read_bytes() == before
            return
        after = path.read_bytes()
        assert after.startswith(head + b"\n<")
        assert after.endswith(b">\n" + tail)


@settings(max_examples=120, deadline=None)
@given(some.text("ab \r\n", max_size=20), some.text("ab\n", min_size=1, max_size=4), some.text("abc\r\n", max_size=4))
def test_replacing_all_in_a_text_without_cr_is_what_str_replace_does(text: str, old: str, new: str) -> None:
    plain, new = text.replace("\r", ""), new.replace("\r", "")
    try:
        got = replaced(plain, [Swap(old, new, replace_all=True)], "f")[0]
    except ToolError as refused:
        assert refused.code in ("not_found", "no_change")
        got = plain
    assert got == plain.replace(old, new)


def test_places_that_overlap_are_ambiguous(tmp_path: Path) -> None:
    _, ctx = known(tmp_path, b"aaa\n")
    assert refusal(EDIT, ctx, path="f", old="aa", new="b") == (
        "multiple",
        "f: the old text stands in 2 places (lines 1, 1). Add lines around it, or set replace_all.",
    )


@pytest.mark.parametrize(
    ("before", "old", "message"),
    [
        (
            b"def f():\n    return 1\n",
            "def f():\n\treturn 1",
            "Lines 1-2 differ from it in white space only; copy them exactly:\ndef f():\n    return 1",
        ),
        (b"x = compute(a, b)\n", "x = compute(a, c)", "The nearest line is 1:\nx = compute(a, b)"),
        (b"alpha\nbeta\n", "1\talpha\n2\tbeta", "Leave out the line numbers that read puts in front."),
        (b"a\nb", "b\n", "It is at the end of the file, whose last line has no line end: leave the last one out."),
        (b"alpha\n", "zzz", "Nothing like it is there; read the file again."),
        ("say “hi”\n".encode(), 'say "hi"', "The nearest line is 1:\nsay “hi”"),
        (b"a\xc2\xa0b\n", "a b", "Lines 1-1 differ from it in white space only; copy them exactly:\na\u00a0b"),
    ],
)
def test_a_text_that_is_not_there_comes_with_a_hint(before: bytes, old: str, message: str, tmp_path: Path) -> None:
    path, ctx = known(tmp_path, before)
    assert refusal(EDIT, ctx, path="f", old=old, new="x") == ("not_found", f"f: the old text was not found. {message}")
    assert path.read_bytes() == before


@pytest.mark.timeout(60)
def test_a_hint_and_a_diff_of_a_large_file_come_in_time(tmp_path: Path) -> None:
    lines = [f"{number}: {'lorem ipsum ' * 5}" for number in range(200_000)]
    _, ctx = known(tmp_path, "\r\n".join(lines).encode())
    assert refusal(EDIT, ctx, path="f", old="150000: dolor sit amet and so on, nothing like it", new="x")[0] == "not_found"
    outcome = call(EDIT, ctx, path="f", old="ipsum", new="IPSUM", replace_all=True)
    assert isinstance(outcome.display, DiffDisplay)
    assert len(outcome.display.diff) < 61_000
    assert outcome.data is not None
    assert (outcome.data["places"], outcome.data["added"], outcome.data["removed"]) == (1_000_000, 200_000, 200_000)


def test_link_and_mode_stay_and_a_file_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"#!/bin/sh\n")
    path.chmod(0o751)
    (path.parent / "link").symlink_to("f")
    call(EDIT, ctx, path="link", old="/bin/sh", new="/bin/dash")
    assert (path.parent / "link").is_symlink()
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o751, b"#!/bin/dash\n")
    with (path.parent / "big").open("wb") as big:
        big.truncate(65 * 1024 * 1024)
    assert refusal(EDIT, ctx, path="big", old="x", new="y") == ("too_large", "big has 68.2 MB, too large to edit here; use bash (sed, a script)")
    (path.parent / "nul").write_bytes(b"a\0b")
    assert refusal(EDIT, ctx, path="nul", old="a", new="b")[0] in ("unread", "binary")


def test_an_empty_old_text_creates_a_file_or_fills_an_empty_one(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    outcome = call(EDIT, ctx, path="new/f", old="", new="a\n")
    assert outcome.display == DiffDisplay("new/f", "--- /dev/null\n+++ b/new/f\n@@ -0,0 +1,1 @@\n+a\n", created=True)
    (tmp_path / "empty").touch()
    call(EDIT, ctx, path="empty", old="", new="b\n")
    assert ((tmp_path / "new/f").read_bytes(), (tmp_path / "empty").read_bytes()) == (b"a\n", b"b\n")


@pytest.mark.parametrize(
    "line",
    ["# ... rest of code ...", "// ... existing code ...", "(rest of methods ...)", "/* ... unchanged lines ... */", "... the rest of the file"],
)
def test_a_placeholder_is_refused(line: str, tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"a\nb\nc\n")
    assert refusal(EDIT, ctx, path="f", old="b", new=f"x\n{line}")[0] == "placeholder"
    assert path.read_bytes() == b"a\nb\nc\n"


@pytest.mark.parametrize("line", ["def f(): ...", "print('...')", "wait for the rest…", "x = [*rest, ...]", "the same as before...", "..."])
def test_ordinary_text_with_dots_is_no_placeholder(line: str, tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"a\nb\nc\n")
    call(EDIT, ctx, path="f", old="b", new=line)
    assert path.read_bytes() == f"a\n{line}\nc\n".encode()


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    _, ctx = known(tmp_path, b"a\xff\n")
    assert refusal(EDIT, ctx, path="f", old="a", new="\ud83d")[0] == "encoding"
    assert refusal(EDIT, ctx, path="f", old="\udcff", new="b")[0] == "encoding"


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "f", "edits": [{"old": "a", "new": "b"}]},
        {"path": "f", "old": "a", "new": "b"},
        {"file_path": "f", "old_string": "a", "new_string": "b", "replace_all": "false"},
        {"path": "f", "edits": {"old": "a", "new": "b"}},
        {"path": "f", "edits": '[{"old": "a", "new": "b"}]'},
        {"path": "f", "edits": [{"oldText": "a", "newText": "b", "replace_all": None}]},
        {"path": "f", "edits": None, "old_str": "a", "new_str": "b"},
        {"path": "f", "edits": [], "old": "a", "new": "b"},
    ],
)
def test_forms_that_models_write_mean_the_same(arguments: dict[str, object]) -> None:
    assert EDIT.args.model_validate(arguments).model_dump() == {"path": "f", "edits": [{"old": "a", "new": "b", "replace_all": False}]}


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "f"},
        {"path": "f", "edits": []},
        {"path": "f", "edits": [{"old": "a"}]},
        {"path": "f", "old": "a"},
        {"path": "f", "edits": "no json"},
        {"path": "f", "old": "a", "new": "b", "surprise": 1},
        {"path": "f", "edits": [{"old": "a", "new": "b"}], "old": "c", "new": "d"},
    ],
)
def test_arguments_that_could_mean_two_things_or_nothing_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EDIT.args.model_validate(arguments)


def test_access_and_title_are_pure_and_name_the_path_as_given(tmp_path: Path) -> None:
    one = EDIT.args.model_validate({"path": "../x", "old": "a", "new": "b"})
    two = EDIT.args.model_validate({"path": "../x", "edits": [{"old": "a", "new": "b"}] * 2})
    assert EDIT.access(one) == Access(reads=("../x",), writes=("../x",))
    assert (EDIT.title(one), EDIT.title(two)) == ("../x", "../x (2 edits)")
    assert answer(EDIT, context(tmp_path), path="made", old="", new="x") == "Created made: 1 line, 1 B."

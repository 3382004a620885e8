"""Writing whole files: what is kept, what is refused, and that a failure leaves the old file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.toolbox import answer, call, context, refusal

from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, DiffDisplay, FileStamp, ToolContext, ToolOutcome
from agentcli.tools import files
from agentcli.tools.read import Read
from agentcli.tools.write import Write

WRITE, READ = Write(), Read()
ROOT = Path(__file__).resolve().parents[2]


def known(tmp_path: Path, content: bytes, name: str = "f") -> tuple[Path, ToolContext]:
    """A file that the agent has read, in a folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    path = folder / name
    path.write_bytes(content)
    ctx = context(folder)
    call(READ, ctx, path=name)
    return path, ctx


def test_a_new_file_is_created_with_its_folders_and_the_person_sees_a_diff(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    outcome = call(WRITE, ctx, path="a/b/new.txt", content="one\ntwo")
    path = tmp_path.resolve() / "a/b/new.txt"
    diff = "--- /dev/null\n+++ b/a/b/new.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n\\ No newline at end of file\n"
    assert outcome == ToolOutcome(
        (Text("Created a/b/new.txt: 2 lines, 7 B."),),
        DiffDisplay("a/b/new.txt", diff, created=True),
        data={"path": str(path), "added": 2, "removed": 0},
    )
    assert path.read_bytes() == b"one\ntwo"
    assert ctx.memory.seen == {path: FileStamp(path.stat().st_mtime_ns, 7, files.digest_of(b"one\ntwo"))}


def test_a_new_file_gets_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        call(WRITE, context(tmp_path), path="new", content="x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_rewrite_shows_only_what_changed(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"".join(b"line %d\n" % number for number in range(1, 21)))
    content = path.read_text().replace("line 10\n", "line ten\nline ten and a half\n")
    outcome = call(WRITE, ctx, path="f", content=content)
    assert outcome.display == DiffDisplay(
        "f",
        "--- a/f\n+++ b/f\n@@ -7,7 +7,8 @@\n line 7\n line 8\n line 9\n-line 10\n+line ten\n+line ten and a half\n line 11\n line 12\n line 13\n",
    )
    assert outcome.data == {"path": str(path.resolve()), "added": 2, "removed": 1}
    assert answer(WRITE, ctx, path="f", content="again\n") == "Wrote f: 1 line, 6 B."


def test_an_existing_file_that_was_not_read_or_changed_since_is_refused_and_stays(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"mine\n")
    stranger = context(path.parent)
    assert refusal(WRITE, stranger, path="f", content="x") == (
        "unread",
        "f has not been read in this session; read it first, then change it",
    )
    path.write_bytes(b"them\n")
    os.utime(path, ns=(0, ctx.memory.seen[path.resolve()].mtime_ns))
    assert refusal(WRITE, ctx, path="f", content="x") == (
        "changed_on_disk",
        "f changed on disk since it was read; read it again before changing it",
    )
    assert path.read_bytes() == b"them\n"


def test_a_file_that_was_only_touched_or_written_by_the_agent_itself_is_not_stale(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"mine\n")
    os.utime(path, ns=(1, 1))
    call(WRITE, ctx, path="f", content="first\n")
    call(WRITE, ctx, path=str(path), content="second\n")
    assert path.read_bytes() == b"second\n"


def test_an_empty_file_may_be_filled_without_reading(tmp_path: Path) -> None:
    (tmp_path / "f").touch(0o600)
    call(WRITE, context(tmp_path), path="f", content="x\n")
    assert ((tmp_path / "f").read_bytes(), stat.S_IMODE((tmp_path / "f").stat().st_mode)) == (b"x\n", 0o600)


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        (b"a\r\nb\r\n", "x\ny\n", b"x\r\ny\r\n"),
        (b"a\rb\r", "x\ny", b"x\ry"),
        (b"a\r\nb\r\n", "x\r\ny\n", b"x\r\ny\n"),
        (b"a\r\nb\n", "x\ny\n", b"x\ny\n"),
        (b"a\nb\n", "x\r\n", b"x\r\n"),
        (b"\xef\xbb\xbfa\n", "é\n", b"\xef\xbb\xbf\xc3\xa9\n"),
        (b"\xef\xbb\xbfa\n", "\ufeffx\n", b"\xef\xbb\xbfx\n"),
        (b"a\n", "\ufeffx\n", b"\xef\xbb\xbfx\n"),
        ("\ufeffa\r\n".encode("utf-16-le"), "é\n", "\ufeffé\r\n".encode("utf-16-le")),
        ("\ufeffa\n".encode("utf-16-be"), "é\U0001f600\n", "\ufeffé\U0001f600\n".encode("utf-16-be")),
        ("Größe der Tür: über fünf Füße\n".encode("cp1252"), "neue Größe\n", "neue Größe\n".encode("cp1252")),
        (b"a\xff\xfe\n", "plain\n", b"plain\n"),
    ],
)
def test_a_rewrite_keeps_encoding_mark_and_the_one_line_end_of_the_old_file(before: bytes, content: str, after: bytes, tmp_path: Path) -> None:
    path, ctx = known(tmp_path, before)
    call(WRITE, ctx, path="f", content=content)
    assert path.read_bytes() == after


def test_characters_that_the_old_encoding_lacks_are_refused_by_name(tmp_path: Path) -> None:
    before = "Größe der Tür: über fünf Füße\n".encode("cp1252")
    path, ctx = known(tmp_path, before)
    code, message = refusal(WRITE, ctx, path="f", content="日本\n")
    assert (code, message.partition(";")[0]) == ("encoding", "the file's encoding is cp1252 (guessed), which has no character '日'")
    assert refusal(WRITE, ctx, path="g", content="\ud83d")[0] == "encoding"
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == (before, [path])


def test_mode_link_and_hard_link_are_kept_and_no_temporary_file_stays(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"#!/bin/sh\n")
    path.chmod(0o755)
    (path.parent / "link").symlink_to("f")
    call(WRITE, ctx, path="link", content="#!/bin/bash\n")
    assert (path.parent / "link").readlink() == Path("f")
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o755, b"#!/bin/bash\n")
    (path.parent / "hard").hardlink_to(path)
    inode = path.stat().st_ino
    call(WRITE, ctx, path="f", content="shorter\n")
    assert (path.stat().st_ino, (path.parent / "hard").read_bytes()) == (inode, b"shorter\n")
    assert {entry.name for entry in path.parent.iterdir()} == {"f", "link", "hard"}


def test_a_link_to_a_file_that_is_not_there_yet_makes_that_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("deep/target")
    call(WRITE, context(tmp_path), path="link", content="x")
    assert (tmp_path / "deep/target").read_bytes() == b"x"


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system has no extended attributes")
def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"a\n")
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    call(WRITE, ctx, path="f", content="b\n")
    assert (os.getxattr(path, "user.note"), path.read_bytes()) == (b"kept", b"b\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file to another owner")
def test_another_owner_is_kept(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"a\n")
    os.chown(path, 1234, 2345)
    call(WRITE, ctx, path="f", content="b\n")
    assert (path.stat().st_uid, path.stat().st_gid, path.read_bytes()) == (1234, 2345, b"b\n")


def test_a_read_only_file_is_refused_though_a_rename_would_replace_it(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"a\n")
    path.chmod(0o444)
    assert refusal(WRITE, ctx, path="f", content="b") == ("denied", "f is read-only (mode 0444); nothing was written")
    assert (path.read_bytes(), list(path.parent.iterdir())) == (b"a\n", [path])


def test_folders_pipes_binaries_and_paths_in_the_way_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "data").write_bytes(b"\0\1\2")
    os.mkfifo(tmp_path / "pipe")
    ctx = context(tmp_path)
    assert refusal(WRITE, ctx, path="folder", content="x") == ("not_a_file", "folder is a folder; list it with ls")
    assert refusal(WRITE, ctx, path="new/", content="x") == ("not_a_file", "new/ names a folder; give the path of a file")
    assert refusal(WRITE, ctx, path="pipe", content="x") == ("not_a_file", "pipe is a named pipe, not a regular file")
    assert refusal(WRITE, ctx, path="data", content="x")[0] == "binary"
    code, message = refusal(WRITE, ctx, path="file/below", content="x")
    assert (code, message) == ("exists", f"file/below: {tmp_path.resolve() / 'file'} is in the way")


def test_a_placeholder_for_code_that_was_there_is_refused_but_one_that_the_file_has_is_not(tmp_path: Path) -> None:
    path, ctx = known(tmp_path, b"def a():\n    pass\n")
    assert refusal(WRITE, ctx, path="f", content="def b(): ...\n# ... rest of the code unchanged ...\n")[0] == "placeholder"
    call(WRITE, ctx, path="new", content="# ... existing code ...\n")
    call(WRITE, ctx, path="new", content="x\n# ... existing code ...\n")
    assert path.read_bytes() == b"def a():\n    pass\n"


CHILD = """
import resource, sys
sys.path.insert(0, "tests")
from pathlib import Path
from support.toolbox import answer, context, refusal
from agentcli.tools.read import Read
from agentcli.tools.write import Write
folder = Path(sys.argv[1])
ctx = context(folder)
answer(Read(), ctx, path="old")
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for name in ("old", "new"):
    code, message = refusal(Write(), ctx, path=name, content="y" * 200_000)
    print(code, message)
print(sorted(entry.name for entry in folder.iterdir()))
"""
FULL = "['hard', 'old']"


def fails_when_full(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if "unshare" in command[0] and "unshare" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("hard", [True, False])
def test_a_file_that_may_not_grow_gives_an_error_and_leaves_the_old_bytes(hard: bool, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 10_000)
    (tmp_path / "hard").hardlink_to(tmp_path / "old") if hard else (tmp_path / "hard").touch()
    printed = fails_when_full([sys.executable, "-c", CHILD, str(tmp_path), "limit"], tmp_path)
    assert printed == f"disk_full old: File too large\ndisk_full new: File too large\n{FULL}\n"
    assert (tmp_path / "old").read_bytes() == b"x" * 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="needs a mount namespace")
def test_a_full_disk_gives_an_error_and_leaves_the_old_bytes_and_no_half_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=100k tmpfs {disk} && head -c 40000 /dev/zero | tr '\\0' x > {disk}/old && cp {disk}/old {tmp_path}/was"
        f" && for link in no yes; do if [ $link = yes ]; then ln {disk}/old {disk}/hard; else touch {disk}/hard; fi;"
        f' "$0" -c "$1" {disk} disk; cmp {disk}/old {tmp_path}/was || echo CHANGED; rm {disk}/hard; done'
    )
    printed = fails_when_full(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, CHILD], disk)
    once = f"disk_full old: No space left on device\ndisk_full new: No space left on device\n{FULL}\n"
    assert printed == once * 2


def test_access_and_title_are_pure_and_name_the_path_as_given() -> None:
    given = WRITE.args.model_validate({"filename": "../x", "contents": "y"})
    assert WRITE.access(given) == Access(writes=("../x",))
    assert WRITE.title(given) == "../x"

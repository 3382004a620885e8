"""Reading: pages, encodings, what is refused, and what memory and time a huge or special file may cost."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from support.toolbox import answer, call, context, refusal

from agentcli.protocol.tools import Access, FileStamp, TextDisplay
from agentcli.tools import files
from agentcli.tools.read import Read

READ = Read()


def test_lines_come_with_number_and_tab_and_the_person_sees_a_count(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n  three\tx\n")
    outcome = call(READ, context(tmp_path), path="a.txt")
    assert outcome.content[0].text == "1\tone\n2\t\n3\t  three\tx"  # type: ignore[union-attr]
    assert outcome.display == TextDisplay("3 lines")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "[the file is empty]"),
        (b"\n", "1\t"),
        (b"a", "1\ta"),
        (b"a\nb", "1\ta\n2\tb"),
        (b"a\r\nb\r\n", "1\ta\n2\tb"),
        (b"a\rb\rc", "1\ta\n2\tb\n3\tc"),
        (b"a\rb\nc\n", "1\ta\rb\n2\tc"),
        ("a\u2028b\x0bc\x0cd\x85e\n".encode(), "1\ta\u2028b\x0bc\x0cd\x85e"),
        (b"\xef\xbb\xbfbom\n", "1\tbom\n[encoding: utf-8 with BOM]"),
        ("\ufeffcafé\r\nx".encode("utf-16-le"), "1\tcafé\n2\tx\n[encoding: utf-16-le with BOM]"),
        ("\ufeffcafé\n".encode("utf-16-be"), "1\tcafé\n[encoding: utf-16-be with BOM]"),
        ("\ufeffcafé\n".encode("utf-32-le"), "1\tcafé\n[encoding: utf-32-le with BOM]"),
        ("é ü ö ".encode() * 9 + b"\xff stray\n", "1\t" + "é ü ö " * 9 + "\ufffd stray\n[\ufffd stands for bytes that are no valid text]"),
    ],
)
def test_line_ends_and_encodings_are_read_as_a_person_would(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    assert answer(READ, context(tmp_path), path="f") == expected


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Größe der Tür: fünf Füße. Die Straße führt zum Café, où l'été est très léger.", "cp1252"),
        ("# préférences", "cp1252"),
        ("It\u2019s a \u201cquoted\u201d text \u2013 with dashes.", "cp1252"),
        ("// Zażółć gęślą jaźń. Proszę sprawdzić wartość początkową i zwrócić błąd.", "cp1250"),
        ("# Привет, мир! Это проверка кодировки файла.", "cp1251"),
        ("# これは設定ファイルです。名前を変更してください。", "cp932"),
        ("# 这是一个配置文件，请修改名称。", "gb18030"),
    ],
)
def test_a_legacy_encoding_is_guessed_and_named(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(f"{text}\n".encode(encoding))
    assert answer(READ, context(tmp_path), path="f") == f"1\t{text}\n[encoding: {encoding} (guessed)]"


def test_what_cannot_be_read_without_waiting_gives_the_same_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    quick, missing = answer(READ, context(tmp_path), path="a.txt"), refusal(READ, context(tmp_path), path="b.txt")
    monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    monkeypatch.setattr(files, "SMALL_FOLDER", -1)
    assert refusal(READ, context(tmp_path), path="b.txt") == missing
    assert answer(READ, context(tmp_path), path="a.txt") == quick == "1\tone\n2\ttwo"


def test_a_range_says_where_it_is_and_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"line {number}\n" for number in range(1, 11)))
    ctx = context(tmp_path)
    assert answer(READ, ctx, path="f", offset="4", limit="2") == "4\tline 4\n5\tline 5\n[lines 4-5 of 10; go on with offset 6]"
    assert answer(READ, ctx, path="f", offset=9) == "9\tline 9\n10\tline 10"
    assert answer(READ, ctx, path="f", offset=0, limit=1) == "1\tline 1\n[lines 1-1 of 10; go on with offset 2]"
    assert refusal(READ, ctx, path="f", offset=11) == ("past_end", "f has 10 lines; there is no line 11")


def test_every_page_of_a_file_put_together_is_the_file(tmp_path: Path) -> None:
    chance = random.Random(7)
    lines = ["x" * chance.choice((0, 1, 40, 300)) + chance.choice(("", "é", "\U0001f600")) for _ in range(30_000)]
    (tmp_path / "f").write_text("\n".join(lines), newline="\r\n")
    got, offset, ctx = list[str](), 1, context(tmp_path)
    while offset <= len(lines):
        page = answer(READ, ctx, path="f", offset=offset).split("\n")
        body = [line for line in page if not line.startswith("[")]
        assert sum(len(line) + 1 for line in page) <= ctx.output_limit
        got += [line.partition("\t")[2] for line in body]
        assert body[0].startswith(f"{offset}\t")
        offset += len(body)
    assert got == lines


def test_a_page_has_at_most_2000_lines_and_a_long_line_is_cut_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "many").write_text("x\n" * 5000)
    (tmp_path / "long").write_text("a" * 2000 + "\r\n" + "b" * 5000 + "\n")
    many = answer(READ, context(tmp_path), path="many").split("\n")
    assert (len(many), many[-1]) == (2001, "[lines 1-2000 of 5000; go on with offset 2001]")
    assert answer(READ, context(tmp_path), path="long") == f"1\t{'a' * 2000}\n2\t{'b' * 2000}… [3000 more characters in this line]"


def test_a_huge_file_is_neither_held_in_memory_nor_passed_over_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.log"
    with path.open("wb") as file:
        file.write(b"start\n" * 100)
        file.truncate(40_000_000_000)  # sparse: it costs no disk
        file.seek(0)
        file.write(b"0123456789abcde\n" * 20_000)
    ctx = context(tmp_path)
    tracemalloc.start()
    seen = answer(READ, ctx, path="huge.log", limit=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    note = "[lines 1-3 of a very large file; go on with offset 4, or search it with grep]"
    assert seen == "\n".join([*(f"{number}\t0123456789abcde" for number in (1, 2, 3)), note])
    assert peak < 8_000_000
    assert ctx.memory.seen[path.resolve()].digest == ""


def test_one_endless_line_costs_no_more_than_a_line(tmp_path: Path) -> None:
    (tmp_path / "min.js").write_bytes(b"x" * 30_000_000)
    ctx = context(tmp_path)
    tracemalloc.start()
    seen = answer(READ, ctx, path="min.js")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == f"1\t{'x' * 2000}… [29998000 more characters in this line]"
    assert peak < 8_000_000


def test_the_agent_remembers_the_file_as_it_was_under_its_real_path(tmp_path: Path) -> None:
    target = tmp_path / "real.txt"
    target.write_text("content\n")
    (tmp_path / "link").symlink_to("real.txt")
    ctx = context(tmp_path)
    call(READ, ctx, path="link", limit=1)
    found = target.stat()
    assert ctx.memory.seen == {target.resolve(): FileStamp(found.st_mtime_ns, 8, files.digest_of(b"content\n"))}


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + b"\x08\x02\0\0\0"


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (PNG, "image", "f is an image (PNG, 640x480, 29 B); images cannot be shown to you yet"),
        (b"\xff\xd8\xff\xe0" + bytes(2000), "image", "f is an image (JPEG, 2.0 kB); images cannot be shown to you yet"),
        (b"GIF89a\x05\x00\x07\x00" + bytes(9), "image", "f is an image (GIF, 5x7, 19 B); images cannot be shown to you yet"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image", "f is an image (WebP, 16 B); images cannot be shown to you yet"),
        (b"\x7fELF\x02\x01\0\0", "binary", "f is no text: ELF program or library, 8 B; use bash with a program for this kind"),
        (b"PK\x03\x04\x14\0", "binary", "f is no text: zip archive (also jar, docx, xlsx, wheel), 6 B; use bash with a program for this kind"),
        (b"text\0more", "binary", "f is no text: binary data, 9 B; use bash with a program for this kind"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n\x00", "binary", "f is no text: PDF document, 16 B; use bash with a program for this kind"),
        (
            "no mark\n".encode("utf-16-le"),
            "binary",
            "f is no text: UTF-16 text without a byte order mark, 16 B; use bash with a program for this kind",
        ),
        (bytes(range(1, 9)) * 4 + b"\xff\xfe\xfd", "binary", "f is no text: binary data, 35 B; use bash with a program for this kind"),
    ],
)
def test_what_is_no_text_is_refused_with_kind_and_size_and_not_remembered(content: bytes, code: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    ctx = context(tmp_path)
    assert refusal(READ, ctx, path="f") == (code, message)
    assert ctx.memory.seen == {}


def test_pipes_sockets_devices_and_folders_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-pipe").symlink_to("pipe")
    ctx = context(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)
        server.bind("socket")
        assert refusal(READ, ctx, path="socket") == ("not_a_file", "socket is a socket, not a regular file")
    assert refusal(READ, ctx, path="pipe") == ("not_a_file", "pipe is a named pipe, not a regular file")
    assert refusal(READ, ctx, path="to-pipe") == ("not_a_file", "to-pipe is a named pipe, not a regular file")
    assert refusal(READ, ctx, path="/dev/zero") == ("not_a_file", "/dev/zero is a character device, not a regular file")
    assert refusal(READ, ctx, path="folder") == ("not_a_file", "folder is a folder; list it with ls")


def test_a_missing_file_names_the_nearest_names_and_the_folder_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name in ("main.py", "config.toml", "Readme.md"):
        (tmp_path / "src" / name).touch()
    ctx = context(tmp_path)
    assert refusal(READ, ctx, path="src/mian.py") == ("no_file", "src/mian.py does not exist. Near it: main.py")
    assert refusal(READ, ctx, path="src/readme.MD") == ("no_file", "src/readme.MD does not exist. Near it: Readme.md")
    assert refusal(READ, ctx, path="src/config.yaml") == ("no_file", "src/config.yaml does not exist. Near it: config.toml")
    assert refusal(READ, ctx, path="scr/main.py") == (
        "no_file",
        f"scr/main.py does not exist: there is no 'scr' in {tmp_path.resolve()}. Near it: src",
    )
    assert refusal(READ, ctx, path="src/main.py/x")[0] == "no_file"
    assert refusal(READ, ctx, path="zzzzz") == ("no_file", "zzzzz does not exist. Use glob or ls to find it.")


def test_paths_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert refusal(READ, ctx, path="a\0b")[0] == "bad_path"
    assert refusal(READ, ctx, path=" ")[0] == "bad_path"
    assert refusal(READ, ctx, path="\ud800")[0] == "bad_path"
    assert refusal(READ, ctx, path="x" * 300)[0] == "bad_path"
    assert refusal(READ, ctx, path="loop")[0] == "bad_path"
    assert refusal(READ, ctx, path="dangling")[0] == "no_file"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes file names that are no UTF-8")
def test_a_name_that_is_no_utf8_is_read_by_the_name_that_listings_show(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.txt")).write_text("found\n")
    (tmp_path / "a\\x41").write_text("literal\n")
    ctx = context(tmp_path)
    assert answer(READ, ctx, path="caf\\xe9\\x0a.txt") == "1\tfound"
    assert answer(READ, ctx, path="a\\x41") == "1\tliteral"
    (tmp_path / "aA").write_text("other\n")
    (tmp_path / "a\\x41").unlink()
    assert refusal(READ, ctx, path="a\\x41")[0] == "no_file"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes file names that are no UTF-8")
def test_an_escaped_name_never_leads_through_a_link_or_a_separator_that_the_rules_did_not_see(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    work = tmp_path / "work"
    work.mkdir()
    Path(os.fsdecode(os.fsencode(work) + b"/l\xe9")).symlink_to("../secret")
    ctx = context(work)
    assert refusal(READ, ctx, path="l\\xe9")[0] == "no_file"
    assert refusal(READ, ctx, path="x\\x2f..\\x2f..\\x2fsecret")[0] == "no_file"
    assert refusal(READ, ctx, path="\\x2e\\x2e/secret")[0] == "no_file"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_file_of_proc_whose_size_is_zero_is_read(tmp_path: Path) -> None:
    assert answer(READ, context(tmp_path), path="/proc/self/status", limit=1).startswith("1\tName:")


def test_a_file_without_permission_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").chmod(0)
    code = (
        "import concurrent.futures.thread, os, sys; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path; from support.toolbox import answer, context, refusal; from agentcli.tools.read import Read\n"
        "ctx = context(Path('.')); answer(Read(), ctx, path='README.md'); os.getuid() or os.setuid(65534)\n"
        "print(*refusal(Read(), ctx, path=sys.argv[1]))"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "f")], cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (f"denied {tmp_path / 'f'}: Permission denied", "")


def test_access_and_title_are_pure_and_name_the_path_as_given() -> None:
    given = READ.args.model_validate({"file_path": "../x/../y", "offset": "7", "limit": None})
    assert READ.access(given) == Access(reads=("../x/../y",))
    assert READ.title(given) == "../x/../y from line 7"

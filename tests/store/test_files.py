from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from support.envelopes import answered, ended, short_run, started, submitted

from agentcli.protocol.errors import SessionError, SessionNotFound, StorageError
from agentcli.protocol.events import Envelope, Notice, TextDelta, encode
from agentcli.store.files import SessionFile, new_session_id
from agentcli.store.sessions import load


def durable(envelopes: list[Envelope]) -> list[Envelope]:
    return [envelope for envelope in envelopes if envelope.event.durable]


def test_durable_events_are_on_disk_as_soon_as_they_are_appended_and_deltas_never(tmp_path: Path) -> None:
    file = SessionFile.create(tmp_path / "project", "s-1")
    seen: list[int] = []
    for envelope in short_run():
        file.append(envelope)
        seen.append(len(file.path.read_bytes().splitlines()))
    assert seen == [1, 2, 3, 3, 3, 4, 5]
    file.sync()
    file.close()
    assert load(file.path).envelopes == tuple(durable(short_run()))
    assert file.path.read_bytes() == b"".join(encode(envelope) + b"\n" for envelope in durable(short_run()))


def test_the_file_and_its_folder_are_for_the_person_alone(tmp_path: Path) -> None:
    with SessionFile.create(tmp_path / "a" / "b", "s-1") as file:
        file.append(short_run()[0])
        assert file.path == tmp_path / "a" / "b" / "s-1.jsonl"
        assert file.path.stat().st_mode & 0o777 == 0o600
        assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_each_append_is_one_write_of_one_whole_line_at_the_end_of_the_file(tmp_path: Path) -> None:
    with SessionFile.create(tmp_path, "s-1") as file:
        file.append(short_run()[0])
        with file.path.open("ab") as other:
            other.write(b"X")
        file.append(short_run()[1])
        assert file.path.read_bytes() == encode(short_run()[0]) + b"\nX" + encode(short_run()[1]) + b"\n"


def test_text_that_utf8_cannot_hold_does_not_stop_a_session(tmp_path: Path) -> None:
    with SessionFile.create(tmp_path, "s-1") as file:
        file.append(Envelope(1, 1.0, "s-1", "main", Notice(level="info", text="bad \udcff name")))
    assert load(file.path).envelopes == (Envelope(1, 1.0, "s-1", "main", Notice(level="info", text="bad \ufffd name")),)


def test_a_session_without_an_event_leaves_no_file(tmp_path: Path) -> None:
    with SessionFile.create(tmp_path, "s-1") as file:
        file.append(Envelope(1, 1.0, "s-1", "main", TextDelta(text="not stored")))
        assert file.path.exists()
    assert not file.path.exists()
    file.close()


def test_an_id_that_exists_is_refused_and_the_message_says_how_to_go_on(tmp_path: Path) -> None:
    with SessionFile.create(tmp_path, "s-1") as file:
        file.append(short_run()[0])
    with pytest.raises(SessionError) as caught:
        SessionFile.create(tmp_path, "s-1")
    assert caught.value.line() == (
        f"a session 's-1' exists already: {tmp_path}/s-1.jsonl. Go on with it by --resume s-1, or choose another --session-id."
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("bad", ["", ".", "..", "../x", "a/b", ".hidden", "a b", "x" * 129, "a\n", "-c"])
def test_an_id_that_is_no_plain_file_name_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(SessionError, match="is no session id"):
        SessionFile.create(tmp_path, bad)
    assert list(tmp_path.iterdir()) == []


def test_new_ids_differ_and_are_fit_for_a_file(tmp_path: Path) -> None:
    one, other = new_session_id(), new_session_id()
    assert one != other
    SessionFile.create(tmp_path, one).close()


def test_a_folder_that_cannot_be_made_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError) as caught:
        SessionFile.create(tmp_path / "taken" / "project", "s-1")
    assert str(tmp_path / "taken" / "project" / "s-1.jsonl") in caught.value.line()
    assert caught.value.line().endswith("Not a directory. Run without a session file: --no-session")


def test_a_full_disk_is_told_once_and_leaves_whole_lines_only(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = SessionFile.create(tmp_path, "s-1")
    file.append(started_envelope(1))
    whole = file.path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 40, hard))
    try:
        with pytest.raises(StorageError) as caught:
            file.append(Envelope(2, 1.0, "s-1", "main", submitted("x" * 500)))
        file.append(Envelope(3, 1.0, "s-1", "main", ended("short")))
        file.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file.append(Envelope(4, 1.0, "s-1", "main", ended("there is room again, but a hole before it")))
    file.close()
    assert caught.value.line() == f"cannot write the session file {file.path}: File too large. Run without a session file: --no-session"
    assert file.path.read_bytes() == whole


def test_no_space_left_says_to_free_some(tmp_path: Path) -> None:
    full = tmp_path / "s-1.jsonl"
    full.symlink_to("/dev/full")
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    file = SessionFile(full, os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(StorageError, match="No space left on device") as caught:
        file.append(short_run()[0])
    assert caught.value.hint == "Free some space, or run without a session file: --no-session"
    file.close()


# --- going on ---


def started_envelope(seq: int) -> Envelope:
    return Envelope(seq, 1.0, "s-1", "main", started())


def written(folder: Path, *lines: bytes) -> Path:
    path = folder / "s-1.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def test_going_on_appends_after_what_is_there(tmp_path: Path) -> None:
    first, second = durable(short_run())[:2]
    path = written(tmp_path, encode(first), b"\n")
    with SessionFile.open(path) as file:
        assert file.session_id == "s-1"
        file.append(second)
    assert load(path).envelopes == (first, second)


def test_a_torn_last_line_is_cut_away_before_more_is_written(tmp_path: Path) -> None:
    first, second = durable(short_run())[:2]
    path = written(tmp_path, encode(first), b"\n", encode(second)[:-30])
    assert load(path).torn
    with SessionFile.open(path) as file:
        file.append(second)
    assert path.read_bytes() == encode(first) + b"\n" + encode(second) + b"\n"
    assert load(path).problems == ()


def test_a_last_line_that_only_lacks_its_line_break_is_kept(tmp_path: Path) -> None:
    first, second = durable(short_run())[:2]
    path = written(tmp_path, encode(first))
    assert load(path).envelopes == (first,)
    assert not load(path).torn
    with SessionFile.open(path) as file:
        file.append(second)
    assert load(path).envelopes == (first, second)


def test_zeros_that_a_power_cut_left_are_cut_away(tmp_path: Path) -> None:
    first = durable(short_run())[0]
    path = written(tmp_path, encode(first), b"\n", b"\0" * 512)
    SessionFile.open(path).close()
    assert path.read_bytes() == encode(first) + b"\n"


def test_a_session_that_is_not_there_says_how_to_list_them(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound, match=r"List them with: agentcli sessions|no session file"):
        SessionFile.open(tmp_path / "gone.jsonl")


# --- two at once ---

HOLDER = """
import sys
from pathlib import Path
from agentcli.store.files import SessionFile
file = SessionFile.open(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_and_let_in_when_the_first_is_killed(tmp_path: Path) -> None:
    path = written(tmp_path, encode(started_envelope(1)), b"\n")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(SessionError) as caught:
            SessionFile.open(path)
        assert caught.value.line() == (
            "session 's-1' is open already, here or in another process. Close it there first, or go on in a copy: --resume s-1 --fork-session (a program: fork=True)"
        )
    finally:
        holder.kill()
        holder.communicate()
    with SessionFile.open(path) as file:
        file.append(Envelope(2, 1.0, "s-1", "main", answered("in")))
    assert len(load(path).envelopes) == 2


def test_a_session_opened_twice_in_one_process_is_refused_too(tmp_path: Path) -> None:
    with SessionFile.create(tmp_path, "s-1") as file:
        file.append(started_envelope(1))
        with pytest.raises(SessionError, match="open already, here or in another process"):
            SessionFile.open(file.path)
    SessionFile.open(file.path).close()

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.envelopes import BIG, SMALL, answered, ended, short_run, started, submitted, troubled_run

from agentcli.protocol.errors import SessionError, SessionNotFound
from agentcli.protocol.events import AnyEvent, Envelope, ModelChanged, Renamed, UserSubmitted, encode
from agentcli.protocol.messages import user_text
from agentcli.store.files import SessionFile
from agentcli.store.sessions import (
    Loaded,
    SessionInfo,
    find,
    fork,
    latest,
    list_sessions,
    load,
    project_folder,
    remove,
)

APP = Path("/home/me/app")
OTHER = Path("/home/me/other")


def saved(root: Path, session_id: str, *events: AnyEvent, cwd: Path = APP, at: float = 100.0) -> Path:
    with SessionFile.create(project_folder(root, cwd), session_id) as file:
        for seq, event in enumerate((started(cwd=str(cwd)), *events), start=1):
            file.append(Envelope(seq, at + seq, session_id, "main", event))
    os.utime(file.path, (at, at))
    return file.path


def test_a_project_folder_is_readable_and_two_paths_never_share_one() -> None:
    root = Path("/data/sessions")
    names = [project_folder(root, Path(path)).name for path in ("/home/me/app", "/home/me-app", "/home/me/äpp", "/", "/home/me/App")]
    assert names[0].startswith("home-me-app-")
    assert len(set(names)) == 5
    assert all(len(name) < 80 and name.isascii() for name in names)
    assert len(project_folder(root, Path("/x" * 2000)).name) < 80
    assert project_folder(root, APP) == project_folder(root, APP)


# --- reading ---


def test_a_whole_session_reads_back_as_its_durable_events(tmp_path: Path) -> None:
    with SessionFile.create(tmp_path, "s-1") as file:
        for envelope in troubled_run():
            file.append(envelope)
    durable = tuple(envelope for envelope in troubled_run() if envelope.event.durable)
    assert load(file.path) == Loaded(durable)
    assert load(file.path).last_seq == durable[-1].seq


def test_garbage_in_the_middle_is_reported_and_unknown_events_are_skipped(tmp_path: Path) -> None:
    first, second, third = [encode(envelope) for envelope in short_run() if envelope.event.durable][:3]
    unknown = b'{"seq":9,"at":1.0,"session_id":"s-1","agent_id":"main","event":{"type":"hologram_shown","x":1}}'
    path = tmp_path / "s-1.jsonl"
    path.write_bytes(b"\n".join([first, b'{"not": "an event"}', second, unknown, b"", b"\xff\xfe", b"[" * 5000, third, b'{"seq": 12, "at']))
    found = load(path)
    assert [encode(envelope) for envelope in found.envelopes] == [first, second, third]
    assert (found.unknown, found.torn) == (1, True)
    assert [problem.split(": ")[0] for problem in found.problems] == [f"{path}:2", f"{path}:6", f"{path}:7"]


def test_an_empty_file_is_an_empty_session(tmp_path: Path) -> None:
    path = tmp_path / "s-1.jsonl"
    path.write_bytes(b"")
    assert load(path) == Loaded(())
    assert load(path).last_seq == 0


def test_reading_what_is_not_there_says_how_to_list_sessions(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound) as caught:
        load(tmp_path / "x.jsonl")
    assert caught.value.line() == f"no session file {tmp_path}/x.jsonl. List them with: agentcli sessions"


# --- lists ---


def test_a_list_tells_first_words_model_time_and_turns_the_latest_first(tmp_path: Path) -> None:
    old = saved(tmp_path, "old", submitted("Fix\n the   parser"), answered("done"), ended("done"), at=100.0)
    new = saved(
        tmp_path,
        "new",
        UserSubmitted(message=user_text("a notice", "system")),
        submitted("Second thing"),
        ModelChanged(model=SMALL),
        answered("ok", model=SMALL),
        submitted("and more"),
        at=500.0,
    )
    saved(tmp_path, "elsewhere", submitted("hello"), cwd=OTHER, at=300.0)
    assert list_sessions(tmp_path, APP) == [
        SessionInfo("new", new, str(APP), "Second thing", SMALL.resolved, 506.0, 2),
        SessionInfo("old", old, str(APP), "Fix the parser", BIG.resolved, 104.0, 1),
    ]
    assert [info.id for info in list_sessions(tmp_path)] == ["new", "elsewhere", "old"]


def test_a_switch_in_the_middle_of_an_answer_is_what_a_list_tells(tmp_path: Path) -> None:
    saved(tmp_path, "a", submitted("hello"), ModelChanged(model=SMALL), answered("said by the old one"))
    assert [info.model for info in list_sessions(tmp_path)] == [SMALL.resolved]


def test_a_given_title_wins_and_a_long_one_is_cut(tmp_path: Path) -> None:
    saved(tmp_path, "a", submitted("x" * 300), at=1.0)
    saved(tmp_path, "b", submitted("first words"), started(cwd=str(APP), title="The parser"), at=2.0)
    saved(tmp_path, "c", submitted("first words"), Renamed(title="one"), Renamed(title="The lexer"), at=3.0)
    titles = [info.title for info in list_sessions(tmp_path)]
    assert titles == ["The lexer", "The parser", "x" * 119 + "…"]


def test_a_long_session_is_listed_from_its_head_and_tail(tmp_path: Path) -> None:
    talk = [event for number in range(60) for event in (submitted("go on"), answered("y" * 30_000, number, model=SMALL))]
    path = saved(tmp_path, "long", submitted("z" * 200_000), *talk, at=10.0)
    assert path.stat().st_size > 1_500_000
    assert list_sessions(tmp_path) == [SessionInfo("long", path, str(APP), "z" * 119 + "…", SMALL.resolved, 10.0 + 122, None)]


def test_files_that_are_no_sessions_do_not_spoil_a_list(tmp_path: Path) -> None:
    path = saved(tmp_path, "good", submitted("hi"))
    (path.parent / "empty.jsonl").write_bytes(b"")
    (path.parent / "noise.jsonl").write_bytes(b"\0\xff\n" * 100)
    (path.parent / "notes.txt").write_text("no")
    (path.parent / "folder.jsonl").mkdir()
    (tmp_path / "stray.jsonl").write_text("no")
    assert [info.id for info in list_sessions(tmp_path)] == ["good"]
    assert list_sessions(tmp_path / "nowhere") == []


def test_a_torn_session_is_listed_by_what_is_whole(tmp_path: Path) -> None:
    path = saved(tmp_path, "torn", submitted("hi"), answered("there"))
    path.write_bytes(path.read_bytes()[:-10])
    assert [(info.id, info.title, info.updated_at) for info in list_sessions(tmp_path)] == [("torn", "hi", 102.0)]


# --- finding ---


def test_a_session_is_found_by_its_id_or_by_a_beginning_that_only_it_has(tmp_path: Path) -> None:
    one = saved(tmp_path, "abc-1")
    other = saved(tmp_path, "abd-2", cwd=OTHER)
    assert find(tmp_path, "abc-1") == one
    assert find(tmp_path, "abd") == other


def test_an_exact_id_wins_over_those_it_begins(tmp_path: Path) -> None:
    one = saved(tmp_path, "abc")
    saved(tmp_path, "abc-1")
    assert find(tmp_path, "abc") == one


def test_a_beginning_of_several_ids_names_them(tmp_path: Path) -> None:
    for name in ("abc-1", "abc-2", "abc-3", "abc-4"):
        saved(tmp_path, name)
    with pytest.raises(SessionError) as caught:
        find(tmp_path, "abc")
    assert caught.value.line() == "'abc' begins 4 session ids: abc-1, abc-2, abc-3 and 1 more. Give more of the id."


def test_an_unknown_id_names_the_nearest_and_how_to_list_them(tmp_path: Path) -> None:
    saved(tmp_path, "3f2a9c")
    with pytest.raises(SessionNotFound) as caught:
        find(tmp_path, "3f2b9c")
    assert caught.value.line() == "no session '3f2b9c'; nearest: 3f2a9c. List them with: agentcli sessions"
    with pytest.raises(SessionNotFound) as caught:
        find(tmp_path, "")
    assert caught.value.line() == "no session ''. List them with: agentcli sessions"


def test_the_latest_of_a_folder_is_the_one_written_last_there(tmp_path: Path) -> None:
    saved(tmp_path, "a", at=100.0)
    saved(tmp_path, "b", at=300.0)
    saved(tmp_path, "c", at=900.0, cwd=OTHER)
    (project_folder(tmp_path, APP) / "newer-but-empty.jsonl").write_bytes(b"")
    assert latest(tmp_path, APP).id == "b"
    with pytest.raises(SessionNotFound) as caught:
        latest(tmp_path, Path("/new"))
    assert caught.value.line() == "no session in /new yet. List those of all folders with: agentcli sessions"


# --- copies and removal ---


def test_a_fork_begins_with_the_same_events_under_its_own_id_and_leaves_the_first_alone(tmp_path: Path) -> None:
    path = saved(tmp_path, "first", submitted("hi"), answered("there"))
    before = path.read_bytes()
    with SessionFile.open(path), fork(load(path).envelopes, path.parent, "second") as copy:
        copy.append(Envelope(4, 1.0, "second", "main", submitted("more")))
    assert path.read_bytes() == before
    events = [envelope.event for envelope in load(path).envelopes]
    assert load(copy.path).envelopes == tuple(
        Envelope(seq, at, "second", "main", event)
        for seq, (at, event) in enumerate([(101.0, events[0]), (102.0, events[1]), (103.0, events[2]), (1.0, submitted("more"))], start=1)
    )


def test_removing_a_session_deletes_its_file_unless_it_is_open(tmp_path: Path) -> None:
    path = saved(tmp_path, "s-1")
    with SessionFile.open(path):
        with pytest.raises(SessionError, match="open already, here or in another process"):
            remove(path)
        assert path.exists()
    remove(path)
    assert not path.exists()
    with pytest.raises(SessionNotFound):
        remove(path)

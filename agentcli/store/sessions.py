"""The sessions on disk: `<root>/<project>/<session id>.jsonl`. Reading, listing, finding, copying and removing them.

The store gives events back as they were written. It looks into them only for the heads of a list; what they mean is the engine's business.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from agentcli.protocol.errors import SessionError, SessionNotFound
from agentcli.protocol.events import (
    CallStarted,
    Envelope,
    ModelChanged,
    Renamed,
    Replied,
    SessionStarted,
    UserSubmitted,
    decode,
)
from agentcli.protocol.names import nearest
from agentcli.store.files import SUFFIX, SessionFile, storage_errors

MAIN = "main"
HEAD_LINES = 20
TAIL_BYTES = 64 * 1024
COUNTED_BYTES = 1024 * 1024
"""Up to this size a listing reads a whole file to count its turns: a fraction of a millisecond each."""
TITLE_LENGTH = 120
SUBMITTED = b'"agent_id":"main","event":{"type":"user_submitted"'
"""How a line of a user's message in the main agent begins its event, as it is written."""
PREFIX_BYTES = 320
"""Within these a line has said whose event it is: seq, time and ids come first."""


class Loaded(Struct, frozen=True):
    """A session's file as read. `problems` names each line that is no event; `unknown` counts events of another version."""

    envelopes: tuple[Envelope, ...]
    problems: tuple[str, ...] = ()
    unknown: int = 0
    torn: bool = False
    """Whether the last line was cut off in the middle; it is left out."""

    @property
    def last_seq(self) -> int:
        return max((envelope.seq for envelope in self.envelopes), default=0)


class SessionInfo(Struct, frozen=True):
    """A line of a list of sessions. `updated_at` is Unix time in seconds; `turns` counts the person's messages, None in a file too
    long to count them quickly."""

    id: str
    path: Path
    cwd: str
    title: str
    model: str
    updated_at: float
    turns: int | None


def project_folder(root: Path, cwd: Path) -> Path:
    """Where the sessions of a working directory live below `root`: a readable name and a hash that keeps two such names apart."""
    text = str(cwd)
    words = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[-60:].strip("-")
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return root / (f"{words}-{digest}" if words else digest)


def load(path: Path) -> Loaded:
    """Reads a session. A torn last line is left out, an unknown event skipped, a line that is no event reported.

    Raises:
        SessionNotFound: no such file.
        StorageError: the file cannot be read.
    """
    with storage_errors(path, "read"):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise SessionNotFound(f"no session file {path}.", hint="List them with: agentcli sessions") from None
    lines = data.split(b"\n")
    tail = lines.pop()
    found = [parse(line) for line in lines]
    last = parse(tail)
    if isinstance(last, Envelope):
        found.append(last)
    problems = [f"{path}:{number}: no event, left out ({part})." for number, part in enumerate(found, start=1) if isinstance(part, str) and part]
    return Loaded(
        envelopes=tuple(part for part in found if isinstance(part, Envelope)),
        problems=tuple(problems),
        unknown=sum(part is None for part in found),
        torn=isinstance(last, str) and last != "",
    )


def list_sessions(root: Path, cwd: Path | None = None) -> list[SessionInfo]:
    """Sessions of one working directory, or of all, the latest first. Reads heads and tails only.

    Raises:
        StorageError: a folder cannot be read.
    """
    infos = [info for path in paths(root, cwd) if (info := info_of(path)) is not None]
    return sorted(infos, key=lambda info: info.updated_at, reverse=True)


def find(root: Path, wanted: str) -> Path:
    """The file of a session by its id, or by the beginning of it.

    Raises:
        SessionNotFound: there is none.
        SessionError: several begin like that.
    """
    by_id = {path.name.removesuffix(SUFFIX): path for path in paths(root)}
    if wanted in by_id:
        return by_id[wanted]
    near = sorted(name for name in by_id if wanted and name.startswith(wanted))
    if len(near) == 1:
        return by_id[near[0]]
    if near:
        more = f" and {len(near) - 3} more" if len(near) > 3 else ""
        raise SessionError(f"'{wanted}' begins {len(near)} session ids: {', '.join(near[:3])}{more}.", hint="Give more of the id.")
    alike = nearest(wanted, by_id, cutoff=0.5)
    close = f"; nearest: {', '.join(alike)}" if alike else ""
    raise SessionNotFound(f"no session '{wanted}'{close}.", hint="List them with: agentcli sessions")


def latest(root: Path, cwd: Path) -> SessionInfo:
    """The session of this working directory that was written last.

    Raises:
        SessionNotFound: there is none.
    """
    newest_first = sorted(paths(root, cwd), key=lambda path: modified_at(path), reverse=True)
    for path in newest_first:
        if (info := info_of(path)) is not None:
            return info
    raise SessionNotFound(f"no session in {cwd} yet.", hint="List those of all folders with: agentcli sessions")


def fork(source: Sequence[Envelope], folder: Path, session_id: str) -> SessionFile:
    """A new session that begins with another's events, open for appending.

    Raises:
        SessionError: a session of that id exists.
        StorageError: the copy cannot be written; nothing is left of it.
    """
    file = SessionFile.create(folder, session_id)
    try:
        for envelope in source:
            file.append(msgspec.structs.replace(envelope, session_id=session_id))
        file.sync()
    except BaseException:
        file.path.unlink(missing_ok=True)
        file.close()
        raise
    return file


def remove(path: Path) -> None:
    """Deletes a session's file.

    Raises:
        SessionNotFound: no such file.
        SessionError: a process has it open.
        StorageError: it cannot be deleted.
    """
    with storage_errors(path, "remove"), SessionFile.open(path):
        path.unlink()


def paths(root: Path, cwd: Path | None = None) -> list[Path]:
    """The session files of one project, or of all."""
    with storage_errors(root, "read"):
        folders = [project_folder(root, cwd)] if cwd is not None else subfolders(root)
        return [path for folder in folders for path in session_files(folder)]


def subfolders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


def session_files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name.endswith(SUFFIX) and entry.is_file())
    except FileNotFoundError:
        return []


def modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def info_of(path: Path) -> SessionInfo | None:
    """The head of one session; None where the file holds no session (empty, foreign, gone meanwhile)."""
    try:
        head = list(head_of(path))
        last, tail, turns = tail_of(path)
    except OSError:
        return None
    started = next((part.event for part in head if isinstance(part.event, SessionStarted)), None)
    if started is None:
        return None
    return SessionInfo(
        id=path.name.removesuffix(SUFFIX),
        path=path,
        cwd=started.cwd,
        title=given_title([*head, *tail]) or title_of(head),
        model=model_of([*head, *tail]),
        updated_at=last or modified_at(path),
        turns=turns,
    )


def head_of(path: Path) -> Iterator[Envelope]:
    """The main agent's first events, up to the first message of the person; a long message makes a long line, read only here."""
    with path.open("rb") as file:
        for line in islice(file, HEAD_LINES):
            envelope = parse(line.rstrip(b"\n"))
            if not isinstance(envelope, Envelope) or envelope.agent_id != MAIN:
                continue
            yield envelope
            if is_from_person(envelope):
                return


def tail_of(path: Path) -> tuple[float, list[Envelope], int | None]:
    """The time of the last event, the main agent's events near the end, and the count of the person's messages."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        counted = size <= COUNTED_BYTES
        start = 0 if counted else size - TAIL_BYTES
        file.seek(start)
        data = file.read()
    near_end = data[-TAIL_BYTES:]
    lines = near_end.split(b"\n")[0 if len(near_end) == size else 1 :]
    found = [part for line in lines if isinstance(part := parse(line), Envelope)]
    last = found[-1].at if found else 0.0
    return last, [part for part in found if part.agent_id == MAIN], turns_in(data) if counted else None


def turns_in(data: bytes) -> int:
    """How often the person spoke. Only lines that begin like a message of the main agent are decoded."""
    submitted = (parse(line) for line in data.split(b"\n") if line.find(SUBMITTED, 0, PREFIX_BYTES) != -1)
    return sum(isinstance(part, Envelope) and is_from_person(part) for part in submitted)


def is_from_person(envelope: Envelope) -> bool:
    return isinstance(envelope.event, UserSubmitted) and envelope.event.message.origin in ("person", "stdin")


def given_title(envelopes: Sequence[Envelope]) -> str:
    """The title that the person gave, the last one."""
    titles = [part.event.title for part in envelopes if isinstance(part.event, SessionStarted | Renamed) and part.event.title]
    return titles[-1] if titles else ""


def title_of(head: Sequence[Envelope]) -> str:
    """The person's first words, on one line."""
    for envelope in head:
        if isinstance(envelope.event, UserSubmitted) and is_from_person(envelope):
            words = " ".join(envelope.event.message.text()[: TITLE_LENGTH * 4].split())
            return words if len(words) <= TITLE_LENGTH else f"{words[: TITLE_LENGTH - 1]}…"
    return ""


def model_of(envelopes: Sequence[Envelope]) -> str:
    """The model that is next asked: an answer that was under way when it was switched is of the old one."""
    answered = ""
    for envelope in reversed(envelopes):
        match envelope.event:
            case ModelChanged(model=model) | CallStarted(model=model):
                return model.resolved
            case Replied(model=model):
                answered = answered or model.resolved
            case SessionStarted(model=model):
                return answered or model.resolved
    return answered


def parse(line: bytes) -> Envelope | str | None:
    """An envelope, None for an unknown event, or why it is neither ("" for an empty line)."""
    if not line.strip(b" \t\r"):
        return ""
    try:
        return decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return " ".join(str(error).split()) or "unreadable"


__all__ = [
    "Loaded",
    "SessionInfo",
    "find",
    "fork",
    "latest",
    "list_sessions",
    "load",
    "project_folder",
    "remove",
]

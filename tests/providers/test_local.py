"""The local wire: what it offers, its refusals, and (with the real weights) answers from a child process that never outlives us."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import httpx
import psutil
import pytest
from support.alive import runs, still_running

from agentcli.protocol.errors import ProviderError, RequestRejected
from agentcli.protocol.messages import user_text
from agentcli.protocol.models import Cost, ModelSpec, Profile, ProviderSpec
from agentcli.providers import local
from agentcli.providers.base import Merge, ModelRequest, StopPart, TextPart
from agentcli.providers.local import LocalProvider, local_models

SPEC = ProviderSpec("local", "local", remote=False)
SMALL = "qwen2.5-coder-0.5b"
FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m"
Found = Callable[[str], Path]
SLOW = pytest.mark.timeout(300)
"""Seconds each when the machine is theirs; a busy one reads ten times slower."""


def request(text: str, model: ModelSpec | None = None, **more: object) -> ModelRequest:
    return ModelRequest(model=model or local_models()[0], messages=(user_text(text),), **more)  # type: ignore[arg-type]


async def answer(provider: LocalProvider, asked: ModelRequest) -> Merge:
    merge = Merge("local")
    async with aclosing(provider.stream(asked)) as parts:
        async for part in parts:
            merge.feed(part)
    return merge


def children() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True) if "local_child" in " ".join(child.cmdline())]


def refused(model: ModelSpec) -> ProviderError:
    async def scene() -> None:
        provider = LocalProvider(SPEC)
        try:
            await answer(provider, request("hi", model))
        finally:
            await provider.aclose()

    with pytest.raises(ProviderError) as caught:
        asyncio.run(scene())
    return caught.value


def test_the_models_offered_are_small_free_and_the_default_comes_first() -> None:
    tools = ("read", "ls", "glob", "grep", "bash", "write", "edit", "task")
    assert local_models() == tuple(
        ModelSpec(
            "local",
            f"qwen2.5-coder-{size}",
            "local",
            f"Qwen2.5 Coder {size.upper()} (local)",
            context=8192,
            output=2048,
            cost=Cost(0, 0),
            profile=Profile("small", tools),
        )
        for size in ("0.5b", "1.5b")
    )
    assert local.ALIASES == {"local/qwen": "local/qwen2.5-coder-0.5b"}


def test_weights_that_are_not_here_are_refused_with_the_command_that_fetches_them() -> None:
    error = refused(local_models()[0])
    assert type(error) is RequestRejected
    assert error.line() == f"the weights of {SMALL} are not on this machine. Fetch them with: agentcli local pull {SMALL}"


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    error = refused(ModelSpec("local", "mine", "local", path=str(tmp_path / "mine.gguf")))
    assert error.line() == f"the weights of local/mine are not there: {tmp_path}/mine.gguf is no file. Check the model's path."


def test_a_name_that_the_catalogue_lacks_needs_a_path() -> None:
    assert 'Give its file: models "…" { path = "….gguf" }' in refused(ModelSpec("local", "mine", "local")).hint


def test_a_file_that_is_no_gguf_is_refused_and_leaves_no_process(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    error = refused(ModelSpec("local", "bad", "local", path=str(tmp_path / "bad.gguf")))
    assert type(error) is RequestRejected
    assert error.message.startswith("local: bad.gguf cannot be used: RuntimeError: ")
    assert children() == []


def test_nothing_of_the_runtime_is_imported_here() -> None:
    script = "import sys, agentcli.providers.local; print([name for name in ('xllamacpp', 'httpx', 'zipfile') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


@SLOW
@pytest.mark.local
def test_an_answer_names_the_weights_that_gave_it_and_counts_tokens(real_weights: Found) -> None:
    real_weights(SMALL)

    async def scene() -> tuple[Merge, Merge]:
        provider = LocalProvider(SPEC)
        try:
            asked = request("Say the word blue and nothing else.", max_tokens=20)
            return await answer(provider, asked), await answer(provider, asked)
        finally:
            await provider.aclose()

    first, second = asyncio.run(scene())
    assert "blue" in first.message().text().lower()
    assert (first.stop, first.served) == ("end", FILE)
    assert first.usage.prompt > 20
    assert first.usage.output > 0
    assert second.usage.cache_read > second.usage.input
    assert children() == []


@SLOW
@pytest.mark.local
def test_an_answer_keeps_to_a_schema(real_weights: Found) -> None:
    real_weights(SMALL)
    schema: dict[str, object] = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}

    async def scene() -> str:
        provider = LocalProvider(SPEC)
        try:
            return (await answer(provider, request("What colour is grass?", schema=schema, max_tokens=40))).message().text()
        finally:
            await provider.aclose()

    assert "".join(asyncio.run(scene()).split()) in ('{"colour":"green"}', '{"colour":"red"}')


@SLOW
@pytest.mark.local
def test_four_at_once_share_one_child_and_all_are_answered(real_weights: Found) -> None:
    real_weights(SMALL)

    async def scene() -> tuple[list[Merge], list[int]]:
        provider = LocalProvider(SPEC)
        try:
            answers = await asyncio.gather(*(answer(provider, request(f"Say the number {n}.", max_tokens=12)) for n in range(5)))
            return list(answers), children()
        finally:
            await provider.aclose()

    answers, pids = asyncio.run(scene())
    assert [str(n) in one.message().text() for n, one in enumerate(answers)] == [True] * 5
    assert len(pids) == 1
    assert children() == []


@SLOW
@pytest.mark.local
def test_two_weights_files_are_served_side_by_side_each_by_its_own_child(real_weights: Found, tmp_path: Path) -> None:
    link = tmp_path / "other.gguf"
    try:
        link.hardlink_to(real_weights(SMALL))
    except OSError:
        pytest.skip("the weights are on another disk than the temporary folder: no hard link")
    other = ModelSpec("local", "other", "local", path=str(link), context=2048)

    async def scene() -> tuple[list[str | None], int]:
        provider = LocalProvider(SPEC)
        try:
            both = await asyncio.gather(answer(provider, request("Hi", max_tokens=3)), answer(provider, request("Hi", other, max_tokens=3)))
            return [one.served for one in both], len(children())
        finally:
            await provider.aclose()

    assert asyncio.run(scene()) == ([FILE, "other"], 2)


@SLOW
@pytest.mark.local
def test_closing_the_stream_stops_the_generation_and_the_child_goes_on_serving(real_weights: Found) -> None:
    real_weights(SMALL)

    async def scene() -> tuple[float, str]:
        provider = LocalProvider(SPEC)
        try:
            async with aclosing(provider.stream(request("Count from 1 to 500.", max_tokens=1500))) as parts:
                async for part in parts:
                    if isinstance(part, TextPart):
                        break
            [pid] = children()
            busy = await _busy_after(pid)
            return busy, (await answer(provider, request("Say yes.", max_tokens=5))).message().text()
        finally:
            await provider.aclose()

    busy, text = asyncio.run(scene())
    assert busy < 0.2
    assert text


async def _busy_after(pid: int) -> float:
    """CPU seconds that a process uses in half a second, once it had two to come to rest."""
    process, over = psutil.Process(pid), time.monotonic() + 2
    while True:
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(0.5)
        used = sum(process.cpu_times()[:2]) - before
        if used < 0.2 or time.monotonic() > over:
            return float(used)


@SLOW
@pytest.mark.local
def test_a_child_that_was_killed_breaks_its_answer_and_is_started_again_by_the_next_call(real_weights: Found) -> None:
    real_weights(SMALL)

    async def scene() -> tuple[ProviderError, Merge]:
        provider = LocalProvider(SPEC)
        try:
            with pytest.raises(ProviderError) as caught:
                async with aclosing(provider.stream(request("Count from 1 to 500.", max_tokens=1500))) as parts:
                    async for part in parts:
                        if isinstance(part, TextPart):
                            for pid in children():
                                os.kill(pid, signal.SIGKILL)
            return caught.value, await answer(provider, request("Say yes.", max_tokens=5))
        finally:
            await provider.aclose()

    error, again = asyncio.run(scene())
    assert error.retryable
    assert again.served == FILE


@SLOW
@pytest.mark.local
def test_no_child_outlives_a_parent_that_was_killed(real_weights: Found) -> None:
    real_weights(SMALL)
    script = """
        import asyncio, psutil
        from agentcli.protocol.messages import user_text
        from agentcli.protocol.models import ProviderSpec
        from agentcli.providers.base import ModelRequest
        from agentcli.providers.local import LocalProvider, local_models

        async def main():
            provider = LocalProvider(ProviderSpec("local", "local", remote=False))
            request = ModelRequest(model=local_models()[0], messages=(user_text("Count from 1 to 500."),), max_tokens=1500)
            async for _ in provider.stream(request):
                print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
        asyncio.run(main())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert any(runs(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert still_running(pids) == []


@SLOW
@pytest.mark.local
def test_the_childs_port_wants_the_key_and_lets_no_web_page_in(real_weights: Found) -> None:
    real_weights(SMALL)

    async def scene() -> tuple[int, str | None, bool]:
        provider = LocalProvider(SPEC)
        try:
            await answer(provider, request("Hi", max_tokens=2))
            [pid] = children()
            [port] = [one.laddr.port for one in psutil.Process(pid).net_connections() if one.status == psutil.CONN_LISTEN]
            hosts = {one.laddr.ip for one in psutil.Process(pid).net_connections() if one.status == psutil.CONN_LISTEN}
            async with httpx.AsyncClient() as client:
                url = f"http://127.0.0.1:{port}/v1/chat/completions"
                reply = await client.post(url, json={"messages": []}, headers={"origin": "http://evil.example"})
            return reply.status_code, reply.headers.get("access-control-allow-origin") or None, hosts == {"127.0.0.1"}
        finally:
            await provider.aclose()

    assert asyncio.run(scene()) == (401, None, True)


@SLOW
@pytest.mark.local
def test_a_stream_ends_with_its_stop_part_and_says_when_it_was_cut_by_its_limit(real_weights: Found) -> None:
    real_weights(SMALL)

    async def scene() -> list[object]:
        provider = LocalProvider(SPEC)
        try:
            return [part async for part in provider.stream(request("Count from 1 to 500.", max_tokens=5))]
        finally:
            await provider.aclose()

    assert asyncio.run(scene())[-1] == StopPart("length")

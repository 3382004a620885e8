"""Standard input as it really comes: pipes, sockets, files, terminals, devices."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from agentcli.protocol.errors import UsageError
from agentcli.protocol.messages import Image, Text, UserMessage
from agentcli.ui import stdin as subject
from agentcli.ui.stdin import Prompt

NOTHING_CAME = "nothing came in on stdin within 0.05 s: going on without it. To wait for it, add a - after the prompt."


def read_prompt(argument: str, stdin: TextIO | None, **options: Any) -> Prompt:
    return asyncio.run(subject.read_prompt(argument, stdin, **options))


def read_messages(stdin: TextIO | None, notice: Callable[[str], None], **options: Any) -> list[UserMessage]:
    async def collect() -> list[UserMessage]:
        return [message async for message in subject.read_messages(stdin, notice, **options)]

    return asyncio.run(collect())


@contextmanager
def piped(*pieces: bytes, close: bool = True, pause_s: float = 0.0) -> Iterator[TextIO]:
    """A pipe into which another thread writes; not closed, it stays open until the block ends."""
    read, write = os.pipe()
    stop = threading.Event()

    def feed() -> None:
        for piece in pieces:
            stop.wait(pause_s)
            os.write(write, piece)
        if not close:
            stop.wait()
        os.close(write)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with os.fdopen(read) as stream:
            yield stream
            stop.set()
    finally:
        stop.set()
        thread.join()


@contextmanager
def terminal(typed: bytes = b"") -> Iterator[TextIO]:
    master, slave = pty.openpty()
    os.write(master, typed)
    with os.fdopen(slave) as stream:
        yield stream
    os.close(master)


# --- the prompt ---


def test_a_terminal_is_not_read() -> None:
    with terminal(b"typed ahead\n") as stdin:
        assert read_prompt("say hi", stdin) == Prompt("say hi")
        assert read_prompt("", stdin) == Prompt("")


def test_a_dash_reads_a_terminal_to_its_end() -> None:
    with terminal(b"hello\n\x04") as stdin:
        assert read_prompt("-", stdin) == Prompt("hello", piped=True)


def test_piped_text_alone_is_the_prompt() -> None:
    with piped(b"What is ", b"this?\n") as stdin:
        assert read_prompt("", stdin) == Prompt("What is this?", piped=True)
    with piped(b"What is this?\r\n") as stdin:
        assert read_prompt("-", stdin) == Prompt("What is this?", piped=True)


def test_with_a_prompt_piped_text_is_appended_between_tags() -> None:
    with piped(b"line 1\n  line 2\n\n") as stdin:
        assert read_prompt("Sum up.", stdin) == Prompt("Sum up.\n\n<stdin>\nline 1\n  line 2\n</stdin>")


def test_nothing_or_blanks_piped_changes_nothing() -> None:
    for data in (b"", b" \n\n"):
        with piped(data) as stdin:
            assert read_prompt("Sum up.", stdin) == Prompt("Sum up.")
        with piped(data) as stdin:
            assert read_prompt("", stdin) == Prompt("")


def test_a_pipe_that_never_sends_a_byte_does_not_hang_a_run_that_has_a_prompt() -> None:
    with piped(close=False) as stdin:
        began = time.monotonic()
        assert read_prompt("Sum up.", stdin, first_byte_s=0.05) == Prompt("Sum up.", notices=(NOTHING_CAME,))
        assert time.monotonic() - began < 2


def test_a_socket_that_never_sends_a_byte_does_not_either() -> None:
    one, other = socket.socketpair()
    with one, other, os.fdopen(os.dup(one.fileno())) as stdin:
        assert read_prompt("Sum up.", stdin, first_byte_s=0.05).notices == (NOTHING_CAME,)
        other.sendall(b"late")
        other.shutdown(socket.SHUT_WR)
        assert read_prompt("Sum up.", stdin, first_byte_s=5) == Prompt("Sum up.\n\n<stdin>\nlate\n</stdin>")


def test_once_data_has_started_it_is_read_to_its_end_however_slowly_it_comes() -> None:
    with piped(b"a", b"b", b"c", pause_s=0.15) as stdin:
        assert read_prompt("p", stdin, first_byte_s=1.0) == Prompt("p\n\n<stdin>\nabc\n</stdin>")


def test_a_dash_beside_a_prompt_waits_as_long_as_it_takes() -> None:
    with piped(b"slow", pause_s=0.2) as stdin:
        assert read_prompt("p", stdin, wait=True, first_byte_s=0.01) == Prompt("p\n\n<stdin>\nslow\n</stdin>")


def test_a_file_is_read_whole_and_dev_null_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_text("x" * 200_000)
    with path.open() as stdin:
        assert read_prompt("p", stdin, first_byte_s=0) == Prompt(f"p\n\n<stdin>\n{'x' * 200_000}\n</stdin>")
    with Path("/dev/null").open() as stdin:
        assert read_prompt("p", stdin, first_byte_s=0) == Prompt("p")
        assert read_prompt("", stdin) == Prompt("")


def test_a_non_blocking_pipe_is_waited_for() -> None:
    with piped(b"a", b"b", pause_s=0.1) as stdin:
        os.set_blocking(stdin.fileno(), False)
        assert read_prompt("", stdin) == Prompt("ab", piped=True)


def test_standard_input_that_is_closed_is_nothing() -> None:
    assert read_prompt("p", None) == Prompt("p")
    with Path("/dev/null").open() as stdin:
        pass
    assert read_prompt("p", stdin) == Prompt("p")


def test_a_folder_as_standard_input_is_told_in_one_line(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(UsageError) as caught, FolderStream(descriptor) as stdin:
        read_prompt("p", stdin, first_byte_s=0)
    assert caught.value.line() == "cannot read stdin: Is a directory. Run with </dev/null to go on without it."


class FolderStream:
    """`open` refuses a folder; a shell's `<folder` does not."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor

    def __enter__(self) -> TextIO:
        return self  # type: ignore[return-value]

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def test_too_much_input_is_refused_with_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(b"x" * 10_000_001)
    with pytest.raises(UsageError) as caught, path.open() as stdin:
        read_prompt("p", stdin)
    assert caught.value.line() == ("more than 10 MB on stdin: no model takes that much. Write it to a file and name the file in the prompt.")
    path.write_bytes(b"x" * 10_000_000)
    with path.open() as stdin:
        assert len(read_prompt("", stdin).text) == 10_000_000


@pytest.mark.parametrize(
    ("data", "text", "notices"),
    [
        ("größer 日本 👋".encode(), "größer 日本 👋", ()),
        (b"\xef\xbb\xbfwith a mark", "with a mark", ()),
        ("wide ü".encode("utf-16"), "wide ü", ()),
        (b"caf\xe9 au lait", "caf\ufffd au lait", ("stdin is not UTF-8 (byte 3): what could not be read was replaced.",)),
        (b"a\x00b", "a\x00b", ()),
    ],
)
def test_input_is_utf8_whatever_the_locale_and_what_is_not_is_replaced_with_a_notice(data: bytes, text: str, notices: tuple[str, ...]) -> None:
    with piped(data) as stdin:
        assert read_prompt("", stdin) == Prompt(text, piped=True, notices=notices)


# --- stream-json ---


def messages(data: bytes) -> tuple[list[UserMessage], list[str]]:
    notices: list[str] = []
    with piped(data) as stdin:
        return read_messages(stdin, notices.append), notices


def test_each_line_is_a_user_message_of_text_or_of_blocks() -> None:
    data = (
        '{"type":"user","message":{"role":"user","content":"one"}}\n\n'
        '{"type":"user","session_id":"x","parent_tool_use_id":null,"message":{"role":"user","content":['
        '{"type":"text","text":"two"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]}}\r\n'
        '{"type":"user","message":{"content":"drei\u2028ü"}}'
    ).encode()
    assert messages(data) == (
        [
            UserMessage((Text("one"),)),
            UserMessage((Text("two"), Image("image/png", "aGk="))),
            UserMessage((Text("drei\u2028ü"),)),
        ],
        [],
    )


def test_a_message_is_there_as_soon_as_its_line_is() -> None:
    async def first() -> UserMessage:
        async with aclosing(subject.read_messages(stdin, print)) as messages:
            return await anext(messages)

    with piped(b'{"type":"user","message":{"content":"one"}}\n{"type":"us', close=False) as stdin:
        assert asyncio.run(first()) == UserMessage((Text("one"),))


def test_a_wait_for_input_ends_when_it_is_cancelled() -> None:
    async def cancelled() -> bool:
        waiting = asyncio.create_task(subject.read_prompt("-", stdin))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    with piped(b"begun", close=False) as stdin:
        assert asyncio.run(cancelled())


def test_a_line_of_another_type_is_passed_over_with_a_notice() -> None:
    data = b'{"type":"control_request","request":{}}\n{"type":"user","message":{"content":"one"}}\n'
    assert messages(data) == (
        [UserMessage((Text("one"),))],
        ["stdin, line 1: type 'control_request' is passed over; only user messages are read."],
    )


@pytest.mark.parametrize(
    "line",
    [
        b"hello", b"[]", b'{"type":1}', b'{"type":"user"}', b'{"type":"user","message":"x"}', b'{"type":"user","message":{"content":""}}',
        b'{"type":"user","message":{"content":[]}}', b'{"type":"user","message":{"role":"assistant","content":"x"}}',
        b'{"type":"user","message":{"content":[{"type":"document","text":"x"}]}}', b'{"type":"user","message":{"content":"\xff"}}',
        b'{"type":"user","message":{"content":[{"type":"image","source":{"type":"url","data":"x"}}]}}', b"[" * 5000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_user_message_is_refused_by_its_number(line: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        messages(b'{"type":"user","message":{"content":"one"}}\n' + line + b"\n")
    assert caught.value.line().startswith("stdin, line 2: no user message (")
    assert caught.value.line().endswith('). One JSON object a line: {"type":"user","message":{"role":"user","content":"…"}}')


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(UsageError, match=r"stdin, line 2: longer than 0\.1 MB"), piped(b"\n", b"x" * 60_000, b"x" * 60_000) as stdin:
        read_messages(stdin, print, most_bytes=100_000)


def test_no_input_is_no_message() -> None:
    assert messages(b"") == ([], [])
    assert read_messages(None, print) == []

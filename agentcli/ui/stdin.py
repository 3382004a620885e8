"""What is piped into a run: when standard input is read, how long it is waited for, and what becomes of it.

A terminal is not read; an open pipe that never sends a byte does not hang a run that has a prompt; `-` waits for the end of the input.
All waiting is the event loop's, so that a signal ends it at once.
"""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TextIO

import msgspec
from msgspec import Struct

from agentcli.protocol.errors import UsageError
from agentcli.protocol.messages import Image, Text, UserMessage

MOST_BYTES = 10_000_000
"""More than any model's context holds (a million tokens are some 4 MB of text), small enough for memory."""
FIRST_BYTE_S = 3.0
"""How long a pipe may take for its first byte when there is a prompt: a command that works before it prints is still heard, a pipe that a
parent left open delays the run by no more than this."""
PIECE = 65_536


class Prompt(Struct, frozen=True):
    """The message of a run: `piped` where all of it came from standard input. `notices` are for the person, a line each."""

    text: str
    piped: bool = False
    notices: tuple[str, ...] = ()


async def read_prompt(
    argument: str, stdin: TextIO | None, *, wait: bool = False, first_byte_s: float = FIRST_BYTE_S, most_bytes: int = MOST_BYTES
) -> Prompt:
    """The prompt of an argument and of what is piped in: either, or the argument with the input as `<stdin>…</stdin>` after it.

    `argument` "" is no prompt. An argument of "-", or `wait` (a "-" beside a prompt), reads the input to its end, a terminal too. The text
    is "" where there is neither.

    Raises:
        UsageError: the input is larger than `most_bytes`, or cannot be read.
    """
    forced = wait or argument == "-"
    prompt = "" if argument == "-" else argument
    descriptor = descriptor_of(stdin)
    if descriptor is None or (os.isatty(descriptor) and not forced):
        return Prompt(prompt)
    if prompt.strip() and not forced and not await arrives(descriptor, first_byte_s):
        waited = f"nothing came in on stdin within {first_byte_s:g} s: going on without it. To wait for it, add a - after the prompt."
        return Prompt(prompt, notices=(waited,))
    text, notices = decoded(await read_all(descriptor, most_bytes))
    if not text.strip():
        return Prompt(prompt, notices=notices)
    if not prompt.strip():
        return Prompt(text.rstrip("\r\n"), piped=True, notices=notices)
    return Prompt(f"{prompt}\n\n<stdin>\n{text.rstrip()}\n</stdin>", notices=notices)


async def read_messages(stdin: TextIO | None, notice: Callable[[str], None], *, most_bytes: int = MOST_BYTES) -> AsyncGenerator[UserMessage, None]:
    """The user messages of `--input-format stream-json`, one a line, each as soon as its line is there.

    A line of another type is passed over with a notice.

    Raises:
        UsageError: a line that is no JSON object or no user message, or is longer than `most_bytes`; names the line.
    """
    descriptor = descriptor_of(stdin)
    if descriptor is None:
        return
    number = 0
    async with aclosing(lines_of(descriptor, most_bytes)) as lines:
        async for line in lines:
            number += 1
            message = message_of(line, number, notice) if line.strip() else None
            if message is not None:
                yield message


# --- bytes ---


def descriptor_of(stdin: TextIO | None) -> int | None:
    """None where standard input is closed."""
    if stdin is None:
        return None
    try:
        descriptor = stdin.fileno()
        os.fstat(descriptor)
    except (OSError, ValueError):
        return None
    return descriptor


async def arrives(descriptor: int, first_byte_s: float) -> bool:
    """Whether there is something to read, or an end, within that time."""
    try:
        async with asyncio.timeout(first_byte_s):
            await readable(descriptor)
    except TimeoutError:
        return False
    return True


async def readable(descriptor: int) -> None:
    """Waits until a read will not. Files and devices that cannot be watched never wait."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except OSError:
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def read_all(descriptor: int, most_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await read_piece(descriptor):
        size += len(piece)
        if size > most_bytes:
            raise UsageError(
                f"more than {most_bytes / 1_000_000:g} MB on stdin: no model takes that much.",
                hint="Write it to a file and name the file in the prompt.",
            )
        pieces.append(piece)
    return b"".join(pieces)


async def read_piece(descriptor: int) -> bytes:
    """The next bytes, b"" at the end."""
    while True:
        await readable(descriptor)
        try:
            return os.read(descriptor, PIECE)
        except BlockingIOError:
            continue
        except OSError as error:
            raise UsageError(f"cannot read stdin: {error.strerror}.", hint="Run with </dev/null to go on without it.") from error


async def lines_of(descriptor: int, most_bytes: int) -> AsyncGenerator[bytes, None]:
    """Lines as they come, cut at LF only; the last needs none."""
    pending: list[bytes] = []
    size, number = 0, 1
    while piece := await read_piece(descriptor):
        first, *others = piece.split(b"\n")
        pending.append(first)
        for other in others:
            yield b"".join(pending)
            pending, size, number = [other], 0, number + 1
        size += len(pending[-1])
        if size > most_bytes:
            raise UsageError(f"stdin, line {number}: longer than {most_bytes / 1_000_000:g} MB.", hint="Send less in one message.")
    yield b"".join(pending)


def decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    """UTF-8, or UTF-16 where a byte order mark says so; bytes that are neither become U+FFFD, and a notice says so."""
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError as error:
        notice = f"stdin is not UTF-8 (byte {error.start}): what could not be read was replaced."
        return data.decode(encoding, "replace"), (notice,)


# --- messages ---


class _Source(Struct):
    type: str = ""
    media_type: str = ""
    data: str = ""


class _Block(Struct):
    type: str
    text: str = ""
    source: _Source | None = None


class _Message(Struct):
    content: str | list[_Block]
    role: str = "user"


class _Line(Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw()


def message_of(line: bytes, number: int, notice: Callable[[str], None]) -> UserMessage | None:
    try:
        found = msgspec.json.decode(line, type=_Line)
        if found.type != "user":
            notice(f"stdin, line {number}: type '{found.type[:40]}' is passed over; only user messages are read.")
            return None
        message = msgspec.json.decode(found.message, type=_Message)
        return UserMessage(tuple(part_of(block, number) for block in content_of(message)))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UsageError(
            f"stdin, line {number}: no user message ({' '.join(str(error).split())}).",
            hint='One JSON object a line: {"type":"user","message":{"role":"user","content":"…"}}',
        ) from error


def content_of(message: _Message) -> list[_Block]:
    if message.role != "user":
        raise msgspec.ValidationError(f"its role is '{message.role[:40]}'")
    blocks = [_Block("text", message.content)] if isinstance(message.content, str) else message.content
    if not any(block.text.strip() or block.source for block in blocks):
        raise msgspec.ValidationError("its content is empty")
    return blocks


def part_of(block: _Block, number: int) -> Text | Image:
    match block:
        case _Block(type="text", text=text):
            return Text(text)
        case _Block(type="image", source=_Source(type="base64") as source):
            return Image(source.media_type, source.data)
        case _:
            raise msgspec.ValidationError(f"content of type '{block.type[:40]}' is not read; text and base64 images are")

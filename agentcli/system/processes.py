"""Runs other programs; nothing else in agentcli imports subprocess. Each child leads a session (and so a process group) of its own.

A group is ended as a whole: TERM, then KILL. What a child left running when it ended by itself (`server &`) is not ours any more, and its
hold on the pipes is not waited for; what made itself a session of its own (`setsid`) is found by a mark alone: see `marks`. Children die with us:
see `guard`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from asyncio.subprocess import SubprocessStreamProtocol
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Literal, TypeVar

from msgspec import Struct

from agentcli.protocol.errors import AgentError, UsageError
from agentcli.system import environment
from agentcli.system.groups import REAP_S, end_group, signalled, within
from agentcli.system.guard import MARK, guard

DRAIN_IDLE_S = 0.1
"""After a child's end: how long its pipes may be silent before they are taken to be held by a detached grandchild."""
DRAIN_TOTAL_S = 1.0
"""The same, where the grandchild goes on writing."""
MAX_OUTPUT = 10_000_000
LINE_LIMIT = 16 * 1024 * 1024

Stderr = Literal["pipe", "null", "stdout"]
_STDERR = {"pipe": subprocess.PIPE, "null": subprocess.DEVNULL, "stdout": subprocess.STDOUT}


class Completed(Struct, frozen=True):
    """How a program ended. `exit_code` is negative where a signal ended it, None where its time was over."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False
    """Output beyond the limit was dropped."""


async def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout_s: float | None = None,
    merge_stderr: bool = False,
    max_output: int = MAX_OUTPUT,
    on_output: Callable[[bytes], None] | None = None,
    grace_s: float = 2.0,
) -> Completed:
    """Runs a program to its end. On a time out or a cancel its whole group gets TERM, and after `grace_s` KILL.

    `env` None means `environment.child_env()`: ours without providers' keys. `stdin` None means /dev/null. `on_output` gets every piece
    as it comes; of each stream the first `max_output` bytes are kept. Raises UsageError where the program or the folder is not there.
    """
    kept = _Kept(max_output, on_output)
    pipes = await _spawn(_Pipes, argv, cwd, env, stdin is not None, "stdout" if merge_stderr else "pipe")
    timed_out = False
    try:
        pipes.give(stdin)
        async with asyncio.timeout(timeout_s) as limit:
            await pipes.follow(kept.take)
    except TimeoutError:
        if not limit.expired():
            raise
        timed_out = await pipes.overtime(kept.take, grace_s)
    finally:
        await pipes.close(grace_s)
    code = None if timed_out else pipes.exit_code
    return Completed(code, bytes(kept.stdout), bytes(kept.stderr), timed_out, kept.truncated)


async def run_attached(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> int:
    """Runs a program that has our terminal to itself until it ends (an editor, say); gives its exit code, negative for a signal.

    It stays in our session and process group, for only so may it read the terminal, and ends with the terminal. A cancel ends it. Raises
    UsageError where the program or the folder is not there.
    """
    argv = _checked(argv)
    try:
        child = await asyncio.create_subprocess_exec(*argv, cwd=cwd, env=_env(env))
    except (OSError, ValueError) as error:
        raise _cannot_start(argv[0], cwd, error) from error
    try:
        return await child.wait()
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()


def run_blocking(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout_s: float | None = None,
) -> Completed:
    """`run` for callers without a loop: same rules, output whole, KILL at once on a time out. Not for use on a loop's thread."""
    argv = _checked(argv)
    try:
        with guard().starting() as mark:
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**_env(env), MARK: mark},
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            guard().add(child.pid)
    except (OSError, ValueError) as error:
        raise _cannot_start(argv[0], cwd, error) from error
    try:
        return _communicate(child, stdin, timeout_s)
    finally:
        if child.poll() is None:
            signalled(child.pid, signal.SIGKILL)
            child.wait(REAP_S)
        guard().remove(child.pid)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with suppress(OSError):  # unwritten input of a program that did not want it
                    pipe.close()


class Child:
    """A long-lived program. Whoever started it calls `stop()`, in a `finally`."""

    def __init__(self, protocol: _Streams) -> None:
        self._protocol = protocol

    @property
    def pid(self) -> int:
        return self._protocol.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._protocol.exit_code

    @property
    def stdin(self) -> asyncio.StreamWriter:
        return _there(self._protocol.stdin, "stdin")

    @property
    def stdout(self) -> asyncio.StreamReader:
        return _there(self._protocol.stdout, "stdout")

    @property
    def stderr(self) -> asyncio.StreamReader:
        return _there(self._protocol.stderr, "stderr")

    async def wait(self) -> int:
        """Waits for the program's own end, also where a grandchild holds its pipes; gives its exit code."""
        await self._protocol.exited.wait()
        code = self._protocol.exit_code
        assert code is not None
        return code

    async def stop(self, grace_s: float = 2.0) -> int | None:
        """Ends the whole group if it still runs and closes the pipes; a second call does nothing."""
        await self._protocol.close(grace_s)
        return self.exit_code


async def start(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin_pipe: bool = True,
    stderr: Stderr = "pipe",
    line_limit: int = LINE_LIMIT,
) -> Child:
    """Starts a program that goes on running. `line_limit` is the longest line in bytes that `readline` of its streams gives.

    A stream that is a pipe has to be read, or the program stops when it is full: `stderr="null"` where nobody would.
    """
    loop = asyncio.get_running_loop()
    return Child(await _spawn(lambda: _Streams(line_limit, loop), argv, cwd, env, stdin_pipe, stderr))


class _Life:
    """What is common to a collected and a streamed child: its number, its end, its pipes. A mixin of both protocols."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.transport: asyncio.SubprocessTransport | None = None
        self.pid = 0

    def begin(self, transport: asyncio.SubprocessTransport) -> None:
        self.transport = transport
        self.pid = transport.get_pid() or 0
        if transport.get_returncode() is None:
            guard().add(self.pid)

    def end(self) -> None:
        guard().remove(self.pid)
        self.exited.set()

    @property
    def exit_code(self) -> int | None:
        return self.transport.get_returncode() if self.transport else None

    async def close(self, grace_s: float) -> None:
        """Ends the group where its leader still runs, then closes the pipes whoever holds their other ends."""
        try:
            if not self.exited.is_set():
                await end_group(self.pid, self.exited, grace_s)
        finally:
            if self.transport is not None:
                self.transport.close()


class _Pipes(_Life, asyncio.SubprocessProtocol):
    """Hands a child's output on piece by piece and knows when no more can come."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._changed = asyncio.Event()
        self._open: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self.begin(transport)
        self._open = {fd for fd in (1, 2) if transport.get_pipe_transport(fd) is not None}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._pieces.append((fd, data))
        self._changed.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        self._changed.set()

    def process_exited(self) -> None:
        self.end()
        self._changed.set()

    def give(self, data: bytes | None) -> None:
        pipe = self.transport.get_pipe_transport(0) if self.transport else None
        if data is None or not isinstance(pipe, asyncio.WriteTransport):
            return
        if data:
            pipe.write(data)
        pipe.write_eof()

    async def follow(self, take: Callable[[int, bytes], None]) -> None:
        """Gives every piece to `take` until the child has ended and its pipes are at their end, or held by others and silent."""
        last_call: float | None = None
        while True:
            while self._pieces:
                take(*self._pieces.popleft())
            ended = self.exited.is_set()
            if ended and not self._open:
                return
            self._changed.clear()
            if not ended:
                await self._changed.wait()
                continue
            last_call = last_call or monotonic() + DRAIN_TOTAL_S
            if monotonic() > last_call or not await within(DRAIN_IDLE_S, self._changed.wait()):
                return

    async def overtime(self, take: Callable[[int, bytes], None], grace_s: float) -> bool:
        """Ends what still runs, with an ear for its last words. False where the child had ended and only its pipes were open."""
        if self.exited.is_set():
            return False
        ending = asyncio.create_task(end_group(self.pid, self.exited, grace_s))
        try:
            await self.follow(take)
        finally:
            await ending
        return True


class _Streams(_Life, SubprocessStreamProtocol):
    """asyncio's own streams, which on some versions tell of a child's end only when its pipes are closed; this one tells at once."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        _Life.__init__(self)
        SubprocessStreamProtocol.__init__(self, limit, loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        super().connection_made(transport)
        self.begin(transport)

    def process_exited(self) -> None:
        self.end()
        super().process_exited()


class _Kept:
    """The first `limit` bytes of each stream."""

    def __init__(self, limit: int, on_output: Callable[[bytes], None] | None) -> None:
        self._limit = limit
        self._on_output = on_output
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.truncated = False

    def take(self, fd: int, data: bytes) -> None:
        stream = self.stdout if fd == 1 else self.stderr
        room = self._limit - len(stream)
        stream += data[:room] if room > 0 else b""
        self.truncated = self.truncated or len(data) > room
        if self._on_output is not None:
            self._on_output(data)


Protocol = TypeVar("Protocol", _Pipes, _Streams)
Answer = TypeVar("Answer")


async def _spawn(
    protocol: Callable[[], Protocol],
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin_pipe: bool,
    stderr: Stderr,
) -> Protocol:
    argv = _checked(argv)
    with guard().starting() as mark:
        starting = asyncio.ensure_future(
            asyncio.get_running_loop().subprocess_exec(
                protocol,
                *argv,
                stdin=subprocess.PIPE if stdin_pipe else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=_STDERR[stderr],
                cwd=cwd,
                env={**_env(env), MARK: mark},
                start_new_session=True,
            )
        )
        try:
            _, started = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The program may be running already, and only its protocol knows how to end all of its group.
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                await starting.result()[1].close(0)
            raise
        except (OSError, ValueError) as error:
            raise _cannot_start(argv[0], cwd, error) from error
    return started


def _communicate(child: subprocess.Popen[bytes], stdin: bytes | None, timeout_s: float | None) -> Completed:
    over = None if timeout_s is None else monotonic() + timeout_s
    given = stdin
    while True:
        ended = child.poll() is not None
        try:
            out, err = child.communicate(given, timeout=DRAIN_IDLE_S)
        except subprocess.TimeoutExpired as late:
            given = None
            out, err = late.output or b"", late.stderr or b""
            if ended:
                return Completed(child.returncode, out, err)
            if over is not None and monotonic() > over:
                return Completed(None, out, err, timed_out=True)
        else:
            return Completed(child.returncode, out, err)


def _checked(argv: Sequence[str]) -> list[str]:
    if not argv or not argv[0]:
        raise UsageError("no program to run was named.")
    return [os.fspath(word) for word in argv]


def _env(env: Mapping[str, str] | None) -> dict[str, str]:
    return environment.child_env() if env is None else dict(env)


def _cannot_start(program: str, cwd: Path | None, error: OSError | ValueError) -> AgentError:
    if isinstance(error, ValueError):
        return UsageError(f"cannot run '{program}': {error}.")
    if cwd is not None and not cwd.is_dir():
        return UsageError(f"cannot run '{program}' in {cwd}: no such folder.")
    if isinstance(error, FileNotFoundError):
        return UsageError(f"cannot run '{program}': there is no such program.", hint="Install it, or put its folder on PATH.")
    if isinstance(error, PermissionError):
        return UsageError(f"cannot run '{program}': it may not be executed.")
    return AgentError(f"cannot start '{program}': {error.strerror or type(error).__name__}.")


def _there(stream: Answer | None, name: str) -> Answer:
    if stream is None:
        raise AssertionError(f"the child was started without a pipe for its {name}")
    return stream

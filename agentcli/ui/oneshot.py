"""One shot: a prompt in, an answer out, one exit code. Print mode and everything that scripts use comes through here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from agentcli.protocol.errors import AgentError, Interrupted, Terminated, UsageError
from agentcli.protocol.events import Envelope, Failure
from agentcli.sdk.agent import AsyncAgent, Origin
from agentcli.sdk.schemas import check_schema
from agentcli.sdk.session import AsyncSession
from agentcli.sdk.terminal import terminal
from agentcli.sdk.wanted import Wanted
from agentcli.ui.look import look_of
from agentcli.ui.lookups import limits_in, price_in
from agentcli.ui.printing import OutputFormat, Sink, make_sink
from agentcli.ui.progress import Verbosity
from agentcli.ui.stdin import read_messages, read_prompt

TOLD = "told in the result"
"""A note on an exception that nothing more has to be said of."""


class OneShot(Struct, frozen=True):
    """What the command line asks for. `options` are those of a session; `prompt` "" reads standard input."""

    prompt: str = ""
    wait_for_stdin: bool = False
    """A `-` stands beside the prompt: standard input is read to its end."""
    cwd: Path = field(default_factory=Path.cwd)
    output_format: OutputFormat = "text"
    input_format: str = "text"
    include_partial: bool = False
    verbosity: Verbosity = "normal"
    color: str = "auto"
    last_message: Path | None = None
    config: Path | None = None
    bare: bool = False
    trust: bool = False
    json_schema: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class Stop:
    """Where a signal goes: to the session once there is one, else straight to the run."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.session: AsyncSession | None = None
        self.reason: AgentError | None = None
        self._task = task

    def on_signal(self, error: AgentError) -> None:
        second = self.reason is not None
        self.reason = self.reason or error
        if self.session is not None and self.session.busy and not second:
            self.session.stop(error)
        else:
            self._task.cancel()


def run_oneshot(shot: OneShot) -> int:
    """Runs it to the end and gives the exit code. Every end passes the sink once, so JSON modes have exactly one result."""
    try:
        # Before the loop runs: a file that is a pipe can keep one waiting, and only here a signal ends that.
        agent = AsyncAgent.layered(
            shot.cwd, explicit=shot.config, bare=shot.bare, trust=shot.trust, origin=Origin(link="flag", person=False, default_mode="default")
        )
        if shot.json_schema:
            shot = replace(shot, options={**shot.options, "output_schema": read_schema(shot.json_schema)})
    except AgentError as error:
        return _sink(shot).finish(_failure(error))
    return asyncio.run(_run(shot, agent))


async def _run(shot: OneShot, agent: AsyncAgent) -> int:
    failure: Failure | None = None
    task = asyncio.current_task()
    assert task is not None
    stop = Stop(task)
    catch_signals(stop)
    sink = _sink(shot)
    try:
        async with agent:
            await _converse(shot, agent, sink, stop)
    except AgentError as error:
        failure = _failure(error)
    except asyncio.CancelledError:
        failure = _failure(stop.reason or Interrupted("interrupted."))
    except BaseException as bug:
        sink.finish(Failure("internal", f"{type(bug).__name__}: {bug}", 1, "Run again with --verbose and report it."))
        bug.add_note(TOLD)
        raise
    if stop.reason is not None:
        failure = _failure(stop.reason)
    return sink.finish(failure)


def _sink(shot: OneShot) -> Sink:
    look = None if shot.color == "auto" else look_of(terminal(), shot.color)
    return make_sink(
        shot.output_format,
        sys.stdout,
        sys.stderr,
        include_partial=shot.include_partial,
        verbosity=shot.verbosity,
        last_message=shot.last_message,
        session_id=str(shot.options.get("session_id") or ""),
        look=look,
    )


def refuse(error: AgentError, output_format: OutputFormat) -> int:
    """The end of a run that could not begin: the one result, one line on stderr, and the exit code."""
    return make_sink(output_format, sys.stdout, sys.stderr).finish(_failure(error))


async def _converse(shot: OneShot, agent: AsyncAgent, sink: Sink, stop: Stop) -> None:
    prompt = await _prompt(shot)
    agent.on_progress = _progress(sink)
    if agent.services.undecided:
        from agentcli.sdk.served import ask_default  # its own module: an ordinary run asks nobody

        await ask_default(agent.services, shot.options)
    session = opened_session(agent, shot.cwd, Wanted(**shot.options))
    stop.session = session
    sink.look_up(price_in(session), limits_in(session))
    session.listen(_feeding(sink, session))
    for notice in prompt.notices:
        session.start()
        session.notice(notice)
    if shot.input_format == "stream-json":
        await _follow(shot, session)
    else:
        await session.drive(prompt.text)


def opened_session(agent: AsyncAgent, cwd: Path, wanted: Wanted) -> AsyncSession:
    """A session that cannot be opened says also what the config would have said at its start: often that is why."""
    try:
        return agent.session(cwd, wanted)
    except UsageError as error:
        error.hint = " ".join(part for part in (error.hint, *agent.config.warnings) if part)
        raise


async def _prompt(shot: OneShot) -> Any:
    if shot.input_format == "stream-json":
        if shot.prompt not in ("", "-"):
            raise UsageError("--input-format stream-json takes its messages from standard input: leave the prompt out.")
        return await read_prompt("", None)
    prompt = await read_prompt(shot.prompt, sys.stdin, wait=shot.wait_for_stdin)
    if not prompt.text.strip():
        raise UsageError("no prompt: give one as an argument or on standard input.", hint='Try: agentcli -p "What does this project do?"')
    return prompt


async def _follow(shot: OneShot, session: AsyncSession) -> None:
    """Each message of the input starts a run when the one before has ended."""
    spoken = False
    async with contextlib.aclosing(read_messages(sys.stdin, session.notice)) as messages:
        async for message in messages:
            spoken = True
            outcome = await session.drive(message)
            if outcome.failure is not None:
                return
    if not spoken:
        raise UsageError(
            "no message came in on standard input.",
            hint='One JSON object a line: {"type":"user","message":{"role":"user","content":"…"}}',
        )


def _feeding(sink: Sink, session: AsyncSession) -> Callable[[Envelope], None]:
    def feed(envelope: Envelope) -> None:
        sink.feed(envelope)
        if sink.reader_gone:
            session.stop(Interrupted("nobody reads the output any more."))

    return feed


def _progress(sink: Sink) -> Callable[[object], None]:
    return lambda progress: sink.download(progress)


def read_schema(given: str) -> dict[str, Any]:
    """A JSON schema from text or from a file. Raises UsageError."""
    text, name = given, "--json-schema"
    if not given.lstrip().startswith("{"):
        name = given
        try:
            text = Path(given).expanduser().read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UsageError(f"--json-schema: cannot read {given}: {error.strerror or error}.") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"--json-schema: {given} is not UTF-8.", hint="Save it as UTF-8.") from error
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: this is no JSON ({error}).") from error
    if not isinstance(schema, dict):
        raise UsageError(f"{name}: a JSON schema is an object, this is {type(schema).__name__}.")
    check_schema(schema, name)
    return schema


def catch_signals(stop: Stop) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.on_signal, Interrupted("interrupted."))
    loop.add_signal_handler(signal.SIGTERM, stop.on_signal, Terminated("terminated by a signal."))
    with contextlib.suppress(AttributeError, ValueError):
        loop.add_signal_handler(signal.SIGHUP, stop.on_signal, Terminated("the terminal is gone."))


def _failure(error: AgentError) -> Failure:
    provider, status = getattr(error, "provider", ""), getattr(error, "status", None)
    return Failure(error.kind, error.message, error.exit_code, error.hint, provider, status)


__all__ = ["TOLD", "OneShot", "read_schema", "refuse", "run_oneshot"]

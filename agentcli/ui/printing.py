"""Print mode: one sink for each output format. A sink is fed envelopes and finished once; it knows the protocol and what it is handed.

A format more is a sink more; those of JSON are in `printing_json`. Nothing here runs an agent, and nothing here raises for a reader that went away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from agentcli.protocol.errors import StorageError
from agentcli.protocol.events import CallStarted, Envelope, Failure, Replied, TextDelta
from agentcli.protocol.jsonline import json_line
from agentcli.protocol.text import Cleaner, inert
from agentcli.sdk.tally import MAIN, Ending, Tally
from agentcli.ui.look import Look
from agentcli.ui.output import LastMessage, Output
from agentcli.ui.progress import Progress, Verbosity
from agentcli.ui.workers import Price

if TYPE_CHECKING:
    from agentcli.ui.result import Limits

OutputFormat = Literal["text", "json", "stream-json"]


def make_sink(
    output_format: OutputFormat,
    stdout: TextIO | None,
    stderr: TextIO | None,
    *,
    include_partial: bool = False,
    verbosity: Verbosity = "normal",
    last_message: Path | None = None,
    session_id: str = "",
    limits: Limits | None = None,
    look: Look | None = None,
) -> Sink:
    """The sink of a format.

    Args:
        include_partial: stream-json carries the pieces of answers as `stream_event` lines.
        last_message: the file that gets the answer's text in the end.
        session_id: what the result says where the run failed before its first event.
        limits: context and output limits of a model by its resolved name, for `modelUsage`.
        look: how the terminal at stderr may be written to; None asks the environment.

    Raises:
        UsageError: `last_message` cannot be a file.
    """
    out, err = Output(stdout), Output(stderr)
    last = LastMessage(last_message) if last_message is not None else None
    tally = Tally()
    tally.session_id = session_id
    if output_format == "text":
        return TextSink(out, err, tally, verbosity, last, look)
    from agentcli.ui.printing_json import JsonSink, StreamJsonSink  # not on the way of who only wants the answer

    streaming = output_format == "stream-json"
    progress = Progress(err, tally, verbosity, steps=err.terminal and not (streaming and out.terminal), look=look)
    if streaming:
        return StreamJsonSink(out, progress, tally, last, limits or no_limits, include_partial=include_partial)
    return JsonSink(out, progress, tally, last, limits or no_limits)


class Sink(ABC):
    """Feed it every envelope of the session, then finish it, once, whatever happened."""

    def __init__(self, out: Output, progress: Progress, tally: Tally, last: LastMessage | None) -> None:
        self.tally = tally
        self._out = out
        self._last = last
        self.progress = progress
        self._limits: Limits = no_limits
        self._ending: Ending | None = None

    @property
    def reader_gone(self) -> bool:
        """Whether what is written reaches nobody any more, so that the run may as well be interrupted."""
        return self._out.gone or self._out.fault is not None

    def feed(self, envelope: Envelope) -> None:
        """Takes one envelope; after `finish` it is passed over."""
        if self._ending is not None:
            return
        self.tally.feed(envelope)
        self.progress.feed(envelope)
        self._show(envelope)

    def finish(self, failure: Failure | None = None) -> int:
        """Prints the end and gives the process's exit code. A second call prints nothing and gives the same code.

        `failure` is what ended the run where no event tells it (a signal, a crash, a wrong option); it goes before what events told.
        """
        if self._ending is not None:
            return self._ending.exit_code
        ending = self._keep_last(self.tally.ending(failure))
        self._ending = ending
        self.progress.hold()
        self._print_end(ending)
        self._ending = self._heard(ending, told=failure is not None)
        self.progress.end(self._ending)
        return self._ending.exit_code

    def look_up(self, price: Price, limits: Limits) -> None:
        """What a session's catalogue knows of its models, once there is a session."""
        self.progress.price = price
        self._limits = limits

    def download(self, download: Any) -> None:
        """Shows how far a download is, a `progress.Download`."""
        if self._ending is None:
            self.progress.download(download)

    def _keep_last(self, ending: Ending) -> Ending:
        if self._last is None:
            return ending
        try:
            self._last.write(answer_of(self.tally, ending))
        except StorageError as error:
            failure = Failure(error.kind, error.message, error.exit_code, error.hint)
            return ending if ending.failure else Ending("error", failure, error.exit_code)
        return ending

    def _heard(self, ending: Ending, *, told: bool) -> Ending:
        """The ending in the light of what became of the output: a run that was stopped because its reader went away ends quietly."""
        stopped = not told and ending.failure is not None and ending.failure.kind == "interrupted"
        if self._out.fault is not None and (ending.failure is None or stopped):
            why = self._out.fault.strerror or str(self._out.fault)
            return Ending("error", Failure("storage", f"cannot write to standard output: {why}."), 1)
        if self._out.gone and stopped:
            return Ending("interrupted", None, 0)
        return ending

    @abstractmethod
    def _show(self, envelope: Envelope) -> None: ...

    @abstractmethod
    def _print_end(self, ending: Ending) -> None: ...


class TextSink(Sink):
    """The answer and nothing else. On a terminal the main agent's words appear as they come, cleaned of control characters."""

    def __init__(self, out: Output, err: Output, tally: Tally, verbosity: Verbosity, last: LastMessage | None, look: Look | None = None) -> None:
        progress = Progress(err, tally, verbosity, steps=err.terminal, before=self._end_line, look=look)
        super().__init__(out, progress, tally, last)
        self._cleaner = Cleaner()
        self._mid_line = False
        self._streamed = False

    def _show(self, envelope: Envelope) -> None:
        if not self._out.terminal or envelope.agent_id != MAIN:
            return
        match envelope.event:
            case CallStarted():
                self._streamed = False
            case TextDelta(text=text):
                self._live(self._cleaner.feed(text))
                self._streamed = True
            case Replied(message=message, failure=failure):
                if not self._streamed and failure is None:
                    self._live(self._cleaner.feed(message.text()))
                self._live(self._cleaner.flush())
                self._end_line()
                self.progress.free()
            case _:
                pass

    def _live(self, shown: str) -> None:
        if shown:
            self.progress.hold()
            self._out.text(shown)
            self._mid_line = not shown.endswith("\n")

    def _end_line(self) -> None:
        if self._mid_line:
            self._mid_line = False
            self._out.text("\n")

    def _print_end(self, ending: Ending) -> None:
        self._live(self._cleaner.flush())
        self._end_line()
        if self._out.terminal:
            return
        text = inert(answer_of(self.tally, ending))
        if text:
            self._out.text(text if text.endswith("\n") else f"{text}\n")


def answer_of(tally: Tally, ending: Ending) -> str:
    """What a script gets on standard output: a whole answer, or one that the model itself cut off; no words of a run that failed else. Where a
    schema was asked for, the object alone: models like to put it in a fence."""
    if ending.failure is None and tally.structured is not None:
        return json_line(tally.structured).decode()
    if ending.failure is None or ending.failure.kind in ("answer_cut", "worker_failed", "storage"):
        return tally.text
    return ""


def no_limits(_: str) -> tuple[int | None, int | None]:
    return None, None

"""The sinks of the two JSON formats: what a script reads."""

from __future__ import annotations

from agentcli.protocol.events import Envelope
from agentcli.protocol.jsonline import json_line
from agentcli.sdk.tally import Ending, Tally
from agentcli.ui.output import LastMessage, Output
from agentcli.ui.printing import Sink
from agentcli.ui.progress import Progress
from agentcli.ui.result import Limits, result_of
from agentcli.ui.stream_json import StreamJson, line_uuid


class JsonSink(Sink):
    """The result object, one line, in the end."""

    def __init__(self, out: Output, progress: Progress, tally: Tally, last: LastMessage | None, limits: Limits) -> None:
        super().__init__(out, progress, tally, last)
        self._limits = limits

    def _show(self, envelope: Envelope) -> None:
        pass

    def _print_end(self, ending: Ending) -> None:
        tally = self.tally
        uuid = line_uuid(tally.session_id, tally.seq, -1)
        self._out.write(json_line(result_of(tally, ending, uuid, self._limits)) + b"\n")


class StreamJsonSink(JsonSink):
    """Every event as a line when it happens, the result object as the last. Where a person watches both streams, the lines say it all."""

    def __init__(self, out: Output, progress: Progress, tally: Tally, last: LastMessage | None, limits: Limits, *, include_partial: bool) -> None:
        super().__init__(out, progress, tally, last, limits)
        self._stream = StreamJson(tally, include_partial=include_partial)

    def _show(self, envelope: Envelope) -> None:
        for line in self._stream.lines(envelope):
            self._out.write(json_line(line) + b"\n")

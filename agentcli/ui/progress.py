"""What goes on, as plain lines on stderr: tool calls, workers, retries, notices, and the one line of an error. Never the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentcli.protocol.events import (
    AgentSpawned,
    CallStarted,
    Compacted,
    Envelope,
    FellBack,
    ModelChanged,
    Notice,
    Replied,
    RetryScheduled,
    RunFinished,
    SessionStarted,
    ToolFinished,
    ToolStarted,
)
from agentcli.protocol.models import ModelUse
from agentcli.protocol.text import clean, one_line
from agentcli.sdk.tally import MAIN, AgentTally, Ending, Tally
from agentcli.sdk.terminal import terminal
from agentcli.ui.amounts import count, duration, megabytes, money, tokens
from agentcli.ui.look import Look, look_of
from agentcli.ui.output import Output
from agentcli.ui.told import compacted_words, fallback_words, retry_words
from agentcli.ui.workers import Price, no_price

if TYPE_CHECKING:
    from agentcli.ui.crewlines import CrewLines

Verbosity = Literal["quiet", "normal", "verbose"]
"""`quiet`: errors only. `normal`: also notices, retries and workers, and tool calls where a person watches. `verbose`: everything."""

LONGEST_LINE = 200


class Download(Protocol):
    """How far a download is: `done` of `total` bytes of `name`, from `source`, a host or an index."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


class DownloadLine:
    """A line that grows on a terminal; in a file one line at the start and one at the end."""

    def __init__(self, err: Output) -> None:
        self._err = err
        self._width = 0
        self._percent: int | None = None

    def __call__(self, download: Any) -> None:
        """Takes a `Download`; writes only where a percent was gained."""
        whole = download.done >= download.total
        percent = 100 if whole else download.done * 100 // download.total
        if percent == self._percent or not (self._err.terminal or whole or self._percent is None):
            return
        self._percent = percent
        done, total = megabytes(download.done), megabytes(download.total)
        line = clean(f"fetching {download.name} from {download.source}: {done} of {total} ({percent}%)", keep_newlines=False)
        if not self._err.terminal:
            self._err.text(f"{line}\n")
            return
        line = line[:LONGEST_LINE]
        self._err.text("\r" + line.ljust(self._width))
        self._width = len(line)
        if whole:
            self.end_line()

    def end_line(self) -> None:
        """Ends the line on a terminal, if one is under way."""
        if self._width:
            self._width = 0
            self._err.text("\n")


def download_line(err: Output) -> DownloadLine:
    """What shows a download on stderr, outside of a run."""
    return DownloadLine(err)


class Progress:
    """`steps`: whether tool calls are shown at normal verbosity. `before` is called ahead of each line, to end a line begun elsewhere.

    Workers have a live panel where steps are shown on a terminal that can move its cursor; `look` None reads the terminal from the environment.
    """

    def __init__(
        self,
        err: Output,
        tally: Tally,
        verbosity: Verbosity,
        *,
        steps: bool,
        before: Callable[[], None] | None = None,
        look: Look | None = None,
    ) -> None:
        self._err = err
        self._tally = tally
        self._verbosity = verbosity
        self._steps = steps or verbosity == "verbose"
        self._look = look
        self._watched = steps and err.terminal
        self._before = before
        self._fetching = DownloadLine(err)
        self._crew: CrewLines | None = None
        self._waiting = False
        self.price: Price = no_price
        """What tokens would have cost on a model; set by who has a catalogue."""

    def feed(self, envelope: Envelope) -> None:
        if self._verbosity == "quiet":
            if isinstance(envelope.event, Notice) and envelope.event.level == "error":
                self._line(f"error: {envelope.event.text}")
            return
        if self._crew is None and isinstance(envelope.event, AgentSpawned):
            self._waited()
            self._crew = self._new_crew()
        agent = self._tally.agent(envelope.agent_id)
        limit = None if _says_what_to_do(envelope) else LONGEST_LINE
        for text in self._said(envelope, agent):
            self._line(text, limit)
        if self._crew is not None:
            self._crew.feed(envelope)
        elif isinstance(envelope.event, CallStarted):
            self._wait(envelope.event.model)

    def end(self, ending: Ending) -> None:
        """The error, whole, and at `verbose` what it all came to."""
        if self._crew is not None:
            self._crew.close()
        if ending.failure is not None:
            self._line(f"error: {ending.failure.line()}", limit=None)
        if self._verbosity == "verbose":
            tally = self._tally
            parts = (count(tally.main.turns, "turn"), tokens(tally.usage.total), money(tally.cost_usd), duration(tally.duration_ms))
            self._line(" · ".join(parts))

    def download(self, download: Any) -> None:
        """How far a download is, a `Download`."""
        if self._verbosity == "quiet":
            return
        self.hold()
        if self._before is not None:
            self._before()
        self._fetching(download)
        if download.done >= download.total:
            self.free()

    def hold(self) -> None:
        """Takes the workers' panel away, if there is one, until `free`: somebody else writes to the terminal. So does what was waited for."""
        self._waited()
        if self._crew is not None:
            self._crew.hold()

    def free(self) -> None:
        if self._crew is not None:
            self._crew.free()

    def _wait(self, model: ModelUse) -> None:
        """Where a person watches, says whose first words are waited for, which may take a while, until something else is written."""
        if self._verbosity != "normal" or self._panel_look() is None:
            return
        self._waited()
        if self._before is not None:
            self._before()
        self._err.text(one_line(f"waiting for {model.resolved} …", self._err.size()[0] - 1))
        self._waiting = True

    def _waited(self) -> None:
        if self._waiting:
            self._waiting = False
            self._err.text("\r\x1b[K")

    def _new_crew(self) -> CrewLines:
        from agentcli.ui.crewlines import CrewLines

        return CrewLines(self._err, self._tally, self._line, self._put, self._panel_look(), lambda model, usage: self.price(model, usage))

    def _panel_look(self) -> Look | None:
        """None where lines are right: nobody watches, or the terminal cannot move its cursor."""
        if not self._watched:
            return None
        look = self._look or look_of(terminal())
        return None if look == "plain" else look

    def _said(self, envelope: Envelope, agent: AgentTally) -> list[str]:
        if self._crew is not None and self._crew.live and self._verbosity != "verbose" and _in_its_row(envelope):
            return []
        match envelope.event:
            case ToolStarted(name=name, title=title) if self._steps:
                return [f"· {whose(agent)}{name} {title}"]
            case Notice(level=level, text=text):
                return [text if level == "info" else f"{level}: {text}"]
            case RetryScheduled() as event:
                return [f"{whose(agent)}{retry_words(event)}"]
            case FellBack() as event:
                return [f"{whose(agent)}{fallback_words(event)}"]
            case ModelChanged(model=model, note=note):
                return [f"{whose(agent)}model: {decided(model)} {note}"]
            case Compacted() as event:
                return [f"{whose(agent)}{compacted_words(event)}"]
            case RunFinished(denials=denials):
                return [f"not permitted: {whose(agent)}{denial}" for denial in denials]
            case _ if self._verbosity == "verbose":
                return details(envelope, agent)
            case _:
                return []

    def _line(self, text: str, limit: int | None = LONGEST_LINE) -> None:
        line = " ".join(clean(text, keep_newlines=False).split())
        if limit is not None and len(line) > limit:
            line = f"{line[: limit - 1]}…"
        self._put([line])

    def _put(self, lines: Sequence[str]) -> None:
        """Writes whole lines as they are, with nothing of a panel, an answer or a download before them on the same line."""
        self._waited()
        if self._crew is not None:
            self._crew.hide()
        if self._before is not None:
            self._before()
        self._fetching.end_line()
        self._err.text("".join(f"{line}\n" for line in lines))


def whose(agent: AgentTally) -> str:
    return "" if agent.id == MAIN else f"{agent.name}: "


def decided(use: ModelUse) -> str:
    return f"{use.resolved} ({use.source})"


def _says_what_to_do(envelope: Envelope) -> bool:
    """Denials end with the flag that would allow them and notices with what helps: these are never cut short."""
    return isinstance(envelope.event, RunFinished | Notice)


def _in_its_row(envelope: Envelope) -> bool:
    """Whether the panel's row of a worker says it."""
    return envelope.agent_id != MAIN and isinstance(envelope.event, ToolStarted | RetryScheduled)


def details(envelope: Envelope, agent: AgentTally) -> list[str]:
    """What only someone who looks for the reason of something wants to read."""
    match envelope.event:
        case SessionStarted(model=model, permission_mode=mode, cwd=cwd):
            return [f"session {envelope.session_id} in {cwd} on {decided(model)}, mode {mode}"]
        case CallStarted(call=call, model=model, attempt=attempt):
            again = f", attempt {attempt}" if attempt > 1 else ""
            return [f"{whose(agent)}call {call} to {model.resolved}{again}"]
        case Replied(failure=failure) as event:
            if failure is not None:
                return [f"{whose(agent)}call {event.call} failed after {duration(event.duration_ms)}: {failure.line()}"]
            served = f", served by {event.model.served}" if event.model.served else ""
            return [f"{whose(agent)}call {event.call} answered in {duration(event.duration_ms)}, {tokens(event.usage.total)}{served}"]
        case ToolFinished(result=result, duration_ms=took):
            first = next(iter(result.text().splitlines()), "")
            return [f"{whose(agent)}{result.name} {'failed' if result.is_error else 'done'} in {duration(took)}: {first}"]
        case _:
            return []

"""What standard error tells of workers in one-shot mode: a live panel where a person watches, else a line at each change of state.

Rich is loaded with the first panel, so never for a run without workers or one whose standard error is a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agentcli.protocol.events import AgentFinished, AgentSpawned, Envelope, StateChanged
from agentcli.sdk.tally import MAIN, Tally
from agentcli.ui.amounts import count, duration, money, tokens
from agentcli.ui.items import FanOut, WorkerFacts
from agentcli.ui.look import Look
from agentcli.ui.output import Output
from agentcli.ui.progress import decided
from agentcli.ui.workers import WORDS, Crew, Price, closing, no_price

if TYPE_CHECKING:
    from agentcli.ui.live import LivePanel


class CrewLines:
    """Made with the first worker of a run. `say` writes one line, `put` lines as they are; `look` None: no panel, lines only."""

    def __init__(
        self,
        err: Output,
        tally: Tally,
        say: Callable[[str], None],
        put: Callable[[Sequence[str]], None],
        look: Look | None,
        price: Price = no_price,
    ) -> None:
        self._tally = tally
        self._say = say
        self._put = put
        self._crew = Crew(price)
        self._panel = _panel(err, look, self._crew) if look is not None else None

    @property
    def live(self) -> bool:
        """Whether a panel shows the workers, so that lines need not."""
        return self._panel is not None

    def feed(self, envelope: Envelope) -> None:
        """Takes an envelope that the tally was fed before."""
        over = self._crew.feed(envelope, self._tally)
        if self._panel is None:
            for line in self._changed(envelope):
                self._say(line)
        elif envelope.event.durable:
            self._panel.changed()
        for fan_out in over:
            self._end(fan_out)

    def hold(self) -> None:
        """Takes the panel away until `free`: somebody else writes to the terminal."""
        if self._panel is not None:
            self._panel.hold()

    def free(self) -> None:
        if self._panel is not None:
            self._panel.free()

    def hide(self) -> None:
        """Takes the panel away for one line; it comes back by itself."""
        if self._panel is not None:
            self._panel.hide()

    def close(self) -> None:
        """The run is over, also where workers never ended."""
        if self._panel is not None:
            self._panel.close()

    def _changed(self, envelope: Envelope) -> list[str]:
        worker = self._crew.workers.get(envelope.agent_id)
        if worker is None or envelope.agent_id == MAIN:
            return []
        facts = worker.facts()
        match envelope.event:
            case AgentSpawned():
                return []
            case AgentFinished():
                return [ended(facts, worker.tally.duration_ms)]
            case StateChanged(state=state, detail=detail) if state in ("running", "waiting", "paused"):
                first = state == "running" and facts.since == envelope.at
                return [f"{head(facts)} {WORDS.get(state, state)}{began(facts) if first else ''}{f': {detail}' if detail else ''}"]
            case _:
                return []

    def _end(self, fan_out: FanOut) -> None:
        """After a panel its last rows stay; what it all came to is told in both cases."""
        if self._panel is not None:
            self._put(self._panel.ended(fan_out))
        elif len(fan_out.workers) > 1:
            self._say(closing(fan_out))


def _panel(err: Output, look: Look, crew: Crew) -> LivePanel:
    from agentcli.ui.live import LivePanel

    return LivePanel(err, look, crew)


def head(facts: WorkerFacts) -> str:
    """Who, on which model, and which link decided: `scout-2 openai/gpt-4o-mini (definition)`."""
    return f"{facts.name} {decided(facts.model)}"


def began(facts: WorkerFacts) -> str:
    """What is worth knowing once: its role, whether somebody waits for it, what overrode the choice of its model."""
    label = facts.label if facts.label != facts.name else ""
    parts = [label, "in the background" if facts.background else "", facts.note]
    return "".join(f" · {part}" for part in parts if part)


def ended(facts: WorkerFacts, milliseconds: int) -> str:
    sums = (count(facts.turns, "turn"), tokens(facts.usage.total), money(facts.cost_usd), duration(milliseconds))
    why = f": {facts.failure.line()}" if facts.failure is not None and facts.state == "failed" else ""
    return f"{head(facts)} {WORDS.get(facts.state, facts.state)} · {' · '.join(sums)}{why}"

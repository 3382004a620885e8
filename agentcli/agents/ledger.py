"""What a whole tree of agents has used and may use. One ledger a session; every model call of every agent passes it."""

from __future__ import annotations

from msgspec import Struct, field

from agentcli.engine.control import Ledger
from agentcli.protocol.errors import AgentError, BudgetLimit, TurnLimit
from agentcli.protocol.models import Usage, added_cost


class TreeLedger(Struct):
    """Counts turns, tokens and USD over the tree. The bounds are for one run of the session: `begin` starts the count anew."""

    max_usd: float | None = None
    max_tokens: int | None = None
    max_turns: int | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    _turns: int = 0
    _usd_before: float = 0.0
    _tokens_before: int = 0
    _stopped: AgentError | None = None

    def begin(self) -> None:
        """A new run: its limits count from here."""
        self._usd_before = self.cost_usd or 0.0
        self._tokens_before = self.usage.total
        self._turns = 0
        self._stopped = None

    def stop(self, error: AgentError) -> None:
        """No agent of the tree makes another call in this run."""
        self._stopped = self._stopped or error

    def turn(self) -> None:
        """Raises TurnLimit where the tree has had all its turns."""
        if self.max_turns is not None and self._turns >= self.max_turns:
            hint = "Raise max_turns (--max-turns), or go on with -c."
            raise TurnLimit(f"the limit of {self.max_turns} turns, over all agents, is reached.", hint=hint)
        self._turns += 1

    def check(self) -> None:
        """Raises BudgetLimit where nothing is left for another call, and what `stop` was told."""
        if self._stopped is not None:
            raise self._stopped
        if self.max_usd is not None and self.cost_usd is not None:
            spent = self.cost_usd - self._usd_before
            if spent >= self.max_usd:
                raise BudgetLimit(f"the budget of ${self.max_usd:g} is spent (${spent:.4f}).", hint="Raise max_budget_usd (--max-budget-usd).")
        if self.max_tokens is not None:
            used = self.usage.total - self._tokens_before
            if used >= self.max_tokens:
                raise BudgetLimit(f"the limit of {self.max_tokens} tokens is used up ({used}).", hint="Raise max_tokens (--max-tokens).")

    def charge(self, usage: Usage, cost_usd: float | None) -> None:
        """Adds a call. An unknown price makes the sum unknown, not smaller; a limit in USD is refused for such models at the start."""
        self.usage = self.usage + usage
        self.cost_usd = added_cost(self.cost_usd, cost_usd)


class WorkerLedger(Struct):
    """One worker's own bound in USD (`max_cost_usd` of its definition) within its parent's; what its own workers spend counts too."""

    parent: Ledger
    max_usd: float
    name: str
    cost_usd: float = 0.0

    def check(self) -> None:
        """Raises BudgetLimit where the worker's own or one above it is spent."""
        if self.cost_usd >= self.max_usd:
            raise BudgetLimit(f"the budget of '{self.name}', ${self.max_usd:g}, is spent (${self.cost_usd:.4f}).", hint="Raise its max_cost_usd.")
        self.parent.check()

    def turn(self) -> None:
        self.parent.turn()

    def charge(self, usage: Usage, cost_usd: float | None) -> None:
        self.cost_usd += cost_usd or 0.0
        self.parent.charge(usage, cost_usd)

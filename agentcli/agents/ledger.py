"""What a whole tree of agents has used and may use. One ledger a session; every model call of every agent passes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentcli.protocol.errors import BudgetLimit
from agentcli.protocol.models import Usage, added_cost


@dataclass
class TreeLedger:
    """Counts tokens and USD over the tree. `max_usd` and `max_tokens` are for one run of the session: `begin` starts the count anew."""

    max_usd: float | None = None
    max_tokens: int | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    _usd_before: float = 0.0
    _tokens_before: int = 0

    def begin(self) -> None:
        """A new run: its limits count from here."""
        self._usd_before = self.cost_usd or 0.0
        self._tokens_before = self.usage.total

    def check(self) -> None:
        """Raises BudgetLimit where nothing is left for another call."""
        if self.max_usd is not None and self.cost_usd is not None:
            spent = self.cost_usd - self._usd_before
            if spent >= self.max_usd:
                raise BudgetLimit(
                    f"the budget of ${self.max_usd:g} is spent (${spent:.4f}).", hint="Raise it with --max-budget-usd."
                )
        if self.max_tokens is not None:
            used = self.usage.total - self._tokens_before
            if used >= self.max_tokens:
                raise BudgetLimit(f"the limit of {self.max_tokens} tokens is used up ({used}).", hint="Raise it with --max-tokens.")

    def charge(self, usage: Usage, cost_usd: float | None) -> None:
        """Adds a call. An unknown price makes the sum unknown, not smaller; a limit in USD is refused for such models at the start."""
        self.usage = self.usage + usage
        self.cost_usd = added_cost(self.cost_usd, cost_usd)


@dataclass
class WorkerLedger:
    """One worker's own bound in USD (`max_cost_usd` of its definition), within the tree's."""

    tree: TreeLedger
    max_usd: float
    name: str
    cost_usd: float = 0.0

    def check(self) -> None:
        """Raises BudgetLimit where the worker's own or the tree's is spent."""
        if self.cost_usd >= self.max_usd:
            raise BudgetLimit(f"the budget of '{self.name}', ${self.max_usd:g}, is spent (${self.cost_usd:.4f}).", hint="Raise its max_cost_usd.")
        self.tree.check()

    def charge(self, usage: Usage, cost_usd: float | None) -> None:
        self.cost_usd += cost_usd or 0.0
        self.tree.charge(usage, cost_usd)

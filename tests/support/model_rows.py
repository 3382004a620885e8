"""The table "Which model a worker runs on" as data, for every way to start a worker: what each link says, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agentcli.protocol.models import ModelUse

from .crew import STRONG

KEYS = {"alpha": "sk-alpha-key-000001", "beta": "sk-beta-key-0000002"}


@dataclass(frozen=True)
class Row:
    """What each link says, and what must come of it: the model as it arrives at the service, what was asked for, and the link."""

    name: str
    on: str
    source: str
    requested: str = ""
    definition: str = ""
    subagent: str = ""
    call: str | None = None
    pin: str = ""
    definition_more: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def scout(self) -> dict[str, Any]:
        """The definition of the worker."""
        return {"model": self.definition or None, **self.definition_more}

    @property
    def use(self) -> ModelUse:
        """The proof that must stand in events and results."""
        served = self.on.partition("/")[2]
        effort = served.rpartition(":")[2] if served.rpartition(":")[2] in ("low", "medium", "high") else ""
        return ModelUse(self.requested or self.on, self.on, self.source, served.removesuffix(f":{effort}"))  # type: ignore[arg-type]


ROWS = (
    Row("none set: the parent's, its effort included", STRONG, "parent"),
    Row("subagent_model where nothing else names one", "alpha/cheap:low", "subagent_model", "fast", subagent="fast"),
    Row("only the definition", "alpha/cheap:medium", "definition", "alpha/cheap", definition="alpha/cheap"),
    Row("the definition over subagent_model", "beta/qwen3:8b", "definition", definition="beta/qwen3:8b", subagent="fast"),
    Row("only the call", "beta/vendor/model:free", "call", call="beta/vendor/model:free"),
    Row("the call over the definition", "beta/qwen3:8b", "call", "qwen3:8b", call="qwen3:8b", definition="alpha/cheap", subagent="fast"),
    Row("a human name with an effort", "beta/gemini-flash:low", "call", "Gemini 3.5 Flash (Low)", call="Gemini 3.5 Flash (Low)"),
    Row("an effort behind the id", "beta/gemini-flash:high", "call", call="beta/gemini-flash:high"),
    Row("a named model takes its own default, not the parent's effort", "alpha/strong:high", "call", "alpha/strong", call="alpha/strong"),
    Row("a pin over a call", "alpha/cheap:low", "pin", "fast", pin="fast", call="beta/qwen3:8b", note="beta/qwen3:8b"),
    Row("a pin over the definition", "beta/qwen3:8b", "pin", pin="beta/qwen3:8b", definition="fast"),
    Row("a pin over inherit", "beta/qwen3:8b", "pin", pin="beta/qwen3:8b", call="inherit", note="inherit"),
    Row("inherit in the call skips definition and subagent_model", STRONG, "parent", call="inherit", definition="alpha/cheap", subagent="fast"),
    Row("inherit in the definition skips subagent_model", STRONG, "parent", definition="inherit", subagent="fast"),
    Row("an empty model is an omitted one", "alpha/cheap:low", "definition", "fast", call="", definition="fast"),
    Row("a blank one too", STRONG, "parent", call="  "),
    Row(
        "the definition's own effort",
        "alpha/cheap:low",
        "definition",
        "alpha/cheap",
        definition="alpha/cheap",
        definition_more={"effort": "low"},
    ),
    Row("a locked definition keeps its model", "alpha/cheap:low", "definition", "fast", definition="fast", definition_more={"model_locked": True}),
)

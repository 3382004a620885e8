"""Envelopes made by hand: a small story teller for tests that need a run but no engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentcli.protocol.events import (
    AgentFinished,
    AgentSpawned,
    AnyEvent,
    ArgumentsDelta,
    CallStarted,
    Envelope,
    Failure,
    Replied,
    RetryScheduled,
    RunFinished,
    SessionStarted,
    StateChanged,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    UserSubmitted,
)
from agentcli.protocol.messages import AssistantMessage, Text, Thinking, ToolCall, ToolResult, user_text
from agentcli.protocol.models import ModelUse, Usage

BIG = ModelUse("big", "acme/big-1:high", "flag", "big-1-2026")
SMALL = ModelUse("fast", "tiny/small-2", "definition", "small-2")
RATE_LIMITED = Failure("rate_limit", "acme answered 429: slow down.", 75, "Wait a little.", "acme", 429)
DOWN = Failure("unavailable", "acme answered 503: overloaded.", 75, "Try again later, or use another model.", "acme", 503)


@dataclass
class Story:
    """Events in order, a tenth of a second apart, as the bus would publish them."""

    session_id: str = "s-1"
    at: float = 1_000.0
    envelopes: list[Envelope] = field(default_factory=list)

    def tell(self, *events: AnyEvent, agent: str = "main") -> Story:
        for event in events:
            self.at = round(self.at + 0.1, 3)
            self.envelopes.append(Envelope(len(self.envelopes) + 1, self.at, self.session_id, agent, event))
        return self


def started(**changes: object) -> SessionStarted:
    given: dict[str, object] = {
        "cwd": "/home/me/app",
        "model": BIG,
        "permission_mode": "accept-edits",
        "tools": ("read", "grep", "task"),
        "agents": ("scout",),
        "version": "1.2.3",
    }
    return SessionStarted(**{**given, **changes})  # type: ignore[arg-type]


def submitted(text: str) -> UserSubmitted:
    return UserSubmitted(message=user_text(text), run="run-1")


def answered(text: str, call: int = 1, **changes: object) -> Replied:
    given: dict[str, object] = {
        "call": call,
        "message": AssistantMessage((Text(text),)),
        "model": BIG,
        "usage": Usage(input=100, output=20, cache_read=50),
        "cost_usd": 0.25,
        "duration_ms": 400,
        "first_ms": 100,
    }
    return Replied(**{**given, **changes})  # type: ignore[arg-type]


def ended(text: str = "", **changes: object) -> RunFinished:
    given: dict[str, object] = {"status": "success", "text": text, "turns": 1, "duration_ms": 700, "run": "run-1"}
    return RunFinished(**{**given, **changes})  # type: ignore[arg-type]


def short_run() -> list[Envelope]:
    """A question and its answer, streamed in two pieces."""
    story = Story().tell(started(), submitted("What is this?"), CallStarted(call=1, model=BIG))
    story.tell(TextDelta(text="A small "), TextDelta(text="project."), answered("A small project."), ended("A small project."))
    return story.envelopes


def troubled_run() -> list[Envelope]:
    """Two calls at once (a read, a worker), the worker's own call refused, a retry, and an error in the end."""
    read = ToolCall("c1", "read", '{"path": "src/main.py"}')
    task = ToolCall("c2", "task", '{"agent":"scout","prompt":"look"}')
    story = Story().tell(started(), submitted("Fix it"), StateChanged(state="running"), CallStarted(call=1, model=BIG))
    story.tell(ThinkingDelta(text="hm"), TextDelta(text="I look."), ArgumentsDelta(call_id="c1", name="read", text='{"path": '))
    story.tell(ArgumentsDelta(call_id="c2", name="task", text=task.arguments))
    story.tell(ArgumentsDelta(call_id="c1", name="read", text='"src/main.py"}'))
    first = AssistantMessage((Thinking("hm", "sig", "anthropic"), Text("I look."), read, task), "tool_calls")
    story.tell(answered("", message=first))
    story.tell(ToolStarted(call_id="c1", name="read", title="src/main.py", arguments=read.arguments))
    story.tell(ToolStarted(call_id="c2", name="task", title="scout: look", arguments=task.arguments))
    story.tell(ToolFinished(result=ToolResult("c1", "read", (Text("1\tprint()"),)), duration_ms=3, data={"lines": 1}))
    _worker(story)
    story.tell(ToolFinished(result=ToolResult("c2", "task", (Text("[OK] found"),)), duration_ms=900))
    story.tell(CallStarted(call=2, model=BIG), TextDelta(text="No"))
    cut = AssistantMessage((Text("No"),), "error")
    story.tell(answered("", call=2, message=cut, usage=Usage(), cost_usd=0.0, failure=RATE_LIMITED))
    story.tell(RetryScheduled(failure=RATE_LIMITED, attempt=1, limit=3, delay_s=1.5))
    story.tell(CallStarted(call=2, model=BIG, attempt=2))
    nothing = AssistantMessage((), "error")
    story.tell(answered("", call=2, message=nothing, usage=Usage(), cost_usd=0.0, failure=DOWN))
    story.tell(ended("I look.", status="error", failure=DOWN, turns=2, duration_ms=4_000))
    return story.envelopes


def _worker(story: Story) -> None:
    who = "main/scout-1"
    grep = ToolCall("w1", "grep", '{"pattern":"def"}')
    story.tell(
        AgentSpawned(name="scout-1", agent="scout", model=SMALL, prompt="look", call_id="c2", label="Scout", tools=("grep",)),
        StateChanged(state="running"),
        UserSubmitted(message=user_text("look", "parent"), run="run-1"),
        CallStarted(call=1, model=SMALL),
        agent=who,
    )
    calls = AssistantMessage((grep,), "tool_calls")
    story.tell(
        answered("", message=calls, model=SMALL, usage=Usage(input=10, output=5), cost_usd=None, duration_ms=200),
        ToolStarted(call_id="w1", name="grep", title='"def"', arguments=grep.arguments),
        ToolFinished(result=ToolResult("w1", "grep", (Text("Not permitted."),), is_error=True), denied=True),
        CallStarted(call=2, model=SMALL),
        answered("found", call=2, model=SMALL, usage=Usage(input=20, output=7), cost_usd=None, duration_ms=300),
        ended("found", turns=2, duration_ms=800, denials=('grep "def": outside the workspace. To allow it: --add-dir ..',)),
        StateChanged(state="completed"),
        AgentFinished(
            status="completed", text="found", model=SMALL, served=("small-2",), turns=2, duration_ms=850,
            usage=Usage(input=30, output=12), cost_usd=None,
        ),
        agent=who,
    )  # fmt: skip

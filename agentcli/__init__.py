"""A terminal coding agent that delegates to workers, each on a model of its own. As a library:

    from agentcli import Agent

    agent = Agent.create("agent.hcl")
    with agent.session(".") as session:
        print(session.send("What does this project do?"))

`AsyncAgent` and `AsyncSession` are the same for programs that await. Every error is an `AgentError`.
"""

from agentcli.version import __version__

TYPE_CHECKING = False  # type checkers know the name; importing `typing` for it would cost more than the interpreter's own start
if TYPE_CHECKING:
    from agentcli.protocol.errors import AgentError as AgentError
    from agentcli.protocol.errors import AnswerCut as AnswerCut
    from agentcli.protocol.errors import AuthenticationFailed as AuthenticationFailed
    from agentcli.protocol.errors import BudgetLimit as BudgetLimit
    from agentcli.protocol.errors import ConfigError as ConfigError
    from agentcli.protocol.errors import ContextOverflow as ContextOverflow
    from agentcli.protocol.errors import Interrupted as Interrupted
    from agentcli.protocol.errors import InvalidResponse as InvalidResponse
    from agentcli.protocol.errors import LimitReached as LimitReached
    from agentcli.protocol.errors import ModelRefused as ModelRefused
    from agentcli.protocol.errors import OutputInvalid as OutputInvalid
    from agentcli.protocol.errors import ProviderError as ProviderError
    from agentcli.protocol.errors import RateLimited as RateLimited
    from agentcli.protocol.errors import RequestRejected as RequestRejected
    from agentcli.protocol.errors import SessionBusy as SessionBusy
    from agentcli.protocol.errors import SessionClosed as SessionClosed
    from agentcli.protocol.errors import SessionError as SessionError
    from agentcli.protocol.errors import SessionNotFound as SessionNotFound
    from agentcli.protocol.errors import StorageError as StorageError
    from agentcli.protocol.errors import StreamBroken as StreamBroken
    from agentcli.protocol.errors import Terminated as Terminated
    from agentcli.protocol.errors import TimeLimit as TimeLimit
    from agentcli.protocol.errors import ToolError as ToolError
    from agentcli.protocol.errors import TurnLimit as TurnLimit
    from agentcli.protocol.errors import Unavailable as Unavailable
    from agentcli.protocol.errors import UnknownAgent as UnknownAgent
    from agentcli.protocol.errors import UnknownModel as UnknownModel
    from agentcli.protocol.errors import UnknownOption as UnknownOption
    from agentcli.protocol.errors import UsageError as UsageError
    from agentcli.protocol.errors import WorkspaceError as WorkspaceError
    from agentcli.protocol.events import AgentFinished as AgentFinished
    from agentcli.protocol.events import AgentSpawned as AgentSpawned
    from agentcli.protocol.events import AnyEvent as AnyEvent
    from agentcli.protocol.events import ApprovalAnswered as ApprovalAnswered
    from agentcli.protocol.events import ApprovalAsked as ApprovalAsked
    from agentcli.protocol.events import ArgumentsDelta as ArgumentsDelta
    from agentcli.protocol.events import CallStarted as CallStarted
    from agentcli.protocol.events import Compacted as Compacted
    from agentcli.protocol.events import Envelope as Envelope
    from agentcli.protocol.events import Failure as Failure
    from agentcli.protocol.events import FellBack as FellBack
    from agentcli.protocol.events import ModeChanged as ModeChanged
    from agentcli.protocol.events import ModelChanged as ModelChanged
    from agentcli.protocol.events import ModelPinned as ModelPinned
    from agentcli.protocol.events import Notice as Notice
    from agentcli.protocol.events import Renamed as Renamed
    from agentcli.protocol.events import Replied as Replied
    from agentcli.protocol.events import RetryScheduled as RetryScheduled
    from agentcli.protocol.events import RunFinished as RunFinished
    from agentcli.protocol.events import SessionStarted as SessionStarted
    from agentcli.protocol.events import StateChanged as StateChanged
    from agentcli.protocol.events import TextDelta as TextDelta
    from agentcli.protocol.events import ThinkingDelta as ThinkingDelta
    from agentcli.protocol.events import ToolFinished as ToolFinished
    from agentcli.protocol.events import ToolOutput as ToolOutput
    from agentcli.protocol.events import ToolStarted as ToolStarted
    from agentcli.protocol.events import UserSubmitted as UserSubmitted
    from agentcli.protocol.messages import AssistantMessage as AssistantMessage
    from agentcli.protocol.messages import Image as Image
    from agentcli.protocol.messages import Message as Message
    from agentcli.protocol.messages import Text as Text
    from agentcli.protocol.messages import Thinking as Thinking
    from agentcli.protocol.messages import ToolCall as ToolCall
    from agentcli.protocol.messages import ToolMessage as ToolMessage
    from agentcli.protocol.messages import ToolResult as ToolResult
    from agentcli.protocol.messages import UserMessage as UserMessage
    from agentcli.protocol.models import ModelUse as ModelUse
    from agentcli.protocol.models import Usage as Usage
    from agentcli.protocol.tools import Access as Access
    from agentcli.protocol.tools import Tool as Tool
    from agentcli.protocol.tools import ToolContext as ToolContext
    from agentcli.protocol.tools import ToolOutcome as ToolOutcome
    from agentcli.sdk.agent import AsyncAgent as AsyncAgent
    from agentcli.sdk.options import SessionOptions as SessionOptions
    from agentcli.sdk.options import TaskSpec as TaskSpec
    from agentcli.sdk.options import WorkerAgentSpec as WorkerAgentSpec
    from agentcli.sdk.orchestrator import AsyncAgentOrchestrator as AsyncAgentOrchestrator
    from agentcli.sdk.own_tools import tool as tool
    from agentcli.sdk.result import AgentResult as AgentResult
    from agentcli.sdk.result import ItemResult as ItemResult
    from agentcli.sdk.result import Result as Result
    from agentcli.sdk.result import TeamItem as TeamItem
    from agentcli.sdk.result import TeamResult as TeamResult
    from agentcli.sdk.session import AsyncSession as AsyncSession
    from agentcli.sdk.stages import Stage as Stage
    from agentcli.sdk.sync import Agent as Agent
    from agentcli.sdk.sync_session import AgentOrchestrator as AgentOrchestrator
    from agentcli.sdk.sync_session import Session as Session
    from agentcli.store.sessions import SessionInfo as SessionInfo

_NAMES = {
    "sdk.sync": "Agent",
    "sdk.sync_session": "AgentOrchestrator Session",
    "sdk.agent": "AsyncAgent",
    "sdk.session": "AsyncSession",
    "sdk.orchestrator": "AsyncAgentOrchestrator",
    "sdk.options": "SessionOptions TaskSpec WorkerAgentSpec",
    "sdk.result": "AgentResult ItemResult Result TeamItem TeamResult",
    "sdk.own_tools": "tool",
    "sdk.stages": "Stage",
    "store.sessions": "SessionInfo",
    "protocol.tools": "Access Tool ToolContext ToolOutcome",
    "protocol.models": "ModelUse Usage",
    "protocol.messages": "AssistantMessage Image Message Text Thinking ToolCall ToolMessage ToolResult UserMessage",
    "protocol.events": (
        "AgentFinished AgentSpawned AnyEvent ApprovalAnswered ApprovalAsked ArgumentsDelta CallStarted Compacted Envelope "
        "Failure FellBack ModeChanged ModelChanged ModelPinned Notice Renamed Replied RetryScheduled RunFinished SessionStarted StateChanged "
        "TextDelta ThinkingDelta ToolFinished ToolOutput ToolStarted UserSubmitted"
    ),
    "protocol.errors": (
        "AgentError AnswerCut AuthenticationFailed BudgetLimit ConfigError ContextOverflow Interrupted InvalidResponse "
        "LimitReached ModelRefused OutputInvalid ProviderError RateLimited RequestRejected SessionBusy SessionClosed "
        "SessionError SessionNotFound StorageError StreamBroken Terminated TimeLimit ToolError TurnLimit Unavailable "
        "UnknownAgent UnknownModel UnknownOption UsageError WorkspaceError"
    ),
}
"""The public names, by where each lives: it is imported when it is first used, so that `import agentcli` costs nothing."""
_PLACES = {name: place for place, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Access", "Agent", "AgentError", "AgentFinished", "AgentOrchestrator", "AgentResult", "AgentSpawned", "AnswerCut", "AnyEvent",
    "ApprovalAnswered", "ApprovalAsked", "ArgumentsDelta", "AssistantMessage", "AsyncAgent", "AsyncAgentOrchestrator", "AsyncSession",
    "AuthenticationFailed", "BudgetLimit", "CallStarted", "Compacted", "ConfigError", "ContextOverflow", "Envelope", "Failure", "FellBack",
    "Image", "Interrupted", "InvalidResponse", "ItemResult", "LimitReached", "Message", "ModeChanged", "ModelChanged", "ModelPinned", "ModelRefused",
    "ModelUse", "Notice", "OutputInvalid", "ProviderError", "RateLimited", "Renamed", "Replied", "RequestRejected", "Result", "RetryScheduled",
    "RunFinished", "Session", "SessionBusy", "SessionClosed", "SessionError", "SessionInfo", "SessionNotFound", "SessionOptions",
    "SessionStarted", "Stage", "StateChanged", "StorageError", "StreamBroken", "TaskSpec", "TeamItem", "TeamResult", "Terminated", "Text",
    "TextDelta", "Thinking", "ThinkingDelta", "TimeLimit", "Tool", "ToolCall", "ToolContext", "ToolError", "ToolFinished", "ToolMessage",
    "ToolOutcome", "ToolOutput", "ToolResult", "ToolStarted", "TurnLimit", "Unavailable", "UnknownAgent", "UnknownModel", "UnknownOption",
    "Usage", "UsageError", "UserMessage", "UserSubmitted", "WorkerAgentSpec", "WorkspaceError", "__version__", "tool",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'agentcli' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"agentcli.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""A terminal coding agent that delegates to workers, each on a model of its own. As a library:

    from agentcli import Agent

    agent = Agent.create("agent.hcl")
    with agent.session(".") as session:
        print(session.send("What does this project do?"))
"""

from agentcli.version import __version__

TYPE_CHECKING = False  # type checkers know the name; importing `typing` for it would cost more than the interpreter's own start
if TYPE_CHECKING:
    from agentcli.protocol.errors import AgentError as AgentError
    from agentcli.sdk.agent import AsyncAgent as AsyncAgent
    from agentcli.sdk.options import SessionOptions as SessionOptions
    from agentcli.sdk.options import WorkerAgentSpec as WorkerAgentSpec
    from agentcli.sdk.result import Result as Result
    from agentcli.sdk.session import AsyncSession as AsyncSession

_PLACES = {
    "AgentError": "protocol.errors",
    "AsyncAgent": "sdk.agent",
    "AsyncSession": "sdk.session",
    "Result": "sdk.result",
    "SessionOptions": "sdk.options",
    "WorkerAgentSpec": "sdk.options",
}
"""Where each public name lives: it is imported when it is first used, so that `import agentcli` costs nothing."""

__all__ = ["AgentError", "AsyncAgent", "AsyncSession", "Result", "SessionOptions", "WorkerAgentSpec", "__version__"]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'agentcli' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"agentcli.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

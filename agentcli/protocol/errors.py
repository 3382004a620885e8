"""The one tree of errors. Every failure a person, a script or a model may meet is one of these.

    AgentError                          1   anything that ends a run
     |- UsageError                      2   what was asked for cannot be done as asked
     |   |- ConfigError                 2   a file, key or variable is wrong: carries file, line, column
     |   |- UnknownModel                2   carries the nearest names
     |   |- ModelRefused                2   a known model that may not or cannot be used here
     |   |- UnknownAgent                2   no such worker (definition or running)
     |   `- UnknownOption               2   an option of the library that does not exist
     |- ProviderError                   1   a model call failed: carries provider, status, retryable, retry_after
     |   |- AuthenticationFailed       41   401 and 403
     |   |- RateLimited                75   429
     |   |- Unavailable                75   5xx, connection, time limit of one call
     |   |- StreamBroken               75   an answer that stopped before it said it was done
     |   |- RequestRejected             1   400, 404, 413, 422 and the like: the same request would fail again
     |   |   `- ContextOverflow         1   the conversation no longer fits the model
     |   `- InvalidResponse             1   what came back is not this wire
     |- LimitReached                    1
     |   |- TurnLimit                  53
     |   |- BudgetLimit                54
     |   `- TimeLimit                 124
     |- Interrupted                   130   Ctrl-C or an interrupt command
     |- Terminated                    143   SIGTERM
     |- SessionError                    2
     |   |- SessionNotFound             2
     |   |- SessionBusy                 2   a second call while one runs
     |   `- SessionClosed               2
     |- StorageError                    1   a session or cache file cannot be written (a full disk, say)
     |- WorkspaceError                  1   a worker's own copy of the files cannot be made, saved or merged
     |- AnswerCut                       1   an answer that is not whole: output limit, content filter, refusal
     `- OutputInvalid                   1   an answer that does not fit the asked-for schema

    ToolError                               an expected failure of a tool; the model reads it, the run goes on

A message says what is wrong, where, and what to do next, in one line.
"""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    """Base of all errors of agentcli.

    Attributes:
        kind: a stable word for scripts (`result.error.kind` in JSON output).
        exit_code: what the process ends with when this error ends it.
        hint: what to do next, a separate sentence, or "".
        result: what a failed run had by then (`agentcli.Result`), or None.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.result: object = None

    def line(self) -> str:
        """The error as one line for a person: message, then hint."""
        text = f"{self.message} {self.hint}" if self.hint else self.message
        return " ".join(text.split())


class UsageError(AgentError):
    kind = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A config, agent or settings file is wrong. `line` and `column` count from 1; 0 means unknown."""

    kind = "config"

    def __init__(self, message: str, *, file: str = "", row: int = 0, column: int = 0, hint: str = "") -> None:
        place = ":".join(str(part) for part in (file, row, column) if part)
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.file = file
        self.row = row
        self.column = column


class UnknownModel(UsageError):
    kind = "unknown_model"

    def __init__(self, name: str, nearest: tuple[str, ...] = (), *, hint: str = "") -> None:
        near = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"unknown model '{name}'{near}.", hint=hint or "List what can be used with: agentcli models")
        self.name = name
        self.nearest = nearest


class ModelRefused(UsageError):
    kind = "model_refused"


class UnknownAgent(UsageError):
    kind = "unknown_agent"

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        near = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"unknown agent '{name}'{near}.")
        self.name = name
        self.known = known


class UnknownOption(UsageError):
    kind = "unknown_option"


class ProviderError(AgentError):
    """A model call failed.

    Attributes:
        provider: the provider's name in the config.
        status: HTTP status, or None where none arrived.
        retryable: whether the same request may succeed later.
        retry_after: seconds the service asked to wait, or None.
    """

    kind = "provider"
    retryable_by_default: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status: int | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider = provider
        self.status = status
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.retry_after = retry_after


class AuthenticationFailed(ProviderError):
    kind = "authentication"
    exit_code = 41


class RateLimited(ProviderError):
    kind = "rate_limit"
    exit_code = 75
    retryable_by_default = True


class Unavailable(ProviderError):
    kind = "unavailable"
    exit_code = 75
    retryable_by_default = True


class StreamBroken(ProviderError):
    kind = "stream_broken"
    exit_code = 75
    retryable_by_default = True


class RequestRejected(ProviderError):
    kind = "request_rejected"


class ContextOverflow(RequestRejected):
    kind = "context_overflow"


class InvalidResponse(ProviderError):
    kind = "invalid_response"


class LimitReached(AgentError):
    kind = "limit"


class TurnLimit(LimitReached):
    kind = "turn_limit"
    exit_code = 53


class BudgetLimit(LimitReached):
    kind = "budget"
    exit_code = 54


class TimeLimit(LimitReached):
    kind = "time_limit"
    exit_code = 124


class Interrupted(AgentError):
    kind = "interrupted"
    exit_code = 130


class Terminated(AgentError):
    kind = "terminated"
    exit_code = 143


class SessionError(AgentError):
    kind = "session"
    exit_code = 2


class SessionNotFound(SessionError):
    kind = "session_not_found"


class SessionBusy(SessionError):
    kind = "session_busy"


class SessionClosed(SessionError):
    kind = "session_closed"


class StorageError(AgentError):
    kind = "storage"


class AnswerCut(AgentError):
    kind = "answer_cut"


class WorkspaceError(AgentError):
    kind = "workspace"


class OutputInvalid(AgentError):
    kind = "output_invalid"


class ToolError(Exception):
    """An expected failure of a tool. Its text goes to the model as the call's result."""

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

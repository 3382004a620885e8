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

from typing import Any, ClassVar


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
        self.result: Any = None  # of a floor above

    def line(self) -> str:
        """The error as one line for a person: message, then hint."""
        text = f"{self.message} {self.hint}" if self.hint else self.message
        return " ".join(text.split())

    def __reduce__(self) -> tuple[object, ...]:
        """For process pools: the attributes go along, and no constructor formats a message that is made already."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[AgentError], args: tuple[object, ...], attributes: dict[str, object]) -> AgentError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class UsageError(AgentError):
    """What was asked for cannot be done as asked: an option, a flag, a name or a value is wrong. Nothing was started."""

    kind = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A config, agent or settings file, key or variable is wrong. `row` and `column` of `file` count from 1; 0 means unknown."""

    kind = "config"

    def __init__(self, message: str, *, file: str = "", row: int = 0, column: int = 0, hint: str = "") -> None:
        place = ":".join(str(part) for part in (file, row, column) if part)
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.file = file
        self.row = row
        self.column = column


class UnknownModel(UsageError):
    """Nobody has a model of that name. `name` is what was asked for, `nearest` the most alike that there are; where an alias was asked for,
    `target` is the name in it that nobody has."""

    kind = "unknown_model"

    def __init__(self, name: str, nearest: tuple[str, ...] = (), *, hint: str = "", place: str = "", target: str = "") -> None:
        near = f"; nearest: {', '.join(nearest)}" if nearest else ""
        where = f"{place}: " if place else ""
        alias = f" (an alias of '{target}')" if target else ""
        super().__init__(f"{where}unknown model '{name}'{alias}{near}.", hint=hint or "List what can be used with: agentcli models")
        self.name = name
        self.nearest = nearest
        self.target = target

    def placed(self, place: str) -> UnknownModel:
        """The same, saying where the name stands: a flag, a variable, `file:line: key`."""
        return UnknownModel(self.name, self.nearest, hint=self.hint, place=place, target=self.target)

    def hinted(self, hint: str) -> UnknownModel:
        """The same, with another word on what to do."""
        return UnknownModel(self.name, self.nearest, hint=hint, target=self.target)

    def through(self, alias: str) -> UnknownModel:
        """The same for an alias that led to it."""
        target = self.target or self.name
        return UnknownModel(alias, self.nearest, hint=self.hint, target=target if target != alias else "")


class ModelRefused(UsageError):
    """A known model that may not or cannot be used here: denied by a rule, without tool calls, or of unknown price under a budget."""

    kind = "model_refused"


class UnknownAgent(UsageError):
    """No such worker, defined or running. `name` is what was asked for, `known` those that there are."""

    kind = "unknown_agent"

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        near = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"unknown agent '{name}'{near}.")
        self.name = name
        self.known = known


class UnknownOption(UsageError):
    """An option of the library that does not exist; the hint names the nearest that does."""

    kind = "unknown_option"


class ProviderError(AgentError):
    """A model call failed.

    Attributes:
        provider: the provider's name in the config.
        status: HTTP status, or None where none arrived.
        retryable: whether the same request may succeed later.
        retry_after: seconds the service asked to wait, or None.
        elsewhere: whether another model may succeed: this one is not to be had, rather than the request being wrong.
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

    @property
    def elsewhere(self) -> bool:
        """Whether another model may well answer where this one did not."""
        return True


class AuthenticationFailed(ProviderError):
    """The service does not accept the key, or not for this model (401, 403)."""

    kind = "authentication"
    exit_code = 41


class RateLimited(ProviderError):
    """Too many requests (429), still after the retries; `retry_after` is what the service said."""

    kind = "rate_limit"
    exit_code = 75
    retryable_by_default = True


class Unavailable(ProviderError):
    """The service cannot be reached, is overloaded (5xx), or took longer than one call may, still after the retries."""

    kind = "unavailable"
    exit_code = 75
    retryable_by_default = True


class StreamBroken(ProviderError):
    """An answer that stopped before it said that it was done, still after the retries."""

    kind = "stream_broken"
    exit_code = 75
    retryable_by_default = True


class RequestRejected(ProviderError):
    """The service refuses the request itself (400, 404, 413, 422 and the like): the same would fail again."""

    kind = "request_rejected"

    @property
    def elsewhere(self) -> bool:
        """Where the account is spent (402) or the model is gone (404)."""
        return self.status in (402, 404)


class ContextOverflow(RequestRejected):
    """The conversation no longer fits the model's context."""

    kind = "context_overflow"


class InvalidResponse(ProviderError):
    """What came back is not what this wire speaks: a wrong base URL, say."""

    kind = "invalid_response"


class LimitReached(AgentError):
    """A bound that was set for the run was reached; `result` holds what there was by then."""

    kind = "limit"


class TurnLimit(LimitReached):
    """`max_turns` model calls, or `max_steps` rounds of tools, are used up."""

    kind = "turn_limit"
    exit_code = 53


class BudgetLimit(LimitReached):
    """`max_tokens`, `max_budget_usd` or `budget_tokens` are used up."""

    kind = "budget"
    exit_code = 54


class TimeLimit(LimitReached):
    """`timeout_s` seconds are over."""

    kind = "time_limit"
    exit_code = 124


class Interrupted(AgentError):
    """The run was ended from outside: `cancel`, `close`, Ctrl-C or an interrupt."""

    kind = "interrupted"
    exit_code = 130


class Terminated(AgentError):
    """The process was asked to end (SIGTERM, SIGHUP)."""

    kind = "terminated"
    exit_code = 143


class SessionError(AgentError):
    """A session cannot be opened or used as asked."""

    kind = "session"
    exit_code = 2


class SessionNotFound(SessionError):
    """No saved session has that id, or begins with it."""

    kind = "session_not_found"


class SessionBusy(SessionError):
    """A second call of the conversation while one runs. The first goes on."""

    kind = "session_busy"


class SessionClosed(SessionError):
    """The session or its agent is closed."""

    kind = "session_closed"


class StorageError(AgentError):
    """A session or cache file cannot be read or written (a full disk, say)."""

    kind = "storage"


class AnswerCut(AgentError):
    """An answer that is not whole: output limit, content filter or refusal. `result.text` is what came."""

    kind = "answer_cut"


class WorkspaceError(AgentError):
    """A worker's own copy of the files cannot be made, saved or merged."""

    kind = "workspace"


class OutputInvalid(AgentError):
    """The answer does not fit the asked-for schema, also when asked again. `result.text` is the answer."""

    kind = "output_invalid"


class ToolError(Exception):
    """An expected failure of a tool. Its text goes to the model as the call's result."""

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

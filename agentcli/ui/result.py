"""The one `result` object of json and stream-json: the field names that scripts of Claude Code's format read, and ours beside them.

Made from a tally alone, so that a crash, a signal or a spent budget gives one as well. A price that is not known is null, never 0.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agentcli.protocol.events import AgentState, Failure
from agentcli.protocol.messages import StopReason
from agentcli.protocol.models import ModelUse, Usage
from agentcli.sdk.tally import AgentTally, Denied, Ending, ModelTally, Tally

Limits = Callable[[str], tuple[int | None, int | None]]
"""A resolved model's name to its context and output limits in tokens, None where unknown."""


class UsageFields(Struct, frozen=True):
    """Tokens. `input_tokens` counts neither what was read from a cache nor what was written to one."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int


class ModelUsageFields(Struct, frozen=True, omit_defaults=True):
    """One model over the whole tree of agents. A limit that is not known is left out."""

    inputTokens: int  # noqa: N815 - the names of the format
    outputTokens: int  # noqa: N815
    cacheReadInputTokens: int  # noqa: N815
    cacheCreationInputTokens: int  # noqa: N815
    webSearchRequests: int  # noqa: N815
    costUSD: float | None  # noqa: N815
    calls: int
    served: tuple[str, ...]
    contextWindow: int | UnsetType = UNSET  # noqa: N815
    maxOutputTokens: int | UnsetType = UNSET  # noqa: N815


class ModelFields(Struct, frozen=True):
    """Proof of the model: what was asked for, what that came to, what the service says it served, and which link decided."""

    requested: str
    resolved: str
    served: str | None
    source: str


class ErrorFields(Struct, frozen=True):
    kind: str
    message: str
    hint: str
    exit_code: int
    provider: str | None
    status: int | None


class DenialFields(Struct, frozen=True):
    tool_name: str
    tool_use_id: str
    tool_input: dict[str, object]
    agent_id: str
    message: str


class AgentFields(Struct, frozen=True):
    """A worker. `usage` and `cost_usd` are its own, without its workers'."""

    id: str
    name: str
    agent: str
    parent: str
    status: AgentState
    background: bool
    model: ModelFields | None
    fallbacks: tuple[str, ...]
    usage: UsageFields
    cost_usd: float | None
    duration_ms: int
    turns: int
    tool_uses: int
    error: ErrorFields | None
    branch: str | None


class ResultLine(Struct, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """`usage`, `total_cost_usd`, `duration_api_ms` and `modelUsage` are sums over the whole tree; `num_turns` is the main agent's."""

    subtype: str
    is_error: bool
    result: str
    session_id: str
    uuid: str
    num_turns: int
    duration_ms: int
    duration_api_ms: int
    total_cost_usd: float | None
    stop_reason: str | None
    terminal_reason: str | None
    usage: UsageFields
    modelUsage: dict[str, ModelUsageFields]  # noqa: N815
    permission_denials: tuple[DenialFields, ...]
    structured_output: object
    api_error_status: int | None
    errors: tuple[str, ...]
    error: ErrorFields | None
    model: ModelFields | None
    agents: tuple[AgentFields, ...]
    denials: tuple[str, ...]
    fallbacks: tuple[str, ...]
    seq: int
    agent_id: str


def result_of(tally: Tally, ending: Ending, uuid: str, limits: Limits) -> ResultLine:
    failure = ending.failure
    main = tally.main
    return ResultLine(
        subtype=subtype_of(ending),
        is_error=failure is not None,
        result=tally.text,
        session_id=tally.session_id,
        uuid=uuid,
        num_turns=main.turns,
        duration_ms=tally.duration_ms,
        duration_api_ms=tally.api_ms,
        total_cost_usd=tally.cost_usd,
        stop_reason=stop_reason(main.stop) if main.stop else None,
        terminal_reason=terminal_reason(ending),
        usage=usage_fields(tally.usage),
        modelUsage={name: model_usage(model, limits(name)) for name, model in tally.models.items()},
        permission_denials=tuple(denial_fields(denied) for denied in tally.denied),
        structured_output=tally.structured,
        api_error_status=failure.status if failure else None,
        errors=(failure.line(),) if failure else (),
        error=error_fields(failure),
        model=model_fields(main.model),
        agents=tuple(agent_fields(agent) for agent in tally.workers.values()),
        denials=tuple(tally.denials),
        fallbacks=tuple(main.fallbacks),
        seq=tally.seq,
        agent_id=main.id,
    )


def subtype_of(ending: Ending) -> str:
    if ending.failure is None:
        return "success"
    match ending.failure.kind:
        case "turn_limit":
            return "error_max_turns"
        case "budget":
            return "error_max_budget_usd"
        case "output_invalid":
            return "error_max_structured_output_retries"
        case _:
            return "error_during_execution"


def terminal_reason(ending: Ending) -> str | None:
    """Only where the format has a word for it."""
    if ending.failure is None:
        return "completed"
    match ending.failure.kind:
        case "turn_limit":
            return "max_turns"
        case "interrupted" | "terminated":
            return "aborted_streaming"
        case "context_overflow":
            return "prompt_too_long"
        case _:
            return "model_error" if ending.failure.provider else None


def stop_reason(stop: StopReason) -> str | None:
    """The format's word; None for an answer that was cut off by us or by a fault."""
    match stop:
        case "end":
            return "end_turn"
        case "tool_calls":
            return "tool_use"
        case "length":
            return "max_tokens"
        case "content_filter" | "refusal":
            return "refusal"
        case "interrupted" | "error":
            return None


def usage_fields(usage: Usage) -> UsageFields:
    return UsageFields(usage.input, usage.output, usage.cache_write, usage.cache_read)


def model_usage(model: ModelTally, limits: tuple[int | None, int | None]) -> ModelUsageFields:
    context, output = limits
    return ModelUsageFields(
        inputTokens=model.usage.input,
        outputTokens=model.usage.output,
        cacheReadInputTokens=model.usage.cache_read,
        cacheCreationInputTokens=model.usage.cache_write,
        webSearchRequests=0,
        costUSD=model.cost_usd,
        calls=model.calls,
        served=tuple(model.served),
        contextWindow=UNSET if context is None else context,
        maxOutputTokens=UNSET if output is None else output,
    )


def model_fields(use: ModelUse | None) -> ModelFields | None:
    return ModelFields(use.requested, use.resolved, use.served, use.source) if use else None


def error_fields(failure: Failure | None) -> ErrorFields | None:
    if failure is None:
        return None
    return ErrorFields(failure.kind, failure.message, failure.hint, failure.exit_code, failure.provider or None, failure.status)


def denial_fields(denied: Denied) -> DenialFields:
    return DenialFields(denied.tool, denied.call_id, tool_input(denied.arguments), denied.agent_id, denied.message)


def agent_fields(agent: AgentTally) -> AgentFields:
    return AgentFields(
        id=agent.id,
        name=agent.name,
        agent=agent.agent,
        parent=agent.parent,
        status=agent.state,
        background=agent.background,
        model=model_fields(agent.model),
        fallbacks=tuple(agent.fallbacks),
        usage=usage_fields(agent.usage),
        cost_usd=agent.cost_usd,
        duration_ms=agent.duration_ms,
        turns=agent.turns,
        tool_uses=agent.tool_calls,
        error=error_fields(agent.failure),
        branch=agent.branch or None,
    )


def tool_input(arguments: str) -> dict[str, object]:
    """A call's arguments as the object that readers expect; what is no object stands under "unparsed"."""
    if not arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {"unparsed": arguments}
    return value if isinstance(value, dict) else {"unparsed": arguments}

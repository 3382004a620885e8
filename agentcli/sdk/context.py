"""What fills a session's context, estimated part by part, for a person who wants to know. No output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

from agentcli.engine.history import estimate_tokens
from agentcli.protocol.messages import AssistantMessage, ToolMessage, UserMessage

if TYPE_CHECKING:
    from agentcli.sdk.session import AsyncSession


class ContextPart(Struct, frozen=True):
    """One part and its estimated tokens (four characters each)."""

    name: str
    tokens: int


def context_parts(session: AsyncSession) -> list[ContextPart]:
    """System prompt, tools, and the messages by who wrote them. Their sum is what the next call sends, roughly."""
    system, tools = session.prompt_and_tools
    described = sum(len(json.dumps(tool.schema())) + len(tool.description) + len(tool.name) for tool in tools)
    kinds = (("your messages", UserMessage), ("answers and calls", AssistantMessage), ("tool results", ToolMessage))
    history = session.history
    parts = [ContextPart("system prompt", len(system) // 4), ContextPart(f"{len(tools)} tools", described // 4)]
    return parts + [ContextPart(name, estimate_tokens(one for one in history if isinstance(one, kind))) for name, kind in kinds]

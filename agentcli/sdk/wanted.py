"""The options of a session as they are worked with: plain data, already checked. `SessionOptions` is what a program writes and has checked.

The command line's flags are checked where they are read, so it comes straight here and never loads pydantic for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from agentcli.protocol.events import ApprovalAsked, Decision, PermissionMode
from agentcli.protocol.tools import Tool

OnApproval = Callable[[ApprovalAsked], Decision | bool | Awaitable[Decision | bool]]
"""Sync (it gets a thread of its own, so it may wait for a person) or async."""


class Wanted(Struct, kw_only=True):
    """The same fields as `SessionOptions`; see there."""

    model: str | None = None
    subagent_model: str | None = None
    workers: dict[str, str] = field(default_factory=dict)
    worker_agents: list[Any] = field(default_factory=list)
    agent: str | None = None
    effort: str | None = None
    fallback_models: list[str] = field(default_factory=list)
    permission_mode: PermissionMode | None = None
    allowed_tools: list[str] = field(default_factory=list)
    disallowed_tools: list[str] = field(default_factory=list)
    tools: list[str] | None = None
    agents_json: str | None = None
    own_tools: list[Tool[Any]] = field(default_factory=list)
    add_dirs: list[Path] = field(default_factory=list)
    max_turns: int | None = None
    max_budget_usd: float | None = None
    max_tokens: int | None = None
    timeout_s: float | None = None
    max_parallel: int | None = None
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    output_schema: Any = None
    session_id: str | None = None
    resume: str | None = None
    continue_latest: bool = False
    fork: bool = False
    save: bool = True
    on_approval: OnApproval | None = None

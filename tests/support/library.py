"""Agents of the library in tests: on the scripted model, or on the loopback server. The config is text, so it is the whole.

agent = scripted(["hello"])                        # an AsyncAgent; `hcl` gives the text alone, for the sync Agent
with Server(always=echo) as server:
    Agent.create(served(server, "small", "large"))
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentcli.sdk.agent import AsyncAgent

from .server import Answer, Captured, Server

MODELS = ("m1", "m2")


def hcl(replies: Sequence[Any], *, models: Sequence[str] = MODELS, more: str = "") -> str:
    """A config whose models say what the script says. A reply may be a plain text. The script lies in the working directory."""
    script = Path.cwd() / "script.json"
    script.write_text(json.dumps([{"text": reply} if isinstance(reply, str) else reply for reply in replies]), encoding="utf-8")
    blocks = "\n".join(f'models "{name}" {{ cost = {{ input = 1, output = 2 }} }}' for name in models)
    return f'default_model = "demo/{models[0]}"\nproviders "demo" {{\nwire = "scripted"\nscript = "{script}"\n{blocks}\n}}\n{more}'


def scripted(replies: Sequence[Any], **how: Any) -> AsyncAgent:
    return AsyncAgent.create_now(hcl(replies, **how))


def served(server: Server, *models: str, more: str = "") -> str:
    """A config whose provider `house` is the loopback server; the first model is the default."""
    blocks = "\n".join(f'models "{name}" {{ cost = {{ input = 1, output = 2 }} }}' for name in models)
    provider = f'providers "house" {{\nwire = "openai-chat"\napi_key = "sk-house-key"\nbase_url = "{server.url}"\n{blocks}\n}}'
    return f'default_model = "house/{models[0]}"\n{provider}\n{more}'


def echo(request: Captured) -> Answer:
    """Says which model was asked what last."""
    return Answer(f"{request.body['model']}: {last(request)}")


def last(request: Captured) -> str:
    """The text of a request's last message."""
    content = request.body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

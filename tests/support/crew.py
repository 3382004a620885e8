"""Sessions whose main agent delegates as it is told, on the loopback server: the model there is a pure function of what it is sent.

A prompt `CALL [{"name": …, "arguments": …}, …]` (see `calling`) makes the model call these tools, and answer when it has their results; any
other prompt is answered with `did <its first line>`. `obey_but` makes exceptions for some prompts. The lead of a team is given `TASKS`, a
reviewer approves. What was asked of which model, with which key, is read from the server's requests (see `Asked`).
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentcli.config.load import Config
from agentcli.protocol.events import AgentFinished, AgentSpawned, Envelope
from agentcli.sdk.agent import AsyncAgent
from agentcli.sdk.session import AsyncSession

from .server import Answer, Call, Captured, Reply, Script, Server

STRONG = "alpha/strong:low"
"""What sessions run on here: a level that is not the model's default."""
TASKS = [{"title": "one", "prompt": "work one"}, {"title": "two", "prompt": "work two"}]


def hcl(url: str, extra: str = "", beta: str = "") -> str:
    """Two providers, `alpha` and `beta`, at one server (told apart by path and key), ids with `/` and `:`, effort levels, a human name, an alias.

    `extra` stands at the top level, `beta` in that provider's block.
    """
    origin = url.removesuffix("/v1")
    return f"""
default_model = "{STRONG}"
providers "alpha" {{
  apiKey  = "sk-alpha-key-000001"
  baseUrl = "{origin}/alpha/v1"
  models "strong" {{
    effort         = ["low", "high"]
    default_effort = "high"
    cost           = {{ input = 2.0, output = 10.0 }}
  }}
  models "cheap" {{
    effort         = ["low", "medium"]
    default_effort = "medium"
    cost           = {{ input = 0.1, output = 0.4 }}
  }}
  models "mute" {{ tool_call = false }}
}}
providers "beta" {{
  apiKey  = "sk-beta-key-0000002"
  baseUrl = "{origin}/beta/v1"
  {beta}
  models "vendor/model:free" {{ }}
  models "qwen3:8b" {{ }}
  models "gemini-flash" {{
    name   = "Gemini 3.5 Flash"
    effort = ["low", "medium", "high"]
  }}
}}
aliases {{ fast = "alpha/cheap:low" }}
{extra}
"""


@dataclass(frozen=True)
class Asked:
    """A request as the service saw it: provider (by its path), key, model and effort, and the prompt that began the conversation."""

    provider: str
    key: str
    model: str
    effort: str
    prompt: str

    @property
    def on(self) -> str:
        """`provider/id[:effort]` as it really arrived."""
        name = f"{self.provider}/{self.model}"
        return f"{name}:{self.effort}" if self.effort else name


@functools.cache
def config(url: str, extra: str = "", beta: str = "") -> Config:
    """`hcl`, read once: reading takes longer than most tests."""
    return AsyncAgent.create_now(hcl(url, extra, beta)).config


def asked(request: Captured) -> Asked:
    body = request.body
    return Asked(
        provider=request.path.split("/")[1],
        key=request.headers["authorization"].removeprefix("Bearer "),
        model=body["model"],
        effort=body.get("reasoning_effort", ""),
        prompt=next(_text(message) for message in body["messages"] if message["role"] == "user"),
    )


def all_asked(requests: Iterable[Captured], prompt: str = "") -> list[Asked]:
    """What was asked in conversations that began with `prompt`, in order of arrival."""
    return [one for one in map(asked, requests) if one.prompt.startswith(prompt)]


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def calling(*calls: tuple[str, dict[str, Any]]) -> str:
    """The prompt that makes the model call tools, all in one answer."""
    return "CALL " + json.dumps([{"name": name, "arguments": arguments} for name, arguments in calls])


def obey(request: Captured) -> Answer:
    """The model: see the module's text."""
    last = request.body["messages"][-1]
    text = _text(last)
    if last["role"] == "tool":
        return Answer("I have the results.")
    if text.startswith("CALL "):
        return Answer(calls=tuple(Call(one["name"], one["arguments"], id=f"c{index}") for index, one in enumerate(json.loads(text[5:]))))
    if text.startswith("Goal:"):
        return Answer(json.dumps({"tasks": TASKS}))
    if text.startswith("Review one task"):
        return Answer(json.dumps({"approved": True, "feedback": ""}))
    return Answer(f"did {text.splitlines()[0]}")


def obey_but(**replies: Script) -> Callable[[Captured], Reply]:
    """`obey`, but conversations whose prompt begins with one of these words are answered so."""

    def decide(request: Captured) -> Reply:
        prompt = asked(request).prompt
        for word, reply in replies.items():
            if prompt.startswith(word):
                return reply(request) if callable(reply) else reply
        return obey(request)

    return decide


def results_in(request: Captured) -> list[str]:
    """The texts of the tool results that a request carries."""
    return [_text(message) for message in request.body["messages"] if message["role"] == "tool"]


def all_texts(requests: Iterable[Captured]) -> str:
    """Everything that the models were sent."""
    return "\n".join(_text(message) for request in requests for message in request.body["messages"])


@dataclass
class Seen:
    """The envelopes of a session as they came."""

    envelopes: list[Envelope]

    def of(self, kind: type[Any], agent_id: str = "") -> list[Any]:
        return [one.event for one in self.envelopes if isinstance(one.event, kind) and agent_id in ("", one.agent_id)]

    def by(self, kind: type[Any]) -> dict[str, Any]:
        """The last event of a kind of each agent."""
        return {one.agent_id: one.event for one in self.envelopes if isinstance(one.event, kind)}


@asynccontextmanager
async def opened(config: Config | str, folder: Path, **options: Any) -> AsyncIterator[tuple[AsyncSession, Seen]]:
    """A session with its events, closed in the end with all that it has."""
    agent = AsyncAgent(config, {}) if isinstance(config, Config) else await AsyncAgent.create(config)
    folder.mkdir(parents=True, exist_ok=True)
    async with agent:
        session = agent.session(folder, {"save": False, **options})
        seen = Seen([])
        session.listen(seen.envelopes.append)
        yield session, seen


@dataclass
class Told:
    """What one delegation came to: the results that its parent was given, and what was asked of the models."""

    results: list[str]
    requests: list[Captured]

    def of(self, prompt: str) -> list[Asked]:
        return all_asked(self.requests, prompt)


async def delegate(session: AsyncSession, server: Server, *calls: tuple[str, dict[str, Any]]) -> Told:
    """The main agent calls tools as told; a run that fails raises."""
    before = len(server.requests)
    await session.send(calling(*calls))
    requests = server.requests[before:]
    ours = [one for one in requests if asked(one).prompt.startswith("CALL ") and results_in(one)]
    # A session's later runs carry the earlier results too: only this run's are wanted.
    return Told(results_in(ours[-1])[-len(calls) :] if ours else [], requests)


def names(envelopes: Sequence[Envelope], kind: type[Any]) -> list[str]:
    """Which agents had an event of that kind, in order."""
    return [one.agent_id for one in envelopes if isinstance(one.event, kind)]


def each_ended_once(seen: Seen) -> bool:
    """Whether each worker that was announced was told to have ended, once."""
    spawned, finished = names(seen.envelopes, AgentSpawned), names(seen.envelopes, AgentFinished)
    return Counter(spawned) == Counter(finished) and len(set(spawned)) == len(spawned)


async def until(session: AsyncSession, fits: Callable[[Any], bool], count: int = 1) -> None:
    """Waits for `count` envelopes that fit."""
    left = asyncio.Semaphore(0)
    leave = session.listen(lambda envelope: left.release() if fits(envelope) else None)
    try:
        async with asyncio.timeout(10):
            for _ in range(count):
                await left.acquire()
    finally:
        leave()

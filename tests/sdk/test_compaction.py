"""A conversation that no longer fits, through the library and over every wire: it is made shorter, goes on, and is resumed as it then was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.library import scripted, served
from support.server import Answer, Captured, Failed, Reply, Server, failed
from support.wires import BY_NAME, NAMES

from agentcli import Agent, AsyncSession
from agentcli.protocol.errors import AgentError, Interrupted, SessionBusy, UsageError
from agentcli.protocol.events import Compacted, Envelope, Event, ModelChanged

VENDOR = {
    "openai-chat": failed(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    "openai-responses": failed(400, "Your input exceeds the context window of this model.", code="context_length_exceeded"),
    "anthropic": failed(400, "prompt is too long: 9001 tokens > 8192 maximum"),
    "gemini": failed(400, "The input token count (9001) exceeds the maximum number of tokens allowed (8192)."),
}
LONG = "word " * 2_000


def hcl(url: str, wire: str = "openai-chat", model: str = "", more: str = "") -> str:
    origin = url if wire != "gemini" else url.removesuffix("/v1") + "/v1beta"
    return f"""
default_model = "house/m"
providers "house" {{
  wire = "{wire}"
  api_key = "sk-house-key-0001"
  base_url = "{origin}"
  models "m" {{
    cost = {{ input = 1, output = 2 }}
    {model}
  }}
  models "little" {{
    limit = {{ context = 6000, output = 500 }}
  }}
}}
limits {{
  retries = 1
  retry_first_s = 0.01
  {more}
}}
"""


def is_summing(request: Captured) -> bool:
    return "memory of a coding agent" in json.dumps(request.body)


def crowded(most: int, refusal: Failed) -> Callable[[Captured], Reply]:
    """A service that takes no more than so many bytes, whoever asks for what."""

    def reply(request: Captured) -> Reply:
        if len(request.raw) > most:
            return refusal
        return Answer("They said long things.") if is_summing(request) else Answer(f"I heard {LONG}")

    return reply


def of(envelopes: list[Envelope], kind: type[Event]) -> list[Any]:
    return [envelope.event for envelope in envelopes if isinstance(envelope.event, kind)]


@pytest.mark.parametrize("wire", NAMES)
def test_a_request_that_a_service_refuses_as_too_long_in_its_own_words_is_made_shorter_and_sent_again(wire: str, tmp_path: Path) -> None:
    seen: list[Envelope] = []
    with Server() as probe, Agent.create(hcl(probe.url, wire)) as agent, agent.session(tmp_path, save=False) as session:
        probe.reply(Answer("hi"))
        session.send("hi")
        size = len(probe.requests[0].raw)
    with Server(always=crowded(size + 35_000, VENDOR[wire])) as server, Agent.create(hcl(server.url, wire)) as agent:
        with agent.session(tmp_path) as session:
            session.listen(seen.append)
            for number in range(4):
                result = session.send(f"turn {number}: {LONG}")
                assert result.text.startswith("I heard"), result
            before = session.history
        with agent.resume_session(session.id) as again:
            assert again.history == before
            assert again.send("and now?").text.startswith("I heard")
    found = of(seen, Compacted)
    assert found and {event.trigger for event in found} == {"overflow"}
    assert before[0].text().startswith("turn 0")  # type: ignore[union-attr]
    assert all(BY_NAME[wire].problems(request.body) == [] for request in server.requests)
    refused = [request for request in server.requests if len(request.raw) > size + 35_000]
    assert len(refused) == len(found) + 1, "each refusal cost one request, the last that of the resumed session"


def test_before_a_request_would_be_too_long_for_what_is_known_of_the_model_no_refusal_is_waited_for(tmp_path: Path) -> None:
    def reply(request: Captured) -> Reply:
        return Answer("They said long things.") if is_summing(request) else Answer(LONG)

    with Server(always=reply) as server:
        made = Agent.create(hcl(server.url, model="limit = { context = 16000, output = 1000 }"))
        with made as agent, agent.session(tmp_path, save=False) as session:
            results = [session.send(f"turn {number}: {LONG}") for number in range(5)]
    assert any(map(is_summing, server.requests))
    asked = len(server.requests)
    assert sum(result.usage.input for result in results) == asked * 10, "the summary's tokens are counted"
    assert sum(result.cost_usd or 0 for result in results) == pytest.approx(asked * (10 * 1 + 5 * 2) / 1e6)
    assert max(len(request.raw) for request in server.requests) < 15_000 * 4


def test_a_person_or_a_program_compacts_and_hears_what_it_came_to(tmp_path: Path) -> None:
    with Server(always=crowded(10**7, VENDOR["openai-chat"])) as server, Agent.create(hcl(server.url)) as agent:
        with agent.session(tmp_path) as session:
            with pytest.raises(UsageError, match="nothing to compact"):
                session.compact()
            for number in range(3):
                session.send(f"turn {number}: {LONG}")
            done = session.compact("the names of the files")
            kept = session.history
            result = session.send("go on")
        assert "the names of the files" in json.dumps(next(request.body for request in server.requests if is_summing(request)))
        assert (done.trigger, done.usage.input, done.cost_usd) == ("manual", 10, pytest.approx(20e-6))
        assert done.tokens_after < done.tokens_before * 0.7
        assert result.usage.input == 10, "what was asked before the run is not the run's"
        assert "They said long things." in kept[1].text()  # type: ignore[union-attr]
        with agent.resume_session(session.id) as again:
            assert again.history[: len(kept)] == kept


def test_a_switch_to_a_model_with_less_room_makes_the_history_fit_it_before_it_is_asked(tmp_path: Path) -> None:
    seen: list[Envelope] = []

    def reply(request: Captured) -> Reply:
        if request.body["model"] == "little" and len(request.raw) > 6_000 * 4 + 8_000:
            return VENDOR["openai-chat"]
        return Answer("They said long things.") if is_summing(request) else Answer("yes")

    with Server(always=reply) as server, Agent.create(hcl(server.url)) as agent, agent.session(tmp_path, save=False, tools=[]) as session:
        session.listen(seen.append)
        for number in range(5):
            session.send(f"turn {number}: {LONG}")
        session.use_model("house/little")
        assert session.send("and now?").text == "yes"
    assert len(of(seen, Compacted)) == 1 and of(seen, ModelChanged)
    assert not [request for request in server.requests if request.body["model"] == "little" and len(request.raw) > 6_000 * 4 + 8_000]


def test_while_it_compacts_nothing_else_is_said_and_it_can_be_called_off(play: Any) -> None:
    async def scene(session: AsyncSession) -> None:
        for text in ("a", "b", "c"):
            await session.send(text)
        before, begun = session.history, asyncio.Event()
        session.listen(lambda envelope: begun.set() if getattr(envelope.event, "detail", "") else None)
        compacting = asyncio.create_task(session.compact())
        await begun.wait()
        with pytest.raises(SessionBusy):
            await session.send("d")
        await session.cancel()
        with pytest.raises(Interrupted):
            await compacting
        assert session.history == before
        assert (await session.send("d")).text == "on"

    play(scripted(["one " * 99, "two " * 99, "three", {"text": "half", "hang": True}, "on"]), scene)


def test_where_it_cannot_be_made_to_fit_a_program_gets_the_error_and_keeps_its_history(tmp_path: Path) -> None:
    with Server(always=VENDOR["openai-chat"]) as server, Agent.create(served(server, "m")) as agent:
        session = agent.session(tmp_path, save=False)
        with pytest.raises(AgentError, match="could not be made to fit") as caught:
            session.send("hello")
        assert len(session.history) == 1
    assert caught.value.kind == "context_overflow"
    assert len(server.requests) == 1

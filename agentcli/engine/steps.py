"""How a small model is led: each step constrained to one object, a call or the wish to answer, and then a free answer."""

from __future__ import annotations

from agentcli.engine.ask import Ask, MakeRequest
from agentcli.engine.control import ActiveModel
from agentcli.engine.small import answer_request, read_step, step_request
from agentcli.engine.stream import Reply
from agentcli.protocol.messages import AssistantMessage
from agentcli.providers.base import ModelRequest


async def small_answer(ask: Ask, make: MakeRequest, call_id: str) -> Reply:
    """A step's call as an ordinary answer with one tool call, or the free answer."""

    def step(active: ActiveModel) -> ModelRequest:
        return step_request(make(active))

    def answer(active: ActiveModel) -> ModelRequest:
        return answer_request(make(active))

    request = make(ask.models.current())
    if request.tools:
        reply = await ask.once(step, "step")
        call = read_step(reply.message, call_id, request)
        reply.message = AssistantMessage((call,), "tool_calls") if call else AssistantMessage((), "end")
        ask.emit(reply.event(ask.calls))
        if call is not None:
            return reply
    return await ask.once(answer)

"""The same piece of work for every kind of program: two sessions on two models, a worker, a fan-out. It knows no event loop."""

from __future__ import annotations

from agentcli import Agent


def scenario(agent: Agent) -> list[str]:
    with agent.session(".", model="fast") as session, agent.session(".", model="strong") as reviewer:
        draft = session.send("Say hello in one word.")
        review = reviewer.send(f"Answer with one word, good or bad. Is this a greeting: {draft}")
        found = session.task("scout", "Name one file of this folder.")
        outcomes = session.parallel([{"agent": "scout", "prompt": "Name one file of this folder."}] * 2)
        return [str(draft), str(review), str(found), *(str(outcome) for outcome in outcomes)]

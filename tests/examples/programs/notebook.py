"""As in a notebook: an event loop is already running, and the cell just calls."""

import asyncio

from agentcli import Agent
from scenario import scenario


async def cell() -> None:
    agent = Agent.create("agent.hcl")
    for line in scenario(agent):
        print(line)
    agent.close()


asyncio.run(cell())

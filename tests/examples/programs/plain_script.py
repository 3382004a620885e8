"""A plain script: nothing awaits, the agent closes at the end of the block."""

from agentcli import Agent
from scenario import scenario

with Agent.create("agent.hcl") as agent:
    for line in scenario(agent):
        print(line)

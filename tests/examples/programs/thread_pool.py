"""Many threads share one agent; each has sessions of its own."""

from concurrent.futures import ThreadPoolExecutor

from agentcli import Agent
from scenario import scenario

with Agent.create("agent.hcl") as agent, ThreadPoolExecutor(3) as pool:
    for lines in pool.map(lambda _: scenario(agent), range(3)):
        print(" | ".join(lines))

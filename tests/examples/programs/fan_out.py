"""Workers side by side under one budget, then a pipeline whose items do not wait for each other."""

from agentcli import Agent, Result, Stage, TaskSpec, WorkerAgentSpec

FILES = ["a.txt", "b.txt", "none.txt"]


def long_enough(found: Result) -> Result | None:
    """None ends an item: nothing is left to do for it."""
    return None if "nothing" in found.text else found


with Agent.create("agent.hcl") as agent:
    session = agent.session(".", worker_agents=[WorkerAgentSpec(name="scout", description="Reads files.", model="fast")])

    tasks = [TaskSpec(agent="scout", prompt=f"What is in {name}?", timeout_s=120) for name in FILES]
    for outcome in session.parallel(tasks, budget_tokens=100_000, max_parallel=2):
        print("outcome:", outcome.text if outcome.ok else outcome.failure)

    stages: list[Stage] = [{"agent": "scout", "prompt": "What is in {item}?"}, long_enough, {"agent": "scout", "prompt": "Say in one word: {previous}"}]
    for item in session.pipeline(FILES, stages):
        print("item:", item.item, "dropped" if item.dropped else item.text)
    session.close()

"""A worker in the background is told something, and waited for."""

from agentcli import Agent, AgentOrchestrator, UnknownAgent

with Agent.create("agent.hcl") as agent, agent.session(".") as session:
    orchestrator = AgentOrchestrator(session)
    worker = session.task("scout", "List the files of this folder.", background=True)
    orchestrator.inject_prompt(worker.id, "One line is enough.")
    try:
        orchestrator.pause_agent("scout-99")
    except UnknownAgent as error:
        print("known:", ", ".join(error.known))
    print(orchestrator.wait(worker.id, timeout_s=300))
    print([(one.name, one.status) for one in session.agents])

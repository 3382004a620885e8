"""A lead splits the goal, workers do the parts, a reviewer approves them; each role on a model of its own."""

from agentcli import Agent, AgentError

with Agent.create("agent.hcl") as agent, agent.session(".") as session:
    try:
        team = session.team("Name the colours of a traffic light.", lead_model="strong", worker_model="fast", max_rounds=2, max_steps=4)
    except AgentError as error:
        print("the team could not begin:", error.line())
    else:
        for part in team.items:
            print("part:", part.title, "approved" if part.approved else "rejected")
        print("members:", len(team.members), "tokens:", team.usage.total > 0)

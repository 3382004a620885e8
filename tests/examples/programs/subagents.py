from agentcli import Agent

agent = Agent.create("agent.hcl")
session = agent.session(".")

result = session.send(
    "Use the task tool to write unit tests for the auth module"
)
print(result.text)

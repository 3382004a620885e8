from agentcli import Agent, SessionOptions, WorkerAgentSpec

agent = Agent.create(open('agent.acl').read())

opts = SessionOptions()
# Orchestrator stays on the stronger model.
opts.model = 'openai/gpt-4o'
# High-volume exploration runs on the cheaper model.
opts.worker_agents = [
    WorkerAgentSpec(
        name='scout',
        description='Reads files and reports findings.',
        model='openai/MiniMax-M2.7-highspeed',
    ),
]
session = agent.session('.', opts)

# Delegate exploration to the cheaper worker, then reason on the strong model.
findings = session.task('scout', 'List every public API in src/.')
plan = session.run(f'Given these findings, propose a refactor:\n{findings}')
print(plan)

session.close()

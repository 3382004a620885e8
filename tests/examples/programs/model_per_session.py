from agentcli import Agent, SessionOptions

agent = Agent.create(open('agent.acl').read())

# A fast model for high-volume, low-stakes work.
fast_opts = SessionOptions()
fast_opts.model = 'openai/MiniMax-M2.7-highspeed'
fast = agent.session('.', fast_opts)
draft = fast.run('Draft a short README intro for this project.')
print('draft:', draft)
fast.close()

# A stronger model for review / higher-stakes reasoning.
review_opts = SessionOptions()
review_opts.model = 'openai/gpt-4o'
review = agent.session('.', review_opts)
critique = review.run(f'Critique this README intro:\n{draft}')
print('critique:', critique)
review.close()

"""A program that awaits: two conversations at once, then one streamed."""

import asyncio

from agentcli import AsyncAgent, Envelope, Result, TextDelta


async def main() -> None:
    async with AsyncAgent.create_now("agent.hcl") as agent:
        fast, strong = agent.session(".", model="fast"), agent.session(".", model="strong")
        drafts = await asyncio.gather(fast.send("Say hello in one word."), strong.send("Say goodbye in one word."))
        print(*drafts, sep="\n")
        async for item in fast.stream("Say it again."):
            if isinstance(item, Result):
                print("result:", item.ok, item.model.served if item.model else "")
            elif isinstance(item, Envelope) and isinstance(item.event, TextDelta):
                print("text:", item.event.text)


asyncio.run(main())

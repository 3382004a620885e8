"""A tool of one's own: a typed function. It is asked about like any other tool, so this program allows it by name."""

from agentcli import Agent, SessionOptions, tool

PRICES = {"apple": 120, "pear": 250}


@tool
def price(fruit: str) -> str:
    """Tells what a fruit costs.

    Args:
        fruit: Its name in the singular, in lower case.
    """
    return f"{fruit}: {PRICES.get(fruit, 0)} cents"


options = SessionOptions(own_tools=[price], allowed_tools=["price"])
with Agent.create("agent.hcl") as agent, agent.session(".", options) as session:
    result = session.send("What does a pear cost? Use the price tool.")
    print(result)
    print("calls:", [call.name for call in result.tool_calls])

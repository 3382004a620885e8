"""An answer as an object: the model's answer must fit a pydantic model, and is one."""

from typing import Literal

from pydantic import BaseModel

from agentcli import Agent, OutputInvalid


class Verdict(BaseModel):
    verdict: Literal["good", "bad"]
    reason: str


with Agent.create("agent.hcl") as agent, agent.session(".") as session:
    try:
        result = session.send("Is 'x1' a good name for a variable that holds a price?", output_schema=Verdict)
    except OutputInvalid as error:
        print("no verdict:", error.line())
    else:
        assert isinstance(result.structured, Verdict)
        print(result.structured.verdict, "-", result.structured.reason)

"""The arguments of the delegation tools: the parameter names are a contract, taken from the systems this one follows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agentcli.engine.schema import flaw


def _valid(schema: dict[str, Any]) -> dict[str, Any]:
    if wrong := flaw(schema):
        raise ValueError(f"this is no valid JSON schema: {wrong}")
    return schema


Schema = Annotated[dict[str, Any], AfterValidator(_valid)]

Model = Annotated[str | None, Field(description="Model for this worker: provider/id[:effort], an alias or a human name. Leave out to inherit.")]
Workspace = Annotated[
    str | None,
    Field(description="inherit (default: your folder), branch (its own clone), share (one clone for several), or a path of a folder inside yours."),
]


class _Args(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class TaskArgs(_Args):
    agent: str = Field(description="Which worker: a name from the list in this tool's description.")
    prompt: str = Field(min_length=1, description="The whole task. The worker knows nothing else: name files, facts, and what to report.")
    description: str | None = Field(default=None, description="The task in three to six words, for the person.")
    model: Model = None
    workspace: Workspace = None
    max_steps: int | None = Field(default=None, ge=1, description="Most rounds of tool calls.")
    background: bool = Field(default=False, description="True: go on at once; the report comes later as a message.")
    output_schema: Schema | None = Field(default=None, description="A JSON schema that the worker's answer must fit.")
    timeout_s: float | None = Field(default=None, gt=0, description="Most seconds the worker may run.")


class ParallelArgs(_Args):
    tasks: list[TaskArgs] = Field(min_length=1, description="Independent tasks; they neither share state nor talk.")
    max_parallel: int | None = Field(default=None, ge=1, description="Most workers at once; the rest queue.")
    min_success: int | None = Field(default=None, ge=0, description="Fewer successes than this make the call a failure.")
    timeout_s: float | None = Field(default=None, gt=0, description="Most seconds for all together.")


class StageArgs(_Args):
    agent: str = Field(description="Which worker does this stage.")
    prompt: str = Field(min_length=1, description="The stage's task; {item} and {previous} (the text of the stage before) are filled in.")
    model: Model = None
    workspace: Workspace = None
    max_steps: int | None = Field(default=None, ge=1, description="Most rounds of tool calls.")
    description: str | None = Field(default=None, description="The stage in three to six words, for the person.")
    output_schema: Schema | None = Field(default=None, description="A JSON schema that the stage's answer must fit.")
    timeout_s: float | None = Field(default=None, gt=0, description="Most seconds for this stage.")


class PipelineArgs(_Args):
    items: list[str] | None = Field(default=None, description="What goes through the stages, each on its own; leave out for one pass.")
    stages: list[StageArgs] = Field(min_length=1, description="The stages, in order.")


class TeamArgs(_Args):
    goal: str = Field(min_length=1, description="What the team shall reach.")
    lead_agent: str = Field(default="general", description="Who splits the goal into tasks.")
    worker_agent: str = Field(default="general", description="Who does the tasks.")
    reviewer_agent: str = Field(default="general", description="Who approves or rejects each result.")
    lead_model: Model = None
    worker_model: Model = None
    reviewer_model: Model = None
    workers: int = Field(default=3, ge=1, description="Most workers at once.")
    max_steps: int | None = Field(default=None, ge=1, description="Most rounds of tool calls of one member.")
    max_rounds: int = Field(default=10, ge=1, description="Most rounds of work and review.")
    workspace: Workspace = None


class DefineArgs(_Args):
    name: str = Field(min_length=1, description="Name of the new worker type.")
    description: str = Field(description="What it is for.")
    system_prompt: str = Field(description="Its instructions.")
    enable_mcp_tools: bool = Field(default=False, description="May use the tools of MCP servers.")
    enable_subagent_tools: bool = Field(default=False, description="May start workers of its own.")
    enable_write_tools: bool = Field(default=False, description="May change files and run commands.")
    Model: str | None = Field(default=None, description="Default model of this worker type.")


class Invocation(_Args):
    TypeName: str = Field(description="Worker type.")
    Role: str = Field(description="Label of this worker, for the person and in results.")
    Prompt: str = Field(min_length=1, description="The whole task.")
    Workspace: str | None = Field(default=None, description="inherit, branch or share.")
    Model: str | None = Field(default=None, description="Model for this worker. Leave out to inherit.")


class InvokeArgs(_Args):
    Subagents: list[Invocation] = Field(min_length=1, description="Workers to start, side by side.")
    Background: bool = Field(default=False, description="True: go on at once; reports come later as messages.")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """One flat object is accepted in place of the list."""
        if isinstance(value, dict) and "TypeName" in value and "Subagents" not in value:
            one = dict(value)
            background = one.pop("Background", False)
            return {"Subagents": [one], "Background": background}
        return value


class SendArgs(_Args):
    Recipient: str = Field(description="Id, name or role of a running worker.")
    Message: str = Field(min_length=1, description="What to tell it; it reads this at its next step.")


class ManageArgs(_Args):
    Action: Literal["list", "kill", "kill_all", "pause", "resume"] = Field(description="What to do.")
    Ids: list[str] | None = Field(default=None, description="Which workers; not needed for list and kill_all.")

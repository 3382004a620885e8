"""The `bash` tool: one shell command in the agent's folder. What a command may do is decided before it gets here."""

from __future__ import annotations

import shutil
import signal
from typing import Any

from pydantic import AliasChoices, Field, field_validator

from agentcli.protocol.errors import AgentError, ToolError
from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, CommandDisplay, Tool, ToolContext, ToolOutcome
from agentcli.system import processes
from agentcli.tools.arguments import Arguments
from agentcli.tools.outputs import Collected, Output
from agentcli.tools.texts import refuse_surrogates

TIMEOUT_S = 120
LONGEST_S = 600
GRACE_S = 1.0
"""Between TERM and KILL. A cancelled agent has two seconds to leave no process behind."""
LONGEST_COMMAND = 100_000
"""Characters. Linux takes 128 KiB in one argument."""
BACKGROUND = "COMMAND > FILE.log 2>&1 &"


class BashArgs(Arguments):
    command: str = Field(validation_alias=AliasChoices("command", "cmd", "script", "code"), description="The command, or a script of several lines.")
    timeout_s: float = Field(
        TIMEOUT_S,
        gt=0,
        le=LONGEST_S,
        validation_alias=AliasChoices("timeout_s", "timeout", "timeout_seconds"),
        description="Seconds after which it is ended.",
    )
    description: str = Field("", description="What it does, in a few words, for the person.")

    @field_validator("timeout_s", mode="before")
    @classmethod
    def _at_most(cls, value: Any) -> Any:
        """A longer time is the longest, not a mistake: the answer says when the time was over."""
        return min(value, LONGEST_S) if isinstance(value, int | float) else value


class Bash(Tool[BashArgs]):
    name = "bash"
    description = (
        "Runs a shell command with bash in the working folder. Gives its output, stdout and stderr together, and its exit code where that is "
        "not 0. Every call is a new shell: cd and variables do not carry over, so join steps with &&. There is no terminal and no input: pass "
        f"flags such as -y. It is ended after timeout_s seconds ({TIMEOUT_S} by default, at most {LONGEST_S}); start what runs longer, such as a "
        f"server, in the background with its output in a file ({BACKGROUND}) and look at that file later. Long output is cut in the middle and "
        "saved whole to a file. To read, find, search or change files use read, ls, glob, grep, edit and write instead."
    )
    short = "Run a shell command."
    args = BashArgs

    def access(self, args: BashArgs) -> Access:
        return Access(command=args.command)

    def title(self, args: BashArgs) -> str:
        """The command comes first: a description must not stand for it."""
        command, description = " ".join(args.command.split()), " ".join(args.description.split())
        return f"{command}  # {description}" if description else command

    async def run(self, args: BashArgs, ctx: ToolContext) -> ToolOutcome:
        _refuse_impossible(args.command)
        output = Output(ctx)
        shell = "bash" if shutil.which("bash", path=ctx.child_env.get("PATH")) else "/bin/sh"
        try:
            done = await processes.run(
                [shell, "-c", "--", args.command],
                cwd=ctx.cwd,
                env=ctx.child_env,
                timeout_s=args.timeout_s,
                merge_stderr=True,
                max_output=0,
                on_output=output.take,
                grace_s=GRACE_S,
            )
            collected = output.finish()
        except AgentError as error:
            raise ToolError(error.line(), code="not_started") from error
        finally:
            output.close()
        return _outcome(args, done, collected)


def _refuse_impossible(command: str) -> None:
    if not command.strip():
        raise ToolError("the command is empty", code="bad_command")
    if "\0" in command:
        raise ToolError("the command holds a NUL character, which no shell takes; write it as \\0 in printf or $'\\0'", code="bad_command")
    if len(command.encode("utf-8", "replace")) > LONGEST_COMMAND:
        raise ToolError(f"the command is longer than {LONGEST_COMMAND:,} bytes; write it to a file first and run that", code="bad_command")
    refuse_surrogates(command, "the command")


def _outcome(args: BashArgs, done: processes.Completed, collected: Collected) -> ToolOutcome:
    output = collected.text.rstrip("\n")
    parts = [output or "(no output)", *_ending(args, done)]
    full_output = str(collected.file) if collected.file else ""
    data: dict[str, object] = {"exit_code": done.exit_code, "timed_out": done.timed_out}
    if full_output:
        data["full_output"] = full_output
    return ToolOutcome(
        (Text("\n".join(parts)),),
        CommandDisplay(args.command, output, done.exit_code, done.timed_out, full_output),
        is_error=done.exit_code != 0,
        data=data,
    )


def _ending(args: BashArgs, done: processes.Completed) -> list[str]:
    """How it ended, where that was not well."""
    if done.timed_out:
        more = f"give timeout_s up to {LONGEST_S}, or " if args.timeout_s < LONGEST_S else ""
        return [
            f"[not done after {args.timeout_s:g} s: ended, with all it had started. If it needs longer, {more}run it in the background: {BACKGROUND}]"
        ]
    if done.exit_code is not None and done.exit_code < 0:
        return [f"[ended by signal {_signal_name(-done.exit_code)}]"]
    return [f"[exit code {done.exit_code}]"] if done.exit_code else []


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)

"""The flags of `agentcli [PROMPT]`, turned into what one run is asked to do. No work happens here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand

from agentcli.protocol.errors import Interrupted, UsageError
from agentcli.protocol.names import permission_mode
from agentcli.ui.output import is_terminal
from agentcli.ui.places import folder_of
from agentcli.version import __version__

if TYPE_CHECKING:
    from agentcli.ui.printing import OutputFormat

COMMANDS_HELP = """Commands (only as the first word): models, agents, sessions, config, local, compare; see agentcli COMMAND --help.

Exit codes: 0 done, 1 failed, 2 usage or config, 41 authentication, 53 turn limit, 54 budget, 75 transient, 124 time limit, 130 Ctrl-C,
143 SIGTERM."""


FORMATS = ("text", "json", "stream-json")
INPUT_FORMATS = ("text", "stream-json")
COLORS = ("auto", "always", "never")

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=HELP)


class Lean(TyperCommand):
    """Flags that were not given, and plain texts, need no type adapter: building all of them costs more than the rest of the command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for param in self.get_params(ctx):
            param.process_value = partial(_adapted_only, param.process_value)  # type: ignore[method-assign]
        return super().parse_args(ctx, with_empty_resume(args))

    def invoke(self, ctx: Any) -> Any:
        """typer makes an exit code of Ctrl-C; as an error it ends like any other, with a result in JSON modes."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted.") from None


def with_empty_resume(args: list[str]) -> list[str]:
    """`--resume` takes an id or nothing; the parser knows no such flag, so nothing becomes an empty text."""
    out: list[str] = []
    ended = False
    for word, following in zip(args, [*args[1:], "-"], strict=False):
        ended = ended or word == "--"
        out.append(word)
        if word in ("-r", "--resume") and not ended and following.startswith("-"):
            out.append("")
    return out


def _adapted_only(process: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    kind = process.__self__.type_descriptor.annotation  # type: ignore[attr-defined]
    if kind == list[str] or value in ((), []):
        return list(value or ())
    if kind is Path and value is not None:
        return Path(value)
    return value if value is None or kind is str else process(ctx, value)


@app.command(epilog=COMMANDS_HELP, cls=Lean)
def run(
    prompt: Annotated[list[str] | None, typer.Argument(metavar="PROMPT", help="The first message; - reads standard input.")] = None,
    print_: Annotated[bool, typer.Option("-p", "--print", help="One shot: the answer goes to stdout, then the program ends.")] = False,
    model: Annotated[
        str | None, typer.Option("-m", "--model", metavar="MODEL", help="provider/id[:effort], an alias, a human name, or local.")
    ] = None,
    subagent_model: Annotated[str | None, typer.Option(metavar="MODEL", help="Default model of workers whose definition names none.")] = None,
    worker: Annotated[list[str] | None, typer.Option(metavar="NAME=MODEL", help="Pins a worker's model for this run; repeatable.")] = None,
    effort: Annotated[str | None, typer.Option(metavar="LEVEL", help="Thinking effort, where the model has levels.")] = None,
    fallback_model: Annotated[str | None, typer.Option(metavar="A,B", help="Tried in order when the model stays unavailable.")] = None,
    output_format: Annotated[str, typer.Option(metavar="text|json|stream-json", help="What goes to stdout.")] = "text",
    input_format: Annotated[str, typer.Option(metavar="text|stream-json", help="What is read from stdin.")] = "text",
    include_partial_messages: Annotated[bool, typer.Option("--include-partial-messages", help="stream-json: also the pieces of answers.")] = False,
    json_schema: Annotated[str | None, typer.Option(metavar="FILE|TEXT", help="JSON schema that the answer must fit.")] = None,
    output_last_message: Annotated[
        Path | None, typer.Option("-o", "--output-last-message", metavar="FILE", help="The answer's text goes to this file too.")
    ] = None,
    continue_: Annotated[bool, typer.Option("-c", "--continue", help="Go on with the latest session of this folder.")] = False,
    resume: Annotated[str | None, typer.Option("-r", "--resume", metavar="[ID]", help="Go on with this session; without ID, pick one.")] = None,
    fork_session: Annotated[bool, typer.Option("--fork-session", help="With -c or -r: go on in a copy; the session itself stays.")] = False,
    session_id: Annotated[str | None, typer.Option(metavar="ID", help="The id of the new session.")] = None,
    no_session: Annotated[bool, typer.Option("--no-session", help="Keep no session file.")] = False,
    permission_mode: Annotated[str | None, typer.Option(metavar="MODE", help="default, accept-edits, plan, auto or bypass.")] = None,
    allowed_tools: Annotated[list[str] | None, typer.Option(metavar="RULES", help="Allow without asking: bash(git status),edit …")] = None,
    disallowed_tools: Annotated[list[str] | None, typer.Option(metavar="RULES", help="Refuse: bash(rm),web_fetch …")] = None,
    tools: Annotated[str | None, typer.Option(metavar="A,B", help="Only these tools exist.")] = None,
    max_turns: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most model calls.")] = None,
    max_budget_usd: Annotated[float | None, typer.Option(min=0, metavar="USD", help="Most USD, over all agents.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most tokens, over all agents.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, metavar="SECONDS", help="Most seconds.")] = None,
    max_parallel: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most workers at once.")] = None,
    system_prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="In place of the built-in prompt.")] = None,
    system_prompt_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The same, from a file.")] = None,
    append_system_prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="Added to the built-in prompt.")] = None,
    append_system_prompt_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The same, from a file.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Run as this worker.")] = None,
    agents: Annotated[str | None, typer.Option(metavar="JSON", help='More workers: {"name": {"description": …, "prompt": …, "model": …}}.')] = None,
    add_dir: Annotated[list[Path] | None, typer.Option(metavar="DIR", help="One more folder to work in; repeatable.")] = None,
    cwd: Annotated[Path | None, typer.Option("-C", "--cwd", metavar="DIR", help="Work in this folder.")] = None,
    bare: Annotated[bool, typer.Option("--bare", help="No user or project config.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Trust this folder's config, and remember it.")] = False,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="This config file; naming it trusts it.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="More progress on stderr.")] = False,
    color: Annotated[str, typer.Option(metavar="auto|always|never", help="Colour on the terminal.")] = "auto",
    plain: Annotated[bool, typer.Option("--plain", help="Interactive: plain lines, for a screen reader.")] = False,
    version: Annotated[bool, typer.Option("-V", "--version", help="Show the version and exit.")] = False,
) -> None:
    """A terminal coding agent that delegates to workers, each on a model of its own."""
    given = locals()
    if version:
        print(f"agentcli {__version__}")
        return
    said = given.pop("prompt") or []
    wait = len(said) > 1 and said[-1] == "-"
    words = " ".join(said[:-1] if wait else said)
    folder = folder_of(cwd)
    one_of(color, COLORS, "--color")
    interactive = not print_ and output_format == "text" and is_terminal(sys.stdin) and is_terminal(sys.stdout)
    if interactive:
        from agentcli.ui.face import Start
        from agentcli.ui.repl import run_repl

        raise typer.Exit(run_repl(Start(words, folder, config, bare, trust, plain, color, session_options(given))))
    if resume == "":
        raise UsageError("--resume needs an id where nobody can pick one.", hint="See: agentcli sessions. The latest one is -c.")
    from agentcli.ui.oneshot import OneShot, run_oneshot

    shot = OneShot(
        prompt=words,
        wait_for_stdin=wait,
        cwd=folder,
        output_format=cast("OutputFormat", one_of(output_format, FORMATS, "--output-format")),
        input_format=one_of(input_format, INPUT_FORMATS, "--input-format"),
        include_partial=include_partial_messages,
        verbosity="quiet" if quiet else "verbose" if verbose else "normal",
        color=color,
        last_message=output_last_message,
        config=config,
        bare=bare,
        trust=trust,
        json_schema=json_schema or "",
        options=session_options(given),
    )
    raise typer.Exit(run_oneshot(shot))


SAME = ("model", "subagent_model", "effort", "resume", "session_id", "max_turns", "max_budget_usd", "max_tokens", "max_parallel", "agent")
"""Flags whose session option has the same name."""


def session_options(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a session that the flags ask for; a flag that was not given asks for nothing. Raises UsageError."""
    past = [flag for flag, name in (("-c", "continue_"), ("-r", "resume")) if given[name] not in (None, False)]
    if given["fork_session"] and not past:
        raise UsageError("--fork-session copies an earlier session: name it with -r ID, or take the latest with -c.")
    if len(past) > 1:
        raise UsageError("-c is the latest session and -r ID a certain one: give one of them.")
    options: dict[str, Any] = {name: given[name] for name in SAME if given[name] is not None}
    options |= {
        "continue_latest": given["continue_"],
        "fork": given["fork_session"],
        "save": not given["no_session"],
        "workers": pins(given["worker"] or []),
        "fallback_models": rules([given["fallback_model"] or ""]),
        "allowed_tools": rules(given["allowed_tools"] or []),
        "disallowed_tools": rules(given["disallowed_tools"] or []),
        "add_dirs": [folder_of(path, "--add-dir") for path in given["add_dir"] or []],
        "timeout_s": given["timeout"],
        "tools": None if given["tools"] is None else rules([given["tools"]]),
        "system_prompt": _text(given["system_prompt"], given["system_prompt_file"], "--system-prompt-file"),
        "append_system_prompt": _text(given["append_system_prompt"], given["append_system_prompt_file"], "--append-system-prompt-file"),
        "agents_json": _json(given["agents"]),
    }
    if given["permission_mode"] is not None:
        options["permission_mode"] = mode_of(given["permission_mode"])
    return options


def one_of(text: str, known: tuple[str, ...], flag: str) -> str:
    """A word that must be one of a few. Raises UsageError."""
    if text not in known:
        raise UsageError(f"{flag}: '{text}' is none of {', '.join(known)}.")
    return text


def mode_of(text: str) -> str:
    """A permission mode in any of its spellings. Raises UsageError."""
    mode = permission_mode(text)
    if mode is None:
        raise UsageError(f"--permission-mode: no mode '{text}'; it is default, accept-edits, plan, auto or bypass.")
    return mode


def pins(given: list[str]) -> dict[str, str]:
    """`NAME=MODEL` pairs. Raises UsageError for anything else."""
    out: dict[str, str] = {}
    for text in given:
        name, equals, model = text.partition("=")
        if not (name.strip() and equals and model.strip()):
            raise UsageError(f"--worker: '{text}' is not NAME=MODEL.", hint="For example: --worker scout=openai/gpt-4o-mini")
        out[name.strip()] = model.strip()
    return out


def rules(given: list[str]) -> list[str]:
    """Rules of several lists, each parted by commas outside brackets: `bash(git log, -p),read`."""
    out: list[str] = []
    for text in given:
        depth, word = 0, ""
        for char in text:
            if char == "," and depth == 0:
                out.append(word.strip())
                word = ""
                continue
            depth += (char == "(") - (char == ")" and depth > 0)
            word += char
        out.append(word.strip())
    return [word for word in out if word]


def _text(given: str | None, file: Path | None, flag: str) -> str | None:
    if file is None:
        return given
    try:
        return file.expanduser().read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{flag}: cannot read {file}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag}: {file} is not UTF-8.", hint="Save it as UTF-8.") from error


def _json(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        json.loads(given)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--agents: this is no JSON ({error}).") from error
    return given

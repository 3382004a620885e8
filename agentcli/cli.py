"""The command line: argv in, exit code out. What the commands do lives below; nothing heavy is imported before it is known to be needed."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see agentcli/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentcli.protocol.errors import AgentError

COMMANDS = ("models", "agents", "sessions", "config", "local", "compare", "doctor")
"""First words that are no prompt. A prompt of just one of these needs -p."""
BEFORE = ("--config", "-C", "--cwd")
"""Flags, each with a value, that may stand before a command too."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. Ends the process with the exit codes of the manual: see `agentcli.protocol.errors`."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        from agentcli.version import __version__

        try:
            print(f"agentcli {__version__}", flush=True)
        except OSError:
            sys.exit(1)
        return
    import gc

    # What is imported stays: looking through it again and again for garbage would take a fifth of the start.
    gc.set_threshold(100_000, 50, 1000)
    _leave(_guarded(_command_first(words)))


def _leave(code: int) -> None:
    """Ends the process at once: all is closed and flushed by now, and taking hundreds of modules apart would take 30 ms more."""
    import os

    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        code = code or 1
    os._exit(code)


def at_terminal() -> bool:
    """Whether a person is at both ends. A standard stream is None where the shell closed it (`<&-`)."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _guarded(words: list[str]) -> int:
    """The last line of defence: one line and an exit code, never a traceback (but with --verbose)."""
    from agentcli.protocol.errors import AgentError, Interrupted, Terminated
    from agentcli.system.environment import start_lean

    start_lean()
    if _output_format(words):
        import signal

        signal.signal(signal.SIGTERM, _end)
    try:
        return _dispatch(words)
    except AgentError as error:
        return _refused(error, words)
    except KeyboardInterrupt:
        return _refused(Interrupted("interrupted."), words)
    except _Ended:
        return _refused(Terminated("terminated by a signal."), words)
    except BrokenPipeError:
        return 0
    except Exception as error:
        if "--verbose" in words:
            raise
        if not getattr(error, "__notes__", ()):
            _say(f"error: internal: {type(error).__name__}: {error}. Run again with --verbose and report it.")
        return 1


class _Ended(BaseException):
    """SIGTERM before the run is there to answer it, as `KeyboardInterrupt` is for Ctrl-C."""


def _end(*_: object) -> None:
    raise _Ended


def _command_first(words: list[str]) -> list[str]:
    """`--config FILE agents` as `agents --config FILE`."""
    at = 0
    while at < len(words) and words[at].partition("=")[0] in BEFORE:
        at += 1 if "=" in words[at] else 2
    if not at or at >= len(words) or words[at] not in COMMANDS:
        return words
    rest = words[at:]
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *words[:at], *rest[end:]]


def _dispatch(words: list[str]) -> int:
    if not words and at_terminal():
        # The usual start: typer would take a tenth of a second to find that there is nothing to parse.
        from agentcli.ui.face import Start
        from agentcli.ui.places import folder_of
        from agentcli.ui.repl import run_repl

        return run_repl(Start(cwd=folder_of(None)))
    from typer import TyperException

    from agentcli.protocol.errors import UsageError

    if words and words[0] in COMMANDS:
        from agentcli.ui.arguments_commands import app
    else:
        from agentcli.ui.arguments_run import app
    try:
        code = app(args=words, prog_name="agentcli", standalone_mode=False)
    except TyperException as error:
        raise UsageError(_sentence(error), hint=f"See: agentcli {_command(words)}--help") from error
    return code if isinstance(code, int) else 0


def _sentence(error: Exception) -> str:
    said = str(getattr(error, "format_message", error.__str__)()).strip()
    return said if said.endswith((".", "?")) else f"{said}."


def _command(words: list[str]) -> str:
    return f"{words[0]} " if words and words[0] in COMMANDS else ""


def _refused(error: AgentError, words: list[str]) -> int:
    """What could not begin still ends as its output format says."""
    match _output_format(words):
        case "json" | "stream-json" as machine:
            from agentcli.ui.oneshot import refuse

            return refuse(error, machine)
        case _:
            _say(f"error: {error.line()}")
            return error.exit_code


def _output_format(words: list[str]) -> str:
    """What the words ask for, also where they are wrong otherwise; subcommands have no such flag."""
    if words and words[0] in COMMANDS:
        return ""
    flag, found = "--output-format", ""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word == flag:
            found = following
        elif word.startswith(f"{flag}="):
            found = word.removeprefix(f"{flag}=")
    return found


def _say(text: str) -> None:
    from agentcli.protocol.text import one_line

    if sys.stderr is not None:
        sys.stderr.write(f"{one_line(text, 2_000)}\n")

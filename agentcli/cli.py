"""The command line: argv in, exit code out. What the commands do lives below; nothing heavy is imported before it is known to be needed."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see agentcli/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("models", "agents", "sessions", "config", "local", "compare")
"""First words that are no prompt. A prompt of just one of these needs -p."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. Ends the process with the exit codes of the manual: see `agentcli.protocol.errors`."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        from agentcli.version import __version__

        sys.stdout.write(f"agentcli {__version__}\n")
        return
    import gc

    # What is imported stays: looking through it again and again for garbage would take a fifth of the start.
    gc.set_threshold(100_000, 50, 1000)
    sys.exit(_guarded(words))


def _guarded(words: list[str]) -> int:
    """The last line of defence: one line and an exit code, never a traceback (but with --verbose)."""
    from agentcli.protocol.errors import AgentError
    from agentcli.system.environment import start_lean

    start_lean()
    try:
        return _dispatch(words)
    except AgentError as error:
        _say(f"agentcli: {error.line()}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        if "--verbose" in words:
            raise
        _say(f"agentcli: internal error: {type(error).__name__}: {error}. Run again with --verbose and report it.")
        return 1


def _dispatch(words: list[str]) -> int:
    if not words and sys.stdin.isatty() and sys.stdout.isatty():
        # The usual start: typer would take a tenth of a second to find that there is nothing to parse.
        from agentcli.ui.face import Start
        from agentcli.ui.repl import run_repl

        return run_repl(Start())
    if words and words[0] in COMMANDS:
        from agentcli.ui.arguments_commands import app
    else:
        from agentcli.ui.arguments_run import app
    try:
        app(args=words, prog_name="agentcli")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _say(text: str) -> None:
    from agentcli.protocol.text import one_line

    sys.stderr.write(f"{one_line(text, 2_000)}\n")

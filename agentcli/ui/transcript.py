"""A session as a markdown text, for /export. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agentcli.protocol.events import Envelope
from agentcli.protocol.tools import CommandDisplay, DiffDisplay
from agentcli.ui.items import Item, Opened, Said, ToolRun, Trouble, UserSaid
from agentcli.ui.state import Screen


def transcript(envelopes: Iterable[Envelope]) -> str:
    """What was said and done, in order."""
    screen = Screen()
    for envelope in envelopes:
        screen.feed(envelope)
    return "\n\n".join(part for item in screen.take() if (part := _part(item))) + "\n"


def _part(item: Item) -> str:
    match item:
        case Opened(cwd=cwd, model=model):
            return f"# Session in {cwd} on {model.resolved}"
        case UserSaid(text=text, origin=origin):
            return f"## {'You' if origin in ('person', 'stdin', 'injected') else origin.capitalize()}\n\n{text}"
        case Said(text=text, first=first):
            return f"## Agent\n\n{text}" if first else text
        case ToolRun():
            return _call(item)
        case Trouble(failure=failure):
            return f"**Error:** {failure.line()}"
        case _:
            return ""


def _call(run: ToolRun) -> str:
    head = f"**{run.name}** {run.title}".rstrip()
    match run.display:
        case DiffDisplay(diff=diff):
            return f"{head}\n\n{_fenced(diff, 'diff')}"
        case CommandDisplay(output=output):
            return f"{head}\n\n{_fenced(output)}" if output else head
        case _:
            return f"{head}\n\n{_fenced(run.text)}" if run.is_error else head


def _fenced(text: str, language: str = "") -> str:
    """A fence that nothing in the text can close."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"

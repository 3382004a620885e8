"""Commands about sessions: begin, go on, copy, list, save, leave."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentcli.protocol.errors import StorageError, UsageError
from agentcli.protocol.text import one_line
from agentcli.ui.commands.registry import command
from agentcli.ui.commands.tables import table
from agentcli.ui.opening import change_session
from agentcli.ui.picker import Picked, Picker, Row

if TYPE_CHECKING:
    from agentcli.ui.repl import Repl

SHOWN = 20
CHOSEN = ("command", "flag", "session", "fallback")
"""Links that a new session would not find by itself."""


def _own(repl: Repl) -> dict[str, Any]:
    """The options of this session that the next one keeps: what the command line said, without whose session it was, on the present model and in
    the present mode."""
    dropped = ("resume", "continue_latest", "fork", "session_id", "model", "effort")
    kept = {name: value for name, value in repl.start.options.items() if name not in dropped} | {"permission_mode": repl.state.mode}
    model = repl.state.model
    return {**kept, "model": model.resolved} if model and model.source in CHOSEN else kept


def _ids(repl: Repl, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    from agentcli.sdk.overview import sessions_of

    if not words:
        for info in sessions_of(repl.cwd)[:SHOWN]:
            yield info.id, info.title


@command("clear", "new", "reset")
async def clear(repl: Repl, rest: str) -> None:
    """Begin a new session: empty context, same model and mode.

    The old one stays saved: /resume goes on with it.
    """
    await change_session(repl, _own(repl))


@command("resume", usage="[ID]", complete=_ids)
async def resume(repl: Repl, rest: str) -> None:
    """Go on with an earlier session of this folder.

    Without an id, picks from a list. The session keeps its own model.
    """
    wanted = rest or await _pick(repl)
    if not wanted:
        return
    if repl.session.id.startswith(wanted):
        raise UsageError("this is the session you are in.")
    own = {name: value for name, value in _own(repl).items() if name != "model"}
    await change_session(repl, {**own, "resume": wanted})


async def _pick(repl: Repl) -> str:
    from agentcli.sdk.overview import sessions_of

    found = [info for info in sessions_of(repl.cwd) if info.id != repl.session.id and info.turns != 0]
    if not found:
        raise UsageError("there is no other session of this folder.")
    rows = [Row(info.id, (_when(info.updated_at), one_line(info.title or "(no message)", 60), info.model), info.id) for info in found]
    picked = await repl.ask(Picker("Resume which session?", rows))
    return picked.value if isinstance(picked, Picked) else ""


@command("sessions")
async def sessions(repl: Repl, rest: str) -> None:
    """List the sessions of this folder, the latest first."""
    from agentcli.sdk.overview import sessions_of

    found = [info for info in sessions_of(repl.cwd) if info.turns != 0]
    if not found:
        return repl.say("No session of this folder is saved.")
    rows = [
        (info.id[:8], _when(info.updated_at), "" if info.turns is None else str(info.turns), info.model, one_line(info.title, 60))
        for info in found[:SHOWN]
    ]
    repl.say(*table(("ID", "LAST", "TURNS", "MODEL", "TITLE"), rows))
    if len(found) > SHOWN:
        repl.say([("dim", f"and {len(found) - SHOWN} older: agentcli sessions")])
    return None


@command("compact", usage="[INSTRUCTIONS]")
async def compact(repl: Repl, rest: str) -> None:
    """Sum up the older turns to make room; the latest stay as they are.

    What you add says what the summary must keep: /compact the plan for the tests. It also happens by itself when the context is nearly full.
    """
    if not repl.session.history:
        raise UsageError("nothing was said yet, so there is nothing to compact.")
    repl.turns.perform(lambda: repl.session.compact(rest))


@command("fork")
async def fork(repl: Repl, rest: str) -> None:
    """Go on in a copy of this session; the session itself stays as it is now."""
    if not repl.session.history:
        raise UsageError("nothing was said yet, so there is nothing to copy.")
    copied = repl.session.id
    await change_session(repl, {**_own(repl), "resume": copied, "fork": True}, shown_turns=0)
    repl.say(f"This is a copy now. To go back to the session itself: /resume {copied[:8]}")


@command("copy", usage="[code]", complete=lambda repl, words: () if words else (("code", "only the last piece of code in it"),))
async def copy(repl: Repl, rest: str) -> None:
    """Put the last answer into the clipboard; /copy code only its last piece of code."""
    from agentcli.sdk.programs import copy_text

    text = _last_answer(repl)
    if not text:
        raise UsageError("there is no answer yet.")
    if rest == "code":
        text = last_code(text)
    elif rest:
        raise UsageError(f"/copy knows no '{rest}'.", hint="/copy, or /copy code")
    if not text:
        raise UsageError("the last answer holds no code.", hint="/copy takes all of it.")
    size = f"{len(text):,} characters"
    if await copy_text(text):
        return repl.say(f"Copied: {size}.")
    if not repl.face.copy(text):
        raise UsageError("no program for the clipboard was found.", hint="Install wl-copy, xclip or xsel, or write the session to a file: /export")
    return repl.say(f"Handed to the terminal for its clipboard: {size}.")


def _last_answer(repl: Repl) -> str:
    from agentcli.protocol.messages import AssistantMessage

    answers = (message.text().strip() for message in reversed(repl.session.history) if isinstance(message, AssistantMessage))
    return next((text for text in answers if text), "")


def last_code(text: str) -> str:
    """The last fenced piece of code in a text, without its fence."""
    found = re.findall(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", text, re.MULTILINE | re.DOTALL)
    return str(found[-1][1]).rstrip("\n") if found else ""


@command("rename", usage="TITLE")
async def rename(repl: Repl, rest: str) -> None:
    """Give this session a title, by which /resume and /sessions list it."""
    repl.session.rename(rest)
    repl.say(f"This session is called: {one_line(rest, 120)}")


@command("export", usage="[FILE]")
async def export(repl: Repl, rest: str) -> None:
    """Write this session to a file: .md as text, .jsonl as its events.

    Without a name: agentcli-ID.md in this folder. A file that exists is not overwritten.
    """
    from agentcli.sdk.overview import session_bytes, session_events
    from agentcli.ui.transcript import transcript

    path = repl.cwd / Path(rest or f"agentcli-{repl.session.id[:8]}.md").expanduser()
    if path.exists():
        raise UsageError(f"{path} exists already.", hint="Give another name: /export FILE")
    data = session_bytes(repl.session.id) if path.suffix == ".jsonl" else transcript(session_events(repl.session.id)).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error
    repl.say(f"Written to {path}")


@command("exit", "quit", "q")
async def leave(repl: Repl, rest: str) -> None:
    """Leave. The session stays saved."""
    repl.quit()


def _when(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")

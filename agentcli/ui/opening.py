"""How a session comes to be before a person: the agent is read, the folder's trust asked for, the first start guided, a session opened or changed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from agentcli.protocol.errors import UsageError
from agentcli.sdk.wanted import Wanted
from agentcli.ui.approve import Choice, Option
from agentcli.ui.face import PlainWanted
from agentcli.ui.state import Screen

if TYPE_CHECKING:
    from agentcli.protocol.events import Envelope
    from agentcli.sdk.agent import AsyncAgent
    from agentcli.sdk.session import AsyncSession
    from agentcli.ui.repl import Repl

SHOWN_TURNS = 3
"""How many of a resumed session's turns are printed again, unless they stand on the screen."""


async def open_first(repl: Repl) -> None:
    """Everything up to the first message. Raises AgentError where there is no session to be had, PlainWanted before anything is asked."""
    agent = await asyncio.to_thread(read_agent, repl, asyncio.get_running_loop())
    repl.agent = agent
    if agent.config.ui.plain and not repl.start.plain:
        raise PlainWanted
    if agent.config.untrusted is not None and await _ask_trust(repl, agent):
        await agent.close()
        repl.start = replace(repl.start, trust=True)
        agent = repl.agent = await asyncio.to_thread(read_agent, repl, asyncio.get_running_loop())
    if _is_first_start(repl):
        from agentcli.ui.setup import guide

        await guide(repl)
    await _ask_for_models(repl)
    open_session(repl, repl.start.options)


async def _ask_for_models(repl: Repl) -> None:
    """Where nothing but a service at an address of one's own can say which model it is."""
    from agentcli.sdk.served import ask_default

    if repl.agent.services.undecided:
        repl.opening = "asking which models there are"
        repl.face.changed()
        await ask_default(repl.agent.services, repl.start.options)


def read_agent(repl: Repl, loop: asyncio.AbstractEventLoop) -> AsyncAgent:
    """On a thread: its imports and a first parse take longer than a person should wait for an echo."""
    from agentcli.sdk import assemble, programs  # noqa: F401 - imported here so that opening the session does not wait for it
    from agentcli.sdk.agent import AsyncAgent, Origin

    start = repl.start
    origin = Origin(link="flag", person=True, default_mode="default")
    agent = AsyncAgent.layered(start.cwd, explicit=start.config, bare=start.bare, trust=start.trust, origin=origin)

    def heard(progress: object) -> None:
        repl.download = progress
        repl.face.changed()

    def on_progress(progress: object) -> None:
        loop.call_soon_threadsafe(heard, progress)

    agent.on_progress = on_progress
    return agent


async def _ask_trust(repl: Repl, agent: AsyncAgent) -> bool:
    """Asked once a file: what a repository brings may reach keys and run programs."""
    from agentcli.sdk import saved

    file = agent.config.untrusted
    assert file is not None
    mark = f"trust-{saved.mark_of(file)}"
    if saved.was_asked(mark):
        return False
    body = [[("", f"  {file}")], [("dim", "  It may name providers, workers and rules of its own. Without trust, only what it forbids counts.")]]
    # The first is what a stray Enter takes.
    options = (Option("n", "no", "not now (later: agentcli config trust)"), Option("y", "yes", "trust this folder from now on"))
    question = "This folder brings a config. Do you trust what is in it?"
    answer = await repl.ask(Choice(question, options, body, escape="no", blocks_prompt=False))
    if answer == "no":
        saved.remember_asked(mark)
    return bool(answer == "yes")


def _is_first_start(repl: Repl) -> bool:
    from agentcli.sdk import saved

    config, options = repl.agent.config, repl.start.options
    named = options.get("model") or options.get("resume") or options.get("continue_latest")
    counts = [file for file in config.files if file != config.untrusted]
    if named or counts or config.default_model is not None or saved.variable("AGENTCLI_MODEL") or repl.start.bare:
        return False
    return not saved.was_asked("setup")


# --- sessions ---


def open_session(repl: Repl, options: dict[str, Any]) -> None:
    """Opens a session and shows it. Raises AgentError; nothing has changed then."""
    past = _past(repl, options)
    session = repl.agent.session(repl.cwd, Wanted(**options))
    show_session(repl, session, past)


async def change_session(repl: Repl, options: dict[str, Any], shown_turns: int = SHOWN_TURNS) -> None:
    """Opens another session in place of the one that is open, and prints that many of its turns. Raises UsageError while a turn runs, AgentError
    where it cannot be opened; the old one goes on then."""
    if repl.busy:
        raise UsageError("a turn is running.", hint="Esc interrupts it; then try again.")
    past = _past(repl, options)
    session = repl.agent.session(repl.cwd, Wanted(**options))
    await repl.session.close()
    forget_empty(repl)
    show_session(repl, session, past, shown_turns)


def forget_empty(repl: Repl) -> None:
    """A session in which nothing was ever said leaves no file: nobody wants to go on with it."""
    from agentcli.protocol.errors import SessionNotFound, StorageError
    from agentcli.sdk.overview import remove_session

    if repl.session.history or repl.state.tally.runs:
        return
    with contextlib.suppress(SessionNotFound, StorageError):
        remove_session(repl.session.id)


def _past(repl: Repl, options: dict[str, Any]) -> tuple[Envelope, ...]:
    from agentcli.sdk.overview import session_events, sessions_of

    wanted = options.get("resume")
    if not wanted and options.get("continue_latest"):
        wanted = next((info.id for info in sessions_of(repl.cwd)), None)
    return session_events(wanted) if wanted else ()


def show_session(repl: Repl, session: AsyncSession, past: tuple[Envelope, ...], shown_turns: int = SHOWN_TURNS) -> None:
    """Makes it the one on the screen: what was said before in short, then whatever comes."""
    from agentcli.sdk.programs import git_branch
    from agentcli.ui.lookups import limits_in, price_in

    repl.session = session
    limits = limits_in(session)
    repl.state = Screen(price=price_in(session), limit=lambda model: limits(model)[0])
    for envelope in past:
        repl.state.feed(envelope)
    items = repl.state.take()
    repl.out += _recent(items, shown_turns) if shown_turns else []
    repl.branch = git_branch(repl.cwd)
    session.listen(repl.feed)
    session.start()


def _recent(items: list[Any], turns: int) -> list[Any]:
    """The last turns of a session, and a line that says what is not shown."""
    from agentcli.ui.face import Told
    from agentcli.ui.items import UserSaid

    starts = [at for at, item in enumerate(items) if isinstance(item, UserSaid) and item.origin in ("person", "stdin")]
    if len(starts) <= turns:
        return items
    left = len(starts) - turns
    told = Told(([("dim", f"({left} earlier turns are not printed again)")],))
    return [told, *items[starts[-turns] :]]

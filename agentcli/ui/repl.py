"""The interactive session: what a person types becomes messages, commands and shell runs; what happens becomes state for a face to show.

Knows no terminal: a `Face` shows it. Messages, questions and shell runs go their way here, opening sessions in `opening`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from agentcli.protocol.commands import Answer, Background, Command, Interrupt, SetMode
from agentcli.protocol.errors import AgentError, Terminated, UsageError
from agentcli.protocol.events import Envelope, PermissionMode
from agentcli.protocol.messages import user_text
from agentcli.ui.approve import Approval
from agentcli.ui.face import Drawn, Face, Overlay, PlainWanted, Printed, Start, Told, Whole
from agentcli.ui.items import Remark, UserSaid
from agentcli.ui.lines import Line
from agentcli.ui.paste import Pastes
from agentcli.ui.shell import ShellRun
from agentcli.ui.state import Screen
from agentcli.ui.turns import Turns

if TYPE_CHECKING:
    from agentcli.sdk.agent import AsyncAgent
    from agentcli.sdk.session import AsyncSession
    from agentcli.ui.commands.registry import Registry
    from agentcli.ui.render import Painter

MODES: tuple[PermissionMode, ...] = ("default", "accept-edits", "plan", "auto")
"""What Shift+Tab goes through."""
LEAVING = ("exit", "quit", ":q")
"""Sent alone they leave, as in a shell; with more words they are a message."""
WORDS_OF_ANSWER = ("y", "yes", "n", "no")
"""Sent while a question is open, they answer it."""
QUIT_WINDOW_S = 2.0
"""A second Ctrl+C within this time quits."""


class Repl:
    """One person at one terminal. `agent` and `session` are there once `opened` is set."""

    def __init__(self, start: Start) -> None:
        self.start: Start = start
        self.cwd: Path = start.cwd
        self.state = Screen()
        self.pastes = Pastes()
        self.out: list[Printed] = []
        self.opened = asyncio.Event()
        self.opening = "starting"
        """What is done before the first message can be taken; "" afterwards."""
        self.download: Any = None
        self.branch = ""
        self.modal: Overlay | None = None
        self.shell: ShellRun | None = None
        self.face: Face
        self.agent: AsyncAgent
        self.session: AsyncSession
        self._approval: Approval | None = None
        self.turns = Turns(self)
        self._jobs: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup
        self._modal_lock = asyncio.Lock()
        self._last_interrupt = -QUIT_WINDOW_S
        self._registry: Registry | None = None
        self._quiet: set[str] = set()

    # --- life ---

    async def run(self, face: Face) -> None:
        """Until the person leaves. Raises AgentError where no session can be opened, Terminated on a signal."""
        self.face = face
        if self.start.prompt:
            self.turns.submit(self.start.prompt)
        with _signals(self):
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    life = group.create_task(self._live())
                    if self.start.options.get("resume") == "":
                        self.spawn(self._command("/resume"))
                    try:
                        await face.run()
                    finally:
                        for task in (life, *self._jobs):
                            task.cancel()
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
            finally:
                await self._close()

    async def _live(self) -> None:
        await self.face.shown.wait()
        from agentcli.ui.opening import open_first

        try:
            await open_first(self)
        except (AgentError, PlainWanted) as error:
            self.face.leave(error)
            return
        _many_small_collections()
        self.opening = ""
        self.opened.set()
        self.face.changed()
        await self.turns.run()

    async def _close(self) -> None:
        from agentcli.ui.opening import forget_empty

        if self.shell is not None:
            self.shell.stop()
        if hasattr(self, "agent"):
            await self.agent.close()
        if self.opened.is_set():
            forget_empty(self)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something beside the conversation; an AgentError is shown."""
        task = self._group.create_task(self._told(work))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _told(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except AgentError as error:
            self.fail(error)

    def quit(self, error: BaseException | None = None) -> None:
        """Leaves, and says how to come back."""
        if self.opened.is_set() and self.session.history and self.start.options.get("save", True):
            self.say([("dim", f"To go on with this session: agentcli -r {self.session.id[:8]}")])
        for job in self._jobs:
            job.cancel()  # an editor, say, that has the terminal
        self.face.leave(error)

    # --- what is shown ---

    def feed(self, envelope: Envelope) -> None:
        """Every envelope of the session, as it comes."""
        self.state.feed(envelope)
        self.out += [item for item in self.state.take() if not (isinstance(item, UserSaid) and item.text in self._quiet)]
        self.face.changed()

    def tell_quietly(self, text: str) -> None:
        """Tells the model with the next message what is on the screen already."""
        self._quiet.add(text)
        self.session.tell(user_text(text, "system"))
        self.face.changed()

    def take_out(self) -> list[Printed]:
        """What is to be printed, in order; each is given once."""
        out, self.out = self.out, []
        return out

    def say(self, *lines: Line | str, close: bool = False) -> None:
        """Says lines of its own above the prompt; `close` to what was said before."""
        self.out.append(Told(tuple([("", line)] if isinstance(line, str) else line for line in lines), close))
        self.face.changed()

    def draw(self, draw: Callable[[Painter, int], list[str]]) -> None:
        """Prints what a function makes of the width."""
        self.out.append(Drawn(draw))
        self.face.changed()

    def fail(self, error: AgentError) -> None:
        self.remark(error.line(), "error")

    def remark(self, text: str, level: Any = "info") -> None:
        self.out.append(Remark(level, text))
        self.face.changed()

    def unfold(self) -> None:
        """Prints the last folded result whole."""
        if self.state.folded is None:
            return self.remark("nothing is folded.")
        self.out.append(Whole(self.state.folded))
        return self.face.changed()

    @property
    def busy(self) -> bool:
        return self.turns.busy

    @property
    def commands(self) -> Registry:
        """The slash commands, read when the first is needed."""
        if self._registry is None:
            from agentcli.ui.commands import gathered

            self._registry = gathered()
        return self._registry

    # --- questions ---

    @property
    def overlay(self) -> Overlay | None:
        """What takes the keys now: a list or question of a command, else the oldest open approval."""
        if self.modal is not None and not self.modal.answered:
            return self.modal
        first = self.state.approvals[0] if self.state.approvals else None
        if first is None:
            self._approval = None
        elif self._approval is None or self._approval.asked.request_id != first.request_id:
            self._approval = Approval(first, lambda: len(self.state.approvals) - 1, self._answer, saved_in=self._rules_file)
        return None if self._approval is None or self._approval.answered else self._approval

    @property
    def _rules_file(self) -> str:
        from agentcli.sdk import saved

        return saved.shown_path(saved.settings_file())

    async def ask(self, overlay: Any) -> Any:
        """Shows a list or a question until it is answered; gives the answer. One after the other."""
        async with self._modal_lock:
            self.modal = overlay
            self.face.changed()
            try:
                return await overlay.answer
            finally:
                self.modal = None
                self.face.changed()

    def _answer(self, answer: Answer) -> None:
        """A person's word on an approval; one that holds for longer also answers the same question of others."""
        asked = next((one for one in self.state.approvals if one.request_id == answer.request_id), None)
        self.command(answer)
        if asked is None or not asked.rule or answer.decision not in ("session", "always"):
            return
        self._allow(asked.rule)
        for same in [one for one in self.state.approvals if one.rule == asked.rule and one.request_id != answer.request_id]:
            self.command(Answer(same.request_id, "session"))
        return

    def _allow(self, rule: str) -> None:
        """For all agents of the session: the gate that asked allows only its own."""
        try:
            self.session.add_rule("allow", rule)
        except AgentError as error:
            self.fail(error)

    def command(self, command: Command) -> None:
        """Sends a command to the session; what it refuses is shown."""
        try:
            self.session.command(command)
        except AgentError as error:
            self.fail(error)

    # --- what is typed ---

    def enter(self, text: str) -> None:
        """Enter: a command, a shell line, a message; while the agent works, steering."""
        said = self._taken(text)
        if not said:
            return None
        if said in LEAVING:
            return self.quit()
        if said.startswith("!"):
            return self.spawn(self._shell(said[1:].strip()))
        if is_command(said) or said == "?":
            return self.spawn(self._command("/help" if said == "?" else said))
        if said.casefold() in WORDS_OF_ANSWER and isinstance(self.overlay, Approval) and self.overlay.answered_by(said):
            return self.face.changed()
        if self.busy and self.state.since is not None:
            self.turns.steer(said)
        else:
            if self.face.echoes:
                self._quiet.add(said)
            self.turns.submit(said)
        return self.face.changed()

    def follow_up(self, text: str) -> None:
        """Alt+Enter while the agent works: sent when this turn is over."""
        if said := self._taken(text):
            self.turns.follow_up(said)
            self.face.changed()

    def _taken(self, text: str) -> str:
        """What was typed as it will be sent, pasted texts opened, pictures kept for it."""
        said = self.pastes.expand(text).strip()
        self.turns.attach(said, self.pastes.pictures_in(said))
        self.pastes.clear()
        return said

    async def _command(self, said: str) -> None:
        from agentcli.ui.commands import run_command

        await self.opened.wait()
        if not self.face.echoes:
            self.say([("dim", f"› {said}")])
        await run_command(self, said)

    async def _shell(self, line: str) -> None:
        if not line:
            raise UsageError("no command after the '!'.", hint="For example: !git status")
        await self.opened.wait()
        if self.shell is not None:
            raise UsageError("a shell command is already running.", hint="Esc ends it.")
        self.shell = ShellRun(line)
        try:
            await self.shell.run(self)
        finally:
            self.shell = None
            self.face.changed()

    # --- modes ---

    def next_mode(self) -> None:
        """Shift+Tab: the next permission mode; bypass only where the session began in it."""
        if not self.opened.is_set():
            return
        modes = (*MODES, "bypass") if self.start.options.get("permission_mode") == "bypass" else MODES
        now = self.state.mode
        self.command(SetMode(modes[(modes.index(now) + 1) % len(modes)] if now in modes else modes[0]))

    # --- the background ---

    @property
    def can_let_go(self) -> bool:
        """Whether something runs that Ctrl+B sends to the background."""
        asked = {one.call_id for one in self.state.approvals}
        return any(call not in asked for call in self.state.running)

    def let_go(self) -> None:
        """Ctrl+B: the running command, or the running workers, go on beside the turn."""
        self.command(Background())

    # --- interrupting ---

    def interrupt(self) -> bool:
        """Ends what runs: a shell command first, else the turn. False where nothing did."""
        if self.shell is not None:
            self.shell.stop()
            return True
        if self.turns.interrupt():
            return True
        if not self.opened.is_set() or not self.session.busy:
            return False
        self.command(Interrupt())
        return True

    def escape(self) -> None:
        """Esc: queued texts come back to the prompt, else what runs is interrupted."""
        if self.shell is None and self.state.queued:
            return self.face.give_back(self.turns.take_back())
        self.interrupt()
        return None

    def control_c(self, typed: str) -> bool:
        """Ctrl+C: True where the typed text is to be cleared. A second one within two seconds quits."""
        now = time.monotonic()
        again = now - self._last_interrupt < QUIT_WINDOW_S
        self._last_interrupt = now
        if typed:
            self._last_interrupt = -QUIT_WINDOW_S
            return True
        if again:
            self.quit()
            return False
        if not self.interrupt():
            self.face.changed()
        return False

    @property
    def quit_armed(self) -> bool:
        """Whether one more Ctrl+C quits."""
        return time.monotonic() - self._last_interrupt < QUIT_WINDOW_S


def is_command(text: str) -> bool:
    """Whether it begins with a slash command's name; a path such as /usr/bin is a message."""
    first = text.split(maxsplit=1)[0]
    return first.startswith("/") and "/" not in first[1:] and len(first) > 1


def _many_small_collections() -> None:
    """What is loaded by now stays and is never looked through again; the rest in pieces so small that no key waits for it (1 ms each,
    where the few large ones that suit a short run stop everything for 30 to 50)."""
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


@contextlib.contextmanager
def _signals(repl: Repl) -> Iterator[None]:
    """TERM and HUP end the session in order; INT from outside is Ctrl+C."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, repl.quit, Terminated("terminated by a signal."))
    loop.add_signal_handler(signal.SIGHUP, repl.quit, Terminated("the terminal is gone."))
    loop.add_signal_handler(signal.SIGINT, repl.control_c, "")
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.remove_signal_handler(number)


def run_repl(start: Start) -> int:
    """An interactive session from start to end; gives the exit code."""
    from agentcli.sdk.terminal import terminal

    if terminal().term in ("dumb", ""):
        start = replace(start, plain=True)
    try:
        return asyncio.run(_run(start))
    except PlainWanted:
        return asyncio.run(_run(replace(start, plain=True)))


async def _run(start: Start) -> int:
    repl = Repl(start)
    face: Face
    if start.plain:
        from agentcli.ui.plain import PlainFace

        face = PlainFace(repl)
    else:
        from agentcli.ui.screen import InlineScreen

        face = InlineScreen(repl)
    try:
        await repl.run(face)
    except Terminated as error:
        return error.exit_code
    return 0

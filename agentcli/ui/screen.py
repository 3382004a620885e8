"""The screen while a person is at a terminal: prompt_toolkit owns it, inline, without alternate screen or mouse.

Finished lines are written once, above; below them one layout holds what goes on, questions, the prompt and the status line, of which only
differences are written. Both happen in one write, so nothing flickers and nothing is lost in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import create_input
from prompt_toolkit.layout import HSplit, Layout, Window
from prompt_toolkit.layout.containers import ConditionalContainer
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.output import ColorDepth

from agentcli.protocol.text import cells
from agentcli.sdk.terminal import terminal
from agentcli.ui.answering import Answering
from agentcli.ui.approve import Approval
from agentcli.ui.face import Told
from agentcli.ui.floor import Floor
from agentcli.ui.inline import SYNC_BEGIN, SYNC_END, InlineApplication, inline_output, rest_of
from agentcli.ui.keys import bindings
from agentcli.ui.lines import Line
from agentcli.ui.look import look_of, reflows
from agentcli.ui.pieces import Rows, Splitter, undisputed
from agentcli.ui.prompt import MARGIN, MENU_ROWS, MOST_LINES, Prompt
from agentcli.ui.style import style

if TYPE_CHECKING:
    from prompt_toolkit.key_binding.key_processor import KeyPress

    from agentcli.ui.drawing import Drawing
    from agentcli.ui.repl import Repl

INTERVAL_S = 0.1
"""Between two redraws that no key asked for."""
ANIMATION_S = 0.25
"""While something runs, its spinner and clock move this often."""
NOTE_S = 4.0
LEAST_LIVE = 4
"""Rows of what goes on, beside which a question has an empty one before it."""


class InlineScreen:
    """The face of a `Repl` on a terminal that moves its cursor."""

    echoes = False

    def __init__(self, repl: Repl, clock: Callable[[], float] = time.time) -> None:
        self.repl = repl
        self._clock = clock
        facts = terminal()
        self.look = look_of(facts, repl.start.color)
        self._drawing: Drawing | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        self._floor = Floor(lambda: self.app.layout.is_searching)
        self._note = ("", 0.0)
        self._failed: BaseException | None = None
        self._configured = False
        self._works = False
        self.shown = asyncio.Event()
        self.prompt = Prompt(repl, Condition(lambda: not self._prompt_hidden), self._marker)
        self.prompt.buffer.on_text_insert += self._typed
        buffer = self.prompt.buffer
        self.answering = Answering(repl, self._floor, self._pass_on, lambda: buffer.text, self._show_soon)
        self._question = FormattedTextControl(self._overlay_text, focusable=True)
        self._question_window = Window(self._question, height=self._sized(lambda: len(self._overlay)), dont_extend_height=True)
        self._splitter = Splitter()
        self._live = Rows()
        self._live_room = (0, 0)
        self._stale = True
        self._overlay: list[Line] = []
        self._status: StyleAndTextTuples = []
        self.output = inline_output(facts.term)
        self.app = self._application(reflows(facts))

    def _application(self, reflow: bool) -> InlineApplication:
        live = Window(self._live, height=self._sized(lambda: len(self._live.rows)), dont_extend_height=True)
        status = Window(FormattedTextControl(lambda: self._status), height=Dimension(min=0, max=1, preferred=1), dont_extend_height=True)
        rows = HSplit([
            Window(height=Dimension(min=0, preferred=1, max=1)),
            live,
            ConditionalContainer(self._question_window, Condition(lambda: bool(self._overlay))),
            self.prompt.container,
            self.prompt.menu,
            self.prompt.search,
            status,
        ])  # fmt: skip
        app = InlineApplication(
            layout=Layout(rows, focused_element=self.prompt.window),
            key_bindings=bindings(self),
            style=style(),
            include_default_pygments_style=False,
            color_depth=ColorDepth.DEPTH_4_BIT if self.look == "colour" else ColorDepth.DEPTH_1_BIT,
            output=self.output,
            input=create_input(sys.stdin),
            erase_when_done=True,
            terminal_size_polling_interval=None,
            before_render=lambda _: self._compose(),
            after_render=lambda _: self.shown.set(),
        )
        # A key that closes a list and the next one may come in one read: the focus must follow at once.
        app.key_processor.before_key_press += lambda _: self._sync_focus()
        app.reflow = reflow
        app.rest_s = rest_of()
        app.rested = self.show
        app.timeoutlen = 0.1
        app.ttimeoutlen = 0.05
        return app

    @staticmethod
    def _sized(rows: Any) -> Any:
        """A height that gives way where the terminal is too low."""
        return lambda: Dimension(min=0, preferred=rows(), max=rows())

    # --- life ---

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._crashed)
        try:
            await self.app.run_async(set_exception_handler=False, handle_sigint=False)
        except EOFError:
            pass
        finally:
            loop.set_exception_handler(None)
            if self._timer is not None:
                self._timer.cancel()
        self._print_rest()
        if self._failed is not None:
            raise self._failed

    def _crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A bug in a key or a redraw ends the session in order, with the terminal as it was."""
        error = context.get("exception")
        if error is None:
            return loop.default_exception_handler(context)
        return self.leave(error)

    def leave(self, error: BaseException | None = None) -> None:
        self._failed = self._failed or error
        if self.app.future is not None and not self.app.future.done():
            self.app.exit()

    def _print_rest(self) -> None:
        """After the application: what was finished and not printed."""
        if lines := self._finished():
            self.output.write_raw("".join(f"{line}\r\n" for line in lines))
            self.output.flush()

    # --- showing ---

    def changed(self) -> None:
        """Something happened. When a turn or a shell command is over, the prompt is back at once."""
        before, self._works = self._works, self.repl.busy or self.repl.shell is not None
        self._tick_in(0.0 if before and not self._works else INTERVAL_S)

    def _tick_in(self, seconds: float) -> None:
        """A redraw that long after the last one, or at the time of one that is due before."""
        if self._timer is not None and self._timer.when() <= self._drawn_at + seconds:
            return
        if not self.app.is_running:
            return
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._drawn_at + seconds)
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._drawn_at = asyncio.get_running_loop().time()
        if not self.app.is_running or self.app._running_in_terminal:
            return
        self.show()
        if self._moves:
            self._tick_in(ANIMATION_S)

    @property
    def _moves(self) -> bool:
        """Whether time alone changes what is shown."""
        repl = self.repl
        works = repl.busy or repl.shell is not None or repl.state.crew.alive > 0
        return works or repl.quit_armed or repl.overlay is not None or bool(self._note[0]) or bool(repl.opening)

    def show(self) -> None:
        """Finished lines above, the rest redrawn, in one write. Later, where the terminal changes its width just now."""
        if self.app.resting:
            return
        self._print_long_question()
        self._stale = True
        lines = self._finished()
        app: Any = self.app
        with self.output.held():
            if not lines and not self._shrank():
                app._redraw()
                return
            self.output.write_raw(SYNC_BEGIN)
            app.renderer.erase()
            self.output.write_raw("".join(f"{line}\r\n" for line in lines))
            app._redraw()
            self.output.write_raw(SYNC_END)

    def _print_long_question(self) -> None:
        """What is decided on is shown whole: above, once, where it does not fit below."""
        overlay = self.repl.overlay
        if not isinstance(overlay, Approval) or overlay.printed:
            return
        size = self.output.get_size()
        if overlay.fits(size.columns - 1, max(1, size.rows - 3 - self._prompt_rows())):
            return
        overlay.printed = True
        self.repl.out.append(Told(tuple(overlay.detail_lines(size.columns - 1))))

    def _shrank(self) -> bool:
        """prompt_toolkit keeps the height it once had: what became lower is drawn afresh."""
        last = self.app.renderer.last_rendered_screen
        if last is None:
            return False
        self._compose()
        size = self.output.get_size()
        wanted = self.app.layout.container.preferred_height(size.columns, size.rows).preferred
        return last.height > wanted

    def _finished(self) -> list[str]:
        printed = self.repl.take_out()
        return self.drawing.printed(printed, self.output.get_size().columns) if printed else []

    @property
    def drawing(self) -> Drawing:
        """Loaded with the first thing to draw: rich takes a tenth of a second."""
        if self._drawing is None:
            from agentcli.ui.drawing import Drawing

            self._drawing = Drawing(self.look)
        return self._drawing

    def _compose(self) -> None:
        """What the layout shows, for the size and the moment."""
        size = self.output.get_size()
        self._configure()
        self._sync_focus()
        overlay = self.repl.overlay
        room = max(1, size.rows - 3 - self._prompt_rows())
        self._overlay = overlay.lines(size.columns - 1, room, has_keys=self._floor.has_keys(overlay)) if overlay is not None else []
        if self._overlay and self.repl.busy and len(self._overlay) + LEAST_LIVE < room:
            self._overlay.insert(0, [])
        room = max(0, room - len(self._overlay) - (MENU_ROWS if self.prompt.buffer.complete_state else 0))
        if self._stale or self._live_room != (size.columns, room):
            self._draw_live(size.columns, room)
        self._status = self._status_line(size.columns - 1)

    def _draw_live(self, columns: int, room: int) -> None:
        """The dearest part: not for every key, only when something happened or the room changed."""
        idle = self._drawing is None and not self.repl.busy
        lines = [] if idle else self.drawing.live(self.repl, self._clock(), columns - 1, room)
        self._stale, self._live_room = False, (columns, room)
        self._live.rows = [self._splitter.pieces(undisputed(line)) for line in lines]

    def _configure(self) -> None:
        """What the config says of the keys, once it is read."""
        if self._configured or not self.repl.opened.is_set():
            return
        self._configured = True
        if self.repl.agent.config.ui.vi_mode:
            self.app.editing_mode = EditingMode.VI

    def _prompt_rows(self) -> int:
        if self._prompt_hidden:
            return 0
        columns = self.output.get_size().columns
        rows = sum(1 + (cells(line) + MARGIN) // columns for line in self.prompt.text.split("\n"))
        return min(MOST_LINES, rows)

    def _status_line(self, width: int) -> StyleAndTextTuples:
        repl = self.repl
        if repl.quit_armed and not repl.busy:
            return [("class:warn", "  Ctrl+C again quits")]
        note, until = self._note
        if note and time.monotonic() < until:
            return [("class:warn", f"  {note[: width - 2]}")]
        self._note = ("", 0.0)
        if repl.opening:
            return [("class:dim", f"  {repl.opening} …" if repl.overlay is None else "")]
        return [("", "  "), *self._splitter.pieces(self.drawing.status(repl, width - 2))]

    def _marker(self) -> StyleAndTextTuples:
        style = {"plan": "marker.plan", "bypass": "marker.bypass"}.get(self.repl.state.mode, "marker")
        return [(f"class:{'marker.busy' if self.repl.busy else style}", "› ")]

    def note(self, text: str) -> None:
        """A few words on the status line, for a moment."""
        if text:
            self._note = (text, time.monotonic() + NOTE_S)
            self.changed()

    def copy(self, text: str) -> bool:
        from agentcli.ui.notify import copied

        self.output.write_raw(copied(text))
        self.output.flush()
        return True

    def ring(self, text: str) -> None:
        from agentcli.ui.notify import signal_for

        self.output.write_raw(signal_for(self.repl.agent.config.ui.notifications, text))
        self.output.flush()

    # --- questions ---

    @property
    def overlay_takes_keys(self) -> bool:
        return self._floor.takes_keys(self.repl.overlay)

    def _show_soon(self) -> None:
        self.app.invalidate()
        self.changed()

    def _overlay_text(self) -> StyleAndTextTuples:
        out: StyleAndTextTuples = []
        for at, line in enumerate(self._overlay):
            out += [("", "\n")] if at else []
            out += [(f"class:{style}" if style else "", text) for style, text in line]
        return out

    @property
    def _prompt_hidden(self) -> bool:
        overlay = self.repl.overlay
        return overlay is not None and overlay.blocks_prompt

    def _sync_focus(self) -> None:
        layout = self.app.layout
        if self._floor.has_keys(self.repl.overlay):
            if layout.current_window is not self._question_window:
                layout.current_window = self._question_window
        elif layout.current_window is self._question_window:
            layout.current_window = self.prompt.window

    def _typed(self, _: object) -> None:
        self._floor.typed()

    # --- keys ---

    def _pass_on(self, *presses: KeyPress) -> None:
        """Keys that came while a question had them, for the prompt after all."""
        self._floor.typed()
        self.app.key_processor.feed_multiple(list(presses), first=True)

    def send(self) -> None:
        """Enter."""
        text = self.prompt.take()
        self._floor.sent()
        self.repl.enter(text)

    def accept_completion(self) -> bool:
        """Enter with an open menu: takes what is chosen, or the first of the files. True where Enter is used up by that."""
        state = self.prompt.buffer.complete_state
        if state is None or not state.completions:
            return False
        if state.current_completion is not None:
            self.prompt.buffer.complete_state = None
            return not self.prompt.text.startswith("/")
        first = state.completions[0]
        before = self.prompt.buffer.document.text_before_cursor
        if before.startswith("/") or before.endswith(first.text):
            self.prompt.buffer.cancel_completion()
            return False
        self.prompt.buffer.apply_completion(first)
        self.prompt.buffer.insert_text(" ")
        return True

    def complete(self) -> None:
        """Tab: opens the menu, takes its only entry, else goes to the next."""
        buffer = self.prompt.buffer
        state = buffer.complete_state
        if state is None:
            buffer.start_completion(insert_common_part=True)
        elif len(state.completions) == 1:
            buffer.apply_completion(state.completions[0])
            if not buffer.text.endswith("/"):
                buffer.insert_text(" ")
        else:
            buffer.complete_next()

    def control_c(self) -> None:
        if self.repl.control_c(self.prompt.text):
            self.prompt.buffer.reset()
            self.repl.pastes.clear()
        self.changed()

    def give_back(self, text: str) -> None:
        self.prompt.give_back(text)
        self._show_soon()

    async def edit(self) -> None:
        """Ctrl+G: the text goes through the person's editor, which has the terminal meanwhile."""
        from prompt_toolkit.application import in_terminal

        from agentcli.sdk.programs import edit_text

        text = self.repl.pastes.expand(self.prompt.text)
        with self._app_context():
            async with in_terminal():
                changed = await edit_text(text, self.repl.agent.config.key_variables)
        self.repl.pastes.clear()
        self.prompt.set(changed)
        self._show_soon()

    @contextlib.contextmanager
    def _app_context(self) -> Iterator[None]:
        from prompt_toolkit.application.current import set_app

        with set_app(self.app):
            yield

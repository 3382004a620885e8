"""Which key does what. Each binding is a line or two: what it means is decided in `repl`, in the prompt, or in the overlay that has the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.application.current import get_app
from prompt_toolkit.filters import Condition, completion_is_selected, has_completions, is_searching, vi_insert_mode, vi_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from agentcli.ui.answering import Press

if TYPE_CHECKING:
    from agentcli.ui.screen import InlineScreen

NAMES = {
    "c-m": "enter", "c-j": "enter", "c-h": "backspace", "c-i": "tab", "<bracketed-paste>": "text", "<sigint>": "c-c",
}  # fmt: skip
"""prompt_toolkit's names of keys as overlays know them."""


def bindings(screen: InlineScreen) -> KeyBindings:
    """All bindings, the overlay's first in rank."""
    keys = KeyBindings()
    _prompt_keys(keys, screen)
    _agent_keys(keys, screen)
    _overlay_keys(keys, screen)
    return keys


def _overlay_keys(keys: KeyBindings, screen: InlineScreen) -> None:
    """Every key goes to the question or list that has the floor."""

    @keys.add(Keys.Any, filter=Condition(lambda: screen.overlay_takes_keys), eager=True)
    def _(event: KeyPressEvent) -> None:
        pressed = event.key_sequence[0]
        name = str(getattr(pressed.key, "value", pressed.key))
        text = pressed.data if len(name) == 1 or name == "<bracketed-paste>" else ""
        screen.answering.press(Press("text" if text else NAMES.get(name, name), text, pressed))


def _prompt_keys(keys: KeyBindings, screen: InlineScreen) -> None:
    prompt, repl = screen.prompt, screen.repl
    searching = is_searching
    at_prompt = ~searching

    @keys.add("enter", filter=at_prompt)
    def _(event: KeyPressEvent) -> None:
        if not screen.accept_completion():
            screen.send()

    @keys.add("c-j", filter=at_prompt)
    def _(event: KeyPressEvent) -> None:
        prompt.buffer.insert_text("\n")

    @keys.add("escape", "enter", filter=at_prompt)
    def _(event: KeyPressEvent) -> None:
        if repl.busy:
            repl.follow_up(prompt.take())
        else:
            prompt.buffer.insert_text("\n")

    @keys.add("tab", filter=at_prompt)
    def _(event: KeyPressEvent) -> None:
        screen.complete()

    @keys.add("escape", filter=has_completions & ~vi_mode, eager=False)
    def _(event: KeyPressEvent) -> None:
        prompt.buffer.cancel_completion()

    @keys.add(Keys.BracketedPaste, filter=at_prompt)
    def _(event: KeyPressEvent) -> None:
        screen.note(prompt.insert_paste(event.data))

    @keys.add("c-v", filter=at_prompt & ~vi_mode)
    def _(event: KeyPressEvent) -> None:
        from agentcli.ui.paste import BY_FILE

        screen.note(f"Text: your terminal's own paste key. {BY_FILE}")

    @keys.add("c-d", filter=at_prompt & Condition(lambda: not prompt.text))
    def _(event: KeyPressEvent) -> None:
        repl.quit()

    @keys.add("c-g", filter=at_prompt)
    def _(event: KeyPressEvent) -> None:
        repl.spawn(screen.edit())

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        get_app().suspend_to_background()


def _agent_keys(keys: KeyBindings, screen: InlineScreen) -> None:
    prompt, repl = screen.prompt, screen.repl
    leaves_insert = vi_insert_mode & Condition(lambda: bool(prompt.text))

    @keys.add("escape", filter=~has_completions & ~is_searching & ~leaves_insert)
    def _(event: KeyPressEvent) -> None:
        repl.escape()

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        screen.control_c()

    @keys.add("c-o")
    def _(event: KeyPressEvent) -> None:
        repl.unfold()

    @keys.add("c-b", filter=Condition(lambda: repl.can_let_go))
    def _(event: KeyPressEvent) -> None:
        repl.let_go()

    @keys.add("s-tab", filter=~completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        repl.next_mode()

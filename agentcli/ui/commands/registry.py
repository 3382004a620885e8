"""What a slash command is and how one is found by what was typed. The commands themselves live beside this, one file per family."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from agentcli.protocol.names import nearest

if TYPE_CHECKING:
    from types import ModuleType

    from agentcli.ui.repl import Repl

Run = Callable[["Repl", str], Awaitable[None]]
Complete = Callable[["Repl", Sequence[str]], Iterable[tuple[str, str]]]
"""Given the words before the one under the cursor: what may come next, each with a few words of help."""


class SlashCommand(Struct, frozen=True):
    """One command. The first line of its docstring is its help in lists, the rest its help alone."""

    name: str
    run: Run
    usage: str = ""
    aliases: tuple[str, ...] = ()
    complete: Complete | None = None
    shown: Callable[[Repl], bool] | None = None
    """Whether it is there at all now; always, where None."""
    source: str = ""
    """The file that a command of the person's own comes from; "" for a built-in one."""

    @property
    def summary(self) -> str:
        return self.help.partition("\n")[0]

    @property
    def help(self) -> str:
        return inspect.cleandoc(self.run.__doc__ or "")


def command(
    name: str,
    *aliases: str,
    usage: str = "",
    complete: Complete | None = None,
    shown: Callable[[Repl], bool] | None = None,
) -> Callable[[Run], SlashCommand]:
    """Makes a function a slash command; its docstring is the help."""
    return lambda run: SlashCommand(name, run, usage, aliases, complete, shown)


class Registry(Struct, frozen=True):
    """All commands, in the order they are listed."""

    commands: tuple[SlashCommand, ...]

    def listed(self, repl: Repl) -> list[SlashCommand]:
        return [one for one in self.commands if one.shown is None or one.shown(repl)]

    def find(self, repl: Repl, name: str) -> SlashCommand | None:
        """By name or alias, else by a beginning that only one has."""
        there = self.listed(repl)
        wanted = name.casefold()
        for one in there:
            if wanted == one.name or wanted in one.aliases:
                return one
        begin = [one for one in there if one.name.startswith(wanted)] if wanted else []
        return begin[0] if len(begin) == 1 else None

    def near(self, repl: Repl, name: str) -> tuple[str, ...]:
        return nearest(name, (one.name for one in self.listed(repl)), cutoff=0.3)


def gather(modules: Iterable[ModuleType]) -> Registry:
    """The commands of these modules, by name."""
    found = {one.name: one for module in modules for one in vars(module).values() if isinstance(one, SlashCommand)}
    return Registry(tuple(found[name] for name in sorted(found)))

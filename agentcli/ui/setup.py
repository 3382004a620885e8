"""The first start on a machine without a config: which keys there are, what runs without one, which model is the default from now on. Once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentcli.ui.amounts import megabytes
from agentcli.ui.picker import Picked, Picker, Row

if TYPE_CHECKING:
    from agentcli.ui.lines import Line
    from agentcli.ui.repl import Repl

LATER = ""


async def guide(repl: Repl) -> None:
    """Asks for a default model and saves it; Esc skips, and it is not asked again. Raises AgentError where nothing can be saved."""
    from agentcli.sdk import saved
    from agentcli.sdk.first import first_models, key_variables
    from agentcli.sdk.served import ask_all

    await ask_all(repl.agent.services)
    found = first_models(repl.agent)
    keys = list(dict.fromkeys(one.why.partition(" ")[0] for one in found if one.why.endswith("is set")))
    repl.say(*_welcome(keys, key_variables()))
    rows = [Row(one.model, (one.model, f"{one.why}; fetches {megabytes(one.size)} from {one.source}" if one.size else one.why)) for one in found]
    rows.append(Row(LATER, ("decide later", "name one with --model, or write default_model into a config")))
    picked = await repl.ask(Picker("Which model should run from now on?", rows))
    saved.remember_asked("setup")
    if isinstance(picked, Picked) and picked.value != LATER:
        path = saved.save_default_model(picked.value)
        repl.say([("", f"{picked.value} is the default (saved in {saved.shown_path(path)}); /model changes it.")])
        await _read_again(repl)
    elif keys:
        repl.say([("dim", "Skipped. A later choice is kept with a d at its end: /model NAME d")])


def _welcome(keys: list[str], looked_for: list[str]) -> list[Line]:
    there = f"Keys found: {', '.join(keys)}." if keys else f"No key found (looked for {', '.join(looked_for[:4])} and {len(looked_for) - 4} more)."
    return [
        [("title", "Welcome to agentcli.")],
        [("", f"No config was found. {there} A local model needs none.")],
        [("dim", "This is asked once. Esc skips it.")],
    ]


async def _read_again(repl: Repl) -> None:
    from agentcli.ui.opening import read_agent

    await repl.agent.close()
    repl.agent = await asyncio.to_thread(read_agent, repl, asyncio.get_running_loop())

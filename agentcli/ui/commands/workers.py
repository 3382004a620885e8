"""Commands about workers: which there are, which run, and steering them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from agentcli.protocol.commands import Cancel, Inject, Pause, Resume
from agentcli.protocol.errors import UnknownAgent, UsageError
from agentcli.protocol.messages import user_text
from agentcli.ui.commands.models import names_of_models
from agentcli.ui.commands.registry import command

if TYPE_CHECKING:
    from agentcli.ui.render import Painter
    from agentcli.ui.repl import Repl
    from agentcli.ui.workers import Worker

VERBS = {
    "show": "one worker in detail",
    "pause": "hold it at its next step",
    "resume": "let it go on",
    "cancel": "end it and its own workers",
    "say": "a message for it, delivered at its next step",
    "retry": "its task once more, on another model if you name one",
}


def _complete(repl: Repl, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    if not words:
        yield from VERBS.items()
    elif len(words) == 1 and words[0] in VERBS:
        over = words[0] == "retry"
        for worker in repl.state.crew.workers.values():
            facts = worker.facts()
            if words[0] == "show" or facts.over == over:
                yield facts.name, f"{facts.state}, {facts.model.resolved}"
    elif len(words) == 2 and words[0] == "retry":
        yield from names_of_models(repl)


@command("agents", "workers", usage="[show|pause|… ID]", complete=_complete)
async def agents(repl: Repl, rest: str) -> None:
    """Workers: definitions, those of this session, one in detail; steer them or run one again.

    /agents                    definitions with the model each would run on and why, then this session's workers
    /agents show ID            one worker: task, model asked for, resolved and served, last lines
    /agents pause|resume ID    hold it at its next step, or let it go on
    /agents cancel ID          end it and its own workers
    /agents say ID TEXT        a message for it, delivered at its next step
    /agents retry ID [MODEL]   the same task again, on another model if you name one; its report goes to its parent
    """
    verb, _, more = rest.partition(" ")
    if not rest:
        return _list(repl)
    if verb not in VERBS:
        raise UsageError(f"/agents has no '{verb}'.", hint=f"It knows: {', '.join(VERBS)}.")
    name, _, text = more.strip().partition(" ")
    if not name:
        raise UsageError(f"/agents {verb} needs a worker.", hint=_known(repl))
    worker = _find(repl, name)
    if verb == "show":
        return _show(repl, worker)
    _check_here(repl, worker)
    if verb == "retry":
        return await _retry(repl, worker, text.strip())
    return _steer(repl, verb, worker, text.strip())


def _list(repl: Repl) -> None:
    from agentcli.sdk.overview import agent_rows
    from agentcli.sdk.wanted import Wanted

    kit, active = repl.session.kit, repl.session.tree.main.model.active
    options = Wanted(subagent_model=kit.subagent_model or None, workers=dict(kit.pins))
    rows = agent_rows(repl.agent, repl.cwd, str(active.ref), options)
    workers = list(repl.state.crew.workers.values())

    def draw(painter: Painter, width: int) -> list[str]:
        from agentcli.ui.agents import agents_lines

        return agents_lines(rows, workers, time.time(), width, painter)

    repl.draw(draw)
    if workers:
        repl.say([("dim", "/agents show NAME tells more; also: pause, resume, cancel, say, retry")], close=True)


def _show(repl: Repl, worker: Worker) -> None:
    def draw(painter: Painter, width: int) -> list[str]:
        from agentcli.ui.agents import worker_lines

        return worker_lines(worker, time.time(), width, painter)

    repl.draw(draw)


async def _retry(repl: Repl, worker: Worker, model: str) -> None:
    from agentcli.sdk.retry import retry

    started = await retry(repl.session, worker.tally.id, model)
    when = "when it ends" if repl.busy else "with your next message after it ends"
    repl.say(f"{worker.facts().name} runs again as {started.removeprefix('main/')}; its report goes to its parent {when}.")


def _steer(repl: Repl, verb: str, worker: Worker, text: str) -> None:
    agent_id, name = worker.tally.id, worker.facts().name
    match verb:
        case "pause":
            repl.session.command(Pause(agent_id))
            repl.say(f"{name} is held at its next step. To let it go on: /agents resume {name}")
        case "resume":
            repl.session.command(Resume(agent_id))
            repl.say(f"{name} goes on.")
        case "cancel":
            repl.session.command(Cancel(agent_id))
            repl.say(f"{name} is ended. To run its task again: /agents retry {name}")
        case _:
            if not text:
                raise UsageError("/agents say needs a text.", hint=f"/agents say {name} look at the tests too")
            repl.session.command(Inject(user_text(text, "injected"), agent_id))
            repl.say(f"{name} is told at its next step.")


def _find(repl: Repl, name: str) -> Worker:
    workers = repl.state.crew.workers
    for worker in workers.values():
        facts = worker.facts()
        if name in (facts.id, facts.name, facts.name.rpartition("/")[2]):
            return worker
    raise UnknownAgent(name, tuple(worker.facts().name for worker in workers.values()))


def _check_here(repl: Repl, worker: Worker) -> None:
    """Workers of before the session was taken up again are only told of: what they ran with is gone."""
    try:
        repl.session.tree.find(worker.tally.id)
    except UnknownAgent:
        name = worker.facts().name
        raise UsageError(
            f"{name} ran before this session was resumed.", hint=f"Ask for its task anew; /agents show {name} tells what it was."
        ) from None


def _known(repl: Repl) -> str:
    names = [worker.facts().name for worker in repl.state.crew.workers.values()]
    return f"There are: {', '.join(names)}." if names else "No worker was started in this session yet."

"""Commands about models: the session's, the workers', their effort, and what a switch costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from agentcli.protocol.commands import PinModel, SetEffort, UseModel
from agentcli.protocol.errors import UsageError
from agentcli.ui.amounts import money, tokens
from agentcli.ui.approve import Choice, Option
from agentcli.ui.commands.registry import command
from agentcli.ui.picker import Picked, Picker, Row

if TYPE_CHECKING:
    from agentcli.ui.lines import Line
    from agentcli.ui.repl import Repl

SUBAGENTS = "subagents"
ROLES = ("lead", "worker", "reviewer")
LIFT = ("none", "-")
PICK_ASK_S = 3.0
"""How long the list waits for what a service at an address of one's own says it has."""
HEAD = ("MODEL", "NAME", "CONTEXT", "$ IN/OUT", "KEY")


class Asked(Struct, frozen=True):
    """What `/model …` names. `worker` "" is the session itself; `model` "" opens the list; `keep` is s, d, or "" where it was not said."""

    worker: str = ""
    model: str = ""
    keep: str = ""


def parse(rest: str, workers: Sequence[str]) -> Asked:
    """`X`, `X d`, `subagents X`, `scout X`; a human name with blanks is one name."""
    words = rest.split()
    worker = words.pop(0) if words and words[0] in (SUBAGENTS, *workers) else ""
    keep = words.pop() if len(words) > 1 and words[-1] in ("s", "d") else ""
    return Asked(worker, " ".join(words), keep)


def _workers(repl: Repl) -> list[str]:
    return [*repl.session.tree.roster.names(), *ROLES]


def _complete(repl: Repl, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    if not repl.opened.is_set() or len(words) > 1:
        return
    yield from names_of_models(repl)
    if not words:
        yield SUBAGENTS, "the default of all workers"
        yield from ((name, "this worker's model") for name in repl.session.tree.roster.names())


def names_of_models(repl: Repl) -> Iterable[tuple[str, str]]:
    """What completion offers where a model is named, each with a few words."""
    for spec in repl.session.kit.catalogue.models:
        yield f"{spec.provider}/{spec.id}", spec.name
        for level in spec.effort:
            yield f"{spec.provider}/{spec.id}:{level}", f"{spec.name}, {level} effort".removeprefix(", ")
    yield from repl.session.kit.catalogue.aliases.items()


@command("model", "models", usage="[WORKER] [MODEL] [s|d]", complete=_complete)
async def model(repl: Repl, rest: str) -> None:
    """Switch the model: of this session, of all workers (subagents), of one worker.

    /model                    a list to search and pick from; left and right choose the effort
    /model X, /model X:low    switches at once; X is an id, an alias or a human name
    /model subagents X        what workers run on whose definition names no model
    /model scout X            pins the worker scout; /model scout none lifts that
    A d at the end makes it the default for later sessions too (settings.json); s, or nothing, is for this session only.
    While a turn runs, the switch takes effect at its next model call; workers that run already keep theirs.
    """
    asked = parse(rest, _workers(repl))
    if asked.model in LIFT and asked.worker:
        return _lift(repl, asked)
    if not asked.model:
        picked = await _pick(repl, asked)
        if picked is None:
            return None
        asked = picked
    await _use(repl, asked)
    return None


@command("effort", usage="LEVEL", complete=lambda repl, words: () if words else ((level, "") for level in _levels(repl)))
async def effort(repl: Repl, rest: str) -> None:
    """Set how much the model thinks, where it has levels."""
    levels = _levels(repl)
    if not rest:
        return repl.say(f"Levels of this model: {', '.join(levels)}." if levels else "This model has no levels of effort.")
    repl.session.command(SetEffort(rest))
    return None


def _levels(repl: Repl) -> tuple[str, ...]:
    return repl.session.tree.main.model.active.spec.effort


# --- picking ---


async def _pick(repl: Repl, asked: Asked) -> Asked | None:
    """From the list; then for how long."""
    from agentcli.sdk.served import ask_all

    whose = {"": "this session", SUBAGENTS: "all workers"}.get(asked.worker, f"the worker {asked.worker}")
    await ask_all(repl.agent.services, PICK_ASK_S)
    rows = await asyncio.to_thread(_rows, repl)  # prices may have to be looked up
    picked = await repl.ask(Picker(f"Model of {whose}", rows, head=HEAD, at=_current(repl, rows)))
    if not isinstance(picked, Picked):
        return None
    name = f"{picked.value}:{picked.variant}" if picked.variant else picked.value
    if asked.worker not in ("", SUBAGENTS):
        return Asked(asked.worker, name, "s")
    options = (Option("s", "s", "this session"), Option("d", "d", "the default from now on"))
    switches = not asked.worker and name != str(repl.session.tree.main.model.active.ref)
    keep = await repl.ask(Choice(f"{name}: for how long?", options, _price_lines(repl, name) if switches else ()))
    return Asked(asked.worker, name, keep) if keep else None


def _rows(repl: Repl) -> list[Row]:
    from agentcli.sdk.overview import model_rows

    rows, active = [], repl.session.tree.main.model.active.ref
    for row in model_rows(repl.agent):
        context = tokens(row.context).removesuffix(" tok") if row.context else "?"
        price = f"{row.cost.input:g}/{row.cost.output:g}" if row.cost else "?"
        key = {None: "-", True: "yes", False: ""}[row.key]
        off = "no key" if row.key is False else ""
        effort = active.effort if row.id == f"{active.provider}/{active.id}" else ""
        rows.append(Row(row.id, (row.id, row.name, context, price, key), row.wire, row.effort, effort, off, row.problem))
    return rows


def _current(repl: Repl, rows: Sequence[Row]) -> int:
    active = repl.session.tree.main.model.active.ref
    ids = [row.value for row in rows]
    name = f"{active.provider}/{active.id}"
    return ids.index(name) if name in ids else 0


# --- switching ---


async def _use(repl: Repl, asked: Asked) -> None:
    resolved = repl.session.kit.catalogue.resolve(asked.model)
    await _have_weights(repl, resolved.spec)
    if asked.worker:
        return _pin(repl, asked, str(resolved.ref))
    before = repl.session.tree.main.model.active.ref
    if before != resolved.ref:
        repl.session.command(UseModel(asked.model))
    else:
        repl.say(f"The session runs on {before} already.")
    notes = _price_lines(repl, asked.model) if before != resolved.ref else []
    if repl.busy and before != resolved.ref:
        notes.insert(0, [("dim", "  It takes effect at the next model call of this turn.")])
    if notes:
        repl.say(*notes, close=True)
    if asked.keep == "d":
        _save(repl, asked, str(resolved.ref))
    return None


async def _have_weights(repl: Repl, spec: object) -> None:
    """Naming a local model is the consent to fetch it, once."""
    from agentcli.sdk.assemble import fetch_weights

    try:
        await fetch_weights(repl.agent, spec)  # type: ignore[arg-type]
    finally:
        repl.download = None


def _pin(repl: Repl, asked: Asked, ref: str) -> None:
    if asked.keep == "d" and asked.worker != SUBAGENTS:
        raise UsageError(
            f'a default for one worker belongs to a config: agents "{asked.worker}" {{ model = "{ref}" }}.',
            hint=f"For this session: /model {asked.worker} {ref}",
        )
    repl.session.command(PinModel(asked.worker, asked.model))
    whose = "Workers whose definition names no model" if asked.worker == SUBAGENTS else f"The worker {asked.worker}"
    verb = "run" if asked.worker == SUBAGENTS else "runs"
    repl.say(f"{whose} {verb} on {ref} from the next start on; those that run keep theirs.")
    if asked.keep == "d":
        _save(repl, asked, ref)


def _lift(repl: Repl, asked: Asked) -> None:
    repl.session.command(PinModel(asked.worker, ""))
    repl.say("Workers follow the session's model again." if asked.worker == SUBAGENTS else f"The worker {asked.worker} is no longer pinned.")


def _save(repl: Repl, asked: Asked, ref: str) -> None:
    from agentcli.sdk import saved

    path = saved.save_subagent_model(ref) if asked.worker == SUBAGENTS else saved.save_default_model(ref)
    repl.say([("dim", f"  Saved as the default in {saved.shown_path(path)}")], close=True)


def _price_lines(repl: Repl, name: str) -> list[Line]:
    """What a switch in the middle of a conversation costs: the cache is lost, all of the context is read anew."""
    used = repl.state.context_tokens
    if not used:
        return []
    kit = repl.session.kit
    cost = kit.price(kit.catalogue.resolve(name).spec)
    price = f", {money(used * cost.for_prompt(used).input / 1_000_000)}" if cost else ", price unknown"
    return [[("dim", f"  The cache is lost: the next call reads about {tokens(used).removesuffix(' tok')} tokens anew{price}.")]]

"""Which model a worker runs on, and whether it may. Pure: who asks a person, and who spawns, is elsewhere.

Lowest to highest: the parent's current model < the session's `subagent_model` < the definition's model < the call's model < a person's pin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from agentcli.agents.spec import INHERIT, WorkerSpec
from agentcli.protocol.errors import ModelRefused, UnknownModel
from agentcli.protocol.models import Link, ModelRef, ModelSpec, ModelUse
from agentcli.protocol.tools import Access

REMOTE = "remote"
REMOTE_RULE = f"model({REMOTE})"
"""What stands in `permissions { allow = […] }` where workers of a local model may run on a remote one without a question."""


class Resolved(Protocol):
    """A model name, looked up."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def ref(self) -> ModelRef: ...


class Resolver(Protocol):
    def resolve(self, name: str) -> Resolved:
        """Raises UnknownModel with the nearest names."""
        ...


class Ruling(Protocol):
    """What the permission rules say of a delegation."""

    @property
    def decision(self) -> Literal["allow", "ask", "deny"]: ...

    @property
    def reason(self) -> str: ...


class Chain(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What each link says, as text; empty or None says nothing. `parent` is the model that the parent runs on at this moment."""

    parent: str
    subagent_model: str | None = ""
    definition: str | None = ""
    call: str | None = ""
    pin: str | None = ""
    worker: str = ""
    """The definition's name, for messages."""
    locked: bool = False
    """The definition refuses a model in the call."""
    effort: str = ""
    """The definition's own `effort`."""


class Choice(Struct, frozen=True, omit_defaults=True):
    """What was decided: the text that the deciding link said, and which link it was.

    `effort` is the definition's, to be used where nobody named one with the model; "" leaves it to the model. `note` is for the tool
    result where a person's pin overrode the call.
    """

    requested: str
    link: Link
    effort: str = ""
    note: str = ""

    @property
    def inherited(self) -> bool:
        """Whether the worker runs on its parent's model, effort included."""
        return self.link == "parent"


class Picked(Struct, frozen=True):
    """A model to run on: its spec, its reference with effort, the proof so far, and a note for the tool result."""

    spec: ModelSpec
    ref: ModelRef
    use: ModelUse
    note: str = ""


class ModelLimits(Struct, frozen=True, omit_defaults=True):
    """What the config says of models for workers. `max_price` is USD per million tokens, held against the dearer of input and output."""

    allowed: tuple[str, ...] = ()
    max_price: float | None = None


class Consent(Struct, frozen=True):
    """A person has to agree before the worker starts. `refusal()` is the error where there is nobody to ask.

    `rule` would allow it for good; "" where a rule asks, for an ask outranks an allow.
    """

    worker: str
    model: str
    reason: str
    rule: str = REMOTE_RULE

    def refusal(self) -> ModelRefused:
        allow = f'Allow it with: permissions {{ allow = ["{self.rule}"] }}' if self.rule else "Take that rule out, or use --permission-mode bypass."
        return ModelRefused(f"{self.reason} Nobody can be asked here.", hint=allow)


def choose_model(chain: Chain) -> Choice:
    """The model of a worker, before it is looked up.

    Raises:
        ModelRefused: the call names a model and the definition is locked.
    """
    pin, call, definition, default = (_said(word) for word in (chain.pin, chain.call, chain.definition, chain.subagent_model))
    if chain.locked and call:
        own = f"its own ('{definition}')" if definition and definition != INHERIT else "its parent's"
        raise ModelRefused(
            f"the worker '{chain.worker}' is locked to {own} model; the call's model '{call}' is refused.",
            hint="Leave 'model' out, or choose another worker.",
        )
    if pin:
        return _pinned(chain, pin, call)
    if call:
        return Choice(chain.parent, "parent") if call == INHERIT else Choice(call, "call")
    if definition and definition != INHERIT:
        return Choice(definition, "definition", chain.effort)
    if default and default != INHERIT and not definition:
        return Choice(default, "subagent_model", chain.effort)
    return Choice(chain.parent, "parent", chain.effort)


def resolve_choice(choice: Choice, parent: Resolved | None, resolver: Resolver) -> Picked:
    """Looks the chosen model up. An inherited one is the parent's as it runs, effort included, and is not looked up again; `parent` may be None
    only where it is not inherited.

    Raises:
        UnknownModel: nobody has a model of that name; carries the nearest names. There is no silent fallback.
    """
    found = parent if choice.inherited and parent is not None else resolver.resolve(choice.requested)
    ref, note = found.ref, choice.note
    if choice.effort and (choice.inherited or not names_effort(choice.requested, found)):
        if choice.effort in found.spec.effort:
            ref = ModelRef(ref.provider, ref.id, choice.effort)
        else:
            note = f"{note} {found.ref} has no effort '{choice.effort}', which the definition asks for.".strip()
    return Picked(found.spec, ref, ModelUse(choice.requested, str(ref), choice.link), note)


def names_effort(name: str, found: Resolved) -> bool:
    """Whether a model's name said the effort itself: `provider/id:low`, `Human Name (Low)`."""
    effort = found.ref.effort
    if not effort or name.strip() == f"{found.ref.provider}/{found.ref.id}" or name.strip() == found.ref.id:
        return False
    return re.search(rf"(:|\(\s*){re.escape(effort)}\s*\)?\s*$", name, re.IGNORECASE) is not None


def check_model(
    picked: Picked,
    worker: WorkerSpec,
    *,
    tools: Sequence[str],
    limits: ModelLimits,
    judge: Callable[[Access], Ruling],
    resolver: Resolver,
    parent_remote: bool,
    remote: bool,
    remote_allowed: bool,
) -> tuple[Consent, ...]:
    """Whether a worker may start on a model. What is given back is what a person must agree to first, each on its own; often nothing.

    `tools` are the worker's; `judge` is the permission rules' word on a worker and its model (`task(model:…)`). Of the worker alone they ask
    where it is called for, not here once more. `parent_remote` and `remote` say whether the parent's and the worker's provider are off this
    machine, `remote_allowed` whether a rule already agrees to that step.

    Raises:
        ModelRefused: it may not; says why and what would let it.
    """
    name = str(picked.ref)
    _check_allowed(picked, limits.allowed, resolver, worker.name)
    ruling = judge(Access(agent=worker.name, model=name))
    if ruling.decision == "deny":
        raise ModelRefused(f"the worker '{worker.name}' may not run on {name}: {ruling.reason}")
    if remote or picked.spec.cost is not None:
        _check_price(picked.spec, name, limits.max_price, worker.name)
    if tools and not takes_tools(picked.spec):
        raise ModelRefused(
            f"the worker '{worker.name}' has tools ({', '.join(tools[:4])}{', …' if len(tools) > 4 else ''}) and {name} takes no tool calls.",
            hint="Name another model, or a worker without tools.",
        )
    needed: list[Consent] = []
    ruling = judge(Access(model=name))
    if ruling.decision == "ask":
        needed.append(Consent(worker.name, name, f"The worker '{worker.name}' would run on {name}: {ruling.reason}", rule=""))
    if remote and not parent_remote and not remote_allowed:
        needed.append(Consent(worker.name, name, f"The worker '{worker.name}' would send what it reads from this machine to {name}."))
    return tuple(needed)


def takes_tools(spec: ModelSpec) -> bool:
    """Whether a worker with tools can run on it. A small local model is led step by step, so it can without calls of its own."""
    return spec.tool_call or spec.profile.name == "small"


def dearest(spec: ModelSpec) -> float | None:
    """USD per million tokens, the dearer of input and output; None where the price is unknown."""
    return None if spec.cost is None else max(spec.cost.input, spec.cost.output)


def _said(word: str | None) -> str:
    plain = (word or "").strip()
    return INHERIT if plain.lower() == INHERIT else plain


def _pinned(chain: Chain, pin: str, call: str) -> Choice:
    note = ""
    if call and call != pin:
        asked = "to inherit its parent's model" if call == INHERIT else f"for '{call}'"
        note = f"A person pinned '{chain.worker}' to '{pin}' for this run; the call asked {asked}, which was not followed."
    return Choice(chain.parent, "parent", note=note) if pin == INHERIT else Choice(pin, "pin", note=note)


def _check_allowed(picked: Picked, allowed: Sequence[str], resolver: Resolver, worker: str) -> None:
    if not allowed or any(_is_meant(entry, picked.ref, resolver) for entry in allowed):
        return
    raise ModelRefused(
        f"the worker '{worker}' may not run on {picked.ref}: it is not among allowed_models ({', '.join(allowed)}).",
        hint="Name one of these, or add it to the config.",
    )


def _is_meant(entry: str, ref: ModelRef, resolver: Resolver) -> bool:
    """An entry with `*` or `?` is a pattern on `provider/id` or `provider/id:effort`; any other is a model's name, with its effort or for all."""
    plain = f"{ref.provider}/{ref.id}"
    if "*" in entry or "?" in entry:
        pattern = "".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in entry)
        return re.fullmatch(pattern, plain) is not None or re.fullmatch(pattern, str(ref)) is not None
    if entry in (plain, str(ref)):
        return True
    try:
        found = resolver.resolve(entry)
    except UnknownModel:
        return False
    if (found.ref.provider, found.ref.id) != (ref.provider, ref.id):
        return False
    return not names_effort(entry, found) or found.ref.effort == ref.effort


def _check_price(spec: ModelSpec, name: str, ceiling: float | None, worker: str) -> None:
    if ceiling is None:
        return
    price = dearest(spec)
    if price is None:
        raise ModelRefused(
            f"the worker '{worker}' may not run on {name}: its price is unknown and limits.max_model_price is {ceiling:g}.",
            hint=f'Declare it: providers "{spec.provider}" {{ models "{spec.id}" {{ cost = {{ input = …, output = … }} }} }}',
        )
    if price > ceiling:
        raise ModelRefused(
            f"the worker '{worker}' may not run on {name}: ${price:g} per million tokens is above limits.max_model_price ({ceiling:g}).",
            hint="Name a cheaper model, or raise the limit.",
        )

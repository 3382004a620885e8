"""Puts one session together: model, rules, tools, prompt, limits, file, bus and orchestrator."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct
from msgspec.structs import replace

from agentcli.agents.admission import check_budget
from agentcli.agents.held import Held
from agentcli.agents.kit import Kit, SwitchableModel, TreeLimits
from agentcli.agents.ledger import TreeLedger
from agentcli.agents.offered import delegation_tools
from agentcli.agents.orchestrator import Orchestrator
from agentcli.agents.spec import DELEGATION_TOOLS, INHERIT, WorkerSpec, select_tools
from agentcli.agents.tree import Node
from agentcli.config.settings import save_rule
from agentcli.engine.approvals import Approvals
from agentcli.engine.calls import Place
from agentcli.engine.control import RunLimits
from agentcli.engine.gate import Gate
from agentcli.engine.history import fold
from agentcli.engine.loop import Setup
from agentcli.engine.prompt import PromptFacts, build, find_instructions
from agentcli.protocol.errors import AgentError, UsageError
from agentcli.protocol.events import AgentSpawned, AnyEvent, Envelope, ModelChanged, ModelPinned, Notice, PermissionMode, SessionStarted
from agentcli.protocol.messages import Message
from agentcli.protocol.models import ModelRef, ModelSpec
from agentcli.protocol.names import nearest
from agentcli.protocol.tools import Tool
from agentcli.providers.registry import Resolved
from agentcli.safety.redact import known_out
from agentcli.safety.rules import Policy, parse_rules
from agentcli.sdk import saved
from agentcli.sdk.bus import Bus
from agentcli.sdk.named import check_models, check_pins, first_model
from agentcli.sdk.parts import MAIN, Parts
from agentcli.sdk.roster import check_tools, roster_of
from agentcli.sdk.rules import rules_of
from agentcli.sdk.schemas import json_schema
from agentcli.sdk.wanted import Wanted
from agentcli.store.files import SessionFile, new_session_id
from agentcli.store.sessions import find, fork, given_title, latest, load, project_folder
from agentcli.system import environment, folders
from agentcli.tools import builtin

if TYPE_CHECKING:
    from agentcli.sdk.agent import AsyncAgent

SMALL_TOLD = "small-model"


class _Past(Struct):
    """What a session goes on from: nothing, or the events of a file. `problems` are lines of it that could not be read."""

    session_id: str
    envelopes: Sequence[Envelope] = ()
    file: SessionFile | None = None
    problems: tuple[str, ...] = ()

    @property
    def seq(self) -> int:
        return max((envelope.seq for envelope in self.envelopes), default=0)

    def model(self) -> str:
        """The model that the main agent ran on last."""
        for envelope in reversed(self.envelopes):
            if envelope.agent_id == MAIN and isinstance(envelope.event, SessionStarted | ModelChanged):
                return envelope.event.model.resolved
        return ""

    def pins(self) -> dict[str, str]:
        """The models that a person gave to workers, those lifted again left out."""
        given = {one.event.worker: one.event.model for one in self.envelopes if isinstance(one.event, ModelPinned)}
        return {worker: model for worker, model in given.items() if model}

    def workers(self) -> Iterator[str]:
        return (one.event.name for one in self.envelopes if isinstance(one.event, AgentSpawned))


def assemble(agent: AsyncAgent, cwd: Path, options: Wanted) -> Parts:
    """All parts of a session in `cwd`. Raises UsageError and its kind for what cannot be."""
    past = _past(options, cwd)
    try:
        return _assemble(agent, cwd, options, past)
    except BaseException:
        if past.file is not None:
            past.file.close()
        raise


def _assemble(agent: AsyncAgent, cwd: Path, options: Wanted, past: _Past) -> Parts:
    bus = Bus(past.session_id, past.seq)
    kit = _kit(agent, cwd, options, bus, past.pins())
    roster = roster_of(agent.config, options, cwd, config_dir=agent.config_dir)
    spec = roster.get(options.agent) if options.agent else WorkerSpec(name=MAIN, can_delegate=True)
    node = _main(agent, options, kit, past, spec)
    orchestrator = Orchestrator(kit, roster, node)
    orchestrator.remember_names(past.workers())
    every_tool = (*kit.tools, *delegation_tools(orchestrator))
    roster.warnings += check_tools(roster.list(), [tool.name for tool in every_tool])
    kit.tools = _choose_tools(every_tool, options)
    every = tuple(tool.name for tool in kit.tools)
    node.tool_names = select_tools(spec, every, every)
    return _parts(agent, options, kit, bus, orchestrator, past)


def _past(options: Wanted, cwd: Path) -> _Past:
    """Opens the session's file first, then reads: nobody else can append in between."""
    root = folders.sessions()
    if not options.resume and not options.continue_latest:
        if options.fork:
            raise UsageError("option 'fork' copies a saved session, and none is named.", hint="Name it with resume, or set continue_latest.")
        session_id = options.session_id or new_session_id()
        return _Past(session_id, (), SessionFile.create(project_folder(root, cwd), session_id) if options.save else None)
    if options.resume and options.continue_latest:
        raise UsageError("options 'resume' and 'continue_latest' both name a session.", hint="Give one of them.")
    path = find(root, options.resume) if options.resume else latest(root, cwd).path
    if options.session_id and options.save and not options.fork:
        raise UsageError("a saved session that goes on keeps its id; option 'session_id' is for a new one.", hint="For a copy of it set fork.")
    if options.fork or not options.save:
        loaded = load(path)
        session_id = options.session_id or new_session_id()
        copy = fork(loaded.envelopes, project_folder(root, cwd), session_id) if options.save else None
        return _Past(session_id, loaded.envelopes, copy, loaded.problems)
    file = SessionFile.open(path)
    loaded = load(path)
    return _Past(path.stem, loaded.envelopes, file, loaded.problems)


def _kit(agent: AsyncAgent, cwd: Path, options: Wanted, bus: Bus, pins: dict[str, str]) -> Kit:
    config, services = agent.config, agent.services
    roots = (cwd, *map(_existing, options.add_dirs))
    scratch = folders.cache() / "scratch" / bus.session_id
    limits = config.limits
    own = config.subagent_model.value if config.subagent_model else ""
    return Kit(
        session_id=bus.session_id,
        publish=bus.publish,
        catalogue=services.catalogue,
        connect=services.connect,
        door=services.door,
        is_remote=services.is_remote,
        tools=(*builtin(), *options.own_tools),
        policy=_policy(agent, options, roots, scratch),
        approvals=Approvals() if agent.origin.person or options.on_approval else None,
        ledger=TreeLedger(
            max_usd=_first(options.max_budget_usd, limits.max_budget_usd),
            max_tokens=_first(options.max_tokens, limits.max_tokens),
            max_turns=_first(options.max_turns, limits.max_turns),
        ),
        limits=_tree_limits(agent, options),
        cwd=cwd,
        roots=roots,
        scratch=scratch,
        child_env=environment.child_env(config.key_variables),
        facts=_facts(agent, options, cwd, roots),
        remember_rule=_remembering(cwd, bus) if agent.origin.person else None,
        fallback_models=tuple(options.fallback_models),
        subagent_model=options.subagent_model or pins.pop("subagents", "") or own,
        pins={**pins, **options.workers},
        price=services.price,
        price_at_hand=services.price_at_hand,
        context=services.context,
        redact=known_out(config.secrets(environment.PROVIDER_KEYS)),
    )


def _existing(folder: Path) -> Path:
    found = folder.expanduser().resolve()
    if not found.is_dir():
        raise UsageError(f"no such folder to work in as well: {found}.")
    return found


def _remembering(cwd: Path, bus: Bus) -> Callable[[str], None]:
    """What a person always allows is saved for the folder they said it in; where it cannot be, they are told, and it holds for the session."""

    def remember(text: str) -> None:
        try:
            for rule in parse_rules(text):
                save_rule(folders.config(), "allow", rule.text, cwd)
        except AgentError as error:
            bus.publish(MAIN, Notice(level="warning", text=f"allowed, but not saved for later: {error.line()}"))

    return remember


def _tree_limits(agent: AsyncAgent, options: Wanted) -> TreeLimits:
    given, defaults = agent.config.limits, RunLimits()
    run = RunLimits(
        timeout_s=_first(options.timeout_s, given.timeout_s),
        first_byte_s=given.first_byte_s or defaults.first_byte_s,
        idle_s=given.idle_s or defaults.idle_s,
        call_s=given.call_s or defaults.call_s,
        retries=given.retries,
        retry_first_s=given.retry_first_s or defaults.retry_first_s,
        retry_most_s=given.retry_most_s or defaults.retry_most_s,
        compact_at=defaults.compact_at if given.compact_at is None else given.compact_at,
    )
    base = TreeLimits()
    return TreeLimits(
        max_parallel=options.max_parallel or given.max_parallel or base.max_parallel,
        max_depth=base.max_depth if given.max_depth is None else given.max_depth,
        max_agents=base.max_agents if given.max_agents is None else given.max_agents,
        max_price=given.max_model_price,
        allowed_models=agent.config.allowed_models,
        run=run,
    )


def _policy(agent: AsyncAgent, options: Wanted, roots: tuple[Path, ...], scratch: Path) -> Policy:
    given = agent.config.permissions
    mode = cast(PermissionMode, options.permission_mode or given.mode or agent.origin.default_mode)
    return Policy(
        mode=mode,
        allow=rules_of(given.allow, options.allowed_tools),
        ask=rules_of(given.ask),
        deny=rules_of(given.deny, options.disallowed_tools),
        roots=roots,
        read_roots=(scratch,),
    )


def _facts(agent: AsyncAgent, options: Wanted, cwd: Path, roots: tuple[Path, ...]) -> PromptFacts:
    top = next((folder for folder in (cwd, *cwd.parents) if (folder / ".git").exists()), None)
    return PromptFacts(
        cwd=cwd,
        platform=f"{platform.system()} {platform.machine()}",
        today=datetime.date.today().isoformat(),
        is_git=top is not None,
        instructions=find_instructions(cwd, top or cwd),
        append="\n\n".join(part for part in (agent.config.system_prompt_append, options.append_system_prompt) if part),
        extra_roots=roots[1:],
    )


def _main(agent: AsyncAgent, options: Wanted, kit: Kit, past: _Past, spec: WorkerSpec) -> Node:
    """The main agent's node, its model chosen and connected. With `--agent` it is that worker's definition that runs the session."""
    asked, link = options.model, agent.origin.link
    if not asked and spec.model and spec.model != INHERIT:
        asked, link = spec.model, "definition"
    name, link = agent.services.starting_model(asked, link, past.model())
    resolved = first_model(agent.services, name, link)
    if effort := options.effort or (spec.effort if link == "definition" else ""):
        resolved = _at_effort(resolved, effort)
    checked = check_models(agent.services, options, agent.origin.link)
    fallbacks = kit.fallback_models or spec.fallback_models
    for spoken in (resolved, *checked, *map(kit.catalogue.resolve, fallbacks)):
        agent.services.spec(spoken.spec.provider)  # a variable that is not set is told now, not when a model is given up
        check_budget(kit, spoken.spec)

    def emit(event: AnyEvent) -> None:
        kit.publish(MAIN, event)

    held = Held(emit)
    model = SwitchableModel(kit, kit.activate(resolved, name, link), fallbacks)
    gate = Gate(kit.policy, kit.approvals, kit.remember_rule)
    return Node(MAIN, MAIN, spec, None, emit, held, model, gate, (), kit.ledger, state="running")


def _at_effort(resolved: Resolved, effort: str) -> Resolved:
    """Raises UsageError where the model has no such level."""
    if effort not in resolved.spec.effort:
        levels = ", ".join(resolved.spec.effort) or "none"
        raise UsageError(f"{resolved.ref} has no effort '{effort}'; its levels: {levels}.")
    return Resolved(resolved.spec, ModelRef(resolved.ref.provider, resolved.ref.id, effort))


def _choose_tools(tools: Sequence[Tool[Any]], options: Wanted) -> tuple[Tool[Any], ...]:
    """`tools` limits what there is; a bare name among the disallowed takes a tool away altogether. Raises UsageError for unknown names."""
    names = [tool.name for tool in tools]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise UsageError(f"two tools are called '{twice}'.", hint="Give your own another name.")
    for wanted in options.tools or ():
        if wanted not in names:
            raise UsageError(f"no tool '{wanted}'; nearest: {', '.join(nearest(wanted, tuple(names)))}.")
    hidden = {name.lower() for name in options.disallowed_tools if "(" not in name}
    return tuple(tool for tool in tools if (options.tools is None or tool.name in options.tools) and tool.name not in hidden)


def _parts(agent: AsyncAgent, options: Wanted, kit: Kit, bus: Bus, orchestrator: Orchestrator, past: _Past) -> Parts:
    node = orchestrator.main
    history: list[Message] = fold(past.envelopes) if past.envelopes else []
    own = options.system_prompt or node.spec.system_prompt
    delegates = any(name in DELEGATION_TOOLS for name in node.tool_names)
    facts = replace(kit.facts, own=own, delegates=delegates, plan=kit.policy.mode == "plan")
    setup = Setup(
        models=node.model,
        tools=[tool for tool in kit.tools if tool.name in node.tool_names],
        gate=node.gate,
        place=Place(MAIN, kit.cwd, kit.roots, kit.scratch, kit.child_env, redact=kit.redact),
        emit=node.emit,
        system=build(facts),
        limits=kit.limits.run,
        control=node.held,
        ledger=kit.ledger,
        output_schema=json_schema(options.output_schema),
    )
    return Parts(
        kit=kit,
        bus=bus,
        node=node,
        orchestrator=orchestrator,
        setup=setup,
        history=history,
        file=past.file,
        notices=(*agent.config.warnings, *past.problems, *orchestrator.roster.warnings, *check_pins(kit, orchestrator.roster, node.tool_names)),
        prepare=lambda: _prepare(agent, kit, node),
        resumed=bool(past.envelopes),
        title=given_title(past.envelopes),
        on_approval=options.on_approval,
        check_loop=agent.services.check_loop,
        output_schema=options.output_schema,
    )


async def _prepare(agent: AsyncAgent, kit: Kit, node: Node) -> None:
    """Before the first run: work that killed workers left is saved, weights are fetched. Raises AgentError where these cannot be had."""
    sessions = kit.scratch.parent
    if sessions.is_dir():
        from agentcli.agents.leftovers import save_leftovers

        for line in await save_leftovers(sessions):
            kit.publish(MAIN, Notice(level="warning", text=line))
    spec = node.model.active.spec
    await fetch_weights(agent, spec)
    if spec.profile.name == "small":
        _tell_small(kit, spec)


def _tell_small(kit: Kit, spec: ModelSpec) -> None:
    """Once a person, on whichever model it is first: nobody should judge the program by what a small model makes of it."""
    if saved.was_asked(SMALL_TOLD):
        return
    where = "a small local model" if spec.wire == "local" else "a small model"
    text = (
        f"{spec.provider}/{spec.id} is {where}: it takes simple steps, and often takes them wrong. "
        "For real work set a key such as OPENAI_API_KEY, or name a stronger model with --model (agentcli models lists them)."
    )
    kit.publish(MAIN, Notice(level="info", text=text))
    saved.remember_asked(SMALL_TOLD)


async def fetch_weights(agent: AsyncAgent, spec: ModelSpec) -> None:
    """A local model that was named is fetched once: naming it is the consent. Raises AgentError where it cannot be had."""
    if spec.wire != "local" or spec.path:
        return
    from agentcli.providers import weights

    await weights.pull(spec.sent_as or spec.id, folders.weights(), agent.on_progress or (lambda _: None))


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)

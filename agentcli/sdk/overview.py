"""What there is, for faces that list it: models, workers and what they resolve to, sessions, config, local weights. Plain data, no output."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from agentcli.agents.override import Chain, choose_model, resolve_choice
from agentcli.config.load import Problem, check
from agentcli.config.load import load as load_config
from agentcli.config.trust import trust_folder
from agentcli.protocol.errors import AgentError, ProviderError, UsageError
from agentcli.protocol.events import Envelope
from agentcli.protocol.models import Cost, ModelUse
from agentcli.providers import weights
from agentcli.providers.registry import Resolved
from agentcli.sdk.agent import AsyncAgent, layers
from agentcli.sdk.models import Services
from agentcli.sdk.named import first_model, misnamed
from agentcli.sdk.roster import roster_of
from agentcli.sdk.rules import bad_rules
from agentcli.sdk.wanted import Wanted
from agentcli.store.sessions import SessionInfo, find, list_sessions, load, remove
from agentcli.system import environment, folders


class ModelRow(Struct, frozen=True):
    """One model. `key` None: it needs none; else whether it is there. `context` in tokens, None where unknown."""

    id: str
    name: str
    wire: str
    context: int | None
    cost: Cost | None
    tools: bool
    effort: tuple[str, ...]
    key: bool | None
    default: bool = False
    problem: str = ""


def model_rows(agent: AsyncAgent, query: str = "") -> list[ModelRow]:
    """Models whose name holds every word of the query, all where it is empty; local ones last."""
    services = agent.services
    try:
        name, _ = services.starting_model(None, "config", "")
        default = services.catalogue.resolve(name).ref
    except AgentError:
        default = None
    rows = []
    for spec in sorted(services.catalogue.matching(query), key=lambda spec: spec.wire == "local"):
        key, problem = services.key_state(spec.provider)
        is_default = default is not None and (default.provider, default.id) == (spec.provider, spec.id)
        rows.append(
            ModelRow(
                f"{spec.provider}/{spec.id}", spec.name, spec.wire, services.context(spec), services.price(spec),
                spec.tool_call or spec.profile.name == "small", spec.effort, key, is_default, problem,
            )
        )  # fmt: skip
    return rows


class AgentRow(Struct, frozen=True):
    """A worker's definition, and the model that it would run on now; where there is none, `problem` says why. `waits`: it follows the session's
    model, and nothing says which that is."""

    name: str
    description: str
    source: str
    tools: tuple[str, ...] | None
    model: ModelUse | None
    note: str = ""
    problem: str = ""
    waits: bool = False


def agent_rows(agent: AsyncAgent, cwd: Path, model: str | None = None, options: Wanted | None = None) -> list[AgentRow]:
    """Every worker of a session that would be opened in `cwd`, by name. `model`: as if it ran on this one.

    Raises:
        UnknownModel: what names the session's model names none. Where nothing does, workers that follow it have no model.
    """
    options = options or Wanted()
    services = agent.services
    parent, why = _session_model(services, model)
    own = agent.config.subagent_model.value if agent.config.subagent_model else ""
    rows = []
    for spec in roster_of(agent.config, options, cwd, config_dir=folders.config()).list():
        chain = Chain(
            parent=str(parent.ref) if parent else "", subagent_model=options.subagent_model or own, definition=spec.model, worker=spec.name,
            pin=options.workers.get(spec.name), effort=spec.effort,
        )  # fmt: skip
        choice = choose_model(chain)
        if choice.inherited and parent is None:
            rows.append(AgentRow(spec.name, spec.description, spec.origin, spec.tools, None, problem=why, waits=True))
            continue
        try:
            picked = resolve_choice(choice, parent, services.catalogue)
            rows.append(AgentRow(spec.name, spec.description, spec.origin, spec.tools, picked.use, picked.note))
        except AgentError as error:
            rows.append(AgentRow(spec.name, spec.description, spec.origin, spec.tools, None, problem=error.line()))
    return rows


def _session_model(services: Services, asked: str | None) -> tuple[Resolved | None, str]:
    """The model that a session would start on; None, and why, where nothing names one."""
    try:
        name, link = services.starting_model(asked, "flag", "")
    except (UsageError, ProviderError) as error:
        return None, error.line()
    return first_model(services, name, link), ""


def sessions_of(cwd: Path | None) -> list[SessionInfo]:
    """Sessions of a folder, or of all; the latest first."""
    return list_sessions(folders.sessions(), cwd)


def session_events(session_id: str) -> tuple[Envelope, ...]:
    """A session's durable events. Raises SessionNotFound."""
    return load(find(folders.sessions(), session_id)).envelopes


def session_bytes(session_id: str) -> bytes:
    """A session's file as it is."""
    return find(folders.sessions(), session_id).read_bytes()


def remove_session(session_id: str) -> str:
    """Deletes a session; gives its whole id."""
    path = find(folders.sessions(), session_id)
    remove(path)
    return path.stem


def file_problems(cwd: Path, explicit: Path | None, *, strict: bool) -> tuple[Problem, ...]:
    """What keeps runs from starting: mistakes in the config files, their rules included."""
    found = layers(cwd, environment.read(), explicit)
    problems = check(found, strict)
    return problems if has_error(problems) else (*problems, *bad_rules(load_config(found).permissions))


def config_problems(cwd: Path, explicit: Path | None, *, strict: bool) -> tuple[Problem, ...]:
    """The same, and where nothing does, the names in them that no model has."""
    problems = file_problems(cwd, explicit, strict=strict)
    if has_error(problems):
        return problems
    environ = environment.read()
    return (*problems, *misnamed(Services(load_config(layers(cwd, environ, explicit)), environ), strict=strict))


def has_error(problems: Iterable[Problem]) -> bool:
    return any(problem.level == "error" for problem in problems)


def trust(folder: Path) -> Path:
    """Trusts a folder from now on; gives the real path."""
    return trust_folder(folder.expanduser(), folders.data())


def user_config() -> Path:
    """Where the person's own config is looked for."""
    return folders.config() / "config.hcl"


class WeightsRow(Struct, frozen=True):
    """A local model that can be fetched. `size` in bytes; `path` where it is on this machine, "" where it is not."""

    name: str
    size: int
    source: str
    path: str
    default: bool


def weights_rows() -> list[WeightsRow]:
    here = {one.name: one.path for one in weights.installed(folders.weights())}
    return [
        WeightsRow(entry.name, entry.size, entry.source, str(here.get(entry.name, "")), index == 0) for index, entry in enumerate(weights.CATALOGUE)
    ]


async def pull(name: str, progress: Callable[[weights.Progress], None]) -> Path:
    """Fetches the weights of a local model; of the default one where `name` is empty. Raises AgentError."""
    return await weights.pull(name or weights.CATALOGUE[0].name, folders.weights(), progress)


def remove_weights(name: str) -> None:
    weights.remove(name, folders.weights())

"""Which workers a session knows: built-in ones, the person's and the project's files, config blocks, and what flags and programs add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentcli.agents.files import FOREIGN, AgentFolder, load_builtin, load_files, project_folders, user_folder
from agentcli.agents.roster import Roster, read_agents_flag
from agentcli.agents.spec import Source, WorkerSpec, unknown_tools
from agentcli.protocol.errors import UsageError
from agentcli.protocol.names import nearest

if TYPE_CHECKING:
    from agentcli.config.load import Config
    from agentcli.sdk.wanted import Wanted


def roster_of(config: Config, options: Wanted, cwd: Path, *, config_dir: Path | None) -> Roster:
    """All definitions, the nearer winning. `config_dir` None: no files are read, the config is the whole.

    Raises:
        UsageError: a definition of a flag or a program is wrong.
    """
    specs = list(load_builtin())
    warnings: tuple[str, ...] = ()
    if config_dir is not None:
        loaded = load_files(_folders(config, cwd, config_dir))
        specs += loaded.specs
        warnings += loaded.warnings
    specs += _specs(config.agents, "config")
    if options.agents_json:
        specs += read_agents_flag(options.agents_json)
    specs += _told_apart(_specs(options.worker_agents, "sdk"))
    roster = Roster(specs)
    roster.warnings = (*warnings, *roster.warnings)
    return roster


def _told_apart(specs: list[WorkerSpec]) -> list[WorkerSpec]:
    """A program's own workers. Raises UsageError where two have one name."""
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise UsageError(f"worker_agents: two workers are called '{twice}'.", hint="Give each a name of its own.")
    return specs


def check_tools(specs: Iterable[WorkerSpec], available: Sequence[str]) -> tuple[str, ...]:
    """A line for each worker of a config or a file that lists a tool which the session does not have. Files written for another program may.

    Raises:
        UsageError: a worker of a flag or of a program does.
    """
    lines = []
    for spec in specs:
        unknown = unknown_tools(spec, available)
        if not unknown or FOREIGN in Path(spec.place).parts:
            continue
        line = f"worker '{spec.name}': no tool '{unknown[0]}'; nearest: {', '.join(nearest(unknown[0], available))}."
        if spec.source in ("sdk", "flag"):
            raise UsageError(line)
        lines.append(f"{spec.place}: {line}")
    return tuple(lines)


def _folders(config: Config, cwd: Path, config_dir: Path) -> tuple[AgentFolder, ...]:
    """A repository's own files count only where it is trusted."""
    own = (user_folder(config_dir),)
    return (*own, *project_folders(cwd)) if config.trusted_root is not None else own


def _specs(things: Sequence[object], source: Source) -> list[WorkerSpec]:
    out: list[WorkerSpec] = []
    if not things:
        return out
    from agentcli.agents.definition import BadDefinition, from_attributes

    for thing in things:
        place = str(getattr(thing, "place", ""))
        try:
            out.append(from_attributes(thing, source, place))
        except BadDefinition as error:
            where = f"{place}: " if place else ""
            raise UsageError(f"{where}worker '{getattr(thing, 'name', '')}': {error.problem.text}") from error
    return out

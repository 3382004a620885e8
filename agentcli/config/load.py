"""What the config says in the end: `load` for a run, `check` for a person who wants to know all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from agentcli.config import merge
from agentcli.config.files import folder_of
from agentcli.config.gather import Gathered, Sources, gather
from agentcli.config.layer import Held, Layer, Merged
from agentcli.config.provider import ProviderBlock, unset
from agentcli.config.tree import Problem, shown
from agentcli.config.values import AgentBlock, Limits, ModelName, Permissions, Rule, Setting, Shown, Ui
from agentcli.protocol.errors import ConfigError
from agentcli.protocol.models import Link, ModelSpec, ProviderSpec, Wire
from agentcli.protocol.names import nearest
from agentcli.protocol.secrets import Secret, Unshown


class Config(Unshown, frozen=True):
    """What the layers say together. Providers are worked out when asked for, so that one missing key does not stop the others.

    `untrusted` is the nearest project config of which something waits for trust, `trusted_root` the trusted folder around the working directory.
    `key_variables` hold keys: no child process should see them.
    """

    default_model: Setting | None
    subagent_model: Setting | None
    aliases: dict[str, str]
    model_names: tuple[ModelName, ...]
    agents: tuple[AgentBlock, ...]
    permissions: Permissions
    limits: Limits
    ui: Ui
    allowed_models: tuple[str, ...]
    system_prompt_append: str
    values: tuple[Shown, ...]
    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    untrusted: Path | None
    trusted_root: Path | None
    key_variables: frozenset[str]
    blocks: Mapping[str, ProviderBlock]
    environ: Mapping[str, str]

    @property
    def provider_names(self) -> tuple[str, ...]:
        return tuple(self.blocks)

    def provider(self, name: str) -> ProviderSpec:
        """A declared provider.

        Raises:
            ConfigError: none of that name is declared; a variable that it needs is not set (names variable, file, line and column).
        """
        return self._block(name).spec(self.environ)

    def models(self, name: str) -> tuple[ModelSpec, ...]:
        """The models that a provider declares; needs no variable. Raises `ConfigError` where there is no such provider."""
        return self._block(name).models(self.environ)

    def closed(self, name: str) -> bool:
        """Whether a provider declares its models, and so has no others. False for one that is not declared at all."""
        return name in self.blocks and self.blocks[name].closed()

    def wire(self, name: str) -> Wire:
        """What a declared provider speaks; needs no variable. Raises `ConfigError` where there is no such provider."""
        return self._block(name).wire

    def own_address(self, name: str) -> bool:
        """Whether a declared provider says where it is. Raises `ConfigError` where there is no such provider."""
        return self._block(name).own_address

    def secrets(self, more: Iterable[str] = ()) -> tuple[Secret, ...]:
        """The keys that are known: of all providers whose own can be told, and what the key variables and `more` of the environment hold."""
        found = [secret for block in self.blocks.values() for secret in block.secrets(self.environ)]
        found += [Secret(value) for name in sorted(self.key_variables.union(more)) if (value := self.environ.get(name))]
        return tuple(dict.fromkeys(found))

    def _block(self, name: str) -> ProviderBlock:
        block = self.blocks.get(name)
        if block is None:
            near = nearest(name, self.blocks)
            hint = f"Nearest: {', '.join(near)}." if near else f'Declare it: providers "{shown(name)}" {{ … }}.'
            raise ConfigError(f'there is no provider "{shown(name)}" in the config.', hint=hint)
        return block


def load(sources: Sources) -> Config:
    """The config in force.

    Raises:
        ConfigError: the first thing that is wrong in any file, with file, line, column and what to do.
    """
    gathered = gather(sources)
    if gathered.problems:
        raise _first(gathered.problems)
    return _settled(gathered, sources)


def check(sources: Sources, strict: bool = False) -> tuple[Problem, ...]:
    """All that is wrong, for `agentcli config check`. A variable that is not set is a warning; with `strict` an error."""
    gathered = gather(sources)
    if gathered.problems:
        return tuple(gathered.problems)
    try:
        config = _settled(gathered, sources)
    except ConfigError as error:
        return (_as_problem(error),)
    problems = [problem for block in config.blocks.values() for problem in _block_problems(block, config, strict)]
    return (*problems, *(Problem(warning, level="warning") for warning in config.warnings))


def _block_problems(block: ProviderBlock, config: Config, strict: bool) -> list[Problem]:
    missing = block.missing(config.environ)
    if missing:
        return [_as_problem(error, strict) for error in missing]
    try:
        block.spec(config.environ)
    except ConfigError as error:
        return [_as_problem(error)]
    return []


def _as_problem(error: ConfigError, strict: bool = True) -> Problem:
    place = ":".join(str(part) for part in (error.file, error.row, error.column) if part)
    message = error.message.removeprefix(f"{place}: ")
    return Problem(message, error.file, error.row, error.column, error.hint, "error" if strict else "warning")


def _first(problems: list[Problem]) -> ConfigError:
    error = problems[0].error()
    if len(problems) > 1:
        error.hint = f"{error.hint} ({len(problems) - 1} more: agentcli config check)".strip()
    return error


# --- putting together ---


def _settled(gathered: Gathered, sources: Sources) -> Config:
    settings, waiting = merge.merged(gathered.layers)
    allowed = settings.get(("allowed_models",))
    append = settings.get(("system_prompt_append",))
    return Config(
        default_model=_setting(settings, "default_model", sources),
        subagent_model=_setting(settings, "subagent_model", sources),
        aliases=merge.aliases(settings),
        model_names=merge.model_names(settings, sources.environ),
        agents=merge.agents(settings),
        permissions=merge.permissions(settings),
        limits=merge.limits(settings),
        ui=merge.ui(settings),
        allowed_models=tuple(allowed.leaf.value) if allowed else (),
        system_prompt_append=append.leaf.value if append else "",
        values=merge.shown_values(settings),
        files=tuple(gathered.files),
        warnings=(*gathered.warnings, *_waiting(waiting)),
        untrusted=Path(waiting[-1].file) if waiting else None,
        trusted_root=gathered.trusted_root,
        key_variables=merge.key_variables(gathered.layers),
        blocks=merge.providers(settings),
        environ=sources.environ,
    )


def _setting(settings: Merged, key: str, sources: Sources) -> Setting | None:
    held = settings.get((key,))
    if held is None:
        return None
    value = held.leaf.env.value(sources.environ) if held.leaf.env else held.leaf.value
    if value is None:
        raise unset(key, held)
    return Setting(value, _link(held), held.layer.name, held.place)


def _link(held: Held) -> Link:
    match held.layer.name:
        case "environment":
            return "environment"
        case "settings":
            return "settings"
        case _:
            return "config"


def _waiting(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """One line for all of them: what counts, and how to trust."""
    if not layers:
        return ()
    files = ", ".join(shown(layer.file, 400) for layer in layers)
    folder = shown(str(folder_of(Path(layers[-1].file))), 400)
    verb = "waits" if len(layers) == 1 else "wait"
    return (
        f"{files} {verb} for your trust; until then only deny and ask rules and lower limits count."
        f" Trust the folder with --trust or: agentcli config trust {folder}",
    )


__all__ = [
    "AgentBlock", "Config", "Limits", "Permissions", "Problem", "Rule", "Setting", "Shown", "Sources", "Ui", "check", "load",
]  # fmt: skip

"""The layers of a config: found where they may lie, read or recalled from the cache, and judged by trust. Nothing is merged here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from agentcli.config.cache import keep, recall
from agentcli.config.files import (
    USER_FILE,
    ConfigText,
    folder_of,
    given_text,
    is_there,
    project_files,
    read_config,
    real_path,
)
from agentcli.config.layer import Layer, LayerName, Leaf
from agentcli.config.settings import read_settings
from agentcli.config.tree import Problem
from agentcli.config.trust import Trust, project_root, read_trust, trust_folder
from agentcli.protocol.errors import StorageError
from agentcli.protocol.secrets import Unshown

MODEL_VARIABLE = "AGENTCLI_MODEL"


class Sources(Unshown, frozen=True):
    """Where to look; nothing is read from the process's own environment.

    `user_dir` holds the person's `config.hcl` and `settings.json`, `data_dir` their `trust.json`. `explicit` is `--config` or
    `$AGENTCLI_CONFIG`: naming a file is trust in it. `text` is a whole config, no other layer counts; with `only`, `explicit` is. `bare`: neither
    user nor project config. `trust`: trust the project's folder, now and from now on.
    """

    cwd: Path
    environ: Mapping[str, str]
    user_dir: Path
    data_dir: Path
    cache_dir: Path | None
    explicit: Path | None = None
    text: str | None = None
    only: bool = False
    bare: bool = False
    trust: bool = False

    @property
    def whole(self) -> bool:
        return self.text is not None or self.only


class Gathered(Struct):
    """Layers, farthest first, and what was met on the way to them."""

    layers: list[Layer] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    trusted_root: Path | None = None


def gather(sources: Sources) -> Gathered:
    gathered = Gathered()
    if sources.whole:
        _add_environment(gathered, sources)
    elif not sources.bare:
        _add_file(gathered, sources, sources.user_dir / USER_FILE, "user")
        _add_settings(gathered, sources)
    _add_project(gathered, sources)
    if sources.text is not None:
        _add(gathered, sources, given_text(sources.text, sources.cwd), "text")
    elif (explicit := _explicit(sources)) is not None:
        _add(gathered, sources, read_config(explicit), "explicit")
    if not sources.whole:
        _add_environment(gathered, sources)
    return gathered


def _explicit(sources: Sources) -> Path | None:
    if sources.explicit is None:
        return None
    text = str(sources.explicit)
    home = sources.environ.get("HOME", "")
    return Path(home + text[1:]) if home and text.startswith("~/") else sources.cwd / text


def _add_project(gathered: Gathered, sources: Sources) -> None:
    """The project's files, and whom the person trusts, which also other rooms go by."""
    own = [] if sources.whole or sources.bare else project_files(sources.cwd)
    explicit = _explicit(sources)
    named = real_path(explicit) if explicit else None
    files = [path for path in own if real_path(path) != named]
    trust = _trust(gathered, sources, files)
    gathered.trusted_root = trust.root_of(real_path(sources.cwd), sources.environ)
    for path in files:
        trusted = trust.root_of(folder_of(path), sources.environ) is not None
        _add(gathered, sources, read_config(path), "project", trusted=trusted)


def _trust(gathered: Gathered, sources: Sources, files: list[Path]) -> Trust:
    trust = read_trust(sources.data_dir)
    if trust.warning:
        gathered.warnings.append(trust.warning)
    if not sources.trust:
        return trust
    root = project_root(sources.cwd, files)
    if root in trust.folders:
        return trust
    try:
        trust_folder(root, sources.data_dir)
    except StorageError as error:
        gathered.warnings.append(f"{root} is trusted for this run only: {error.line()}")
    return Trust((*trust.folders, root))


def _add_file(gathered: Gathered, sources: Sources, path: Path, name: LayerName) -> None:
    if is_there(path):
        _add(gathered, sources, read_config(path), name)


def _add_settings(gathered: Gathered, sources: Sources) -> None:
    match read_settings(sources.user_dir, sources.cwd):
        case Layer() as layer:
            gathered.layers.append(layer)
            gathered.files.append(Path(layer.file))
        case Problem() as problem:
            gathered.problems.append(problem)


def _add_environment(gathered: Gathered, sources: Sources) -> None:
    """`AGENTCLI_MODEL`: nearest of all, but where a program gave the whole config, only for a config that names no model."""
    model = sources.environ.get(MODEL_VARIABLE, "").strip()
    if model:
        leaf = Leaf(("default_model",), model)
        gathered.layers.append(Layer("environment", MODEL_VARIABLE, str(sources.cwd), (leaf,)))


def _add(gathered: Gathered, sources: Sources, source: ConfigText | Problem, name: LayerName, *, trusted: bool = True) -> None:
    if isinstance(source, Problem):
        gathered.problems.append(source)
        return
    leaves, problems = _leaves(source, sources.cache_dir)
    gathered.problems.extend(problems)
    gathered.layers.append(Layer(name, source.name, source.base, leaves, trusted))
    if name != "text":
        gathered.files.append(Path(source.name))


def _leaves(source: ConfigText, cache_dir: Path | None) -> tuple[tuple[Leaf, ...], list[Problem]]:
    known = recall(cache_dir, source) if cache_dir else None
    if known is not None:
        return known, []
    from agentcli.config.reading import read_leaves  # the parser and pydantic: 0.2 to 0.3 s

    leaves, problems = read_leaves(source.text, source.name)
    if cache_dir and not problems:
        keep(cache_dir, source, leaves)
    return leaves, problems

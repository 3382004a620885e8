"""Worker definitions in markdown files: where they are looked for, and how one is read. A bad file is reported with its line and skipped.

Whether a folder is trusted is the caller's to know: it hands in the folders to read. Nothing is ever written to them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from agentcli.agents.spec import Source, WorkerSpec
from agentcli.protocol.errors import ConfigError

MAX_BYTES = 262_144
"""A definition longer than this is a mistake: no model would want it as its prompt."""

FOREIGN = ".claude"
"""Definitions below it were written for Claude Code, whose tools are not all ours."""
_PROJECT = (Path(FOREIGN) / "agents", Path(".agentcli") / "agents")
_PLAIN = re.compile(r"([A-Za-z_][\w-]*):[ \t]+(\S.*)")


class AgentFolder(Struct, frozen=True):
    path: Path
    source: Source


class Loaded(Struct, frozen=True):
    """Specs in the order of the folders, nearest last, and what a person should be told: one line each, with file and line."""

    specs: tuple[WorkerSpec, ...]
    warnings: tuple[str, ...] = ()


def user_folder(config_dir: Path) -> AgentFolder:
    """The person's own definitions, beside their config."""
    return AgentFolder(config_dir / "agents", "user")


def project_folders(cwd: Path) -> tuple[AgentFolder, ...]:
    """Existing folders of definitions from the repository's root down to `cwd`, nearest last; only `cwd`'s own where there is no repository.

    In one folder `.agentcli/agents` comes after `.claude/agents`: ours wins.
    """
    places = (level / part for level in reversed(_levels(cwd)) for part in _PROJECT)
    return tuple(AgentFolder(place, "project") for place in places if place.is_dir())


def load_files(folders: Sequence[AgentFolder]) -> Loaded:
    """All definitions of the folders' `*.md` files, by name of file."""
    specs: list[WorkerSpec] = []
    warnings: list[str] = []
    for folder in folders:
        named: dict[str, WorkerSpec] = {}
        for path in _markdown(folder.path):
            loaded = _load(path, folder.source)
            warnings += loaded.warnings
            for spec in loaded.specs:
                if spec.name in named:
                    warnings.append(f"{spec.place}: the name '{spec.name}' is taken by {named[spec.name].place}; skipped.")
                named.setdefault(spec.name, spec)
        specs += named.values()
    return Loaded(tuple(specs), tuple(warnings))


def load_builtin() -> tuple[WorkerSpec, ...]:
    """The workers that ship with the package. They are ours and plain, so neither the YAML reader nor the checks are loaded for them."""
    folder = Path(__file__).parent / "builtin"
    return tuple(_builtin(path) for path in sorted(folder.glob("*.md")))


def _builtin(path: Path) -> WorkerSpec:
    head, body, _ = _split(path.read_text("utf-8"), path)
    keys, _ = _plain_keys(head)
    said = {"permission_mode" if key == "permissionMode" else key: value for key, value in keys.items()}
    if "tools" in keys:
        said["tools"] = tuple(name.strip() for name in str(keys["tools"]).split(","))
    return msgspec.convert({**said, "system_prompt": body, "source": "builtin"}, WorkerSpec, strict=False)


def read_text(text: str, path: Path, source: Source) -> Loaded:
    """The definition in a file's text.

    Raises:
        ConfigError: it cannot be used; carries file and line.
    """
    head, body, row = _split(text, path)
    from agentcli.agents.definition import BadDefinition, read_definition  # pydantic, only where such files exist

    data, rows = _yaml_keys(head, path)
    data.setdefault("name", path.stem)
    if body:
        data["system_prompt"] = body
    try:
        spec, problems = read_definition(data, source, "" if source == "builtin" else f"{path}:{row}")
    except BadDefinition as error:
        raise ConfigError(error.problem.text, file=str(path), row=rows.get(error.problem.key, 1)) from None
    warnings = tuple(f"{path}:{rows.get(problem.key, 1)}: {problem.text}" for problem in problems)
    return Loaded((_described(spec, body),), warnings)


def _levels(cwd: Path) -> tuple[Path, ...]:
    """`cwd` and the folders above it up to the repository's root."""
    above = (cwd, *cwd.parents)
    for index, level in enumerate(above):
        if (level / ".git").exists():
            return above[: index + 1]
    return (cwd,)


def _markdown(folder: Path) -> Iterable[Path]:
    try:
        return sorted(path for path in folder.glob("*.md") if path.is_file())
    except OSError:
        return ()


def _load(path: Path, source: Source) -> Loaded:
    try:
        if path.stat().st_size > MAX_BYTES:
            return Loaded((), (f"{path}: longer than {MAX_BYTES} bytes; skipped.",))
        return read_text(path.read_bytes().decode("utf-8-sig"), path, source)
    except ConfigError as error:
        return Loaded((), (f"{error.line()} Skipped.",))
    except UnicodeDecodeError as error:
        row = error.object.count(b"\n", 0, error.start) + 1
        return Loaded((), (f"{path}:{row}: not UTF-8; skipped.",))
    except OSError as error:
        return Loaded((), (f"{path}: cannot be read ({error.strerror}); skipped.",))


def _split(text: str, path: Path) -> tuple[str, str, int]:
    """Frontmatter, body, and the line at which the frontmatter begins."""
    lines = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    start = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines) or lines[start].rstrip() != "---":
        raise ConfigError("no frontmatter: an agent file begins with a line '---'.", file=str(path), row=min(start, len(lines) - 1) + 1)
    end = next((index for index in range(start + 1, len(lines)) if lines[index].rstrip() in ("---", "...")), None)
    if end is None:
        raise ConfigError("the frontmatter that begins here does not end: a line '---' is missing.", file=str(path), row=start + 1)
    # Empty lines in place of what stands above keep the YAML reader's line numbers those of the file.
    return "\n" * (start + 1) + "\n".join(lines[start + 1 : end]), "\n".join(lines[end + 1 :]).strip(), start + 1


def _plain_keys(head: str) -> tuple[dict[str, object], dict[str, int]]:
    pairs = [(match[1], match[2], row) for row, line in enumerate(head.split("\n"), 1) if (match := _PLAIN.fullmatch(line))]
    return {key: value for key, value, _ in pairs}, {key: row for key, _, row in pairs}


def _yaml_keys(head: str, path: Path) -> tuple[dict[str, object], dict[str, int]]:
    """Keys, values and the line of each key. Scalars stay the text that was written: `on`, `no` and `1.10` mean themselves."""
    import yaml  # only where such files exist

    try:
        return _mapping(yaml, head, path)
    except yaml.YAMLError as first:
        # Long descriptions with a colon in them are common in such files, and no YAML. What the writer meant is plain.
        try:
            return _mapping(yaml, _quoted(head), path)
        except yaml.YAMLError:
            mark = getattr(first, "problem_mark", None)
            raise ConfigError(
                f"the frontmatter is no YAML: {getattr(first, 'problem', None) or 'it holds a character that is not allowed'}.",
                file=str(path),
                row=mark.line + 1 if mark else 1,
                column=mark.column + 1 if mark else 0,
            ) from None


def _mapping(yaml: Any, head: str, path: Path) -> tuple[dict[str, object], dict[str, int]]:
    loader = yaml.SafeLoader(head)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, {}
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError("the frontmatter is not a list of 'key: value' lines.", file=str(path), row=node.start_mark.line + 1)
        data: dict[str, object] = {}
        rows: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, row = str(key_node.value), key_node.start_mark.line + 1
            if key in data:
                raise ConfigError(f"'{key}' stands here a second time (first in line {rows[key]}).", file=str(path), row=row)
            data[key], rows[key] = _value(yaml, loader, value_node), row
        return data, rows
    finally:
        loader.dispose()


def _value(yaml: Any, loader: Any, node: Any) -> object:
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(yaml, loader, part) for part in node.value]
    return loader.construct_object(node, deep=True)


def _quoted(head: str) -> str:
    """Unquoted values of top-level keys put into quotes where they hold what YAML takes for more than text."""
    return "\n".join(_quote(line) for line in head.split("\n"))


def _quote(line: str) -> str:
    match = _PLAIN.fullmatch(line)
    if match is None or match[2][0] in "\"'[{|>&*!" or not re.search(r": |:$| #", match[2]):
        return line
    return f"{match[1]}: {json.dumps(match[2].rstrip(), ensure_ascii=False)}"


def _described(spec: WorkerSpec, body: str) -> WorkerSpec:
    """A definition without a description is described by the first line of its prompt: whoever delegates needs something to choose by."""
    if spec.description or not body:
        return spec
    import msgspec

    return msgspec.structs.replace(spec, description=body.split("\n", 1)[0].lstrip("# ").strip()[:200])

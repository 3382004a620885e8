"""One file's text to leaves: nodes are laid out along the schema, keys get their one spelling, and each fault its place.

Imports the parser and pydantic, so only a file that is not in the cache brings this module in.
"""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from agentcli.config.hcl import parse
from agentcli.config.layer import KeyPath, Leaf
from agentcli.config.schema import WORD, Part, Root
from agentcli.config.tree import Block, Entry, Env, Items, Node, Problem, Scalar, Table, shown
from agentcli.protocol.names import nearest
from agentcli.protocol.secrets import Secret

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "list_type": "a list: [ … ]",
    "dict_type": "a block: { … }",
    "model_type": "a block: { … }",
}


def read_leaves(text: str, file: str) -> tuple[tuple[Leaf, ...], list[Problem]]:
    """The settings of a file's text and all that is wrong with it, in the order of the text. With a problem the leaves are of no use."""
    table, problems = parse(text, file)
    if problems:
        return (), problems
    layout = _Layout(file)
    data = layout.table(table, Root, ())
    problems = layout.problems + _judged(data, layout.places, file)
    return tuple(layout.leaves), sorted(problems, key=lambda problem: (problem.row, problem.column))


class _Layout:
    """Lays one tree out along the schema: plain data for pydantic, leaves for us, and where each key stands."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.leaves: list[Leaf] = []
        self.places: dict[KeyPath, tuple[int, int]] = {(): (1, 1)}
        self.problems: list[Problem] = []

    def table(self, table: Table, part: type[Part], path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        items: list[Entry | Block] = [*table.entries, *table.blocks]
        for item in sorted(items, key=lambda item: (item.row, item.column)):
            written = item.key if isinstance(item, Entry) else item.kind
            key = self._key(written, item, part, path)
            if key is None:
                continue
            labelled = _labelled(part, key)
            if labelled is not None:
                self._labelled(item, labelled, key, data.setdefault(key, {}), path)
            elif self._is_first(item, written, (*path, key)):
                self._single(item, part, key, data, path)
        return data

    def _key(self, written: str, item: Entry | Block, part: type[Part], path: KeyPath) -> str | None:
        key = _HUMP.sub(r"_\1", written).lower()
        key = part.other_names.get(key, key)
        if key in part.model_fields:
            return key
        near = nearest(key, part.model_fields, 1, cutoff=0.6)
        hint = f'Did you mean "{near[0]}"?' if near else f"Known: {', '.join(part.model_fields)}."
        self._bad(f'unknown key "{shown(written)}"{_in(path)}.', item, hint)
        return None

    def _is_first(self, item: Entry | Block, written: str, path: KeyPath) -> bool:
        earlier = self.places.get(path)
        if earlier is None:
            self.places[path] = (item.row, item.column)
            return True
        self._bad(f'"{shown(written)}" is set twice; the first is at {earlier[0]}:{earlier[1]}.', item, "Remove one.")
        return False

    # --- blocks with a label: providers, models, agents ---

    def _labelled(self, item: Entry | Block, part: type[Part], key: str, data: dict[str, Any], path: KeyPath) -> None:
        """`key "label" { … }`, the older `key { name = "label" … }`, and `key = { label = { … } }`."""
        if isinstance(item, Block):
            self._block(item, part, key, data, path)
        elif isinstance(item.node, Table):
            for entry in item.node.entries:
                if isinstance(entry.node, Table):
                    self._one(Block(key, (entry.key,), entry.node, entry.row, entry.column), entry.key, part, (*path, key), data)
                else:
                    self._bad(f'"{shown(entry.key)}"{_in((*path, key))} must be a block.', entry, f'Write {key} "{shown(entry.key)}" {{ … }}.')
        elif not _is_null(item.node):
            self._bad(f'"{key}" must be a block.', item, f'Write {key} "NAME" {{ … }}.')

    def _block(self, item: Block, part: type[Part], key: str, data: dict[str, Any], path: KeyPath) -> None:
        inside = next((entry for entry in item.body.entries if entry.key == part.label), None)
        named = inside.node.value if inside and isinstance(inside.node, Scalar) and isinstance(inside.node.value, str) else ""
        if len(item.labels) > 1:
            self._bad(f'"{key}" takes one label.', item, f'Write {key} "NAME" {{ … }}.')
            return
        label = item.labels[0] if item.labels else named
        if not label:
            self._bad(f'this "{key}" block has no name.', item, f'Write {key} "NAME" {{ … }}.')
            return
        if item.labels and part.label == "name" and named not in ("", label):
            self._bad(f'the block "{shown(label)}" names itself "{shown(named)}" inside.', inside or item, "Remove the inner name.")
        drop = inside is not None and (not item.labels or part.label == "name")
        body = Table(tuple(entry for entry in item.body.entries if entry is not inside), item.body.blocks) if drop else item.body
        self._one(Block(key, (label,), body, item.row, item.column), label, part, (*path, key), data)

    def _one(self, item: Block, label: str, part: type[Part], path: KeyPath, data: dict[str, Any]) -> None:
        if not part.names.fullmatch(label):
            self._bad(f'"{shown(label)}" cannot be a name{_in(path)}.', item, part.rule)
        elif self._is_first(item, label, (*path, label)):
            self.leaves.append(Leaf((*path, label), None, item.row, item.column))
            data[label] = self.table(item.body, part, (*path, label))

    # --- everything else ---

    def _single(self, item: Entry | Block, part: type[Part], key: str, data: dict[str, Any], path: KeyPath) -> None:
        node = item.body if isinstance(item, Block) else item.node
        if isinstance(item, Block) and item.labels:
            self._bad(f'"{key}" takes no label.', item, f"Write {key} {{ … }}.")
            return
        if _is_null(node):
            return
        kind = part.model_fields[key].annotation
        inner = (*path, key)
        if isinstance(kind, type) and issubclass(kind, Part) and isinstance(node, Table):
            data[key] = self.table(node, kind, inner)
        elif get_origin(kind) is dict and get_args(kind)[1] is not Any and isinstance(node, Table):
            data[key] = self._map(node, inner, secret=key in part.secrets)
        elif path == ("permissions",) and isinstance(node, Items):
            data[key] = self._rules(node, inner)
        else:
            data[key] = _plain(node)
            self._leaf(node, inner, key in part.secrets, item)

    def _map(self, table: Table, path: KeyPath, *, secret: bool) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for block in table.blocks:
            self._bad(f'"{shown(block.kind)}"{_in(path)} must be written with "=".', block, f'Write {shown(block.kind)} = "…".')
        for entry in table.entries:
            if not WORD.fullmatch(entry.key):
                self._bad(f'"{shown(entry.key)}" cannot be a name{_in(path)}.', entry, Part.rule)
            elif not _is_null(entry.node):
                self.places[(*path, entry.key)] = (entry.row, entry.column)
                data[entry.key] = _plain(entry.node)
                self._leaf(entry.node, (*path, entry.key), secret, entry)
        return data

    def _rules(self, node: Items, path: KeyPath) -> list[Any]:
        for index, item in enumerate(node.items):
            self.places[(*path, str(index))] = (item.row, item.column)
            if isinstance(item, Scalar) and isinstance(item.value, str):
                self.leaves.append(Leaf((*path, item.value), item.value, item.row, item.column))
        return [_plain(item) for item in node.items]

    def _leaf(self, node: Node, path: KeyPath, secret: bool, item: Entry | Block) -> None:
        row, column = item.row, item.column
        if not isinstance(node, Scalar):
            if isinstance(node, Table) and _holds_env(node):
                self._bad(f"env() cannot stand inside {'.'.join(shown(part) for part in path)}.", item, "Write plain values there.")
            self.leaves.append(Leaf(path, _plain(node), row, column))
        elif not secret:
            env = node.value if isinstance(node.value, Env) else None
            self.leaves.append(Leaf(path, None if env else node.value, row, column, env))
        else:
            self.leaves.append(_secret(node, path, row, column))

    def _bad(self, message: str, item: Entry | Block, hint: str) -> None:
        self.problems.append(Problem(message, self.file, item.row, item.column, hint))


def _secret(node: Scalar, path: KeyPath, row: int, column: int) -> Leaf:
    if isinstance(node.value, Env):
        env, literal = Env(node.value.names), node.value.default
    else:
        env, literal = None, node.value if isinstance(node.value, str) else ""
    if literal is None:
        return Leaf(path, None, row, column, env)
    return Leaf(path, None, row, column, env, (node.start, node.end), Secret(literal))


def _plain(node: Node) -> Any:
    match node:
        case Scalar(value=value):
            return value
        case Items(items=items):
            return [_plain(item) for item in items]
        case Table(entries=entries, blocks=blocks):
            return {entry.key: _plain(entry.node) for entry in entries} | {block.kind: _plain(block.body) for block in blocks}


def _holds_env(node: Node) -> bool:
    match node:
        case Scalar(value=value):
            return isinstance(value, Env)
        case Items(items=items):
            return any(_holds_env(item) for item in items)
        case Table(entries=entries, blocks=blocks):
            return any(_holds_env(entry.node) for entry in entries) or any(_holds_env(block.body) for block in blocks)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _labelled(part: type[Part], key: str) -> type[Part] | None:
    kind = part.model_fields[key].annotation
    inner = get_args(kind)[1] if get_origin(kind) is dict else None
    return inner if isinstance(inner, type) and issubclass(inner, Part) else None


def _in(path: KeyPath) -> str:
    return f" in {'.'.join(shown(part) for part in path)}" if path else ""


# --- what pydantic says, in our words ---


def _judged(data: dict[str, Any], places: dict[KeyPath, tuple[int, int]], file: str) -> list[Problem]:
    try:
        Root.model_validate(data)
    except ValidationError as broken:
        errors = broken.errors(include_url=False, include_input=False, include_context=True)
        return [_problem(dict(error), data, places, file) for error in errors]
    return []


def _problem(error: dict[str, Any], data: dict[str, Any], places: dict[KeyPath, tuple[int, int]], file: str) -> Problem:
    path = tuple(str(part) for part in error["loc"])
    known = next(path[:size] for size in range(len(path), -1, -1) if path[:size] in places)
    row, column = places[known]
    name = ".".join(shown(part) for part in path)
    if error["type"] == "missing":
        return Problem(f'"{".".join(path[:-1])}" needs {path[-1]}.', file, row, column, f"Add {path[-1]} = ….")
    return Problem(f"{name} {_must(error, _value_at(data, path))}.", file, row, column, _suggestion(error, _value_at(data, path)))


def _must(error: dict[str, Any], value: Any) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return "must be one of " + ", ".join(_options(error))
        case "greater_than_equal":
            return f"must be {context['ge']:g} or more, found {value:g}"
        case "less_than_equal":
            return f"must be {context['le']:g} or less, found {value:g}"
        case "greater_than":
            return f"must be more than {context['gt']:g}, found {value:g}"
        case kind:
            return f"must be {_EXPECTED.get(kind, 'another kind of value')}, found {_found(value)}"


def _suggestion(error: dict[str, Any], value: Any) -> str:
    if error["type"] != "literal_error" or not isinstance(value, str):
        return ""
    near = nearest(value, _options(error), 1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else ""


def _options(error: dict[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))


def _value_at(data: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            data = data[int(part)] if isinstance(data, list) else data[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return data


def _found(value: Any) -> str:
    """The kind of a value; never the value, for it may be a key in the wrong place."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a block"
        case Env():
            return "env(…)"
        case _:
            return "nothing"

"""HCL text to plain nodes with positions. The only importer of `hcl2`, whose parse tree is walked here and whose own values are not used:
they lose positions, duplicate keys, and the difference between `env("X")` and text that merely looks like it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import hcl2
from lark import Token, Tree
from lark.exceptions import LarkError, UnexpectedInput, UnexpectedToken

from agentcli.config.literals import BadLiteral, decoded
from agentcli.config.mistakes import explained
from agentcli.config.tree import Block, Entry, Env, Items, Node, Problem, Scalar, Table, place, shown

if TYPE_CHECKING:
    Branch = Tree[Any]

DEEPEST = 40
"""Blocks, lists and objects inside each other; a config needs about 5."""
_WORDS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false", "none": "null", "nil": "null"}
_VALUE = 'A value is text in quotes, a number, true, false, a list [ … ], an object { … } or env("NAME").'


def parse(text: str, file: str) -> tuple[Table, list[Problem]]:
    """The nodes of a text, and all that is wrong with it. A text that does not parse gives an empty table and one problem.

    `text` has no byte order mark; `file` is only for the problems' places. Nothing is evaluated or looked up.
    """
    try:
        tree = hcl2.parses_to_tree(text)
    except UnexpectedInput as broken:
        return Table(), [_syntax(text, file, broken)]
    except RecursionError:
        return Table(), [Problem("this is nested too deep to read.", file, hint=f"At most {DEEPEST} levels are read.")]
    except LarkError:
        return Table(), [Problem("this is not HCL.", file, hint="See the README for the form of a config file.")]
    walk = _Walk(text, file)
    return walk.body(cast("Branch", tree.children[0]), 1, 1, 0), walk.problems


def _syntax(text: str, file: str, broken: UnexpectedInput) -> Problem:
    at_end = isinstance(broken, UnexpectedToken) and broken.token.type == "$END"
    offset = len(text) if at_end or broken.pos_in_stream is None else broken.pos_in_stream
    message, where, hint = explained(text, offset)
    row, column = place(text, where)
    return Problem(f"{message}.", file, row, column, hint)


class _Walk:
    """One walk over one parse tree; problems are collected, and what has one becomes null."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.problems: list[Problem] = []

    def body(self, tree: Branch, row: int, column: int, depth: int) -> Table:
        entries: list[Entry] = []
        blocks: list[Block] = []
        for child in _branches(tree):
            if child.data == "attribute":
                entries.append(self._attribute(child, depth))
            elif child.data == "block":
                blocks.append(self._block(child, depth))
        return Table(self._unique(entries), tuple(blocks), row, column)

    def _attribute(self, tree: Branch, depth: int) -> Entry:
        name, value = tree.children[0], tree.children[-1]
        row, column = _at(name)
        return Entry(_word(name), row, column, self._value(value, depth + 1))

    def _block(self, tree: Branch, depth: int) -> Block:
        *head, _, body, _ = [child for child in tree.children if not _is_space(child)]
        row, column = _at(head[0])
        labels = tuple(self._label(label) for label in head[1:])
        if depth >= DEEPEST:
            self._bad("this is nested too deep.", head[0], f"At most {DEEPEST} levels are read.")
            return Block(_word(head[0]), labels, Table(), row, column)
        return Block(_word(head[0]), labels, self.body(body, row, column, depth + 1), row, column)

    def _label(self, tree: Branch) -> str:
        return str(self._text(tree).value or "") if tree.data == "string" else _word(tree)

    def _unique(self, entries: list[Entry]) -> tuple[Entry, ...]:
        first: dict[str, Entry] = {}
        for entry in entries:
            earlier = first.setdefault(entry.key, entry)
            if earlier is not entry:
                where = f"the first is at {earlier.row}:{earlier.column}"
                message = f'"{shown(entry.key)}" is set twice; {where}.'
                self.problems.append(Problem(message, self.file, entry.row, entry.column, "Remove one."))
        return tuple(first.values())

    def _value(self, tree: Any, depth: int) -> Node:
        if depth > DEEPEST:
            return self._bad("this is nested too deep.", tree, f"At most {DEEPEST} levels are read.")
        inner = [child for child in tree.children if not _is_space(child)]
        match tree.data:
            case "expr_term":
                return self._value(inner[1] if isinstance(inner[0], Token) else inner[0], depth + 1)
            case "string" | "heredoc_template" | "heredoc_template_trim":
                return self._text(tree)
            case "int_lit" | "float_lit":
                return self._number(tree, str(inner[0]))
            case "unary_op" if str(inner[0]) == "-":
                return self._negative(tree, inner[1], depth)
            case "literal_value":
                row, column = _at(tree)
                return Scalar({"true": True, "false": False}.get(str(inner[0])), row, column)
            case "tuple":
                row, column = _at(tree)
                return Items(tuple(self._value(child, depth + 1) for child in inner if not isinstance(child, Token)), row, column)
            case "object":
                return self._object(tree, depth)
            case "function_call":
                return self._call(tree, inner, depth)
            case "identifier":
                meant = _WORDS.get(str(inner[0]).lower())
                hint = f"Did you mean {meant}?" if meant else 'Put text in quotes: "…".'
                return self._bad("a value cannot be a bare word.", tree, hint)
            case _:
                return self._bad("only plain values are read here, no operators or expressions.", tree, _VALUE)

    def _negative(self, tree: Branch, operand: Branch, depth: int) -> Node:
        node = self._value(operand, depth + 1)
        if isinstance(node, Scalar) and type(node.value) in (int, float):
            row, column = _at(tree)
            return Scalar(-cast("float", node.value), row, column)
        return self._bad('"-" stands before something that is no number.', tree, _VALUE)

    def _number(self, tree: Branch, source: str) -> Scalar:
        row, column = _at(tree)
        value = float(source) if tree.data == "float_lit" else int(source) if len(source) < 20 else math.inf
        if math.isinf(value) or abs(value) >= 2**63:
            return self._bad("this number is too large.", tree, "Leave the setting out for no limit.")
        return Scalar(value, row, column)

    def _text(self, tree: Branch) -> Scalar:
        start, end = tree.meta.start_pos, tree.meta.end_pos
        row, column = _at(tree)
        try:
            return Scalar(decoded(self.text[start:end]), row, column, start, end)
        except BadLiteral as bad:
            row, column = place(self.text, start + bad.offset)
            self.problems.append(Problem(f"{bad.message}.", self.file, row, column, bad.hint))
            return Scalar(None, row, column)

    def _object(self, tree: Branch, depth: int) -> Table:
        entries = [entry for child in _branches(tree) if child.data == "object_elem" and (entry := self._element(child, depth))]
        row, column = _at(tree)
        return Table(self._unique(entries), (), row, column)

    def _element(self, tree: Branch, depth: int) -> Entry | None:
        name, value = _branches(tree)[0].children[0], tree.children[-1]
        while name.data == "expr_term" and not isinstance(name.children[0], Token):
            name = name.children[0]
        row, column = _at(name)
        if name.data == "string":
            key = self._text(name).value
        elif name.data in ("identifier", "keyword", "literal_value", "int_lit", "float_lit"):
            key = _word(name)
        else:
            self._bad("a key must be a word or text in quotes.", name, "Write { key = value }.")
            return None
        return Entry(str(key or ""), row, column, self._value(value, depth + 1))

    def _call(self, tree: Branch, inner: list[Any], depth: int) -> Scalar:
        row, column = _at(tree)
        names = [child for child in inner if isinstance(child, Tree) and child.data == "identifier"]
        if len(names) != 1 or _word(names[0]) != "env":
            name = shown(_word(names[0]), 30)
            return self._bad(f"there is no function {name}() here.", tree, 'The only one is env("NAME") or env("NAME", "default").')
        arguments = next((child for child in inner if isinstance(child, Tree) and child.data == "arguments"), None)
        given = [self._value(child, depth + 1) for child in _branches(arguments)] if arguments is not None else []
        env = _env_of(given)
        if env is None:
            return self._bad("env() takes the name of a variable (letters, digits, _) and perhaps a default.", tree, 'Write env("NAME").')
        last = given[-1]
        has_default = env.default is not None and isinstance(last, Scalar)
        return Scalar(env, row, column, *((last.start, last.end) if has_default and isinstance(last, Scalar) else (0, 0)))

    def _bad(self, message: str, tree: Any, hint: str) -> Scalar:
        row, column = _at(tree)
        self.problems.append(Problem(message, self.file, row, column, hint))
        return Scalar(None, row, column)


def _env_of(given: list[Node]) -> Env | None:
    values = [node.value if isinstance(node, Scalar) else None for node in given]
    if not 1 <= len(values) <= 2:
        return None
    name = values[0]
    if not isinstance(name, str) or not name.isascii() or not name.isidentifier():
        return None
    if len(values) == 1:
        return Env((name,))
    match values[1]:
        case str(default):
            return Env((name,), default)
        case Env(names=names, default=default):
            return Env((name, *names), default)
        case _:
            return None


def _is_space(child: Any) -> bool:
    return isinstance(child, Tree) and child.data == "new_line_or_comment"


def _branches(tree: Branch) -> list[Branch]:
    return [child for child in tree.children if isinstance(child, Tree) and not _is_space(child)]


def _word(tree: Any) -> str:
    return str(tree.children[0])


def _at(tree: Any) -> tuple[int, int]:
    return tree.meta.line, tree.meta.column

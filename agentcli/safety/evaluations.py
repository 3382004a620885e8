"""What bash evaluates while it reads a command: calculations, tests and expansions that can run commands hidden in a variable's value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentcli.safety.reading import source

if TYPE_CHECKING:
    from tree_sitter import Node

CALCULATES = "it calculates with variables, which can run commands"
INDEXES = "it calculates an index, which can run commands"
_NAMES = "a test of a variable's name can run commands"
_PLAIN = frozenset((":-", "-", ":+", "+", ":?", "?", "#", "##", "%", "%%", "/", "//", "/#", "/%", "^", "^^", ",", ",,"))
"""Signs of expansions that only give text."""
_NUMBER_TESTS = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))


def expansion_risks(node: Node) -> Iterator[str]:
    """Of `${…}`."""
    parts = node.children[1:-1]
    cuts = all(child.type in (":", "number") for child in parts[1:])
    for child in parts:
        if child.type == "subscript" and source(child.children[2]) not in ("@", "*") and child.children[2].type != "number":
            yield INDEXES
        if not child.is_named and child.type not in _PLAIN and not cuts:
            yield f"the expansion {source(node)} may run or reveal what is not written here"


def arithmetic_risks(node: Node) -> Iterator[str]:
    """Of `$((…))` and `((…))`: bash evaluates the value of a variable in it, commands in that included."""
    pending = list(node.children)
    while pending:
        part = pending.pop()
        if part.is_named and not part.children and part.type != "number":
            yield CALCULATES
            return
        pending += part.children


def test_risks(node: Node) -> Iterator[str]:
    """Of `[ ]` and `[[ ]]`."""
    pending = list(node.children)
    double = node.children[0].type == "[["
    while pending:
        part = pending.pop()
        if part.type == "test_operator" and source(part) in ("-v", "-R"):
            yield _NAMES
        compares = double and part.type == "binary_expression" and any(source(child) in _NUMBER_TESTS for child in part.children)
        if compares and any(child.type not in ("number", "test_operator") for child in part.children):
            yield CALCULATES
        if part.type.endswith("_expression"):
            pending += part.children

"""Checks that a syntax tree says what bash would read: every character of the command is accounted for by a token that is one for bash too.

The grammar is lenient where bash is not, drops a word here and there, and skips white space that bash does not skip. What a permission
hangs on must not depend on that, so a tree that fails here counts as not understood.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_DEEPEST = 240
"""Nesting of a tree that is looked at: 4 for a level, 1 for each further command of a chain such as `a && b && c`."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_LEAVES = {
    # no quote, no expansion, no operator, no white space but what a backslash precedes, no comment sign in front
    "word": re.compile(r"""(?:\\[^\n]|[^\s\\'"`$&|;()<>#])(?:\\[^\n]|[^\s\\'"`$&|;()<>])*"""),
    "number": re.compile(r"-?(?:0[xX][0-9A-Fa-f]+|\d+(?:#[0-9A-Za-z@_]+)?)"),
    "raw_string": re.compile(r"'[^']*'"),
    "ansi_c_string": re.compile(r"\$'(?:\\.|[^'\\])*'", re.DOTALL),
    "string_content": re.compile(r"""(?:\\.|[^\\"`$]|\$(?![\w({@*#?$!'"\[-]))+""", re.DOTALL),
    "variable_name": re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+"),
    "special_variable_name": re.compile(r"[@*#?$!_0-]"),
    "file_descriptor": re.compile(r"[0-9]+"),
    "test_operator": re.compile(r"-[a-zA-Z]{1,2}"),
    "regex": re.compile(r"""(?:\\[^\s\w]|\$(?![\w({'"\[])|[^\s\\'"`;&<>{}$])+"""),
    "extglob_pattern": re.compile(r"(?:\\[^\n]|[\w.*?/\[\]^!:,@%+=~-])+"),
    "comment": re.compile(r"#[^\n]*"),
    "heredoc_start": re.compile(r"""(?:\\?[\w.-]|'[^'\n]*'|"[^"\\`$\n]*")+"""),
    "heredoc_content": re.compile(r"(?:\\.|[^\\`$]|\$(?![\w({@*#?$!\[-]))*", re.DOTALL),
    "heredoc_end": re.compile(r"[^\n]+"),
    "heredoc_body": re.compile(r".*", re.DOTALL),
}
_BRANCHES = frozenset((
    "program", "command", "command_name", "concatenation", "string", "simple_expansion", "expansion", "subscript",
    "command_substitution", "process_substitution", "arithmetic_expansion", "binary_expression", "unary_expression",
    "postfix_expression", "parenthesized_expression", "variable_assignment", "variable_assignments", "array",
    "redirected_statement", "file_redirect", "heredoc_redirect", "heredoc_body", "herestring_redirect",
    "pipeline", "list", "negated_command", "subshell", "compound_statement", "if_statement", "elif_clause", "else_clause",
    "while_statement", "for_statement", "c_style_for_statement", "do_group", "case_statement", "case_item",
    "function_definition", "declaration_command", "unset_command", "test_command", "brace_expression", "translated_string",
))  # fmt: skip
_LINES_ALLOWED = frozenset((
    "program", "list", "pipeline", "do_group", "if_statement", "elif_clause", "else_clause", "while_statement",
    "for_statement", "case_statement", "case_item", "compound_statement", "subshell", "command_substitution",
    "process_substitution", "array", "function_definition", "heredoc_redirect", "string", "heredoc_body",
))  # fmt: skip
"""Nodes whose parts a line break may separate without ending a command that the tree goes on with."""
_TIGHT = frozenset(("concatenation", "variable_assignment", "simple_expansion", "subscript"))
"""Nodes whose parts touch."""
_ARGUMENTS = frozenset((
    "word", "number", "raw_string", "ansi_c_string", "string", "concatenation", "simple_expansion", "expansion",
    "command_substitution", "arithmetic_expansion", "brace_expression", "translated_string", "command_name", "variable_name",
    "variable_assignment", "test_operator",
))  # fmt: skip
_TESTED = (_ARGUMENTS - {"command_name", "variable_assignment"}) | {
    "regex", "extglob_pattern", "binary_expression", "unary_expression", "parenthesized_expression",
}  # fmt: skip
_COMMANDS = frozenset(("command", "declaration_command", "unset_command"))
_QUOTING = frozenset(("string", "heredoc_body"))
_QUOTED = frozenset(("string", "heredoc_body", "simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"))
_DOLLARS = frozenset(("string", "command", "concatenation", "simple_expansion"))
_BEFORE_COMMENT = frozenset(" \t\n;&|()")
_SINGLE_BRACKET = frozenset(("=", "==", "!=", "!"))
_DOUBLE_BRACKET = _SINGLE_BRACKET | {"=~", "<", ">", "&&", "||", "(", ")"}
_SEQUENCES = frozenset(("program", "do_group", "compound_statement", "subshell", "command_substitution", "process_substitution"))
_DESCRIPTOR = re.compile(r"(?:^|[\s;&|(){}<>])(?:\d+|\{\w+\})$")
DROPPED_DASH = re.compile(r"[ \t]+-[ \t]*")


class NotUnderstood(Exception):
    """Why a command is not judged by its parts. Never leaves the room: `Script.problem` carries the text."""


def check_text(command: str) -> None:
    """Raises `NotUnderstood` for characters that editors, terminals and shells read differently."""
    if _CONTROL.search(command):
        raise NotUnderstood("it holds control characters")
    if not command.isprintable():
        odd = next((char for char in command if not char.isprintable() and char not in " \t\n"), "")
        if odd:
            raise NotUnderstood(f"it holds the unusual character U+{ord(odd):04X}")


def check_tree(root: Node, text: bytes) -> None:
    """Raises `NotUnderstood` unless the tokens of the tree are those of bash."""
    if root.has_error:
        raise NotUnderstood("it is not valid shell, or shell that is not understood here")
    _Checker(text).check(root, 0)


class _Checker:
    def __init__(self, text: bytes) -> None:
        self.text = text

    def check(self, node: Node, depth: int, parent: str = "") -> None:
        if depth > _DEEPEST:
            raise NotUnderstood("it is nested too deeply")
        if node.is_missing:
            raise NotUnderstood("a part is missing")
        if not node.is_named:
            return self.check_sign(node, parent)
        children = node.children
        if not children:
            return self.check_leaf(node)
        if node.type not in _BRANCHES:
            raise NotUnderstood(f"{node.type.replace('_', ' ')} is not understood here")
        self.check_gaps(node, children)
        if node.type == "test_command":
            self.check_test(node)
        if node.type == "heredoc_redirect":
            self.check_heredoc(children)
        if children[0].type == "`" and b"\\" in self.text[node.start_byte : node.end_byte]:
            raise NotUnderstood("a backslash within backticks")
        for child in children:
            if child.is_named and node.type not in _QUOTING and self.text[child.start_byte : child.start_byte + 1] in (b" ", b"\t", b"\n"):
                raise NotUnderstood("white space within a word")
            self.check(child, depth + (1 if child.type == node.type == "list" else 4), node.type)
        return None

    def check_sign(self, node: Node, parent: str) -> None:
        """A sign is its own text; within quotes the grammar takes white space in front to it."""
        text = self.slice(node.start_byte, node.end_byte)
        if text != node.type and (parent not in _QUOTED or text.lstrip(" \t\n") != node.type) and text.strip("\n"):
            raise NotUnderstood(f"the sign {node.type!r} is written in an unusual way")
        if node.type == "$" and (parent not in _DOLLARS or (parent != "string" and self.text[node.end_byte : node.end_byte + 1] in (b'"', b"'"))):
            raise NotUnderstood("a lone $ before something else")

    def check_leaf(self, node: Node) -> None:
        text = self.slice(node.start_byte, node.end_byte)
        shape = _LEAVES.get(node.type)
        if shape is None:
            if node.type in ("program", "array", "do_group") and not text.strip():
                return
            raise NotUnderstood(f"{node.type.replace('_', ' ')} is not understood here")
        if shape.fullmatch(text) is None and not (node.type == "heredoc_body" or (node.type == "string_content" and not text)):
            raise NotUnderstood(f"{text[:40]!r} may mean something else to a shell")
        if node.type == "comment" and node.start_byte and self.slice(node.start_byte - 1, node.start_byte) not in _BEFORE_COMMENT:
            raise NotUnderstood("a comment sign within a word")
        if node.type == "word" and not text.isprintable():
            raise NotUnderstood("a word holds unusual characters")

    def check_gaps(self, node: Node, children: list[Node]) -> None:
        edges = [(node.start_byte, children[0].start_byte), (children[-1].end_byte, node.end_byte)]
        for start, end in edges:
            self.check_blank(node, self.slice(start, end), edge=True)
        if node.type == "program":
            self.check_blank(node, self.slice(0, node.start_byte), edge=True)
            self.check_blank(node, self.slice(node.end_byte, len(self.text)), edge=True)
        for left, right in pairwise(children):
            gap = self.slice(left.end_byte, right.start_byte)
            if DROPPED_DASH.fullmatch(gap) and node.type == "redirected_statement" and left.type == "command":
                continue  # the grammar drops a lone `-` in front of a heredoc; the reader of commands puts it back
            self.check_blank(node, gap)
            self.check_neighbours(node, left, right, gap)

    def check_blank(self, node: Node, gap: str, *, edge: bool = False) -> None:
        if node.type == "heredoc_body":
            if _LEAVES["heredoc_content"].fullmatch(gap) is None:
                raise NotUnderstood("a heredoc whose expansions are not understood here")
            return
        plain = gap.replace("\\\n", "")
        if plain.strip(" \t\n"):
            raise NotUnderstood(f"{gap.strip()[:40]!r} is not understood here")
        if plain != gap and not plain and not edge:
            raise NotUnderstood("a line continues within a word")
        if plain != gap and node.type == "string":
            raise NotUnderstood("a line continues within a quoted text")
        if "\n" in plain and node.type not in _LINES_ALLOWED:
            raise NotUnderstood("a line break within a command")

    def check_neighbours(self, node: Node, left: Node, right: Node, gap: str) -> None:
        if node.type in _TIGHT and gap:
            raise NotUnderstood("white space within a word")
        if node.type == "file_redirect" and left.type == "file_descriptor" and gap:
            raise NotUnderstood("white space before a redirection sign")
        if node.type in _SEQUENCES and left.is_named and right.is_named and "\n" not in gap and right.type != "comment":
            raise NotUnderstood("two commands without a separator")
        if gap:
            return
        if right.type.endswith("_redirect") and _DESCRIPTOR.search(self.slice(node.start_byte, right.start_byte)):
            raise NotUnderstood("a number that may belong to a redirection")
        words = left.type in _ARGUMENTS and right.type in _ARGUMENTS
        if words if node.type == "file_redirect" else node.type in _COMMANDS and not right.type.endswith("_redirect"):
            raise NotUnderstood("two words touch")

    def check_test(self, node: Node) -> None:
        """Within `[ ]` bash sees words and redirections, where the grammar sees expressions; `[[` is only a sign where blanks surround it."""
        first, *middle, last = node.children
        signs = _SINGLE_BRACKET if first.type == "[" else _DOUBLE_BRACKET
        if not middle or first.end_byte == middle[0].start_byte or last.start_byte == middle[-1].end_byte:
            raise NotUnderstood(f"{first.type!r} that touches a word")
        pending = middle
        while pending:
            part = pending.pop()
            if not part.is_named and part.type not in signs:
                raise NotUnderstood(f"{part.type!r} within {first.type}")
            if part.is_named and part.type not in _TESTED:
                raise NotUnderstood(f"{part.type.replace('_', ' ')} within {first.type}")
            if part.type.endswith("_expression"):
                pending += part.children

    def check_heredoc(self, children: list[Node]) -> None:
        start = next((child for child in children if child.type == "heredoc_start"), None)
        end = children[-1]
        bodies = [child for child in children if child.type == "heredoc_body"]
        if start is None or end.type != "heredoc_end" or len(bodies) != 1:
            raise NotUnderstood("a heredoc without its end")
        written = self.slice(start.start_byte, start.end_byte)
        mark = re.sub(r"['\"\\]", "", written)
        if self.slice(end.start_byte, end.end_byte) != mark:
            raise NotUnderstood("a heredoc whose end differs from its start")
        if re.fullmatch(r"[^\n]*\n[ \t\n]*", self.slice(start.end_byte, bodies[0].start_byte)) is None:
            raise NotUnderstood("a heredoc that does not begin on the next line")
        quoted = mark != written
        text = self.slice(bodies[0].start_byte, bodies[0].end_byte)
        if any(line.lstrip("\t") == mark for line in text.split("\n")):
            raise NotUnderstood("a heredoc that may end earlier")
        after = self.text[end.end_byte : end.end_byte + 1]
        before = self.text[self.text.rfind(b"\n", 0, end.start_byte) + 1 : end.start_byte]
        tabs = any(child.type == "<<-" for child in children)
        if after not in (b"", b"\n") or (before.strip(b"\t") if tabs else before):
            raise NotUnderstood("a heredoc whose end is not a line of its own")
        if quoted and bodies[0].children:
            raise NotUnderstood("a quoted heredoc with expansions")
        if not quoted and not bodies[0].children and _LEAVES["heredoc_content"].fullmatch(text) is None:
            raise NotUnderstood("a heredoc whose expansions are not understood here")

    def slice(self, start: int, end: int) -> str:
        return self.text[start:end].decode("utf-8")

"""What a shell command really does: every simple command that it would run, wherever it stands in it, with its words, redirections,
assignments and the folders it may run in. It runs nothing, touches no file and knows no permission; what it cannot tell it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentcli.safety.evaluations import CALCULATES, INDEXES, arithmetic_risks, expansion_risks, test_risks
from agentcli.safety.findings import Assignment, Redirect, Script, Simple
from agentcli.safety.flow import ANYWHERE, Flow, Folders, either, merged, moved, union
from agentcli.safety.lexical import DROPPED_DASH, NotUnderstood, check_text, check_tree
from agentcli.safety.reading import read_words, source
from agentcli.safety.words import UNKNOWN, Word, program_name, word
from agentcli.safety.wrappers import PRIVILEGED, Inner, Nothing, Unclear, look_through
from agentcli.safety.wrappers import Script as InnerScript

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

LONGEST = 64_000
"""Characters of a command that is looked into; a longer one counts as not understood."""
MOST_COMMANDS = 4_000
"""Commands that are listed before the whole counts as not understood; about 0.2 s of work."""
_DEEPEST_SCRIPT = 6
"""`bash -c` within `bash -c`."""
_MOST_VALUES = 20
"""Rounds of a loop over known words that are looked at one by one."""


def analyse(command: str) -> Script:
    """What `bash -c command` would run. Never raises; costs about 0.2 ms for a usual command, and 30 ms once for the grammar."""
    if len(command) > LONGEST:
        return Script(problem=f"it is longer than {LONGEST} characters")
    reader = _Reader(_parser())
    try:
        reader.text(command, (".",))
    except NotUnderstood as why:
        return Script(tuple(reader.commands), str(why))
    return Script(tuple(_settled(reader.commands)), "", tuple(dict.fromkeys(reader.unclear)))


def _settled(commands: Sequence[Simple]) -> Sequence[Simple]:
    """What a `trap` runs, it runs wherever the shell is by then."""
    moves = any(one.words and one.words[0].text in ("cd", "pushd", "popd") for one in commands)
    return [replace(one, folders=ANYWHERE) if one.late else one for one in commands] if moves else commands


def _parser() -> Parser:
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


_KEYWORDS = frozenset((
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "select", "function", "in", "{", "}", "[[", "]]",
))  # fmt: skip
_MOVERS = frozenset(("cd", "pushd", "popd", "builtin", "command", "eval", "source"))
"""A function of such a name makes unknown where one is."""
_FOUND_FOLDERS = ("-execdir", "-okdir")
"""Of `find`: what follows runs in the folder of each file that is found."""
_READ_SIGNS = frozenset(("<", "<&", "<&-"))
_REDIRECTS = ("file_redirect", "heredoc_redirect", "herestring_redirect")
_BINDERS = frozenset((
    "read", "eval", "source", ".", "unset", "mapfile", "readarray", "getopts", "declare", "typeset", "local", "export", "readonly", "let",
    "printf", "trap",
))  # fmt: skip
"""Commands that may give a variable another value."""


class _Reader:
    """Walks a checked tree and lists what would run."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self.commands: list[Simple] = []
        self.unclear: list[str] = []
        self.bindings: dict[str, Word] = {}
        self.depth = 0
        self.listed = 0
        """Commands listed so far, those of a second look at a loop included: what bounds the work."""
        self.lost = False
        """A function was defined that changes the folder, or how that is done: from there on nobody knows where one is."""

    def text(self, command: str, at: Folders) -> Flow:
        check_text(command)
        try:
            data = command.encode("utf-8")
        except UnicodeEncodeError:
            raise NotUnderstood("it is not valid text") from None
        root = self.parser.parse(data).root_node
        check_tree(root, data)
        return self.sequence(root.children, at)

    # --- statements ---

    def sequence(self, nodes: Sequence[Node], at: Folders) -> Flow:
        flow = (at, at)
        for index, node in enumerate(nodes):
            if not node.is_named or node.type == "comment":
                continue
            start = either(flow)
            after = nodes[index + 1].type if index + 1 < len(nodes) else ""
            flow = self.statement(node, start)
            if after == "&":
                flow = (start, start)
        return flow

    def statement(self, node: Node, at: Folders, redirects: Sequence[Node] = (), *, dash: bool = False) -> Flow:
        """One statement; `redirects` stand behind it and belong to its last command."""
        if self.lost:
            at = ANYWHERE
        match node.type:
            case "command" | "declaration_command" | "unset_command" | "test_command" | "variable_assignment" | "variable_assignments":
                return self.command(node, redirects, at, dash=dash)
            case "redirected_statement":
                return self.redirected(node, redirects, at)
            case "list":
                return self.and_or(node, redirects, at)
            case "pipeline":
                self.pipeline(node, redirects, at)
                return at, at
            case "negated_command":
                ok, failed = self.statement(node.children[-1], at, redirects)
                return failed, ok
        opened, extra = self.redirects(redirects, at)
        if extra:
            raise NotUnderstood("words after a redirection of several commands")
        if opened:
            self.add(Simple((), at, redirects=opened))
        return self.after_heredoc(redirects, self.group(node, at))

    def group(self, node: Node, at: Folders) -> Flow:
        match node.type:
            case "subshell":
                self.sequence(node.children, at)
                return at, at
            case "compound_statement" if node.children[0].type == "((":
                self.unclear += arithmetic_risks(node)
                self.expansions(node, at)
                return at, at
            case "compound_statement":
                return self.sequence(node.children, at)
            case "if_statement" | "while_statement" | "case_statement" | "for_statement" | "c_style_for_statement" | "function_definition":
                return self.compound(node, at)
        raise NotUnderstood(f"{node.type.replace('_', ' ')} is not understood here")

    def redirected(self, node: Node, redirects: Sequence[Node], at: Folders) -> Flow:
        own = [*(child for child in node.children if child.type in _REDIRECTS), *redirects]
        body = next((child for child in node.children if child.type not in _REDIRECTS), None)
        if body is not None:
            return self.statement(body, at, own, dash=_dash_dropped(node, body))
        opened, extra = self.redirects(own, at)
        flow = self.run(Simple(tuple(extra), at, redirects=opened))
        return self.after_heredoc(own, flow)

    def and_or(self, node: Node, redirects: Sequence[Node], at: Folders) -> Flow:
        left, sign, right = (child for child in node.children if child.type != "comment")
        ok, failed = self.statement(left, at)
        if sign.type == "&&":
            then_ok, then_failed = self.statement(right, ok, redirects)
            return then_ok, union(failed, then_failed)
        else_ok, else_failed = self.statement(right, failed, redirects)
        return union(ok, else_ok), else_failed

    def pipeline(self, node: Node, redirects: Sequence[Node], at: Folders, *, piped: bool = False) -> None:
        commands = [child for child in node.children if child.is_named and child.type != "comment"]
        piped = piped or node.children[0] not in commands
        for child in commands:
            behind = redirects if child == commands[-1] else ()
            if child.type == "pipeline":
                self.pipeline(child, behind, at, piped=piped)
            else:
                before = len(self.commands)
                self.statement(child, at, behind)
                if piped:
                    self.change(before, piped=True)
            piped = True

    def change(self, start: int, **values: bool) -> None:
        self.commands[start:] = [replace(command, **values) for command in self.commands[start:]]

    def compound(self, node: Node, at: Folders) -> Flow:
        """A loop, a choice or a function: where its parts change the folder, it is unknown in all of them and after."""
        before = len(self.commands)
        if self.parts(node, at) != (at, at) or self.lost:
            del self.commands[before:]
            self.parts(node, ANYWHERE)
            self.lost = self.lost or node.type == "function_definition"
            return ANYWHERE, ANYWHERE
        if node.type == "function_definition" and any(source(child) in _MOVERS for child in node.children if child.type == "word"):
            self.lost = True
        return at, at

    def parts(self, node: Node, at: Folders) -> Flow:
        if node.type == "for_statement":
            return self.loop(node, at)
        body: Sequence[Node] = node.children
        if node.type == "c_style_for_statement":
            self.unclear.append(CALCULATES)
            self.expansions(node, at)
            body = [child for child in body if child.type in ("do_group", "compound_statement")]
        flow: Flow = (at, at)
        for child in body:
            flow = merged(flow, self.part(child, at))
        return flow

    def part(self, node: Node, at: Folders) -> Flow:
        if not node.is_named or node.type in ("comment", "variable_name", "extglob_pattern", "regex"):
            return at, at
        if node.type in ("do_group", "else_clause", "elif_clause", "case_item"):
            return self.parts(node, at)
        if node.type in _VALUES:
            self.expansions(node, at)
            return at, at
        return self.statement(node, at)

    def loop(self, node: Node, at: Folders) -> Flow:
        name = source(next(child for child in node.children if child.type == "variable_name"))
        body = next(child for child in node.children if child.type in ("do_group", "compound_statement"))
        values: list[Word] = []
        for child in node.children:
            if child.type in _VALUES:
                self.expansions(child, at)
                values += read_words(child, self.bindings)
        self.add(Simple((), at, (Assignment(name, UNKNOWN),)))
        listed = any(child.type == "in" for child in node.children)
        if listed and len(values) <= _MOST_VALUES and all(value.text is not None for value in values) and node.children[0].type == "for":
            flow = self.rounds(name, values, body, at)
            if flow is not None:
                return flow
        return self.parts(body, at)

    def rounds(self, name: str, values: Iterable[Word], body: Node, at: Folders) -> Flow | None:
        """The body once for each value; None where the body may give the variable another one."""
        before, outer = len(self.commands), self.bindings
        flow: Flow = (at, at)
        for value in values:
            self.bindings = {**outer, name: value}
            flow = merged(flow, self.parts(body, at))
        self.bindings = outer
        if any(_binds(command, name) for command in self.commands[before:]) or self.unclear:
            del self.commands[before:]
            return None
        return flow

    # --- commands ---

    def command(self, node: Node, redirects: Sequence[Node], at: Folders, *, dash: bool = False) -> Flow:
        words: list[Word] = []
        assignments: list[Assignment] = []
        for child in node.children if node.type != "variable_assignment" else (node,):
            if child.type in _REDIRECTS or child.type == "comment":
                continue
            self.expansions(child, at)
            if child.type == "variable_assignment" and node.type != "declaration_command":
                assignments.append(self.assignment(child))
            else:
                words += self.arguments(node, child)
        own = [child for child in node.children if child.type in _REDIRECTS]
        opened, extra = self.redirects([*own, *redirects], at)
        words += [word("-")] if dash else []
        words += extra
        if node.type == "test_command":
            self.unclear += test_risks(node)
        flow = self.run(Simple(tuple(words), at, tuple(assignments), opened))
        return self.after_heredoc(redirects, flow)

    def arguments(self, node: Node, child: Node) -> Iterable[Word]:
        if node.type == "test_command" and child.type.endswith("_expression"):
            return [one for part in child.children for one in self.arguments(node, part)]
        if not child.is_named:
            return (word(source(child)),)
        if child.type == "variable_assignment":
            assigned = self.assignment(child)
            known = assigned.value.text
            return (Word(source(child), None if known is None else f"{assigned.name}={known}", f"{assigned.name}={assigned.value.start}"),)
        return read_words(child, self.bindings)

    def assignment(self, node: Node) -> Assignment:
        name = node.children[0]
        if name.type == "subscript":
            self.unclear.append(INDEXES)
        value = node.children[-1]
        if value.type in ("=", "+="):
            return Assignment(source(name), word(""))
        known = read_words(value, self.bindings) if value.type != "array" else (UNKNOWN,)
        plain = len(known) == 1 and not known[0].glob and node.children[1].type == "="
        return Assignment(source(name).split("[")[0], known[0] if plain else UNKNOWN)

    def redirects(self, nodes: Iterable[Node], at: Folders) -> tuple[tuple[Redirect, ...], list[Word]]:
        """The files that redirections open, and the words that stand behind them and belong to the command."""
        opened: list[Redirect] = []
        extra: list[Word] = []
        for node in nodes:
            self.expansions(node, at)
            if node.type == "heredoc_redirect":
                inner, words = self.redirects([child for child in node.children if child.type == "file_redirect"], at)
                opened += inner
                extra += words
            if node.type != "file_redirect":
                continue
            sign = next(child.type for child in node.children if not child.is_named)
            targets = [child for child in node.children if child.is_named and child.type != "file_descriptor"]
            if sign.endswith("-"):
                extra += [one for child in targets for one in read_words(child, self.bindings)]
                continue
            first = read_words(targets[0], self.bindings)
            extra += [one for child in targets[1:] for one in read_words(child, self.bindings)]
            path = first[0] if len(first) == 1 else UNKNOWN
            if sign in (">&", "<&") and path.text is not None and path.text.rstrip("-").isdigit():
                continue
            opened.append(Redirect(path, "read" if sign in _READ_SIGNS else "write"))
        return tuple(opened), extra

    def after_heredoc(self, redirects: Iterable[Node], flow: Flow) -> Flow:
        """The grammar puts what follows a heredoc's first line (`cat <<E && ls`) within the heredoc."""
        for node in redirects:
            if node.type != "heredoc_redirect":
                continue
            for child in node.children:
                if child.type in ("heredoc_start", "heredoc_body", "heredoc_end", "comment", "file_redirect") or not child.is_named:
                    continue  # a redirection is read with those of the command
                if child.type in _REDIRECTS or child.type in _VALUES:
                    raise NotUnderstood("words after the start of a heredoc")
                start = either(flow)
                inner = self.statement(child, start)
                flow = (union(start, inner[0]), union(start, inner[1]))
        return flow

    def run(self, command: Simple) -> Flow:
        """Lists a command, and what it would run in turn."""
        at = command.folders
        program = command.words[0] if command.words else None
        if program is None:
            self.add(command)
            return at, at
        if program.text is None or program.glob:
            self.add(replace(command, unclear="which program it runs is known only when it runs"))
            return at, at
        if program.text in _KEYWORDS and program.text != "[[" and program.raw == program.text:
            raise NotUnderstood(f"{program.text!r} stands where a command should")
        if program.text == "cd":
            self.add(command)
            return moved(command.words[1:], at), at
        if program.text in ("pushd", "popd"):
            self.add(command)
            return ANYWHERE, ANYWHERE
        return self.inner(command)

    def inner(self, command: Simple) -> Flow:
        at = command.folders
        match look_through(command.words):
            case Nothing():
                self.add(command)
            case Unclear(reason):
                self.add(replace(command, unclear=reason))
            case Inner(parts, alone, offset, assigned):
                self.add(replace(command, wraps=not alone))
                extra = tuple(Assignment(name, value) for name, value in assigned)
                before, flow = len(self.commands), (at, at)
                for words, start in zip(parts, offset, strict=True):
                    where = ANYWHERE if command.words[start - 1].text in _FOUND_FOLDERS else at
                    flow = self.run(Simple(words, where, extra, outer=command.words, offset=start, piped=command.piped))
                if program_name(command.words[0]) in PRIVILEGED:
                    self.change(before, wraps=True)
                return flow if command.words[0].text in ("command", "builtin") else (at, at)
            case InnerScript(text, same_shell):
                return self.script(command, text, same_shell=same_shell)
        return at, at

    def script(self, command: Simple, text: str, *, same_shell: bool) -> Flow:
        at = command.folders
        if self.depth >= _DEEPEST_SCRIPT:
            raise NotUnderstood("scripts within scripts, too deep to follow")
        self.add(replace(command, wraps=True))
        self.depth += 1
        known, self.bindings = self.bindings, {}
        before = len(self.commands)
        flow = self.text(text, at)
        if command.piped:
            self.change(before, piped=True)
        if command.words[0].text == "trap":
            self.change(before, late=True)
        self.bindings = known
        self.depth -= 1
        return flow if same_shell else (at, at)

    def add(self, command: Simple) -> None:
        self.listed += 1
        if self.listed > MOST_COMMANDS:
            raise NotUnderstood(f"it runs more than {MOST_COMMANDS} commands")
        self.commands.append(command)

    # --- expansions ---

    def expansions(self, node: Node, at: Folders) -> None:
        """Runs through a word or a redirection for what the shell itself would run or evaluate."""
        if node.type in _RUNNING:
            return self.substituted(node, at)
        if node.type == "expansion":
            self.unclear += expansion_risks(node)
        if node.type == "arithmetic_expansion":
            self.unclear += arithmetic_risks(node)
        for child in node.children:
            if node.type != "heredoc_redirect" or child.type == "heredoc_body":
                self.expansions(child, at)
        return None

    def substituted(self, node: Node, at: Folders) -> None:
        redirects = [child for child in node.children if child.type in _REDIRECTS]
        if redirects:
            opened, extra = self.redirects(redirects, at)
            if extra:
                raise NotUnderstood("words after a redirection")
            self.add(Simple((), at, redirects=opened))
        before = len(self.commands)
        self.sequence([child for child in node.children if child.type not in _REDIRECTS], at)
        if node.type == "process_substitution" and node.children[0].type == ">(":
            self.change(before, piped=True)


_RUNNING = frozenset(("command_substitution", "process_substitution"))
_VALUES = frozenset((
    "word", "number", "raw_string", "ansi_c_string", "string", "concatenation", "simple_expansion", "expansion", "command_substitution",
    "process_substitution", "arithmetic_expansion", "brace_expression", "translated_string",
))  # fmt: skip


def _dash_dropped(node: Node, body: Node) -> bool:
    """The grammar loses a lone `-` between a command and its redirections."""
    follower = node.children[node.children.index(body) + 1]
    gap = (node.text or b"")[body.end_byte - node.start_byte : follower.start_byte - node.start_byte]
    return DROPPED_DASH.fullmatch(gap.decode("utf-8")) is not None


def _binds(command: Simple, name: str) -> bool:
    program = command.words[0].text if command.words else ""
    return program in _BINDERS or any(assigned.name == name for assigned in command.assignments)

"""All workers that a session knows, by name: which definition of a name counts, and who may define one while the session runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import get_args

import msgspec

from agentcli.agents.spec import Source, WorkerSpec, laid_over
from agentcli.protocol.errors import UnknownAgent, UsageError
from agentcli.protocol.names import nearest

_NEARER: tuple[Source, ...] = get_args(Source)
_LAYERED: frozenset[Source] = frozenset({"config", "flag", "sdk"})


class Roster:
    """The definitions of one session.

    Of two with one name the nearer counts: built-in < the person's files < config < the project's files < `--agents` < the library's < run time.
    Within one of these the later counts. A block of config, of `--agents` or of a program that brings no prompt of its own is laid over
    the definition it names, key by key, so `agents "explore" { model = "fast" }` changes the model and nothing else. One with a prompt, and
    every file, stands alone. A locked definition is not replaced from nearer; `warnings` says so.
    """

    def __init__(self, specs: Iterable[WorkerSpec] = ()) -> None:
        self._specs: dict[str, WorkerSpec] = {}
        self.warnings: tuple[str, ...] = ()
        for spec in sorted(specs, key=lambda spec: _NEARER.index(spec.source)):
            self._place(spec)

    def list(self) -> tuple[WorkerSpec, ...]:
        """All, by name."""
        return tuple(self._specs[name] for name in sorted(self._specs))

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._specs))

    def find(self, name: str) -> WorkerSpec | None:
        """The definition of a name; another case of letters will do where only one name fits."""
        exact = self._specs.get(name)
        if exact is not None:
            return exact
        alike = [spec for known, spec in self._specs.items() if known.casefold() == name.strip().casefold()]
        return alike[0] if len(alike) == 1 else None

    def get(self, name: str) -> WorkerSpec:
        """The definition of a name.

        Raises:
            UnknownAgent: there is none; names the known ones, nearest first.
        """
        spec = self.find(name)
        if spec is None:
            raise UnknownAgent(name, nearest(name, self.names(), len(self._specs)))
        return spec

    def check_definable(self, name: str, by: str) -> None:
        """Whether the agent `by` may define this name at run time.

        Raises:
            UsageError: it may not, with whose definition it is.
        """
        known = self.find(name)
        if known is None or (known.source == "runtime" and known.defined_by == by and not known.locked):
            return
        owner = f"agent {known.defined_by}" if known.source == "runtime" and known.defined_by != by else known.origin
        raise UsageError(f"the worker '{known.name}' is defined by {owner} and cannot be redefined here.", hint="Choose another name.")

    def define(self, spec: WorkerSpec, by: str) -> WorkerSpec:
        """Adds a definition made by the agent `by` while the session runs; gives it back as it now stands.

        Raises:
            UsageError: no such name can be, or it is taken by a file, by a locked definition or by another agent.
        """
        from agentcli.agents.definition import BadDefinition, check_name

        try:
            check_name(spec.name, "runtime")
        except BadDefinition as error:
            raise UsageError(error.problem.text) from None
        self.check_definable(spec.name, by)
        known = self.find(spec.name)
        if known is not None:
            del self._specs[known.name]
        placed = msgspec.structs.replace(spec, source="runtime", place="", defined_by=by)
        self._specs[placed.name] = placed
        return placed

    def _place(self, spec: WorkerSpec) -> None:
        known = self._specs.get(spec.name)
        if known is not None and known.locked:
            self.warnings += (f"{spec.origin}: the worker '{spec.name}' is locked by {known.origin}; not replaced.",)
            return
        layered = known is not None and spec.source in _LAYERED and not spec.system_prompt
        self._specs[spec.name] = laid_over(known, spec) if known is not None and layered else spec


def read_agents_flag(text: str, source: Source = "flag") -> tuple[WorkerSpec, ...]:
    """The specs of `--agents JSON`: an object of name to `{"description", "prompt", "tools", "model", …}`.

    Raises:
        UsageError: no JSON of that shape, an unknown key, a value of the wrong kind.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--agents is no JSON: {error}.", hint=_SHAPE) from None
    if not isinstance(data, dict) or not all(isinstance(value, dict) for value in data.values()):
        raise UsageError("--agents must be an object of name to definition.", hint=_SHAPE)
    return tuple(_one(name, value, source) for name, value in data.items())


_SHAPE = 'For example: --agents \'{"scout": {"description": "Finds things.", "prompt": "You find things.", "model": "fast"}}\''


def _one(name: str, value: Mapping[str, object], source: Source) -> WorkerSpec:
    from agentcli.agents.definition import BadDefinition, read_definition

    try:
        spec, problems = read_definition({**value, "name": name}, source)
    except BadDefinition as error:
        raise UsageError(f"--agents: '{name}': {error.problem.text}") from None
    if problems:
        raise UsageError(f"--agents: '{name}': {problems[0].text}")
    return spec

"""The public face of the package: its names, its cost, its types."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agentcli
from agentcli.protocol import errors, events


def test_every_public_name_is_there_and_has_a_docstring_of_its_own() -> None:
    for name in agentcli.__all__:
        thing = getattr(agentcli, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__module__.startswith("agentcli."), name
            assert vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__, name
    assert dir(agentcli) == sorted(agentcli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        agentcli.Agnet  # type: ignore[attr-defined] # noqa: B018


def test_all_errors_and_all_events_are_public() -> None:
    def below(kind: type) -> set[str]:
        return {kind.__name__} | {name for sub in kind.__subclasses__() if sub.__module__ == "agentcli.protocol.errors" for name in below(sub)}

    kinds = {kind.__name__ for kind in events.AnyEvent.__args__}
    assert below(errors.AgentError) | {"ToolError"} | kinds <= set(agentcli.__all__)


def test_type_checkers_see_the_same_names_as_programs() -> None:
    tree = ast.parse(Path(agentcli.__file__).read_text())
    checked = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names if alias.asname}
    assert checked | {"__version__"} == set(agentcli.__all__)


KINDS = (agentcli.Agent, agentcli.AsyncAgent, agentcli.Session, agentcli.AsyncSession, agentcli.AgentOrchestrator, agentcli.AsyncAgentOrchestrator)


@pytest.mark.parametrize("kind", KINDS)
def test_the_verbs_of_the_library_are_documented_where_they_are_looked_up(kind: type) -> None:
    """With an example for the class, and nothing that sends the reader to another class."""
    assert "    " in (kind.__doc__ or "").strip()
    for name, member in inspect.getmembers(kind):
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            assert not (inspect.getdoc(member) or "See").startswith("See"), f"{kind.__name__}.{name}"


EXAMPLE = re.compile(r"\n\n((?:(?:    .*)?\n)+)")
"""Indented lines after an empty one."""


def test_the_examples_of_docstrings_are_valid_python() -> None:
    classes = (*KINDS, agentcli.SessionOptions, agentcli.WorkerAgentSpec, agentcli.TaskSpec, agentcli.UserMessage)
    members = [member for kind in classes for name, member in vars(kind).items() if not name.startswith("_") and callable(member)]
    docs = [inspect.getdoc(thing) or "" for thing in (*classes, agentcli.tool, *members)]
    examples = [found for doc in docs for found in EXAMPLE.findall(f"{doc}\n") if found.strip()]
    for example in examples:
        ast.parse(f"async def example():\n{example}")
    assert len(examples) > 15


def test_the_package_is_typed() -> None:
    assert (Path(agentcli.__file__).parent / "py.typed").is_file()


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import agentcli; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['agentcli', 'agentcli.version']"

"""What a start imports, in an environment that has only the dependencies of the package: measured in the process itself, at its end."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from support.place import Place, said
from support.program import run
from support.server import Answer, Server

ROOT = Path(__file__).resolve().parents[2]
WATCH = """
import atexit, importlib.machinery, json, os, sys

HIDDEN = set(json.loads(os.environ["HIDDEN"]))


class Installed(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Installed


def report(code=0, leave=os._exit):
    with open(os.environ["IMPORTED"], "w") as file:
        json.dump([name for name, module in list(sys.modules.items()) if module is not None], file)
    leave(code)


os._exit = report
atexit.register(report, leave=lambda code: None)
"""
SPELLED = {"import-linter": "importlinter", "pytest-timeout": "pytest_timeout"}
"""Distributions whose module is not named like them."""


def dev_modules() -> list[str]:
    """The top modules of the dev group and of the extras, as pyproject.toml has them, and pytest's own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [line for lines in project["project"]["optional-dependencies"].values() for line in lines]
    names = {re.split(r"[\[<>=!~ ;]", line)[0] for line in (*project["dependency-groups"]["dev"], *extras)} - {"agentcli"}
    return [*sorted(SPELLED.get(name, name) for name in names if not name.startswith("types-")), "_pytest", "pluggy", "click"]


class Watched:
    """Runs the program with the dev group hidden; `imported` tells what its last run imported."""

    def __init__(self, folder: Path) -> None:
        (folder / "watch").mkdir()
        (folder / "watch" / "sitecustomize.py").write_text(WATCH)
        self._report = folder / "imported.json"
        self.env = {"PYTHONPATH": str(folder / "watch"), "IMPORTED": str(self._report), "HIDDEN": json.dumps(dev_modules())}

    @property
    def imported(self) -> set[str]:
        return set(json.loads(self._report.read_text()))

    def tops(self) -> set[str]:
        return {name.partition(".")[0] for name in self.imported}


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


NEVER = {
    "rich", "prompt_toolkit", "hcl2", "lark", "mcp", "xllamacpp", "jsonschema", "yaml", "markdownify", "bs4", "pygments", "tree_sitter", "click",
    "genai_prices", "httpx2",
}  # fmt: skip
"""What a run that only talks needs none of."""


def test_one_shot_imports_nothing_that_it_does_not_need(place: Place, watched: Watched) -> None:
    with Server(always=Answer("Hello.")) as server:
        first = place.ask(server, "-p", "hi", XDG_CACHE_HOME=str(place.folder / "cache"), **watched.env)
        hcl_at_first = "hcl2" in watched.tops()
        second = place.ask(server, "-p", "hi", XDG_CACHE_HOME=str(place.folder / "cache"), **watched.env)
    assert [(ran.code, ran.out, ran.err) for ran in (first, second)] == [(0, "Hello.\n", "")] * 2
    assert hcl_at_first
    assert {"agentcli", "httpx", "msgspec"} <= watched.tops()
    assert watched.tops() & (NEVER | {"pydantic"}) == set()
    assert "httpx._main" not in watched.imported
    assert not [name for name in watched.imported if name.startswith("agentcli.ui.") and name.rpartition(".")[2] in ("repl", "screen", "blocks")]


def test_a_scripted_run_imports_no_http_either(place: Place, watched: Watched) -> None:
    place.script(said("Hello.", repeat=True))
    place.run("-p", "hi")
    ran = place.run("-p", "hi", **watched.env)
    assert (ran.code, ran.out) == (0, "Hello.\n")
    assert watched.tops() & (NEVER | {"httpx", "anyio"}) == set()


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_costs_almost_nothing(watched: Watched, flag: str) -> None:
    from agentcli.version import __version__

    ran = run(flag, env=watched.env)
    assert (ran.code, ran.out, ran.err) == (0, f"agentcli {__version__}\n", "")
    assert {name for name in watched.imported if name.startswith("agentcli")} == {"agentcli", "agentcli.cli", "agentcli.version"}
    assert watched.tops() & (NEVER | {"typer", "httpx", "pydantic", "msgspec", "asyncio", "typing", "pathlib"}) == set()


def test_without_the_extra_the_local_model_says_how_to_get_it(place: Place, watched: Watched) -> None:
    """Weights are there, the runtime is not."""
    weights = place.file("weights/mine.gguf", b"GGUF")
    place.file("agent.hcl", f'providers "own" {{\n  wire = "local"\n  models "mine" {{ path = "{weights}" }}\n}}\n')
    ran = run("--config", "agent.hcl", "-p", "hi", "-m", "own/mine", "--output-format", "json", env={**place.env(), **watched.env}, cwd=place.folder)
    assert ran.code != 0
    assert "agentcli[local]" in ran.result["error"]["message"] + ran.result["error"]["hint"]
    assert len([line for line in ran.err.splitlines() if line.startswith("error: ")]) == 1

"""Every case of shared/cases/edit_cases.jsonl, each in every form of arguments that models write. None may be skipped in silence."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from support.toolbox import call, context

from agentcli.protocol.errors import ToolError
from agentcli.protocol.tools import ToolContext
from agentcli.tools.edit import Edit
from agentcli.tools.read import Read

CASES = Path(os.environ.get("AGENTCLI_SHARED") or Path(__file__).resolve().parents[3] / "shared") / "cases" / "edit_cases.jsonl"
LINES = CASES.read_text(encoding="utf-8").splitlines() if CASES.is_file() else []
ALL = [json.loads(line) for line in LINES if line.strip()]

KEYS = {
    "id", "class", "tier", "before", "old", "new", "replace_all", "expected", "accept_also", "edits", "gen", "setup", "check",
    "max_seconds", "source", "provenance", "why", "eol",
}  # fmt: skip
"""All keys that these tests know what to do with; `source`, `provenance`, `why` and `eol` are remarks."""

FORMS = ("flat", "list", "foreign")

pytestmark = pytest.mark.skipif(not ALL, reason=f"no cases at {CASES}: set AGENTCLI_SHARED to the folder that holds cases/")


class Place:
    """A workspace with the file of one case in the state in which the edit meets it."""

    def __init__(self, folder: Path, case: dict[str, Any]) -> None:
        self.ctx: ToolContext = context(folder)
        self.folder = folder
        self.target = folder / "target"
        self.path = "target"
        self.before = content(case["before"], case.get("gen", ""), "before")
        if self.before is not None:
            self.target.write_bytes(self.before)
            self.read()
        self.arrange(case.get("setup", ""))
        self.entries = sorted(folder.iterdir())

    def read(self) -> None:
        """The agent reads the file first, as the tool wants it; what cannot be read stays unread."""
        call(Read(), self.ctx, path="target")

    def arrange(self, setup: str) -> None:
        match setup:
            case "":
                pass
            case "mkdir target":
                self.target.mkdir()
            case "chmod 444 + directory 555":
                self.target.chmod(0o444)
                self.folder.chmod(0o555)
            case "file changed by another program after the last read":
                self.before = b"a\nchanged\n"
                self.target.write_bytes(self.before)
            case "path ../<workspace>-sneaky/test.txt":
                sneaky = self.folder.parent / f"{self.folder.name}-sneaky"
                sneaky.mkdir()
                self.target = sneaky / "test.txt"
                self.before = b"content"
                self.target.write_bytes(self.before)
                self.path = f"../{sneaky.name}/test.txt"
            case _:
                raise AssertionError(f"a setup that no test knows: {setup}")


def content(value: object, gen: str, name: str) -> bytes | None:
    """Bytes of a case's file: text, base64 or an expression that makes a large one."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    if gen.startswith(f"{name} = "):
        made = eval(gen.removeprefix(f"{name} = "), {"__builtins__": {}})
        assert isinstance(made, str)
        return made.encode()
    return None


def arguments(case: dict[str, Any], path: str, form: str) -> dict[str, object]:
    edits = case.get("edits") or [[case["old"], case["new"], case["replace_all"]]]
    if form == "list" or len(edits) > 1:
        return {"path": path, "edits": [{"old": old, "new": new, "replace_all": every} for old, new, every in edits]}
    old, new, every = edits[0]
    if form == "foreign":
        return {"file_path": path, "old_string": old, "new_string": new, "replace_all": str(every).lower()}
    return {"path": path, "old": old, "new": new, "replace_all": every}


def accepted(case: dict[str, Any], before: bytes | None, got: dict[str, object]) -> bool:
    """Whether what happened is the expected or one of the accepted results."""
    for want in [case["expected"], *case.get("accept_also", [])]:
        if want.get("ask"):
            if got.get("ask"):
                return True
        elif "error" in want:
            if got.get("error") and want["error"] in ("any", got["error"]) and got["file"] == before:
                return True
        elif got.get("file") == after(want, before, case) and not got.get("error"):
            return True
    return False


def after(want: dict[str, Any], before: bytes | None, case: dict[str, Any]) -> bytes | None:
    gen = want.get("gen", "")
    if not gen:
        return content(want["after"], "", "after")
    assert gen.endswith(" with old -> new") and before is not None
    made = content(None, gen.removesuffix(" with old -> new"), "after")
    assert made == before
    return before.replace(case["old"].encode(), case["new"].encode())


def perform(place: Place, case: dict[str, Any], form: str) -> dict[str, object]:
    tool = Edit()
    given = arguments(case, place.path, form)
    touched = [(place.ctx.cwd / path).resolve() for path in tool.access(tool.args.model_validate(given)).writes]
    if not any(path.is_relative_to(root) for path in touched for root in place.ctx.roots):
        return {"ask": True, "file": place.target.read_bytes()}  # the permission rules, which see this path, ask before it runs
    error = ""
    try:
        call(tool, place.ctx, **given)
    except ToolError as refused:
        error = refused.code
    return {"error": error, "file": place.target.read_bytes() if place.target.is_file() else None}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", ALL, ids=[case["id"] for case in ALL])
def test_edit_case_gives_the_expected_bytes_or_a_clean_refusal(case: dict[str, Any], form: str, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    place = Place(folder, case)
    started = time.monotonic()
    got = perform(place, case, form)
    assert time.monotonic() - started < case.get("max_seconds", 10)
    assert accepted(case, place.before, got), got
    new = {folder / "target"} if place.before is None and got["file"] is not None else set()
    assert set(folder.iterdir()) == {*place.entries, *new}, "a temporary file was left"
    folder.chmod(0o755)


def test_all_cases_use_only_keys_that_these_tests_know_and_none_is_missing() -> None:
    unknown = {key for case in ALL for key in case} - KEYS
    assert unknown == set()
    assert len(ALL) >= 38
    assert len({case["id"] for case in ALL}) == len(ALL)
    assert {case.get("check", "") for case in ALL} <= {"", "no temp file left"}
    assert {case["tier"] for case in ALL} <= {"must", "tolerant"}

"""Agent files as people write them, ours and Claude Code's; and the ones that ship."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agentcli.agents import files
from agentcli.agents.definition import BadDefinition, from_attributes, read_definition
from agentcli.agents.files import AgentFolder, load_builtin, load_files, project_folders, read_text, user_folder
from agentcli.agents.spec import WorkerSpec
from agentcli.config.values import AgentBlock
from agentcli.sdk.options import WorkerAgentSpec

WHOLE = """---
name: scout
description: Reads files and reports findings.
tools: [read, Grep, glob, LS]
disallowedTools: Bash, WebFetch
model: Gemini 3.5 Flash (Low)
effort: low
maxTurns: 12
permissionMode: acceptEdits
isolation: worktree
timeout: 5m
fallback_models: fast, local/qwen
max_cost_usd: 0.5
---

You are a scout.

---
Even with a rule in the text.
"""


def one(tmp_path: Path, text: str | bytes, name: str = "scout.md") -> files.Loaded:
    folder = tmp_path / "agents"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_files([AgentFolder(folder, "project")])


def test_every_key_of_a_file_is_read(tmp_path: Path) -> None:
    assert one(tmp_path, WHOLE) == files.Loaded(
        (
            WorkerSpec(
                name="scout",
                description="Reads files and reports findings.",
                system_prompt="You are a scout.\n\n---\nEven with a rule in the text.",
                model="Gemini 3.5 Flash (Low)",
                effort="low",
                tools=("read", "grep", "glob", "ls"),
                disallowed_tools=("bash", "web_fetch"),
                max_turns=12,
                permission_mode="accept-edits",
                workspace="branch",
                timeout_s=300.0,
                fallback_models=("fast", "local/qwen"),
                max_cost_usd=0.5,
                source="project",
                place=f"{tmp_path}/agents/scout.md:1",
            ),
        )
    )


def test_snake_case_camel_case_bom_and_line_ends_make_no_difference(tmp_path: Path) -> None:
    plain = one(tmp_path, WHOLE)
    assert one(tmp_path, b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode()) == plain
    assert one(tmp_path, WHOLE.replace("disallowedTools", "disallowed_tools").replace("maxTurns", "max_turns")) == plain
    assert one(tmp_path, WHOLE.replace("max_cost_usd", "maxCostUsd").replace("timeout: 5m", "timeout_s: 300")) == plain


def test_the_file_name_is_the_name_and_the_first_line_of_the_prompt_the_description_where_none_is_said(tmp_path: Path) -> None:
    (spec,) = one(tmp_path, "---\nmodel:\ntools: ''\n---\n# Finds things\nYou find.\n", "finder.md").specs
    assert (spec.name, spec.description, spec.model, spec.tools) == ("finder", "Finds things", "", ())


def test_tools_of_claude_code_have_our_names_and_rules_are_left_out_with_a_word(tmp_path: Path) -> None:
    loaded = one(
        tmp_path,
        "---\ndescription: x\ntools: Read, Bash(git log:*, x), Edit, MultiEdit, Write, TodoWrite, Task, mcp__git__log\n"
        "disallowedTools:\n  - Bash(rm:*)\n---\n",
    )
    (spec,) = loaded.specs
    assert spec.tools == ("read", "edit", "write", "todo", "task", "mcp__git__log")
    assert spec.disallowed_tools == ("bash",)
    assert loaded.warnings == (
        f"{tmp_path}/agents/scout.md:3: 'Bash(git log:*, x)' is a rule, not a tool: left out. Rules belong into the config's permissions.",
        f"{tmp_path}/agents/scout.md:4: 'Bash(rm:*)' is a rule: the whole tool is disallowed. Rules belong into the config's permissions.",
    )
    (only_a_rule,) = one(tmp_path, "---\ndescription: x\ntools: Bash(git log)\n---\n").specs
    assert only_a_rule.tools == ()
    (all_of_them,) = one(tmp_path, "---\ndescription: x\ntools: '*'\n---\n").specs
    assert all_of_them.tools is None


def test_words_that_yaml_takes_for_other_things_stay_words(tmp_path: Path) -> None:
    (spec,) = one(tmp_path, "---\nname: no\neffort: off\nmodel: 1.10\ndescription: 2024-01-01\nmodelLocked: yes\n---\n").specs
    assert (spec.name, spec.effort, spec.model, spec.description, spec.model_locked) == ("no", "off", "1.10", "2024-01-01", True)


def test_a_long_description_with_colons_and_quotes_is_read_as_it_was_meant(tmp_path: Path) -> None:
    text = 'Use this agent when: x. Examples: <example>user: "hi" # not a comment</example> \\n done'
    loaded = one(tmp_path, f"---\nname: reviewer\ndescription: {text}\ntools: Read\ncolor: red\n---\nYou review.\n")
    assert loaded.warnings == ()
    assert (loaded.specs[0].description, loaded.specs[0].tools) == (text, ("read",))


def test_an_unknown_key_warns_with_the_nearest_and_the_rest_counts(tmp_path: Path) -> None:
    loaded = one(tmp_path, "---\ndescription: x\nmodle: fast\nskills: [a]\nzzz: 1\n---\n")
    assert loaded.specs[0].model == ""
    assert [warning.removeprefix(f"{tmp_path}/agents/") for warning in loaded.warnings][:2] == [
        "scout.md:3: unknown key 'modle'; did you mean 'model'?",
        "scout.md:4: 'skills' has no effect here.",
    ]
    assert loaded.warnings[2].startswith(f"{tmp_path}/agents/scout.md:5: unknown key 'zzz'; known: name, description,")


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (b"", "scout.md:1: no frontmatter: an agent file begins with a line '---'. Skipped."),
        (b"\n\nYou are a scout.\n", "scout.md:3: no frontmatter: an agent file begins with a line '---'. Skipped."),
        (b"---\nname: x\n", "scout.md:1: the frontmatter that begins here does not end: a line '---' is missing. Skipped."),
        (b"---\nname: x\nmodel: [a\n---\n", "scout.md:3:10: the frontmatter is no YAML: expected ',' or ']', but got '<stream end>'. Skipped."),
        (b"---\n- a\n- b\n---\n", "scout.md:2: the frontmatter is not a list of 'key: value' lines. Skipped."),
        (b"---\nname: x\nmodel: a\n\nmodel: b\n---\n", "scout.md:5: 'model' stands here a second time (first in line 3). Skipped."),
        (
            b"---\nname: a/b\n---\n",
            "scout.md:2: a name is 1 to 64 letters, digits, '_', '-', '.' or spaces, and starts with a letter or digit. Skipped.",
        ),
        (b"---\nname: Self\n---\n", "scout.md:2: the name 'Self' is taken by agentcli itself; choose another. Skipped."),
        (b"---\nname: subagents\n---\n", "scout.md:2: the name 'subagents' is taken by agentcli itself; choose another. Skipped."),
        (
            b"---\ndescription: x\nmaxTurns: many\n---\n",
            "scout.md:3: 'maxTurns': input should be a valid integer, unable to parse string as an integer. Skipped.",
        ),
        (b"---\nmax_turns: 0\n---\n", "scout.md:2: 'max_turns': input should be greater than 0. Skipped."),
        (b"---\ntimeout: soon\n---\n", "scout.md:2: 'timeout': input should be a valid number, unable to parse string as a number. Skipped."),
        (b"---\nmodel:\n  a: 1\n---\n", "scout.md:2: 'model': input should be a valid string. Skipped."),
        (
            b"---\npermissionMode: yolo\n---\n",
            "scout.md:2: 'permissionMode': input should be 'default', 'accept-edits', 'plan', 'auto' or 'bypass'. Skipped.",
        ),
        (b"---\nname: x\n---\n\xff\xfe\n", "scout.md:4: not UTF-8; skipped."),
        (b"---\nname: \x00\n---\n", "scout.md:1: the frontmatter is no YAML: it holds a character that is not allowed. Skipped."),
        (b"---\n" + b"x" * 300_000, "scout.md: longer than 262144 bytes; skipped."),
    ],
)
def test_a_bad_file_is_reported_with_its_line_and_skipped(tmp_path: Path, text: bytes, report: str) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/good.md").write_text("---\nname: good\n---\nYou are good.\n")
    loaded = one(tmp_path, text)
    assert [spec.name for spec in loaded.specs] == ["good"]
    assert loaded.warnings == (f"{tmp_path}/agents/{report}",)


def test_yaml_that_would_make_objects_makes_none(tmp_path: Path) -> None:
    loaded = one(tmp_path, "---\nname: x\noutput_schema: !!python/object:os.system {a: 1}\n---\n")
    assert loaded.specs == ()
    assert "could not determine a constructor" in loaded.warnings[0]


def test_of_two_files_with_one_name_in_one_folder_the_first_counts_and_it_is_said(tmp_path: Path) -> None:
    one(tmp_path, "---\nname: scout\nmodel: a\n---\n", "a.md")
    loaded = one(tmp_path, "---\nname: scout\nmodel: b\n---\n", "b.md")
    assert [spec.model for spec in loaded.specs] == ["a"]
    assert loaded.warnings == (f"{tmp_path}/agents/b.md:1: the name 'scout' is taken by {tmp_path}/agents/a.md:1; skipped.",)


def test_folders_are_found_from_the_repositorys_root_down_and_ours_after_claude_codes(tmp_path: Path) -> None:
    root, deep = tmp_path / "repo", tmp_path / "repo/a/b"
    for place in (tmp_path / ".agentcli/agents", root / ".git", root / ".agentcli/agents", root / ".claude/agents", deep / ".agentcli/agents"):
        place.mkdir(parents=True)
    assert project_folders(deep) == (
        AgentFolder(root / ".claude/agents", "project"),
        AgentFolder(root / ".agentcli/agents", "project"),
        AgentFolder(deep / ".agentcli/agents", "project"),
    )
    assert project_folders(tmp_path) == (AgentFolder(tmp_path / ".agentcli/agents", "project"),)
    assert project_folders(tmp_path / "nowhere") == ()
    assert user_folder(tmp_path) == AgentFolder(tmp_path / "agents", "user")


def test_what_is_no_file_or_cannot_be_read_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    (folder / "folder.md").mkdir(parents=True)
    (folder / "gone.md").symlink_to(tmp_path / "nowhere")
    (folder / "notes.txt").write_text("no")
    assert load_files([AgentFolder(folder, "project"), AgentFolder(tmp_path / "nowhere", "user")]) == files.Loaded(())


def test_the_built_in_workers_are_what_they_promise() -> None:
    specs = {spec.name: spec for spec in load_builtin()}
    assert sorted(specs) == ["explore", "general", "plan", "review", "self", "verify"]
    reads = {"read", "grep", "glob", "ls"}
    assert {name: set(spec.tools) if spec.tools is not None else None for name, spec in specs.items()} == {
        "explore": reads,
        "plan": reads,
        "review": {*reads, "bash"},
        "verify": {*reads, "bash"},
        "general": None,
        "self": None,
    }
    assert specs["review"].permission_mode == "plan"
    assert [name for name, spec in specs.items() if spec.can_delegate] == ["self"]
    assert [name for name, spec in specs.items() if spec.locked] == ["self"]
    assert all(spec.description and spec.source == "builtin" and spec.origin == "builtin" for spec in specs.values())


def test_the_built_in_files_read_the_same_as_anybodys_would() -> None:
    folder = Path(files.__file__).parent / "builtin"
    for spec, path in zip(load_builtin(), sorted(folder.glob("*.md")), strict=True):
        loaded = read_text(path.read_text("utf-8"), path, "builtin")
        assert loaded == files.Loaded((spec,)), path


def test_a_block_of_config_and_a_programs_spec_become_the_same_shape() -> None:
    expected = WorkerSpec(name="scout", description="Reads.", model="fast", tools=("read",), timeout_s=3.0, workspace="branch", source="config")
    block = AgentBlock("scout", "Reads.", model="fast", tools=("Read",), timeout_s=3.0, isolation="branch", place="agent.hcl:4")
    assert from_attributes(block, "config", block.place) == msgspec.structs.replace(expected, place="agent.hcl:4")
    given = WorkerAgentSpec(name="scout", description="Reads.", model="fast", tools=["read"], timeoutS=3, isolation="branch")
    assert from_attributes(given, "sdk") == msgspec.structs.replace(expected, source="sdk")
    assert from_attributes(WorkerAgentSpec(name="scout"), "sdk") == WorkerSpec(name="scout", source="sdk")


def test_a_key_said_twice_in_two_spellings_is_told(tmp_path: Path) -> None:
    spec, problems = read_definition({"name": "x", "prompt": "a", "systemPrompt": "b"}, "flag")
    assert spec.system_prompt == "a"
    assert [problem.text for problem in problems] == ["'systemPrompt' says again what 'prompt' says; the first counts."]
    with pytest.raises(BadDefinition, match="a name is missing"):
        read_definition({"prompt": "a"}, "flag")

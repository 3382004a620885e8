"""Decisions on calls of every kind but shell commands, rules as text, and how policies bind one another."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ground import Ground

from agentcli.protocol.errors import ConfigError
from agentcli.protocol.events import PermissionMode
from agentcli.protocol.tools import Access
from agentcli.safety.rules import Policy, Rule, Verdict, denied_globs, judge, parse_rule, parse_rules, split_rules

MODES: tuple[PermissionMode, ...] = ("default", "accept-edits", "plan", "auto", "bypass")


def by_mode(ground: Ground, tool: str, access: Access, **rules: list[str]) -> dict[str, str]:
    return {mode: judge(ground.policy(mode, **rules), tool, access).decision for mode in MODES}


# --- files ---


@pytest.mark.parametrize("path", ["a.py", "./sub/../a.py", "new/deep/x", "sub"])
def test_reading_inside_the_workspace_is_allowed_in_every_mode(ground: Ground, path: str) -> None:
    assert set(by_mode(ground, "read", Access(reads=(path,))).values()) == {"allow"}


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "link", "door/secret", "door/new/x", "~/x", "~", "/", "/proc/self/cwd/a.py", ".."])
def test_reading_outside_of_the_workspace_is_asked_by_real_path(ground: Ground, path: str) -> None:
    assert by_mode(ground, "read", Access(reads=(path,))) == {**dict.fromkeys(MODES, "ask"), "bypass": "allow"}


def test_changing_a_file_inside_goes_by_the_mode(ground: Ground) -> None:
    wanted = {"default": "ask", "accept-edits": "allow", "plan": "deny", "auto": "allow", "bypass": "allow"}
    for path in ("a.py", "new/x.py"):
        assert by_mode(ground, "write", Access(writes=(path,))) == wanted
        assert by_mode(ground, "edit", Access(reads=(path,), writes=(path,))) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "../x", "/tmp/x", "door/x", "link", "~/x", ".git/config", ".git/hooks/pre-commit", "sub/.git/config", ".GIT/config", ".agentcli/config.hcl",
        "agent.hcl", ".claude/settings.json", ".mcp.json", ".envrc", ".vscode/tasks.json", ".husky/pre-commit", "sub/../.git/HEAD", ".bashrc",
    ],
)  # fmt: skip
def test_changing_a_file_outside_or_one_that_steers_git_shells_or_agents_is_always_asked(ground: Ground, path: str) -> None:
    wanted = {"default": "ask", "accept-edits": "ask", "plan": "deny", "auto": "ask", "bypass": "allow"}
    assert by_mode(ground, "write", Access(writes=(path,))) == wanted
    assert by_mode(ground, "write", Access(writes=(path,)), allow=["write", "edit"]) == wanted


def test_names_that_only_look_like_guarded_ones_are_ordinary_files(ground: Ground) -> None:
    for path in (".gitignore", ".github/workflows/x.yml", "git/config", "agents.hcl", ".vscode/x.json", "src/.profile.py", ".environment"):
        assert judge(ground.policy("auto"), "write", Access(writes=(path,))).decision == "allow", path


def test_a_folder_of_the_session_may_be_read_and_not_written(ground: Ground) -> None:
    policy = Policy("auto", (ground.root,), read_roots=(ground.outside,))
    assert judge(policy, "read", Access(reads=("door/secret",))).decision == "allow"
    assert judge(policy, "write", Access(writes=("door/secret",))).decision == "ask"


def test_every_root_is_the_workspace(ground: Ground) -> None:
    policy = Policy("accept-edits", (ground.root, ground.outside))
    for path in ("a.py", "door/secret", str(ground.outside / "x")):
        assert judge(policy, "write", Access(writes=(path,))).decision == "allow"


@pytest.mark.parametrize(
    ("rule", "path", "denied"),
    [
        ("read(.env*)", ".env", True),
        ("read(.env*)", "sub/.env.local", True),
        ("read(.env*)", ".envs/prod/key", True),
        ("read(.env*)", "/somewhere/else/.env", True),
        ("read(.env*)", "env", False),
        ("Read(./.env)", ".env", True),
        ("Read(./.env)", "sub/.env", False),
        ("read(secrets/**)", "secrets/a/b", True),
        ("read(secrets/**)", "sub/secrets/a", False),
        ("read(**/secrets/**)", "sub/secrets/a", True),
        ("read(secrets/)", "x/secrets/a", True),
        ("read(*.p?m)", "x/key.pem", True),
        ("read(key[0-9])", "key7", True),
        ("read(key[!0-9])", "key7", False),
        ("read(src/*/key)", "src/a/key", True),
        ("read(src/*/key)", "src/a/b/key", False),
        ("read(src/**/key)", "src/key", True),
        ("read(src/**/key)", "src/a/b/key", True),
        ("read(a\\*b)", "a*b", True),
        ("read(a\\*b)", "axb", False),
        ("read(~/.ssh/**)", "~/.ssh/id", True),
        ("read(~)", "~/x", True),
        ("read(/etc/pass*)", "/etc/passwd", True),
        ("read(//etc/passwd)", "/etc/passwd", True),
        ("read(/src/key)", "src/key", True),
        ("read(**)", "any/thing", True),
        ("read", "any/thing", True),
        ("grep(sub)", "sub/x", False),
    ],
)
def test_a_path_pattern_denies_what_gitignore_would_match(ground: Ground, rule: str, path: str, denied: bool) -> None:
    verdict = judge(ground.policy("bypass", deny=[rule]), "read", Access(reads=(path,)))
    assert (verdict.decision == "deny") is denied
    assert verdict.rule == (rule if denied else "")


def test_a_file_is_denied_under_each_of_its_names(ground: Ground) -> None:
    (ground.root / "real").mkdir()
    (ground.root / "real" / "key").write_text("k")
    (ground.root / "alias").symlink_to("real")
    for rule in ("read(alias/key)", "read(real/key)", "read(./alias/**)"):
        policy = ground.policy("bypass", deny=[rule])
        for path in ("alias/key", "real/key", str(ground.root / "alias" / "key")):
            assert judge(policy, "read", Access(reads=(path,))).decision == "deny", (rule, path)


@pytest.mark.parametrize(
    ("rule", "path", "decision"),
    [
        ("edit(src/**)", "src/a/b.py", "allow"),
        ("write(src/**)", "src/a/b.py", "allow"),
        ("edit(src/**)", "sub/x.py", "ask"),
        ("edit", "sub/x.py", "allow"),
        ("edit(*.py)", "sub/x.py", "allow"),
        ("edit(*.py)", "../x.py", "ask"),
        ("edit(*.py)", "door/x.py", "ask"),
        ("edit(door/**)", "door/x.py", "ask"),
        ("edit({outside}/**)", "door/x.py", "allow"),
        ("edit({outside})", "{outside}/x/y", "allow"),
        ("edit(/src/a.py)", "src/a.py", "ask"),
        ("edit(~/notes/**)", "~/notes/x", "allow"),
        ("read(src/**)", "src/a.py", "ask"),
    ],
)
def test_a_path_pattern_allows_only_what_really_lies_there(ground: Ground, rule: str, path: str, decision: str) -> None:
    policy = ground.policy(allow=[ground.filled(rule)])
    assert judge(policy, "edit", Access(writes=(ground.filled(path),))).decision == decision


def test_a_file_that_may_not_be_read_may_not_be_edited_but_it_may_be_replaced(ground: Ground) -> None:
    policy = ground.policy("accept-edits", deny=["read(.env)"])
    assert judge(policy, "edit", Access(writes=(".env",))).decision == "deny"
    assert judge(policy, "write", Access(writes=(".env",))).decision == "allow"


def test_a_denied_change_holds_for_every_tool_that_changes_files(ground: Ground) -> None:
    for rule in ("edit(src/**)", "write(src/**)"):
        policy = ground.policy("bypass", deny=[rule])
        assert judge(policy, "edit", Access(writes=("src/x",))).decision == "deny"
        assert judge(policy, "write", Access(writes=("src/x",))).decision == "deny"
        assert judge(policy, "bash", Access(command="echo x > src/x")).decision == "deny"
        assert judge(policy, "bash", Access(command="cd src && rm x")).decision == "deny"


def test_an_edit_that_is_asked_names_the_rule_and_the_flag(ground: Ground) -> None:
    assert judge(ground.policy(), "edit", Access(reads=("a.py",), writes=("a.py",))) == Verdict(
        "ask", "changing a.py is asked in this mode.", "edit(./a.py)", "--permission-mode accept-edits", ("changes a.py",)
    )
    outside = judge(ground.policy(), "read", Access(reads=("link",)))
    assert outside == Verdict(
        "ask",
        f"link (really {ground.outside}/secret) is outside the workspace; reading it is asked.",
        f"read({ground.outside}/secret)",
        f"--allowed-tools 'read({ground.outside}/secret)'",
        (f"reads link (really {ground.outside}/secret)",),
    )


@pytest.mark.parametrize("path", ["a*b[c].txt", "it's", "a b", "x\\y"])
def test_the_rule_that_is_offered_for_a_file_allows_that_file_and_no_other(ground: Ground, path: str) -> None:
    asked = judge(ground.policy(), "write", Access(writes=(path,)))
    policy = ground.policy().with_rules(allow=parse_rules(asked.rule))
    assert judge(policy, "write", Access(writes=(path,))).decision == "allow"
    assert judge(policy, "write", Access(writes=("aXb[c].txt",))).decision == "ask"


def test_what_cannot_be_a_path_is_denied_and_raises_nothing(ground: Ground) -> None:
    for path in ("a\0b", "\ud800"):
        assert judge(ground.policy("bypass"), "read", Access(reads=(path,))).decision == "deny"


def test_globs_for_tools_that_look_through_folders(ground: Ground) -> None:
    deny = ["read(.env*)", "read(secrets/**)", "read(./top)", "read(**/x)", "edit(no)", "bash(no)", f"read({ground.root}/in/*)", "read"]
    policy = ground.policy(deny=deny).restricted(deny=parse_rules("read(more)"))
    assert denied_globs(policy) == (
        ".env*", "/secrets/**", "/top", "**/x", f"{ground.root}/in/*", "/in/*", "more",
    )  # fmt: skip


def test_globs_name_what_links_lead_to_too(ground: Ground) -> None:
    (ground.root / "real").mkdir()
    (ground.root / "alias").symlink_to("real")
    assert denied_globs(ground.policy(deny=["read(alias/*.key)"])) == ("/alias/*.key", f"{ground.root}/real/*.key")


def test_working_in_a_folder_outside_of_the_workspace_is_asked_and_only_a_rule_for_just_that_allows_it(ground: Ground) -> None:
    access = Access(reads=(str(ground.outside),))
    asked = judge(ground.policy("auto", allow=["read", "read({outside}/**)".replace("{outside}", str(ground.outside))]), "workspace", access)
    assert asked == Verdict(
        "ask",
        f"{ground.outside} is outside the workspace; working in it is asked.",
        f"workspace({ground.outside})",
        f"--allowed-tools 'workspace({ground.outside})'",
        (f"reads {ground.outside}",),
    )
    saved = ground.policy(allow=[asked.rule])
    assert judge(saved, "workspace", access).decision == "allow"
    assert judge(saved, "workspace", Access(reads=(str(ground.root.parent),))).decision == "ask"
    assert judge(saved, "read", Access(reads=(str(ground.outside / "secret"),))).decision == "ask"
    assert judge(ground.policy("bypass"), "workspace", access).decision == "allow"
    assert judge(ground.policy("bypass", deny=[f"read({ground.outside})"]), "workspace", access).decision == "deny"
    assert judge(Policy("auto", (ground.root,), read_roots=(ground.outside,)), "workspace", access).decision == "ask"


# --- pages, workers, other tools ---


@pytest.mark.parametrize(
    ("url", "decision"),
    [
        ("https://example.com/x", "allow"),
        ("https://docs.EXAMPLE.com:8443/x", "allow"),
        ("example.com/x", "allow"),
        ("https://example.com.", "allow"),
        ("https://example.com.evil.org/", "ask"),
        ("https://example.com@evil.org/", "ask"),
        ("https://evil.org\\@example.com/", "ask"),
        ("https://badexample.com/", "ask"),
        ("https://evil.org/#example.com", "ask"),
        ("https://e\u200bxample.com/", "ask"),
        ("https://[broken/", "ask"),
        ("https://bad.example.com/", "deny"),
    ],
)
def test_pages_are_judged_by_host(ground: Ground, url: str, decision: str) -> None:
    policy = ground.policy("auto", allow=["WebFetch(domain:example.com)"], deny=["web_fetch(bad.example.com)"])
    assert judge(policy, "web_fetch", Access(url=url)).decision == decision


def test_fetching_is_asked_in_every_mode_but_bypass_and_says_the_rule(ground: Ground) -> None:
    access = Access(url="https://example.com/page?q=1")
    assert by_mode(ground, "web_fetch", access) == {**dict.fromkeys(MODES, "ask"), "bypass": "allow"}
    assert judge(ground.policy(), "web_fetch", access) == Verdict(
        "ask",
        "fetching from example.com is asked.",
        "web_fetch(domain:example.com)",
        "--allowed-tools 'web_fetch(domain:example.com)'",
        ("fetches https://example.com/page?q=1",),
    )


def test_starting_a_worker_never_asks_by_itself_and_rules_may_forbid_it(ground: Ground) -> None:
    access = Access(agent="scout, writer", model="openai/gpt-x")
    assert set(by_mode(ground, "parallel_task", access).values()) == {"allow"}
    for rule in ("task(scout)", "Task(wri*)", "task(model:openai/*)", "model(openai/gpt-x)", "task", "parallel_task"):
        assert judge(ground.policy("bypass", deny=[rule]), "parallel_task", access).decision == "deny", rule
    for rule in ("task(sco)", "task(model:gpt-x)", "bash(scout)", "read(scout)"):
        assert judge(ground.policy(deny=[rule]), "parallel_task", access).decision == "allow", rule
    assert judge(ground.policy(ask=["task(scout)"]), "task", access).decision == "ask"


def test_sending_work_to_a_remote_model_is_asked_unless_a_rule_allows_it(ground: Ground) -> None:
    access = Access(model="remote")
    assert judge(ground.policy("auto"), "model", access).rule == "model(remote)"
    assert judge(ground.policy(allow=["model(remote)"]), "model", access).decision == "allow"
    assert judge(ground.policy("bypass", deny=["model(remote)"]), "model", access).decision == "deny"


def test_a_tool_that_does_not_say_what_it_touches_is_asked(ground: Ground) -> None:
    access = Access(mcp="files")
    name = "mcp__files__remove"
    assert by_mode(ground, name, access) == {**dict.fromkeys(MODES, "ask"), "bypass": "allow"}
    for rule in (name, "mcp__files", "mcp__files__*", "mcp__*"):
        assert judge(ground.policy(allow=[rule]), name, access).decision == "allow", rule
        assert judge(ground.policy("bypass", deny=[rule]), name, access).decision == "deny", rule
    for rule in ("mcp__file", "mcp__files__remov", "files"):
        assert judge(ground.policy(allow=[rule]), name, access).decision == "ask", rule
    assert judge(ground.policy(), "my_tool", Access()).rule == "my_tool"


def test_agentclis_own_state_is_no_matter_of_permission_unless_the_tool_is_denied(ground: Ground) -> None:
    assert set(by_mode(ground, "todo", Access(own=True)).values()) == {"allow"}
    assert judge(ground.policy(deny=["TodoWrite"]), "todo", Access(own=True)).decision == "deny"


def test_a_bare_name_is_for_that_tool(ground: Ground) -> None:
    policy = ground.policy(allow=["Edit"], deny=["Write"])
    assert judge(policy, "edit", Access(writes=("a.py",))).decision == "allow"
    assert judge(policy, "write", Access(writes=("a.py",))).decision == "deny"
    assert judge(ground.policy("bypass", deny=["*"]), "anything", Access()).decision == "deny"


# --- rules as text ---


@pytest.mark.parametrize(
    ("text", "tool", "kind"),
    [
        ("bash", "bash", "tool"),
        ("Bash", "bash", "tool"),
        ("Bash(*)", "bash", "tool"),
        (" MultiEdit ", "edit", "tool"),
        ("Bash(npm run:*)", "bash", "command"),
        ("WebFetch(domain:x.org)", "web_fetch", "host"),
        ("Task(model:x/*)", "task", "model"),
        ("Agent(scout)", "task", "agent"),
        ("READ(*)", "read", "path"),
        ("workspace(../x)", "workspace", "path"),
        ("mcp__a__b", "mcp__a__b", "tool"),
        ('bash(git commit -m "a (b)")', "bash", "command"),
    ],
)
def test_rules_of_this_field_are_read(text: str, tool: str, kind: str) -> None:
    rule = parse_rule(text)
    assert (rule.text, rule.tool, rule.kind) == (text.strip(), tool, kind)
    assert rule == parse_rule(text)
    assert hash(rule) == hash(parse_rule(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "bash(", "bash()", "bash( )", "(x)", "bash(x) y", "raed(x)", "todo(x)", "bash(a && b)", "bash(a | b)", "bash(a; b)", "bash(a > b)",
        "bash(a\nb)", "bash($(a))", "bash('a)", "bash(A=1)", "read(!x)", "read(a\0b)", "web_fetch(https://x.org/y)", "web_fetch(domain:*)",
        "x" * 2_000, "1bash", "bash)",
    ],
)  # fmt: skip
def test_a_text_that_is_no_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_rule(text)
    assert text[:50] in refused.value.message
    assert refused.value.exit_code == 2


def test_a_misspelt_tool_is_told_the_right_one() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_rule("raed(.env)")
    assert "'raed' takes no pattern. Did you mean 'read'? Patterns are for:" in refused.value.line()


def test_a_list_of_rules_is_split_outside_of_parentheses() -> None:
    assert split_rules("Bash(git log:*),Edit  read(a b, c)\n") == ("Bash(git log:*)", "Edit", "read(a b, c)")
    assert parse_rules("bash(git push), read(~/x)") == (parse_rule("bash(git push)"), parse_rule("read(~/x)"))
    assert parse_rules(" , ") == ()


# --- policies ---


def test_rules_add_up_without_repeating(ground: Ground) -> None:
    policy = ground.policy(allow=["bash(a)"]).with_rules(allow=parse_rules("bash(a) bash(b)"), deny=parse_rules("bash(c)"))
    assert (policy.allow, policy.deny) == (parse_rules("bash(a) bash(b)"), parse_rules("bash(c)"))
    assert policy.with_mode("plan").mode == "plan"


@pytest.mark.parametrize("own", MODES)
@pytest.mark.parametrize("parents", MODES)
def test_a_worker_is_never_permitted_more_than_its_parent(ground: Ground, parents: PermissionMode, own: PermissionMode) -> None:
    order = ("allow", "ask", "deny")
    parent = ground.policy(parents, deny=["read(.env)"], ask=["bash(make)"])
    child = parent.restricted(own, allow=parse_rules("bash edit write read web_fetch bash(make) read(/etc/**)"), deny=parse_rules("bash(ls)"))
    for tool, access in (
        ("read", Access(reads=("a.py",))), ("read", Access(reads=(".env",))), ("read", Access(reads=("/etc/passwd",))),
        ("write", Access(writes=("x",))), ("bash", Access(command="make")), ("bash", Access(command="ls")), ("bash", Access(command="npm test")),
        ("web_fetch", Access(url="https://x.org")),
        ("mcp__a__b", Access(mcp="a")), ("todo", Access(own=True)),
    ):  # fmt: skip
        theirs, its = judge(parent, tool, access).decision, judge(child, tool, access).decision
        assert order.index(its) >= order.index(theirs), (tool, access)
    assert judge(child, "bash", Access(command="ls")).decision == "deny"
    assert judge(child.restricted("bypass"), "bash", Access(command="ls")).decision == "deny"


def test_a_worker_in_a_folder_of_its_own_is_judged_there_by_all_that_bind_it(ground: Ground, tmp_path: Path) -> None:
    clone = tmp_path.resolve() / "clone"
    clone.mkdir()
    policy = ground.policy("accept-edits").restricted().with_roots((clone,))
    assert judge(policy, "write", Access(writes=("x",))).decision == "allow"
    assert judge(policy, "write", Access(writes=(str(ground.root / "x"),))).decision == "ask"


def test_rules_are_plain_data() -> None:
    assert repr(Rule("bash", "bash", "tool", "")).startswith("Rule(text='bash', tool='bash'")


def test_a_confined_policy_stays_so_and_binds_whatever_it_is_bound_by(ground: Ground) -> None:
    clone = ground.root / "sub"
    outer = ground.policy("bypass", allow=["bash", "edit(/**)"])
    confined = outer.restricted().confined_to((clone,))
    assert (confined.confined, confined.roots, [one.confined for one in confined.within]) == (True, (clone,), [True])
    moved = confined.with_roots((ground.root / "src",), (ground.outside,)).with_mode("bypass").with_rules(allow=parse_rules("write"))
    assert (moved.confined, moved.roots) == (True, (ground.root / "src",))
    for policy, inside in ((confined, clone), (moved, ground.root / "src")):
        assert judge(policy, "write", Access(writes=(str(inside / "x"),))).decision == "allow"
        assert judge(policy, "write", Access(writes=(str(ground.root / "x"),))) == Verdict(
            "deny", f"{ground.root}/x is outside of {inside}, and this worker works in a clone of its own.", "", "", (f"changes {ground.root}/x",)
        )
        assert judge(policy, "bash", Access(command="touch x")).decision == "allow"
        assert judge(policy, "bash", Access(command="touch ../x")).decision == "deny"
        assert judge(policy, "bash", Access(command="make")).decision == "ask"
    assert judge(outer, "bash", Access(command="touch ../x && make")).decision == "allow"

"""`settings.json`: what a person saves from inside a session."""

from __future__ import annotations

import json

import pytest
from support.desk import Desk, put

from agentcli.config.load import Rule, Setting
from agentcli.config.settings import save_default_model, save_rule, save_subagent_model
from agentcli.config.trust import trust_folder
from agentcli.protocol.errors import ConfigError, StorageError


def test_a_saved_default_outranks_the_user_s_config_and_yields_to_the_project_s(desk: Desk) -> None:
    desk.write_user('default_model = "a/user"')
    save_default_model(desk.user, "b/saved:high")
    save_subagent_model(desk.user, "c/small")
    place = f"{desk.user}/settings.json"
    config = desk.load()
    assert config.default_model == Setting("b/saved:high", "settings", "settings", place)
    assert config.subagent_model == Setting("c/small", "settings", "settings", place)
    assert [file.name for file in config.files] == ["config.hcl", "settings.json"]
    desk.write("agent.hcl", 'default_model = "d/project"')
    trust_folder(desk.project, desk.data)
    assert desk.load().default_model == Setting("d/project", "config", "project", f"{desk.project}/agent.hcl:1")


def test_saved_rules_count_everywhere_or_in_their_folder(desk: Desk) -> None:
    save_rule(desk.user, "deny", "read(.env)")
    save_rule(desk.user, "allow", "bash(make *)", desk.project)
    save_rule(desk.user, "allow", "bash(make *)", desk.project)
    place = f"{desk.user}/settings.json"
    (desk.project / "sub").mkdir()
    inside, outside = desk.load(cwd=desk.project / "sub").permissions, desk.load(cwd=desk.home).permissions
    assert (inside.allow, inside.deny) == ((Rule("bash(make *)", place),), (Rule("read(.env)", place),))
    assert (outside.allow, outside.deny) == ((), (Rule("read(.env)", place),))


def test_a_default_can_be_forgotten_and_what_a_newer_version_saved_stays(desk: Desk) -> None:
    put(desk.user / "settings.json", '{"theme": {"dark": true}, "default_model": "a/b", "folders": {"/x": {"seen": 3}}}')
    save_default_model(desk.user, None)
    assert json.loads((desk.user / "settings.json").read_text()) == {"theme": {"dark": True}, "folders": {"/x": {"seen": 3}}}
    assert desk.load().default_model is None


@pytest.mark.parametrize("text", ["{", "[]", '{"default_model": 3}', '{"permissions": {"deny": "x"}}', '{"folders": []}', ""])
def test_a_broken_file_is_told_and_never_overwritten(desk: Desk, text: str) -> None:
    file = put(desk.user / "settings.json", text)
    with pytest.raises(ConfigError) as loading:
        desk.load()
    assert loading.value.line().startswith(f"{file}: this is not ")
    assert loading.value.line().endswith("Correct it, or remove the file to start afresh.")
    with pytest.raises(ConfigError) as saving:
        save_default_model(desk.user, "a/b")
    assert saving.value.line() == loading.value.line()
    assert file.read_text() == text


def test_a_directory_in_its_place_is_told(desk: Desk) -> None:
    (desk.user / "settings.json").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        desk.load()


def test_it_is_not_read_where_no_user_config_is(desk: Desk) -> None:
    save_default_model(desk.user, "a/b")
    assert desk.load(bare=True).default_model is None
    assert desk.load(text="").default_model is None


def test_a_symlinked_file_stays_a_symlink_and_no_half_file_is_left(desk: Desk) -> None:
    real = put(desk.home / "dotfiles/settings.json", "{}")
    desk.user.mkdir(parents=True)
    (desk.user / "settings.json").symlink_to(real)
    save_default_model(desk.user, "a/b")
    assert (desk.user / "settings.json").is_symlink()
    assert json.loads(real.read_text()) == {"default_model": "a/b"}
    assert [path.name for path in real.parent.iterdir()] == ["settings.json"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(desk: Desk) -> None:
    put(desk.user, "a file where the folder should be")
    with pytest.raises(StorageError):
        save_default_model(desk.user, "a/b")

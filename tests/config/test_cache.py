"""The cache of parsed config: an unchanged file costs neither parser nor pydantic, a changed or broken entry costs nothing but time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.desk import Desk

from agentcli.config.layer import Leaf
from agentcli.config.tree import Env
from agentcli.protocol.models import ProviderSpec
from agentcli.protocol.secrets import Secret

TEXT = """providers "a" {
  apiKey = "sk-TOPSECRET"
  headers { X = env("X", "sk-TOPSECRET2") }
}
limits { max_turns = 7 }
permissions { deny = ["bash(rm *)"] }
"""

PROBE = """
import json, sys
from pathlib import Path
from agentcli.config.load import Sources, load
base = Path(sys.argv[1])
sources = Sources(base / "home/src/app", {"HOME": str(base / "home")}, base / "home/.config/agentcli", base / "home/.local/share/agentcli",
    base / "home/.cache/agentcli")
config = load(sources)
heavy = [name for name in ("hcl2", "lark", "pydantic", "yaml", "httpx", "subprocess") if name in sys.modules]
print(json.dumps({"heavy": heavy, "key": config.provider("a").api_key.reveal()}))
"""


def probe(desk: Desk) -> dict[str, object]:
    """What a new process does that loads this config."""
    base = desk.home.parent
    done = subprocess.run([sys.executable, "-c", PROBE, str(base)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def entries(desk: Desk) -> list[Path]:
    return sorted((desk.cache / "config").iterdir())


def test_an_unchanged_config_is_recalled_without_its_parser(desk: Desk) -> None:
    desk.write_user(TEXT)
    desk.write("agent.hcl", 'permissions { deny = ["bash(x)"] }')
    cold = probe(desk)
    assert {"hcl2", "pydantic"} <= set(cold["heavy"])  # type: ignore[call-overload]
    warm = probe(desk)
    assert warm["heavy"] == []
    assert warm["key"] == cold["key"] == "sk-TOPSECRET"


def test_what_is_recalled_equals_what_was_read(desk: Desk) -> None:
    desk.write_user(TEXT)
    read, recalled = desk.load(), desk.load()
    assert read.values == recalled.values
    assert (read.limits, read.permissions) == (recalled.limits, recalled.permissions)
    wanted = ProviderSpec("a", api_key=Secret("sk-TOPSECRET"), headers={"X": "sk-TOPSECRET2"})
    assert read.provider("a") == recalled.provider("a") == wanted


def test_no_secret_is_written_to_the_cache_and_it_is_the_person_s_own(desk: Desk) -> None:
    desk.write_user(TEXT)
    desk.load()
    (entry,) = entries(desk)
    assert b"TOPSECRET" not in entry.read_bytes()
    assert (entry.stat().st_mode & 0o777, entry.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_change_that_keeps_size_and_time_is_seen(desk: Desk) -> None:
    file = desk.write_user(TEXT)
    desk.load()
    stamp = file.stat()
    file.write_text(TEXT.replace("max_turns = 7", "max_turns = 9"))
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert file.stat().st_size == stamp.st_size
    assert desk.load().limits.max_turns == 9
    assert len(entries(desk)) == 1


@pytest.mark.parametrize("damage", [b"", b"garbage", None, "flip", "cut"])
def test_a_damaged_entry_is_ignored_and_written_anew(desk: Desk, damage: bytes | str | None) -> None:
    desk.write_user(TEXT)
    desk.load()
    (entry,) = entries(desk)
    whole = entry.read_bytes()
    if damage == "flip":
        entry.write_bytes(whole.replace(b"bash(rm *)", b"bash(xx *)"))
    elif damage == "cut":
        entry.write_bytes(whole[:-5])
    elif damage is None:
        entry.unlink()
    else:
        assert isinstance(damage, bytes)
        entry.write_bytes(damage)
    assert [rule.text for rule in desk.load().permissions.deny] == ["bash(rm *)"]
    assert entry.read_bytes() == whole


def test_an_entry_of_another_version_is_not_used(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write_user(TEXT)
    desk.load()
    (entry,) = entries(desk)
    before = entry.read_bytes()
    monkeypatch.setattr("agentcli.config.cache.__version__", "99.0")
    assert desk.load().limits.max_turns == 7
    assert entry.read_bytes() != before


def test_a_cache_that_cannot_be_written_stops_nothing(desk: Desk) -> None:
    desk.write_user(TEXT)
    desk.cache.parent.mkdir(parents=True)
    desk.cache.write_text("a file where the folder should be")
    assert desk.load().limits.max_turns == 7
    assert desk.load(cache_dir=None).limits.max_turns == 7


def test_a_broken_config_is_not_cached(desk: Desk) -> None:
    desk.write_user("limits {")
    with pytest.raises(Exception, match="never closed"):
        desk.load()
    assert not desk.cache.exists()


def test_configs_given_as_text_are_cached_in_a_bounded_number_of_entries(desk: Desk) -> None:
    for _ in range(2):
        assert desk.load(text=TEXT).limits.max_turns == 7
    (entry,) = entries(desk)
    assert entry.name.startswith("text-")
    assert len(entry.stem) == len("text-00")


def test_a_leaf_is_sealed_without_its_secret_and_opened_from_the_text() -> None:
    leaf = Leaf(("providers", "a", "api_key"), None, 1, 2, Env(("X",)), (4, 9), Secret("abc"))
    sealed = Leaf(("providers", "a", "api_key"), None, 1, 2, Env(("X",)), (4, 9))
    assert leaf.sealed() == sealed
    assert sealed.opened('k = "abc"') == leaf

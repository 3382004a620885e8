from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs import PlatformDirs

from agentcli.protocol.errors import StorageError
from agentcli.system import folders

REPO = Path(__file__).resolve().parents[2]


def _all() -> list[Path]:
    return [folders.config(), folders.data(), folders.cache(), folders.state()]


def _platformdirs() -> list[Path]:
    dirs = PlatformDirs("agentcli", appauthor=False)
    return [dirs.user_config_path, dirs.user_data_path, dirs.user_cache_path, dirs.user_state_path]


@pytest.mark.parametrize("base", [None, "", "/somewhere/else", "relative/one", "~/tilde"])
def test_every_folder_is_the_one_platformdirs_names(base: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        if base is None:
            monkeypatch.delenv(f"XDG_{kind}_HOME")
        else:
            monkeypatch.setenv(f"XDG_{kind}_HOME", base)
    assert _all() == _platformdirs()


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_a_home_that_is_no_absolute_path_is_looked_up(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.delenv(f"XDG_{kind}_HOME")
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    assert _all() == _platformdirs()


def test_weights_are_in_the_cache_unless_a_variable_names_a_folder(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = folders.weights()
    monkeypatch.setenv("AGENTCLI_WEIGHTS", "~/models")
    below_home = folders.weights()
    monkeypatch.setenv("AGENTCLI_WEIGHTS", "models")
    assert (plain, below_home, folders.weights()) == (folders.cache() / "weights", own_home / "models", Path.cwd() / "models")
    assert folders.sessions() == folders.data() / "sessions"


def test_asking_creates_nothing(own_home: Path) -> None:
    assert [*_all(), folders.weights(), folders.sessions()] and list(own_home.iterdir()) == []


def test_ensure_creates_every_missing_folder_for_the_person_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    made = folders.ensure(tmp_path / "a" / "b" / "c")
    modes = [oct(folder.stat().st_mode & 0o777) for folder in (made, made.parent, made.parent.parent, tmp_path)]
    assert (made, modes) == (tmp_path / "a" / "b" / "c", ["0o700", "0o700", "0o700", "0o755"])


def test_ensure_leaves_a_folder_that_exists_as_it_is(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir(mode=0o755)
    real.chmod(0o755)
    (tmp_path / "link").symlink_to(real)
    assert [folders.ensure(real), folders.ensure(tmp_path / "link")] == [real, tmp_path / "link"]
    assert real.stat().st_mode & 0o777 == 0o755


def test_a_file_in_the_way_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as below:
        folders.ensure(tmp_path / "file" / "folder")
    with pytest.raises(StorageError) as itself:
        folders.ensure(tmp_path / "file")
    wanted = tmp_path / "file" / "folder"
    assert below.value.line().startswith(f"cannot create the folder {wanted}: ")
    assert itself.value.line() == f"cannot create the folder {tmp_path / 'file'}: File exists ({tmp_path / 'file'})."


def test_platformdirs_is_not_imported_on_linux() -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere platformdirs decides")
    program = "import sys; from agentcli.system import folders; folders.config(); print('platformdirs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True).stdout == "False\n"

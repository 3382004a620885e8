"""Where a path as written leads, and whether that is inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentcli.protocol.errors import ToolError
from agentcli.safety import paths
from agentcli.safety.paths import inside, relative, resolve, written


def test_a_path_leads_to_its_real_place(tmp_path: Path, own_home: Path) -> None:
    base = tmp_path.resolve()
    (base / "real").mkdir()
    (base / "door").symlink_to("real")
    (base / "loop").symlink_to("loop")
    assert {text: resolve(base, text) for text in ("x", "door/x", "door/../x", "real/./y", "~/z", "/etc/..", "")} == {
        "x": base / "x", "door/x": base / "real" / "x", "door/../x": base / "x", "real/./y": base / "real" / "y", "~/z": own_home.resolve() / "z",
        "/etc/..": Path("/"), "": base,
    }  # fmt: skip
    assert resolve(base, "~nobody-of-this-name/x") == base / "~nobody-of-this-name" / "x"
    assert inside(resolve(base, "loop/x"), (base,))
    assert written(base, "door/../x/./y") == base / "x" / "y"


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_cannot_be_a_path_is_an_expected_failure(tmp_path: Path, text: str) -> None:
    with pytest.raises(ToolError, match="cannot be a path"):
        resolve(tmp_path, text)


def test_inside_is_by_whole_names() -> None:
    roots = (Path("/w/proj"), Path("/other"))
    assert [inside(Path(text), roots) for text in ("/w/proj", "/w/proj/a", "/other/x", "/w/project", "/w", "/", "/W/proj/a")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip
    assert inside(Path("/any"), (Path("/"),))
    assert not inside(Path("/any"), ())
    assert [relative(Path(text), Path("/w")) for text in ("/w", "/w/a/b", "/x")] == ["", "a/b", None]


def test_where_the_system_folds_case_two_spellings_are_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "FOLDS_CASE", True)
    assert inside(Path("/W/Proj/a"), (Path("/w/proj"),))
    assert inside(Path("/w/cafe\u0301/a"), (Path("/w/café"),))
    assert relative(Path("/W/Proj/A"), Path("/w/proj")) == "A"

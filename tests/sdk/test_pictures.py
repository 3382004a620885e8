"""Pictures handed over by their path: how terminals name dropped files, and which files are taken."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from agentcli.protocol.errors import UsageError
from agentcli.protocol.messages import Image
from agentcli.sdk.pictures import MOST_BYTES, dropped_path, read_picture

PNG = b"\x89PNG\r\n\x1a\nrest"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a/b c.png", "/a/b c.png"),
        ("'/a/b c.png' ", "/a/b c.png"),
        ("/a/b\\ c.png", "/a/b c.png"),
        ("file:///a/b%20c.png", "/a/b c.png"),
        ("c.png", "/work/c.png"),
    ],
)
def test_a_dropped_file_is_named_in_many_ways(text: str, path: str) -> None:
    assert dropped_path(text, Path("/work")) == Path(path)


def test_a_picture_is_told_by_its_bytes_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "shot.jpg").write_bytes(PNG)
    assert read_picture(tmp_path / "shot.jpg") == Image("image/png", base64.b64encode(PNG).decode(), "shot.jpg")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "a.png cannot be read: No such file or directory."),
        (b"text", "a.png is no picture that services take (png, jpeg, gif, webp)."),
        (b"RIFF1234WAVE", "a.png is no picture that services take"),
        (PNG + bytes(MOST_BYTES), "a.png has 5.0 MB; services take pictures of up to 5 MB. Make it smaller."),
    ],
)
def test_what_is_not_taken_says_why(tmp_path: Path, data: bytes | None, why: str) -> None:
    path = tmp_path / "a.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        read_picture(path)
    assert why in refused.value.line()

"""Pictures that a person hands over by the path of a file, as a part of a message."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agentcli.protocol.errors import UsageError
from agentcli.protocol.messages import Image

MOST_BYTES = 5_000_000
"""What the services take of one picture, roughly: 5 MB."""
MAGIC = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"))
"""How files of each kind begin. Others are not taken by all services."""


def dropped_path(text: str, cwd: Path) -> Path:
    """The file that a terminal names when one is dropped on it: quoted, escaped, or as a file URL."""
    name = text.strip().strip("'\"")
    name = unquote(urlsplit(name).path) if name.startswith("file://") else name.replace("\\ ", " ")
    return cwd / Path(name).expanduser()


def read_picture(path: Path) -> Image:
    """A picture as messages carry it. Raises UsageError: it cannot be read, is too large, or is none that services take."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            most = f"services take pictures of up to {MOST_BYTES / 1e6:.0f} MB."
            raise UsageError(f"{path.name} has {size / 1e6:.1f} MB; {most}", hint="Make it smaller.")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    kind = next((kind for magic, kind in MAGIC if data.startswith(magic)), "")
    if not kind or (kind == "image/webp" and data[8:12] != b"WEBP"):
        raise UsageError(f"{path.name} is no picture that services take (png, jpeg, gif, webp).")
    return Image(kind, base64.b64encode(data).decode(), path.name)

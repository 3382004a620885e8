"""Which folders the person trusts. Kept in `trust.json` in the person's data folder, outside any project; a broken file trusts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from agentcli.config.files import folder_of, is_there, real_path, replace_file
from agentcli.config.tree import shown
from agentcli.protocol.errors import StorageError

FILE = "trust.json"


class _Kept(Struct, frozen=True):
    folders: tuple[str, ...] = ()


class Trust(Struct, frozen=True):
    """The trusted folders, and what is to be said of their file ("" where it is fine)."""

    folders: tuple[Path, ...] = ()
    warning: str = ""

    def root_of(self, folder: Path, environ: Mapping[str, str]) -> Path | None:
        """The trusted folder that a real path is in, None where it is in none. Trust in a home folder or in `/` does not reach below it."""
        alone = {Path(folder.anchor), real_path(Path(environ.get("HOME") or folder.anchor))}
        for root in self.folders:
            if folder == root or (root not in alone and root in folder.parents):
                return root
        return None


def read_trust(data_dir: Path) -> Trust:
    path = data_dir / FILE
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (FileNotFoundError, NotADirectoryError):
        return Trust()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Trust((), f"{shown(str(path), 400)} cannot be read, so no folder is trusted. Remove it, then: agentcli config trust")
    return Trust(tuple(Path(folder) for folder in kept.folders))


def trust_folder(folder: Path, data_dir: Path) -> Path:
    """Trusts a folder and all below it from now on; returns its real path.

    Raises:
        StorageError: this cannot be remembered.
    """
    real = real_path(folder)
    _write((*(known for known in read_trust(data_dir).folders if known != real), real), data_dir)
    return real


def distrust_folder(folder: Path, data_dir: Path) -> bool:
    """Takes the trust in exactly this folder back; False where there was none.

    Raises:
        StorageError: this cannot be remembered.
    """
    real = real_path(folder)
    known = read_trust(data_dir).folders
    _write(tuple(other for other in known if other != real), data_dir)
    return real in known


def project_root(cwd: Path, files: list[Path]) -> Path:
    """The folder that `--trust` means: the repository around `cwd`, else the folder of the nearest config file, else `cwd` itself.

    A repository counts only where its `.git` belongs to the owner of `cwd`: anybody may leave one in a shared folder above.
    """
    real = real_path(cwd)
    for folder in (real, *real.parents):
        if is_there(folder / ".git"):
            if _owner(folder / ".git") == _owner(real):
                return folder
            break
    return folder_of(files[-1]) if files else real


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _write(folders: tuple[Path, ...], data_dir: Path) -> None:
    try:
        data = msgspec.json.encode(_Kept(tuple(str(folder) for folder in folders)))
    except UnicodeEncodeError:
        raise StorageError("this folder's name is not UTF-8, so trust in it cannot be remembered.", hint="Rename it.") from None
    replace_file(data_dir / FILE, msgspec.json.format(data) + b"\n")

"""The part of the doctor's report that is about this machine: Python, programs, folders, network settings, local models."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from agentcli.protocol.errors import AgentError, ToolError
from agentcli.providers import local
from agentcli.sdk.findings import Finding
from agentcli.sdk.overview import weights_rows
from agentcli.system import environment, folders, processes
from agentcli.tools.ripgrep import binary
from agentcli.version import __version__

PROGRAM_S = 5.0
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def about() -> Finding:
    """What runs, and on what."""
    return Finding("agentcli", "ok", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")


async def machine(cwd: Path) -> list[Finding]:
    """Local models, programs, folders and network settings."""
    git, ripgrep = await asyncio.gather(_git(cwd), _ripgrep())
    return [*_local(), git, ripgrep, _sandbox(), *_folders(), *_network()]


async def _git(cwd: Path) -> Finding:
    said = await _first_line("git", "--version")
    if not said:
        return Finding("git", "bad", "not found", "Install git: workers' own clones (workspace branch) and /diff need it.")
    inside = any((folder / ".git").exists() for folder in (cwd, *cwd.parents))
    return Finding("git", "ok", f"{said}; {'this is a repository' if inside else 'this folder is in no repository'}")


async def _ripgrep() -> Finding:
    try:
        program = binary(environment.get("PATH"))
    except ToolError as error:
        return Finding("ripgrep", "bad", "not found: grep and glob do not work", error.message)
    said = await _first_line(program, "--version")
    return Finding("ripgrep", "ok", f"{said} at {program}") if said else Finding("ripgrep", "bad", f"{program} does not run", "Install ripgrep anew.")


async def _first_line(*argv: str) -> str:
    """What a program says first; "" where it does not run."""
    try:
        done = await processes.run(argv, timeout_s=PROGRAM_S)
    except AgentError:
        return ""
    return done.stdout.decode("utf-8", "replace").partition("\n")[0].strip() if done.exit_code == 0 else ""


def _sandbox() -> Finding:
    """Named for what it is: nothing uses it so far."""
    name, what = ("sandbox-exec", "seatbelt") if sys.platform == "darwin" else ("bwrap", "bubblewrap")
    there = f"{what} is installed" if shutil.which(name) else f"{what} is not installed"
    return Finding("sandbox", "note", f"{there}; agentcli does not use it yet: permission rules alone decide what a command may do")


def _folders() -> list[Finding]:
    """Where config, sessions and caches are written."""
    kinds = {"config": folders.config(), "data": folders.data(), "cache": folders.cache()}
    closed = [f"{kind} {path}" for kind, path in kinds.items() if not _writable(path)]
    if closed:
        return [Finding("folders", "bad", f"cannot be written: {', '.join(closed)}", "Change who owns them, or set XDG_CONFIG_HOME and the like.")]
    return [Finding("folders", "ok", ", ".join(f"{kind} {path}" for kind, path in kinds.items()))]


def _writable(path: Path) -> bool:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _network() -> list[Finding]:
    """Proxies by host alone, for their addresses hold passwords; certificate files that are not there."""
    found = []
    hosts = {name: urlsplit(value).hostname or "?" for name in PROXIES if (value := environment.get(name))}
    if hosts:
        found.append(Finding("network", "note", "requests go through a proxy: " + ", ".join(f"{name} {host}" for name, host in hosts.items())))
    for name in CERTIFICATES:
        value = environment.get(name)
        if value and not Path(value).exists():
            found.append(Finding("network", "bad", f"{name} names {value}, which is not there", f"Correct {name}, or unset it."))
    return found


def _local() -> list[Finding]:
    if not local.is_available():
        return [Finding("local", "note", "the runtime for local models is not installed", "To use one: pip install 'agentcli[local]'")]
    found = []
    for row in weights_rows():
        if row.path:
            found.append(Finding("local", "ok", f"local/{row.name} is here: {row.path} ({row.size / 1e6:.0f} MB)", usable=True))
        else:
            fix = f"agentcli local pull {row.name}" if row.default else ""
            found.append(Finding("local", "note", f"local/{row.name} is not here ({row.size / 1e6:.0f} MB to fetch)", fix))
    return found

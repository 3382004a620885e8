"""The program of the child process that serves one weights file: `python -P -m agentcli.providers.local_child`. Started only by `local`.

It reads one JSON line of settings from stdin, loads the weights, writes one JSON line with its address to stdout, and lives until its stdin
ends: the parent holds the other end, so the kernel tells of the parent's death however it dies.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

BATCH = 128
CACHE_MIB = 512
"""Read prompts kept beside those of the slots; the runtime's own default is 8 GB."""


def main() -> None:
    """Serves until stdin ends. Never returns."""
    told = os.fdopen(0, "rb", buffering=0)
    settings = json.loads(_line(told.fileno()))
    # The runtime's own output must not mix with the one line that the parent reads.
    answer = os.dup(1)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, args=(told.fileno(),), daemon=True).start()
    try:
        server = _serve(settings)
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        _say(answer, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    _say(answer, {"url": server.listening_address})
    threading.Event().wait()


def _serve(settings: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.verbosity = 0
    params.n_ctx = settings["context"] * settings["slots"]
    params.n_parallel = settings["slots"]
    # A cancel is noticed between batches of the prompt: 128 tokens are about a second on two cores, the default of 2048 is 16.
    params.n_batch = params.n_ubatch = BATCH
    params.model_alias = {Path(settings["path"]).stem}
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _cores()
    params.cache_ram_mib = CACHE_MIB
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["api_key"]]
    # A web page open in the person's browser can reach any loopback port: without these its scripts could read the answers.
    params.cors_origins = ""
    params.cors_origins_explicit = True
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.sse_ping_interval = 3600
    return xllamacpp.Server(params)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2


def _line(stdin: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(stdin, 1)
        if not piece:
            os._exit(0)
        line += piece
    return line


def _say(stdout: int, fact: dict[str, str]) -> None:
    os.write(stdout, json.dumps(fact).encode() + b"\n")


def _end_with_parent(stdin: int) -> None:
    while os.read(stdin, 4096):
        pass
    # Not sys.exit: the runtime's threads may be in the middle of an answer that nobody waits for.
    os._exit(0)


if __name__ == "__main__":
    main()

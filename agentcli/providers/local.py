"""The local wire: llama.cpp (through xllamacpp) in a child process of its own, one for each weights file, spoken to as any chat service.

Why a child and its HTTP port, not the runtime in this process: the runtime opens a loopback HTTP port in either case; in a child a crash or an
out-of-memory kill costs one answer and not the session, the weights' memory is given back at once, and closing the connection is a cancel
that the runtime itself honours. The port is picked by the system on 127.0.0.1, wants a random key that only the two processes know
(it travels over the child's stdin, where no process list shows it), and answers no web page's script. The child ends when its
stdin does, so also when we are killed. Nothing is loaded before the first request.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from importlib.util import find_spec
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from agentcli.protocol.errors import RequestRejected, StreamBroken, Unavailable, UnknownModel, UsageError
from agentcli.protocol.models import FREE, SMALL, ModelSpec, ProviderSpec, Quirks
from agentcli.protocol.secrets import Secret
from agentcli.providers import weights
from agentcli.providers.base import ModelRequest, StreamPart
from agentcli.system import environment, folders, processes

if TYPE_CHECKING:
    from agentcli.providers.openai_chat import OpenAIChat

PROVIDER = "local"
CONTEXT = 8192
"""Tokens of each conversation, unless the model's declaration says less or more. 0.1 GB of memory a conversation at 0.5B, 0.24 GB at 1.5B."""
OUTPUT = 2048
SLOTS = 4
"""Conversations whose read prompts are kept; further calls queue. Measured: four workers at once take as long together with 1, 2 or 4 slots, but
with 4 each goes on where it was, and the agent that sent them off too."""
MOST_CONTEXT = SLOTS * CONTEXT
"""Tokens of all slots together: a model declared with a longer context gets fewer slots."""
TEMPERATURE = 0.1
QUIET = {"OMP_WAIT_POLICY": "passive"}
"""The runtime's threads wait for each other without spinning. Measured on two cores with eight busy processes: 4 to 5 tokens a second in place of 0.4
to 1.7, for spinning threads take the very time that the others need."""
END_S = 0.5
"""How long the end of a child that broke its connection is waited for."""
LOAD_S = 300.0
"""Loading takes about 2 s from a warm disk; a slow disk and 7B weights take minutes."""
ALIASES = {f"{PROVIDER}/{alias}": f"{PROVIDER}/{entry.name}" for entry in weights.CATALOGUE for alias in entry.aliases}
"""Short names, for the catalogue of models."""


def is_available() -> bool:
    """Whether the runtime is installed (the extra `local`)."""
    return find_spec("xllamacpp") is not None


def local_models() -> tuple[ModelSpec, ...]:
    """The models of the weights' catalogue, the default first; whether their weights are here is not looked at."""
    return tuple(
        ModelSpec(PROVIDER, entry.name, "local", entry.title, context=CONTEXT, output=OUTPUT, cost=FREE, profile=SMALL) for entry in weights.CATALOGUE
    )


class Settings(Struct, frozen=True):
    """What the child is told, as one line of JSON."""

    path: str
    context: int
    slots: int
    api_key: str


class Answer(Struct, frozen=True, omit_defaults=True):
    """What the child says when it has loaded the weights, or could not."""

    url: str = ""
    error: str = ""


class LocalProvider:
    """Models on this machine. Calls of one weights file share a child; different files run side by side."""

    def __init__(self, spec: ProviderSpec) -> None:
        self.spec = spec
        self._servers: dict[Path, _Server] = {}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamPart, None]:
        """The answer's parts, the `StopPart` last.

        Raises:
            ProviderError: nothing else. RequestRejected where the weights are not here.
        """
        path = self._weights(request.model)
        server = self._servers.setdefault(path, _Server(self.spec, path, request.model.context or CONTEXT))
        chat = await server.chat(request.first_byte_s)
        try:
            async with aclosing(chat.stream(request)) as parts:
                async for part in parts:
                    yield part
        except (Unavailable, StreamBroken):
            await server.notice_end()
            raise

    async def aclose(self) -> None:
        """Ends the children."""
        servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            await server.aclose()

    def _weights(self, model: ModelSpec) -> Path:
        name = model.sent_as or model.id
        try:
            path = Path(model.path).expanduser() if model.path else weights.located(name, folders.weights())
        except (UnknownModel, RuntimeError) as error:
            raise self._rejected(f"{self.spec.name}/{model.id}: {error}", 'Give its file: models "…" { path = "….gguf" }') from error
        if path is None:
            raise self._rejected(f"the weights of {name} are not on this machine.", f"Fetch them with: agentcli local pull {name}")
        if not path.is_file():
            raise self._rejected(f"the weights of {self.spec.name}/{model.id} are not there: {path} is no file.", "Check the model's path.")
        return path.resolve()

    def _rejected(self, text: str, hint: str) -> RequestRejected:
        return RequestRejected(text, provider=self.spec.name, hint=hint)


class _Server(Struct):
    """The child of one weights file. It is started by the first call, and again by the next one after it died."""

    spec: ProviderSpec
    path: Path
    context: int
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _child: processes.Child | None = None
    _chat: OpenAIChat | None = None

    async def chat(self, within_s: float) -> OpenAIChat:
        """A way to speak to the child, which is running when this returns."""
        async with self._lock:
            if self._chat is not None and self._child is not None and self._child.exit_code is None:
                return self._chat
            await self.aclose()
            return await self._start(min(within_s, LOAD_S))

    async def notice_end(self) -> None:
        """After a broken answer: a child that is just dying shall be known to be dead before the call is tried again."""
        if self._child is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._child.wait(), END_S)

    async def aclose(self) -> None:
        chat, child, self._chat, self._child = self._chat, self._child, None, None
        if chat is not None:
            await chat.aclose()
        if child is not None:
            await child.stop(grace_s=1.0)

    async def _start(self, within_s: float) -> OpenAIChat:
        from agentcli.providers.openai_chat import OpenAIChat

        if not is_available():
            raise self._failed("the runtime xllamacpp is not installed", "Install it with: pip install 'agentcli[local]'")
        key = token_urlsafe(32)
        self._child = child = await self._spawned()
        try:
            url = await asyncio.wait_for(self._loaded(child, key), within_s)
        except TimeoutError:
            await self.aclose()
            raise self._failed(f"loading takes longer than {within_s:g} s", "Free some memory or use a smaller model.") from None
        except BaseException:
            await self.aclose()
            raise
        quirks = Quirks(extra_body={"temperature": TEMPERATURE})
        # The runtime closes a kept connection now and then just when the next request arrives on it; a new one costs nothing here.
        headers = {"connection": "close"}
        spec = ProviderSpec(self.spec.name, base_url=f"{url}/v1", api_key=Secret(key), headers=headers, quirks=quirks, remote=False)
        self._chat = OpenAIChat(spec)
        return self._chat

    async def _spawned(self) -> processes.Child:
        # -P and another folder: nothing of the person's folder may be imported for a module of ours.
        argv = [sys.executable, "-P", "-m", "agentcli.providers.local_child"]
        try:
            return await processes.start(argv, cwd=self.path.parent, env=QUIET | environment.child_env(), stderr="null")
        except UsageError as error:
            raise self._failed(f"the runtime cannot be started ({error.message})", "") from error

    async def _loaded(self, child: processes.Child, key: str) -> str:
        """Hands the settings over and waits for the address."""
        slots = max(1, min(SLOTS, MOST_CONTEXT // self.context))
        settings = Settings(str(self.path), self.context, slots, key)
        try:
            child.stdin.write(msgspec.json.encode(settings) + b"\n")
            await child.stdin.drain()
            line = await child.stdout.readline()
        except (ConnectionError, ValueError):
            line = b""
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.DecodeError:
            raise self._failed(f"the runtime ended while loading (exit {await child.stop(1.0)})", _MEMORY_HINT) from None
        if not answer.url:
            raise self._failed(answer.error.rstrip("."), "Is it a whole GGUF file, and is there enough memory?")
        return answer.url

    def _failed(self, what: str, hint: str) -> RequestRejected:
        return RequestRejected(f"{self.spec.name}: {self.path.name} cannot be used: {what}.", provider=self.spec.name, hint=hint)


_MEMORY_HINT = "It may have run out of memory: free some, or use a smaller model."

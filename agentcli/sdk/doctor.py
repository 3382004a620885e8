"""What works here and what does not, for a person who wants to know why: config, keys, services, local models, programs. Plain data, no output.

Services are asked for their list of models, which costs nothing; only a test that was asked for spends a few tokens. No key is ever given out.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from agentcli.protocol.errors import AgentError, AuthenticationFailed, ConfigError, InvalidResponse, ProviderError, RequestRejected
from agentcli.protocol.messages import user_text
from agentcli.providers.base import ModelRequest
from agentcli.providers.presets import services as known_services
from agentcli.sdk.doctor_machine import about, machine
from agentcli.sdk.findings import Finding
from agentcli.sdk.named import first_model, misnamed
from agentcli.sdk.overview import file_problems
from agentcli.sdk.served import ids_of

if TYPE_CHECKING:
    from agentcli.protocol.models import ModelSpec
    from agentcli.sdk.agent import AsyncAgent
    from agentcli.sdk.models import Services

REACH_S = 5.0
"""How long a service may take to say what it has."""
NEAR_S = 1.0
"""The same for a server on this machine that nobody configured: mostly there is none."""
TEST_S = 30.0
TEST_TOKENS = 16
"""The fewest that every service takes as a bound of an answer."""


async def examine(agent: AsyncAgent | None, cwd: Path, explicit: Path | None = None, *, test: bool = False) -> list[Finding]:
    """Everything that can be found out in a few seconds. `agent` None: its config cannot be read. `test`: each service answers a short question."""
    here, services = await asyncio.gather(machine(cwd), _services(agent.services, test) if agent else _none())
    return [about(), *_config(agent, cwd, explicit), *(_model(agent.services) if agent else ()), *services, *here]


async def _none() -> list[Finding]:
    return []


# --- config ---


def _config(agent: AsyncAgent | None, cwd: Path, explicit: Path | None) -> list[Finding]:
    problems = file_problems(cwd, explicit, strict=False)
    found = [Finding("config", "bad" if one.level == "error" else "note", one.error().message, one.hint) for one in problems]
    if agent is None:
        return found or [Finding("config", "bad", "the config cannot be read.", "See: agentcli config check")]
    found += [Finding("config", "note", one.error().message, one.hint) for one in misnamed(agent.services, strict=False)]
    files = ", ".join(str(file) for file in agent.config.files)
    if not found:
        found = [Finding("config", "ok", f"no mistakes in {files}" if files else "none; keys of the environment and --model decide")]
    root = agent.config.trusted_root
    if root is not None:
        found.append(Finding("trust", "ok", f"{root} is trusted"))
    elif agent.config.untrusted is None:
        found.append(Finding("trust", "ok", "this folder is not trusted, and brings no config that would need it"))
    else:
        text = f"{agent.config.untrusted} waits for your trust"
        found.append(Finding("trust", "note", text, "Where you know what is in it: agentcli config trust"))
    return found


def _model(services: Services) -> list[Finding]:
    """What a session would start on."""
    if services.undecided:
        return [Finding("model", "note", f"none is named, and {services.unlisted[0]}, which would be asked, does not say")]
    try:
        name, link = services.starting_model(None, "default", "")
        return [Finding("model", "ok", f"{first_model(services, name, link).ref} ({link})")]
    except AgentError as error:
        return [Finding("model", "bad", error.message, error.hint)]


# --- services ---


async def _services(services: Services, test: bool) -> list[Finding]:
    names = [name for name in (*services.config.provider_names, *services.presets) if _over_network(services, name)]
    near = [name for name in services.servers if services.servers[name].remote is False]
    found = await asyncio.gather(*(_service(services, name, test) for name in names), *(_server(services, name) for name in near))
    lines = [finding for findings in found for finding in findings]
    if not any(name in services.presets or name in services.config.provider_names for name in names):
        keys = [service.key for service in known_services()]
        text = f"no key is set (looked for {', '.join(keys[:3])} and {len(keys) - 3} more)"
        lines.insert(0, Finding("keys", "note", text, "Set one, or run on a local model: agentcli --model local"))
    return lines


def _over_network(services: Services, name: str) -> bool:
    wire = services.presets[name].wire if name in services.presets else services.config.wire(name)
    return wire not in ("local", "scripted")


async def _service(services: Services, name: str, test: bool) -> list[Finding]:
    """Whether one can be reached, and where that was asked, whether it answers."""
    there, problem = services.key_state(name)
    if problem:
        return [Finding(name, "bad", "cannot be used: a variable is not set", problem)]
    key = {True: "key present", False: "no key", None: "needs no key"}[there]
    began = time.monotonic()
    try:
        ids = await ids_of(services.connect(name), REACH_S)
        text = f"{key}, reachable ({time.monotonic() - began:.1f} s), lists {len(ids)} models"
        if name in services.unlisted:
            services.serves(name, ids)
    except AuthenticationFailed as error:
        return [Finding(name, "bad", f"{key}, refused: {error.message}", error.hint)]
    except (RequestRejected, InvalidResponse) as error:
        ids, text = (), f"{key}, reachable, but gives no list of models ({error.message})"
    except (ProviderError, ConfigError) as error:
        return [Finding(name, "bad", f"{key}, not reachable: {error.message}", error.hint)]
    reached = Finding(name, "ok", text, usable=not test)
    return [reached, await _tested(services, name, ids)] if test else [reached]


async def _server(services: Services, name: str) -> list[Finding]:
    """A server of this machine, where one answers."""
    try:
        ids = await ids_of(services.connect(name), NEAR_S)
    except AgentError:
        return []
    return [Finding(name, "ok", f"runs on this machine, has {len(ids)} models: --model {name}/{ids[0] if ids else 'NAME'}", usable=bool(ids))]


async def _tested(services: Services, name: str, ids: tuple[str, ...]) -> Finding:
    """The shortest possible question, on the model that would run."""
    model = _test_model(services, name, ids)
    if model is None:
        return Finding(name, "note", "not tested: it is not known which model it has", f"Name one as default_model: {name}/ID")
    request = ModelRequest(
        model=model, messages=(user_text("Say ok."),), effort=model.effort[0] if model.effort else "", max_tokens=TEST_TOKENS,
        first_byte_s=TEST_S, idle_s=TEST_S, total_s=TEST_S,
    )  # fmt: skip
    began = time.monotonic()
    try:
        async with aclosing(services.connect(name).stream(request)) as parts:
            async for _ in parts:
                pass
    except ProviderError as error:
        return Finding(name, "bad", f"{model.id} does not answer: {error.message}", error.hint)
    return Finding(name, "ok", f"{model.id} answers ({time.monotonic() - began:.1f} s)", usable=True)


def _test_model(services: Services, name: str, ids: tuple[str, ...]) -> ModelSpec | None:
    """The session's where the service has it, else the service's default, else the first that is declared or listed."""
    wanted = [services.preset_default]
    if services.config.default_model is not None:
        wanted.insert(0, services.config.default_model.value)
    for asked in wanted:
        try:
            if (found := services.catalogue.resolve(asked).spec).provider == name:
                return found
        except AgentError:
            continue
    declared = next((spec for spec in services.catalogue.models if spec.provider == name), None)
    return declared or (services.catalogue.resolve(f"{name}/{ids[0]}").spec if ids else None)

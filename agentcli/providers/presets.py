"""Services that are ready once their usual key variable is set, and servers of one's own machine that need none. Data; nothing is reached here.

Contexts, levels of effort, limits of output, and what a model demands: the services' own pages, November 2026. What models cost is not here but in
`prices`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from agentcli.protocol.models import ModelSpec, ProviderSpec, Quirks, Wire
from agentcli.protocol.secrets import Secret
from agentcli.providers.clients import is_own_machine


class Preset(NamedTuple):
    """A service that can be used now. `default` is a model's id; "" where the service's own list must decide (an address of one's own)."""

    provider: ProviderSpec
    models: tuple[ModelSpec, ...]
    default: str
    ask: bool = False
    """Whether its own list says what there is."""


class Service(NamedTuple):
    """`key` is the usual variable, "" where none is needed; `default` the id of the model that is taken where nobody names one."""

    name: str
    key: str
    url: str
    default: str
    models: tuple[ModelSpec, ...]
    quirks: Quirks = Quirks()
    wire: Wire = "openai-chat"
    other_keys: tuple[str, ...] = ()
    """Variables that are looked at where `key` is not set; of a server of one's own, where its key is, if it has one."""
    host: str = ""
    """The variable in which a server of one's own has host and port, as the server itself reads it."""
    address: str = ""
    """The variable of the address, for a service without one of its own; `{}` in `url` stands for what it holds."""
    key_header: str = ""
    """The header in which the bare key goes, where that is not the wire's own."""
    chat: Quirks | None = None
    """How it speaks openai-chat at the same address, where that is not its `wire`."""

    @property
    def url_variables(self) -> tuple[str, ...]:
        stem = self.key.removesuffix("_API_KEY") or self.name.upper().replace(".", "_")
        return (f"{stem}_BASE_URL", f"{stem}_API_BASE")


def presets_from(environ: Mapping[str, str]) -> list[Preset]:
    """The services whose key variable is set, in the order of `services()`. The key goes into a `Secret` and nowhere else."""
    found = []
    for service in services():
        key = _first_set((service.key, *service.other_keys), environ)
        if service.address and not environ.get(service.address, "").strip():
            continue
        if key:
            found.append(_ready(service, key, environ))
    return found


def _ready(service: Service, key: str, environ: Mapping[str, str]) -> Preset:
    url = service.url.format(environ.get(service.address, "").strip().rstrip("/")) if service.address else service.url
    custom = _first_set(service.url_variables, environ).rstrip("/")
    if custom and custom != url:
        wire: Wire = "openai-chat" if service.chat else service.wire  # what calls itself OpenAI elsewhere is some compatible server
        return Preset(ProviderSpec(service.name, wire, custom, Secret(key), remote=not is_own_machine(custom)), (), "", ask=True)
    spec = ProviderSpec(service.name, service.wire, url, Secret(key), quirks=service.quirks, key_header=service.key_header)
    return Preset(spec, service.models, service.default)


def servers_from(environ: Mapping[str, str]) -> dict[str, ProviderSpec]:
    """The servers of one's own machine by name, where the environment says they are, else at their usual ports. Whether they run is not known."""
    found = {}
    for server in own_servers():
        host = environ.get(server.host, "").strip() if server.host else ""
        url = _first_set(server.url_variables, environ).rstrip("/") or (_at_host(host, server.url) if host else server.url)
        key = _first_set(server.other_keys, environ)
        found[server.name] = ProviderSpec(server.name, server.wire, url, Secret(key) if key else None, remote=not is_own_machine(url))
    return found


def is_own_server(spec: ProviderSpec) -> bool:
    """Whether this is one of them, and on this machine: what it does costs nothing."""
    return not spec.remote and any(server.name == spec.name for server in own_servers())


def _first_set(names: Iterable[str], environ: Mapping[str, str]) -> str:
    return next((found for name in names if (found := environ.get(name, "").strip())), "")


def _at_host(host: str, usual: str) -> str:
    """`box:1234`, `0.0.0.0` or an address as one that can be asked."""
    at, standard = urlsplit(host if "//" in host else f"//{host}"), urlsplit(usual)
    name = at.hostname or "127.0.0.1"
    name = "127.0.0.1" if name in ("0.0.0.0", "::") else name
    return f"{at.scheme or 'http'}://{f'[{name}]' if ':' in name else name}:{at.port or standard.port}{standard.path}"


def filled(spec: ProviderSpec) -> ProviderSpec:
    """A declared provider with what is known of the service of that name: its address, and its quirks where none were declared."""
    service = _named(spec.name)
    if service is None or service.address or (spec.base_url and spec.base_url.rstrip("/") != service.url):
        return spec
    known = _spoken(service, spec.wire)
    if known is None:
        return spec
    quirks = known if spec.quirks == Quirks() else spec.quirks
    remote = spec.remote and not is_own_machine(service.url)
    return msgspec.structs.replace(spec, base_url=service.url, quirks=quirks, remote=remote)


def _spoken(service: Service, wire: Wire) -> Quirks | None:
    """How a service speaks a wire at its own address; None where it does not."""
    if wire == service.wire:
        return service.quirks
    return service.chat if wire == "openai-chat" else None


def known_models(name: str) -> tuple[ModelSpec, ...]:
    """The models that a service of this name is known to have, at its own address."""
    service = _named(name)
    return service.models if service else ()


def with_known(model: ModelSpec) -> ModelSpec:
    """A declared model of a service at its own address, with what is known of it where the declaration says nothing."""
    service = _named(model.provider)
    known = next((found for found in known_models(model.provider) if found.id == (model.sent_as or model.id)), None)
    if known is None or service is None or _spoken(service, model.wire) is None:
        return model
    quirks = model.quirks or (known.quirks if model.wire == known.wire else None)
    return msgspec.structs.replace(
        model,
        name=model.name or known.name,
        effort=model.effort or known.effort,
        context=model.context or known.context,
        output=model.output or known.output,
        quirks=quirks,
    )


def key_variable(name: str) -> str:
    """The variable in which a service's key is looked for first; "" for one that is not known or needs none."""
    service = _named(name)
    return service.key if service else ""


def key_hint(name: str, *, sent: bool) -> str:
    """What to do where a service refuses the key, or was sent none."""
    service = _named(name)
    variable = " or ".join(name for name in (service.key, *service.other_keys) if name) if service else ""
    place = f'apiKey in providers "{name}" of the config'
    if variable:
        place = f"{variable}, or {place}"
    return f"Check the key: {place}." if sent else f"No key was sent: set {place}."


def _named(name: str) -> Service | None:
    return next((service for service in (*services(), *own_servers()) if service.name == name), None)


def services() -> tuple[Service, ...]:
    """The services, in the order in which they are preferred where several keys are set."""
    return (
        _openai(), _anthropic(), _google(), _openrouter(), _groq(), _mistral(), _deepseek(), _xai(), _together(), _fireworks(), _cerebras(),
        _azure(),
    )  # fmt: skip


def own_servers() -> tuple[Service, ...]:
    """Servers on one's own machine, at their usual ports. They are used where the config or `--model` names them, never by themselves."""
    return (
        Service("ollama", "", "http://127.0.0.1:11434/v1", "", (), other_keys=("OLLAMA_API_KEY",), host="OLLAMA_HOST"),
        Service("vllm", "", "http://127.0.0.1:8000/v1", "", (), other_keys=("VLLM_API_KEY",)),
        Service("lmstudio", "", "http://127.0.0.1:1234/v1", "", (), other_keys=("LM_API_TOKEN",)),
        Service("llama.cpp", "", "http://127.0.0.1:8080/v1", "", (), other_keys=("LLAMA_API_KEY",)),
    )


def _of(provider: str, models: Iterable[ModelSpec], wire: Wire = "openai-chat") -> tuple[ModelSpec, ...]:
    return tuple(msgspec.structs.replace(model, provider=provider, wire=wire) for model in models)


def _model(
    id: str,
    name: str,
    context: int | None,
    output: int | None = None,
    *,
    effort: str = "",
    default_effort: str = "",
    image_input: bool = False,
    quirks: Quirks | None = None,
) -> ModelSpec:
    return ModelSpec(
        provider="",
        id=id,
        name=name,
        context=context,
        output=output,
        effort=tuple(effort.split()),
        default_effort=default_effort,
        image_input=image_input,
        quirks=quirks,
    )


def _openai() -> Service:
    """From GPT-5.4 on OpenAI's models take tools on the chat wire only without reasoning, GPT-6 Astra and GPT-6.1 Sol not at all: all of them are
    asked over Responses.
    """
    levels = "low medium high xhigh max"
    phases = Quirks(phases=True)
    models = (
        _model("gpt-6.1-sol", "GPT-6.1 Sol", 1_050_000, 128_000, effort=levels, image_input=True, quirks=phases),
        _model("gpt-6.1-terra", "GPT-6.1 Terra", 1_050_000, 128_000, effort=f"none {levels}", image_input=True, quirks=phases),
        _model("gpt-6-astra", "GPT-6 Astra", 1_050_000, 128_000, effort=levels, image_input=True, quirks=phases),
        _model("gpt-6-sol", "GPT-6 Sol", 1_050_000, 128_000, effort=f"none {levels}", image_input=True, quirks=phases),
        _model("gpt-6-luna", "GPT-6 Luna", 1_050_000, 128_000, effort=f"none {levels}", image_input=True, quirks=phases),
        _model("gpt-5", "GPT-5", 400_000, 128_000, effort="minimal low medium high", image_input=True),
        _model("gpt-5-mini", "GPT-5 mini", 400_000, 128_000, effort="minimal low medium high", image_input=True),
        _model("gpt-5-nano", "GPT-5 nano", 400_000, 128_000, effort="minimal low medium high", image_input=True),
        _model("gpt-4.1", "GPT-4.1", 1_000_000, 32_768, image_input=True),
        _model("gpt-4.1-mini", "GPT-4.1 mini", 1_000_000, 32_768, image_input=True),
        _model("gpt-4o", "GPT-4o", 128_000, 16_384, image_input=True),
        _model("gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, image_input=True),
    )
    return Service(
        "openai", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-6.1-sol", _of("openai", models, "openai-responses"),
        wire="openai-responses", chat=Quirks(max_tokens_field="max_completion_tokens"),
    )  # fmt: skip


def _anthropic() -> Service:
    """Since Fable 5.1 thinking is bound to what came before it, which a compaction or another system prompt changes."""
    bound, budgets = Quirks(bound_thinking=True), Quirks(effort_as="budget")
    levels, older = "low medium high xhigh max", "low medium high max"
    models = (
        _model("claude-sonnet-5-5", "Claude Sonnet 5.5", 1_000_000, 128_000, effort=levels, image_input=True),
        _model("claude-opus-5-5", "Claude Opus 5.5", 1_000_000, 128_000, effort=levels, image_input=True),
        _model("claude-fable-5-2", "Claude Fable 5.2", 1_000_000, 128_000, effort=levels, image_input=True),
        _model("claude-haiku-5-5", "Claude Haiku 5.5", 1_000_000, 128_000, effort=levels, image_input=True),
        _model("claude-opus-4-6", "Claude Opus 4.6 (Thinking)", 1_000_000, 128_000, effort=older, image_input=True, quirks=Quirks()),
        _model("claude-sonnet-4-6", "Claude Sonnet 4.6 (Thinking)", 1_000_000, 64_000, effort=older, image_input=True, quirks=Quirks()),
        _model("claude-haiku-4-5", "Claude Haiku 4.5", 200_000, 64_000, effort="low medium high", image_input=True, quirks=budgets),
    )
    url = "https://api.anthropic.com"
    return Service("anthropic", "ANTHROPIC_API_KEY", url, "claude-sonnet-5-5", _of("anthropic", models, "anthropic"), bound, "anthropic")


def _google() -> Service:
    """Gemini 3 and later demand a signature with each call, also with one that another model made. What is asked of 3.5 Flash, 3.6 Flash answers."""
    levels = "low medium high"
    models = (
        _model("gemini-3.8-flash", "Gemini 3.8 Flash", 1_000_000, 65_536, effort=levels, image_input=True),
        _model("gemini-4-argon", "Gemini 4 Argon", 1_048_576, 65_536, effort=levels, image_input=True),
        _model("gemini-3.1-pro-preview", "Gemini 3.1 Pro", 1_048_576, 65_536, effort=levels, image_input=True),
        _model("gemini-3.6-flash", "Gemini 3.6 Flash", 1_000_000, 65_536, effort=f"minimal {levels}", image_input=True),
        _model("gemini-3.5-flash", "Gemini 3.5 Flash", 1_048_576, 65_536, effort=f"minimal {levels}", image_input=True),
        _model("gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite", 1_000_000, 65_536, effort=f"minimal {levels}", image_input=True),
    )
    quirks = Quirks(call_signature="skip_thought_signature_validator")
    url = "https://generativelanguage.googleapis.com/v1beta"
    return Service("google", "GEMINI_API_KEY", url, "gemini-3.8-flash", _of("google", models, "gemini"), quirks, "gemini", ("GOOGLE_API_KEY",))


def _azure() -> Service:
    """Every account has an address of its own, and what it can be asked for are its deployments, by the names that it gave them. Its `v1` API
    needs no version; an older one is a `baseUrl` that ends in `/openai/deployments/NAME?api-version=…`, over openai-chat."""
    return Service(
        "azure", "AZURE_OPENAI_API_KEY", "{}/openai/v1", "", (), wire="openai-responses", address="AZURE_OPENAI_ENDPOINT", key_header="api-key"
    )


def _openrouter() -> Service:
    levels = "low medium high"
    models = (
        _model("anthropic/claude-sonnet-5.5", "Claude Sonnet 5.5 (OpenRouter)", 1_000_000, effort=levels, image_input=True),
        _model("anthropic/claude-opus-5.5", "Claude Opus 5.5 (OpenRouter)", 1_000_000, effort=levels, image_input=True),
        _model("moonshotai/kimi-k3.1-pro", "Kimi K3.1 Pro (OpenRouter)", 1_048_576),
        _model("z-ai/glm-5.3", "GLM 5.3 (OpenRouter)", 1_048_576),
    )
    quirks = Quirks(effort_field="reasoning.effort", reasoning_fields=("reasoning", "reasoning_content"))
    url = "https://openrouter.ai/api/v1"
    return Service("openrouter", "OPENROUTER_API_KEY", url, "anthropic/claude-sonnet-5.5", _of("openrouter", models), quirks)


def _groq() -> Service:
    levels = "low medium high"
    models = (
        _model("openai/gpt-oss-120b", "GPT OSS 120B (Groq)", 131_072, 65_536, effort=levels),
        _model("openai/gpt-oss-20b", "GPT OSS 20B (Groq)", 131_072, 65_536, effort=levels),
        _model("qwen/qwen3.8-27b", "Qwen 3.8 27B (Groq)", 131_072),
    )
    quirks = Quirks(max_tokens_field="max_completion_tokens", reasoning_fields=("reasoning", "reasoning_content"))
    return Service("groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1", "openai/gpt-oss-120b", _of("groq", models), quirks)


def _mistral() -> Service:
    """Mistral refuses `stream_options` and `max_completion_tokens` (422), and ids of calls that are not nine letters or digits (400)."""
    models = (
        _model("mistral-medium-latest", "Mistral Medium", 262_144, effort="none high", image_input=True),
        _model("mistral-small-latest", "Mistral Small", 262_144, effort="none high", image_input=True),
        _model("codestral-2508", "Codestral", 256_000),
    )
    quirks = Quirks(stream_usage=False, call_ids="nine")
    return Service("mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1", "mistral-medium-latest", _of("mistral", models), quirks)


def _deepseek() -> Service:
    """In thinking mode, which is the default, an earlier call without its reasoning is refused (400)."""
    models = (
        _model("deepseek-v4-pro", "DeepSeek V4 Pro", 1_000_000, effort="low high max"),
        _model("deepseek-flash", "DeepSeek Flash", 1_000_000, effort="low high max"),
    )
    quirks = Quirks(echo_reasoning=True)
    return Service("deepseek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1", "deepseek-v4-pro", _of("deepseek", models), quirks)


def _xai() -> Service:
    models = (
        _model("grok-4.7", "Grok 4.7", 500_000, image_input=True),
        _model("grok-4.5", "Grok 4.5", 500_000, effort="low medium high", image_input=True),
    )
    return Service("xai", "XAI_API_KEY", "https://api.x.ai/v1", "grok-4.7", _of("xai", models))


def _together() -> Service:
    models = (
        _model("zai-org/GLM-5.3", "GLM 5.3 (Together)", 1_048_575),
        _model("moonshotai/Kimi-K3.1-Pro", "Kimi K3.1 Pro (Together)", 1_048_576),
        _model("openai/gpt-oss-120b", "GPT OSS 120B (Together)", 131_072, effort="low medium high"),
    )
    return Service("together", "TOGETHER_API_KEY", "https://api.together.xyz/v1", "zai-org/GLM-5.3", _of("together", models))


def _fireworks() -> Service:
    place = "accounts/fireworks/models"
    models = (
        _model(f"{place}/glm-5p2", "GLM 5.2 (Fireworks)", 1_040_000),
        _model(f"{place}/kimi-k3", "Kimi K3 (Fireworks)", 1_040_000),
        _model(f"{place}/gpt-oss-120b", "GPT OSS 120B (Fireworks)", 131_072, effort="low medium high"),
    )
    return Service("fireworks", "FIREWORKS_API_KEY", "https://api.fireworks.ai/inference/v1", f"{place}/glm-5p2", _of("fireworks", models))


def _cerebras() -> Service:
    models = (
        _model("gpt-oss-120b", "GPT OSS 120B (Cerebras)", 131_072, effort="low medium high"),
        _model("qwen-3.8-27b", "Qwen 3.8 27B (Cerebras)", 65_536),
    )
    quirks = Quirks(max_tokens_field="max_completion_tokens", reasoning_fields=("reasoning", "reasoning_content"))
    return Service("cerebras", "CEREBRAS_API_KEY", "https://api.cerebras.ai/v1", "gpt-oss-120b", _of("cerebras", models), quirks)

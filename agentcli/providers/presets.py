"""Services that are ready once their usual key variable is set, and servers of one's own machine that need none. Data; nothing is reached here.

Contexts and prices: the services' own pages as collected by the genai-prices package 0.2.3, November 2026. A price that depends on the hour or on
the length of the prompt is left out (unknown is better than wrong), or the context stands at the length up to which the price holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from agentcli.protocol.models import Cost, ModelSpec, ProviderSpec, Quirks
from agentcli.protocol.secrets import Secret
from agentcli.providers.clients import is_own_machine


class Preset(NamedTuple):
    """A service that can be used now. `default` is a model's id; "" where the service's own list must decide (an address of one's own)."""

    provider: ProviderSpec
    models: tuple[ModelSpec, ...]
    default: str


class Service(NamedTuple):
    """`key` is the usual variable, "" where none is needed; `default` the id of the model that is taken where nobody names one."""

    name: str
    key: str
    url: str
    default: str
    models: tuple[ModelSpec, ...]
    quirks: Quirks = Quirks()

    @property
    def url_variables(self) -> tuple[str, ...]:
        stem = self.key.removesuffix("_API_KEY")
        return (f"{stem}_BASE_URL", f"{stem}_API_BASE") if stem else ()


def presets_from(environ: Mapping[str, str]) -> list[Preset]:
    """The services whose key variable is set, in the order of `services()`. The key goes into a `Secret` and nowhere else."""
    found = []
    for service in services():
        key = environ.get(service.key, "").strip()
        if key:
            found.append(_ready(service, key, environ))
    return found


def _ready(service: Service, key: str, environ: Mapping[str, str]) -> Preset:
    custom = next((url for name in service.url_variables if (url := environ.get(name, "").strip().rstrip("/"))), "")
    if custom and custom != service.url:
        spec = ProviderSpec(service.name, base_url=custom, api_key=Secret(key), remote=not is_own_machine(custom))
        return Preset(spec, (), "")
    spec = ProviderSpec(service.name, base_url=service.url, api_key=Secret(key), quirks=service.quirks)
    return Preset(spec, service.models, service.default)


def filled(spec: ProviderSpec) -> ProviderSpec:
    """A declared provider with what is known of the service of that name: its address, and its quirks where none were declared."""
    service = _named(spec.name)
    if service is None or spec.wire != "openai-chat" or (spec.base_url and spec.base_url.rstrip("/") != service.url):
        return spec
    quirks = service.quirks if spec.quirks == Quirks() else spec.quirks
    remote = spec.remote and not is_own_machine(service.url)
    return msgspec.structs.replace(spec, base_url=service.url, quirks=quirks, remote=remote)


def key_hint(name: str, *, sent: bool) -> str:
    """What to do where a service refuses the key, or was sent none."""
    service = _named(name)
    variable = service.key if service else ""
    place = f'apiKey in providers "{name}" of the config'
    if variable:
        place = f"{variable}, or {place}"
    return f"Check the key: {place}." if sent else f"No key was sent: set {place}."


def _named(name: str) -> Service | None:
    return next((service for service in (*services(), *own_servers()) if service.name == name), None)


def services() -> tuple[Service, ...]:
    """The services, in the order in which they are preferred where several keys are set."""
    return (_openai(), _openrouter(), _groq(), _mistral(), _deepseek(), _xai(), _together(), _fireworks(), _cerebras())


def own_servers() -> tuple[Service, ...]:
    """Servers on one's own machine, at their usual ports. They are used where the config or `--model` names them, never by themselves."""
    return (
        Service("ollama", "", "http://127.0.0.1:11434/v1", "", ()),
        Service("vllm", "", "http://127.0.0.1:8000/v1", "", ()),
        Service("lmstudio", "", "http://127.0.0.1:1234/v1", "", ()),
        Service("llama.cpp", "", "http://127.0.0.1:8080/v1", "", ()),
    )


def _of(provider: str, models: Iterable[ModelSpec]) -> tuple[ModelSpec, ...]:
    return tuple(msgspec.structs.replace(model, provider=provider) for model in models)


def _model(
    id: str,
    name: str,
    context: int | None,
    output: int | None = None,
    cost: Cost | None = None,
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
        cost=cost,
        effort=tuple(effort.split()),
        default_effort=default_effort,
        image_input=image_input,
        quirks=quirks,
    )


def _openai() -> Service:
    """Newer OpenAI models take tools on this wire only without reasoning (effort `none`); some (gpt-6.1-sol) not at all, and are left out."""
    quirks = Quirks(max_tokens_field="max_completion_tokens")
    reasoning = Quirks(max_tokens_field="max_completion_tokens", system_role="developer")
    levels = "minimal low medium high"
    models = (
        _model("gpt-5", "GPT-5", 400_000, 128_000, Cost(1.25, 10, 0.125), effort=levels, image_input=True, quirks=reasoning),
        _model("gpt-5-mini", "GPT-5 mini", 400_000, 128_000, Cost(0.25, 2, 0.025), effort=levels, image_input=True, quirks=reasoning),
        _model("gpt-5-nano", "GPT-5 nano", 400_000, 128_000, Cost(0.05, 0.4, 0.005), effort=levels, image_input=True, quirks=reasoning),
        _model(
            "gpt-6-sol", "GPT-6 Sol", 272_000, 128_000, Cost(2, 10, 0.2, 2.5),
            effort="none", default_effort="none", image_input=True, quirks=reasoning,
        ),
        _model(
            "gpt-6-luna", "GPT-6 Luna", 272_000, 128_000, Cost(0.1, 0.5, 0.01, 0.125),
            effort="none", default_effort="none", image_input=True, quirks=reasoning,
        ),
        _model("gpt-4.1", "GPT-4.1", 1_000_000, 32_768, Cost(2, 8, 0.5), image_input=True),
        _model("gpt-4.1-mini", "GPT-4.1 mini", 1_000_000, 32_768, Cost(0.4, 1.6, 0.1), image_input=True),
        _model("gpt-4o", "GPT-4o", 128_000, 16_384, Cost(2.5, 10, 1.25), image_input=True),
        _model("gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, Cost(0.15, 0.6, 0.075), image_input=True),
    )  # fmt: skip
    return Service("openai", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-5", _of("openai", models), quirks)


def _openrouter() -> Service:
    """One name stands for many hosts there; prices are given only where all hosts charge the same."""
    levels = "low medium high"
    models = (
        _model(
            "anthropic/claude-sonnet-5.5", "Claude Sonnet 5.5 (OpenRouter)", 1_000_000, cost=Cost(2, 10, 0.1, 2.5),
            effort=levels, image_input=True,
        ),
        _model(
            "anthropic/claude-opus-5.5", "Claude Opus 5.5 (OpenRouter)", 1_000_000, cost=Cost(4, 20, 0.2, 5),
            effort=levels, image_input=True,
        ),
        _model("moonshotai/kimi-k3.1-pro", "Kimi K3.1 Pro (OpenRouter)", 1_048_576),
        _model("z-ai/glm-5.3", "GLM 5.3 (OpenRouter)", 1_048_576),
    )  # fmt: skip
    quirks = Quirks(effort_field="reasoning.effort", reasoning_fields=("reasoning", "reasoning_content"))
    url = "https://openrouter.ai/api/v1"
    return Service("openrouter", "OPENROUTER_API_KEY", url, "anthropic/claude-sonnet-5.5", _of("openrouter", models), quirks)


def _groq() -> Service:
    levels = "low medium high"
    models = (
        _model("openai/gpt-oss-120b", "GPT OSS 120B (Groq)", 131_072, 65_536, Cost(0.15, 0.6, 0.075), effort=levels),
        _model("openai/gpt-oss-20b", "GPT OSS 20B (Groq)", 131_072, 65_536, Cost(0.075, 0.3, 0.0375), effort=levels),
        _model("qwen/qwen3.8-27b", "Qwen 3.8 27B (Groq)", 131_072, cost=Cost(0.8, 4)),
    )
    quirks = Quirks(max_tokens_field="max_completion_tokens", reasoning_fields=("reasoning", "reasoning_content"))
    return Service("groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1", "openai/gpt-oss-120b", _of("groq", models), quirks)


def _mistral() -> Service:
    """Mistral refuses `stream_options` and `max_completion_tokens` (422), and ids of calls that are not nine letters or digits (400)."""
    models = (
        _model("mistral-medium-latest", "Mistral Medium", 262_144, cost=Cost(1.5, 7.5, 0.15), image_input=True),
        _model("mistral-small-latest", "Mistral Small", 262_144, cost=Cost(0.15, 0.6, 0.015), image_input=True),
        _model("codestral-2508", "Codestral", 256_000, cost=Cost(0.3, 0.9, 0.03)),
    )
    quirks = Quirks(stream_usage=False, effort_field="", call_ids="nine")
    return Service("mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1", "mistral-medium-latest", _of("mistral", models), quirks)


def _deepseek() -> Service:
    """Its prices change with the hour. In thinking mode, which is the default, an earlier call without its reasoning is refused (400)."""
    models = (
        _model("deepseek-v4-pro", "DeepSeek V4 Pro", 1_000_000, effort="low high max"),
        _model("deepseek-flash", "DeepSeek Flash", 1_000_000, effort="low high max"),
    )
    quirks = Quirks(echo_reasoning=True)
    return Service("deepseek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1", "deepseek-v4-pro", _of("deepseek", models), quirks)


def _xai() -> Service:
    models = (
        _model("grok-4.7", "Grok 4.7", 199_999, cost=Cost(2, 6, 0.5), image_input=True),
        _model("grok-code-fast-1", "Grok Code Fast 1", 256_000, cost=Cost(0.2, 1.5, 0.02)),
    )
    return Service("xai", "XAI_API_KEY", "https://api.x.ai/v1", "grok-4.7", _of("xai", models))


def _together() -> Service:
    models = (
        _model("zai-org/GLM-5.3", "GLM 5.3 (Together)", 1_048_575, cost=Cost(1.4, 4.4, 0.26)),
        _model("moonshotai/Kimi-K3.1-Pro", "Kimi K3.1 Pro (Together)", 1_048_576, cost=Cost(2, 10, 0.2)),
        _model("openai/gpt-oss-120b", "GPT OSS 120B (Together)", 131_072, cost=Cost(0.15, 0.6), effort="low medium high"),
    )
    return Service("together", "TOGETHER_API_KEY", "https://api.together.xyz/v1", "zai-org/GLM-5.3", _of("together", models))


def _fireworks() -> Service:
    place = "accounts/fireworks/models"
    models = (
        _model(f"{place}/glm-5p2", "GLM 5.2 (Fireworks)", 1_040_000, cost=Cost(1.4, 4.4, 0.14)),
        _model(f"{place}/kimi-k3", "Kimi K3 (Fireworks)", 1_040_000, cost=Cost(3, 15, 0.3)),
        _model(f"{place}/gpt-oss-120b", "GPT OSS 120B (Fireworks)", 131_072, cost=Cost(0.15, 0.6, 0.015), effort="low medium high"),
    )
    return Service("fireworks", "FIREWORKS_API_KEY", "https://api.fireworks.ai/inference/v1", f"{place}/glm-5p2", _of("fireworks", models))


def _cerebras() -> Service:
    models = (
        _model("gpt-oss-120b", "GPT OSS 120B (Cerebras)", 131_072, cost=Cost(0.35, 0.75), effort="low medium high"),
        _model("qwen-3.8-27b", "Qwen 3.8 27B (Cerebras)", 65_536, cost=Cost(0.99, 1.49)),
    )
    quirks = Quirks(max_tokens_field="max_completion_tokens", reasoning_fields=("reasoning", "reasoning_content"))
    return Service("cerebras", "CEREBRAS_API_KEY", "https://api.cerebras.ai/v1", "gpt-oss-120b", _of("cerebras", models), quirks)

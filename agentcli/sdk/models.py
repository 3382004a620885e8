"""Which models there are for a session and which one it starts on: config, presets of keys in the environment, local models, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from agentcli.config.load import Config
from agentcli.config.values import Limits
from agentcli.protocol.errors import ConfigError, UnknownModel, UsageError
from agentcli.protocol.models import FREE, Cost, Link, ModelSpec, ProviderSpec
from agentcli.providers.base import Provider
from agentcli.providers.clients import Clients
from agentcli.providers.door import Door, DoorPolicy
from agentcli.providers.presets import filled, is_own_server, key_variable, known_models, presets_from, servers_from, with_known
from agentcli.providers.prices import UNKNOWN, Known, Prices
from agentcli.providers.registry import Catalogue, Resolved, connect
from agentcli.system import folders

LOCAL = "local"
WAYS = (
    "Three ways: set a key such as OPENAI_API_KEY; or write default_model and a providers block into agent.hcl; "
    "or name one with --model, where `--model local` needs no key and fetches a small model once."
)


class Services:
    """The providers and models that one agent can reach; connections are made when first needed and closed together."""

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        self.config = config
        self.environ = environ
        self._clients = Clients()
        self._prices = Prices(folders.cache())
        self._connected: dict[str, Provider] = {}
        self._doors: dict[str, Door] = {}
        self._specs: dict[str, ProviderSpec] = {}
        self._addresses: dict[str, ProviderSpec] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._list_models()

    def _list_models(self) -> None:
        self.preset_default = ""
        found = presets_from(self.environ)
        declared = set(self.config.provider_names)
        found = [preset for preset in found if preset.provider.name not in declared]
        self.presets = {preset.provider.name: preset.provider for preset in found}
        self.unlisted = tuple(preset.provider.name for preset in found if preset.ask)
        """Providers of which only their own list can tell what they have."""
        self.served: dict[str, tuple[str, ...]] = {}
        """What those of them that were asked have."""
        models = [model for name in self.config.provider_names for model in self._declared_models(name)]
        for preset in found:
            models += preset.models
            self.preset_default = self.preset_default or (f"{preset.provider.name}/{preset.default}" if preset.default else "")
        self.servers = {name: spec for name, spec in servers_from(self.environ).items() if name not in declared}
        """Servers of one's own machine, which may run or not."""
        models += self._local_models()
        open_providers = {name: self.config.wire(name) for name in self.config.provider_names if not self.config.closed(name)}
        open_providers |= {name: spec.wire for name, spec in (self.presets | self.servers).items()}
        self.catalogue = Catalogue(models, aliases=self._local_names() | dict(self.config.aliases), open_providers=open_providers)

    def _declared_models(self, provider: str) -> tuple[ModelSpec, ...]:
        """A declared provider's models. At the service's own address what is known of them fills in, and where none is declared, all are."""
        models = self.config.models(provider)
        if self.config.own_address(provider):
            return models
        if self.config.closed(provider):
            return tuple(with_known(model) for model in models)
        return tuple(model for model in known_models(provider) if model.wire == self.config.wire(provider))

    def _local_models(self) -> tuple[ModelSpec, ...]:
        from agentcli.providers.local import local_models

        return local_models()

    def _local_names(self) -> dict[str, str]:
        """Short names such as `local/qwen`, which a config's own aliases outrank."""
        from agentcli.providers.local import ALIASES

        return {} if LOCAL in self.config.provider_names else ALIASES

    def spec(self, provider: str) -> ProviderSpec:
        """Where a provider is. Raises ConfigError where a variable it needs is not set; UnknownModel where there is none of that name."""
        if provider not in self._specs:
            if provider in self.config.provider_names:
                self._specs[provider] = self.config.provider(provider)
            elif provider in self.presets or provider in self.servers:
                self._specs[provider] = (self.presets | self.servers)[provider]
            elif provider == LOCAL:
                self._specs[provider] = ProviderSpec(LOCAL, "local", remote=False)
            else:
                raise UnknownModel(provider, (*self.config.provider_names, *self.presets))
        return self._specs[provider]

    def key_state(self, provider: str) -> tuple[bool | None, str]:
        """Whether a provider's key is there (None: it needs none), and what is wrong with it."""
        try:
            spec = self.spec(provider)
        except ConfigError as error:
            return False, error.line()
        if spec.api_key is None:
            return (None if not spec.remote or provider in self.servers else False), ""
        return bool(spec.api_key), ""

    def connect(self, provider: str) -> Provider:
        """The provider, connected once."""
        if provider not in self._connected:
            spec = self.spec(provider)
            wires = {model.wire for model in self.catalogue.models if model.provider == provider}
            self._connected[provider] = connect(spec, self._clients, wires)
        return self._connected[provider]

    def door(self, provider: str) -> Door:
        """What stands before the provider: one for all sessions."""
        if provider not in self._doors:
            self._doors[provider] = Door(self.spec(provider).max_concurrent, _policy(self.config.limits))
        return self._doors[provider]

    def price(self, model: ModelSpec) -> Cost | None:
        """USD per million tokens: as declared, else as known of the service at the provider's address; None where nobody knows."""
        return model.cost or self._known(model).cost

    def price_at_hand(self, model: ModelSpec) -> bool:
        """Whether `price` answers at once: the first look-up of a model loads a large package."""
        where = None if model.cost else self._address(model)
        return where is None or is_own_server(where) or self._prices.at_hand(model.sent_as or model.id, where.base_url)

    def context(self, model: ModelSpec) -> int | None:
        """Tokens that a model takes, likewise."""
        return model.context or self._known(model).context

    def _known(self, model: ModelSpec) -> Known:
        where = self._address(model)
        if where is None:
            return UNKNOWN
        if is_own_server(where):
            return Known(FREE)
        return self._prices.known(model.sent_as or model.id, where.base_url)

    def _address(self, model: ModelSpec) -> ProviderSpec | None:
        """Where a model's provider is, None where that cannot be said."""
        if model.provider not in self._addresses:
            try:
                self._addresses[model.provider] = filled(self.spec(model.provider))
            except (ConfigError, UnknownModel):
                return None
        return self._addresses[model.provider]

    def is_remote(self, provider: str) -> bool:
        return self.spec(provider).remote

    def check_loop(self) -> None:
        """Raises UsageError where another event loop than this connected before."""
        here = asyncio.get_running_loop()
        self._loop = self._loop or here
        if self._loop is not here:
            hint = "Make an AsyncAgent in each loop, or use Agent, which has a loop of its own."
            raise UsageError("the agent was used on another event loop, and its connections belong to that one.", hint=hint)

    async def aclose(self) -> None:
        for provider in self._connected.values():
            await provider.aclose()
        self._connected.clear()
        await self._clients.aclose()

    def starting_model(self, asked: str | None, link: Link, resumed: str) -> tuple[str, Link]:
        """The name of a session's first model and the link that decided it.

        Raises:
            UsageError: nothing names one; tells the three ways. ProviderError: a service must be asked what it has, and cannot be.
        """
        if asked:
            return asked, link
        if resumed:
            return resumed, "session"
        if usual := self._usual_model():
            return usual
        if self.unlisted:
            from agentcli.sdk.served import default_of

            return default_of(self), "default"
        raise UsageError("no model to run on.", hint=WAYS)

    @property
    def undecided(self) -> bool:
        """Whether, where nothing else names a model, a service must be asked what it has."""
        return bool(self.unlisted) and self._usual_model() is None and self.unlisted[0] not in self.served

    def _usual_model(self) -> tuple[str, Link] | None:
        """What environment, config and keys say of the model to start on."""
        if named := self.environ.get("AGENTCLI_MODEL", "").strip():
            return named, "environment"
        if self.config.default_model is not None:
            return self.config.default_model.value, self.config.default_model.link
        return (self.preset_default, "default") if self.preset_default else None

    def resolve(self, name: str) -> Resolved:
        """As the catalogue does; a name that it does not know may be one that only a service at an address of one's own knows.

        Raises:
            UnknownModel: nobody has it.
        """
        try:
            return self.catalogue.resolve(name)
        except UnknownModel as error:
            from agentcli.sdk.served import ask_now

            if not ask_now(self):
                raise self.with_way(error) from None
        return self.catalogue.resolve(name)

    def with_way(self, error: UnknownModel) -> UnknownModel:
        """Where the name is of a service that only lacks its key, the error says so."""
        key = self.lacking_key(error)
        return error.hinted(f"{_provider_of(error)} can be used once {key} is set.") if key else error

    def lacking_key(self, error: UnknownModel) -> str:
        """The variable that has to be set before a model of that name can be used; "" where a key is not what it lacks."""
        provider = _provider_of(error)
        return "" if provider in self.presets or provider in self.config.provider_names else key_variable(provider)

    def serves(self, provider: str, ids: tuple[str, ...]) -> None:
        """What a service said it has."""
        self.served[provider] = ids
        self.catalogue.add(ModelSpec(provider, model, self.spec(provider).wire) for model in ids)


def _provider_of(error: UnknownModel) -> str:
    return (error.target or error.name).strip().partition("/")[0]


def _policy(said: Limits) -> DoorPolicy:
    """When a provider is left alone, as far as the config says."""
    usual = DoorPolicy()
    pause = said.breaker_pause_s or usual.pause_s
    return DoorPolicy(
        failures=usual.failures if said.breaker_failures is None else said.breaker_failures,
        pause_s=pause,
        pause_most_s=max(pause, usual.pause_most_s),
        longest_s=said.wait_most_s or usual.longest_s,
    )

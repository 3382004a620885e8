"""The agent: one configuration, and the sessions opened from it. The composition root; async here, its sync twin is in `sync`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from agentcli.config.load import Config, Sources, load
from agentcli.protocol.errors import ConfigError, SessionClosed, UsageError
from agentcli.protocol.models import Link
from agentcli.sdk.models import Services
from agentcli.sdk.session import AsyncSession
from agentcli.sdk.wanted import Wanted
from agentcli.system import environment, folders

if TYPE_CHECKING:
    from typing import Unpack

    from agentcli.sdk.options import ResumeKeywords, SessionKeywords, SessionOptions
    from agentcli.store.sessions import SessionInfo

CONFIG_ENDINGS = (".hcl", ".acl")


class Origin(Struct, frozen=True):
    """Who opens sessions: a program (no person, edits inside the workspace allowed), or a face with a person or none."""

    link: Link = "option"
    person: bool = False
    default_mode: str = "accept-edits"


class AsyncAgent:
    """One configuration, and the sessions opened from it, for programs that await: all on one event loop.

        async with await AsyncAgent.create("agent.hcl") as agent, agent.session(".") as session:
            print(await session.send("What does this project do?"))

    Made by `create` (a program's config is the whole) or `layered` (the person's and the project's config, as the command line does).
    """

    def __init__(self, config: Config, environ: Mapping[str, str], origin: Origin | None = None, config_dir: Path | None = None) -> None:
        if not isinstance(config, Config):
            raise UsageError(f"an agent is made by {type(self).__name__}.create(…), from HCL text or the path of a config file.")
        self.config = config
        self.environ = environ
        self.origin = origin or Origin()
        self.config_dir = config_dir
        """Where the person's own agent files are; None: no files are read, the config is the whole."""
        self.on_progress: Callable[[object], None] | None = None
        """Told of downloads (local weights), with `agentcli.providers.weights.Progress`."""
        self.services = Services(config, environ)
        self._sessions: dict[int, AsyncSession] = {}
        self._closed = False

    @classmethod
    async def create(cls, source: str | Path) -> AsyncAgent:
        """From HCL text, or the path of an `.hcl` or `.acl` file. That config is the whole: no user or project layer.

        Raises:
            ConfigError: what is wrong, with file, line and column.
        """
        return cls.create_now(source)

    @classmethod
    def create_now(cls, source: str | Path) -> AsyncAgent:
        """As `create`, from a place that cannot await."""
        environ = environment.read()
        path = _as_path(source)
        found = sources(Path.cwd(), environ)
        if path is not None:
            return cls(load(structs.replace(found, explicit=path, only=True)), environ)
        return cls(load(structs.replace(found, text=str(source))), environ)

    @classmethod
    def layered(cls, cwd: Path, *, explicit: Path | None = None, bare: bool = False, trust: bool = False, origin: Origin | None = None) -> AsyncAgent:
        """From defaults, the person's config, the project's and the environment, the nearer winning. Raises ConfigError."""
        environ = environment.read()
        config = load(structs.replace(layers(cwd, environ, explicit, bare=bare), trust=trust))
        return cls(config, environ, origin, None if bare else folders.config())

    def session(
        self, path: str | Path = ".", options: SessionOptions | Wanted | Mapping[str, Any] | None = None, **keywords: Unpack[SessionKeywords]
    ) -> AsyncSession:
        """Opens a session in a folder. Options are an object, a dict (snake_case or camelCase) or keywords; see `SessionOptions`.

        Raises:
            UnknownOption, UsageError: an option is wrong. UnknownModel: nobody has that model. ConfigError: its provider lacks a variable.
            SessionClosed: the agent is closed.
        """
        if self._closed:
            raise SessionClosed("the agent is closed.", hint="Make another with create(...).")
        from agentcli.sdk.assemble import assemble

        if not isinstance(path, str | Path):
            raise UsageError(f"a session is opened in a folder, a text or a Path, not {type(path).__name__}.")
        cwd = Path(path).expanduser().resolve()
        if not cwd.is_dir():
            raise UsageError(f"no such folder: {cwd}.")
        session = AsyncSession(assemble(self, cwd, _wanted(options, keywords)), self._forget)
        self._sessions[id(session)] = session
        return session

    def resume_session(
        self,
        session_id: str,
        path: str | Path | None = None,
        options: SessionOptions | Wanted | Mapping[str, Any] | None = None,
        **keywords: Unpack[ResumeKeywords],
    ) -> AsyncSession:
        """Opens a saved session again, named by its id or the beginning of it, in the folder where it ran unless `path` names another.

        It goes on with its own model unless an option names one.

        Raises:
            SessionNotFound: there is none. SessionError: it is open elsewhere, or several begin like that. And as `session`.
        """
        from agentcli.store.sessions import find, info_of

        if not isinstance(session_id, str):
            raise UsageError(f"a session's id is text, not {type(session_id).__name__}.", hint="What list_sessions gives has it as its `id`.")
        info = info_of(find(folders.sessions(), session_id))
        where = path if path is not None else info.cwd if info is not None else "."
        return self.session(where, options, **keywords, resume=session_id)

    def list_sessions(self, path: str | Path | None = None) -> list[SessionInfo]:
        """Saved sessions of a folder, or of all, the latest first. Raises StorageError."""
        from agentcli.store.sessions import list_sessions

        return list_sessions(folders.sessions(), None if path is None else Path(path).expanduser().resolve())

    async def close(self) -> None:
        """Closes every session, connection and child. Safe to call twice."""
        self._closed = True
        for session in list(self._sessions.values()):
            await session.close()
        await self.services.aclose()

    def _forget(self, session: AsyncSession) -> None:
        self._sessions.pop(id(session), None)

    async def __aenter__(self) -> AsyncAgent:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _wanted(options: SessionOptions | Wanted | Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> Wanted:
    """The options, checked where a program wrote them."""
    if isinstance(options, Wanted):
        return structs.replace(options, **keywords) if keywords else options
    from agentcli.sdk.options import read_options

    checked = read_options(options, keywords)
    return Wanted(**{name: getattr(checked, name) for name in Wanted.__struct_fields__})


def sources(cwd: Path, environ: Mapping[str, str]) -> Sources:
    return Sources(cwd=cwd, environ=environ, user_dir=folders.config(), data_dir=folders.data(), cache_dir=folders.cache())


def layers(cwd: Path, environ: Mapping[str, str], explicit: Path | None, *, bare: bool = False) -> Sources:
    """Where the layers of the command line come from: a file that was named, else the one that the environment names, stands above the others."""
    named = explicit or (Path(environ["AGENTCLI_CONFIG"]) if environ.get("AGENTCLI_CONFIG") and not bare else None)
    return structs.replace(sources(cwd, environ), explicit=named, bare=bare)


def _as_path(source: str | Path) -> Path | None:
    """A path, where the source is one: text with a line break or a brace is config itself."""
    if isinstance(source, Path):
        return source
    text = source.strip() if isinstance(source, str) else ""
    if not text:
        raise ConfigError(f"a config is HCL text, or the path of an .hcl or .acl file, not {source!r:.40}.")
    if "\n" in text or "{" in text or "=" in text:
        return None
    if text.endswith(CONFIG_ENDINGS) or Path(text).exists():
        return Path(text).expanduser()
    raise ConfigError(f"'{text[:80]}' is neither HCL text nor the path of an .hcl or .acl file.")

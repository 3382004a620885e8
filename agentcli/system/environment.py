"""The only reader of the process environment: what it holds, what a child may see of it, and what it says of the terminal.

Everything is read when asked, nothing is remembered. Config decides what a variable means; that does not live here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from msgspec import Struct

PROVIDER_KEYS = frozenset({
    "AI21_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "CEREBRAS_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN", "CODEX_API_KEY", "COHERE_API_KEY", "CO_API_KEY", "DASHSCOPE_API_KEY", "DEEPINFRA_API_KEY",
    "DEEPSEEK_API_KEY", "FIREWORKS_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "GROQ_API_KEY",
    "HYPERBOLIC_API_KEY", "LLAMA_API_KEY", "LM_API_TOKEN", "MINIMAX_API_KEY", "MISTRAL_API_KEY", "MOONSHOT_API_KEY", "NEBIUS_API_KEY",
    "NOVITA_API_KEY", "NVIDIA_API_KEY", "OLLAMA_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "PERPLEXITY_API_KEY", "SAMBANOVA_API_KEY",
    "TOGETHER_API_KEY", "VERTEX_API_KEY", "VLLM_API_KEY", "XAI_API_KEY", "ZAI_API_KEY", "ZHIPUAI_API_KEY",
})  # fmt: skip
"""The usual variables of model providers' keys. Other credentials (GITHUB_TOKEN, AWS_…, NPM_TOKEN) stay: builds and git need them."""

NO_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"

SHELL_START = ("BASH_ENV", "CDPATH", "ENV")
"""What a shell that is no person's runs first, and where its `cd` may lead: a command is judged as if there were neither."""
FORCES_COLOUR = ("FORCE_COLOR", "CLICOLOR_FORCE")
"""Would put escape codes into output that no terminal reads."""

NON_INTERACTIVE = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "PAGER": "cat",
    "GIT_EDITOR": "true",
    "TERM": "dumb",
}
"""A child has no terminal: no pager waits for a key, git asks for no password and takes the message it has, nothing colours or redraws."""


class Terminal(Struct, frozen=True):
    """What the environment says of the terminal. `columns` and `lines` are None where unset or no positive number."""

    term: str = ""
    colorterm: str = ""
    no_color: bool = False
    force_color: bool = False
    columns: int | None = None
    lines: int | None = None
    ci: bool = False
    editor: str = ""
    """VISUAL, else EDITOR."""


def read() -> Mapping[str, str]:
    """A copy of the whole environment."""
    return dict(os.environ)


def get(name: str, default: str = "") -> str:
    """One variable; `default` where it is not set."""
    return os.environ.get(name, default)


def start_lean() -> None:
    """For the command line's own process: pydantic looks through every installed package for plugins at its first model, 10 ms and more."""
    os.environ.setdefault(NO_PLUGINS, "__all__")


def child_env(secrets: Iterable[str] = ()) -> dict[str, str]:
    """The environment for a child process: ours, made non-interactive, without providers' keys.

    `secrets` names more variables to leave out: those that the config reads keys from. The rule goes by name alone: `PROVIDER_KEYS`,
    `secrets` and what steers a shell or colours its output go, everything else stays.
    """
    hidden = PROVIDER_KEYS.union(secrets, FORCES_COLOUR, SHELL_START, (NO_PLUGINS,) if os.environ.get(NO_PLUGINS) == "__all__" else ())
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | NON_INTERACTIVE


def attached_env(secrets: Iterable[str] = ()) -> dict[str, str]:
    """The environment for a program that has our terminal (an editor): ours, without providers' keys. `secrets` as in `child_env`."""
    hidden = PROVIDER_KEYS.union(secrets)
    return {name: value for name, value in os.environ.items() if name not in hidden}


def terminal() -> Terminal:
    """The terminal as the environment tells it now."""
    return Terminal(
        term=get("TERM"),
        colorterm=get("COLORTERM"),
        no_color=bool(get("NO_COLOR")),
        force_color=get("FORCE_COLOR") not in ("", "0", "false"),
        columns=_positive(get("COLUMNS")),
        lines=_positive(get("LINES")),
        ci=get("CI").lower() not in ("", "0", "false"),
        editor=get("VISUAL") or get("EDITOR"),
    )


def _positive(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None

"""The same prompt on several models, from within a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from agentcli.protocol.errors import AgentError, UsageError
from agentcli.protocol.messages import UserMessage
from agentcli.ui.commands.models import names_of_models
from agentcli.ui.commands.registry import command

if TYPE_CHECKING:
    from agentcli.sdk.compare import Compared
    from agentcli.ui.lines import Line
    from agentcli.ui.repl import Repl

LEAST = 2
END = "--"
"""Parts models from a prompt that begins like one."""


def _complete(repl: Repl, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    return names_of_models(repl) if len(split(words, _knows(repl))[0]) == len(words) else ()


@command("compare", usage="A B … [PROMPT]", complete=_complete)
async def compare(repl: Repl, rest: str) -> None:
    """The same prompt on several models, each in a clone of its own, side by side in one table.

    /compare A B make the test pass    words are models as long as they name one; -- ends them
    /compare A B                       your last message once more
    Nothing is changed here: each model's work comes back as a branch, and the conversation knows nothing of it. Esc ends it.
    """
    from agentcli.sdk.compare import compare_in

    models, prompt = split(rest.split(" "), _knows(repl))
    if len(models) < LEAST:
        wrong = f"; '{prompt.split()[0]}' is none" if prompt else ""
        raise UsageError(f"/compare takes two models or more{wrong}.", hint="/compare A B what they shall do")
    prompt = prompt or _last_message(repl)
    if not prompt:
        raise UsageError("/compare needs a prompt, for nothing was said yet.", hint=f"/compare {' '.join(models)} what they shall do")
    _tell(repl, await compare_in(repl.session, prompt, models))


def split(words: Sequence[str], is_model: Callable[[str], bool]) -> tuple[list[str], str]:
    """The models that the words begin with, and the rest as it was."""
    models: list[str] = []
    for at, word in enumerate(words):
        if word == END:
            return models, " ".join(words[at + 1 :]).strip()
        if word and not is_model(word):
            return models, " ".join(words[at:]).strip()
        models += [word] if word else []
    return models, ""


def _knows(repl: Repl) -> Callable[[str], bool]:
    def knows(name: str) -> bool:
        try:
            repl.session.kit.catalogue.resolve(name)
        except AgentError:
            return False
        return True

    return knows


def _last_message(repl: Repl) -> str:
    said = (message for message in reversed(repl.session.history) if isinstance(message, UserMessage) and message.origin in ("person", "stdin"))
    return next((message.text() for message in said), "")


def _tell(repl: Repl, results: Sequence[Compared]) -> None:
    from agentcli.ui.commands.tables import table
    from agentcli.ui.comparing import columns

    head, *rows = columns(results)
    lines: list[Line | str] = [*table(head, rows)]
    for one in results:
        lines += ["", [("title", one.model)], one.answer or one.error]
        where = f" (git diff HEAD...{one.branch})" if one.branch else ""
        lines += [[("dim", f"changed {', '.join(one.files)}{where}")]] if one.files else []
    repl.say(*lines)

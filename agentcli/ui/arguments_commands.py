"""The subcommands and their flags: what can be used, who works, what was said, what is configured. Each is a thin call of the sdk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from agentcli.ui import listing
from agentcli.ui.places import folder_of

HELP = {"help_option_names": ["-h", "--help"]}


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=HELP)


app = _group("A terminal coding agent that delegates to workers, each on a model of its own.")
sessions = _group("Sessions of this folder, or of all.")
config = _group("Where every value came from, and what is wrong.")
local = _group("Local models: weights on this machine.")
app.add_typer(sessions, name="sessions", invoke_without_command=True)
app.add_typer(config, name="config", invoke_without_command=True)
app.add_typer(local, name="local", invoke_without_command=True)

Json = Annotated[bool, typer.Option("--json", help="For scripts: JSON on stdout.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="This config file; naming it trusts it.")]
Cwd = Annotated[Path | None, typer.Option("-C", "--cwd", metavar="DIR", help="As seen from this folder.")]
SessionId = Annotated[str, typer.Argument(metavar="ID", help="A session's id, or the beginning of it.")]


@app.command()
def models(
    query: Annotated[list[str] | None, typer.Argument(metavar="QUERY")] = None,
    json: Json = False,
    config: Config = None,
    cwd: Cwd = None,
) -> None:
    """What can be used: id, wire, context, price, tools, effort levels, key present?"""
    listing.models(listing.opened(cwd, config), " ".join(query or []), as_json=json)


@app.command()
def agents(
    name: Annotated[str | None, typer.Argument(metavar="NAME")] = None,
    json: Json = False,
    config: Config = None,
    cwd: Cwd = None,
    model: Annotated[str | None, typer.Option("-m", "--model", metavar="MODEL", help="As if the session ran on this model.")] = None,
) -> None:
    """Workers: definition, source file, the model each resolves to and which link decided."""
    listing.agents(listing.opened(cwd, config), folder_of(cwd), name or "", model, as_json=json)


@app.command()
def doctor(
    json: Json = False,
    test: Annotated[bool, typer.Option("--test", help="Each service answers a short question too, for at most 16 tokens.")] = False,
    config: Config = None,
    cwd: Cwd = None,
) -> None:
    """What works here and what does not: config, keys, services, local models, programs.

    Exit code 1 where no model can be used.
    """
    from agentcli.ui.doctor import run_doctor

    raise typer.Exit(run_doctor(folder_of(cwd), config, as_json=json, test=test))


@app.command()
def compare(
    prompt: Annotated[list[str], typer.Argument(metavar="PROMPT", help="What each model is asked to do.")],
    model: Annotated[list[str], typer.Option("-m", "--model", metavar="MODEL", help="One of the models; give two or more.")],
    json: Json = False,
    config: Config = None,
    cwd: Cwd = None,
    permission_mode: Annotated[str, typer.Option(metavar="MODE", help="What they may do in their clones.")] = "accept-edits",
    allowed_tools: Annotated[list[str] | None, typer.Option(metavar="RULES", help="Allow without asking.")] = None,
    max_budget_usd: Annotated[float | None, typer.Option(min=0, metavar="USD", help="Most USD, over all.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, metavar="SECONDS", help="Most seconds for each.")] = None,
) -> None:
    """The same prompt on several models at once, each in a clone of its own: answers, files changed, cost, time, diffs."""
    from agentcli.ui.arguments_run import mode_of, rules
    from agentcli.ui.comparing import Comparison, run_comparison

    options = {
        "permission_mode": mode_of(permission_mode),
        "allowed_tools": rules(allowed_tools or []),
        "max_budget_usd": max_budget_usd,
        "timeout_s": timeout,
    }
    asked = Comparison(" ".join(prompt), model, folder_of(cwd), config, json, options)
    raise typer.Exit(run_comparison(asked))


@sessions.callback()
def sessions_default(context: typer.Context) -> None:
    """Sessions of this folder, or of all."""
    if context.invoked_subcommand is None:
        listing.sessions(folder_of(None), as_json=False)


@sessions.command("list")
def sessions_list(all_: Annotated[bool, typer.Option("--all", help="Of every folder.")] = False, json: Json = False, cwd: Cwd = None) -> None:
    """The latest first."""
    listing.sessions(None if all_ else folder_of(cwd), as_json=json)


@sessions.command("show")
def sessions_show(session_id: SessionId) -> None:
    """One session as text."""
    listing.show_session(session_id)


@sessions.command("export")
def sessions_export(session_id: SessionId) -> None:
    """One session's events, JSON lines."""
    listing.export_session(session_id)


@sessions.command("rm")
def sessions_remove(session_ids: Annotated[list[str], typer.Argument(metavar="ID")]) -> None:
    """Deletes sessions for good."""
    listing.remove_sessions(session_ids)


@config.callback()
def config_default(context: typer.Context) -> None:
    """Where every value came from, and what is wrong."""
    if context.invoked_subcommand is None:
        listing.show_config(listing.opened(None, None), as_json=False)


@config.command("show")
def config_show(json: Json = False, config: Config = None, cwd: Cwd = None) -> None:
    """Every value and where it came from.

    The layer, the file and the line; secrets as stars.
    """
    listing.show_config(listing.opened(cwd, config), as_json=json)


@config.command("check")
def config_check(
    strict: Annotated[bool, typer.Option("--strict", help="A variable that is not set is an error too.")] = False,
    config: Config = None,
    cwd: Cwd = None,
) -> None:
    """All that is wrong, by file, line and column.

    Exit code 2 where something is.
    """
    raise typer.Exit(listing.check_config(folder_of(cwd), config, strict=strict))


@config.command("path")
def config_path(config: Config = None, cwd: Cwd = None) -> None:
    """The files that were read, nearest last.

    And where the person's own is looked for.
    """
    listing.config_paths(listing.opened(cwd, config))


@config.command("trust")
def config_trust(folder: Annotated[Path | None, typer.Argument(metavar="FOLDER")] = None) -> None:
    """Trusts a folder's config from now on.

    What it says of providers, keys, workers and rules counts.
    """
    listing.trust(folder_of(folder, "config trust"))


@local.callback()
def local_default(context: typer.Context) -> None:
    """Local models: weights on this machine."""
    if context.invoked_subcommand is None:
        listing.local_models()


@local.command("list")
def local_list() -> None:
    """What can be fetched, and what is here."""
    listing.local_models()


@local.command("pull")
def local_pull(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A name of `local list`; the default model where left out.")] = None,
) -> None:
    """Fetches weights, shows size and source, checks the sha256."""
    raise typer.Exit(listing.pull(name or "", sys.stderr))


@local.command("rm")
def local_remove(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Deletes weights."""
    listing.remove_weights(name)

"""``maw agent home``: the folder an agent lives in, made."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from maw.cli import completing
from maw.cli.agents import agent_group
from maw.cli.output import Output, note
from maw.cli.params import Json
from maw.cli.plans import acting_here  # noqa: F401 - its commands stand before this one, whoever is imported first
from maw.core.names import check_name
from maw.core.text import shown
from maw.errors import BadInput


@agent_group.command("home")
def home(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=completing.own_agents)],
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="HOME", help="Where; else ~/agents/NAME.")
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(
            "--runner", metavar="COMMAND", help="What thinks; else `claude -p --output-format json`."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the home an agent lives in, or what is missing of one: what is there stays as it is.

    Then `maw pulse NAME` wakes it once, and `maw service install --pulse NAME` has a timer do so.
    """
    from maw.agents.life.home import AGENT_TOML, RUNNER, agents_folder, find_home, write_home

    out = Output.to_stdout(as_json)
    clean = check_name(name.removeprefix("@"), "agent")
    where = agents_folder(os.environ) / clean if folder is None else folder.expanduser().absolute()
    was_there = os.path.lexists(where / AGENT_TOML)
    if was_there:
        find_home(clean, os.environ, folder=where)  # another agent's is left alone
        if runner is not None:
            raise BadInput(
                f"{where / AGENT_TOML} is there, and stays as it is",
                code="others_home",
                hint="its runner is changed there: [pulse] runner",
            )
    made = write_home(where, clean, runner=RUNNER if runner is None else _words(runner))
    if out.as_json:
        out.json({"agent": clean, "home": str(where), "made": [str(path) for path in made]})
        return
    files = ", ".join(str(path.relative_to(where)) for path in made if path.is_file())
    out.line(shown(f"{where}: made {files}" if made else f"{where}: nothing is missing"))
    if not was_there:
        note("who it is stands in soul.md, which program thinks in agent.toml ([pulse] runner)")
        given = f" --dir {shlex.quote(str(where))}" if folder is not None else ""
        note(
            shown(
                f"then `maw pulse {clean}{given}`; `maw agent add {clean}`, if this host has no such agent yet"
            )
        )


def _words(command: str) -> tuple[str, ...]:
    """As a shell splits it. Raises BadInput."""
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise BadInput(f"--runner is no command: {str(error).lower()}") from None
    if not words:
        raise BadInput("--runner is empty", hint="the command that reads a prompt and prints an answer")
    return words

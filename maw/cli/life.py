"""An agent's life: pulse."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from maw.agents.life.home import find_home
from maw.agents.life.pulse import pulse as pulse_once
from maw.agents.life.runner import Stopped
from maw.agents.life.soon import begin
from maw.cli.output import Output, note
from maw.cli.params import Json
from maw.client.daemon import find_daemon
from maw.core.text import shown
from maw.errors import BadInput, Refused
from maw.ops.service import this_command

Agent = Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Whose; else whose home this is.")]
Dir = Annotated[
    Path | None,
    typer.Option(
        "--dir", metavar="HOME", help="Its home; else $MAW_AGENT_HOME, this folder, ~/agents/AGENT."
    ),
]


def pulse(
    agent: Agent = None,
    folder: Dir = None,
    now: Annotated[
        bool, typer.Option("--now", help="Try the runner although it failed a short while ago.")
    ] = False,
    soon: Annotated[
        bool,
        typer.Option(
            "--soon", help="Begin one in the background, or another when one is running; come back at once."
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Wake an agent once: it looks what is new, does what is to be done, and ends. Nothing to do costs nothing."""
    if now and soon:
        raise BadInput(
            "--now waits for what comes of it, --soon does not", code="usage", hint="take one of them"
        )
    home = find_home(agent, os.environ, folder=folder)
    out = Output.to_stdout(as_json)
    warnings: list[str] = []

    def warn(words: str) -> None:
        warnings.append(words)
        note(words)

    try:
        if soon:
            word, told = "soon", {"agent": home.name}
            line = begin(home, [str(this_command())], os.environ)
        else:
            outcome = pulse_once(
                home, find_daemon(os.environ, os.geteuid(), home.name), os.environ, insist=now, tell=warn
            )
            word, line, told = outcome.word, outcome.line, outcome.told
    except Stopped as stopped:
        return 128 + stopped.number
    except OSError as error:
        raise Refused(
            f"{error.filename or home.folder}: {error.strerror}",
            code="cannot_write",
            hint="nothing is lost: the next pulse goes on where this one was",
        ) from None
    if out.as_json:
        out.json({"outcome": word, **told, "warnings": [*warnings, *told.get("warnings", ())]})
    else:
        out.line(shown(line))
    return 0

"""``maw dream``: memory consolidated, once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from maw.cli.output import Output, note
from maw.cli.params import Json
from maw.core.text import shown
from maw.errors import Refused


def dream(
    who: Annotated[
        str | None, typer.Argument(metavar="AGENT", help="Whose; else that of this folder, or $MAW_AGENT.")
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option("--dir", metavar="HOME", help="The home. Else $MAW_AGENT_HOME, or ~/agents/NAME."),
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Also where its dreams failed a short while ago.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Consolidate an agent's memory: its log into a summary, through its runner. Made for a timer; it ends by itself.

    Nothing to consolidate: one line, DREAM_OK, no runner. While a pulse or a dream runs, and for a while after one
    failed, it does nothing and says so.
    """
    from maw.agents.life.dream import dream as dreamt  # what else a life takes, no other command needs
    from maw.agents.life.home import find_home
    from maw.agents.life.pulse import pulse
    from maw.agents.life.runner import Stopped
    from maw.client.daemon import Daemon, find_daemon

    out = Output.to_stdout(as_json)
    home = find_home(who, os.environ, folder=None if folder is None else Path(folder))

    warnings: list[str] = []

    def warn(words: str) -> None:
        warnings.append(words)
        note(words)

    def door() -> Daemon:
        return find_daemon(os.environ, os.geteuid(), home.name)

    try:
        outcome = dreamt(home, door, os.environ, warn, insist=now)
        if outcome.word != "running" and (home.own / "again").exists():  # somebody wanted a pulse meanwhile
            note(shown(pulse(home, door(), os.environ, tell=warn).line))
    except Stopped as stopped:
        return 128 + stopped.number
    except OSError as error:
        raise Refused(
            f"{error.filename or home.folder}: {error.strerror}",
            code="cannot_write",
            hint="nothing is lost: the next dream goes on where this one was",
        ) from None
    if out.as_json:
        out.json({"outcome": outcome.word, **outcome.told, "warnings": warnings})
    else:
        out.line(shown(outcome.line))
    return 0

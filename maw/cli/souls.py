"""An agent's soul: shown, said to the Colony, looked at, restored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from maw.agents.life.home import AgentHome, find_home
from maw.cli import completing
from maw.cli.groups import command_group
from maw.cli.output import Output, note, words
from maw.cli.params import Json
from maw.cli.session import plain_daemon
from maw.client.daemon import Daemon, find_daemon, segment
from maw.core.text import shown
from maw.errors import Conflict, Refused

soul_group = command_group("Who an agent is: its soul, on every host of the Colony.")

Who = Annotated[
    str, typer.Argument(metavar="AGENT", help="A name, or name@host.", autocompletion=completing.own_agents)
]
Whose = Annotated[
    str | None, typer.Argument(metavar="AGENT", help="Whose home; else that of this folder, or $MAW_AGENT's.")
]
Dir = Annotated[
    str | None,
    typer.Option("--dir", metavar="HOME", help="The home. Else $MAW_AGENT_HOME, or ~/agents/NAME."),
]


@soul_group.command("show")
def show(
    who: Who,
    version: Annotated[
        str | None, typer.Option("--version", metavar="ID", help="An earlier one: its id or hash.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The soul of an agent as its host said it last. Everybody in the Colony reads it."""
    out = Output.to_stdout(as_json)
    path = f"/api/souls/{segment(who.removeprefix('@'))}"
    found = plain_daemon().get(path, version=version).body
    if out.as_json:
        out.json(found)
        return
    note(f"{words(found.get('agent'))}, said {out.when(found.get('said_at'))}, {words(found.get('id'))}")
    out.line(shown(str(found["text"])).rstrip("\n"))


@soul_group.command("history")
def history(who: Who, as_json: Json = False) -> int:
    """The versions of an agent's soul that are kept, the latest first. Exit 1: none is."""
    out = Output.to_stdout(as_json)
    found = plain_daemon().get(f"/api/souls/{segment(who.removeprefix('@'))}/history").body
    if out.as_json:
        out.json(found)
    elif found:
        out.table(["said", "bytes", "hash", "id"], [_row(out, one) for one in found])
    return 0 if found else out.nothing("no soul of it is known: `maw soul sync` on its host says it")


@soul_group.command("sync")
def sync(who: Whose = None, folder: Dir = None, as_json: Json = False) -> None:
    """Tell the Colony the soul of a home, where it is another than before. Everybody in it reads it."""
    from maw.agents.life import guarding  # what else of a life is, no other command needs
    from maw.agents.life.ensouling import sync as told

    out, home = Output.to_stdout(as_json), _home(who, folder)
    with _alone(home):
        if (done := guarding.end(home)) is not None:  # of a run whose starter was killed
            note(done)
        said = told(home, _door(home))
    if out.as_json:
        out.json(said)
        return
    done = "told to the Colony" if said.get("changed") else "was told before"
    out.line(
        f"the soul of {words(said.get('agent'))} {done}: {words(said.get('hash'))[:12]}, {said.get('size')} bytes"
    )


@soul_group.command("check")
def check(who: Whose = None, folder: Dir = None, as_json: Json = False) -> int:
    """Whether the soul of a home is sound; where it is not it is restored, and the broken file kept beside it.

    From git, from what the home itself knew, or from the Colony. Exit 6: it is broken, and nobody has a sound one.
    """
    from maw.agents.life.ensouling import look_after

    out, home = Output.to_stdout(as_json), _home(who, folder)
    with _alone(home):
        checked = look_after(home, lambda: _door(home), note)
    if out.as_json:
        out.json(
            {
                "agent": home.name, "sound": checked.sound, "hash": checked.hash, "fault": checked.fault,
                "restored_from": checked.restored_from, "synced": checked.synced,
                "broken": None if checked.broken is None else str(checked.broken),
            }
        )  # fmt: skip
    elif checked.fault is None:
        out.line(
            f"{home.soul}: sound, {words(checked.hash)[:12]}" + ("" if checked.synced else ", not told yet")
        )
    elif checked.restored_from is not None:
        out.line(f"{home.soul}: restored from {checked.restored_from}")
    return 0 if checked.sound else Refused.exit_code


@soul_group.command("restore")
def restore(
    who: Who,
    folder: Dir = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="ID", help="An earlier one: its id or hash.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put the soul that the Colony has into a home, on any host; a folder that is none becomes one.

    What was in the file is kept beside it, as soul.md.old-TIME.
    """
    from maw.agents.life.home import write_home
    from maw.agents.life.souls import put, read_soul

    out = Output.to_stdout(as_json)
    found = plain_daemon().get(f"/api/souls/{segment(who.removeprefix('@'))}", version=version).body
    name, text = words(found.get("agent")).partition("@")[0], str(found["text"])
    path = None if folder is None else Path(folder).expanduser().absolute()
    old: Path | None = None
    if path is not None and not (path / "agent.toml").exists():
        write_home(path, name, soul=text)
    home = find_home(None if path is not None else name, os.environ, folder=path)
    if read_soul(home) != text.encode():
        old = put(home, text.encode(), word="old")
    if out.as_json:
        told = {key: found.get(key) for key in ("agent", "id", "hash", "size", "said_at")}
        out.json({**told, "file": str(home.soul), "old": None if old is None else str(old)})
        return
    out.line(f"{home.soul}: as {words(found.get('agent'))} said it {out.when(found.get('said_at'))}")
    if old is not None:
        note(f"what was there is {old.name}")


@contextlib.contextmanager
def _alone(home: AgentHome) -> Iterator[None]:
    """What the soul is while a runner may write it, is seen when that has ended. Raises Conflict."""
    from maw.agents.life.pulse import only_pulse

    with only_pulse(home) as only:
        if not only:
            raise Conflict(
                f"a pulse or a dream of {home.name} is running",
                code="agent_busy",
                hint="the same command again when it has ended; a pulse looks after the soul by itself",
            )
        yield


def _home(who: str | None, folder: str | None) -> AgentHome:
    return find_home(who, os.environ, folder=None if folder is None else Path(folder))


def _door(home: AgentHome) -> Daemon:
    return find_daemon(os.environ, os.geteuid(), home.name)


def _row(out: Output, one: dict[str, Any]) -> list[str]:
    return [
        out.when(one.get("said_at")),
        str(one.get("size")),
        words(one.get("hash"))[:12],
        words(one.get("id")),
    ]

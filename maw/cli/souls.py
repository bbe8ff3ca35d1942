"""An agent's soul: shown, said to the Colony, looked at, restored."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from maw.cli import completing
from maw.cli.groups import command_group
from maw.cli.output import Output, note, words
from maw.cli.params import Json
from maw.cli.session import plain_daemon
from maw.client.daemon import segment
from maw.core.text import shown

soul_group = command_group("Who an agent is: its soul, on every host of the Colony.")

Who = Annotated[
    str, typer.Argument(metavar="AGENT", help="A name, or name@host.", autocompletion=completing.own_agents)
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


def _row(out: Output, one: dict[str, Any]) -> list[str]:
    return [
        out.when(one.get("said_at")),
        str(one.get("size")),
        words(one.get("hash"))[:12],
        words(one.get("id")),
    ]

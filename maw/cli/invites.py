"""Letting other hosts join: invites made, listed, withdrawn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from maw.cli import completing
from maw.cli.output import Output, note, parse_time, span, words
from maw.cli.params import Json, duration
from maw.cli.session import plain_daemon
from maw.client.daemon import segment
from maw.core.identity import key_text, parse_key
from maw.errors import BadInput, NotFound


def invite(
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="How long the line is good for.")] = "10m",
    uses: Annotated[int, typer.Option("--uses", metavar="N", help="How many hosts may use it.")] = 1,
    for_key: Annotated[
        str | None, typer.Option("--for", metavar="KEY", help="Only the node with this key may use it.")
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="The newcomer waits until `maw peers accept` here.")
    ] = False,
    introducer: Annotated[
        bool, typer.Option("--introducer", help="Others accept whom the newcomer invites, too.")
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="Show the invites that are still open.")] = False,
    withdraw: Annotated[
        str | None,
        typer.Option(
            "--withdraw",
            metavar="ID",
            help="End an open invite, by its id in the list.",
            autocompletion=completing.invites,
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Make a line that lets another host join. Whoever has the line can use it: treat it as a password."""
    out = Output.to_stdout(as_json)
    if show and withdraw:
        raise BadInput("--list and --withdraw exclude each other", code="usage", hint="leave one of them out")
    if show:
        return _list(out)
    if withdraw is not None:
        return _withdraw(out, withdraw)
    body = {
        "ttl_s": _ttl(ttl),
        "uses": _uses(uses),
        "for": key_text(parse_key(for_key)) if for_key else None,
        "confirm": confirm,
        "introducer": introducer,
    }
    made = plain_daemon().post("/api/invites", body).body
    if out.as_json:
        out.json(made)
        return 0
    out.line(words_of_line(made["line"]))
    note(f"on the other host, {_validity(made, uses)}: maw join LINE   (or: maw join - , and paste it)")
    if introducer:
        note("whom that host invites, everybody trusts too")
    if confirm:
        note("it is let in when you say so here: maw peers accept NAME")
    addresses = made.get("addresses") or []
    if addresses:
        note(f"it will dial {', '.join(map(words, addresses))}")
        if all(str(address).startswith(("127.", "[::1]")) for address in addresses):
            note(
                "only this machine can dial that: for other hosts set [mesh] interface or listen in maw.toml"
            )
    else:
        note("this node has no address that others could dial: see [mesh] in maw.toml, or `maw doctor`")
    return 0


def _list(out: Output) -> int:
    found = plain_daemon().get("/api/invites").body
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    if not found:
        return out.nothing("no open invites")
    out.table(["id", "ends in", "used", "for", "used by"], [_row(one) for one in found])
    return 0


def _withdraw(out: Output, invite_id: str) -> int:
    ended = plain_daemon().delete(f"/api/invites/{segment(invite_id)}").body
    if out.as_json:
        out.json(ended)
    else:
        out.line(f"invite {words(ended.get('id'))} withdrawn: its line is good for nothing any more")
    return 0


def _row(invite: Mapping[str, Any]) -> list[str]:
    until = parse_time(invite.get("expires_at"))
    used = invite.get("used") or []
    marks = [word for word in ("confirm", "introducer") if invite.get(word)]
    return [
        words(invite.get("id")),
        span(until.timestamp() - time.time()) if until else "–",
        f"{len(used)} of {words(invite.get('uses'))}",
        ", ".join([words(invite["for"])[:9] + "…" if invite.get("for") else "anybody", *marks]),
        ", ".join(words(use.get("name")) for use in used) or "–",
    ]


def words_of_line(line: object) -> str:
    """The invite; refused if it is not one line of plain characters: it will be pasted into a shell."""
    text = str(line)
    if not text.isascii() or not text.isprintable():
        raise NotFound("the daemon's invite is not one plain line", code="bad_invite")
    return text


def _ttl(text: str) -> int:
    seconds = int(duration(text, "--ttl"))
    if seconds < 1:
        raise BadInput("--ttl: an invite is good for at least a second", hint="--ttl 10m")
    return seconds


def _uses(count: int) -> int:
    if count < 1:
        raise BadInput("--uses: an invite is used at least once", hint="--uses 1")
    return count


def _validity(made: Mapping[str, Any], uses: int) -> str:
    until = parse_time(made.get("expires_at"))
    times = "once" if uses == 1 else f"{uses} times"
    return f"{times} within {span(until.timestamp() - time.time())}" if until else times

"""Pairing, and this node's key: invite, join, key."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from maw.cli.groups import command_group
from maw.cli.output import Output, note, parse_time, span, words
from maw.cli.params import Json, duration
from maw.cli.session import plain_daemon
from maw.core.identity import key_text, parse_key
from maw.errors import BadInput, NotFound, NotRunning
from maw.home import find_home

key_group = command_group("This node's key.")


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
    as_json: Json = False,
) -> None:
    """Make a line that lets another host join. Whoever has the line can use it: treat it as a password."""
    out = Output.to_stdout(as_json)
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
        return
    out.line(words_of_line(made["line"]))
    note(f"on the other host, {_validity(made, uses)}: maw join LINE   (or: maw join - , and paste it)")
    addresses = made.get("addresses") or []
    if addresses:
        note(f"it will dial {', '.join(map(words, addresses))}")
        if all(str(address).startswith(("127.", "[::1]")) for address in addresses):
            note(
                "only this machine can dial that: for other hosts set [mesh] interface or listen in maw.toml"
            )
    else:
        note("this node has no address that others could dial: see [mesh] in maw.toml, or `maw doctor`")


def join(
    line: Annotated[str, typer.Argument(metavar="LINE|-", help="What `maw invite` printed; - reads it.")],
    as_json: Json = False,
) -> None:
    """Join the Colony of the host that made the invite."""
    out = Output.to_stdout(as_json)
    if line == "-":
        line = sys.stdin.readline()
    if not line.strip():
        raise BadInput("there is no invite to read", hint="`maw invite` on the other host prints the line")
    joined = plain_daemon().post("/api/join", {"line": line.strip()}, patience=120).body
    if out.as_json:
        out.json(joined)
        return
    peer = joined.get("peer") or {}
    out.line(f"{words(joined.get('state'))} · {words(peer.get('name'))} · {words(peer.get('key'))}")


@key_group.callback(invoke_without_command=True)
def key(ctx: typer.Context, as_json: Json = False) -> None:
    """This node's key."""
    if ctx.invoked_subcommand is None:
        show_key(as_json)


@key_group.command("show")
def show_key(as_json: Json = False) -> None:
    """Print this node's public key, as others write it into peers.toml."""
    out = Output.to_stdout(as_json)
    public = _public_key()
    if out.as_json:
        out.json({"key": public})
    else:
        out.line(public)


def words_of_line(line: object) -> str:
    """The invite; refused if it is not one line of plain characters: it will be pasted into a shell."""
    text = str(line)
    if not text.isascii() or not text.isprintable():
        raise NotFound("the daemon's invite is not one plain line", code="bad_invite")
    return text


def _public_key() -> str:
    """From the daemon; where it is not running, from the node's own key file, if this user may read that."""
    try:
        return words(plain_daemon().get("/api/whoami").body.get("node_key"))
    except NotRunning:
        home = find_home(os.environ, os.geteuid())
        if os.environ.get("MAW_SOCKET") or not home.exists:
            raise
        from maw.node.home import NodeHome, read_key  # only where there is nobody to ask

        return key_text(read_key(NodeHome(home.path).key).node)


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

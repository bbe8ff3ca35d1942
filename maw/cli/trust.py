"""Whom this node trusts: invite, join, peers, key."""

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

peers_group = command_group("Nodes this one knows: links, keys, who vouched.")
key_group = command_group("This node's key.")

Who = Annotated[str, typer.Argument(metavar="WHO", help="The peer's name, or its key.")]


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


@peers_group.callback(invoke_without_command=True)
def peers(ctx: typer.Context, as_json: Json = False) -> int | None:
    """Nodes this one knows: links, keys, who vouched."""
    return list_peers(as_json) if ctx.invoked_subcommand is None else None


@peers_group.command("list")
def list_peers(as_json: Json = False) -> int:
    """Name, link state and since when, round trip, what each is behind. Exit 1 when there are none."""
    out = Output.to_stdout(as_json)
    found = plain_daemon().get("/api/peers").body
    if out.as_json:
        out.json(found)
    else:
        now = time.time()
        head = ["name", "state", "since", "rtt", "behind", "lacks", "key", "how", "address"]
        out.table(head, [_peer_row(out, one, now) for one in found])
        for one in found:
            if one.get("state") == "pending":
                note(f"{words(one.get('name'))} is pending: `maw peers accept {words(one.get('short'))}`")
            elif one.get("last_error") and one.get("state") != "linked":
                note(f"{words(one.get('name'))}: {words(one['last_error'])}")
    return 0 if found else 1


@peers_group.command("accept")
def accept(who: Who, as_json: Json = False) -> None:
    """Trust a pending peer."""
    _settle("accept", {"who": who}, "accepted", as_json)


@peers_group.command("forget")
def forget(who: Who, as_json: Json = False) -> None:
    """End trust and link with a peer, here and for good; a new invite from here undoes it."""
    _settle("forget", {"who": who}, "forgotten", as_json)


@peers_group.command("reload")
def reload(as_json: Json = False) -> None:
    """Read peers.toml again. A broken file is refused, and the old peers stay."""
    _settle("reload", {}, "reloaded", as_json)


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


def _settle(action: str, body: Mapping[str, Any], done: str, as_json: bool) -> None:
    out = Output.to_stdout(as_json)
    report = plain_daemon().post(f"/api/peers/{action}", body).body
    if out.as_json:
        out.json(report)
        return
    told = [f"{words(name)} {words(value)}" for name, value in _flat(report)]
    out.line(" · ".join([done, *told]))


def _flat(report: Any) -> list[tuple[str, Any]]:
    """What the report says beyond that it was done."""
    if not isinstance(report, dict):
        return []
    flat = {
        name: value for name, value in report.items() if value not in (None, "", [], {}) and value is not True
    }
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in flat.items()
    ]


def _peer_row(out: Output, peer: Mapping[str, Any], now: float) -> list[str]:
    since = parse_time(peer.get("since"))
    rtt = peer.get("rtt_ms")
    how = words(peer.get("how"))
    vouched = ", ".join(map(str, peer.get("vouched_by") or ()))
    return [
        words(peer.get("name")),
        words(peer.get("state")),
        span(now - since.timestamp()) if since else "–",
        f"{rtt:.1f} ms" if isinstance(rtt, int | float) else "–",
        words(peer.get("behind")),
        words(peer.get("lacks")),
        words(peer.get("short")),
        f"{how} by {vouched}" if vouched else how,
        ", ".join(map(str, peer.get("addresses") or ())) or "–",
    ]


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

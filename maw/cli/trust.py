"""Joining, and this node's key: join, key."""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated

import typer

from maw.cli.groups import command_group
from maw.cli.output import Output, note, words
from maw.cli.params import Json, duration
from maw.cli.session import plain_daemon
from maw.client import calls
from maw.core.identity import key_text
from maw.errors import BadInput, NotRunning
from maw.home import find_home

key_group = command_group("This node's key.")


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


@key_group.command("rotate")
def rotate(
    recovery: Annotated[str, typer.Option("--recovery", metavar="FILE", help="This node's recovery key.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for everybody.")] = "",
    old: Annotated[
        str | None, typer.Option("--old", metavar="KEY", help="The old key, where its file is gone.")
    ] = None,
    stolen: Annotated[
        str | None,
        typer.Option(
            "--stolen",
            metavar="TIME",
            help="For how long it was in wrong hands: 2h. Whom it let in or shut out since does not stand.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Give this host a new key, and shut the old one out for ever, on every host. The daemon must be stopped."""
    out = Output.to_stdout(as_json)
    import asyncio  # with the store: only this command works without a daemon

    from maw.cli.operator import read_signer
    from maw.node.home import NodeHome, hold_lock
    from maw.node.rotating import rotate as rotate_key

    home = NodeHome(find_home(os.environ, os.geteuid()).path)
    signer = read_signer(recovery, "recovery")
    since = None if stolen is None else int((time.time() - duration(stolen, "--stolen")) * 1000)
    with hold_lock(home):
        done = asyncio.run(rotate_key(home, signer, why, old, since))
    if out.as_json:
        kept = str(done.kept) if done.kept else None
        out.json(
            {
                "old": done.old, "new": done.new, "kept": kept, "admitted": list(done.admitted),
                "void": list(done.void),
            }
        )  # fmt: skip
        return
    out.line(f"new key · {done.new}")
    note(f"the old key {done.old} is shut out on every host, from when it hears of it")
    if done.admitted:
        note(f"it had let in {', '.join(map(words, done.admitted))}: revoke whom you do not know")
    if done.void:
        note(f"what it said of {', '.join(map(words, done.void))} does not stand: invite again whom you know")
    note("start the node again (`maw up`, or its service): agents, mail and peers are as they were")


def _public_key() -> str:
    """From the daemon; where it is not running, from the node's own key file, if this user may read that."""
    try:
        return words(plain_daemon().do(calls.whoami()).get("node_key"))
    except NotRunning:
        home = find_home(os.environ, os.geteuid())
        if os.environ.get("MAW_SOCKET") or not home.exists:
            raise
        from maw.node.home import NodeHome, read_key  # only where there is nobody to ask

        return key_text(read_key(NodeHome(home.path).key).node)

"""Who is here: whoami, the agents of this host, channels."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from maw.cli.groups import command_group
from maw.cli.output import Output, words
from maw.cli.params import As, Json
from maw.cli.session import how_known, plain_daemon, reading_daemon, speaking_daemon
from maw.client.daemon import segment
from maw.core.colony import MAX_KEEP_DAYS
from maw.core.names import check_name
from maw.errors import BadInput

CHANNEL_LATER: Final = {
    "watch": "until then: `maw tail CHANNEL`, or a mention of your name",
    "unwatch": "",
    "archive": "",
}

channel_group = command_group("Channels.", to_come=CHANNEL_LATER)

Name = Annotated[str, typer.Argument(metavar="NAME")]


def whoami(as_name: As = None, as_json: Json = False) -> None:
    """Who speaks when you do, how that is known, and on which node."""
    out = Output.to_stdout(as_json)
    me = reading_daemon(as_name).get("/api/whoami").body
    if out.as_json:
        out.json({**me, "named_by": how_known(as_name, me) if me.get("agent") else None})
        return
    if me.get("agent"):
        who = f"{words(me['agent'])} ({words(me.get('role'))}), known by {words(me.get('known_by'))}"
        out.line(f"{who}, named by {words(how_known(as_name, me))}")
    else:
        out.line("nobody: say --as NAME, or set MAW_AGENT")
    out.line(f"on {words(me.get('host'))} · {words(me.get('node_key'))} · colony {words(me.get('colony'))}")


@channel_group.callback(invoke_without_command=True)
def channel(ctx: typer.Context, as_json: Json = False) -> int | None:
    """Channels."""
    return list_channels(as_json) if ctx.invoked_subcommand is None else None


@channel_group.command("list")
def list_channels(as_json: Json = False) -> int:
    """The channels, and how much is in them. Exit 1 when there are none."""
    out = Output.to_stdout(as_json)
    found = plain_daemon().get("/api/channels").body
    if out.as_json:
        out.json(found)
    else:
        rows = [
            [
                f"#{words(one.get('name'))}",
                words(one.get("messages")),
                words(one.get("last_seq")),
                "forever" if one.get("keep_days") is None else f"{words(one['keep_days'])} d",
                _made(out, one),
            ]
            for one in found
        ]
        out.table(["channel", "messages", "last seq", "kept", "made"], rows)
    return 0 if found else out.nothing("no channels yet: `maw channel create NAME` opens one")


@channel_group.command("create")
def create_channel(name: Name, as_name: As = None, as_json: Json = False) -> None:
    """Open a channel."""
    out = Output.to_stdout(as_json)
    body = {"name": check_name(name.removeprefix("#"), "channel")}
    made = speaking_daemon(as_name).post("/api/channels", body).body
    if out.as_json:
        out.json(made)
    else:
        out.line(f"#{words(made.get('name'))} created")


@channel_group.command("retain")
def retain_channel(
    name: Name,
    days: Annotated[str, typer.Argument(metavar="DAYS|forever", help="How long messages are kept.")],
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Keep a channel's messages for so many days; then their text is dropped. From who made it: everybody's."""
    out = Output.to_stdout(as_json)
    if days != "forever" and not (days.isascii() and days.isdecimal() and 0 < int(days) <= MAX_KEEP_DAYS):
        raise BadInput(f"{days[:20]!r} is no number of days", hint=f"1 to {MAX_KEEP_DAYS}, or forever")
    clean = check_name(name.removeprefix("#"), "channel")
    path = f"/api/channels/{segment(clean)}/retention"
    kept = reading_daemon(as_name).post_once(path, {"days": 0 if days == "forever" else int(days)}).body
    if out.as_json:
        out.json(kept)
        return
    whose = "everybody's messages" if kept.get("for") == "everybody" else "what is said on this host"
    until = f"for {words(kept['keep_days'])} days" if kept.get("keep_days") else "for ever"
    out.line(f"#{clean}: {whose} kept {until}")


def _made(out: Output, channel: dict[str, Any]) -> str:
    by = f" by {words(channel['created_by'])}" if channel.get("created_by") else ""
    return f"{out.when(channel.get('created_at'))}{by}"

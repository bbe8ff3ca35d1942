"""Channels: listed, opened, described, archived, watched, and how long they keep messages."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from maw.cli import completing
from maw.cli.groups import command_group
from maw.cli.output import Output, note, words
from maw.cli.params import As, Json
from maw.cli.session import reading_daemon, speaking_daemon
from maw.client import calls
from maw.client.daemon import segment
from maw.core.colony import MAX_KEEP_DAYS
from maw.core.names import check_channel, check_name, parse_address
from maw.errors import BadInput

channel_group = command_group("Channels.")

Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=completing.channels)]
NewName = Annotated[str, typer.Argument(metavar="NAME")]


@channel_group.callback(invoke_without_command=True)
def channel(ctx: typer.Context, as_json: Json = False) -> int | None:
    """Channels."""
    return list_channels(None, as_json) if ctx.invoked_subcommand is None else None


@channel_group.command("list")
def list_channels(as_name: As = None, as_json: Json = False) -> int:
    """The channels, how much is in them, whether you watch them. Exit 1 when there are none."""
    out = Output.to_stdout(as_json)
    found = reading_daemon(as_name).do(calls.channels())
    if out.as_json:
        out.json(found)
    else:
        rows = [
            [
                f"#{words(one.get('name'))}",
                words(one.get("messages")),
                words(one.get("last_seq")),
                "forever" if one.get("keep_days") is None else f"{words(one['keep_days'])} d",
                ("wakes" if one.get("wakes") else "watched") if one.get("watched") else "–",
                "archived" if one.get("archived") else "–",
                _made(out, one),
                _about(one),
            ]
            for one in found
        ]
        out.table(["channel", "messages", "last seq", "kept", "watched", "archived", "made", "about"], rows)
    return 0 if found else out.nothing("no channels yet: `maw channel create NAME` opens one")


@channel_group.command("create")
def create_channel(
    name: NewName,
    about: Annotated[str, typer.Option("--about", metavar="TEXT", help="What it is for, on one line.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Only its members see it.")] = False,
    members: Annotated[
        str | None,
        typer.Option("--with", metavar="@WHO,@WHO", help="Who is in a private one beside you."),
    ] = None,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Open a channel."""
    out = Output.to_stdout(as_json)
    body: dict[str, Any] = {"name": check_name(name.removeprefix("#"), "channel")}
    body |= {"about": about} if about else {}
    body |= {"private": True} if private else {}
    if members is not None:
        if not private:
            raise BadInput("--with is for a private channel", hint="add --private")
        body["members"] = _people(members)
    made = speaking_daemon(as_name).post("/api/channels", body).body
    if out.as_json:
        out.json(made)
    else:
        out.line(f"#{words(made.get('name'))} created")


@channel_group.command("invite")
def invite_to_channel(
    name: Name,
    who: Annotated[list[str], typer.Argument(metavar="@WHO...", autocompletion=completing.recipients)],
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Let agents into a private channel that you made: they read what is said from now on."""
    _members(name, {"add": [one for word in who for one in _people(word)]}, as_name, as_json)


@channel_group.command("expel")
def expel_from_channel(
    name: Name,
    who: Annotated[list[str], typer.Argument(metavar="@WHO...", autocompletion=completing.recipients)],
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Send agents away from a private channel that you made: they read nothing that is said from now on."""
    _members(name, {"remove": [one for word in who for one in _people(word)]}, as_name, as_json)


@channel_group.command("leave")
def leave_channel(
    name: Name,
    back: Annotated[bool, typer.Option("--back", help="Hear of it again.")] = False,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Hear nothing of a private channel any more; who made it is not told. Also of one you were sent away from."""
    out = Output.to_stdout(as_json)
    clean = check_channel(name.removeprefix("#"))
    path = f"/api/channels/{segment(clean)}/leave"
    told = speaking_daemon(as_name).post_once(path, {"back": back}).body
    if out.as_json:
        out.json(told)
    else:
        out.line(f"#{words(told.get('id'))}: {'left' if told.get('left') else 'you hear of it again'}")


def _people(words_: str) -> list[str]:
    return [str(parse_address(one)) for one in words_.split(",") if one.strip()]


def _members(name: str, body: dict[str, Any], as_name: str | None, as_json: bool) -> None:
    out = Output.to_stdout(as_json)
    clean = check_channel(name.removeprefix("#"))
    told = speaking_daemon(as_name).post_once(f"/api/channels/{segment(clean)}/members", body).body
    if out.as_json:
        out.json(told)
    else:
        out.line(f"#{words(told.get('name'))}: {', '.join(words(one) for one in told.get('members', []))}")


@channel_group.command("describe")
def describe_channel(
    name: Name,
    about: Annotated[str, typer.Argument(metavar="TEXT", help="What it is for; '' for nothing.")],
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Say what a channel is for. From who made it: for everybody."""
    _change(name, {"about": about}, "described", as_name, as_json)


@channel_group.command("archive")
def archive_channel(name: Name, as_name: As = None, as_json: Json = False) -> None:
    """Nobody posts there any more; reading goes on. From who made it: nobody anywhere."""
    _change(name, {"archived": True}, "archived", as_name, as_json)


@channel_group.command("unarchive")
def unarchive_channel(name: Name, as_name: As = None, as_json: Json = False) -> None:
    """Posting goes on there."""
    _change(name, {"archived": False}, "open again", as_name, as_json)


def _change(name: str, body: dict[str, Any], done: str, as_name: str | None, as_json: bool) -> None:
    out = Output.to_stdout(as_json)
    clean = check_channel(name.removeprefix("#"))
    told = reading_daemon(as_name).post_once(f"/api/channels/{segment(clean)}", body).body
    if out.as_json:
        out.json(told)
        return
    whom = "for everybody" if told.get("for") == "everybody" else "for this host: it was made elsewhere"
    out.line(f"#{clean}: {done}, {whom}")
    if "archived" in body and bool(told.get("archived")) is not body["archived"]:
        note("who made it says otherwise, and that counts too")


@channel_group.command("watch")
def watch_channel(
    name: Name,
    wake: Annotated[bool, typer.Option("--wake", help="What is said there wakes you too.")] = False,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """What is said there from now on is in your inbox; it does not wake you, but with --wake."""
    _watch(name, {"watched": True, "wakes": wake}, as_name, as_json)


@channel_group.command("unwatch")
def unwatch_channel(name: Name, as_name: As = None, as_json: Json = False) -> None:
    """It is not any more; what is there stays there."""
    _watch(name, {"watched": False}, as_name, as_json)


def _watch(name: str, body: dict[str, Any], as_name: str | None, as_json: bool) -> None:
    out = Output.to_stdout(as_json)
    clean = check_channel(name.removeprefix("#"))
    told = speaking_daemon(as_name).post(f"/api/channels/{segment(clean)}/watch", body).body
    if out.as_json:
        out.json(told)
    else:
        how = " (it wakes you)" if told.get("wakes") else ""
        out.line(f"#{clean} is {'watched' if told.get('watched') else 'watched no more'}{how}")


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
    clean = check_channel(name.removeprefix("#"))
    path = f"/api/channels/{segment(clean)}/retention"
    kept = reading_daemon(as_name).post_once(path, {"days": 0 if days == "forever" else int(days)}).body
    if out.as_json:
        out.json(kept)
        return
    whose = "everybody's messages" if kept.get("for") == "everybody" else "what is said on this host"
    until = f"for {words(kept['keep_days'])} days" if kept.get("keep_days") else "for ever"
    out.line(f"#{clean}: {whose} kept {until}")


def _about(channel: dict[str, Any]) -> str:
    """What it is for; of a private one who is in it, first."""
    about = words(channel.get("about")) if channel.get("about") else ""
    if not channel.get("private"):
        return about or "–"
    return f"[{', '.join(words(one) for one in channel.get('members', []))}] {about}".rstrip()


def _made(out: Output, channel: dict[str, Any]) -> str:
    by = f" by {words(channel['created_by'])}" if channel.get("created_by") else ""
    return f"{out.when(channel.get('created_at'))}{by}"

"""Agents that move to another host, with all that is theirs."""

from __future__ import annotations

import os
import pwd
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from maw.cli.groups import Group, KnownGroup
from maw.cli.output import Output, note, words
from maw.cli.params import As, Json, duration
from maw.cli.session import owning_daemon, plain_daemon
from maw.client import files as transfer
from maw.client.daemon import Daemon, segment
from maw.core.blobs import MAX_FILE
from maw.core.filenames import UNKNOWN_TYPE
from maw.errors import BadInput, Conflict, MawError, NotFound, Unconfirmed

LOOK_S: Final = 0.5
PULSE_S: Final = 310.0
"""So long a pulse may take that is under way: its own time limit, and a little."""
OVER: Final = ("refused", "cancelled")


class _MoveGroup(KnownGroup):
    """``maw move AGENT HOST`` is ``maw move to AGENT HOST``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            args = ["to", *args]
        return super().resolve_command(ctx, args)


move_group = Group(
    cls=_MoveGroup, add_completion=False, rich_markup_mode=None,
    help="Move an agent to another host: maw move AGENT HOST.",
)  # fmt: skip

Move = Annotated[str, typer.Argument(metavar="ID", help="The move: its id, or the agent's name.")]
Wait = Annotated[str, typer.Option("--wait", metavar="TIME", help="How long to wait for the other host.")]
Dir = Annotated[str | None, typer.Option("--dir", metavar="HOME", help="The agent's folder; else its home.")]


@move_group.callback(invoke_without_command=True)
def move_agents(ctx: typer.Context, as_json: Json = False) -> int | None:
    """Move an agent to another host: maw move AGENT HOST. Alone: how the moves stand, as `maw move status`."""
    return status(as_json) if ctx.invoked_subcommand is None else None


@move_group.command("to")
def to(
    agent: Annotated[str, typer.Argument(metavar="AGENT")],
    host: Annotated[str, typer.Argument(metavar="HOST")],
    folder: Dir = None,
    without_home: Annotated[
        bool, typer.Option("--without-home", help="Its folder stays: bring it by hand.")
    ] = False,
    wait: Wait = "10m",
    as_json: Json = False,
) -> None:
    """Move an agent of this host to HOST, once that host accepts: name, mailbox, memory. Exit 7: it waits still.

    The same command again goes on where it was. Until the last step `maw move cancel` ends it.
    """
    out, daemon = Output.to_stdout(as_json), plain_daemon()
    deadline = time.monotonic() + duration(wait, "--wait")
    name = agent.removeprefix("@").lower()
    done = _just_moved(daemon, name, host)
    home = None if without_home else _home(name, folder, is_done=done is not None)
    row = done or dict(daemon.post("/api/moves", {"agent": name, "host": host}).body)
    for warning in row.get("warnings") or ():
        note(f"note: {words(warning)}")
    if row["step"] == "offered":
        note(f"offered to {words(row['host'])}: it accepts with `maw move accept {words(row['id'])}`")
        row = _until(daemon, row, deadline, "offered")
    if row["step"] == "accepted":
        row = _handed_over(daemon, row, home, deadline, without_home)
    row = _until(daemon, row, deadline, "handed", "ready")
    aside = None if home is None else _set_aside(home, row)
    if out.as_json:
        out.json(row)
    else:
        out.line(f"{row['agent']} has moved to {words(row['host'])}")
    if aside is not None:
        note(f"its folder here is kept as {aside}")
    if timers := _timers(name):
        note(f"its timers go on here, for nothing: `maw service remove {timers}` ends them")


def _home(name: str, folder: str | None, *, is_done: bool) -> Path | None:
    from maw.agents.moving.folder import home_of  # few commands need it

    path = Path(folder).expanduser().absolute() if folder else None
    if path is not None and is_done and not path.is_dir():
        return None  # it was set aside
    return home_of(name, os.environ, path)


def _handed_over(
    daemon: Daemon, row: dict[str, Any], home: Path | None, deadline: float, without_home: bool
) -> dict[str, Any]:
    from maw.agents.moving.folder import locked, note_move, packed

    target = f"/api/moves/{segment(row['id'])}/hand-over"
    if home is None:
        note(
            "no folder goes along" if without_home else "it has no folder here: its mailbox goes along alone"
        )
        return dict(daemon.post(target, {}, patience=600.0).body)
    with locked(home, PULSE_S), packed(home, MAX_FILE) as (file, size):
        note(f"{home}: {size:,} bytes packed")
        note_move(home, str(row["id"]))
        told = transfer.push(daemon, f"{target}?home=true", cast(Any, file), size, "home", UNKNOWN_TYPE)
        return _until(daemon, told, deadline, "handed", "ready")


def _set_aside(home: Path, row: dict[str, Any]) -> Path | None:
    """The agent has moved, whatever becomes of its old folder: what is wrong with that is only told."""
    from maw.agents.moving.folder import set_aside

    try:
        return set_aside(home, str(row["id"]), time.time())
    except MawError as error:
        note(f"{home} stays as it was: {words(error.message)}")
        return None


def _timers(name: str) -> str:
    """The words that name its timers here; "" where it has none."""
    from maw.home import find_home
    from maw.ops.agent_timers import next_times
    from maw.ops.machine import Machine

    found = next_times(Machine.here(), name, home=find_home(os.environ, os.geteuid()).path)
    return " ".join(dict.fromkeys(f"--{kind} {name}" for kind, _ in found))


def _just_moved(daemon: Daemon, name: str, host: str) -> dict[str, Any] | None:
    """The move of this agent to there that has just ended, if that is where it is."""
    known = [one for one in daemon.get("/api/moves").body if one["agent"] == name and one["leaving"]]
    if known and known[0]["step"] == "moved" and known[0]["host"] == host and not _lives_here(daemon, name):
        return dict(known[0])
    return None


def _lives_here(daemon: Daemon, name: str) -> bool:
    return any(one["username"] == name and one.get("local") for one in daemon.get("/api/users").body)


def _until(daemon: Daemon, row: dict[str, Any], deadline: float, *steps: str) -> dict[str, Any]:
    """The move once it is beyond these steps. Raises Conflict when it ended, Unconfirmed when it takes too long."""
    told = None
    while row["step"] in steps:
        if (how := row.get("progress") or row["step"]) != told:
            note(f"{row['agent']}: {words(how)}")
            told = how
        if time.monotonic() >= deadline:
            raise Unconfirmed(
                f"{row['agent']} is {row['step']}; {words(row['host'])} has not gone on yet",
                hint="the same command again goes on; `maw move status`, `maw move cancel`",
            )
        time.sleep(LOOK_S)
        row = _find(daemon, row["id"])
    if row["step"] in OVER:
        why = f": {words(row['why'])}" if row["why"] else ""
        raise Conflict(
            f"the move of {row['agent']} was {row['step']}{why}", code="not_now", hint="it stays here"
        )
    return row


def _find(daemon: Daemon, word: str) -> dict[str, Any]:
    found = [one for one in daemon.get("/api/moves").body if _is_called(one, word)]
    if not found:
        raise NotFound(f"no move {word} is known here", code="no_such_move", hint="maw move status")
    return dict(found[0])


def _coming(daemon: Daemon, word: str) -> dict[str, Any] | None:
    """The move to here that is meant: of an agent's the last."""
    moves = daemon.get("/api/moves").body
    return next((dict(one) for one in moves if _is_called(one, word) and not one["leaving"]), None)


def _is_called(one: dict[str, Any], word: str) -> bool:
    return str(one["id"]).startswith(word.lower()) or one["agent"] == word


@move_group.command("status")
def status(as_json: Json = False) -> int:
    """The moves from here and to here, newest first. Exit 1: none."""
    return _list(plain_daemon().get("/api/moves").body, as_json, "no agent moves from here or to here")


@move_group.command("offers")
def offers(as_json: Json = False) -> int:
    """Agents that other hosts offer here. Exit 1: none."""
    found = plain_daemon().get("/api/moves").body
    offered = [one for one in found if not one["leaving"] and one["step"] == "offered"]
    return _list(offered, as_json, "nobody offers an agent here")


def _list(found: list[dict[str, Any]], as_json: bool, nothing: str) -> int:
    out = Output.to_stdout(as_json)
    if out.as_json:
        out.json(found)
    elif found:
        out.table(["id", "agent", "way", "step", "at", ""], [_row(out, one) for one in found])
    return 0 if found else out.nothing(nothing)


def _row(out: Output, one: dict[str, Any]) -> list[str]:
    way = f"{'to' if one['leaving'] else 'from'} {one['host']}"
    beside = one["progress"] or one["why"] or ""
    if one["home_waits"]:
        beside = f"its folder waits: maw move home {one['id']}"
    elif one.get("warnings"):
        beside = beside or one["warnings"][0]
    return [
        str(one["id"]),
        words(one["agent"]),
        words(way),
        str(one["step"]),
        out.when(one["at"]),
        words(beside),
    ]


@move_group.command("accept")
def accept(
    move: Move,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="The Unix user who speaks as it; else you.")
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option("--dir", metavar="HOME", help="Where its folder is to be; else ~/agents/NAME."),
    ] = None,
    without_home: Annotated[
        bool, typer.Option("--without-home", help="Its folder was brought by hand, or comes later.")
    ] = False,
    wait: Wait = "10m",
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Take an agent in that is offered here, wait for it, and put its folder in place. Exit 7: it is on its way."""
    out, daemon = Output.to_stdout(as_json), owning_daemon(as_name)
    asked: dict[str, Any] = {"do": "accept"}
    if user is not None:
        asked["uid"] = _uid_of(user)
    if folder is not None:
        asked["home"] = str(Path(folder).expanduser().absolute())
    coming = _coming(daemon, move)
    if coming is not None and coming["step"] == "offered" and not without_home:
        _check_place(coming["agent"], asked.get("uid", os.getuid()), folder)
    row = daemon.post(f"/api/moves/{segment(move)}", asked).body
    name, host = words(row["agent"]), words(row["host"])
    note(f"accepted: it comes when `maw move {name} …` goes on, on {host}")
    deadline = time.monotonic() + duration(wait, "--wait")
    row = _until(daemon, row, deadline, "accepted", "handed", "ready", "moved", "arrived")
    if row["home_waits"] and not without_home:
        _unpacked(daemon, row, user, folder)
    _tell_arrived(out, daemon, row["id"])


@move_group.command("home")
def home(
    move: Move,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Whose it is to be.")] = None,
    folder: Annotated[
        str | None, typer.Option("--dir", metavar="HOME", help="Where; else as accepted.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put the folder of an agent that came here in place."""
    out, daemon = Output.to_stdout(as_json), plain_daemon()
    row = _coming(daemon, move) or _find(daemon, move)
    _unpacked(daemon, row, user, folder)
    _tell_arrived(out, daemon, row["id"])


def _check_place(name: str, uid: int, folder: str | None) -> None:
    from maw.agents.moving.folder import default_home, look_at

    look_at(Path(folder).expanduser().absolute() if folder else default_home(name, uid))


def _unpacked(daemon: Daemon, row: dict[str, Any], user: str | None, folder: str | None) -> None:
    from maw.agents.moving.folder import default_home, put_in_place

    uid = _uid_of(user) if user is not None else row["uid"] if row["uid"] is not None else os.getuid()
    place = Path(folder).expanduser().absolute() if folder else Path(row["home"]) if row["home"] else None
    target = place or default_home(row["agent"], uid)
    path = f"/api/moves/{segment(row['id'])}"
    with tempfile.TemporaryFile() as spool:
        for data in transfer.pull(daemon, f"{path}/home"):
            spool.write(data)
        spool.seek(0)
        put_in_place(spool, target, uid, str(row["agent"]))
    daemon.post(path, {"do": "unpacked"})
    note(f"its folder is in {target}")


def _tell_arrived(out: Output, daemon: Daemon, move: str) -> None:
    row = _find(daemon, move)
    if out.as_json:
        out.json(row)
        return
    out.line(f"{row['agent']} lives here now")
    note(
        f"`maw agent token {row['agent']}` makes its token; `maw service install --pulse {row['agent']}` its timers"
    )


@move_group.command("refuse")
def refuse(
    move: Move,
    why: Annotated[
        str, typer.Option("--why", metavar="TEXT", help="The reason, as the other host is told it.")
    ] = "",
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Do not take in an agent that is offered here."""
    _decided(owning_daemon(as_name), move, {"do": "refuse", "why": why}, as_json)


@move_group.command("cancel")
def cancel(move: Move, as_json: Json = False) -> None:
    """The agent stays here: until it has moved, its move can be ended."""
    _decided(plain_daemon(), move, {"do": "cancel"}, as_json)


def _decided(daemon: Daemon, move: str, asked: dict[str, Any], as_json: bool) -> None:
    out = Output.to_stdout(as_json)
    row = daemon.post(f"/api/moves/{segment(move)}", asked).body
    if out.as_json:
        out.json(row)
    else:
        out.line(f"the move of {words(row['agent'])} was {row['step']}")


def _uid_of(user: str) -> int:
    try:
        return int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise BadInput(
            f"--user: {user!r} is no user of this machine", code="bad_user", hint="getent passwd"
        ) from None

"""Following live what is said: tail."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.messages import print_message, where
from maw.cli.output import Output, called, note, words
from maw.cli.params import AfterSeq, As, Json
from maw.cli.session import reading_daemon
from maw.client import calls
from maw.client.daemon import Daemon, Lost, segment, wait_until_back
from maw.client.stream import follow
from maw.core.names import check_channel
from maw.core.text import one_line
from maw.errors import NotRunning, Unavailable

CHANGE_CHARS: Final = 200


def tail(
    channel: Annotated[
        str | None,
        typer.Argument(
            metavar="[CHANNEL]",
            help="Only this channel; else all that you may read.",
            autocompletion=completing.channels,
        ),
    ] = None,
    last: Annotated[int, typer.Option("-n", metavar="N", help="Begin with the last N of the channel.")] = 10,
    after_seq: AfterSeq = None,
    peek: Annotated[
        bool, typer.Option("--peek", help="Only look: what is shown is not delivered to who speaks.")
    ] = False,
    changes: Annotated[
        bool, typer.Option("--changes", help="With --json: edits and redactions too, as the stream has them.")
    ] = False,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Follow what is said, and what is edited or taken back, until Ctrl-C. A restart of the daemon costs and repeats
    nothing."""
    out = Output.to_stdout(as_json)
    name = check_channel(channel.removeprefix("#")) if channel else None
    daemon = reading_daemon(as_name)
    confirm = daemon.speaker is not None and not peek
    cursor = after_seq if after_seq is not None else _begin(out, daemon, name, last, as_name)
    wanted = "true" if changes or not as_json else None
    while True:
        try:
            for frame in follow(daemon, confirm=confirm, after_seq=cursor, channel=name, changes=wanted):
                cursor = _take(out, frame, cursor, as_name)
        except (Lost, NotRunning, Unavailable):
            wait_until_back(daemon, lambda: note("maw: the daemon is away; waiting for it"))


def _begin(out: Output, daemon: Daemon, name: str | None, last: int, as_name: str | None) -> int:
    """Print the latest of the channel; returns the seq to go on from."""
    now = int(daemon.do(calls.status()).get("seq") or 0)
    if name is None or last < 1:
        return now
    messages = daemon.get(f"/api/channels/{segment(name)}/messages", limit=min(last, 500)).body
    for message in messages:
        _print(out, message, as_name)
    return max([now, *(int(message["seq"]) for message in messages)])


def _take(out: Output, frame: dict[str, Any], cursor: int, as_name: str | None) -> int:
    if frame.get("type") == "idle":
        return max(cursor, int(frame.get("seq") or 0))
    if frame.get("type") in ("edited", "redacted") and isinstance(frame.get("now"), dict):
        _print_change(out, frame, frame["now"])
        return max(cursor, int(frame.get("seq") or 0))
    message = frame.get("message")
    if frame.get("type") != "message" or not isinstance(message, dict):
        return cursor
    _print(out, message, as_name)
    return max(cursor, int(message.get("seq") or 0))


def _print(out: Output, message: dict[str, Any], as_name: str | None) -> None:
    if out.as_json:
        out.json(message)
    else:
        print_message(out, message, as_name)


def _print_change(out: Output, frame: dict[str, Any], now: dict[str, Any]) -> None:
    """One line of its own: which message, by whom, and what it says now."""
    if out.as_json:
        out.json(frame)
        return
    text = one_line(str(now.get("text", "")), CHANGE_CHARS)
    parts = [f"{frame['type']} {words(now.get('seq'))}", where(now), words(called(now, "author")), text]
    out.line(" · ".join(parts))

"""Hearing what others said: inbox, ack, wait, mentions, read."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.messages import is_whole, print_messages
from maw.cli.output import Output, note, words
from maw.cli.params import AfterSeq, As, Json, Limit, duration
from maw.cli.session import OWNER, reading_daemon, speaking_daemon
from maw.cli.tracing import progress_words
from maw.client import calls
from maw.client.daemon import Daemon, Lost, segment, wait_until_back
from maw.core.names import check_channel, parse_address
from maw.errors import BadInput, MawError, NotFound, NotRunning, Unavailable

LONG_POLL_S: Final = 50.0
TELL_PATIENCE_S: Final = 5.0


def inbox(
    limit: Limit = 50,
    after_seq: AfterSeq = None,
    peek: Annotated[
        bool, typer.Option("--peek", help="Do not tell their authors that they were read.")
    ] = False,
    expired: Annotated[
        bool, typer.Option("--expired", help="Instead: what expired before you acknowledged it.")
    ] = False,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Messages for you that you have not acknowledged; they stay. Exit 1 when there are none."""
    out = Output.to_stdout(as_json)
    daemon = speaking_daemon(as_name)
    which = "true" if expired else None
    answer = daemon.get("/api/inbox", limit=limit, after_seq=after_seq, expired=which)
    messages, over = answer.body, answer.headers.get("X-Maw-Expired")
    print_messages(out, messages, as_name)
    if over and not expired and not out.as_json:
        note(f"{words(over)} expired unread: maw inbox --expired")
    _ack_hint(out, messages, as_name)
    if (late := answer.headers.get("X-Maw-Overdue")) and not out.as_json:
        note(f"asks of you that are overdue: {words(late)} (maw asks --overdue)")
    _roles_hint(answer.headers.get("X-Maw-Roles"))
    if not peek and not expired:
        _tell_read(daemon, [one for one in messages if is_whole(out, one)], "inbox")
    return 0 if messages else out.nothing("nothing unread")


def _roles_hint(waiting: str | None) -> None:
    """What waits for the speaker's roles is in mailboxes of their own: ``boonkeeper=3, judge=1``."""
    if not waiting:
        return
    roles = [item.split("=") for item in waiting.split(", ")]
    told = ", ".join(f"{words(name)} {words(count)}" for name, count in roles)
    note(f"your roles have mail of their own: {told} (maw inbox --as {words(roles[0][0])})")


def ack(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID…",
            help="Ids, or the numbers shown.",
            autocompletion=completing.messages,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is in the inbox now.")] = False,
    obeyed: Annotated[bool, typer.Option("--obeyed", help="An operator's order: it is done.")] = False,
    declined: Annotated[
        bool, typer.Option("--declined", help="An operator's order: it is not done.")
    ] = False,
    remark: Annotated[
        str | None,
        typer.Option("--note", metavar="TEXT", help="With an answer to an order: how, or why not."),
    ] = None,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Acknowledge messages: they leave your inbox, for good. Exit 3 when an id is not known."""
    out = Output.to_stdout(as_json)
    if bool(ids) == everything:
        raise BadInput("acknowledge what?", code="usage", hint="maw ack ID… or maw ack --all")
    if obeyed and declined:
        raise BadInput("an order is either obeyed or declined", code="usage")
    body: dict[str, Any] = {"all": True} if everything else {"ids": ids}
    if obeyed or declined:
        body["answer"] = "obeyed" if obeyed else "declined"
    if remark:
        body["note"] = remark
    answer = speaking_daemon(as_name).post_once("/api/ack", body).body
    unknown = answer.get("unknown") or []
    if out.as_json:
        out.json(answer)
    else:
        already = answer.get("already") or []
        how = f" as {body['answer']}" if "answer" in body else ""
        line = f"{len(answer.get('acked') or [])} acknowledged{how}"
        out.line(line + (f", {len(already)} already were" if already else ""))
        if unknown:
            note(f"maw: not known here: {', '.join(map(words, unknown))}")
    return NotFound.exit_code if unknown else 0


def wait(
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="Give up after so long (exit 1).")
    ] = None,
    after_seq: AfterSeq = None,
    limit: Limit = 50,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Wait until there is something in your inbox, then print it. Outlasts a restart of the daemon."""
    out = Output.to_stdout(as_json)
    deadline = time.monotonic() + duration(timeout, "--timeout") if timeout else None
    daemon = speaking_daemon(as_name)
    messages, claim, lost = daemon.get("/api/inbox", limit=limit, after_seq=after_seq).body, None, False
    while not messages:
        left = LONG_POLL_S if deadline is None else min(LONG_POLL_S, deadline - time.monotonic())
        if left <= 0:
            if out.as_json:
                out.json([])
            return 1
        try:
            if after_seq is None and not lost:
                claim = _hear(daemon, left)
            poll = None if after_seq is None or lost else f"{left:.1f}"
            messages = daemon.get(
                "/api/inbox", patience=left + 15, limit=limit, after_seq=after_seq, wait=poll
            ).body
            lost = False
        except (Lost, NotRunning, Unavailable):
            wait_until_back(daemon, lambda: note("maw: the daemon is away; waiting for it"), deadline)
            claim, lost = None, True  # what it has taken in meanwhile is looked for first
    print_messages(out, messages, as_name)
    _ack_hint(out, messages, as_name)
    _tell_heard(daemon, claim)
    _tell_read(daemon, [one for one in messages if is_whole(out, one)], "wait")
    return 0


def mentions(
    user: Annotated[
        str | None,
        typer.Argument(
            metavar="[WHO]",
            help="Whose; yours if left out.",
            autocompletion=completing.agents,
        ),
    ] = None,
    limit: Limit = 50,
    after_seq: AfterSeq = None,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Where somebody is mentioned by name or group, over all channels. Exit 1 when nowhere."""
    out = Output.to_stdout(as_json)
    daemon = reading_daemon(as_name) if user else speaking_daemon(as_name)
    who = str(parse_address(user)) if user else _speaker_name(daemon)
    messages = daemon.get("/api/mentions", user=who, after_seq=after_seq, limit=limit).body
    print_messages(out, messages, as_name)
    return 0 if messages else out.nothing(f"{words(who)} is mentioned nowhere" + _since(after_seq))


def read(
    what: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL|ID",
            help="A channel, or one message by id or number.",
            autocompletion=completing.readable,
        ),
    ],
    after_seq: AfterSeq = None,
    limit: Limit = 50,
    history: Annotated[
        bool, typer.Option("--history", help="Of one message: what it said before it was edited.")
    ] = False,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Read a channel, or one message with what it answers and what answers it."""
    out = Output.to_stdout(as_json)
    daemon = reading_daemon(as_name)
    if what.isascii() and what.isdecimal():
        return _one_message(out, daemon, what, as_name, history)
    try:
        name = check_channel(what.removeprefix("#"))
        path = f"/api/channels/{segment(name)}/messages"
        messages = daemon.get(path, after_seq=after_seq, limit=limit).body
    except (BadInput, NotFound):
        if what.startswith("#") or what.count("-") < 2:
            raise
        return _one_message(out, daemon, what, as_name, history)
    print_messages(out, messages, as_name)
    return 0 if messages else out.nothing(f"nothing in #{name}" + _since(after_seq))


def _one_message(out: Output, daemon: Daemon, ref: str, as_name: str | None, history: bool) -> int:
    from maw.cli.conversing import print_history, print_thread

    if history:
        print_history(out, daemon, ref)
        return 0
    message = daemon.get(f"/api/messages/{segment(ref)}").body
    if out.as_json:
        out.json(message)
    else:
        print_thread(out, message, as_name, progress_words(out, message) if message.get("state") else "")
    _tell_read(daemon, [message], "read")
    return 0


def _tell_read(daemon: Daemon, messages: list[Any], via: str) -> None:
    """These stand on the screen, or in the pipe: the authors of those that were not read before may know. It is no
    part of what was asked for: where it cannot be told, a receipt is late, and that is all."""
    fresh = [one["id"] for one in messages if "read_at" in one and one["read_at"] is None]
    if fresh:
        with suppress(MawError):
            daemon.post("/api/read", {"ids": fresh, "via": via}, patience=TELL_PATIENCE_S)


def _since(after_seq: int | None) -> str:
    return "" if after_seq is None else f" after {after_seq}"


def _hear(daemon: Daemon, seconds: float) -> str | None:
    """Waits for something new that nothing better puts in front of the agent; the claim on it, if it came."""
    body = {"via": "wait", "wait": max(0.1, round(seconds, 1))}
    answer = daemon.post("/api/hear", body, patience=seconds + 15).body
    return None if answer is None else str(answer["claim"])


def _tell_heard(daemon: Daemon, claim: str | None) -> None:
    """What was claimed stands on the screen. Where that cannot be told it is announced once more, by another way."""
    if claim is not None:
        with suppress(MawError):
            daemon.post("/api/heard", {"claim": claim}, patience=TELL_PATIENCE_S)


def _speaker_name(daemon: Daemon) -> str:
    if daemon.speaker not in (None, OWNER):
        return str(daemon.speaker)
    agent = daemon.do(calls.whoami()).get("agent")
    if not agent:
        raise BadInput("whose mentions?", code="no_speaker", hint="maw mentions WHO, or --as NAME")
    return str(agent)


def _ack_hint(out: Output, messages: list[Any], as_name: str | None) -> None:
    if messages and out.width is not None and not out.as_json:
        speaks = f" --as {as_name}" if as_name else ""
        numbers = " ".join(str(message.get("seq")) for message in messages[:4])
        out.line(out.style(f"`maw ack{speaks} {numbers}` or `maw ack{speaks} --all` when done", "dim"))

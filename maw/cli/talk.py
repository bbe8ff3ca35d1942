"""Saying something, and what became of it: send, post, sent."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.messages import print_receipt, where
from maw.cli.output import Output, note, words
from maw.cli.params import As, Json, Limit, duration
from maw.cli.saying import (
    Attach,
    Due,
    Expires,
    Insist,
    Name,
    Open,
    Priority,
    attached,
    meaning,
    text_beside,
    wishes,
)
from maw.cli.session import speaking_daemon
from maw.cli.tracing import progress_words
from maw.client.daemon import UnconfirmedReceipt, segment
from maw.core.intents import CHAT, NORMAL
from maw.core.names import check_channel, parse_address, parse_group
from maw.core.states import MARKS, REPLICATED, STORED
from maw.core.text import MAX_MESSAGE_BYTES, check_message, shown
from maw.errors import BadInput, MawError, NotFound

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help="What to say; several words are joined. - reads standard input.",
        autocompletion=completing.after_at,
    ),
]
ReplyTo = Annotated[
    str | None,
    typer.Option(
        "--reply-to",
        metavar="ID",
        help="The message this answers: its id or number.",
        autocompletion=completing.messages,
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="replicated|delivered|read|acked",
        help="Answer once it has come so far with all whom it is for (else exit 7).",
        autocompletion=completing.wait_states,
    ),
]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long --wait waits.")]

Intent = Annotated[
    str,
    typer.Option(
        "--intent",
        metavar="chat|ask|inform|ack",
        help="What you want: nothing in particular, an answer, that it is known; inform and ack wake nobody.",
        autocompletion=completing.intents,
    ),
]

MAX_WAIT_S: Final = 3600.0


def send(
    to: Annotated[
        str,
        typer.Argument(
            metavar="@WHO|CHANNEL",
            help="@arthur, @arthur@mbp, @role:reviewer, @host:mbp, or general. Left out with --reply-to: its author.",
            autocompletion=completing.recipients,
        ),
    ],
    text: Words = None,
    reply_to: ReplyTo = None,
    intent: Intent = CHAT,
    due: Due = None,
    priority: Priority = NORMAL,
    expires: Expires = None,
    insist: Insist = False,
    in_the_open: Open = False,
    attach: Attach = None,
    name: Name = None,
    wait: Wait = None,
    timeout: Timeout = "10s",
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Send a message to an agent, or to a channel. It is accepted when it is on this host's disk."""
    path, body, text = _destination(to, text, reply_to, as_name)
    try:
        body |= meaning(intent) | wishes(priority, expires, due, intent, insist)
        if in_the_open and path == "/api/direct":
            body["open"] = True
        said = message_text(text_beside(text, attach, name))
        body |= attached(as_name, attach, name)
        _say(path, body, said, reply_to, wait, timeout, as_name, as_json)
    except NotFound as error:
        raise _perhaps_swapped(error, to, text) from None


def _recipient(word: str) -> str:
    """``@arthur@mbp`` as ``arthur@mbp``; a group, ``@role:reviewer``, as ``role:reviewer``. Raises BadInput."""
    return parse_group(word) or str(parse_address(word))


def _destination(
    to: str, text: list[str] | None, reply_to: str | None, as_name: str | None
) -> tuple[str, dict[str, Any], list[str] | None]:
    """Path, what the body says of whom, and the text: all the words, where an answer goes to whom it answers."""
    if reply_to is not None and not to.startswith(("@", "#")):
        from maw.cli.conversing import answered, is_channel

        daemon = speaking_daemon(as_name)
        if text is None or not is_channel(daemon, to):
            return *answered(daemon, reply_to), [to, *(text or [])]
    if "@" in to:
        names = [_recipient(one) for one in to.split(",")]
        return "/api/direct", {"to": names[0] if len(names) == 1 else names}, text
    try:
        return _channel_path(to), {}, text
    except BadInput as error:
        raise _perhaps_swapped(error, to, text) from None


def post(
    channel: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL", help="general, or '#general' in quotes.", autocompletion=completing.channels
        ),
    ],
    text: Words = None,
    reply_to: ReplyTo = None,
    intent: Intent = CHAT,
    due: Due = None,
    priority: Priority = NORMAL,
    expires: Expires = None,
    insist: Insist = False,
    attach: Attach = None,
    name: Name = None,
    wait: Wait = None,
    timeout: Timeout = "10s",
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Send a message to a channel."""
    path = _channel_path(channel)
    body = meaning(intent) | wishes(priority, expires, due, intent, insist)
    said = message_text(text_beside(text, attach, name))
    body |= attached(as_name, attach, name)
    _say(path, body, said, reply_to, wait, timeout, as_name, as_json)


def sent(limit: Limit = 20, as_name: As = None, as_json: Json = False) -> int:
    """What you sent, and how far each message got. Exit 1 when there is nothing."""
    out = Output.to_stdout(as_json)
    messages = speaking_daemon(as_name).get("/api/sent", limit=limit).body
    if out.as_json:
        out.json(messages)
    else:
        rows = [
            [
                str(one.get("seq")),
                progress_words(out, one),
                where(one),
                out.when(one.get("created_at")),
                words(one.get("id")),
                words(one.get("text")),
            ]
            for one in messages
        ]
        out.table(["seq", "state", "to", "when", "id", "text"], rows)
        if out.width is not None and any(one.get("state") == STORED for one in messages):
            note("what is stored travels by itself: do not send it again; `maw trace ID` tells more")
    return 0 if messages else out.nothing("nothing sent yet")


def _say(
    path: str,
    body: dict[str, Any],
    text: str,
    reply_to: str | None,
    wait: str | None,
    timeout: str,
    as_name: str | None,
    as_json: bool,
) -> None:
    out = Output.to_stdout(as_json)
    if wait not in (None, REPLICATED, *MARKS):
        raise BadInput(
            f"--wait: {wait!r} cannot be waited for", hint=f"--wait {', '.join((REPLICATED, *MARKS))}"
        )
    seconds = min(duration(timeout, "--timeout"), MAX_WAIT_S)
    daemon = speaking_daemon(as_name)
    query = {"wait": wait, "timeout": f"{seconds:g}"} if wait else {}
    body = {**body, "text": text, **({"reply_to": reply_to} if reply_to else {})}
    try:
        answer = daemon.post_once(path, body, patience=30 + (seconds if wait else 0), **query)
    except UnconfirmedReceipt as error:
        if not out.as_json:
            print_receipt(out, error.receipt)
        raise
    except NotFound as error:
        raise _with_at_sign(error, path) from None
    for warning in answer.body.get("warnings") or ():
        note(f"note: {shown(str(warning))}")
    print_receipt(out, answer.body)


def _with_at_sign(error: NotFound, path: str) -> NotFound:
    """Without the @ a name means a channel: say so to whom that surprises."""
    if path == "/api/direct" or error.hint.startswith("@"):
        return error
    name = path.split("/")[3]
    hint = (
        f"{error.hint.rstrip('?')}? An agent is written with an @: @{name}"
        if error.hint
        else f"an agent is @{name}"
    )
    return NotFound(error.message, hint=hint, code=error.code, candidates=error.candidates)


def _perhaps_swapped(error: MawError, to: str, text: list[str] | None) -> MawError:
    """``maw send hi @arthur``: the one who is meant stands last, as in a sentence."""
    last = (text or [""])[-1]
    if not last.startswith("@") or "@" in to or any(char.isspace() for char in last):
        return error
    said = " ".join([to, *(text or [])[:-1]])
    hint = f"whom first, then what: maw send {shown(last)} '{shown(said)}'"
    return type(error)(error.message, hint=hint, code=error.code)


def _channel_path(word: str) -> str:
    return f"/api/channels/{segment(check_channel(word.removeprefix('#')))}/messages"


def message_text(text: list[str] | None) -> str:
    if not text:
        raise BadInput(
            "what should be said?",
            code="usage",
            hint="give it as words, or - to read standard input; in a shell, what begins with # is quoted",
        )
    message = _from_stdin() if text == ["-"] else " ".join(text)
    check_message(message)
    return message


def _from_stdin() -> str:
    raw = sys.stdin.buffer.read(MAX_MESSAGE_BYTES * 4)
    try:
        return raw.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"standard input is not UTF-8: byte {raw[error.start]:#04x} at position {error.start + 1}",
            code="not_unicode",
            hint="convert it first (iconv -t UTF-8), or send where the file is",
        ) from None

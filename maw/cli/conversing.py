"""What belongs together: asks that wait for an answer, edits, and a message shown with its thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.messages import print_message, where
from maw.cli.output import Output, block, note, words
from maw.cli.params import As, Json
from maw.cli.saying import Insist
from maw.cli.session import speaking_daemon
from maw.cli.talk import Words, message_text
from maw.client import calls
from maw.client.daemon import Daemon, segment
from maw.errors import BadInput

DEEPEST: Final = 6
"""Answers stand no further to the right than that."""
Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="A message: its id, or number.", autocompletion=completing.messages),
]


def asks(
    mine: Annotated[bool, typer.Option("--mine", help="Only those that you asked.")] = False,
    of_me: Annotated[bool, typer.Option("--of-me", help="Only those that you are to answer.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose time has passed.")] = False,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Asks that wait for an answer: yours, and those of you. An answer is --reply-to. Exit 1 when there are none."""
    if mine and of_me:
        raise BadInput("--mine or --of-me, or neither for both", code="usage")
    out = Output.to_stdout(as_json)
    whose = "mine" if mine else "of_me" if of_me else None
    daemon = speaking_daemon(as_name)
    found = daemon.get("/api/asks", whose=whose, overdue="true" if overdue else None).body
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    rows = [
        [
            words(one.get("seq")),
            "you" if one.get("whose") == "mine" else words(one.get("author")),
            ", ".join(map(words, one.get("waits_for") or ())) or where(one),
            due_words(out, one),
            words(one.get("text")),
        ]
        for one in found
    ]
    out.table(["seq", "who asks", "waits for", "due", "text"], rows)
    if any(one.get("whose") == "of_me" for one in found) and out.width is not None:
        note("to answer: maw send --reply-to SEQ TEXT")
    return 0 if found else out.nothing("no ask waits for an answer")


def due_words(out: Output, message: Mapping[str, Any]) -> str:
    if not message.get("due_at"):
        return ""
    when = out.when(message["due_at"])
    return f"OVERDUE since {when}" if message.get("overdue") else when


def edit(
    ref: Id,
    text: Words = None,
    insist: Insist = False,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Put other words in place of what you said. What it said before stays readable: maw read ID --history."""
    out = Output.to_stdout(as_json)
    body = {"text": message_text(text), **({"insist": True} if insist else {})}
    message = speaking_daemon(as_name).post_once(f"/api/messages/{segment(ref)}/edit", body).body
    if out.as_json:
        out.json(message)
    else:
        print_message(out, message, as_name, whole=True)


def print_history(out: Output, daemon: Daemon, ref: str) -> None:
    """What it said at first, and by each edit."""
    found = daemon.get(f"/api/messages/{segment(ref)}/history").body
    if out.as_json:
        out.json(found)
        return
    for at, one in enumerate(found):
        out.line(
            f"{'first' if at == 0 else f'edit {at}'} · {out.when(one.get('at'))} · {words(one.get('id'))}"
        )
        out.line(block(str(one.get("text", "")), width=out.width))


def print_thread(out: Output, message: Mapping[str, Any], as_name: str | None, told: str) -> None:
    """What it answers, from the root on; itself, whole; then its answers, each to the right of what it answers."""
    path = list(message.get("path") or ())
    for depth, above in enumerate(path):
        print_message(out, above, as_name, depth=min(depth, DEEPEST))
    here = min(len(path), DEEPEST)
    print_message(out, message, whole=True, depth=here)
    if told:
        out.line(f"{'  ' * here}[{told}]")
    thread = list(message.get("thread") or ())
    for answer in thread:
        print_message(out, answer, as_name, depth=min(here + int(answer.get("depth") or 1), DEEPEST))
    left = int(message.get("replies") or 0) - sum(answer.get("depth", 1) == 1 for answer in thread)
    if left > 0:
        after = max((int(one["seq"]) for one in thread if one.get("depth", 1) == 1), default=0)
        note(
            f"and {left} more answers: GET /api/messages/{words(message.get('id'))}/thread?after_seq={after}"
        )


def answered(daemon: Daemon, ref: str) -> tuple[str, dict[str, Any]]:
    """Where an answer to this message goes by itself: to who said it, or into its channel; path and body."""
    message = daemon.get(f"/api/messages/{segment(ref)}").body
    if message.get("channel"):
        return f"/api/channels/{segment(message['channel'])}/messages", {}
    me = daemon.do(calls.whoami())
    mine = f"{me.get('agent')}@{me.get('host')}"
    to = list(message.get("to") or ()) if message["author"] == mine else [message["author"]]
    return "/api/direct", {"to": to}


def is_channel(daemon: Daemon, word: str) -> bool:
    return any(one.get("name") == word.removeprefix("#") for one in daemon.do(calls.channels()))

"""The options of everything that says something: what is wanted, how urgently, until when; and what is sent of it."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.core.intents import ASK, CHAT, INTENTS, NORMAL, PRIORITIES
from maw.errors import BadInput

Priority = Annotated[
    str,
    typer.Option(
        "--priority",
        metavar="low|normal|high",
        help="high stands first in digests, low wakes nobody.",
        autocompletion=completing.priorities,
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="TIME", help="30m, 2h, or a date and time: from then on nobody is told of it."
    ),
]
Due = Annotated[
    str | None,
    typer.Option("--due", metavar="TIME", help="With --intent ask: 2h, or when an answer is overdue."),
]
Insist = Annotated[bool, typer.Option("--insist", help="Send it although it seems to hold a credential.")]
Open = Annotated[bool, typer.Option("--open", help="Unsealed: every host of the Colony can read it.")]
Attach = Annotated[
    list[str] | None,
    typer.Option(
        "--attach",
        metavar="FILE",
        help="A file to go along, up to 64 MiB; may be repeated. - is standard input.",
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What the attached file is called there.")
]
NO_WISHES: Final[dict[str, Any]] = {}


def wishes(priority: str, expires: str | None, due: str | None, intent: str, insist: bool) -> dict[str, Any]:
    """What a request says of these: nothing of what is left out, as older daemons know it. Times are made absolute
    here, so that a request that is made again asks for the same. Raises BadInput."""
    body: dict[str, Any] = {}
    if priority not in PRIORITIES:
        raise BadInput(f"--priority: {priority!r} is none", hint=f"one of {', '.join(PRIORITIES)}")
    if priority != NORMAL:
        body["priority"] = priority
    if due is not None and intent != ASK:
        raise BadInput("--due is for an ask", hint="add --intent ask")
    for option, text in (("expires", expires), ("due", due)):
        if text is not None:
            body[option] = _absolute(option, text)
    if insist:
        body["insist"] = True
    return body


def _absolute(option: str, text: str) -> str:
    from maw.core.moments import RULE, moment  # few messages have a time

    now_ms = time.time_ns() // 1_000_000
    try:
        at = moment(text, now_ms)
    except ValueError:
        raise BadInput(f"--{option}: {text!r} is no time to come", hint=RULE.partition(": ")[2]) from None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}Z"


def attached(as_name: str | None, paths: list[str] | None, name: str | None) -> dict[str, Any]:
    """What a request says of files that go along, once they are on the daemon's disk."""
    if not paths:
        if name is not None:
            raise BadInput("--name is for a file", hint="add --attach FILE")
        return {}
    from maw.cli.files import uploaded  # few messages have files
    from maw.cli.session import speaking_daemon

    return {"files": uploaded(speaking_daemon(as_name), paths, name)}


def text_beside(text: list[str] | None, paths: list[str] | None, name: str | None) -> list[str] | None:
    """What is said of files by who says nothing: their names."""
    if text == ["-"] and paths and "-" in paths:
        raise BadInput("standard input is either the text or the file", hint="give one of them otherwise")
    if text or not paths:
        return text
    from maw.cli.files import default_text

    return default_text(paths, name)


def meaning(intent: str) -> dict[str, str]:
    """What a request says of the intent: nothing where it is chat, as older daemons know it. Raises BadInput."""
    if intent not in INTENTS:
        raise BadInput(
            f"--intent: {intent!r} is none", hint=f"one of {', '.join(INTENTS)}", candidates=list(INTENTS)
        )
    return {} if intent == CHAT else {"intent": intent}

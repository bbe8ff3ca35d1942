"""`maw send` and `maw inbox` as agents call them, all day long: without what the other commands need to start.

Only plain forms come this way: words, ``--as NAME``, and not on a terminal. Whatever else is asked, and whatever is
more than the plain answer (an error, mail, a hint), is for the full command, which then begins from the start; so
there is one place that says each thing. Nothing is sent twice: see ``maw.client.once``.
"""

from __future__ import annotations

import os
import sys
import time

from maw.agents.hooks.daemon import Daemon, NoAnswer, find_socket, speaker_headers
from maw.client.once import resume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

PATIENCE_S: Final = 30.0
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_FIRST: Final = _NAME - {"-", "_"}
CREATED: Final = 201
_HINTS: Final = frozenset({"x-maw-expired", "x-maw-overdue", "x-maw-roles"})
MAY_BE_TAKEN: Final = 500
"""From this status on, or without an answer; then the full command asks again under the same key."""
INTERRUPTED: Final = 130


def main(args: list[str]) -> int | None:
    """The exit code, or None: this is for the full command."""
    found = _plain(args[1:])
    if found is None or os.isatty(1):
        return None
    name, words = found
    speaker = {"X-Maw-Agent": name} if name else speaker_headers(os.environ)
    socket = find_socket(os.environ)
    if not speaker or socket is None:
        return None
    try:
        if args[0] == "inbox":
            return None if words else _inbox(socket, speaker)
        return _send(socket, speaker, words) if words else None
    except (
        BrokenPipeError
    ):  # who read the answer has seen enough: Python is not to complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _plain(args: list[str]) -> tuple[str | None, list[str]] | None:
    """--as, and the words; None when there is any other option."""
    name, words = None, []
    rest = iter(args)
    for word in rest:
        if word == "--as":
            name = next(rest, "").removeprefix("@")
            if not _is_name(name):
                return None
        elif word.startswith("-"):
            return None
        else:
            words.append(word)
    return name, words


def _is_name(word: str) -> bool:
    return 0 < len(word) <= 32 and word[0] in _FIRST and _NAME.issuperset(word)


def _inbox(socket: str, speaker: dict[str, str]) -> int | None:
    """1 when nothing is there; None when something is, or may be."""
    daemon = Daemon(socket, speaker, time.monotonic() + PATIENCE_S)
    try:
        status, messages = daemon.ask("/api/inbox?limit=1", None)
    except NoAnswer:
        return None
    more = not _HINTS.isdisjoint(daemon.fields)
    return 1 if status == 200 and messages == [] and not more else None


def _send(socket: str, speaker: dict[str, str], words: list[str]) -> int | None:
    asked = _request(words)
    if asked is None:
        return None
    path, body = asked
    key = os.urandom(16).hex()
    daemon = Daemon(socket, {**speaker, "Idempotency-Key": key}, time.monotonic() + PATIENCE_S)
    try:
        daemon.send(path, body)
    except NoAnswer as error:
        if not error.refused:
            resume(key)
        return None
    try:
        status, receipt = daemon.receive()
    except NoAnswer:
        status, receipt = MAY_BE_TAKEN, None
    if status >= MAY_BE_TAKEN:
        resume(key)
    return _show(receipt) if status == CREATED else None


def _request(words: list[str]) -> tuple[str, dict[str, object]] | None:
    """Where it goes, and what. None where it is not plainly to somebody, or says nothing."""
    text = " ".join(words[1:])
    if not text.strip() or words[1:] == ["-"] or len(text) > 8192:
        return None
    to = words[0]
    if "@" in to:
        names = to.split(",")
        plain = all(_is_name(part) for name in names for part in name.removeprefix("@").split("@", 1))
        return ("/api/direct", {"to": names, "text": text}) if plain else None
    channel = to.removeprefix("#")
    return (f"/api/channels/{channel}/messages", {"text": text}) if _is_name(channel) else None


def _show(receipt: dict[str, Any]) -> int:
    from maw.cli.messages import print_receipt
    from maw.cli.output import Output, note
    from maw.core.text import shown

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for warning in receipt.get("warnings") or ():
        note(f"note: {shown(str(warning))}")
    print_receipt(Output.to_stdout(), receipt)
    return 0

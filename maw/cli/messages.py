"""How messages and receipts look."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from maw.cli.output import Output, block, called, parse_time, size, span, words
from maw.core.filenames import size_words

Record = Mapping[str, Any]

SHOWN_LINES: Final = 20
SHOWN_CHARACTERS: Final = 1500
SPARED: Final = 40
"""A text that is longer by no more than this is shown whole: the remark would take as much room."""


def print_messages(out: Output, messages: Sequence[Record], as_name: str | None = None) -> None:
    """Each with who, where, when, how known and id, then its text indented; or the JSON array.

    ``as_name``: what stood after --as, for the command that shows a long message whole.
    """
    if out.as_json:
        out.json(list(messages))
        return
    for message in messages:
        print_message(out, message, as_name)


def print_message(
    out: Output, message: Record, as_name: str | None = None, *, whole: bool = False, depth: int | None = None
) -> None:
    """``17 · #general · neo@oracle-world (agent, known by uid) · 21 Nov 08:00 · ID`` and the text below.

    In a terminal a long text is shortened unless it is wanted ``whole``: others do not flood a screen. ``depth``:
    how far to the right in a thread; there a bar stands before each line of a text, or it could look like an
    answer's first line."""
    who = f"{out.style(words(called(message, 'author')), 'bold')} ({_standing(message)})"
    if message.get("operator"):
        who = f"{out.style(_operator(message), 'bold', 'reverse')} through {words(called(message, 'author'))}"
    parts = [words(message.get("seq")), where(message), who, out.when(message.get("created_at"))]
    if message.get("intent") not in (None, "chat"):
        parts.append(words(message["intent"]))
    parts += _wishes(out, message)
    if message.get("clock_suspect"):
        parts.append("its clock is in doubt")
    if message.get("disputed"):
        parts.append("DISPUTED: its host said something else there too")
    if message.get("unreadable"):
        parts.append(f"hardly readable: {words(message['unreadable'])}")
    if message.get("edited_at"):
        parts.append(f"edited {out.when(message['edited_at'])}")
    if message.get("reply_to"):
        parts.append(f"answers {words(message['reply_to'])}")
    parts.append(out.style(words(message.get("id")), "dim"))
    if message.get("order") and message.get("why"):
        parts.append(f"answer: maw ack {words(message.get('seq'))} --obeyed (or --declined)")
    margin = "  " * (depth or 0)
    out.line(margin + " · ".join(parts))
    text = str(message.get("text", ""))
    kept = text if whole or out.width is None else beginning(text)
    out.line(block(kept, margin + ("  " if depth is None else "│ "), out.width))
    if kept != text:
        speaks = f" --as {as_name}" if as_name else ""
        rest = (
            f"… ({size(len(text.encode(errors='replace')))}: `maw read{speaks} {words(message.get('seq'))}`)"
        )
        out.line(f"{margin}  {out.style(rest, 'dim')}")
    for file in message.get("files") or ():
        got = f"[file {words(file.get('n'))}: {words(file.get('name'))}, {file_size(file)}]"
        out.line(f"{margin}  {got} · maw fetch {words(message.get('seq'))}")


def file_size(file: Record) -> str:
    size = file.get("size")
    return size_words(size) if isinstance(size, int) else "?"


def _wishes(out: Output, message: Record) -> list[str]:
    """What its author wished for beside the words."""
    told = []
    if message.get("priority"):
        told.append(f"{words(message['priority'])} priority")
    if message.get("due_at"):
        verb = "OVERDUE since" if message.get("overdue") else "due"
        told.append(f"{verb} {out.when(message['due_at'])}")
    if message.get("expires_at"):
        verb = "EXPIRED" if message.get("expired") else "expires"
        told.append(f"{verb} {out.when(message['expires_at'])}")
    return told


def is_whole(out: Output, message: Record) -> bool:
    """Whether ``print_messages`` shows all of it there."""
    text = str(message.get("text", ""))
    return out.as_json or out.width is None or beginning(text) == text


def beginning(text: str) -> str:
    """The text, or as much of it as a list shows on a terminal: SHOWN_LINES lines, SHOWN_CHARACTERS characters."""
    kept = "\n".join(text.split("\n", SHOWN_LINES)[:SHOWN_LINES])[:SHOWN_CHARACTERS]
    return text if len(text) - len(kept) <= SPARED else kept.rstrip()


def where(message: Record) -> str:
    """``#general``, or ``to arthur@mbp`` for a direct message."""
    if message.get("channel"):
        return f"#{words(message['channel'])}"
    to = message.get("to") or []
    return "to " + ", ".join(words(one) for one in to) if to else "direct"


def print_receipt(out: Output, receipt: Record, now: float | None = None) -> None:
    if out.as_json:
        out.json(receipt)
        return
    out.line(receipt_line(receipt, time.time() if now is None else now))


def receipt_line(receipt: Record, now: float) -> str:
    """``stored · arthur@mbp is offline, 3 h · ID``: how far the message got, and whom it waits for."""
    message = receipt.get("message") or {}
    recipients = list(receipt.get("recipients") or [])
    parts = [words(receipt.get("state"))]
    if message.get("channel"):
        parts.append(f"#{words(message['channel'])}")
        recipients = [one for one in recipients if not _reached(one)]
    if len(recipients) > 4:
        away = sum(not one.get("online") and not _reached(one) for one in recipients)
        parts.append(f"{len(recipients)} recipients" + (f", {away} offline" if away else ""))
    else:
        parts += [recipient_words(one, now) for one in recipients]
    if (receipt.get("reaches") or 0) > len(receipt.get("recipients") or ()):
        parts.append(f"reaches {receipt['reaches']}")
    return " · ".join([*parts, words(receipt.get("id"))])


def recipient_words(recipient: Record, now: float) -> str:
    """``arthur@mbp`` once its host has the message; else what stands in the way."""
    name = words(recipient.get("agent"))
    if recipient.get("state") == "failed":
        return f"{name}: {words(recipient.get('why'))}"
    if _reached(recipient):
        return name
    if recipient.get("trouble"):
        return f"{name} cannot be reached: {words(recipient['trouble'])}"
    if recipient.get("online"):
        return f"on its way to {name}"
    seen = parse_time(recipient.get("last_seen"))
    return f"{name} is offline, " + (span(now - seen.timestamp()) if seen else "not seen yet")


def _reached(recipient: Record) -> bool:
    return recipient.get("state") not in (None, "stored")


def _operator(message: Record) -> str:
    """``OPERATOR anna orders``: no name has capitals, and no text begins a line, so nothing else looks so."""
    return f"OPERATOR {words(message['operator'])} {'orders' if message.get('order') else 'says'}"


def _standing(message: Record) -> str:
    role = words(message.get("role") or "agent")
    known = message.get("known_by")
    return f"{role}, known by {words(known)}" if known and known != "unknown" else role

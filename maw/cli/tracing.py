"""How far messages got: in one line for each, and the whole way of one (`maw trace`)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.output import Output, called, parse_time, span, words
from maw.cli.params import As, Json
from maw.cli.session import reading_daemon
from maw.client.daemon import segment
from maw.core.states import ACKED, DELIVERED, FAILED, MARKS, READ, REPLICATED, STORED

Record = Mapping[str, Any]

EACH: Final = 5
"""So many hosts or agents are told one by one; more are counted."""
_AT: Final = {DELIVERED: "delivered_at", READ: "read_at", ACKED: "acked_at"}
_RISING: Final = (STORED, FAILED, REPLICATED, *MARKS)


def trace(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A message: its id, or number.", autocompletion=completing.messages
        ),
    ],
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """The way of one message, as far as this host knows it: which hosts have it, who was shown it, who read it."""
    out = Output.to_stdout(as_json)
    found = reading_daemon(as_name).get(f"/api/messages/{segment(ref)}/trace").body
    if out.as_json:
        out.json(found)
        return
    whom = (
        f"#{words(found['channel'])}" if found.get("channel") else "to " + ", ".join(map(words, found["to"]))
    )
    intent = found.get("intent")
    parts = [words(found.get("id")), words(called(found, "author")), whom or "direct"]
    out.line(" · ".join([*parts, *([words(intent)] if intent not in (None, "chat") else [])]))
    out.table(["state", "where", "when", ""], _way(out, found))


def _way(out: Output, found: Record) -> list[list[str]]:
    here = found["here"]
    rows = [[STORED, words(found.get("host")), out.moment(found.get("created_at")), "by its author's clock"]]
    if here.get("host") != found.get("host"):
        rows.append([REPLICATED, words(here.get("host")), out.moment(here.get("since")), "this host"])
    rows += _hosts(out, found.get("hosts") or [])
    recipients = found.get("recipients") or []
    if len(recipients) > EACH:
        rows.append(["", f"{len(recipients)} agents", "", _counted(recipients)])
        recipients = [one for one in recipients if one.get("state") in (STORED, FAILED)][:EACH]
    for one in recipients:
        rows += _agent(out, one)
    for group in found.get("groups") or ():
        rows.append(["", f"@{words(group)}", "", "a group: nobody tells who has read it"])
    return rows


def _hosts(out: Output, hosts: Sequence[Record]) -> list[list[str]]:
    held = [one for one in hosts if one.get("state") != STORED]
    missing = [one for one in hosts if one.get("state") == STORED]
    rows = [[REPLICATED, words(one.get("host")), out.moment(one.get("since")), ""] for one in held]
    if len(held) > EACH:
        rows = [[REPLICATED, f"{len(held)} of {len(hosts)} hosts", "", ""]]
    rows += [["not yet", words(one.get("host")), "", _hindrance(one)] for one in missing[:EACH]]
    if len(missing) > EACH:
        rows.append(["not yet", f"{len(missing) - EACH} more hosts", "", ""])
    return rows


def _agent(out: Output, one: Record) -> list[list[str]]:
    """A row for each state that it came to, and one for what it waits for."""
    name, state = words(one.get("agent")), one.get("state")
    rows = [[mark, name, out.moment(one[_AT[mark]]), ""] for mark in MARKS if one.get(_AT[mark])]
    if rows and one.get("via"):
        rows[0][-1] = f"via {words(one['via'])}"  # of what came at once the host told the last alone
    if state == FAILED:
        rows.append([FAILED, name, out.moment(one.get("since")), words(one.get("why"))])
    elif not rows and state == REPLICATED:
        rows.append(["not yet", name, "", "on the host, and not put in front of the agent yet"])
    elif not rows:
        rows.append(["not yet", name, "", _hindrance(one)])
    return rows


# -- one line ----------------------------------------------------------------------------------------------------


def progress_words(out: Output, message: Record, now: float | None = None) -> str:
    """``stored · mbp is offline, 3 h``, ``read · mbp, 21 Nov 08:00``, ``replicated · 2 acked, 1 replicated``: how far a
    message that was sent got, where, since when, and what hinders it."""
    now = time.time() if now is None else now
    state, recipients = words(message.get("state")), message.get("recipients") or []
    if message.get("expired") and not all(one.get("state") in (READ, ACKED) for one in recipients or [{}]):
        state = f"expired unread, {state}"
    if len(recipients) == 1:
        return f"{state} · {_one(out, recipients[0], now)}"
    if recipients:
        hindered = next((one for one in recipients if one.get("state") == STORED), None)
        told = f" ({_hindrance(hindered, now)})" if hindered else ""
        return f"{state} · {_counted(recipients)}{told}"
    hosts = message.get("hosts") or []
    held = [words(one.get("host")) for one in hosts if one.get("state") != STORED]
    missing = [words(one.get("host")) for one in hosts if one.get("state") == STORED]
    if missing:  # an older daemon tells no recipients
        return f"{state}, not on {', '.join(missing[:3])}" + (" …" if len(missing) > 3 else "")
    if len(held) > 1:
        return f"{state} · on {len(held)} hosts"
    return f"{state} · on {held[0]}" if held else state


def _one(out: Output, one: Record, now: float) -> str:
    host, state, since = words(one.get("host")), one.get("state"), one.get("since")
    if state == STORED:
        return _hindrance(one, now)
    when = f", {out.when(since)}" if since else ""
    if state == REPLICATED:
        return f"on {host}{when}, not delivered yet"
    if state == FAILED:
        return f"{host}: {words(one.get('why'))}{when}"
    via = f" via {words(one['via'])}" if one.get("via") and state == DELIVERED else ""
    return f"{host}{via}{when}"


def _counted(recipients: Sequence[Record]) -> str:
    """``2 acked, 1 read``, the furthest first."""
    counts = Counter(str(one.get("state")) for one in recipients)
    return ", ".join(f"{counts[state]} {state}" for state in reversed(_RISING) if counts[state])


def _hindrance(one: Record, now: float | None = None) -> str:
    """Why a host does not have it yet."""
    host = words(one.get("host"))
    if one.get("trouble"):
        return f"{host} cannot be reached: {words(one['trouble'])}"
    if one.get("online"):
        return f"on its way to {host}"
    seen = parse_time(one.get("last_seen"))
    ago = f", {span((time.time() if now is None else now) - seen.timestamp())}" if seen else ""
    return f"{host} is offline{ago}"

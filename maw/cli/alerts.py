"""``maw alerts``: what a human should look at, and that he has."""

from __future__ import annotations

from typing import Annotated

import typer

from maw.cli.output import Output, note, words
from maw.cli.params import Json
from maw.cli.session import plain_daemon
from maw.client import calls

Seen = Annotated[
    str | None,
    typer.Option(
        "--dismiss", metavar="KIND", help="Alerts seen to: of a kind, KIND:SUBJECT, or all of them: all."
    ),
]


def alerts(dismiss: Seen = None, as_json: Json = False) -> int:
    """What a human should look at: forks, copies, silence, a full disk. Exit 1 when there is nothing."""
    out = Output.to_stdout(as_json)
    if dismiss is not None:
        return dismiss_alerts(out, dismiss)
    found = plain_daemon().do(calls.status()).get("alerts") or []
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    if not found:
        return out.nothing("nothing to look at")
    for one in found:
        count = f" (×{one['count']})" if (one.get("count") or 1) > 1 else ""
        name = f"{words(one.get('kind'))}:{words(one.get('subject'))}"
        out.line(f"{out.style(name, 'yellow')}{count} · {out.when(one.get('at'))}")
        out.line(f"  {words(one.get('text'))}")
    if out.width is not None:
        note(f"once seen to: maw alerts --dismiss {words(found[0].get('kind'))}   (or all)")
    return 0


def dismiss_alerts(out: Output, what: str) -> int:
    """Dismissed alerts come back when it happens again."""
    kind, _, subject = what.partition(":")
    body = {} if what == "all" else {"kind": kind, **({"subject": subject} if subject else {})}
    answer = plain_daemon().post("/api/alerts/dismiss", body).body
    if out.as_json:
        out.json(answer)
    else:
        for one in answer.get("dismissed") or ():
            out.line(f"dismissed {words(one.get('kind'))}:{words(one.get('subject'))}")
    return 0
